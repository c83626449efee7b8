"""What the jobs that run at the same time have in common.

Owns: one job's view of it (`Seat`), and what a job has to be told because of another one. Never: decides what a job
fetches (engine.job), or keeps anything on a disk.
"""

import itertools
from collections.abc import Iterable
from dataclasses import replace

from reconciler.engine.commons import Ask, Prior
from reconciler.engine.events import PeerJudged, PeersFound, TransferId, TwinMoved
from reconciler.engine.order import JobOrder
from reconciler.engine.reputation import Book, Sight
from reconciler.engine.shares import Shares
from reconciler.engine.twins import Claimed, News, Place, Twins, keys_of
from reconciler.ids import JobId, TrackPosition
from reconciler.sources.base import Offer, PeerKey, Variant

Word = PeerJudged | PeersFound | TwinMoved
"""What a job may have to be told because of another."""


class Neighbours:
    """All running jobs, as far as they concern each other. `bandwidth_bytes_per_s` is the cap over them; 0 = none."""

    def __init__(self, *, bandwidth_bytes_per_s: float) -> None:
        self.book = Book()
        """What is known of peers."""
        self.shares = Shares(bandwidth_bytes_per_s=bandwidth_bytes_per_s)
        self._wall_ahead_s = 0.0
        self._seats: dict[JobId, Seat] = {}
        self._words: list[tuple[JobId, Word]] = []
        self._twins = Twins()
        self._priorities: dict[JobId, int] = {}
        self._places = itertools.count(1)

    def tell_time(self, *, wall: float, monotonic: float) -> None:
        """Say what time it is for people; jobs give the monotonic one."""
        self._wall_ahead_s = wall - monotonic

    def wall(self, now: float) -> float:
        """The time for people at monotonic time `now`."""
        return now + self._wall_ahead_s

    def seat(self, order: JobOrder) -> "Seat":
        """Let a job take part until it leaves."""
        self._priorities[order.job_id] = order.priority
        self.shares.join(order.job_id, priority=order.priority)
        self._seats[order.job_id] = seat = Seat(order.job_id, self, allowed_root=order.allowed_root)
        return seat

    def leave(self, job_id: JobId, now: float) -> None:
        """A job has ended; what it saw is kept, what it had is free."""
        self._harvest(job_id, now)
        self._seats.pop(job_id, None)
        self._priorities.pop(job_id, None)
        self.shares.leave(job_id)
        self._pass_on(self._twins.leave_all(job_id))

    def harvest(self, now: float) -> None:
        """Let what every job has seen join what is known."""
        for job_id in self._seats:
            self._harvest(job_id, now)

    def ban(self, peer: PeerKey, reason: str, *, told_by: JobId, now: float) -> None:
        """Ban a peer in all jobs, those that run as well."""
        if self.book.ban(peer, reason, self.wall(now)):
            others = (job_id for job_id in self._seats if job_id != told_by)
            judged = PeerJudged(peer=peer, banned=f"it lied to job {told_by}: {reason}")
            self._words += [(job_id, judged) for job_id in others]

    def pardon(self, peers: Iterable[str]) -> None:
        """Know nothing of these peers any more, and let the jobs that run ask them again."""
        forgotten = [PeerKey(peer) for peer in peers]
        self.book.forget(forgotten)
        for peer in forgotten:
            self._words += [(job_id, PeerJudged(peer=peer, banned="")) for job_id in self._seats]

    # ---- twins -------------------------------------------------------------------------------------------------------

    def claim(
        self, job_id: JobId, position: TrackPosition, variant: Variant, *, allowed_root: str
    ) -> tuple[Place, Claimed] | None:
        """Claim a variant's bytes; see engine.commons.Commons."""
        keys = keys_of(variant)
        if not keys:
            return None
        place = Place(
            job_id=job_id,
            position=position,
            part_id=variant.id,
            allowed_root=allowed_root,
            number=next(self._places),
        )
        claimed = self._twins.claim(place, keys)
        self._weigh()
        return place, claimed

    def leave_twin(self, place: Place, *, published: str, whole: bool) -> None:
        """Somebody fetches or waits no longer."""
        self._pass_on(self._twins.leave(place, published=published, whole=whole))

    def lend(self, leader: Place, offers: tuple[Offer, ...]) -> None:
        """Let a leader know of more peers that have its bytes."""
        found = tuple(replace(offer, position=leader.position) for offer in offers)
        if found and leader.job_id in self._seats:
            self._words.append((leader.job_id, PeersFound(found=found)))

    def weigh(self, job_id: JobId, priority: int) -> None:
        """A job has another priority."""
        self._priorities[job_id] = priority
        self._weigh()

    def _pass_on(self, news: Iterable[News]) -> None:
        for each in news:
            moved = TwinMoved(position=each.place.position, place=each.place, leader=each.leader, legacy=each.legacy)
            self._words.append((each.place.job_id, moved))
        self._weigh()

    def _weigh(self) -> None:
        """Give each job the share of its priority, or of the highest that waits for it: a job that matters must not be
        held up by one that does not.
        """
        weights = dict(self._priorities)
        follows = self._twins.followers()
        for _ in weights:  # as often as a chain of jobs that wait for each other can be long
            before = dict(weights)
            for waiter, leader in follows:
                if waiter in weights and leader in weights:
                    weights[leader] = max(weights[leader], weights[waiter])
            if weights == before:
                break
        for job_id, priority in weights.items():
            self.shares.weigh(job_id, priority=priority)

    # ---- words -------------------------------------------------------------------------------------------------------

    def take_words(self) -> list[tuple[JobId, Word]]:
        """What jobs have to be told, in order; each word is given out once."""
        words, self._words = self._words, []
        return words

    def _harvest(self, job_id: JobId, now: float) -> None:
        seat = self._seats.get(job_id)
        if seat is not None:
            self.book.merge(seat.take_sights(), self.wall(now))


