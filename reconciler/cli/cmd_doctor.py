"""`reconciler doctor`: is everything as the daemon needs it, and if not, what to do.

Owns: which examinations there are, their order, and how they are printed. Never: changes anything, or examines
(cli.examine_disk, cli.examine_network).
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import click

from reconciler.cli.context import Context, state_options
from reconciler.cli.examine_disk import (
    examine_clock,
    examine_library,
    examine_root,
    examine_state,
    examine_watching,
    running_daemon,
)
from reconciler.cli.examine_network import examine_musicbrainz, examine_ports, examine_soulseek
from reconciler.cli.finding import Finding, fine, problem
from reconciler.cli.render import counted, shown
from reconciler.clock import SystemClock
from reconciler.errors import BadConfigurationError, ExitCode
from reconciler.reconcile.observe import Folders


@click.command(short_help="Examine folders, limits, ports and services; say what to do.")
@click.option("--offline", is_flag=True, help="Ask nobody over the network.")
@state_options
def doctor(context: Context, *, offline: bool) -> None:
    """Examine whether all is as the daemon needs it, and say what to do where it is not.

    The configuration, the folders and their file systems, the state, inotify, the clock, ports, MusicBrainz and
    Soulseek; beside a running daemon or without one. Nothing is changed. Exit code 0, or 1 where something does not
    work.

    \b
    Examples:
      reconciler doctor --root ~/music
      reconciler doctor --offline --json | jq '.[] | select(.grade != "ok")'
    """
    findings = list(_examined(context, offline=offline))
    if context.as_json:
        context.print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            click.echo(f"{finding.grade:<8} {finding.subject}: {shown(finding.said, 500)}")
            if finding.to_do:
                click.echo(f"           what to do: {shown(finding.to_do, 500)}")
        counts = Counter(finding.grade for finding in findings)
        troubles = ", ".join(counted(counts[grade], grade) for grade in ("warning", "problem"))
        click.echo(f"{counts['ok']} ok, {troubles}", err=True)
    if any(finding.grade == "problem" for finding in findings):
        raise click.exceptions.Exit(ExitCode.FAILURE)


def _examined(context: Context, *, offline: bool) -> Iterator[Finding]:
    clock, folders = SystemClock(), Folders(root=context.root)
    yield from examine_root(folders, clock)
    yield from examine_state(context.state, context.root)
    daemon = running_daemon(context.state)
    yield fine("daemon", daemon or "none is running here")
    yield examine_watching(folders)
    yield examine_clock()
    try:
        settings = context.settings()
    except BadConfigurationError as error:
        yield problem("configuration", error.message, to_do=error.hint)
        return
    yield fine("configuration", "nothing wrong")
    configured = tuple(Path(root) for root in settings.library.roots)
    yield from examine_library(configured or (context.root / "library",))
    yield from examine_ports(settings, daemon=daemon)
    yield from examine_soulseek(settings.soulseek, context.state, clock, offline=offline)
    if not offline:
        yield examine_musicbrainz(settings.musicbrainz, clock)
