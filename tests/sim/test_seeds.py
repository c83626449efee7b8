"""Thousands of seeded swarms in virtual time: whatever peers do, the machine keeps its promises.

CI runs 2,000, RECONCILER_TEST_SEEDS=20000 more; `reconciler simulate --seed SEED --faults many --events` replays one.
"""

import itertools
import os
import random
import statistics
from concurrent.futures import ProcessPoolExecutor

import pytest

from reconciler.simulation.runs import run_once
from reconciler.simulation.swarms import MANY, NONE, SOME, Wish

SEEDS = int(os.environ.get("RECONCILER_TEST_SEEDS", "400"))
HONEST_SEEDS = max(60, SEEDS * 12 // 100)
BATCH = 40

# One seed in three has the milder faults, in which more peers work together to the end.
KINDS = {"some": SOME, "many": MANY}


def faults_of(seed):
    """Which faults a seed is run with."""
    return "some" if seed % 3 == 0 else "many"


def judge(seeds):
    """Every broken promise of a batch of seeds, and how to see it again."""
    found = []
    for seed in seeds:
        faults = faults_of(seed)
        run = run_once(random.Random(seed), Wish(faults=KINDS[faults]))
        if run.broken:
            found.append(f"{run.broken} (replay: reconciler simulate --seed {seed} --faults {faults} --events)")
    return found


def efficiencies(seeds):
    """Efficiency and wasted share of honest swarms."""
    runs = [run_once(random.Random(seed), Wish(faults=NONE)) for seed in seeds]
    return [(run.measures.efficiency, run.measures.bytes_wasted / run.measures.bytes_wanted) for run in runs]


def batches(count):
    """The seeds in pieces for two processes."""
    return [range(first, min(first + BATCH, count)) for first in range(0, count, BATCH)]


def test_every_seed_keeps_the_promises():
    """With one honest complete peer every job completes, no wrong chunk counts, nothing is published twice."""
    with ProcessPoolExecutor(2) as pool:
        broken = list(itertools.chain.from_iterable(pool.map(judge, batches(SEEDS))))
    assert not broken, "\n".join(broken[:10])


def test_honest_swarms_use_what_there_is():
    """Without faults the time is close to the fluid bound, and hardly a byte comes twice."""
    with ProcessPoolExecutor(2) as pool:
        found = list(itertools.chain.from_iterable(pool.map(efficiencies, batches(HONEST_SEEDS))))
    efficiency = statistics.median(each for each, _ in found)
    wasted = statistics.mean(each for _, each in found)
    print(
        f"{len(found)} honest swarms: efficiency median {efficiency:.3f}, worst {min(found)[0]:.3f}; "
        f"wasted {wasted:.2%} on average"
    )
    assert efficiency >= 0.95
    assert wasted < 0.01


@pytest.mark.parametrize("seed", [1, 7, 42])
def test_a_seed_replays_bit_for_bit(seed):
    """The same seed gives the same trace."""
    wish = Wish(faults=MANY)
    first, second = (run_once(random.Random(seed), wish) for _ in range(2))
    assert repr(first) == repr(second)
