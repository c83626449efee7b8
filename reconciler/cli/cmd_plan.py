"""`reconciler plan`: what would be done, and why, without doing it.

Owns: which manifests are looked at and how the outlook is printed. Never: needs a daemon or a network, or changes
anything.
"""

from pathlib import Path

import click

from reconciler.cli.cmd_validate import manifest_files
from reconciler.cli.context import Context, state_options
from reconciler.cli.outlook import Outlook, looking_out
from reconciler.cli.render import counted, shown
from reconciler.cli.render_outlook import (
    outlook_as_json,
    problems_of,
    steps_of,
    track_lines,
    verdict_of,
)
from reconciler.errors import ExitCode, FileBusyError
from reconciler.reconcile.foresee import NEW_JOB_ID, Foreseen
from reconciler.reconcile.observed import Valid


@click.command(short_help="Show what would be done about manifests, and why, without doing it.")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@state_options
def plan(context: Context, paths: tuple[Path, ...]) -> None:
    """Show for each manifest what a daemon would do about it: fetch, wait, rest, finish or nothing, and why.

    PATHS are files or folders; without any, jobs/active of the root folder. It goes by the files, the configuration and
    the state database, and asks no network, so whether a peer has a track stays open. Each plan names the digest of the
    spec that it is for: another digest is another plan. Exit code 0, or 2 when a manifest has a mistake.

    \b
    Examples:
      reconciler plan --root ~/music
      reconciler plan --json wish.yml | jq '.[].fetch'
    """
    files = manifest_files(paths or (context.root / "jobs" / "active",))
    wrong = False
    shown_ahead: list[dict[str, object]] = []
    with looking_out(context) as outlook:
        if not context.as_json:
            _print_holds(outlook)
        for file in files:
            try:
                foreseen = outlook.ahead(file.absolute())
            except FileBusyError as error:
                click.echo(f"{file}: {error.message}", err=True)
                continue
            wrong = wrong or bool(problems_of(foreseen))
            if context.as_json:
                shown_ahead.append(outlook_as_json(foreseen))
            else:
                _print(foreseen)
    if context.as_json:
        context.print_json(shown_ahead)
    elif not files:
        click.echo("no manifest")
    if wrong:
        raise click.exceptions.Exit(ExitCode.INVALID_INPUT)


def _print_holds(outlook: Outlook) -> None:
    for hold in outlook.holds():
        click.echo(f"everything is held: {hold.reason}: {shown(hold.message, 400)}\n")


def _print(foreseen: Foreseen) -> None:
    path = shown(foreseen.observed.path, 200)
    problems = problems_of(foreseen)
    if problems or not isinstance(foreseen.observed.file, Valid):
        click.echo(f"{path}  cannot be acted on")
        for problem in problems:
            click.echo(f"  {shown(problem, 400)}")
        return
    manifest = foreseen.observed.file.manifest
    job = "a new job" if manifest.job_id == NEW_JOB_ID else f"job {manifest.job_id}"
    click.echo(f"{path}  {job}, {foreseen.news} spec {manifest.spec_digest}")
    click.echo(f"  {verdict_of(foreseen).text}")
    for step in steps_of(foreseen):
        click.echo(f"  - {step}")
    if foreseen.published:
        click.echo(f"  published already: {counted(len(foreseen.published), 'track')}")
    for line in track_lines(foreseen):
        click.echo(f"  {line}")
