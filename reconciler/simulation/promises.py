"""What the job machine promises never to do, checked from outside it.

Owns: which requests still bring what, what the trace has told of it, and the judgement. Never: changes anything.
"""

from collections.abc import Sequence

from reconciler.engine.events import ChunkArrived, Note, PublishAlbum, Read, TransferId
from reconciler.ids import ChunkIndex, TrackPosition
from reconciler.simulation.behaviour import SimPeer
from reconciler.simulation.content import chunk_list, digest_of
from reconciler.simulation.scene import Result


class BrokenPromiseError(AssertionError):
    """The machine did what it promises never to do."""


class Promises:
    """What one run must keep to: each word of it is checked against what `result` says is there."""

    def __init__(self, result: Result) -> None:
        self._result = result
        self._owed: dict[TransferId, tuple[Read, int]] = {}
        """Each request that was not cancelled, with the chunk that it brings next."""
        self._told: set[tuple[object, object]] = set()
        """Of which peer the trace says that it relieved which."""

    # ---- what happens ------------------------------------------------------------------------------------------------

    def moved(self, event: ChunkArrived) -> None:
        """A request has brought a chunk."""
        owed = self._owed.get(event.transfer)
        if owed is not None:
            self._owed[event.transfer] = owed[0], event.chunk + 1

    def closed(self, transfer: TransferId) -> None:
        """A request is over, or was cancelled."""
        self._owed.pop(transfer, None)

    def all_closed(self) -> None:
        """The daemon has ended."""
        self._owed.clear()

    def relieved(self, note: Note) -> None:
        """The trace says that one peer was given what another had been asked for."""
        self._told.add((note.facts["from"], note.facts["to"]))

    # ---- what must not happen ----------------------------------------------------------------------------------------

    def asks(self, read: Read) -> None:
        """No request for a chunk that is here, or that another owes and was not relieved of: a stream is exempt."""
        self._check(read)
        self._owed[read.transfer] = read, read.first

    def _check(self, read: Read) -> None:
        position = read.offer.position
        if position in self._result.published:
            raise BrokenPromiseError(f"file {position} is published and asked for again")
        if read.expected is None or read.offer.source == "soulseek":
            return
        asked = range(read.first, read.last + 1)
        here = self._result.disk[position]
        again = [chunk for chunk in asked if here.get(ChunkIndex(chunk)) == read.expected[chunk - read.first]]
        if again:
            raise BrokenPromiseError(f"chunks {again[:5]} of file {position} are here and asked for again")
        ends = (asked[0], asked[-1])
        owners = [
            owed.offer
            for owed, at in self._owed.values()
            if owed.offer.position == position and any(at <= chunk <= owed.last for chunk in ends)
        ]
        told = any((owner.peer_name, read.offer.peer_name) in self._told for owner in owners)
        if not told and any(owner.source != "soulseek" for owner in owners):
            raise BrokenPromiseError(f"chunks {asked} of file {position} are asked for twice, and no note says why")

    def accepts(self, position: TrackPosition, event: ChunkArrived) -> None:
        """No chunk counts as verified that is another."""
        if event.digest != digest_of(position, event.chunk):
            raise BrokenPromiseError(f"chunk {event.chunk} of file {position} is wrong and counts as verified")

    def publishes(self, position: TrackPosition, size: int) -> None:
        """No file gets its name twice, or with a wrong chunk in it."""
        if position in self._result.published:
            raise BrokenPromiseError(f"file {position} is published a second time")
        here = self._result.disk[position]
        wrong = [n for n, digest in enumerate(chunk_list(position, size)) if here.get(ChunkIndex(n)) != digest]
        if wrong:
            raise BrokenPromiseError(f"file {position} is published with wrong chunks {wrong[:5]}")

    def publishes_album(self, command: PublishAlbum, wanted: Sequence[object]) -> None:
        """No album appears in part."""
        there = {*self._result.published, *(file.position for file in command.files)}
        if len(there) < len(wanted):
            raise BrokenPromiseError(f"an album is published with nothing but {sorted(there)} of it")

    def bans(self, peer: SimPeer, note: Note) -> None:
        """Nobody is banned who sends nothing wrong."""
        if not peer.is_wrong:
            raise BrokenPromiseError(f"{note.peer}, which sends nothing wrong, is banned: {note.error_message}")
