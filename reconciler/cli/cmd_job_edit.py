"""`reconciler job suspend|resume|cancel|retry`: what a person could write into the manifest, written for them.

Owns: these commands and what they say. Never: words an edit (reconcile.steering). A running daemon is asked to write,
and acts at once; without one the manifest is written here, and read as every edit is.
"""

from collections.abc import Mapping
from pathlib import Path

import click

from reconciler.cli.cmd_job_carry import resume_from
from reconciler.cli.context import Context, state_options
from reconciler.cli.daemon_link import daemon_of
from reconciler.cli.finishing import job_ids
from reconciler.cli.render import shown
from reconciler.clock import SystemClock
from reconciler.errors import InvalidInputError
from reconciler.reconcile.job_view import view_of
from reconciler.reconcile.steering import Edit, cancelling, moment_of, resuming, retrying, steer, suspending
from reconciler.state.records import JobRecord


@click.command(short_help="Let a job rest until it is resumed, or until a time.")
@click.argument("job_id", shell_complete=job_ids)
@click.option("--reason", metavar="TEXT", default="", help="Why; shown wherever the job is.")
@click.option("--until", metavar="TIME", default="", help="2026-12-01T00:00:00Z, or how long from now: 90m, 12h, 3d.")
@state_options
def suspend(context: Context, job_id: str, *, reason: str, until: str) -> None:
    """Write `suspend` into the job's manifest: nothing of it is started, and what runs is stopped; files stay.

    Only that line is written; the rest of the file stays as it is, byte for byte. What is written in a way that leaves
    no exact place for it is refused, with what to write by hand.

    \b
    Examples:
      reconciler job suspend 01HRQ4 --reason "the disk is full" --until 3d
      reconciler job suspend 01HRQ4
    """
    until = moment_of(until, now_unix_s=SystemClock().wall(), what="--until")
    said = {"reason": reason, "until": until}
    _edit(context, job_id, "suspend", suspending(reason=reason, until=until), said=said)


@click.command(short_help="Let a suspended job go on; or go on here with the jobs of a folder.")
@click.argument("job_id", required=False, shell_complete=job_ids)
@click.option(
    "--from",
    "folder",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Instead of JOB_ID: exported manifests, or a whole root folder.",
)
@state_options
def resume(context: Context, job_id: str | None, *, folder: Path | None) -> None:
    """Let jobs go on. With JOB_ID: take `suspend` out of that job's manifest, with what stands on its lines.

    With --from FOLDER: take in the manifests in it, or in its jobs/active where it is a root folder (another machine's,
    a back-up), as `job import --directory` does. What a status says there is not believed: files that are in the
    library are verified and kept, only what is missing is fetched. A job that was suspended there stays so here.

    \b
    Examples:
      reconciler job resume 01HRQ4
      reconciler job resume --from /mnt/backup/music
      reconciler job resume --from jobs/exported
    """
    if (job_id is None) == (folder is None):
        what = "nothing says what is to go on" if folder is None else "a JOB_ID and --from are both given"
        raise InvalidInputError(what, hint="give a JOB_ID, or --from FOLDER")
    if folder is not None:
        resume_from(context, folder)
    else:
        _edit(context, job_id or "", "resume", resuming())


@click.command(short_help="End a job for good; what is published stays.")
@click.argument("job_id", shell_complete=job_ids)
@state_options
def cancel(context: Context, job_id: str) -> None:
    """Write `desired_state: cancelled` into the job's manifest: it is stopped and its manifest moves to jobs/completed.

    Published files stay. To want it again, take the line out and move the manifest back.

    \b
    Example:
      reconciler job cancel 01HRQ4
    """
    _edit(context, job_id, "cancel", cancelling())


@click.command(short_help="Try a failed or stalled job again now.")
@click.argument("job_id", shell_complete=job_ids)
@state_options
def retry(context: Context, job_id: str) -> None:
    """Write the time into `reconcile_requested_at` of the job's manifest: whoever sees a new text there tries again.

    That is an edit like any other, so it works from another machine, too. Attempts are counted from the beginning.

    \b
    Example:
      reconciler job retry 01HRQ4
    """
    _edit(context, job_id, "retry", retrying(now_unix_s=SystemClock().wall()))


def _edit(context: Context, name: str, verb: str, edit: Edit, *, said: Mapping[str, str] | None = None) -> None:
    """Have the manifest of a job changed; `verb` and `said` are what the daemon is asked, where one runs."""
    with context.database() as database:
        record = view_of(database, context.root, name).record
    daemon = daemon_of(context.state)
    answer = None if daemon is None else daemon.ask("POST", f"/api/jobs/{record.job_id}/{verb}", said)
    if answer is not None:
        _tell(context, record, str(answer.get("says", "")), changed=bool(answer.get("changed")))
    else:
        _tell(context, record, edit.said, changed=steer(context.root, record, edit))


def _tell(context: Context, record: JobRecord, says: str, *, changed: bool) -> None:
    if context.as_json:
        context.print_json({"job_id": record.job_id, "path": record.path, "changed": changed, "says": says})
    elif changed:
        click.echo(f"{record.path} says {shown(says, 200)}; a running daemon acts on it within a second")
    else:
        click.echo(f"{record.path} says {shown(says, 200)} already")
