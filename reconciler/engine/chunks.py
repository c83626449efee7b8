"""Which parts of one variant are here, asked for, or still to be asked for.

Owns: the state of every chunk and who was asked for it. Never: chooses a peer (engine.schedule) or sees a byte.

A chunk is missing, requested (by at least one transfer) or had. `plan_of("VVr..")` in the tests draws such a plan.
"""

from collections.abc import Container, Iterator
from enum import IntEnum

from reconciler.engine.events import TransferId
from reconciler.ids import ChunkIndex
from reconciler.overlay.merkle import chunk_count, chunk_size


class ChunkState(IntEnum):
    """Where a chunk stands."""

    MISSING = 0
    REQUESTED = 1
    HAD = 2


class ChunkPlan:
    """The chunks of one variant of `size` bytes."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.chunk_bytes = chunk_size(size)
        self.count = chunk_count(size)
        self._states = bytearray(self.count)
        self._holders: dict[ChunkIndex, set[TransferId]] = {}
        self._had = 0
        self._bytes_had = 0
        self._first_missing = 0

    @property
    def is_whole(self) -> bool:
        """Whether every chunk is here."""
        return self._had == self.count

    @property
    def bytes_had(self) -> int:
        """Bytes of the chunks that are here."""
        return self._bytes_had

    @property
    def chunks_had(self) -> int:
        """How many chunks are here."""
        return self._had

    def state(self, chunk: ChunkIndex) -> ChunkState:
        """Where `chunk` stands."""
        return ChunkState(self._states[chunk])

    def length(self, chunk: ChunkIndex) -> int:
        """Bytes of `chunk`: the last one may be shorter."""
        return min(self.chunk_bytes, self.size - chunk * self.chunk_bytes)

    def span(self, first: ChunkIndex, last: ChunkIndex) -> int:
        """Bytes from `first` to `last`, both included."""
        return min((last + 1) * self.chunk_bytes, self.size) - first * self.chunk_bytes

    def holders(self, chunk: ChunkIndex) -> frozenset[TransferId]:
        """The transfers that were asked for `chunk`."""
        return frozenset(self._holders.get(chunk, ()))

    def requested(self) -> Iterator[ChunkIndex]:
        """Every chunk that somebody was asked for and that is not here, in order."""
        return iter(sorted(self._holders))

    def next_missing(self, held: Container[int] | None, chunks_max: int) -> tuple[ChunkIndex, ChunkIndex] | None:
        """The first run of neighbouring missing chunks, at most `chunks_max` long, all of them in `held` (None =
        any).
        """
        while self._first_missing < self.count and self._states[self._first_missing] != ChunkState.MISSING:
            self._first_missing += 1
        first = self._first_missing
        while first < self.count and not self._free(first, held):
            first += 1
        if first >= self.count:
            return None
        last = first
        while last + 1 < self.count and last + 1 - first < chunks_max and self._free(last + 1, held):
            last += 1
        return ChunkIndex(first), ChunkIndex(last)

    def _free(self, chunk: int, held: Container[int] | None) -> bool:
        return self._states[chunk] == ChunkState.MISSING and (held is None or chunk in held)

    def request(self, transfer: TransferId, first: ChunkIndex, last: ChunkIndex) -> None:
        """Record that `transfer` was asked for `first`..`last`."""
        for index in range(first, last + 1):
            chunk = ChunkIndex(index)
            assert self._states[chunk] != ChunkState.HAD, f"chunk {chunk} is here already"
            self._states[chunk] = ChunkState.REQUESTED
            self._holders.setdefault(chunk, set()).add(transfer)

    def release(self, transfer: TransferId, chunk: ChunkIndex) -> None:
        """Record that `transfer` will not bring `chunk`; nobody else asked makes it missing again."""
        holders = self._holders.get(chunk)
        if holders is None or transfer not in holders:
            return
        holders.discard(transfer)
        if not holders:
            del self._holders[chunk]
            self._states[chunk] = ChunkState.MISSING
            self._first_missing = min(self._first_missing, chunk)

    def have(self, chunk: ChunkIndex) -> bool:
        """Record that `chunk` is here; False when it was already."""
        if self._states[chunk] == ChunkState.HAD:
            return False
        self._states[chunk] = ChunkState.HAD
        self._holders.pop(chunk, None)
        self._had += 1
        self._bytes_had += self.length(chunk)
        return True

    def lose(self, chunk: ChunkIndex) -> None:
        """Record that `chunk` is not here after all: what was taken for it is another's."""
        if self._states[chunk] == ChunkState.HAD:
            self._states[chunk] = ChunkState.MISSING
            self._had -= 1
            self._bytes_had -= self.length(chunk)
            self._first_missing = min(self._first_missing, chunk)

    def check_invariants(self) -> None:
        """Every chunk is in one state; requested means that somebody holds it; the sums are right.

        Counted by the bytes' own methods: a simulation asks after every event.
        """
        states = self._states
        assert len(self._holders) == states.count(ChunkState.REQUESTED), (
            "a chunk is requested of nobody, or held unasked"
        )
        for chunk, holders in self._holders.items():
            assert holders, f"chunk {chunk} is requested of nobody"
            assert states[chunk] == ChunkState.REQUESTED, (
                f"chunk {chunk} is {self.state(chunk).name} and still asked for"
            )
        assert self._had == states.count(ChunkState.HAD), f"{self._had} chunks counted, others here"
        short = self.count * self.chunk_bytes - self.size if states[-1] == ChunkState.HAD else 0
        assert self._bytes_had == self._had * self.chunk_bytes - short, "bytes here do not add up"
        first = states.find(ChunkState.MISSING)
        assert first < 0 or first >= self._first_missing, "a missing chunk lies before the first missing one"
