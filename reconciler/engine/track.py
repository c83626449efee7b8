"""One track on its way from a wish to a file: a variant is sought, tried, and given its name.

Owns: the phases of one track, and which attempts it has. Never: chooses peers for chunks (engine.schedule), keeps
account of them (engine.swarm) or judges bytes (engine.attempt).

    seeking -> fetching -> (ready ->) publishing -> completed
       ^__________|  (the last attempt is refused: seek another variant)      any -> failed
       ^__________|_______________________|  held: the disk stood in the way, and what is on it is taken up again

Ready is a file that waits for the rest of its album. There is one attempt at a time, and a second one beside it while
the overlay helps with other bytes (engine.rescue); the first that is whole is published.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from reconciler.engine.attempt import Attempt, AttemptPhase
from reconciler.engine.chunks import ChunkPlan
from reconciler.engine.events import (
    ChunkListArrived,
    ChunkListRefused,
    ClosePart,
    Command,
    DiskRefused,
    Note,
    PartOpened,
    Publish,
    Published,
    TwinMoved,
    WholeRefused,
    WholeVerified,
)
from reconciler.engine.hold import Hold
from reconciler.engine.offers import SearchState, TrackOffers, reasons_of
from reconciler.engine.order import TrackOrder, TrackPhase, TrackProgress
from reconciler.engine.pace import RescuePolicy
from reconciler.engine.rescue import Rescue
from reconciler.engine.sharing import Claim, Sharing
from reconciler.engine.variants import Choice
from reconciler.ids import TrackPosition
from reconciler.manifests.model import Constraints
from reconciler.sources.base import Offer, PeerKey, Variant
from reconciler.traces.model import EventType


class Phase(StrEnum):
    """Where a track is."""

    SEEKING = "seeking"
    FETCHING = "fetching"
    HELD = "held"
    READY = "ready"
    PUBLISHING = "publishing"
    COMPLETED = "completed"
    FAILED = "failed"


_SHOWN: dict[Phase, TrackPhase] = {
    Phase.SEEKING: "searching",
    Phase.FETCHING: "fetching",
    Phase.HELD: "held",
    Phase.READY: "ready",
    Phase.PUBLISHING: "verifying",
    Phase.COMPLETED: "completed",
    Phase.FAILED: "failed",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What holds for every track of a job."""

    constraints: Constraints
    origins: frozenset[str]
    """Sources that are the origin of a track where they have it: those that send streams."""
    rescue: RescuePolicy
    album: bool
    """Whether files wait for each other."""


