"""`reconciler job ...`: one job, looked at closely.

Owns: `show`, and the group; the others have files of their own. Never: asks a daemon; it reads files and
database beside one.
"""

import click

from reconciler.cli.cmd_job_carry import export_, import_
from reconciler.cli.cmd_job_edit import cancel, resume, retry, suspend
from reconciler.cli.cmd_job_explain import explain
from reconciler.cli.cmd_job_new import new
from reconciler.cli.cmd_job_trace import trace
from reconciler.cli.context import Context, state_options
from reconciler.cli.finishing import job_ids
from reconciler.cli.groups import GuessingGroup
from reconciler.cli.render import megabytes, shown
from reconciler.clock import rfc3339
from reconciler.reconcile.job_view import JobView, view_of


@click.group(
    cls=GuessingGroup, short_help="One job: new, import, export, show, explain, trace, suspend, resume, cancel, retry."
)
def job() -> None:
    """Look at one job, edit its manifest, write a new one, or carry some from one machine to another.

    JOB_ID may always be shortened to what makes it unique.
    """


@click.command(short_help="Show what is known of a job: tracks, files, conditions.")
@click.argument("job_id", shell_complete=job_ids)
@state_options
def show(context: Context, job_id: str) -> None:
    """Show what is known of a job: its tracks, where their files are, its conditions.

    JOB_ID may be shortened to what makes it unique.

    \b
    Example:
      reconciler job show 01HRQ4
    """
    with context.database() as database:
        view = view_of(database, context.root, job_id)
    if context.as_json:
        context.print_json(view.as_json())
        return
    for line in _lines(view):
        click.echo(line)


def _lines(view: JobView) -> list[str]:
    record = view.record
    lines = [
        f"Job:        {record.job_id}",
        f"Manifest:   {shown(record.path, 200)}",
        f"State:      {record.state.value}",
        f"Tracks:     {view.tracks_text}",
        f"Received:   {megabytes(view.bytes_received)}",
    ]
    if record.started_at is not None:
        lines.append(f"Started:    {rfc3339(record.started_at)}")
    if record.completed_at is not None:
        lines.append(f"Completed:  {rfc3339(record.completed_at)}")
    if view.next_text:
        lines.append(f"Waiting:    {shown(view.next_text, 400)}")
    if view.artifacts:
        lines += ["", "Files:"]
        lines += [
            f"  {each.position:>3}  {megabytes(each.size):>9}  {shown(each.path, 400)}" for each in view.artifacts
        ]
    if record.conditions:
        lines += ["", "Conditions:"]
        lines += [
            f"  {c.type}={c.status} {c.reason} since {c.last_transition_time}{_said(c.message)}"
            for c in record.conditions
        ]
    return lines


def _said(message: str) -> str:
    return f": {shown(message, 400)}" if message else ""


for command in (new, import_, export_, show, explain, trace, suspend, resume, cancel, retry):
    job.add_command(command)
