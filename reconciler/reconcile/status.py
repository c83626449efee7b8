"""What the `status:` block of a manifest should say, and whether that is worth a write now.

Owns: the block's contents and the rules of when it is written. Never: writes (reconcile.finalise).

A write into a person's file costs them: an editor asks whether to reload, git shows a change, Syncthing has to agree
with the other machines (measured: written every second it starves the file's own edits). So only a transition of the
job or of a track is written, at most once in the interval, and counters of bytes go along with it. While an editor has
the file open, tracks wait as well.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace

from reconciler.clock import rfc3339
from reconciler.engine.order import JobProgress, TrackProgress
from reconciler.ids import TrackPosition
from reconciler.manifests.model import JobState, Status
from reconciler.reconcile.orders import Plan, renamed_of
from reconciler.state.records import Artifact, JobRecord

ENDED = frozenset({JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A status that a file was given."""

    status: Status
    at_s: float
    """On the monotonic clock."""


def status_of(
    record: JobRecord, *, plan: Plan | None, artifacts: Collection[Artifact], progress: JobProgress | None
) -> Status:
    """Describe a job as its record, its published files and (while it runs) the engine have it.

    Without a plan (a file that cannot be read just now) the tracks are those that the engine and the record know.
    """
    sizes = {artifact.position: artifact.size for artifact in artifacts}
    running = record.state is JobState.RUNNING
    fetched = {track.position: track for track in progress.tracks if track.position not in sizes} if progress else {}
    live = fetched if running else {}
    known = plan.positions if plan is not None else tuple(sorted({*sizes, *fetched}))
    missing = [position for position in known if position not in sizes]
    return Status(
        state=record.state,
        started_at=_moment(record.started_at),
        completed_at=_moment(record.completed_at),
        completed_tracks=tuple(position for position in known if position in sizes),
        in_progress_tracks=tuple(position for position in missing if _is_in_progress(live.get(position))),
        pending_tracks=tuple(p for p in missing if _is_pending(live.get(p)) and record.state is not JobState.FAILED),
        failed_tracks=tuple(p for p in missing if _is_failed(live.get(p)) or record.state is JobState.FAILED),
        renamed=renamed_of(plan, artifacts) if plan is not None else (),
        bytes_total=sum(sizes.values()) + _bytes_wanted(plan, missing, live),
        bytes_done=sum(sizes.values()) + sum(track.bytes_done for track in live.values()),
        error_message=record.error_message,
        observed_generation=record.generation,
        observed_spec_digest=record.spec_digest,
        retry_attempts=record.attempts,
        retry_next_at=_moment(record.retry_at),
        conditions=record.conditions,
    )


def write_delay_s(wanted: Status, written: Written | None, *, now_s: float, interval_s: float) -> float | None:
    """Seconds until `wanted` is due in its file: 0.0 = now, None = the file need not change."""
    if written is None:
        return 0.0
    if _transitions(wanted) == _transitions(written.status):
        return None
    if wanted.state in ENDED and wanted.state is not written.status.state:
        return 0.0
    return max(0.0, written.at_s + interval_s - now_s)


def is_turn(wanted: Status, written: Status | None) -> bool:
    """Whether the job itself has come to something else, and not only tracks of it: worth an editor's question."""
    return written is None or _turn(wanted) != _turn(written)


def _turn(status: Status) -> tuple[object, ...]:
    return status.state, tuple((condition.type, condition.status, condition.reason) for condition in status.conditions)


def _transitions(status: Status) -> Status:
    return replace(status, bytes_done=0, bytes_total=0)


def _bytes_wanted(plan: Plan | None, missing: list[TrackPosition], live: dict[TrackPosition, TrackProgress]) -> int:
    """Bytes of the tracks to come, as far as the engine or the manifest knows their size."""
    stated = {track.want.position: track.want.size or 0 for track in plan.tracks} if plan is not None else {}
    return sum(
        (live[position].bytes_total if position in live else 0) or stated.get(position, 0) for position in missing
    )


def _is_in_progress(track: TrackProgress | None) -> bool:
    # A track that the engine calls completed and that has no artifact yet is being recorded this moment.
    return track is not None and track.phase not in ("pending", "failed")


def _is_pending(track: TrackProgress | None) -> bool:
    return track is None or track.phase == "pending"


def _is_failed(track: TrackProgress | None) -> bool:
    return track is not None and track.phase == "failed"


def _moment(unix_s: float | None) -> str:
    return rfc3339(unix_s) if unix_s is not None else ""
