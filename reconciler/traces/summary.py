"""What the events of a job add up to.

Owns: who gave how much, how fast, and what went wrong, from the events alone. Never: reads them (traces.store) or shows
the result (cli.render_trace). Names in a summary are as the peers gave them: escape them wherever they are shown.

How it counts:
- Events are taken in the order of their own time; one that comes twice (same id) counts once.
- Bytes and chunks are contributed by a ChunkReceived that is no error. A ChunkFailed or ChunkTimedOut is one failed
  chunk of the peer that it names; what that peer had sent for it is refused bytes.
- A ChunkReceived `duplicate` is no chunk of the file and no failure: its bytes are counted apart.
- A job runs from a JobStart to the last event before the next JobStart. Its duration, and the offset of a key event,
  leave out the time in between, when it was stopped, waited for a retry, or had crashed.
- Throughput is contributed bytes over the time in which contributed chunks were under way; times that overlap (several
  connections of a peer, several peers) count once.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, cast, get_args

from reconciler.ids import JobId
from reconciler.traces.key_events import BEFORE_THE_START, key_text
from reconciler.traces.model import EventType, SwarmEvent

# A screenful or two. A swarm that is in trouble repeats itself: the first events tell why.
KEY_EVENTS_MAX = 100

SessionStatus = Literal["unfinished", "completed", "failed", "stopped", "cancelled"]
_STATUSES = frozenset(get_args(SessionStatus))

# In one millisecond a start comes before all else and an end after it.
_TIES = {EventType.JOB_START: 0, EventType.JOB_COMPLETE: 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerContribution:
    """What one peer gave to the job."""

    name: str
    source: str
    bytes_contributed: int
    chunks: int
    mean_throughput_bytes_per_s: float
    """0.0 where it gave nothing, or no chunk says how long it took."""
    chunks_failed: int
    bytes_refused: int
    banned: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceShare:
    """What one kind of source gave."""

    source: str
    bytes_contributed: int
    share: float
    """Of all contributed bytes: 0.0 to 1.0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyEvent:
    """Something that a person would want to know of."""

    offset_ms: int
    """Since the job was started, without the time in which it did not run."""
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SwarmSessionSummary:
    """The story of a job in numbers."""

    job_id: JobId
    status: SessionStatus
    started_ms: int
    """Unix milliseconds of the first event."""
    ended_ms: int | None
    """Unix milliseconds; None = not finished."""
    duration_ms: int
    """How long it ran."""
    peers: tuple[PeerContribution, ...]
    """The largest contribution first."""
    sources: tuple[SourceShare, ...]
    """The largest share first."""
    key_events: tuple[KeyEvent, ...]
    """The first KEY_EVENTS_MAX."""
    key_events_omitted: int
    average_throughput_bytes_per_s: float
    bytes_contributed: int
    bytes_refused: int
    """Received, and not counted because they were wrong."""
    bytes_duplicate: int
    """Received, and not counted because another peer had been faster with the same chunk: the price of the end game."""
    chunks_total: int
    """Contributed and failed ones."""
    chunks_failed: int
    resumes: int
    """Starts that went on with what was on disk."""
    retries: int
    """Starts after the first that did not."""


def summarise(events: Iterable[SwarmEvent]) -> SwarmSessionSummary:
    """Add up the events of one job, in whatever order they were stored. Raises ValueError where there is none."""
    ordered = sorted(events, key=lambda event: (event.timestamp_ms, _TIES.get(event.type, 1)))
    if not ordered:
        raise ValueError("there are no events to add up")
    tally = _Tally(first=ordered[0])
    seen: set[str] = set()
    for event in ordered:
        if event.event_id not in seen:
            seen.add(event.event_id)
            tally.take(event)
    return tally.summary()


class _Spans:
    """How long something was going on, when it is told by its pieces in the order of their ends."""

    def __init__(self) -> None:
        self._apart: list[tuple[float, float]] = []

    def add(self, *, end_ms: float, duration_ms: float) -> None:
        start_ms = end_ms - duration_ms
        while self._apart and self._apart[-1][1] >= start_ms:
            start_ms = min(start_ms, self._apart.pop()[0])
        self._apart.append((start_ms, end_ms))

    def bytes_per_s(self, transferred: int) -> float:
        total_ms = sum(end_ms - start_ms for start_ms, end_ms in self._apart)
        return transferred / (total_ms / 1000) if total_ms > 0 else 0.0


@dataclass(slots=True, kw_only=True)
class _Peer:
    name: str
    source: str
    bytes_contributed: int = 0
    chunks: int = 0
    chunks_failed: int = 0
    bytes_refused: int = 0
    banned: bool = False
    spans: _Spans = field(default_factory=_Spans)

    def contribution(self) -> PeerContribution:
        return PeerContribution(
            name=self.name,
            source=self.source,
            bytes_contributed=self.bytes_contributed,
            chunks=self.chunks,
            mean_throughput_bytes_per_s=self.spans.bytes_per_s(self.bytes_contributed),
            chunks_failed=self.chunks_failed,
            bytes_refused=self.bytes_refused,
            banned=self.banned,
        )


