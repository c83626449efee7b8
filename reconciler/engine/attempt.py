"""One variant of one track on its way to a part that is whole and verified.

Owns: the phases of one part: its chunk list, its plan, whose word its bytes rest on. Never: chooses the variant
(engine.offers), picks peers for chunks (engine.schedule) or names the file (engine.track).

    sharing -> opening -> fetching -> verifying -> whole
                  ^__________|___________|  (its bytes were wrong: begin again)      any -> refused

It begins with sharing where a twin fetches the same bytes already (engine.twins).
"""

from collections.abc import Callable, Collection
from enum import StrEnum
from typing import assert_never

from reconciler.engine.chunk_list import ChunkListSearch
from reconciler.engine.chunk_pieces import fitting, pieces_in
from reconciler.engine.chunks import ChunkPlan
from reconciler.engine.doubt import Again, Doubt
from reconciler.engine.events import (
    ChunkListArrived,
    ChunkListRefused,
    Command,
    DiscardPart,
    Kept,
    OpenPart,
    PartOpened,
    VerifyWhole,
    WholeRefused,
    WholeVerified,
)
from reconciler.engine.notes import doubt_note, start_note
from reconciler.engine.offers import TrackOffers
from reconciler.engine.order import TrackOrder
from reconciler.engine.receipts import Receipts
from reconciler.engine.schedule import Fetching
from reconciler.engine.sharing import Claim
from reconciler.engine.twins import NO_LEGACY, Legacy, Place
from reconciler.ids import ChunkIndex, Root, Sha256, TrackPosition
from reconciler.overlay.merkle import chunk_count, root_of
from reconciler.sources.base import Offer, PeerKey, Variant

# How often wrong content on disk is thrown away and fetched again before the track fails: once may be a bad sector,
# twice is a bad disk.
CONTENT_TRIES_MAX = 2


class AttemptPhase(StrEnum):
    """Where an attempt is."""

    SHARING = "sharing"
    OPENING = "opening"
    FETCHING = "fetching"
    VERIFYING = "verifying"
    WHOLE = "whole"
    REFUSED = "refused"


