"""A whole that was wrong, of chunks that nothing proves: who gave which, and who brings what again.

Owns: what each peer has said of each chunk, whom a wrong whole refutes, and the next step. Never: bans, or asks anybody
(engine.attempt).

    second opinions   a chunk for which only one peer stands is fetched again, from one that was not heard of it yet:
                      all peers at work, and where two are of one mind nothing more is asked
    one alone         what differs from its own comes from one peer, so that the whole is all its own; if that is wrong
                      too, it is refuted: where nobody is left who could say more, or that peer is the sooner done

Once a whole is right, every peer that said otherwise of a chunk is named. A peer is refuted when a whole that is wrong
is, chunk for chunk, what it said.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from math import inf

from reconciler.ids import ChunkIndex
from reconciler.sources.base import Offer, PeerKey

# So many peers must be of one mind about a chunk before nobody else is asked.
OPINIONS_ENOUGH = 2

# How many peers bring all of it alone though nobody contradicts anybody. Liars in league agree, and an honest peer may
# be the next; but so do mirrors that have replaced a file, and each costs a copy of it.
AGREED_TRIES_MAX = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """What is fetched again."""

    chunks: frozenset[ChunkIndex]
    only: PeerKey | None
    """From whom alone; None = each from anybody who was not heard of it yet."""


class Doubt:
    """What peers have said of the chunks of one attempt, since its whole was wrong for the first time."""

    def __init__(self) -> None:
        self._said: dict[PeerKey, dict[ChunkIndex, bytes]] = {}
        """The last word of each peer."""
        self._agreed_tries = 0

    def heard(self, digests: Mapping[ChunkIndex, bytes], givers: Mapping[ChunkIndex, PeerKey]) -> None:
        """Take note of who gave what of a wrong whole."""
        for chunk, giver in givers.items():
            self._said.setdefault(giver, {})[chunk] = digests[chunk]

    def refuted(self, wrong: Collection[Mapping[ChunkIndex, bytes]]) -> list[PeerKey]:
        """Who said every chunk of something `wrong`, the whole or a piece, just as it is here; their word counts no
        more.
        """
        refuted = [
            peer
            for peer, said in self._said.items()
            if any(all(said.get(chunk) == digest for chunk, digest in digests.items()) for digests in wrong)
        ]
        for peer in refuted:
            del self._said[peer]
        return sorted(refuted)

    def liars(self, digests: Mapping[ChunkIndex, bytes]) -> dict[PeerKey, ChunkIndex]:
        """Now that the whole is right: who said otherwise, and one of the chunks each."""
        found: dict[PeerKey, ChunkIndex] = {}
        for peer, said in sorted(self._said.items()):
            wrong = [chunk for chunk, digest in said.items() if digests[chunk] != digest]
            if wrong:
                found[peer] = min(wrong)
        return found

    def next_step(
        self,
        digests: Mapping[ChunkIndex, bytes],
        offers: Mapping[PeerKey, Offer],
        *,
        ranges: Callable[[Offer], bool],
        speed: Callable[[PeerKey], float],
    ) -> Again | None:
        """What to do after a wrong whole; None = nobody could bring anything that would tell more.

        `digests` are of the chunks that may be wrong: all of them, or those of wrong pieces.
        `offers` are those of peers that may be asked; `ranges` tells of whom any chunks may be, and not a stream only.
        """
        if not offers:
            return Again(chunks=frozenset(digests), only=None)  # whoever may yet be found
        heard, open_ = self._opinions(digests)
        asked = {peer: offer for peer, offer in offers.items() if ranges(offer)}
        tellable = frozenset(
            chunk
            for chunk in open_
            if any(peer not in heard[chunk] and _holds(offer, chunk) for peer, offer in asked.items())
        )
        alone, alone_s = self._one_alone(digests, offers, speed)
        several = len(offers) > 1
        if tellable and (alone is None or (several and _opinions_s(tellable, heard, asked, speed) < alone_s)):
            return Again(chunks=tellable, only=None)
        if not open_:
            self._agreed_tries += 1
        return alone if self._agreed_tries <= AGREED_TRIES_MAX else None

    def _opinions(
        self, digests: Mapping[ChunkIndex, bytes]
    ) -> tuple[dict[ChunkIndex, tuple[PeerKey, ...]], list[ChunkIndex]]:
        """Who was heard of each chunk, and the chunks for which too few stand."""
        heard: dict[ChunkIndex, tuple[PeerKey, ...]] = dict.fromkeys(digests, ())
        standing: Counter[ChunkIndex] = Counter()
        for peer, said in self._said.items():
            for chunk in said.keys() & digests.keys():
                heard[chunk] += (peer,)
                standing[chunk] += digests[chunk] == said[chunk]
        return heard, [chunk for chunk in digests if standing[chunk] < OPINIONS_ENOUGH]

    def _one_alone(
        self,
        digests: Mapping[ChunkIndex, bytes],
        offers: Mapping[PeerKey, Offer],
        speed: Callable[[PeerKey], float],
    ) -> tuple[Again | None, float]:
        """What the peer that is done first would bring, so that the whole is its own, and how long it takes."""
        best: tuple[float, PeerKey, frozenset[ChunkIndex]] | None = None
        for peer, offer in offers.items():
            if offer.holds is None:
                said = self._said.get(peer, {})
                other = frozenset(chunk for chunk, digest in digests.items() if said.get(chunk) != digest)
                takes = (len(other) / _at_least(speed(peer)), peer, other)
                best = takes if best is None or takes[:2] < best[:2] else best
        return (None, inf) if best is None else (Again(chunks=best[2], only=best[1]), best[0])

    def unheard(self, again: Again, offers: Mapping[PeerKey, Offer], *, count: int) -> dict[PeerKey, Offer]:
        """The same offers, without the chunks that each peer was heard of already; `count` = of all chunks."""
        limited: dict[PeerKey, Offer] = {}
        for peer, offer in offers.items():
            told = again.chunks & self._said.get(peer, {}).keys()
            holds = frozenset(range(count)) if offer.holds is None else offer.holds
            limited[peer] = replace(offer, holds=holds - told) if told else offer
        return limited


def _holds(offer: Offer, chunk: ChunkIndex) -> bool:
    return offer.holds is None or chunk in offer.holds


def _at_least(bytes_per_s: float) -> float:
    """A speed to divide by: who has shown none comes last."""
    return max(bytes_per_s, 1.0)


def _opinions_s(
    chunks: Collection[ChunkIndex],
    heard: Mapping[ChunkIndex, tuple[PeerKey, ...]],
    offers: Mapping[PeerKey, Offer],
    speed: Callable[[PeerKey], float],
) -> float:
    """How long second opinions take, in the measure of `_one_alone`: the peers work side by side, each on what it was
    not heard of. Who holds but a part is not counted.
    """
    rates = {peer: _at_least(speed(peer)) for peer, offer in offers.items() if offer.holds is None}
    groups = Counter(frozenset(heard[chunk]) for chunk in chunks)
    each_s = (
        count / (sum(rate for peer, rate in rates.items() if peer not in peers) or 1.0)
        for peers, count in groups.items()
    )
    return max(len(chunks) / (sum(rates.values()) or 1.0), *each_s)
