"""A request that is under way: what it still owes, and when it is late.

Owns: one transfer's account. Never: decides what follows from being late (engine.job).
"""

from dataclasses import dataclass

from reconciler.engine.chunks import ChunkPlan
from reconciler.engine.events import TransferId
from reconciler.ids import ChunkIndex, TrackPosition
from reconciler.sources.base import Offer

# The least rate a request must keep once its stall grace is used up: 8 KiB/s is half the bitrate of the poorest music
# worth having (128 kbit/s); slower, and asking somebody else is better in every case.
RATE_MIN_BYTES_PER_S = 8192


@dataclass(slots=True, kw_only=True)
class Transfer:
    """One request. Mutable, owned by the job machine."""

    id: TransferId
    offer: Offer
    position: TrackPosition
    plan: ChunkPlan
    """The plan that its chunks belong to: a track that starts again has another."""
    first: ChunkIndex
    last: ChunkIndex
    owed: list[ChunkIndex]
    """Chunks not yet come, in the order in which they will."""
    bytes_owed: int
    started_s: float
    deadline_s: float
    """When it has broken the least rate; infinite while the peer lets it wait in line."""
    grace_s: float
    """How long nothing may come, beside what the least rate needs."""
    cancelled: bool = False
    loose: bool = False
    """Whether others may be asked for its chunks as if it did not exist."""
    queued_since_s: float | None = None
    """Since when it stands in the peer's line; None = it does not."""
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
            owed=[ChunkIndex(index) for index in range(first, last + 1)],
            bytes_owed=size,
            started_s=now,
            deadline_s=now + grace_s + (size + ahead) / RATE_MIN_BYTES_PER_S,
            grace_s=grace_s,
        )

    def in_line(self, place: int | None, *, now: float) -> bool:
        """Stand in the peer's line; False where this is known already."""
        known = self.queued_since_s is not None and self.place == place
        if self.queued_since_s is None:
            self.queued_since_s = now
        self.place = place
        self.deadline_s = float("inf")
        return not known

    def came(self, chunk: ChunkIndex, *, bytes_received: int, now: float) -> None:
        """Count a chunk that came."""
        if self.queued_since_s is not None:
            self.queued_since_s = self.place = None
            self.deadline_s = now + self.grace_s + self.bytes_owed / RATE_MIN_BYTES_PER_S
        if chunk in self.owed:
            self.owed.remove(chunk)
            self.bytes_owed -= bytes_received

    def bytes_before(self, chunk: ChunkIndex) -> int:
        """Bytes that come before and with `chunk` on this request."""
        return (self.owed.index(chunk) + 1) * self.plan.chunk_bytes if chunk in self.owed else self.bytes_owed
