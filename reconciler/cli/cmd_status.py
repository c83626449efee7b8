"""`reconciler status`: every job in one table.

Owns: the table. Never: needs a daemon: files and database say how each job stands, and a running daemon how far those
are that it fetches.
"""

from collections.abc import Mapping
from typing import Any

import click
from rich.table import Table

from reconciler.cli.context import Context, state_options
from reconciler.cli.daemon_link import daemon_of
from reconciler.cli.render import megabytes, rate, shown
from reconciler.cli.session_view import SessionView, session_of
from reconciler.clock import SystemClock, rfc3339
from reconciler.reconcile.job_view import JobView, views_of
from reconciler.state.sightings import SightingStore

# A reason, and behind it when it is tried again.
_NEXT_WIDTH = 120


@click.command(short_help="Show every job in one table.")
@click.option("--soulseek", is_flag=True, help="Show how the Soulseek session stands, and nothing else.")
@state_options
def status(context: Context, *, soulseek: bool) -> None:
    """Show every job: state, tracks, bytes, and what stands in its way.

    \b
    Examples:
      reconciler status --root ~/music
      reconciler status --json | jq '.[] | select(.state == "failed")'
      reconciler status --soulseek --json | jq .retry_in_s
    """
    with context.database() as database:
        session = session_of(database, context.state, now=SystemClock().wall())
        if soulseek:
            _tell_session(context, session)
            return
        views = views_of(database, context.root)
        holds = SightingStore(database).holds()
    progress = _progress(context) if views else {}
    for hold in holds:
        # Beside the table, so that a script which reads it gets rows alone.
        click.echo(f"on hold since {rfc3339(hold.since)}: {hold.reason}: {shown(hold.message, 400)}", err=True)
    if session is not None:
        click.echo(f"soulseek is {session.text}", err=True)
    if context.as_json:
        context.print_json([{**view.as_json(), "progress": progress.get(view.record.job_id)} for view in views])
        return
    if not views:
        click.echo(f"no job yet; put a manifest into {context.root / 'jobs' / 'active'}")
        return
    context.console.print(_table(views, progress))


def _tell_session(context: Context, session: SessionView | None) -> None:
    if context.as_json:
        context.print_json(None if session is None else session.as_json())
    elif session is None:
        click.echo("no daemon has taken part in Soulseek; soulseek.enabled in reconciler.yml is off")
    else:
        click.echo(f"soulseek is {session.text}")


def _progress(context: Context) -> dict[str, dict[str, Any]]:
    """How far each job is that is being fetched, as the running daemon says; nothing where none runs."""
    daemon = daemon_of(context.state)
    page = None if daemon is None else daemon.ask("GET", "/api/jobs?state=running&limit=500")
    found = page.get("jobs", []) if page is not None else []
    return {str(job["job_id"]): job["progress"] for job in found if job.get("progress")}


def _received(view: JobView, progress: dict[str, Any] | None) -> str:
    if progress is None:
        return megabytes(view.bytes_received)
    speed = rate(float(progress["throughput_bytes_per_s"]))
    return f"{megabytes(progress['bytes_done'])} of {megabytes(progress['bytes_total'])}{speed and f', {speed}'}"


def _table(views: list[JobView], progress: Mapping[str, dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("JOB", "STATE", "TRACKS", "RECEIVED", "FILE", "NEXT"):
        table.add_column(heading, justify="right" if heading in ("TRACKS", "RECEIVED") else "left")
    for view in views:
        table.add_row(
            view.record.job_id,
            view.record.state.value,
            view.tracks_text,
            _received(view, progress.get(view.record.job_id)),
            shown(view.record.path, 48),
            shown(view.next_text, _NEXT_WIDTH),
        )
    return table
