"""Several jobs at once in one virtual time: their machines share peers, the line and what is known.

Owns: the order in which the jobs' worlds step, and waking those whose turn has come. Never: decides a turn
(engine.shares). Peers are one object for all worlds: what one job asks of a peer comes behind what others did.
"""

from collections import Counter
from dataclasses import dataclass, field, replace

from sim.world import SimPeer, World, order_of

from reconciler.engine.events import ChunkArrived, StopAsked, TimePassed
from reconciler.engine.neighbours import Neighbours
from reconciler.ids import JobId


def job_id(number: int) -> JobId:
    """The id of the job with this number."""
    return JobId(f"01HRQ4GSX9K47J7M5FK7VW8B{number:02}")


@dataclass(kw_only=True)
class Crowd:
    """Jobs with these sizes of files and priorities, all of which may ask all `peers`.

    Their files differ, unless they are `twins`: a file of one size at one position is one content then.
    """

    sizes: list[list[int]]
    priorities: list[int]
    peers: list[SimPeer]
    bandwidth_bytes_per_s: float = 0.0
    in_flight_max: int = 2
    seed: int = 0
    twins: bool = False
    album: bool = False
    """Whether the files of each of `sizes` are published all at once."""
    arrivals: list[tuple[float, JobId, int]] = field(default_factory=list)
    """When which job was sent how many bytes."""

    def __post_init__(self) -> None:
        self.now = 0.0
        self.neighbours = Neighbours(bandwidth_bytes_per_s=self.bandwidth_bytes_per_s)
        self.worlds: dict[JobId, World] = {}
        for sizes, priority in zip(self.sizes, self.priorities, strict=True):
            self.add(sizes, priority=priority, album=self.album)

    def add(self, sizes: list[int], *, priority: int, peers: list[SimPeer] | None = None, album: bool = False) -> World:
        """Begin one more job; `peers` are those that it knows, None = all."""
        number = len(self.worlds)
        # A byte more is another file.
        sizes = sizes if self.twins else [size + number for size in sizes]
        order = replace(order_of(sizes), job_id=job_id(number), priority=priority)
        if album:
            order = replace(order, album="")
        self.worlds[order.job_id] = world = World(
            order=order,
            sizes=sizes,
            peers=self.peers if peers is None else peers,
            seed=self.seed + number,
            in_flight_max=self.in_flight_max,
            others=self.worlds,
            neighbours=self.neighbours,
        )
        for other in self.worlds.values():  # what one job knows of peers, it may lend to another
            world._by_name |= {name: peer for name, peer in other._by_name.items() if name not in world._by_name}
            other._by_name |= world._by_name
        world._now = self.now
        world._obey()
        return world

    @property
    def received(self) -> Counter[JobId]:
        """What each job was sent so far."""
        sums: Counter[JobId] = Counter()
        for _, job, size in self.arrivals:
            sums[job] += size
        return sums

    def stop(self, job: JobId) -> None:
        """Have a job stopped by a person."""
        self.worlds[job].tell(StopAsked(), self.now)

    def run(self, *, until_s: float = 36_000.0) -> None:
        """Run until every job has ended, nothing happens any more, or virtual time is up."""
        while self.running():
            due = [(at, job) for job, world in self.running().items() if (at := world.next_at()) is not None]
            if not due:
                raise AssertionError(f"at {self.now} s nothing will ever happen to {sorted(self.running())}")
            at, job = min(due)
            if at > until_s:
                self.now = max(self.now, until_s)
                return
            self.now = max(self.now, at)
            self._step(job)

    def running(self) -> dict[JobId, World]:
        """The jobs that have not ended."""
        return {job: world for job, world in self.worlds.items() if world.machine.outcome is None}

    def _step(self, job: JobId) -> None:
        event = self.worlds[job].step(self.now)
        if isinstance(event, ChunkArrived):
            self.arrivals.append((self.now, job, event.bytes_received))
        if self.worlds[job].machine.outcome is not None:
            self.neighbours.leave(job, self.now)
        self.neighbours.shares.check_invariants()
        for other, word in self.neighbours.take_words():
            if other in self.running():
                self.worlds[other].tell(word, self.now)
        for woken in self.neighbours.shares.take_wakes(stepped=job):
            if woken in self.running():
                self.worlds[woken].tell(TimePassed(), self.now)
