"""What a person wants of a job, written into its manifest for them: rest, go on, end, try again.

Owns: which field each of these writes, and the check that the manifest then says so. Never: tells a daemon: it reads
the manifest, as it reads every edit.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from reconciler.clock import rfc3339
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

# With its id it would be the job that is done, whatever has become of its files: people move them on.
WANT_AGAIN = (
    "to want it again, move the manifest back to jobs/active without its job_id (and desired_state): what is there is "
    "verified, and the rest fetched"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """One edit of a manifest."""

    change: Callable[[bytes], bytes]
    holds: Callable[[Manifest], bool]
    """Whether a manifest says what the edit is for."""
    said: str
    """What is written, for a person."""


def suspending(*, reason: str, until: str) -> Edit:
    """Let the job rest; `until` is a time by RFC 3339, or empty for until it is resumed."""
    given = {name: text for name, text in (("reason", reason), ("until", until)) if text}

    def holds(manifest: Manifest) -> bool:
        rest = manifest.directives.suspend
        return rest is not None and (rest.reason, rest.until) == (reason, until)

    return _setting(SUSPEND, given or True, holds)


def resuming() -> Edit:
    """Let a job that rests go on."""
    return Edit(
        change=lambda data: remove_field(data, SUSPEND),
        holds=lambda manifest: manifest.directives.suspend is None,
        said="no spec.suspend",
    )


def cancelling() -> Edit:
    """End the job for good."""
    return _setting(DESIRED_STATE, "cancelled", lambda manifest: manifest.directives.desired_state == "cancelled")


def retrying(*, now_unix_s: float) -> Edit:
    """Try again now, with attempts counted from the beginning."""
    asked_at = rfc3339(now_unix_s)
    return _setting(REQUESTED_AT, asked_at, lambda manifest: manifest.reconcile_requested_at == asked_at)


def steer(root: Path, record: JobRecord, edit: Edit) -> bool:
    """Change the manifest of a job, and read it again; False where it said so already. Blocking.

    Raises InvalidInputError for a job that has ended or a manifest with mistakes, NotFoundError where the file is gone
    or is another job's, EditRefusedError, FileBusyError, DiskError.
    """
    path = root / record.path
    if path.parent != root / "jobs" / "active":
        raise InvalidInputError(
            f"job {record.job_id} has ended, and its manifest is {record.path}",
            hint=WANT_AGAIN,
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
    return changed


def moment_of(text: str, *, now_unix_s: float, what: str) -> str:
    """A time that was given as one, or as how long from now, as RFC 3339; empty stays so.

    Raises InvalidInputError that begins with `what`.
    """
    if not text:
        return ""
    try:
        return rfc3339(now_unix_s + parse_duration_s(text))
    except (FormatError, OverflowError, ValueError):
        pass
    try:
        check_date_time(text)
    except FormatError as error:
        raise InvalidInputError(f"{what}: {text!r} {error.message}", hint="write 2026-12-01T00:00:00Z, or 3d") from None
    if datetime.fromisoformat(text.upper()).timestamp() <= now_unix_s:
        raise InvalidInputError(f"{what}: {text} is over", hint="write a time that is still to come, or 3d")
    return text


def _setting(path: FieldPath, value: FieldValue, holds: Callable[[Manifest], bool]) -> Edit:
    text = "true" if value is True else value if isinstance(value, str) else ", ".join(value.values())
    return Edit(change=lambda data: set_field(data, path, value), holds=holds, said=f"{'.'.join(path)}: {text}")


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
