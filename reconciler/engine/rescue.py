"""Help from the overlay for a track whose origin is behind.

Owns: which overlay variants have the same bytes, when their peers are asked, and when that ends. Never: asks anybody
(engine.job), or measures the origin (engine.pace).

The overlay is first of all an oracle. As soon as an overlay peer names a root for a file of the same size and codec,
its chunk list is fetched and held against the chunks that are here: where they are equal, each further byte from the
origin is verified as it comes. An origin whose peers may be asked for ranges shares the file with the overlay from then
on. One that sends a stream stays the origin, and is helped only when it is behind:

    behind -> activated -> joined   (equal chunks: the overlay fills what is missing; nothing here is fetched again)
                        -> beside   (no variant is equal: the best other one is fetched too, the first whole one wins)
           -> deactivated           (the origin brings bytes again)
"""

from collections.abc import Callable, Iterable
from typing import Literal

from reconciler.engine.attempt import Attempt, AttemptPhase
from reconciler.engine.chunk_list import ChunkListSearch
from reconciler.engine.events import ChunkListArrived, ChunkListRefused, Command, Note
from reconciler.engine.pace import Lag, OriginPace, RescuePolicy
from reconciler.engine.transfers import Transfer
from reconciler.engine.variants import Choice
from reconciler.sources.base import Offer, PeerKey, Variant
from reconciler.traces.model import EventType

# Chunk lists asked for at once: more variants of one size than that are no help.
CANDIDATES_MAX = 8

# How often the overlay is asked again for who has the recording, while a track needs it.
SEARCH_AGAIN_S = 60.0

Step = Literal["nothing", "help", "search", "beside"]
"""What the job should do: let the helpers be asked, look for some, or fetch another variant beside."""


