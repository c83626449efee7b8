"""Every type of event is told where its thing happens."""

import random

from reconciler.simulation.runs import run_once
from reconciler.simulation.swarms import MANY, Wish
from reconciler.traces.model import EventType

# Swarms of peers that lie, stall and leave, and of users whose one stream stalls. In the first two all of it happens as
# the engine is now; where it decides otherwise, in some of the others.
SEEDS = (16, 27, *range(100))

# Told by the disk when a file has its name, and by the reconciler with the fact; tests/unit/engine and
# tests/unit/reconcile see them.
ELSEWHERE = {EventType.TRACK_COMPLETE, EventType.JOB_COMPLETE}


def test_swarms_in_trouble_tell_every_type():
    """Nothing that the contract names is never heard of."""
    missing = set(EventType) - ELSEWHERE
    for seed in SEEDS:
        if missing:
            missing -= {note.type for _, note in run_once(random.Random(seed), Wish(faults=MANY)).result.notes}
    assert not missing
