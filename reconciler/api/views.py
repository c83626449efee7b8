"""What the API answers, as values from which its OpenAPI document is made.

Owns: the fields of each answer, and what they mean. Never: gathers them.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from reconciler.clock import rfc3339
from reconciler.engine.order import JobProgress
from reconciler.engine.reputation import (
    error_rate,
    is_banned,
    name_of,
    source_of,
    throughput_bytes_per_s,
    timeout_rate,
)
from reconciler.manifests.model import JobState, JobType
from reconciler.reconcile.intake import Outcome
from reconciler.reconcile.job_view import JobView as Known
from reconciler.state.records import JobRecord
from reconciler.state.reputations import Reputation
from reconciler.traces.session_log import escape

# So that the text below each field stands in the OpenAPI document.
_DESCRIBED = {"use_attribute_docstrings": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackProgressView:
    """How far one track is."""

    __pydantic_config__: ClassVar = _DESCRIBED
    position: int
    title: str
    phase: str
    bytes_done: int
    bytes_total: int
    """0 until it is known which file is fetched."""
    rescued: bool
    """Whether its origin is behind and the overlay helps."""
    shares: str
    """Whose transfer brings its bytes; empty = its own."""
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerProgressView:
    """What one peer has given to a job. Its name is its own: control characters and the like are escaped."""

    __pydantic_config__: ClassVar = _DESCRIBED
    name: str
    source: str
    bytes_received: int
    throughput_bytes_per_s: float
    chunks_refused: int
    banned: bool
    in_line: bool
    """Whether it lets us wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressView:
    """How far a job is that is being fetched."""

    __pydantic_config__: ClassVar = _DESCRIBED
    bytes_done: int
    bytes_total: int
    """Of the tracks whose size is known."""
    throughput_bytes_per_s: float
    held: str
    """What of our own disk stands in the way; empty = nothing."""
    tracks: list[TrackProgressView]
    peers: list[PeerProgressView]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSummaryView:
    """A job in a list."""

    __pydantic_config__: ClassVar = _DESCRIBED
    job_id: str
    job_type: JobType
    path: str
    """Of the manifest, relative to the root folder."""
    state: JobState
    generation: int
    """Counts the different wishes seen under this id."""
    attempts: int
    started_at: str | None
    completed_at: str | None
    retry_at: str | None
    """When it is tried again by itself."""
    error: str
    progress: ProgressView | None
    """Null while it is not being fetched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPageView:
    """Some jobs, by id: the oldest ULID first."""

    __pydantic_config__: ClassVar = _DESCRIBED
    jobs: list[JobSummaryView]
    next: str | None
    """Give it as `after` for the next page; null = this was the last one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileView:
    """A published file."""

    __pydantic_config__: ClassVar = _DESCRIBED
    position: int
    path: str
    size: int
    sha256: str
    """Empty for a large file that its root names alone."""
    root: str | None
    """Its BEP 52 root."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionView:
    """One thing that is so, or is not."""

    __pydantic_config__: ClassVar = _DESCRIBED
    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str
    since: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildView:
    """A job that this one has written."""

    __pydantic_config__: ClassVar = _DESCRIBED
    job_id: str
    mb_release_id: str
    state: JobState
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """Everything that is known of a job."""

    __pydantic_config__: ClassVar = _DESCRIBED
    job_id: str
    job_type: JobType
    path: str
    """Of the manifest, relative to the root folder."""
    state: JobState
    generation: int
    attempts: int
    tracks_total: int | None
    """Null where the manifest cannot be read, or does not list them."""
    tracks_completed: list[int]
    """Their positions."""
    children: list[ChildView]
    bytes_received: int
    started_at: str | None
    completed_at: str | None
    retry_at: str | None
    error: str
    files: list[FileView]
    conditions: list[ConditionView]
    progress: ProgressView | None
    """Null while it is not being fetched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SteeredView:
    """What was written into a manifest. The daemon acts on it as on any edit: within a second."""

    __pydantic_config__: ClassVar = _DESCRIBED
    job_id: str
    path: str
    changed: bool
    """False = it said so already."""
    says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LookedAtView:
    """A job that is looked at now."""

    __pydantic_config__: ClassVar = _DESCRIBED
    job_id: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemView:
    """A mistake in a manifest."""

    __pydantic_config__: ClassVar = _DESCRIBED
    line: int
    """Of the body, from 1; 0 = it belongs to no line."""
    column: int
    pointer: str
    message: str
    hint: str
    severity: Literal["error", "warning"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenanceView:
    """What the status of a manifest says of the job where it came from; nothing here believes it."""

    __pydantic_config__: ClassVar = _DESCRIBED
    state: JobState
    node: str
    tracks_completed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeView:
    """What became of one manifest."""

    __pydantic_config__: ClassVar = _DESCRIBED
    source: str
    """Which one of the body."""
    result: Literal["imported", "unchanged", "refused"]
    """`unchanged`: it was here already; nothing was written."""
    job_id: str | None
    """That it has here."""
    path: str | None
    """Relative to the root folder."""
    offered_id: str | None
    """That it came with."""
    was: ProvenanceView | None
    problems: list[ProblemView]
    notes: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportView:
    """What became of a batch."""

    __pydantic_config__: ClassVar = _DESCRIBED
    imported: int
    unchanged: int
    refused: int
    outcomes: list[OutcomeView]
    """In the order of the body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerView:
    """What is known of a peer across jobs. Rates are of its answers, those of a week ago counting half."""

    __pydantic_config__: ClassVar = _DESCRIBED
    source: str
    name: str
    """Its own: control characters and the like are escaped."""
    last_seen: str
    throughput_bytes_per_s: float
    error_rate: float
    timeout_rate: float
    chunks_good: int
    chunks_refused: int
    banned: bool
    banned_until: str | None
    ban_reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PeersView:
    """Every known peer, the one heard of last first."""

    __pydantic_config__: ClassVar = _DESCRIBED
    peers: list[PeerView]


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthView:
    """That the daemon answers."""

    __pydantic_config__: ClassVar = _DESCRIBED
    status: Literal["ok"]
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyView:
    """Whether the daemon does its work."""

    __pydantic_config__: ClassVar = _DESCRIBED
    ready: bool
    waits_for: list[str]
    """What is not ready yet."""


def summary_of(record: JobRecord, progress: JobProgress | None) -> JobSummaryView:
    """A job as it stands in a list."""
    return JobSummaryView(
        job_id=record.job_id,
        job_type=record.job_type,
        path=record.path,
        state=record.state,
        generation=record.generation,
        attempts=record.attempts,
        started_at=moment(record.started_at),
        completed_at=moment(record.completed_at),
        retry_at=moment(record.retry_at),
        error=record.error_message,
        progress=progress_of(progress),
    )


def job_of(view: Known, progress: JobProgress | None) -> JobView:
    """Everything that is known of a job."""
    record = view.record
    return JobView(
        job_id=record.job_id,
        job_type=record.job_type,
        path=record.path,
        state=record.state,
        generation=record.generation,
        attempts=record.attempts,
        tracks_total=view.tracks_total,
        tracks_completed=[artifact.position for artifact in view.artifacts],
        children=[
            ChildView(
                job_id=child.job_id,
                mb_release_id=child.release,
                state=child.state or JobState.PENDING,
                path=child.path,
            )
            for child in view.children
        ],
        bytes_received=view.bytes_received,
        started_at=moment(record.started_at),
        completed_at=moment(record.completed_at),
        retry_at=moment(record.retry_at),
        error=record.error_message,
        files=[
            FileView(position=each.position, path=each.path, size=each.size, sha256=each.sha256, root=each.root)
            for each in view.artifacts
        ],
        conditions=[
            ConditionView(
                type=each.type,
                status=each.status,
                reason=each.reason,
                message=each.message,
                since=each.last_transition_time,
            )
            for each in record.conditions
        ],
        progress=progress_of(progress),
    )


def outcome_of(outcome: Outcome) -> OutcomeView:
    """What became of one manifest."""
    was = outcome.was
    return OutcomeView(
        source=outcome.source,
        result=outcome.result,
        job_id=outcome.job_id,
        path=outcome.path or None,
        offered_id=outcome.offered_id,
        was=ProvenanceView(state=was.state, node=was.node, tracks_completed=was.tracks_completed) if was else None,
        problems=[
            ProblemView(
                line=each.line,
                column=each.column,
                pointer=each.pointer,
                message=each.message,
                hint=each.hint,
                severity=each.severity,
            )
            for each in outcome.problems
        ],
        notes=list(outcome.notes),
    )


def progress_of(progress: JobProgress | None) -> ProgressView | None:
    """How far a job is; None for one that the engine does not have, or has ended with."""
    if progress is None or progress.outcome is not None:
        return None
    return ProgressView(
        bytes_done=progress.bytes_done,
        bytes_total=progress.bytes_total,
        throughput_bytes_per_s=sum(peer.throughput_bytes_per_s for peer in progress.peers),
        held=progress.held.message if progress.held is not None else "",
        tracks=[
            TrackProgressView(
                position=track.position,
                title=track.title,
                phase=track.phase,
                bytes_done=track.bytes_done,
                bytes_total=track.bytes_total,
                rescued=track.rescued,
                shares=track.shares,
                error=escape(track.error),
            )
            for track in progress.tracks
        ],
        peers=[
            PeerProgressView(
                name=escape(peer.name),
                source=peer.source,
                bytes_received=peer.bytes_received,
                throughput_bytes_per_s=peer.throughput_bytes_per_s,
                chunks_refused=peer.chunks_refused,
                banned=peer.banned,
                in_line=peer.in_line,
            )
            for peer in progress.peers
        ],
    )


def peer_of(known: Reputation, *, now_unix_s: float) -> PeerView:
    """What is known of a peer, as of now."""
    banned = is_banned(known, now_unix_s)
    return PeerView(
        source=source_of(known.peer),
        name=escape(name_of(known.peer)),
        last_seen=rfc3339(known.last_seen),
        throughput_bytes_per_s=throughput_bytes_per_s(known),
        error_rate=error_rate(known),
        timeout_rate=timeout_rate(known),
        chunks_good=known.chunks_good,
        chunks_refused=known.chunks_refused,
        banned=banned,
        banned_until=moment(known.banned_until) if banned else None,
        ban_reason=escape(known.ban_reason) if banned else "",
    )


def moment(unix_s: float | None) -> str | None:
    """A time by RFC 3339."""
    return None if unix_s is None else rfc3339(unix_s)