class _Tally:
    """The sums while the events pass, each once, in the order of their time."""

    def __init__(self, *, first: SwarmEvent) -> None:
        self._first = first
        self._status: SessionStatus = "unfinished"
        self._ended_ms: int | None = None
        self._run_start_ms = self._last_ms = first.timestamp_ms
        self._earlier_runs_ms = 0
        self._starts = 0
        self._resumes = 0
        self._bytes_duplicate = 0
        self._peers: dict[tuple[str, str], _Peer] = {}
        self._spans = _Spans()
        self._key_events: list[KeyEvent] = []
        self._key_events_omitted = 0

    def take(self, event: SwarmEvent) -> None:
        match event.type:
            case EventType.JOB_START if event.action not in BEFORE_THE_START:
                self._start(event)
            case EventType.JOB_COMPLETE:
                self._status = cast("SessionStatus", event.action) if event.action in _STATUSES else "unfinished"
                self._ended_ms = None if self._status in ("stopped", "unfinished") else event.timestamp_ms
            case EventType.CHUNK_RECEIVED if not event.is_error:
                self._receive(event)
            case EventType.CHUNK_RECEIVED if event.action == "duplicate":
                self._bytes_duplicate += event.bytes_transferred
            case EventType.CHUNK_RECEIVED | EventType.CHUNK_FAILED | EventType.CHUNK_TIMED_OUT:
                peer = self._peer(event)
                peer.chunks_failed += 1
                peer.bytes_refused += event.bytes_transferred
            case EventType.PEER_DISCONNECTED if event.action == "banned":
                self._peer(event).banned = True
            case _:
                pass
        # What is told after the end, as of a hook that failed, makes no job longer.
        self._last_ms = event.timestamp_ms if self._ended_ms is None else self._ended_ms
        if text := key_text(event, again=self._starts > 1):
            self._tell(event, text)

    def summary(self) -> SwarmSessionSummary:
        peers = sorted(
            (peer.contribution() for peer in self._peers.values()),
            key=lambda peer: (-peer.bytes_contributed, peer.source, peer.name),
        )
        contributed = sum(peer.bytes_contributed for peer in peers)
        failed = sum(peer.chunks_failed for peer in peers)
        return SwarmSessionSummary(
            job_id=self._first.job_id,
            status=self._status,
            started_ms=self._first.timestamp_ms,
            ended_ms=self._ended_ms,
            duration_ms=self._elapsed_ms(self._last_ms),
            peers=tuple(peers),
            sources=_shares(peers, contributed),
            key_events=tuple(self._key_events),
            key_events_omitted=self._key_events_omitted,
            average_throughput_bytes_per_s=self._spans.bytes_per_s(contributed),
            bytes_contributed=contributed,
            bytes_refused=sum(peer.bytes_refused for peer in peers),
            bytes_duplicate=self._bytes_duplicate,
            chunks_total=sum(peer.chunks for peer in peers) + failed,
            chunks_failed=failed,
            resumes=self._resumes,
            retries=max(0, self._starts - 1 - self._resumes),
        )

    def _start(self, event: SwarmEvent) -> None:
        self._earlier_runs_ms = self._elapsed_ms(self._last_ms)
        self._run_start_ms = event.timestamp_ms
        self._status, self._ended_ms = "unfinished", None
        self._starts += 1
        self._resumes += event.action == "resumed"

    def _receive(self, event: SwarmEvent) -> None:
        peer = self._peer(event)
        peer.bytes_contributed += event.bytes_transferred
        peer.chunks += 1
        peer.spans.add(end_ms=event.timestamp_ms, duration_ms=event.duration_ms)
        self._spans.add(end_ms=event.timestamp_ms, duration_ms=event.duration_ms)

    def _peer(self, event: SwarmEvent) -> _Peer:
        known = self._peers.get((event.source, event.peer_id))
        if known is None:
            known = self._peers[event.source, event.peer_id] = _Peer(name=event.peer_id, source=event.source)
        return known

    def _elapsed_ms(self, unix_ms: int) -> int:
        return self._earlier_runs_ms + unix_ms - self._run_start_ms

    def _tell(self, event: SwarmEvent, text: str) -> None:
        if len(self._key_events) < KEY_EVENTS_MAX:
            self._key_events.append(KeyEvent(offset_ms=self._elapsed_ms(event.timestamp_ms), text=text))
        else:
            self._key_events_omitted += 1


def _shares(peers: list[PeerContribution], contributed: int) -> tuple[SourceShare, ...]:
    by_source: dict[str, int] = {}
    for peer in peers:
        if peer.bytes_contributed:
            by_source[peer.source] = by_source.get(peer.source, 0) + peer.bytes_contributed
    shares = [
        SourceShare(source=source, bytes_contributed=given, share=given / contributed)
        for source, given in by_source.items()
    ]
    return tuple(sorted(shares, key=lambda share: (-share.bytes_contributed, share.source)))