class TrackMachine:
    """The state of one track. Commands go to `out`; `usable` and `speed` ask the job about a peer, `ban` tells it of a
    liar.
    """

    def __init__(
        self,
        order: TrackOrder,
        *,
        rules: Rules,
        out: list[Command],
        usable: Callable[[PeerKey], bool],
        speed: Callable[[PeerKey], float],
        ban: Callable[[PeerKey, str], None],
        sharing: Sharing,
    ) -> None:
        self.order = order
        self.phase = Phase.SEEKING
        self.attempts: list[Attempt] = []
        """What is being tried; the first one is the origin's where a second is tried beside it."""
        self.rescue: Rescue | None = None
        self.offers = TrackOffers(
            order, constraints=rules.constraints, origins=rules.origins, usable=usable, speed=speed
        )
        self.error = ""
        self.retriable = True
        self.path = ""
        self.hold = Hold()
        self._sealed: Publish | None = None
        self._rules = rules
        self._out = out
        self._usable = usable
        self._ban = ban
        self._sharing = sharing

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
        """Whether it takes up disk and peers, or is to as soon as the disk lets it."""
        return self.phase in (Phase.FETCHING, Phase.HELD, Phase.PUBLISHING) and not self._shares

    @property
    def _shares(self) -> bool:
        """Whether a twin brings its bytes."""
        return bool(self.attempts) and all(each.phase is AttemptPhase.SHARING for each in self.attempts)

    @property
    def is_waiting(self) -> bool:
        """Whether its bytes are still to be asked for, all of them."""
        opening = self.phase is Phase.FETCHING and self.attempts[0].phase is AttemptPhase.OPENING
        return opening or self.phase is Phase.SEEKING

    @property
    def awaits_answer(self) -> bool:
        """Whether a command is out whose answer will move it on."""
        if self.phase is Phase.FETCHING:
            listing = self.rescue is not None and self.rescue.awaits_answer
            return listing or any(attempt.awaits_answer for attempt in self.attempts)
        return self.phase is Phase.PUBLISHING

    @property
    def variant(self) -> Variant | None:
        """What is being tried; None while nothing is."""
        return self.attempts[0].variant if self.attempts else None

    @property
    def state(self) -> tuple[Phase, tuple[AttemptPhase, ...]]:
        """Where it is and where its attempts are: another value means that something has moved."""
        return self.phase, tuple(attempt.phase for attempt in self.attempts)

    def attempt_of(self, plan: ChunkPlan) -> Attempt | None:
        """The attempt that a transfer is for; None where it is no longer tried."""
        return next((attempt for attempt in self.attempts if attempt.plan is plan), None)

    def progress(self) -> TrackProgress:
        """What a person sees: the attempt that is furthest."""
        first = max(self.attempts, key=lambda attempt: attempt.bytes_had / max(1, attempt.variant.size), default=None)
        size = first.variant.size if first else self.order.want.size or 0
        shown = "held" if self.hold.active and not self.is_done else _SHOWN[self.phase]
        if self.phase is Phase.FETCHING and first and first.phase in (AttemptPhase.VERIFYING, AttemptPhase.WHOLE):
            shown = "verifying"
        elif self.phase is Phase.FETCHING and self._shares:
            shown = "pending"
        return TrackProgress(
            position=self.position,
            title=self.order.title,
            phase=shown,
            bytes_done=size if self.phase is Phase.COMPLETED else first.bytes_had if first else 0,
            bytes_total=size,
            rescued=self.rescue is not None and self.rescue.lag is not None,
            shares=first.claim.text if first and first.claim else "",
            error=self.error,
            path=self.path,
        )

    # ---- another order -----------------------------------------------------------------------------------------------

    def may_go_on_as(self, order: TrackOrder) -> bool:
        """Whether what was done so far is good for `order` too."""
        goes_on = self.phase in (Phase.SEEKING, Phase.FETCHING, Phase.HELD, Phase.READY)
        return self.order.want == order.want and goes_on

    def order_changed(self, order: TrackOrder, rules: Rules) -> None:
        """Go on under another order; a variant that its constraints forbid is given up."""
        self.order = order
        self._rules = rules
        self.offers.order_changed(order, rules.constraints)
        if self.phase is Phase.READY:
            # Another duration or another codec may be wanted now: what is there is verified again.
            self.attempts = []
            self.phase = Phase.SEEKING
        forbidden = {each.variant.id: each.reason for each in self.offers.ranked(lossy_allowed=True).rejected}
        for attempt in self.attempts:
            attempt.order_changed(order)
            if (reason := forbidden.get(attempt.variant.id)) is not None:
                attempt.refuse(f"the manifest was changed: {reason}")

    # ---- seeking -----------------------------------------------------------------------------------------------------

    def add_offer(self, offer: Offer, now: float) -> None:
        """Remember an offer; a twin that brings the same bytes hears of it too."""
        if self.offers.add(offer, now):
            for attempt in self.attempts:
                if attempt.claim is not None and attempt.offers().get(offer.peer) is offer:
                    self._sharing.lend(attempt.claim, (offer,))

    def seek(
        self,
        now: float,
        *,
        search: SearchState,
        may_open: bool,
        lossy_allowed: bool,
        coverage: Mapping[str, int],
    ) -> None:
        """Choose a variant when it is time to, or fail when none can come."""
        choice = self.offers.ranked(lossy_allowed=lossy_allowed, coverage=coverage)
        if choice.acceptable:
            if may_open and self.offers.is_settled(now, search):
                self._begin(choice)
        elif search.over:
            self.fail(self.offers.why_none(choice))

    def _begin(self, choice: Choice) -> None:
        variant = choice.acceptable[0]
        claim = self._sharing.claim(self.position, variant, self.offers.of(variant).values())
        attempt = self.attempt(variant, chosen=_why_chosen(choice), claim=claim)
        if self._rules.rescue.enabled:
            self.rescue = Rescue(attempt, self._rules.rescue, out=self._out, usable=self._usable, ban=self._ban)
        self.phase = Phase.FETCHING

    def attempt(self, variant: Variant, *, chosen: str, claim: Claim | None) -> Attempt:
        """Try a variant, beside what is tried already; `claim` is to its bytes, None = they are not shared."""
        attempt = Attempt(
            self.order,
            variant,
            offers=self.offers,
            out=self._out,
            usable=self._usable,
            ban=self._ban,
            chosen=chosen,
            claim=claim,
        )
        self.attempts.append(attempt)
        return attempt

    def next_deadline(self, search: SearchState) -> float | None:
        """When `seek` should be called again though nothing happened."""
        if self.phase is Phase.HELD:
            return self.hold.look_at_s
        return self.offers.next_look_s(search) if self.phase is Phase.SEEKING else None

    # ---- fetching ----------------------------------------------------------------------------------------------------

    def list_arrived(self, event: ChunkListArrived) -> None:
        """Hand a chunk list to whoever asked for it."""
        for attempt in self.attempts:
            attempt.list_arrived(event)
        if self.rescue is not None:
            self.rescue.list_arrived(event)

    def list_refused(self, event: ChunkListRefused) -> None:
        """Tell whoever asked that a peer has no chunk list."""
        for attempt in self.attempts:
            attempt.list_refused(event)
        if self.rescue is not None:
            self.rescue.list_refused(event)

    def part_opened(self, event: PartOpened) -> None:
        """A part file is ready."""
        if self.phase is Phase.FETCHING:
            self.hold.passed()
        for attempt in self._of_part(event.part_id):
            attempt.part_opened(event)

    def twin_moved(self, event: TwinMoved) -> None:
        """Somebody else fetches the bytes that are wanted here too, or nobody does any more."""
        for attempt in self.attempts:
            if attempt.claim is not None and attempt.claim.place == event.place:
                attempt.twin_moved(event.leader, event.legacy)
                self._sharing.tell(attempt.claim, attempt.variant)
                self._sharing.lend(attempt.claim, attempt.offers().values())

    def let_go(self) -> None:
        """It is not wanted any more; its parts stay for whoever wants the same."""
        self._sharing.let_go([attempt.claim for attempt in self.attempts])

    def drop(self, attempt: Attempt) -> None:
        """Take an attempt that was refused out; seek another variant when it was the last one."""
        self.attempts.remove(attempt)
        self._sharing.let_go([attempt.claim])
        self.offers.refuse(attempt.variant.id, attempt.refusal)
        joined = self.rescue.joined if self.rescue is not None and self.rescue.attempt is attempt else None
        if joined is not None:
            self.offers.refuse(joined.id, attempt.refusal)
        if attempt.is_fatal:
            self.fail(attempt.refusal)
        elif not self.attempts:
            self.rescue = None
            self.phase = Phase.SEEKING

    # ---- verifying and publishing ------------------------------------------------------------------------------------

    def whole_verified(self, event: WholeVerified) -> None:
        """A part is right."""
        for attempt in self._of_part(event.part_id):
            attempt.whole_verified(event)

    def whole_refused(self, event: WholeRefused) -> None:
        """A part is wrong."""
        for attempt in self._of_part(event.part_id):
            attempt.whole_refused(event)

    def finish(self, attempt: Attempt, now: float) -> None:
        """Ask for the name of the first attempt that is whole, or be ready for it; the others are let go."""
        self._sharing.let_go([other.claim for other in self.attempts if other is not attempt])
        self.attempts = [attempt]
        self.phase = Phase.READY
        if self.rescue is not None:
            self.rescue.ended(now, "completed")
        self._sealed = Publish(
            position=self.position,
            variant=attempt.variant,
            part_id=attempt.part_id,
            root=attempt.root,
            chunk_hashes=tuple(attempt.receipts.in_order()),
            sha256=attempt.sha256,
        )
        if self._rules.album:
            # The album may wait for others; a twin need not: the part is whole, and stays where it is.
            self._sharing.whole(attempt.claim)
        else:
            self._out.append(self.publish())

    def publish(self) -> Publish:
        """Take what is ready to its name: the command for it."""
        assert self._sealed is not None
        self.phase = Phase.PUBLISHING
        return self._sealed

    def published(self, event: Published) -> None:
        """The file has its name."""
        for left in self.attempts:
            self._sharing.published(left.claim, event.path)
            if left.phase not in (AttemptPhase.WHOLE, AttemptPhase.REFUSED):
                left.refuse("the file is published")
        self.phase = Phase.COMPLETED
        self.path = event.path

    # ---- our own disk ------------------------------------------------------------------------------------------------

    def disk_refused(self, event: DiskRefused, now: float) -> None:
        """Our own disk stands in the way: let go of peers, keep what is there, and look again."""
        if event.trouble == "refused":
            self.fail(event.message)
            return
        if self.rescue is not None:
            self.rescue.ended(now, "the disk stands in the way")
        # An open file keeps a person from unmounting the disk that they want to mend. A twin may have another disk.
        self.let_go()
        self._out += [
            ClosePart(position=self.position, part_id=each.part_id) for each in self.attempts if each.claim is None
        ]
        self.attempts = []
        self.rescue = None
        self._sealed = None
        known = self.hold.active
        held = self.hold.refused(event, now)
        self.phase = Phase.HELD if held else Phase.SEEKING
        if not known:  # a disk that stays full is looked at for days
            self._out.append(self._hold_note(event, "held" if held else "lost"))

    def look_again(self) -> None:
        """Try the disk: what it has kept of the part is verified, and the rest is fetched."""
        self.phase = Phase.SEEKING

    def _hold_note(self, event: DiskRefused, action: str) -> Note:
        return Note(
            type=EventType.ERROR,
            action=action,
            position=self.position,
            is_error=True,
            error_code=f"disk {event.trouble}",
            error_message=event.message,
        )

    def fail(self, message: str, *, retriable: bool = True) -> None:
        """End without a file."""
        self.let_go()
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

    def _of_part(self, part_id: str) -> list[Attempt]:
        return [attempt for attempt in self.attempts if attempt.part_id == part_id]

    def check_invariants(self) -> None:
        """An open track tries something, and every attempt is consistent."""
        tries = self.phase is Phase.FETCHING
        assert bool(self.attempts) or not tries, "open, and nothing is tried"
        assert self.phase not in (Phase.READY, Phase.PUBLISHING) or self._sealed is not None, "nothing to publish"
        assert self.phase is not Phase.HELD or not self.attempts, "held, and tried all the same"
        for attempt in self.attempts:
            if not self.is_done:
                attempt.check_invariants()


def _why_chosen(choice: Choice) -> str:
    """Why the first acceptable variant, for the trace."""
    count = len(choice.acceptable) + len(choice.rejected)
    told = "the only one on offer" if count == 1 else f"best of {len(choice.acceptable)}, {count} on offer"
    against = reasons_of(choice)
    return f"{told}; not {against}" if against else told
