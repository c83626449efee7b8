"""Which parts of one variant are here, asked for, or still to be asked for.

Owns: the state of every chunk and who was asked for it. Never: chooses a peer (engine.schedule) or sees a byte.

A chunk is missing, requested (by at least one transfer) or had. Missing chunks are also bits of one integer, so that
finding the next one that a peer holds costs the same for ten chunks and for ten thousand.
"""

from collections.abc import Iterator
from enum import IntEnum

from reconciler.engine.events import TransferId
from reconciler.ids import ChunkIndex
from reconciler.overlay.merkle import chunk_count, chunk_size


class ChunkState(IntEnum):
    """Where a chunk stands."""

    MISSING = 0
    REQUESTED = 1
    HAD = 2


# States as binary digits: `1` where a chunk is missing.
_MISSING_DIGITS = bytes.maketrans(bytes(ChunkState), b"100")


class ChunkPlan:
    """The chunks of one variant of `size` bytes."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.chunk_bytes = chunk_size(size)
        self.count = chunk_count(size)
        self.freed = 0
        """How often a chunk that had been asked for became missing again."""
        self._states = bytearray(self.count)
        self._missing = (1 << self.count) - 1
        self._bytes_missing = size
        self._holders: dict[ChunkIndex, tuple[TransferId, ...]] = {}
        self._had = 0
        self._bytes_had = 0
        self._held: dict[frozenset[int], int] = {}
        """What partial holders have, as bits; one entry for each different choice of chunks."""
        self._held_by_some = 0

    @property
    def is_whole(self) -> bool:
        """Whether every chunk is here."""
        return self._had == self.count

    @property
    def bytes_had(self) -> int:
        """Bytes of the chunks that are here."""
        return self._bytes_had

    @property
    def bytes_missing(self) -> int:
        """Bytes of the chunks that nobody was asked for and that are not here."""
        return self._bytes_missing

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
        """Bytes from `first` to `last`, both included; 0 where `last` comes before `first`."""
        return max(0, min((last + 1) * self.chunk_bytes, self.size) - first * self.chunk_bytes)

    def holders(self, chunk: ChunkIndex) -> tuple[TransferId, ...]:
        """The transfers that were asked for `chunk`, in the order in which they were."""
        return self._holders.get(chunk, ())

    def requested(self) -> Iterator[ChunkIndex]:
        """Every chunk that somebody was asked for and that is not here, in order."""
        return iter(sorted(self._holders))

    def next_missing(self, held: frozenset[int] | None, chunks_max: int) -> tuple[ChunkIndex, ChunkIndex] | None:
        """A run of neighbouring missing chunks, at most `chunks_max` long, all of them in `held` (None = any).

        It is the first; but a complete holder leaves what a partial one has for last, so that both have work to the
        end.
        """
        if held is None:
            free = self._missing & ~self._held_by_some or self._missing
        else:
            free = self._missing & self._bits_of(held)
        if not free:
            return None
        first = (free & -free).bit_length() - 1
        rest = free >> first
        run = (~rest & (rest + 1)).bit_length() - 1
        return ChunkIndex(first), ChunkIndex(first + min(run, chunks_max) - 1)

    def first_missing(self) -> ChunkIndex | None:
        """The first chunk that is neither here nor asked for."""
        return ChunkIndex((self._missing & -self._missing).bit_length() - 1) if self._missing else None

    def _bits_of(self, held: frozenset[int]) -> int:
        bits = self._held.get(held)
        if bits is None:
            digits = bytearray(b"0" * self.count)
            for chunk in held:
                if 0 <= chunk < self.count:
                    digits[self.count - 1 - chunk] = ord("1")
            bits = self._held[held] = int(digits, 2)
            self._held_by_some |= bits
        return bits

    def request(self, transfer: TransferId, first: ChunkIndex, last: ChunkIndex) -> None:
        """Record that `transfer` was asked for `first`..`last`; what of it is here already stays so."""
        for index in range(first, last + 1):
            chunk = ChunkIndex(index)
            if self._states[chunk] == ChunkState.HAD:
                continue
            if self._states[chunk] == ChunkState.MISSING:
                self._states[chunk] = ChunkState.REQUESTED
                self._bytes_missing -= self.length(chunk)
            self._holders[chunk] = (*self._holders.get(chunk, ()), transfer)
        self._missing &= ~(((1 << (last + 1 - first)) - 1) << first)

    def release(self, transfer: TransferId, chunk: ChunkIndex) -> None:
        """Record that `transfer` will not bring `chunk`; nobody else asked makes it missing again."""
        holders = self._holders.get(chunk, ())
        if transfer not in holders:
            return
        others = tuple(each for each in holders if each != transfer)
        if others:
            self._holders[chunk] = others
        else:
            del self._holders[chunk]
            self._states[chunk] = ChunkState.MISSING
            self._missing |= 1 << chunk
            self._bytes_missing += self.length(chunk)
            self.freed += 1

    def have(self, chunk: ChunkIndex) -> bool:
        """Record that `chunk` is here; False when it was already."""
        if self._states[chunk] == ChunkState.HAD:
            return False
        if self._states[chunk] == ChunkState.MISSING:
            self._missing &= ~(1 << chunk)
            self._bytes_missing -= self.length(chunk)
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
            self._missing |= 1 << chunk
            self._bytes_missing += self.length(chunk)
            self.freed += 1

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
        short = self.count * self.chunk_bytes - self.size
        assert self._bytes_had == self._had * self.chunk_bytes - short * (states[-1] == ChunkState.HAD), (
            "bytes here do not add up"
        )
        missing = states.count(ChunkState.MISSING)
        assert self._bytes_missing == missing * self.chunk_bytes - short * (states[-1] == ChunkState.MISSING), (
            "bytes missing do not add up"
        )
        assert self._missing == int(states[::-1].translate(_MISSING_DIGITS), 2), "the missing bits are not the states"
