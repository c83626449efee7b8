"""`reconciler run`: the daemon in the foreground, for a terminal, a unit file or a script.

Owns: starting it, and showing how far it is. Never: what it does (reconciler.daemon).
"""

import asyncio
import contextlib
import sys
from collections.abc import Iterator
from dataclasses import asdict

import click

from reconciler.cli.context import Context, state_options
from reconciler.cli.daemon_link import daemon_of
from reconciler.cli.live import watching
from reconciler.daemon import Daemon, Places, opened
from reconciler.errors import NotFoundError, OtherInstanceError
from reconciler.reconcile.finalise import RunResult


@click.command(short_help="Make every manifest so, and keep doing it (--once: then stop).")
@click.option(
    "--once", is_flag=True, help="Stop when nothing more can be done now; exit code 3 if a job is not completed."
)
@state_options
def run(context: Context, *, once: bool) -> None:
    """Make every manifest in jobs/active so, and keep doing it.

    Manifests are watched: a new, changed or removed file is acted on within a second. SIGTERM or Ctrl-C stops in order;
    what is on disk is kept and fetched no second time.

    \b
    Examples:
      reconciler run --root ~/music
      reconciler run --once && echo everything is there
    """
    if not (context.root / "jobs" / "active").is_dir():
        raise NotFoundError(
            f"{context.root / 'jobs' / 'active'} is not there",
            hint=f"make it with `reconciler init --root {context.root}`",
        )
    settings = context.settings()
    with _alone(context), opened(Places(root=context.root, state=context.state), settings) as daemon:
        result = asyncio.run(_run(daemon, once=once, show=sys.stderr.isatty() and not context.as_json))
    _report(context, result)
    if once:
        raise click.exceptions.Exit(result.exit_code)


@contextlib.contextmanager
def _alone(context: Context) -> Iterator[None]:
    """Say of a daemon that works here already where it can be asked."""
    try:
        yield
    except OtherInstanceError as error:
        daemon = daemon_of(context.state)
        if daemon is None:
            raise
        hint = f"ask it: `reconciler status --root {context.root}`, or {daemon.url}/api/jobs; or stop it first"
        raise OtherInstanceError(error.message, hint=hint) from error


async def _run(daemon: Daemon, *, once: bool, show: bool) -> RunResult:
    if not show:
        return await daemon.run(once=once)
    async with watching(daemon):
        return await daemon.run(once=once)


def _report(context: Context, result: RunResult) -> None:
    if context.as_json:
        context.print_json([asdict(job) for job in result.jobs])
        return
    for job in result.jobs:
        line = f"{job.state.value:<10} {job.path}"
        click.echo(f"{line}: {job.message}" if job.message else line)
