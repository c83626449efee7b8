"""What the database holds of jobs, as values, and the check of each row that is read.

Owns: JobRecord, Artifact and Delivery, to a row and back. Never: queries (state.jobs).

A file whose structure is whole may still hold changed bytes: SQLite has no checksums. So each row is judged before it
steers anything; one that cannot have been written raises ValueError, TypeError or KeyError, saying why.
"""

import json
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from reconciler.ids import JobId, Mbid, Root, Sha256, TrackPosition, is_job_id, is_mbid, is_root
from reconciler.manifests.model import Condition, ConditionType, JobState, JobType

Row = tuple[Any, ...]
"""A row as SQLite gives it, columns in the order of the table."""

_CONDITION_TYPES = frozenset(get_args(ConditionType))
_CONDITION_STATUSES = frozenset({"True", "False", "Unknown"})
_DELIVERY_STATES = frozenset({"waiting", "delivered", "given up"})
_CONDITION_FIELDS = ("type", "status", "reason", "message", "last_transition_time")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecord:
    """What the daemon knows of a job besides its manifest. Times are seconds since 1970-01-01 UTC."""

    job_id: JobId
    path: str
    """The manifest, relative to the root folder."""
    job_type: JobType
    spec_digest: str
    generation: int = 1
    """Counts the different specs seen under this id."""
    generation_since: float = 0.0
    """When this generation was first seen."""
    state: JobState = JobState.PENDING
    attempts: int = 0
    """Of this generation."""
    retry_at: float | None = None
    started_at: float | None = None
    completed_at: float | None = None
    error_message: str = ""
    conditions: tuple[Condition, ...] = ()
    last_handled_reconcile_at: str = ""
    """The last `reconcile_requested_at` of its manifest that was answered."""
    ran_s: float = 0.0
    """Seconds in the engine in this generation, up to `running_since`: what its timeout counts."""
    running_since: float | None = None
    """Since when that time runs on; None = the engine does not have it."""
    gone_at: float | None = None
    """When its manifest was given up as gone; None = it is in its file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A file that was published for a track of a job: the fact `completed`."""

    job_id: JobId
    generation: int
    position: TrackPosition
    path: str
    """Absolute, as published."""
    size: int
    root: Root | None = None
    sha256: Sha256
    """Empty for a large file that its root names alone."""
    recording: Mbid | None = None
    variant_id: str
    completed_at: float
    """Seconds since 1970-01-01 UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownChild:
    """A manifest that a job has written and owns, and what became of its job."""

    job_id: JobId
    release: Mbid
    """That was last written."""
    written: str
    """Digest of the manifest as it was last written."""
    wanted: bool
    """False = it was cancelled because its owner did not want it any more."""
    state: JobState | None
    """None = its manifest was not seen yet."""
    path: str
    """Where its manifest was last seen, relative to the root folder; empty = nowhere yet."""
    gone: bool
    """Whether its manifest was given up as gone."""
    tried_again: bool
    """Of one that failed: whether it is tried again by itself."""


DeliveryState = Literal["waiting", "delivered", "given up"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One hook, to be told of one end of one job."""

    delivery_id: str
    """A ULID: the same at each try, so that who is told twice can know."""
    hook: str
    event: str
    job_id: JobId
    body: str
    """JSON."""
    next_at: float
    """Unix seconds of the next try; of one that is over, of its end."""
    state: DeliveryState = "waiting"
    tries: int = 0
    result: str = ""
    """How the last try went; may hold what a program printed."""


def row_of_job(record: JobRecord) -> Row:
    """The row of table `jobs`."""
    conditions = [{name: getattr(condition, name) for name in _CONDITION_FIELDS} for condition in record.conditions]
    return (
        record.job_id,
        record.path,
        record.job_type,
        record.spec_digest,
        record.generation,
        record.generation_since,
        record.state,
        record.attempts,
        record.retry_at,
        record.started_at,
        record.completed_at,
        record.error_message,
        json.dumps(conditions),
        record.last_handled_reconcile_at,
        record.ran_s,
        record.running_since,
        record.gone_at,
    )


