"""One track on its way from a wish to a file: which variant, its chunk list, its plan, its end.

Owns: the phases of one track. Never: chooses peers for chunks (engine.schedule) or keeps account of them (engine.job).

    seeking -> opening -> fetching -> verifying -> publishing -> completed
       ^___________|__________|___________|   (the variant is refused: seek another)          any -> failed
"""

from collections.abc import Callable
from enum import StrEnum
from typing import assert_never

from reconciler.engine.chunks import ChunkPlan
from reconciler.engine.events import (
    ChunkListArrived,
    ChunkListRefused,
    ChunkPrint,
    Command,
    DiscardPart,
    DiskRefused,
    FetchChunkList,
    Note,
    OpenPart,
    PartOpened,
    Publish,
    Published,
    VerifyWhole,
    WholeRefused,
    WholeVerified,
)
from reconciler.engine.order import TrackOrder, TrackPhase, TrackProgress
from reconciler.engine.schedule import Fetching
from reconciler.engine.variants import choose
from reconciler.ids import ChunkIndex, Root, TrackPosition
from reconciler.manifests.model import Constraints
from reconciler.overlay.merkle import chunk_count, hash_list_matches, root_of
from reconciler.sources.base import Offer, PeerKey, Variant
from reconciler.traces.model import EventType

# How long to listen for better offers after the first acceptable one, where the manifest does not name the very bytes.
# A search on a LAN ends sooner; two seconds outlast one slow peer without a person noticing.
SETTLE_S = 2.0

# Offers kept for one track. A swarm needs tens of peers; thousands of offers are noise or an attack, and each costs
# memory.
OFFERS_MAX = 500

# How often wrong content on disk is thrown away and fetched again before the track fails: once may be a bad sector,
# twice is a bad disk.
CONTENT_TRIES_MAX = 2


class Phase(StrEnum):
    """Where a track is."""

    SEEKING = "seeking"
    OPENING = "opening"
    FETCHING = "fetching"
    VERIFYING = "verifying"
    PUBLISHING = "publishing"
    COMPLETED = "completed"
    FAILED = "failed"


_SHOWN: dict[Phase, TrackPhase] = {
    Phase.SEEKING: "searching",
    Phase.OPENING: "fetching",
    Phase.FETCHING: "fetching",
    Phase.VERIFYING: "verifying",
    Phase.PUBLISHING: "verifying",
    Phase.COMPLETED: "completed",
    Phase.FAILED: "failed",
}