class Seat:
    """One job's view of what is shared; see engine.commons.Commons."""

    def __init__(self, job_id: JobId, neighbours: Neighbours, *, allowed_root: str) -> None:
        self._job_id = job_id
        self._allowed_root = allowed_root
        self._neighbours = neighbours
        # Bounded by the peers of a job (engine.swarm.PEERS_MAX): only who was asked is seen.
        self._sights: dict[PeerKey, Sight] = {}
        self._open: dict[TransferId, tuple[Ask, int]] = {}
        """Each request with what it still owes."""

    # ---- what is known of peers --------------------------------------------------------------------------------------

    def prior(self, peer: PeerKey, now: float) -> Prior:
        """What is known of a peer that the job meets."""
        return self._neighbours.book.prior(peer, self._neighbours.wall(now))

    def delivered(self, peer: PeerKey, *, bytes_received: int, duration_s: float | None) -> None:
        """A peer has brought a good chunk."""
        sight = self._sight(peer)
        sight.chunks_good += 1
        if duration_s is not None:
            sight.bytes_timed += bytes_received
            sight.seconds += duration_s
        self._neighbours.shares.proved(peer)

    def refused(self, peer: PeerKey) -> None:
        """A peer has brought a wrong chunk."""
        self._sight(peer).chunks_refused += 1

    def failed(self, peer: PeerKey, *, timed_out: bool) -> None:
        """A request to a peer has failed by its fault."""
        sight = self._sight(peer)
        if timed_out:
            sight.timeouts += 1
        else:
            sight.errors += 1

    def lied(self, peer: PeerKey, reason: str, now: float) -> None:
        """A peer has broken its own word: no job may ask it until its ban ends."""
        self._neighbours.ban(peer, reason, told_by=self._job_id, now=now)

    def take_sights(self) -> dict[PeerKey, Sight]:
        """What the job has seen since this was last asked."""
        sights, self._sights = self._sights, {}
        return sights

    def _sight(self, peer: PeerKey) -> Sight:
        return self._sights.setdefault(peer, Sight())

    # ---- whose turn it is --------------------------------------------------------------------------------------------

    @property
    def is_waiting(self) -> bool:
        """Whether the job waits for its turn somewhere."""
        return self._neighbours.shares.is_waiting(self._job_id)

    def weigh(self, priority: int) -> None:
        """Let the job's share follow another priority."""
        self._neighbours.weigh(self._job_id, priority)

    def take_calls(self, now: float) -> frozenset[PeerKey]:
        """The peers that the job should look at: its turn has come there."""
        return self._neighbours.shares.take_calls(self._job_id, now)

    def look(self, peer: PeerKey) -> None:
        """The job looks at a peer anew: it does not wait for it until it is refused again."""
        self._neighbours.shares.look(self._job_id, peer)

    def bounded(self, peer: PeerKey, bytes_per_s: float) -> float:
        """A peer's speed, as far as the size of one request may follow it."""
        return self._neighbours.shares.bounded(self._job_id, peer, bytes_per_s)

    def is_shared(self, peer: PeerKey) -> bool:
        """Whether other jobs use this peer now, or would."""
        return self._neighbours.shares.is_shared(self._job_id, peer)

    def may_ask(self, ask: Ask, now: float) -> bool:
        """Whether the request may be sent now; where it may not, the job waits for its turn."""
        return self._neighbours.shares.may_ask(self._job_id, ask, now)

    def asked(self, transfer: TransferId, ask: Ask, now: float) -> None:
        """The request was sent."""
        self._open[transfer] = ask, ask.size_bytes
        self._neighbours.shares.asked(self._job_id, ask, now)

    def came(self, transfer: TransferId, *, bytes_owed: int, now: float) -> None:
        """Some of a request came; so much of it is still to come."""
        ask, before = self._open[transfer]
        self._open[transfer] = ask, bytes_owed
        self._neighbours.shares.came(self._job_id, ask, before - bytes_owed, now)

    def ended(self, transfer: TransferId) -> None:
        """A request is over, whatever came of it."""
        ask, owed = self._open.pop(transfer)
        self._neighbours.shares.ended(self._job_id, ask, owed)

    def owed_by(self, peer: PeerKey) -> int:
        """Bytes that a peer owes all jobs together."""
        return self._neighbours.shares.owed_by(peer)

    def next_turn(self, now: float) -> float | None:
        """When the job should ask again though nothing happens."""
        return self._neighbours.shares.next_turn(self._job_id, now)

    # ---- twins -------------------------------------------------------------------------------------------------------

    def claim(self, position: TrackPosition, variant: Variant) -> tuple[Place, Claimed] | None:
        """Claim a variant's bytes for a track of the job."""
        return self._neighbours.claim(self._job_id, position, variant, allowed_root=self._allowed_root)

    def leave(self, place: Place, *, published: str = "", whole: bool = False) -> None:
        """Fetch or wait no longer; see engine.commons.Commons."""
        self._neighbours.leave_twin(place, published=published, whole=whole)

    def lend(self, leader: Place, offers: tuple[Offer, ...]) -> None:
        """Let whoever fetches the same bytes ask these peers too."""
        self._neighbours.lend(leader, offers)