def job_of_row(row: Row) -> JobRecord:
    """The record behind a row of table `jobs`, checked."""
    if not is_job_id(row[0]):
        raise ValueError("the id is neither ULID nor UUID")
    return JobRecord(
        job_id=JobId(row[0]),
        path=_text(row[1]),
        job_type=JobType(row[2]),
        spec_digest=_text(row[3]),
        generation=int(row[4]),
        generation_since=float(row[5]),
        state=JobState(row[6]),
        attempts=int(row[7]),
        retry_at=_seconds(row[8]),
        started_at=_seconds(row[9]),
        completed_at=_seconds(row[10]),
        error_message=_text(row[11]),
        conditions=tuple(_condition(found) for found in json.loads(_text(row[12]))),
        last_handled_reconcile_at=_text(row[13]),
        ran_s=float(row[14]),
        running_since=_seconds(row[15]),
        gone_at=_seconds(row[16]),
    )


def row_of_artifact(artifact: Artifact) -> Row:
    """The row of table `artifacts`."""
    return (
        artifact.job_id,
        artifact.generation,
        artifact.position,
        artifact.path,
        artifact.size,
        artifact.root,
        artifact.sha256,
        artifact.recording,
        artifact.variant_id,
        artifact.completed_at,
    )


def child_of_row(row: Row) -> KnownChild:
    """The child behind a row, checked."""
    if not is_job_id(row[0]) or not is_mbid(row[1]):
        raise ValueError(f"{row[0]!r} of release {row[1]!r} is no job")
    return KnownChild(
        job_id=JobId(row[0]),
        release=Mbid(row[1]),
        written=_text(row[2]),
        wanted=bool(row[3]),
        state=None if row[4] is None else JobState(row[4]),
        path=_text(row[5]),
        gone=bool(row[6]),
        tried_again=bool(row[7]),
    )


def artifact_of_row(row: Row) -> Artifact:
    """The artifact behind a row of table `artifacts`, checked."""
    job_id, generation, position, path, size, root, sha256, recording, variant_id, completed_at = row
    if not _text(path).startswith("/") or not (is_root(sha256) or (sha256 == "" and root)):
        raise ValueError("the path or the SHA-256 has the wrong form")
    if (root is not None and not is_root(root)) or (recording is not None and not is_mbid(recording)):
        raise ValueError("the root or the recording has the wrong form")
    return Artifact(
        job_id=JobId(job_id),
        generation=int(generation),
        position=TrackPosition(int(position)),
        path=path,
        size=int(size),
        root=None if root is None else Root(root),
        sha256=Sha256(sha256),
        recording=None if recording is None else Mbid(recording),
        variant_id=_text(variant_id),
        completed_at=float(completed_at),
    )


def delivery_of_row(row: Row) -> Delivery:
    """The delivery behind a row of table `hook_deliveries`, checked."""
    delivery_id, hook, event, job_id, body, state, tries, next_at, result = row
    if not is_job_id(job_id) or state not in _DELIVERY_STATES:
        raise ValueError(f"there is no delivery {state!r} for {job_id!r}")
    return Delivery(
        delivery_id=_text(delivery_id),
        hook=_text(hook),
        event=_text(event),
        job_id=JobId(job_id),
        body=_text(body),
        state=state,
        tries=int(tries),
        next_at=float(next_at),
        result=_text(result),
    )


def _condition(found: dict[str, str]) -> Condition:
    values = {name: _text(found[name]) for name in _CONDITION_FIELDS}
    if values["type"] not in _CONDITION_TYPES or values["status"] not in _CONDITION_STATUSES:
        raise ValueError(f"there is no condition {values['type']!r} with status {values['status']!r}")
    return Condition(**cast("Any", values))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value


def _seconds(value: float | None) -> float | None:
    return None if value is None else float(value)
