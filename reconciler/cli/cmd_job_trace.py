"""`reconciler job trace`: the story of one job.

Owns: which of its forms is printed. Never: asks a daemon; it reads the database beside one (traces.reading).
"""

from pathlib import Path

import click

from reconciler.cli import render_timeline, trace_page
from reconciler.cli.context import Context, state_options
from reconciler.cli.finishing import job_ids
from reconciler.cli.render_trace import format_summary
from reconciler.errors import DiskError, InvalidInputError
from reconciler.ids import JobId
from reconciler.reconcile.job_view import view_of
from reconciler.traces.reading import TraceReader
from reconciler.traces.session_log import line_of
from reconciler.traces.story import Story
from reconciler.traces.summary import summarise
from reconciler.traces.timeline import timeline_of

# Columns of a timeline as JSON: for programs, which know no width.
_JSON_COLUMNS = 100

# The whole width where nobody knows how wide it will be shown.
_PIPED_COLUMNS = 100


@click.command(short_help="Tell who gave what, how fast, and what went wrong.")
@click.argument("job_id", shell_complete=job_ids)
@click.option("--events", is_flag=True, help="Every event, one line each: timestamp|type|action|peer|bytes|error.")
@click.option("--timeline", is_flag=True, help="A lane for each peer over time, the throughput, and what was decided.")
@click.option(
    "--html",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Draw all of it in FILE: one page that needs nothing else.",
)
@state_options
def trace(context: Context, job_id: str, *, events: bool, timeline: bool, html: Path | None) -> None:
    """Tell the story of a job: who gave what, how fast, and what went wrong.

    JOB_ID may be shortened to what makes it unique. Times are the job's own: they stand still while it does not run.

    \b
    Examples:
      reconciler job trace 01HRQ4
      reconciler job trace 01HRQ4 --events | grep ChunkFailed
      reconciler job trace 01HRQ4 --timeline
      reconciler job trace 01HRQ4 --html session.html
    """
    if events + timeline + (html is not None) > 1:
        raise InvalidInputError("--events, --timeline and --html are three forms of one thing", hint="choose one")
    with context.database() as database:
        reader = TraceReader(database)
        found = view_of(database, context.root, job_id).record.job_id
        story = reader.story(found)
        if events:
            _print_events(context, reader, found)
    if timeline:
        _print_timeline(context, story)
    elif html is not None:
        _draw(context, html, story)
    elif context.as_json and not events:
        context.print_json(summarise(story).to_json())
    elif not events:
        click.echo(format_summary(summarise(story)))


def _print_events(context: Context, reader: TraceReader, job_id: JobId) -> None:
    told = reader.events(job_id)
    if context.as_json:
        context.print_json([event.to_json() for event in told])
        return
    for event in told:
        click.echo(line_of(event), nl=False)


def _print_timeline(context: Context, story: Story) -> None:
    if context.as_json:
        lanes_max = trace_page.LANES_MAX
        context.print_json(timeline_of(story, columns=_JSON_COLUMNS, lanes_max=lanes_max).to_json())
        return
    width = context.console.width if context.console.is_terminal else _PIPED_COLUMNS
    columns = render_timeline.columns_in(width)
    drawn = timeline_of(story, columns=columns, lanes_max=render_timeline.LANES_MAX)
    context.console.print(render_timeline.timeline_text(drawn), soft_wrap=True)


def _draw(context: Context, path: Path, story: Story) -> None:
    drawn = timeline_of(story, columns=trace_page.COLUMNS, lanes_max=trace_page.LANES_MAX)
    try:
        path.write_text(trace_page.page_of(summarise(story), drawn), encoding="utf-8")
    except OSError as error:
        raise DiskError(
            f"could not write {path}: {error.strerror}", hint="name a file in a folder that exists"
        ) from error
    if context.as_json:
        context.print_json({"html": str(path)})
    else:
        click.echo(f"The session is drawn in {path}.")