class Rescue:
    """The help of one attempt. Commands go to `out`; `usable` asks about a peer, `ban` tells of a liar."""

    def __init__(
        self,
        attempt: Attempt,
        policy: RescuePolicy,
        *,
        out: list[Command],
        usable: Callable[[PeerKey], bool],
        ban: Callable[[PeerKey, str], None],
    ) -> None:
        self.attempt = attempt
        self.joined: Variant | None = None
        self.lag: Lag | None = None
        """Why it is active; None = it is not."""
        self._pace = OriginPace(policy)
        self._out = out
        self._usable = usable
        self._ban = ban
        self._candidates: dict[str, ChunkListSearch] = {}
        self._other: set[str] = set()
        self._since_s = 0.0
        self._searched_s = float("-inf")

    # ---- the oracle --------------------------------------------------------------------------------------------------

    def consult(self, choice: Choice, offers_of: Callable[[Variant], dict[PeerKey, Offer]], *, streams: bool) -> None:
        """Find out whether a variant on offer has the very bytes that are coming; `streams` tells how the origin sends
        them.
        """
        if self.joined is not None or not self.attempt.provisional or self.attempt.plan is None:
            return
        for variant in choice.acceptable:
            if _may_be_same(self.attempt.variant, variant) and variant.id not in self._other:
                self._consider(variant)
        for candidate in list(self._candidates.values()):
            candidate.ask(offers_of(candidate.variant))
            if candidate.hashes is not None and self._compare(candidate.variant, candidate.hashes, streams=streams):
                return

    def list_arrived(self, event: ChunkListArrived) -> None:
        """Take the chunk list of a candidate."""
        if (candidate := self._candidates.get(event.variant_id)) is not None:
            candidate.arrived(event)

    def list_refused(self, event: ChunkListRefused) -> None:
        """Remember that a peer has no list of a candidate."""
        if (candidate := self._candidates.get(event.variant_id)) is not None:
            candidate.refused(event)

    @property
    def awaits_answer(self) -> bool:
        """Whether a chunk list is on its way."""
        return any(candidate.awaits_answer for candidate in self._candidates.values())

    def _consider(self, variant: Variant) -> None:
        if variant.id not in self._candidates and len(self._candidates) < CANDIDATES_MAX:
            self._candidates[variant.id] = ChunkListSearch(variant, out=self._out, usable=self._usable, ban=self._ban)

    def _compare(self, variant: Variant, hashes: tuple[bytes, ...], *, streams: bool) -> bool:
        """Join a candidate whose chunks are equal to ours; one that has none in common is another file.

        A few that differ among many equal ones are wrong in ours: another tag at the front, a bad byte. They are
        fetched again.
        """
        equal, differing = self.attempt.compared_with(hashes)
        if not equal and not differing:
            return False
        if len(equal) <= len(differing):
            self._other.add(variant.id)
            del self._candidates[variant.id]
            return False
        self.joined = variant
        self._candidates.clear()
        self.attempt.join(hashes, differing)
        if not streams or self.lag is not None:
            self.attempt.help_from(variant)
        facts: dict[str, str | int | float | bool] = {
            "chunks_equal": len(equal),
            "chunks_differing": len(differing),
            "joined": variant.id,
        }
        self._note(EventType.RESCUE_MODE_ACTIVATED if self.lag else EventType.TRACK_START, "joined", facts)
        return True

    # ---- who is who --------------------------------------------------------------------------------------------------

    def is_of_origin(self, offer: Offer) -> bool:
        """Whether an offer is the origin's own, and not a helper's."""
        ours = self.attempt.variant
        return offer.variant.id == ours.id or (offer.variant.root is None and offer.variant.sha256 == ours.sha256)

    def origin_offers(self) -> dict[PeerKey, Offer]:
        """The peers that are the origin."""
        return {peer: offer for peer, offer in self.attempt.offers().items() if self.is_of_origin(offer)}

    def best_other(self, choice: Choice) -> Variant | None:
        """The best variant on offer with a root of its own that has not been joined."""
        joined = self.joined.id if self.joined is not None else ""
        others = (
            variant
            for variant in choice.acceptable
            if variant.root is not None and variant.id not in (self.attempt.variant.id, joined)
        )
        return next(others, None)

    # ---- behind and not ----------------------------------------------------------------------------------------------

    def origin_brought(self, size_bytes: int, now: float) -> None:
        """The origin sent a chunk: it is measured, and where it was behind it has recovered."""
        self._pace.arrived(size_bytes, now)
        if self.lag is not None:
            active_s = round(now - self._since_s, 1)
            reason = self.lag.reason
            self.lag = None
            self._pace.begin_again()
            self.attempt.help_from(None)
            self._note(
                EventType.RESCUE_MODE_DEACTIVATED,
                "recovered",
                {"reason": reason, "active_s": active_s, "bytes_had": self.attempt.bytes_had},
            )

    def look(self, transfers: Iterable[Transfer], *, reachable: bool, other: Variant | None, now: float) -> Step:
        """Judge the origin and say what should be done now; `other` is the best variant with other bytes."""
        unproven = self.attempt.provisional or self.joined is not None
        if self.attempt.phase is not AttemptPhase.FETCHING or not unproven:
            return "nothing"
        if self.lag is None:
            self.lag = self._pace.lag(transfers, reachable=reachable, now=now)
            if self.lag is not None:
                self._activate(self.lag, now)
        return "nothing" if self.lag is None else self._step(other, now)

    def _step(self, other: Variant | None, now: float) -> Step:
        """What helps now that the origin is behind."""
        if self.joined is not None:
            return "help"
        if self.awaits_answer:
            return "nothing"
        if other is not None:
            return "beside"
        if now < self._searched_s + SEARCH_AGAIN_S:
            return "nothing"
        self._searched_s = now
        return "search"

    def next_look_s(self, transfers: Iterable[Transfer], now: float) -> float | None:
        """When `look` is due though nothing happens."""
        if self.attempt.phase is not AttemptPhase.FETCHING:
            return None
        if self.lag is None:
            return self._pace.next_look_s(transfers, now)
        return self._searched_s + SEARCH_AGAIN_S if self.joined is None else None

    def ended(self, now: float, how: str) -> None:
        """The track needs no help any more."""
        if self.lag is not None:
            self.lag = None
            self._note(EventType.RESCUE_MODE_DEACTIVATED, how, {"active_s": round(now - self._since_s, 1)})

    def _activate(self, lag: Lag, now: float) -> None:
        self._since_s = now
        plan = self.attempt.plan
        share = plan.bytes_had / plan.size if plan is not None and plan.size else 0.0
        facts = {
            **lag.figures,
            "reason": lag.reason,
            "bytes_had": self.attempt.bytes_had,
            "bytes_total": self.attempt.variant.size,
            "share_had": round(share, 3),
        }
        self._note(EventType.RESCUE_MODE_ACTIVATED, "activated", facts, message=lag.message)
        if self.joined is not None:
            self.attempt.help_from(self.joined)

    def _note(
        self,
        kind: EventType,
        action: str,
        facts: dict[str, str | int | float | bool],
        *,
        message: str = "",
    ) -> None:
        self._out.append(
            Note(
                type=kind,
                action=action,
                position=self.attempt.position,
                variant_id=self.attempt.variant.id,
                error_message=message,
                facts=facts,
            )
        )


def _may_be_same(ours: Variant, rooted: Variant) -> bool:
    """Whether a variant with a root could have the bytes of one without."""
    if rooted.root is None or rooted.size != ours.size:
        return False
    if ours.sha256 is not None and rooted.sha256 is not None and ours.sha256 != rooted.sha256:
        return False
    return not ours.codec or not rooted.codec or ours.codec.upper() == rooted.codec.upper()
