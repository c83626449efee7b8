"""One simulated run, from dice to verdict.

Owns: what a run with an honest complete peer in it must end like. Never: rolls for itself; who calls holds the seed.
"""

from dataclasses import dataclass, replace

from reconciler.simulation.behaviour import fluid_bound_s
from reconciler.simulation.dice import Dice
from reconciler.simulation.measures import Measures, measure
from reconciler.simulation.scene import Result, Scene
from reconciler.simulation.swarms import Wish, swarm
from reconciler.simulation.world import RUN_S_MAX, World

# A job that takes so many times what a perfect downloader would, and ten hours more, hangs.
PATIENCE = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What happened, and what it comes to."""

    scene: Scene
    result: Result
    measures: Measures
    broken: str
    """The promise that was not kept; empty = all were."""

    def without_story(self) -> "Run":
        """Keep the figures alone: a thousand stories are a lot of memory."""
        return replace(self, result=Result(outcome=self.result.outcome, seconds=self.result.seconds))


def run_once(dice: Dice, wish: Wish) -> Run:
    """Make a scene, run it, and judge it."""
    scene = swarm(dice, wish)
    world = World(scene, dice=dice)
    try:
        world.run(stop_at_s=RUN_S_MAX + PATIENCE * fluid_bound_s(scene.peers, sum(scene.sizes)))
        broken = _unfinished(scene, world)
    except AssertionError as error:
        broken = str(error)
    return Run(scene=scene, result=world.result, measures=measure(scene, world.result), broken=broken)


def _unfinished(scene: Scene, world: World) -> str:
    """Why the job should have completed and did not; empty = it did, or could not."""
    outcome = world.result.outcome or "unfinished"
    if outcome == "completed" or not any(peer.is_honest for peer in scene.peers):
        return ""
    return f"a peer is honest and has everything, yet the job ended {outcome}: {world.machine.progress().error}"
