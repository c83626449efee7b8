"""What peers offer for one track, and which of it is fetched.

Owns: the offers of one track, the variants that were tried and found wanting, and the moment of the choice.
Never: ranks (engine.variants), or knows what becomes of the choice.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from reconciler.engine.order import TrackOrder
from reconciler.engine.variants import Choice, Standing, choose, likeness
from reconciler.manifests.model import Constraints
from reconciler.sources.base import Offer, PeerKey, Variant

# How long to listen for better offers after the first acceptable one, where the manifest does not name the very bytes.
# A search on a LAN ends sooner; two seconds outlast one slow peer without a person noticing.
SETTLE_S = 2.0

# How long the origin may take to be found before others are settled for: a search of Soulseek that has to wait for its
# budget can take minutes, and somebody else may have the very recording now.
ORIGIN_WAIT_S = 30.0

# Offers kept for one track. A swarm needs tens of peers; thousands of offers are noise or an attack, and each costs
# memory.
OFFERS_MAX = 500

_REASONS_SHOWN_MAX = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchState:
    """How far the search is."""

    over: bool
    """No source will find anything more."""
    origin_over: bool
    """No origin will."""


class TrackOffers:
    """The offers of one track. `usable` tells whether a peer may be asked; `origins` are sources that come first."""

    def __init__(
        self,
        order: TrackOrder,
        *,
        constraints: Constraints,
        origins: frozenset[str],
        usable: Callable[[PeerKey], bool],
        speed: Callable[[PeerKey], float],
    ) -> None:
        self._order = order
        self._constraints = constraints
        self._origins = origins
        self._usable = usable
        self.speed = speed
        """Bytes per second of a peer, as far as it has shown; 0.0 before."""
        self._offers: dict[tuple[PeerKey, str], Offer] = {}
        self._first_s: float | None = None
        self._refused: dict[str, str] = {}
        self._same: dict[str, dict[PeerKey, Offer]] = {}
        """Who offers the bytes of a variant, as it was last asked for; dropped with each new offer."""
        self._ranked: tuple[tuple[object, ...], Choice] | None = None
        """What the last choice was made of, and the choice."""

    def add(self, offer: Offer, now: float) -> bool:
        """Remember an offer; False when it is known or one too many."""
        key = (offer.peer, offer.variant.id)
        if key in self._offers or len(self._offers) >= OFFERS_MAX:
            return False
        self._offers[key] = offer
        self._same.clear()
        if self._first_s is None:
            self._first_s = now
        return True

    def order_changed(self, order: TrackOrder, constraints: Constraints) -> None:
        """Judge by these from now on."""
        self._order = order
        self._constraints = constraints

    def refuse(self, variant_id: str, reason: str) -> None:
        """Never choose this variant again for this track."""
        self._refused[variant_id] = reason

    def of(self, variant: Variant) -> dict[PeerKey, Offer]:
        """Who offers the bytes of `variant`: under its own name, by the SHA-256 that both state where a root lets each
        chunk be verified, or as a file that is alike in everything where nobody can prove anything.
        """
        found = self._same.get(variant.id)
        if found is None:
            found = self._same[variant.id] = {}
            for (peer, variant_id), offer in self._offers.items():
                if variant_id == variant.id or (peer not in found and _is_same_file(offer.variant, variant)):
                    found[peer] = offer
        return found

    def bears_ranges(self, offer: Offer) -> bool:
        """Whether its peer may be asked for any chunks of it, and not for one stream only."""
        return offer.source not in self._origins

    def folders(self) -> set[str]:
        """The folders that have this track."""
        return {offer.folder for offer in self._offers.values() if offer.folder and self._usable(offer.peer)}

    def ranked(self, *, lossy_allowed: bool, coverage: Mapping[str, int] | None = None) -> Choice:
        """Everything that usable peers offer, best first, and what is refused with the reason; `coverage` counts the
        job's tracks in each folder.
        """
        live = [offer for offer in self._offers.values() if self._usable(offer.peer)]
        if coverage is not None:
            return self._choose(live, lossy_allowed=lossy_allowed, coverage=coverage)
        # Asked after every event while the overlay might help: mostly nothing has changed since.
        seen = (lossy_allowed, len(self._refused), id(self._order), id(self._constraints), *map(id, live))
        if self._ranked is None or self._ranked[0] != seen:
            self._ranked = seen, self._choose(live, lossy_allowed=lossy_allowed, coverage={})
        return self._ranked[1]

    def _choose(self, live: list[Offer], *, lossy_allowed: bool, coverage: Mapping[str, int]) -> Choice:
        return choose(
            self._order,
            live,
            constraints=self._constraints,
            standing=Standing(
                lossy_allowed=lossy_allowed, refused=self._refused, origins=self._origins, coverage=coverage
            ),
        )

    def is_settled(self, now: float, search: SearchState) -> bool:
        """Whether a better offer is not waited for any more."""
        if search.over or self._names_bytes:
            return True
        if self._first_s is None:
            return False
        wait_s = SETTLE_S if search.origin_over else ORIGIN_WAIT_S
        return now >= self._first_s + wait_s

    def next_look_s(self, search: SearchState) -> float | None:
        """When the choice is due though nothing happens; None where an event will tell."""
        if self._first_s is None or search.over or self._names_bytes:
            return None
        return self._first_s + (SETTLE_S if search.origin_over else ORIGIN_WAIT_S)

    def why_none(self, choice: Choice) -> str:
        """Why nothing of what was offered can be fetched, for a person."""
        if choice.rejected:
            reasons = [_told(each.variant, self._refused.get(each.variant.id, each.reason)) for each in choice.rejected]
            return "no acceptable variant is on offer: " + "; ".join(reasons[:_REASONS_SHOWN_MAX])
        if self._offers:
            return "every peer that offered it is banned or could not be reached"
        return "no peer offers it"

    @property
    def _names_bytes(self) -> bool:
        return bool(self._order.want.root or self._order.want.sha256)


def reasons_of(choice: Choice) -> str:
    """The rejected variants of a choice with their reasons, as a trace shows them."""
    told = [_told(each.variant, each.reason) for each in choice.rejected]
    return "; ".join(told[:_REASONS_SHOWN_MAX])


def _is_same_file(offered: Variant, wanted: Variant) -> bool:
    if offered.root is not None or offered.size != wanted.size:
        return False
    if wanted.root is not None:
        return wanted.sha256 is not None and offered.sha256 == wanted.sha256
    return wanted.sha256 is None and likeness(offered) == likeness(wanted)


def _told(variant: Variant, reason: str) -> str:
    return f"{variant.id[:12]}: {reason}"
