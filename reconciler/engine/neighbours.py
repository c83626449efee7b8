"""What the jobs that run at the same time have in common.

Owns: one job's view of it (`Seat`), and what a job has to be told because of another one. Never: decides what a job
fetches (engine.job), or keeps anything on a disk.
"""

from collections.abc import Iterable

from reconciler.engine.commons import Prior
from reconciler.engine.events import Event, PeerJudged
from reconciler.engine.reputation import Book, Sight
from reconciler.ids import JobId
from reconciler.sources.base import PeerKey


class Neighbours:
    """All running jobs, as far as they concern each other."""

    def __init__(self) -> None:
        self.book = Book()
        """What is known of peers."""
        self._wall_ahead_s = 0.0
        self._seats: dict[JobId, Seat] = {}
        self._words: list[tuple[JobId, Event]] = []

    def tell_time(self, *, wall: float, monotonic: float) -> None:
        """Say what time it is for people; jobs give the monotonic one."""
        self._wall_ahead_s = wall - monotonic

    def wall(self, now: float) -> float:
        """The time for people at monotonic time `now`."""
        return now + self._wall_ahead_s

    def seat(self, job_id: JobId) -> "Seat":
        """Let a job take part until it leaves."""
        self._seats[job_id] = seat = Seat(job_id, self)
        return seat

    def leave(self, job_id: JobId, now: float) -> None:
        """A job has ended; what it saw is kept."""
        self._harvest(job_id, now)
        self._seats.pop(job_id, None)

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

    def take_words(self) -> list[tuple[JobId, Event]]:
        """What jobs have to be told, in order; each word is given out once."""
        words, self._words = self._words, []
        return words

    def _harvest(self, job_id: JobId, now: float) -> None:
        seat = self._seats.get(job_id)
        if seat is not None:
            self.book.merge(seat.take_sights(), self.wall(now))


class Seat:
    """One job's view of what is shared; see engine.commons.Commons."""

    def __init__(self, job_id: JobId, neighbours: Neighbours) -> None:
        self._job_id = job_id
        self._neighbours = neighbours
        # Bounded by the peers of a job (engine.swarm.PEERS_MAX): only who was asked is seen.
        self._sights: dict[PeerKey, Sight] = {}

    def prior(self, peer: PeerKey, now: float) -> Prior:
        """What is known of a peer that the job meets."""
        return self._neighbours.book.prior(peer, self._neighbours.wall(now))

    def delivered(self, peer: PeerKey, *, bytes_received: int, duration_s: float) -> None:
        """A peer has brought a good chunk."""
        sight = self._sight(peer)
        sight.chunks_good += 1
        sight.bytes_accepted += bytes_received
        sight.seconds += duration_s

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
