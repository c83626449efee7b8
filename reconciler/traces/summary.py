"""What the events of a job add up to.

Owns: who gave how much, how fast, and what went wrong, from the events alone. Never: reads them (traces.reading) or
shows the result (cli.render_trace). Names in a summary are as the peers gave them: escape them wherever they are shown.

How it counts:
- Events are taken in the order of their own time.
- Bytes and chunks are contributed by a ChunkReceived that is no error. A ChunkFailed or ChunkTimedOut is one failed
  chunk of the peer that it names; what that peer had sent for it is refused bytes.
- A ChunkReceived with the code `duplicate` is no chunk of the file and no failure: its bytes are counted apart.
- An event that stands for many (model.SUMMED_UP) counts as many; those that were dropped are told, and not guessed.
- Its duration, and the offset of a key event, leave out the time in which it did not run (traces.runs).
- Throughput is contributed bytes over the time in which contributed chunks were under way; times that overlap (several
  connections of a peer, several peers) count once.
"""

from dataclasses import asdict, dataclass, field
from typing import Literal, cast, get_args

from reconciler.ids import JobId
from reconciler.traces.key_events import key_text
from reconciler.traces.model import EventType, SwarmEvent
from reconciler.traces.runs import ENDS, is_start
from reconciler.traces.spans import Spans
from reconciler.traces.story import DUPLICATE, ChunkRow, Story

# A screenful or two. A swarm that is in trouble repeats itself: the first events tell why.
KEY_EVENTS_MAX = 100

SessionStatus = Literal["unfinished", "completed", "failed", "stopped", "cancelled"]
_STATUSES = frozenset(get_args(SessionStatus))


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

    def to_json(self) -> dict[str, object]:
        """The summary as plain values, under the names of its fields."""
        plain = asdict(self)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in plain.items()}


def summarise(story: Story) -> SwarmSessionSummary:
    """Add up the events of one job, in one pass over its chunks and one over the rest."""
    tally = _Tally(story)
    for row in story.chunks:
        tally.count(row)
    for event in story.told:
        tally.tell(event)
    return tally.summary()


@dataclass(slots=True, kw_only=True)
class _Peer:
    name: str
    source: str
    bytes_contributed: int = 0
    chunks: int = 0
    chunks_failed: int = 0
    bytes_refused: int = 0
    banned: bool = False
    spans: Spans = field(default_factory=Spans)

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

    def __init__(self, story: Story) -> None:
        self._story = story
        self._status: SessionStatus = "unfinished"
        self._ended_ms: int | None = None
        self._starts = 0
        self._resumes = 0
        self._bytes_duplicate = 0
        self._peers: dict[tuple[str, str], _Peer] = {}
        self._spans = Spans()
        self._key_events: list[KeyEvent] = []
        self._key_events_omitted = 0

    def count(self, row: ChunkRow) -> None:
        at_ms, kind, source, name, size, duration_ms, is_error, code, count = row
        received = kind == EventType.CHUNK_RECEIVED
        if received and code == DUPLICATE:
            self._bytes_duplicate += size
            return
        peer = self._peer(source, name)
        if received and not is_error:
            peer.bytes_contributed += size
            peer.chunks += count
            peer.spans.add(end_ms=at_ms, duration_ms=duration_ms)
            self._spans.add(end_ms=at_ms, duration_ms=duration_ms)
        else:
            peer.chunks_failed += count
            peer.bytes_refused += size

    def tell(self, event: SwarmEvent) -> None:
        if is_start(event):
            self._status, self._ended_ms = "unfinished", None
            self._starts += 1
            self._resumes += event.action == "resumed"
        elif event.type is EventType.JOB_COMPLETE:
            self._status = cast("SessionStatus", event.action) if event.action in _STATUSES else "unfinished"
            self._ended_ms = event.timestamp_ms if event.action in ENDS else None
        elif event.type is EventType.PEER_DISCONNECTED and event.action == "banned":
            self._peer(event.source, event.peer_id).banned = True
        text = key_text(event, again=self._starts > 1)
        if text and len(self._key_events) < KEY_EVENTS_MAX:
            self._key_events.append(KeyEvent(offset_ms=self._story.runs.offset_ms(event.timestamp_ms), text=text))
        elif text:
            self._key_events_omitted += 1

    def summary(self) -> SwarmSessionSummary:
        peers = sorted(
            (peer.contribution() for peer in self._peers.values()),
            key=lambda peer: (-peer.bytes_contributed, peer.source, peer.name),
        )
        contributed = sum(peer.bytes_contributed for peer in peers)
        failed = sum(peer.chunks_failed for peer in peers)
        return SwarmSessionSummary(
            job_id=self._story.job_id,
            status=self._status,
            started_ms=self._story.first_ms,
            ended_ms=self._ended_ms,
            duration_ms=self._story.runs.total_ms,
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

    def _peer(self, source: str, name: str) -> _Peer:
        known = self._peers.get((source, name))
        if known is None:
            known = self._peers[source, name] = _Peer(name=name, source=source)
        return known


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
