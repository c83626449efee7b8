"""`reconciler job suspend|resume|cancel|retry`: what a person could write into the manifest, written for them.

Owns: which field each writes, and the check that the manifest then says so. Never: speaks to a daemon: it reads the
manifest, as it reads every edit.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

import click

from reconciler.cli.context import Context, state_options
from reconciler.cli.jobs import view_of
from reconciler.cli.render import shown
from reconciler.clock import SystemClock, rfc3339
from reconciler.errors import InvalidInputError, NotFoundError
from reconciler.manifests.edit import FieldPath, FieldValue, remove_field, set_field
from reconciler.manifests.files import read_file, rewrite
from reconciler.manifests.formats import FormatError, check_date_time, parse_duration_s
from reconciler.manifests.model import Manifest
from reconciler.manifests.read import read_manifest
from reconciler.state.records import JobRecord

SUSPEND: FieldPath = ("spec", "suspend")
DESIRED_STATE: FieldPath = ("spec", "desired_state")
REQUESTED_AT: FieldPath = ("reconcile_requested_at",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """One edit of a manifest."""

    change: Callable[[bytes], bytes]
    holds: Callable[[Manifest], bool]
    """Whether a manifest says what the edit is for."""
    said: str
    """What was written, for a person."""


@click.command(short_help="Let a job rest until it is resumed, or until a time.")
@click.argument("job_id")
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
    said = {"reason": reason, "until": _moment(until)}
    given = {name: text for name, text in said.items() if text}
    value: FieldValue = given or True

    def holds(manifest: Manifest) -> bool:
        rest = manifest.directives.suspend
        return rest is not None and (rest.reason, rest.until) == (said["reason"], said["until"])

    _edit(context, job_id, _setting(SUSPEND, value, holds))


@click.command(short_help="Let a suspended job go on.")
@click.argument("job_id")
@state_options
def resume(context: Context, job_id: str) -> None:
    """Take `suspend` out of the job's manifest, with what stands on its lines.

    \b
    Example:
      reconciler job resume 01HRQ4
    """
    edit = Edit(
        change=lambda data: remove_field(data, SUSPEND),
        holds=lambda manifest: manifest.directives.suspend is None,
        said="no spec.suspend",
    )
    _edit(context, job_id, edit)


@click.command(short_help="End a job for good; what is published stays.")
@click.argument("job_id")
@state_options
def cancel(context: Context, job_id: str) -> None:
    """Write `desired_state: cancelled` into the job's manifest: it is stopped and its manifest moves to jobs/completed.

    Published files stay. To want it again, take the line out and move the manifest back.

    \b
    Example:
      reconciler job cancel 01HRQ4
    """
    holds = _has("cancelled", lambda manifest: manifest.directives.desired_state)
    _edit(context, job_id, _setting(DESIRED_STATE, "cancelled", holds))


@click.command(short_help="Try a failed or stalled job again now.")
@click.argument("job_id")
@state_options
def retry(context: Context, job_id: str) -> None:
    """Write the time into `reconcile_requested_at` of the job's manifest: whoever sees a new text there tries again.

    That is an edit like any other, so it works from another machine, too. Attempts are counted from the beginning.

    \b
    Example:
      reconciler job retry 01HRQ4
    """
    asked_at = rfc3339(SystemClock().wall())
    holds = _has(asked_at, lambda manifest: manifest.reconcile_requested_at)
    _edit(context, job_id, _setting(REQUESTED_AT, asked_at, holds))


def _setting(path: FieldPath, value: FieldValue, holds: Callable[[Manifest], bool]) -> Edit:
    text = "true" if value is True else value if isinstance(value, str) else ", ".join(value.values())
    return Edit(change=lambda data: set_field(data, path, value), holds=holds, said=f"{'.'.join(path)}: {text}")


def _has(wanted: str, found: Callable[[Manifest], str]) -> Callable[[Manifest], bool]:
    return lambda manifest: found(manifest) == wanted


def _edit(context: Context, name: str, edit: Edit) -> None:
    """Change the manifest of a job, and read it again."""
    with context.database() as database:
        record = view_of(database, context.root, name).record
    path = context.root / record.path
    if path.parent != context.root / "jobs" / "active":
        raise InvalidInputError(
            f"job {record.job_id} has ended, and its manifest is {record.path}",
            hint="to want it again, move the manifest back to jobs/active",
        )
    changed = False

    def change(data: bytes) -> bytes:
        nonlocal changed
        _read(data, record)
        new = edit.change(data)
        _check(_read(new, record), record, edit)
        changed = new != data
        return new

    try:
        rewrite(path, change)
        if changed:
            # The daemon steps the time of a file by so little that a person's edit wins where Syncthing has to choose;
            # this edit is a person's.
            with suppress(OSError):
                os.utime(path)
        _check(_read(read_file(path).data, record), record, edit)
    except FileNotFoundError as error:
        raise NotFoundError(f"{path} is not there", hint="`reconciler status` says where each manifest is") from error
    _tell(context, record, edit, changed=changed)


def _check(manifest: Manifest, record: JobRecord, edit: Edit) -> None:
    if not edit.holds(manifest):
        raise InvalidInputError(f"{record.path} does not say `{edit.said}`", hint="write it by hand")


def _read(data: bytes, record: JobRecord) -> Manifest:
    """The manifest of this job; raises InvalidInputError where the file is another one, or has mistakes."""
    parsed = read_manifest(data)
    if parsed.manifest is None:
        raise InvalidInputError(f"{record.path}:{parsed.problems[0]}", hint=f"reconciler validate {record.path}")
    if parsed.manifest.job_id not in (None, record.job_id):
        raise NotFoundError(
            f"{record.path} is the manifest of job {parsed.manifest.job_id} now", hint="`reconciler status` lists them"
        )
    return parsed.manifest


def _tell(context: Context, record: JobRecord, edit: Edit, *, changed: bool) -> None:
    if context.as_json:
        context.print_json({"job_id": record.job_id, "path": record.path, "changed": changed, "says": edit.said})
    elif changed:
        click.echo(f"{record.path} says {shown(edit.said, 200)}; a running daemon acts on it within a second")
    else:
        click.echo(f"{record.path} says {shown(edit.said, 200)} already")


def _moment(text: str) -> str:
    """A time that was given as one, or as how long from now, as RFC 3339; raises InvalidInputError."""
    if not text:
        return ""
    now = SystemClock().wall()
    try:
        return rfc3339(now + parse_duration_s(text))
    except FormatError:
        pass
    try:
        check_date_time(text)
    except FormatError as error:
        raise InvalidInputError(
            f"--until: {text!r} {error.message}", hint="write 2026-12-01T00:00:00Z, or 3d"
        ) from None
    if datetime.fromisoformat(text.upper()).timestamp() <= now:
        raise InvalidInputError(f"--until: {text} is over", hint="write a time that is still to come, or 3d")
    return text
