"""What came of one variant, from whom, and who answers for what was wrong.

Owns: the prints of the chunks that are here, and the memory of an earlier, wrong whole. Never: bans anybody.

Bytes without a chunk list are provisional: only the whole proves them. When it is wrong and several peers brought it,
it is fetched again from one alone; once that whole is right, every chunk that differs names who had sent it.
"""

from reconciler.engine.events import ChunkPrint
from reconciler.ids import ChunkIndex
from reconciler.sources.base import PeerKey


class Receipts:
    """The chunks of one attempt that are on disk."""

    def __init__(self) -> None:
        self.prints: dict[ChunkIndex, ChunkPrint] = {}
        """What every chunk that is here hashes to."""
        self._givers: dict[ChunkIndex, PeerKey] = {}
        self._disputed: dict[ChunkIndex, tuple[bytes, PeerKey]] = {}

    def keep(self, chunk: ChunkIndex, found: ChunkPrint) -> None:
        """Count a chunk that an earlier run left; nobody can be blamed for it."""
        self.prints[chunk] = found

    def came(self, chunk: ChunkIndex, found: ChunkPrint, giver: PeerKey) -> None:
        """Count a chunk that a peer brought."""
        self.prints[chunk] = found
        self._givers[chunk] = giver

    def lost(self, chunk: ChunkIndex) -> None:
        """Forget a chunk that turned out to be another's."""
        self.prints.pop(chunk, None)
        self._givers.pop(chunk, None)

    def in_order(self) -> list[ChunkPrint]:
        """The prints from the first chunk on."""
        return [self.prints[chunk] for chunk in sorted(self.prints)]

    def only_giver(self) -> PeerKey | None:
        """Who brought everything; None where several did, or an earlier run brought some."""
        givers = set(self._givers.values())
        return givers.pop() if len(givers) == 1 and len(self._givers) == len(self.prints) else None

    def dispute(self) -> None:
        """The whole was wrong: remember who sent what, and begin again."""
        self._disputed = {chunk: (self.prints[chunk].digest, giver) for chunk, giver in self._givers.items()}
        self.clear()

    def clear(self) -> None:
        """Nothing is here any more."""
        self.prints = {}
        self._givers = {}

    def liars(self) -> dict[PeerKey, ChunkIndex]:
        """Now that the whole is right: whose disputed chunks were not, and one of them each."""
        return {
            giver: chunk
            for chunk, (digest, giver) in sorted(self._disputed.items(), reverse=True)
            if chunk in self.prints and self.prints[chunk].digest != digest
        }