class TrackMachine:
    """The state of one track. Commands go to `out`; `usable` asks the job about a peer, `ban` tells it of a liar."""

    def __init__(
        self,
        order: TrackOrder,
        *,
        constraints: Constraints,
        out: list[Command],
        usable: Callable[[PeerKey], bool],
        ban: Callable[[PeerKey, str], None],
    ) -> None:
        self.order = order
        self.phase = Phase.SEEKING
        self.variant: Variant | None = None
        self.plan: ChunkPlan | None = None
        self.prints: dict[ChunkIndex, ChunkPrint] = {}
        """What every chunk that is here hashes to."""
        self.givers: dict[ChunkIndex, PeerKey] = {}
        """Who brought each provisional chunk of this run; chunks kept from an earlier one have no giver."""
        self.chunk_hashes: tuple[bytes, ...] | None = None
        self.only: PeerKey | None = None
        self.error = ""
        self.retriable = True
        self.path = ""
        self._constraints = constraints
        self._out = out
        self._usable = usable
        self._ban = ban
        self._offers: dict[tuple[PeerKey, str], Offer] = {}
        self._view: Fetching | None = None
        self._chosen: dict[PeerKey, Offer] = {}
        """Those of the chosen variant."""
        self._first_offer_s: float | None = None
        self._refused: dict[str, str] = {}
        self._list_asked: set[PeerKey] = set()
        self._list_from: PeerKey | None = None
        self._kept: tuple[tuple[ChunkIndex, ChunkPrint], ...] | None = None
        self._content_failures = 0

    # ---- what others ask of it ---------------------------------------------------------------------------------------

    @property
    def position(self) -> TrackPosition:
        """Where the track stands in its job."""
        return self.order.want.position

    @property
    def is_done(self) -> bool:
        """Whether nothing more will happen."""
        return self.phase in (Phase.COMPLETED, Phase.FAILED)

    @property
    def is_open(self) -> bool:
        """Whether it takes up disk and peers."""
        return self.phase not in (Phase.SEEKING, Phase.COMPLETED, Phase.FAILED)

    @property
    def awaits_answer(self) -> bool:
        """Whether a command is out whose answer will move it on."""
        if self.phase is Phase.OPENING:
            return self._kept is None or self._list_from is not None
        return self.phase in (Phase.VERIFYING, Phase.PUBLISHING)

    @property
    def provisional(self) -> bool:
        """Whether bytes count only when the whole does."""
        return self.chunk_hashes is None

    def offers(self) -> dict[PeerKey, Offer]:
        """Who offers the chosen variant."""
        if self.variant is None:
            return {}
        return self._chosen

    def fetching(self) -> Fetching | None:
        """The view for the scheduler; None unless chunks are being fetched."""
        if self.phase is not Phase.FETCHING or self.plan is None:
            return None
        view = self._view
        if view is None or view.plan is not self.plan or view.only != self.only:
            view = self._view = Fetching(
                position=self.position,
                plan=self.plan,
                offers=self.offers(),
                chunk_hashes=self.chunk_hashes,
                only=self.only,
            )
        return view

    def progress(self) -> TrackProgress:
        """What a person sees."""
        size = self.variant.size if self.variant else self.order.want.size or 0
        done = (
            size
            if self.phase in (Phase.COMPLETED, Phase.PUBLISHING, Phase.VERIFYING)
            else self.plan.bytes_had
            if self.plan
            else 0
        )
        return TrackProgress(
            position=self.position,
            title=self.order.title,
            phase=_SHOWN[self.phase],
            bytes_done=done,
            bytes_total=size,
            error=self.error,
            path=self.path,
        )

    # ---- seeking -----------------------------------------------------------------------------------------------------

    def add_offer(self, offer: Offer, now: float) -> bool:
        """Remember an offer; False when it is known or one too many."""
        key = (offer.peer, offer.variant.id)
        if key in self._offers or len(self._offers) >= OFFERS_MAX:
            return False
        self._offers[key] = offer
        if self.variant is not None and offer.variant.id == self.variant.id:
            self._chosen[offer.peer] = offer
        if self._first_offer_s is None:
            self._first_offer_s = now
        return True

    def seek(self, now: float, *, search_over: bool, may_open: bool, lossy_allowed: bool) -> None:
        """Choose a variant when it is time to, or fail when none can come."""
        live = [offer for offer in self._offers.values() if self._usable(offer.peer)]
        if not live and not search_over:
            return
        choice = choose(
            self.order, live, constraints=self._constraints, lossy_allowed=lossy_allowed, refused=self._refused
        )
        if choice.acceptable:
            if may_open and (search_over or self._names_bytes or now >= self._settled_s):
                self._begin(choice.acceptable[0])
            return
        if search_over:
            self._fail_seeking(
                [f"{r.variant.id[:12]}: {self._refused.get(r.variant.id, r.reason)}" for r in choice.rejected]
            )

    @property
    def _names_bytes(self) -> bool:
        return bool(self.order.want.root or self.order.want.sha256)

    @property
    def _settled_s(self) -> float:
        return (self._first_offer_s or 0.0) + SETTLE_S

    def next_deadline(self) -> float | None:
        """When `seek` should be called again though nothing happened."""
        if self.phase is Phase.SEEKING and self._first_offer_s is not None and not self._names_bytes:
            return self._settled_s
        return None

    def _fail_seeking(self, reasons: list[str]) -> None:
        if reasons:
            self.fail("no acceptable variant is on offer: " + "; ".join(reasons[:3]))
        elif self._offers:
            self.fail("every peer that offered it is banned or could not be reached")
        else:
            self.fail("no peer offers it")

    def _begin(self, variant: Variant) -> None:
        self.variant = variant
        self._chosen = {peer: offer for (peer, variant_id), offer in self._offers.items() if variant_id == variant.id}
        self.phase = Phase.OPENING
        self._kept = None
        self._list_asked.clear()
        self._list_from = None
        self.chunk_hashes = None
        if variant.root and chunk_count(variant.size) == 1:
            self.chunk_hashes = (bytes.fromhex(variant.root),)  # BEP 52: the only chunk's hash is the root itself
        self._out.append(OpenPart(position=self.position, variant=variant))

    # ---- opening -----------------------------------------------------------------------------------------------------

    def open(self, *, search_over: bool) -> None:
        """Ask for the chunk list where one can be had; begin to fetch once part and list are settled.

        While the search goes on, a peer that has the list may yet be found: only after it are provisional bytes settled
        for.
        """
        assert self.variant is not None
        if self.chunk_hashes is None and self.variant.root and self._list_from is None:
            for peer, offer in self.offers().items():
                if peer not in self._list_asked and self._usable(peer):
                    self._list_asked.add(peer)
                    self._list_from = peer
                    self._out.append(FetchChunkList(offer=offer))
                    return
        settled = self.chunk_hashes is not None or not self.variant.root or search_over
        if self._kept is not None and self._list_from is None and settled:
            self._start_fetching(self._kept)

    def list_arrived(self, event: ChunkListArrived) -> None:
        """Check a chunk list against the root; a list that does not hash to it names a liar."""
        if self.variant is None or event.variant_id != self.variant.id or event.peer != self._list_from:
            return
        self._list_from = None
        root = self.variant.root
        if root and hash_list_matches(root, event.raw, file_size=self.variant.size):
            self.chunk_hashes = tuple(event.raw[at : at + 32] for at in range(0, len(event.raw), 32))
        else:
            self._ban(event.peer, "its chunk list does not hash to the root")

    def list_refused(self, event: ChunkListRefused) -> None:
        """Remember that this peer has no list; `open` asks the next."""
        if self.variant is not None and event.variant_id == self.variant.id and event.peer == self._list_from:
            self._list_from = None

    def part_opened(self, event: PartOpened) -> None:
        """Take note of what is on disk already."""
        if self.phase is Phase.OPENING:
            self._kept = event.kept

    def _start_fetching(self, kept: tuple[tuple[ChunkIndex, ChunkPrint], ...]) -> None:
        assert self.variant is not None
        self.plan = ChunkPlan(self.variant.size)
        self.prints = {}
        self.givers = {}
        for chunk, found in kept:
            if self.chunk_hashes is None or self.chunk_hashes[chunk] == found.digest:
                self.plan.have(chunk)
                self.prints[chunk] = found
        self.phase = Phase.FETCHING
        self._out.append(
            Note(
                type=EventType.TRACK_START,
                action="resumed" if self.prints else "started",
                position=self.position,
                variant_id=self.variant.id,
                facts={
                    "title": self.order.title,
                    "bytes": self.variant.size,
                    "codec": self.variant.codec,
                    "verified_by": "chunks" if self.chunk_hashes else "whole file",
                    "chunks_kept": len(self.prints),
                    "bytes_kept": self.plan.bytes_had,
                    "chunks_total": self.plan.count,
                },
            )
        )
        self.check_whole()

    # ---- fetching ----------------------------------------------------------------------------------------------------

    def chunk_came(self, chunk: ChunkIndex, found: ChunkPrint, giver: PeerKey) -> bool:
        """Count a chunk that is on disk; False when it was there already."""
        if self.plan is None or not self.plan.have(chunk):
            return False
        self.prints[chunk] = found
        if self.provisional:
            self.givers[chunk] = giver
        return True

    def check_whole(self) -> None:
        """Go on to verifying when nothing is missing."""
        if self.phase is Phase.FETCHING and self.plan is not None and self.plan.is_whole:
            assert self.variant is not None
            self.phase = Phase.VERIFYING
            checksums = None if self.provisional else tuple(each.checksum for each in self._prints_in_order())
            self._out.append(VerifyWhole(position=self.position, variant=self.variant, checksums=checksums))

    def _prints_in_order(self) -> list[ChunkPrint]:
        return [self.prints[chunk] for chunk in sorted(self.prints)]

    def give_up_variant(self, reason: str) -> None:
        """Nobody is left who could bring the rest: seek another variant; what is on disk stays for a later try."""
        assert self.variant is not None
        self._refused[self.variant.id] = reason
        self._leave_variant()

    def _leave_variant(self) -> None:
        self.variant = None
        self.plan = None
        self.only = None
        self.phase = Phase.SEEKING

    # ---- verifying and publishing ------------------------------------------------------------------------------------

    def whole_verified(self, event: WholeVerified) -> None:
        """The bytes are right: ask for their name."""
        if self.phase is not Phase.VERIFYING:
            return
        assert self.variant is not None
        assert self.plan is not None
        hashes = tuple(each.digest for each in self._prints_in_order())
        root = self.variant.root or Root(root_of(hashes, file_size=self.variant.size))
        self.phase = Phase.PUBLISHING
        self._out.append(
            Publish(position=self.position, variant=self.variant, root=root, chunk_hashes=hashes, sha256=event.sha256)
        )

    def whole_refused(self, event: WholeRefused) -> None:
        """The bytes are wrong: find out whose fault it is, throw them away, go on with others."""
        if self.phase is not Phase.VERIFYING:
            return
        assert self.variant is not None
        match event.fault:
            case "audio":
                self._out.append(DiscardPart(position=self.position, quarantine=True, reason=event.message))
                self._refused[self.variant.id] = event.message
                self._leave_variant()
            case "content":
                self._out.append(DiscardPart(position=self.position, quarantine=False, reason=event.message))
                self._blame(event.message)
            case _:
                assert_never(event.fault)

    def _blame(self, message: str) -> None:
        """Decide who answers for wrong content.

        With chunk hashes every chunk was right when it came, so the disk is at fault. Without them a file from one peer
        names that peer; a file from several is fetched again from one alone, so that the next failure names somebody.
        """
        givers = set(self.givers.values())
        self._content_failures += 1
        if not self.provisional:
            if self._content_failures >= CONTENT_TRIES_MAX:
                self.fail(f"the disk does not keep what is written to it: {message}")
                return
        elif len(givers) == 1 and len(self.givers) == len(self.prints):
            self._ban(givers.pop(), f"the whole file is wrong: {message}")
        else:
            self.only = self._next_alone()
            if self.only is None:
                self.fail(f"what several peers sent makes no right whole, and none of them has all of it: {message}")
                return
        self._reopen()

    def _next_alone(self) -> PeerKey | None:
        """A peer that can bring the whole file by itself."""
        whole = (peer for peer, offer in self.offers().items() if offer.holds is None and self._usable(peer))
        return min(whole, default=None)

    def _reopen(self) -> None:
        assert self.variant is not None
        self._kept = None
        self.plan = None
        self.phase = Phase.OPENING
        self._out.append(OpenPart(position=self.position, variant=self.variant))

    def release_only(self) -> None:
        """Let any peer bring the track again: the one it was held to is out."""
        self.only = None

    def published(self, event: Published) -> None:
        """The file has its name."""
        self.phase = Phase.COMPLETED
        self.path = event.path

    def disk_refused(self, event: DiskRefused) -> None:
        """Our own disk stands in the way: fail for now, keep what is there."""
        self.fail(event.message)

    def fail(self, message: str, *, retriable: bool = True) -> None:
        """End without a file."""
        self.phase = Phase.FAILED
        self.error = message
        self.retriable = retriable
        self._out.append(
            Note(
                type=EventType.TRACK_COMPLETE,
                action="failed",
                position=self.position,
                variant_id=self.variant.id if self.variant else "",
                is_error=True,
                error_code="track failed",
                error_message=message,
            )
        )

    def check_invariants(self) -> None:
        """What each phase needs is there."""
        if self.plan is not None:
            self.plan.check_invariants()
            assert len(self.prints) == self.plan.chunks_had, "a chunk is here without its print, or the other way about"
        match self.phase:
            case Phase.SEEKING | Phase.FAILED | Phase.COMPLETED:
                pass
            case Phase.OPENING:
                assert self.variant is not None
            case Phase.FETCHING:
                assert self.plan is not None
                assert not self.plan.is_whole, "whole, yet still fetching"
            case Phase.VERIFYING | Phase.PUBLISHING:
                assert self.plan is not None
                assert self.plan.is_whole, "not whole, yet being verified"
            case _:
                assert_never(self.phase)
