"""`reconciler status`: every job in one table.

Owns: the table. Never: asks a daemon; it reads files and database beside one.
"""

import click
from rich.table import Table

from reconciler.cli.context import Context, state_options
from reconciler.cli.render import megabytes, shown
from reconciler.clock import rfc3339
from reconciler.reconcile.job_view import JobView, views_of
from reconciler.state.sightings import SightingStore


@click.command(short_help="Show every job in one table.")
@state_options
def status(context: Context) -> None:
    """Show every job: state, tracks, bytes, and what stands in its way.

    \b
    Examples:
      reconciler status --root ~/music
      reconciler status --json | jq '.[] | select(.state == "failed")'
    """
    with context.database() as database:
        views = views_of(database, context.root)
        holds = SightingStore(database).holds()
    for hold in holds:
        # Beside the table, so that a script which reads it gets rows alone.
        click.echo(f"on hold since {rfc3339(hold.since)}: {hold.reason}: {shown(hold.message, 400)}", err=True)
    if context.as_json:
        context.print_json([view.as_json() for view in views])
        return
    if not views:
        click.echo(f"no job yet; put a manifest into {context.root / 'jobs' / 'active'}")
        return
    context.console.print(_table(views))


def _table(views: list[JobView]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("JOB", "STATE", "TRACKS", "RECEIVED", "FILE", "NEXT"):
        table.add_column(heading, justify="right" if heading in ("TRACKS", "RECEIVED") else "left")
    for view in views:
        table.add_row(
            view.record.job_id,
            view.record.state.value,
            view.tracks_text,
            megabytes(view.bytes_received),
            shown(view.record.path, 48),
            shown(view.next_text, 60),
        )
    return table