class Attempt:
    """The way of one variant. Commands go to `out`; `usable` asks about a peer, `ban` tells of a liar."""

    def __init__(
        self,
        order: TrackOrder,
        variant: Variant,
        *,
        offers: TrackOffers,
        out: list[Command],
        usable: Callable[[PeerKey], bool],
        ban: Callable[[PeerKey, str], None],
        chosen: str,
        claim: Claim | None,
    ) -> None:
        """`chosen` says why this variant, for the trace; `claim` is to its bytes, None = they are not shared."""
        self.variant = variant
        self.claim = claim
        self.part_id = variant.id
        """What its part file is known by; stays when the bytes get a better name."""
        self.phase = AttemptPhase.OPENING
        self.plan: ChunkPlan | None = None
        self.receipts = Receipts()
        self.chunk_hashes: tuple[bytes, ...] | None = None
        self.only: PeerKey | None = None
        self.paused = False
        """Whether nothing is asked for it now, though it could be."""
        self.refusal = ""
        """Why it came to nothing."""
        self.is_fatal = False
        """Whether no other variant would fare better."""
        self.sha256: Sha256 | None = None
        """Of the whole, once it is verified; None where nobody asked for it and the file is large."""
        self._order = order
        self._offers = offers
        self._out = out
        self._usable = usable
        self._ban = ban
        self._chosen = chosen
        self._view: Fetching | None = None
        self._helpers: Variant | None = None
        self._all: tuple[dict[PeerKey, Offer], dict[PeerKey, Offer], dict[PeerKey, Offer]] | None = None
        """Its own offers, the helpers', and both: the same object while neither changes."""
        self._list = None if variant.root is None else ChunkListSearch(variant, out=out, usable=usable, ban=ban)
        self._kept: Kept | None = None
        self._copying = False
        self._joined = False
        self._content_failures = 0
        self._doubt = Doubt()
        self._again: Again | None = None
        """What a wrong whole has fetched again, until it is here."""
        self._unheard: tuple[dict[PeerKey, Offer], dict[PeerKey, Offer]] | None = None
        """All offers, and what is left of them for that."""
        if claim is None or claim.leader is None:
            self._open_part(NO_LEGACY if claim is None else claim.legacy)
        else:
            self.phase = AttemptPhase.SHARING

    # ---- what others ask of it ---------------------------------------------------------------------------------------

    @property
    def position(self) -> TrackPosition:
        """Which track it is for."""
        return self._order.want.position

    @property
    def awaits_answer(self) -> bool:
        """Whether a command is out whose answer will move it on."""
        if self.phase is AttemptPhase.OPENING:
            return self._kept is None or (self._list is not None and self._list.awaits_answer)
        return self.phase in (AttemptPhase.SHARING, AttemptPhase.VERIFYING)

    @property
    def provisional(self) -> bool:
        """Whether bytes count only when the whole does."""
        return self.chunk_hashes is None

    @property
    def bytes_had(self) -> int:
        """Bytes on disk that count so far."""
        if self.phase in (AttemptPhase.VERIFYING, AttemptPhase.WHOLE):
            return self.variant.size
        return self.plan.bytes_had if self.plan else 0

    @property
    def root(self) -> Root:
        """The root of a part that is whole, computed where the variant states none."""
        return self.variant.root or Root(root_of(self.receipts.in_order(), file_size=self.variant.size))

    def offers(self) -> dict[PeerKey, Offer]:
        """Who may be asked for its chunks: those who offer it, and those who help."""
        own = self._offers.of(self.variant)
        if self._helpers is None:
            return own
        help_ = self._offers.of(self._helpers)
        if self._all is None or self._all[0] is not own or self._all[1] is not help_:
            self._all = (own, help_, {**help_, **own})
        return self._all[2]

    def bringers(self) -> dict[PeerKey, Offer]:
        """The offers of those who may be asked for what is missing now.

        After a wrong whole, nobody is asked for a chunk of which it was heard already.
        """
        offers, again = self.offers(), self._again
        if again is None or again.only is not None or not self.provisional:
            return offers
        if self._unheard is None or self._unheard[0] is not offers:
            ranged = {peer: offer for peer, offer in offers.items() if self._offers.bears_ranges(offer)}
            count = chunk_count(self.variant.size)
            self._unheard = (offers, self._doubt.unheard(again, ranged, count=count))
        return self._unheard[1]

    def hear_anybody(self) -> bool:
        """Let whoever was heard of a chunk bring it once more, for nobody else can; False where that is so already."""
        limited, self._again, self._unheard = self._again is not None, None, None
        return limited

    def fetching(self) -> Fetching | None:
        """The view for the scheduler; None unless chunks are being fetched."""
        if self.phase is not AttemptPhase.FETCHING or self.plan is None or self.paused:
            return None
        view, offers = self._view, self.bringers()
        known = view is not None and (view.plan, view.only) == (self.plan, self.only) and view.offers is offers
        if view is None or not known or view.chunk_hashes is not self.chunk_hashes:
            view = self._view = Fetching(
                position=self.position,
                plan=self.plan,
                offers=offers,
                chunk_hashes=self.chunk_hashes,
                part_id=self.part_id,
                pieces=fitting(self._order.want, self.variant),
                only=self.only,
            )
        return view

    @property
    def _verified_by(self) -> str:
        if self.chunk_hashes is not None:
            return "chunks"
        pieces = fitting(self._order.want, self.variant)
        early = pieces_in(pieces, self.variant.size, ChunkIndex(0), ChunkIndex(0)) is not None
        return "pieces, then the whole file" if early else "whole file"

    def judge(self, chunk: ChunkIndex, found: bytes, said: bool | None) -> bool | None:  # noqa: FBT001 - three-valued
        """Whether a chunk that came is right: as the lane `said`, or by a list that came after it was asked for."""
        if said is None and self.chunk_hashes is not None:
            return self.chunk_hashes[chunk] == found
        return said

    def order_changed(self, order: TrackOrder) -> None:
        """The track is called otherwise, or goes elsewhere; its bytes are the same."""
        self._order = order

    # ---- opening -----------------------------------------------------------------------------------------------------

    def twin_moved(self, leader: Place | None, legacy: Legacy) -> None:
        """Another twin fetches the bytes now, or none does: then go on with what the last one left."""
        if self.claim is None or self.phase is not AttemptPhase.SHARING:
            return
        self.claim.leader = leader
        if leader is None:
            self._open_part(legacy)

    def _open_part(self, legacy: Legacy) -> None:
        self._kept = None
        self._copying = bool(legacy.published or legacy.whole)
        self.phase = AttemptPhase.OPENING
        self._out.append(OpenPart(position=self.position, variant=self.variant, part_id=self.part_id, legacy=legacy))

    def open(self, *, search_over: bool) -> None:
        """Ask for the chunk list where one can be had; begin to fetch once part and list are settled.

        While the search goes on, a peer that has the list may yet be found: only after it are provisional bytes settled
        for.
        """
        if self._kept is None and self._copying:
            return  # all of it may be here in a moment
        if self._kept is not None and len(self._kept) == chunk_count(self.variant.size):
            self._start_fetching(self._kept)  # the whole will be judged: nobody need be asked for a list
            return
        if self._list is not None and self.chunk_hashes is None:
            self._list.ask(self._offers.of(self.variant))
            self.chunk_hashes = self._list.hashes
        waits = self._list is not None and self.chunk_hashes is None and (self._list.awaits_answer or not search_over)
        if self._kept is not None and not waits:
            self._start_fetching(self._kept)

    def list_arrived(self, event: ChunkListArrived) -> None:
        """Take a chunk list, if it is this variant's."""
        if self._list is not None:
            self._list.arrived(event)

    def list_refused(self, event: ChunkListRefused) -> None:
        """Remember that a peer has none; `open` asks the next."""
        if self._list is not None:
            self._list.refused(event)

    def part_opened(self, event: PartOpened) -> None:
        """Take note of what is on disk already."""
        if self.phase is AttemptPhase.OPENING:
            self._kept = event.kept

    def _start_fetching(self, kept: Kept) -> None:
        self.plan = ChunkPlan(self.variant.size)
        before, givers = self.receipts.digests, self.receipts.givers
        again = self._again.chunks if self._again is not None and self.provisional else frozenset()
        self.receipts.clear()
        for chunk, found in kept:
            if chunk in again or (self.chunk_hashes is not None and self.chunk_hashes[chunk] != found):
                continue
            self.plan.have(chunk)
            same = chunk in before and before[chunk] == found
            self.receipts.keep(chunk, found, givers.get(chunk) if same else None)
        self.phase = AttemptPhase.FETCHING
        self._out.append(
            start_note(
                self._order,
                self.variant,
                self.plan,
                chosen=self._chosen,
                matched=next((each.matched for each in self._offers.of(self.variant).values() if each.matched), ""),
                verified_by=self._verified_by,
            )
        )
        self.check_whole()

    # ---- fetching ----------------------------------------------------------------------------------------------------

    def chunk_came(self, chunk: ChunkIndex, found: bytes, giver: PeerKey) -> bool:
        """Count a chunk that is on disk; False when it was there already."""
        if self.plan is None or not self.plan.have(chunk):
            return False
        self.receipts.came(chunk, found, giver)
        return True

    def check_whole(self) -> None:
        """Go on to verifying when nothing is missing."""
        if self.phase is AttemptPhase.FETCHING and self.plan is not None and self.plan.is_whole:
            self.phase = AttemptPhase.VERIFYING
            digests = None if self.provisional else tuple(self.receipts.in_order())
            self._out.append(
                VerifyWhole(
                    position=self.position,
                    variant=self.variant,
                    part_id=self.part_id,
                    digests=digests,
                    overwritable=self._joined,
                )
            )

    def compared_with(self, hashes: tuple[bytes, ...]) -> tuple[list[ChunkIndex], list[ChunkIndex]]:
        """Which of the chunks that are here are equal to those of a chunk list, and which differ."""
        equal: list[ChunkIndex] = []
        other: list[ChunkIndex] = []
        for chunk, found in self.receipts.digests.items():
            (equal if hashes[chunk] == found else other).append(chunk)
        return equal, other

    def join(self, hashes: tuple[bytes, ...], differing: Collection[ChunkIndex]) -> None:
        """From now on every chunk must be as in this list; what differs is fetched again."""
        assert self.plan is not None
        self.chunk_hashes = hashes
        self._joined = True
        for chunk in differing:
            self._lose(chunk)

    def overwritten(self, chunk: ChunkIndex) -> None:
        """A peer that was asked before it was known what a chunk must be has written another over it."""
        if self.phase is AttemptPhase.FETCHING:
            self._lose(chunk)

    def _lose(self, chunk: ChunkIndex) -> None:
        assert self.plan is not None
        self.plan.lose(chunk)
        self.receipts.lost(chunk)

    def help_from(self, rooted: Variant | None) -> None:
        """Let those who offer `rooted`, which has the same bytes, be asked too; None = only its own peers again."""
        self._helpers = rooted

    def release_only(self) -> None:
        """Let any peer bring the file again: the one it was held to is out."""
        self.only = None

    def refuse(self, reason: str, *, fatal: bool = False) -> None:
        """Give it up; what is on disk stays for a later try."""
        self.phase = AttemptPhase.REFUSED
        self.refusal = reason
        self.is_fatal = fatal

    # ---- verifying ---------------------------------------------------------------------------------------------------

    def whole_verified(self, event: WholeVerified) -> None:
        """The bytes are right; whoever sent others before is named."""
        if self.phase is AttemptPhase.VERIFYING:
            self.sha256 = event.sha256
            self.receipts.digests = self._on_disk(event.found)
            self.phase = AttemptPhase.WHOLE
            for liar, chunk in self._doubt.liars(self.receipts.digests).items():
                self._ban(liar, f"chunk {chunk} that it sent before is not that of the right file")

    def whole_refused(self, event: WholeRefused) -> None:
        """The bytes are wrong: find out whose fault it is, throw them away, go on with others."""
        if self.phase is not AttemptPhase.VERIFYING:
            return
        match event.fault:
            case "audio" if self._is_claimed and self.receipts.only_giver() is None:
                # Several peers called theirs the same: it may be only one of them whose bytes are not.
                self._blame(event)
            case "audio" | "claim":
                self._discard(event.message, quarantine=True, condemned=self._brought_alone() or self.variant)
                self.refuse(event.message)
            case "content":
                self._blame(event)
            case _:
                assert_never(event.fault)

    @property
    def _is_claimed(self) -> bool:
        """Whether nothing but peers' words says which bytes these are."""
        return self.provisional and self.variant.root is None and self.variant.sha256 is None

    def _discard(self, reason: str, *, quarantine: bool, condemned: Variant | None = None) -> None:
        self._out.append(
            DiscardPart(
                position=self.position,
                part_id=self.part_id,
                quarantine=quarantine,
                reason=reason,
                condemned=condemned,
            )
        )

    def _brought_alone(self) -> Variant | None:
        """What the one peer offered that brought it all; None where several did."""
        giver = self.receipts.only_giver()
        offer = None if giver is None else self.offers().get(giver)
        return None if offer is None else offer.variant

    def _blame(self, event: WholeRefused) -> None:
        """Decide who answers for wrong content, and what is fetched again.

        With chunk hashes every chunk was right when it came, so the disk is at fault. Without them a file from one peer
        names that peer; of a file from several, what may be wrong is fetched again from others, until success names
        whoever had sent other bytes.
        """
        self._content_failures += 1
        message = event.message
        if not self.provisional:
            self._discard(message, quarantine=False)
            self.receipts.clear()
            if self._content_failures >= CONTENT_TRIES_MAX:
                self.refuse(f"the disk does not keep what is written to it: {message}", fatal=True)
                return
        elif not self._question(event):
            why = f"what its peers sent makes no right whole, and none is left to bring it alone: {message}"
            self._discard(message, quarantine=False)
            self.refuse(why, fatal=True)
            return
        self.plan = None
        self._open_part(NO_LEGACY)

    def _question(self, event: WholeRefused) -> bool:
        """Ban whom a wrong whole refutes, and choose what is fetched again from whom; False where nobody can tell."""
        message, digests = event.message, self._on_disk(event.found)
        as_brought = all(digests[chunk] == found for chunk, found in self.receipts.digests.items())
        condemned = self._brought_alone() if as_brought and not event.wrong else None
        self._again, self._unheard, self.only = None, None, None
        self._doubt.heard(self.receipts.digests, self.receipts.givers)
        runs = [range(first, last + 1) for first, last in event.wrong] or [range(len(digests))]
        wrong = [{ChunkIndex(chunk): digests[ChunkIndex(chunk)] for chunk in run} for run in runs]
        for liar in self._doubt.refuted(wrong):
            self._ban(liar, f"the whole file is wrong: {message}")
        if condemned is not None:
            # All of it is one peer's word: nothing of it is worth keeping.
            self._discard(message, quarantine=False, condemned=condemned)
            self.receipts.clear()
            return True
        usable = {peer: offer for peer, offer in self.offers().items() if self._usable(peer)}
        again = self._doubt.next_step(
            {chunk: found for each in wrong for chunk, found in each.items()},
            usable,
            # Files that only peers call the same may differ in honesty: no second opinion of one is any of another.
            ranges=lambda offer: not self._is_claimed and self._offers.bears_ranges(offer),
            speed=self._offers.speed,
        )
        if again is None:
            return False
        self.only = again.only
        self._again = again
        if self._is_claimed:
            self._discard(message, quarantine=False)
            self.receipts.clear()
        self._out.append(doubt_note(self.position, self.variant, again, count=len(digests), message=message))
        return True

    def _on_disk(self, found: tuple[bytes, ...]) -> dict[ChunkIndex, bytes]:
        """What the chunks on the disk hash to: not always what was counted, for a request that was cancelled may have
        written late, or the disk may have changed a byte; neither is the giver's fault.
        """
        on_disk = dict(enumerate(found))
        return {chunk: on_disk.get(chunk, digest) for chunk, digest in self.receipts.digests.items()}

    # ---- invariants --------------------------------------------------------------------------------------------------

    def check_invariants(self) -> None:
        """What each phase needs is there."""
        if self.plan is not None:
            self.plan.check_invariants()
            here = len(self.receipts.digests)
            assert here == self.plan.chunks_had, "a chunk is here without its digest, or the other way about"
        match self.phase:
            case AttemptPhase.SHARING:
                assert self.claim is not None
                assert self.claim.leader is not None, "shares, and nobody fetches"
            case AttemptPhase.OPENING | AttemptPhase.REFUSED:
                pass
            case AttemptPhase.FETCHING:
                assert self.plan is not None
                assert not self.plan.is_whole, "whole, yet still fetching"
            case AttemptPhase.VERIFYING | AttemptPhase.WHOLE:
                assert self.plan is not None
                assert self.plan.is_whole, "not whole, yet being verified"
            case _:
                assert_never(self.phase)
