"""What came of one variant, and from whom.

Owns: the digests of the chunks that are here, and their givers. Never: judges who of them was wrong (engine.doubt).
"""

from reconciler.ids import ChunkIndex
from reconciler.sources.base import PeerKey


class Receipts:
    """The chunks of one attempt that are on disk."""

    def __init__(self) -> None:
        self.digests: dict[ChunkIndex, bytes] = {}
        """What every chunk that is here hashes to."""
        self.givers: dict[ChunkIndex, PeerKey] = {}
        """Of those that a peer brought in this run."""

    def keep(self, chunk: ChunkIndex, found: bytes, giver: PeerKey | None = None) -> None:
        """Count a chunk that is on disk already; nobody can be blamed for what an earlier run left."""
        self.digests[chunk] = found
        if giver is not None:
            self.givers[chunk] = giver

    def came(self, chunk: ChunkIndex, found: bytes, giver: PeerKey) -> None:
        """Count a chunk that a peer brought."""
        self.digests[chunk] = found
        self.givers[chunk] = giver

    def lost(self, chunk: ChunkIndex) -> None:
        """Forget a chunk that turned out to be another's."""
        self.digests.pop(chunk, None)
        self.givers.pop(chunk, None)

    def in_order(self) -> list[bytes]:
        """The digests, from the first chunk on."""
        return [self.digests[chunk] for chunk in sorted(self.digests)]

    def only_giver(self) -> PeerKey | None:
        """Who brought everything; None where several did, or an earlier run brought some."""
        givers = set(self.givers.values())
        return givers.pop() if len(givers) == 1 and len(self.givers) == len(self.digests) else None

    def clear(self) -> None:
        """Nothing is here any more."""
        self.digests = {}
        self.givers = {}
