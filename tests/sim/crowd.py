"""Several jobs at once in one virtual time: their machines share the disk, peers, the line and what is known.

Owns: the order in which the jobs' worlds step, and waking those whose turn has come. Never: decides a turn
(engine.shares). What a peer sends with is one for all worlds: what one job is sent comes after what others are.
"""

import random
from collections import Counter
from dataclasses import dataclass, replace

from reconciler.engine.events import StopAsked, TimePassed
from reconciler.engine.neighbours import Neighbours
from reconciler.ids import JobId
from reconciler.simulation.behaviour import SimPeer
from reconciler.simulation.content import order_of
from reconciler.simulation.disk import Disk
from reconciler.simulation.scene import Scene
from reconciler.simulation.swarms import CHANGES, Faults, Wish, swarm
from reconciler.simulation.world import Surroundings, World

FAULTS = Faults(kinds=tuple(CHANGES), share=0.7)
"""Everything that can be wrong with a peer, at seven of ten."""


def crowd_of_peers(dice: random.Random, *, others_max: int) -> list[SimPeer]:
    """Up to so many peers, with what may be wrong with them, and one that is honest and has everything."""
    return list(swarm(dice, Wish(peers=dice.randint(0, others_max) + 1, faults=FAULTS)).peers)


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

    def __post_init__(self) -> None:
        self.now = 0.0
        self.neighbours = Neighbours(bandwidth_bytes_per_s=self.bandwidth_bytes_per_s)
        self.around = Surroundings(disk=Disk(dice=random.Random(self.seed)), neighbours=self.neighbours)
        self.worlds: dict[JobId, World] = {}
        for sizes, priority in zip(self.sizes, self.priorities, strict=True):
            self.add(sizes, priority=priority, album=self.album)

    def add(self, sizes: list[int], *, priority: int, peers: list[SimPeer] | None = None, album: bool = False) -> World:
        """Begin one more job; `peers` are those that it finds, None = all."""
        number = len(self.worlds)
        job_id = JobId(f"01HRQ4GSX9K47J7M5FK7VW8B{number:02}")
        # A byte more is another file.
        own = tuple(sizes if self.twins else [size + number for size in sizes])
        order = replace(order_of(own, album=album), job_id=job_id, priority=priority, target_dir=f"/music/{number}")
        found = tuple(self.peers if peers is None else peers)
        scene = Scene(sizes=own, peers=found, in_flight_max=self.in_flight_max, order=order)
        world = World(scene, dice=random.Random(self.seed + number), stride=1, around=self.around)
        self.worlds[job_id] = world
        for one in self.worlds.values():  # what one job knows of peers, it may lend to another
            for another in self.worlds.values():
                for peer in another.scene.peers:
                    one.meet(peer)
        self._step(job_id)
        return world

    @property
    def arrivals(self) -> list[tuple[float, JobId, int]]:
        """When which job was sent how many bytes, in order."""
        return sorted(
            (each.at_s, job, each.size_bytes) for job, world in self.worlds.items() for each in world.result.arrivals
        )

    @property
    def received(self) -> Counter[JobId]:
        """What each job was sent so far."""
        sums: Counter[JobId] = Counter()
        for _, job, size in self.arrivals:
            sums[job] += size
        return sums

    @property
    def outcomes(self) -> list[str | None]:
        """How the jobs ended; None = not yet."""
        return [world.machine.outcome for world in self.worlds.values()]

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
        self.worlds[job].step(self.now)
        if self.worlds[job].machine.outcome is not None:
            self.neighbours.leave(job, self.now)
        self.neighbours.shares.check_invariants()
        for other, word in self.neighbours.take_words():
            if other in self.running():
                self.worlds[other].tell(word, self.now)
        for woken in self.neighbours.shares.take_wakes(stepped=job):
            if woken in self.running():
                self.worlds[woken].tell(TimePassed(), self.now)
