"""What the byte path is told to do, and what it tells back.

Owns: the commands and events between the engine and its lanes, as values that can cross a process border, and the port
that both kinds of byte path (engine.lanes in this process, engine.lane_link in another) offer. Never: moves a byte.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NewType, Protocol

from reconciler.engine.chunk_pieces import ChunkPieces
from reconciler.engine.events import (
    ChunkArrived,
    PeerConnected,
    PeerQueued,
    TransferEnded,
    TransferFailed,
    TransferId,
)
from reconciler.ids import ChunkIndex, JobId
from reconciler.sources.base import ByteRequest

PartId = NewType("PartId", int)
"""A part file as attached to the lanes; a new attachment of the same file gets a new id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """Whose request it is."""

    job_id: JobId
    transfer: TransferId


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRange:
    """Read chunks `first`..`last` of a file of `size` bytes into a part."""

    tag: Tag
    part: PartId
    request: ByteRequest
    size: int
    first: ChunkIndex
    last: ChunkIndex
    expected: tuple[bytes, ...] | None
    pieces: ChunkPieces | None = None
    source: str = ""
    """Whose peer it is for; only the daemon's end looks at it (engine.lane_choice)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneEvent:
    """What became of an order."""

    tag: Tag
    event: PeerConnected | PeerQueued | ChunkArrived | TransferEnded | TransferFailed


Post = Callable[[tuple[LaneEvent, ...]], None]
"""Takes events in the order in which they happened; called from any thread, and never waits."""


class BytePath(Protocol):
    """Reads ranges from peers into parts. Its methods may be called from any thread."""

    def attach(self, part: PartId, path: str, size: int) -> None:
        """Open the part file at `path` for writing, under a number that was not used before; raises OSError."""
        ...

    def detach(self, part: PartId) -> frozenset[ChunkIndex]:
        """Close a part: when this returns, nothing will be written to it again, and the disk has what was. Gives the
        verified chunks that were read from the disk again, and are right; the others are still to be.

        Raises OSError where it has not: the chunks that the journal does not name are lost.
        """
        ...

    def read(self, order: ReadRange) -> None:
        """Take an order; its answers come through `post`, the last one TransferEnded or TransferFailed."""
        ...

    def cancel(self, tag: Tag) -> None:
        """End an order wherever it is; it is answered `cancelled` unless it ended just before."""
        ...

    def close(self) -> None:
        """End every order."""
        ...
