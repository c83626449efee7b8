"""Thousands of seeded swarms in virtual time: whatever peers do, the machine keeps its promises.

RECONCILER_TEST_SEEDS=20000 runs more; `python tests/sim/swarms.py SEED` replays one.
"""

import os
import statistics
from concurrent.futures import ProcessPoolExecutor

import pytest
from sim.swarms import NO_FAULTS, broken_promises, story, swarm

SEEDS = int(os.environ.get("RECONCILER_TEST_SEEDS", "600"))
BATCH = 50


def judge(seeds):
    """Every broken promise of a batch of seeds."""
    found = []
    for seed in seeds:
        world = swarm(seed)
        try:
            broken = broken_promises(world, world.run())
        except AssertionError as error:
            broken = [f"an invariant did not hold: {error}"]
        found += [f"seed {seed}: {promise} (replay: python tests/sim/swarms.py {seed})" for promise in broken]
    return found


def test_every_seed_keeps_the_promises():
    """With one honest complete peer every job completes, no wrong chunk is ever published, every invariant holds."""
    batches = [range(first, min(first + BATCH, SEEDS)) for first in range(0, SEEDS, BATCH)]
    with ProcessPoolExecutor(2) as pool:
        broken = [promise for batch in pool.map(judge, batches) for promise in batch]
    assert not broken, "\n".join(broken[:10])


@pytest.mark.parametrize("seed", [1, 7, 42])
def test_a_seed_replays_bit_for_bit(seed):
    """The same seed gives the same trace."""
    assert story(swarm(seed).run()) == story(swarm(seed).run())


def test_honest_swarms_use_what_there_is():
    """Without faults the time is close to the fluid bound: all bytes over the sum of the rates."""
    efficiencies = []
    for seed in range(60):
        world = swarm(seed, NO_FAULTS)
        result = world.run()
        bound_s = sum(world.sizes) / sum(peer.rate_bytes_per_s for peer in world.peers)
        efficiencies.append(bound_s / result.seconds)
    print(f"median efficiency {statistics.median(efficiencies):.3f}, worst {min(efficiencies):.3f}")
    assert statistics.median(efficiencies) > 0.7
