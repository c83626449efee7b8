"""Ask one peer after another for the chunk list of a variant, until one is right.

Owns: who was asked, and holding an answer against the root. Never: decides what follows from having none.
"""

from collections.abc import Callable, Mapping

from reconciler.engine.events import ChunkListArrived, ChunkListRefused, Command, FetchChunkList
from reconciler.overlay.merkle import chunk_count, hash_list_matches
from reconciler.sources.base import Offer, PeerKey, Variant


class ChunkListSearch:
    """The chunk list of one variant that has a root. Commands go to `out`."""

    def __init__(
        self,
        variant: Variant,
        *,
        out: list[Command],
        usable: Callable[[PeerKey], bool],
        ban: Callable[[PeerKey, str], None],
    ) -> None:
        assert variant.root is not None
        self.variant = variant
        self.hashes: tuple[bytes, ...] | None = None
        self._root = variant.root
        self._out = out
        self._usable = usable
        self._ban = ban
        self._asked: set[PeerKey] = set()
        self._asking: PeerKey | None = None
        if chunk_count(variant.size) == 1:
            self.hashes = (bytes.fromhex(variant.root),)  # BEP 52: the only chunk's hash is the root itself

    @property
    def awaits_answer(self) -> bool:
        """Whether somebody is being asked."""
        return self._asking is not None

    def ask(self, offers: Mapping[PeerKey, Offer]) -> None:
        """Ask the next of those who offer it, unless the list is here or somebody is being asked."""
        if self.hashes is not None or self._asking is not None:
            return
        for peer, offer in offers.items():
            if peer not in self._asked and self._usable(peer):
                self._asked.add(peer)
                self._asking = peer
                self._out.append(FetchChunkList(offer=offer))
                return

    def arrived(self, event: ChunkListArrived) -> None:
        """Check a list against the root; one that does not hash to it names a liar."""
        if event.variant_id != self.variant.id or event.peer != self._asking:
            return
        self._asking = None
        if hash_list_matches(self._root, event.raw, file_size=self.variant.size):
            self.hashes = tuple(event.raw[at : at + 32] for at in range(0, len(event.raw), 32))
        else:
            self._ban(event.peer, "its chunk list does not hash to the root")

    def refused(self, event: ChunkListRefused) -> None:
        """Remember that this peer has none."""
        if event.variant_id == self.variant.id and event.peer == self._asking:
            self._asking = None
