"""A request that is under way: what it still owes, and when it is late.

Owns: one transfer's account. Never: decides what follows from being late (engine.swarm).
"""

from collections.abc import Container
from dataclasses import dataclass, field

from reconciler.engine.chunks import ChunkPlan, ChunkState
from reconciler.engine.events import TransferId
from reconciler.ids import ChunkIndex, TrackPosition
from reconciler.sources.base import Offer, PeerKey

# The least rate a request must keep once its stall grace is used up: 8 KiB/s is half the bitrate of the poorest music
# worth having (128 kbit/s); slower, and asking somebody else is better in every case.
RATE_MIN_BYTES_PER_S = 8192


@dataclass(slots=True, kw_only=True)
class Transfer:
    """One request. Mutable, owned by the job machine. Its chunks come in order: that is how they are sent."""

    id: TransferId
    offer: Offer
    position: TrackPosition
    plan: ChunkPlan
    """The plan that its chunks belong to: a track that starts again has another."""
    first: ChunkIndex
    last: ChunkIndex
    next: ChunkIndex
    """The chunk that comes next; beyond `last` when all have."""
    tail: ChunkIndex
    """The last chunk that may still be of use: beyond it, others have brought everything."""
    bytes_owed: int
    alone: bool
    """Whether its peer owed nothing when it was asked: then its first chunk takes a round trip longer."""
    started_s: float
    deadline_s: float
    """When it has broken the least rate; infinite while the peer lets it wait in line."""
    grace_s: float
    """How long nothing may come, beside what the least rate needs."""
    cancelled: bool = False
    loose: bool = False
    """Whether others may be asked for its chunks as if it did not exist."""
    relieved_by: set[PeerKey] = field(default_factory=set)
    """Who was asked for some of its chunks in its place; the trace is told once of each."""
    queued_since_s: float | None = None
    """Since when it stands in the peer's line; None = it does not."""
    was_queued: bool = False
    """Whether it ever stood there: then the time of its first chunk says nothing of the peer's speed."""
    place: int | None = None
    """Where in that line, as the peer last said."""

    @classmethod
    def begin(
        cls,
        identity: TransferId,
        offer: Offer,
        *,
        plan: ChunkPlan,
        first: ChunkIndex,
        last: ChunkIndex,
        ahead: int,
        now: float,
        grace_s: float,
    ) -> "Transfer":
        """Open the account of a request sent behind `ahead` bytes that the peer owes already."""
        size = plan.span(first, last)
        return cls(
            id=identity,
            offer=offer,
            position=offer.position,
            plan=plan,
            first=first,
            last=last,
            next=first,
            tail=last,
            bytes_owed=size,
            alone=not ahead,
            started_s=now,
            deadline_s=now + grace_s + (size + ahead) / RATE_MIN_BYTES_PER_S,
            grace_s=grace_s,
        )

    @property
    def owed(self) -> range:
        """The chunks not yet come, in the order in which they will."""
        return range(self.next, self.last + 1)

    def in_line(self, place: int | None, *, now: float) -> bool:
        """Stand in the peer's line; False where this is known already."""
        known = self.queued_since_s is not None and self.place == place
        if self.queued_since_s is None:
            self.queued_since_s = now
        self.was_queued = True
        self.place = place
        self.deadline_s = float("inf")
        return not known

    def came(self, chunk: ChunkIndex, *, now: float) -> None:
        """Count a chunk that came."""
        if chunk in self.owed:
            self.next = ChunkIndex(chunk + 1)
            self.bytes_owed = self.plan.span(self.next, self.last)
        if self.queued_since_s is not None:
            self.queued_since_s = self.place = None
            self.deadline_s = now + self.grace_s + self.bytes_owed / RATE_MIN_BYTES_PER_S

    def is_wanted(self) -> bool:
        """Whether any chunk that it owes is still needed from it."""
        return any(self.id in self.plan.holders(ChunkIndex(chunk)) for chunk in self.owed)

    def untouched(self, chunks_max: int, *, silent: Container[TransferId]) -> range:
        """At most `chunks_max` chunks at its end that others may be asked for in its place: nobody else was, or only by
        requests that are `silent`.
        """
        while self.tail >= self.next and self.plan.state(self.tail) is ChunkState.HAD:
            self.tail = ChunkIndex(self.tail - 1)
        end: int = self.tail
        while end >= self.next and not self._alone_with(end, silent):
            end -= 1
        begin = end + 1
        while begin > max(self.next, end + 1 - chunks_max) and self._alone_with(begin - 1, silent):
            begin -= 1
        return range(begin, end + 1)

    def _alone_with(self, chunk: int, silent: Container[TransferId]) -> bool:
        holders = self.plan.holders(ChunkIndex(chunk))
        return self.id in holders and all(each == self.id or each in silent for each in holders)

    def release(self) -> None:
        """Free what it still owes for others."""
        for chunk in self.owed:
            if self.plan.state(ChunkIndex(chunk)) is ChunkState.REQUESTED:
                self.plan.release(self.id, ChunkIndex(chunk))
