"""Random peers for crowds of jobs, and what no job of them should have done.

Owns: what a throw of the dice means. Never: runs a job (sim.world) or judges one (the tests).
"""

import random
from dataclasses import dataclass, replace

from sim.world import Result, SimPeer, World, digest_of

from reconciler.ids import ChunkIndex, TrackPosition
from reconciler.overlay.merkle import chunk_count

FAULTS = ("none", "slow", "lying", "stall", "leaving", "returning", "partial", "no list", "lying list")
CHUNKS_MAX = 160


@dataclass(frozen=True, kw_only=True)
class Faults:
    """How likely each peer is to have each fault; all else is honest."""

    weights: tuple[int, ...] = (3, 1, 1, 1, 1, 1, 1, 1, 1)


def _peer(dice: random.Random, number: int, weights: tuple[int, ...]) -> SimPeer:
    peer = SimPeer(name=f"p{number}", rate_bytes_per_s=10 ** dice.uniform(4.5, 7), rtt_s=dice.uniform(0.001, 0.3))
    chunks = range(CHUNKS_MAX)
    changes: dict[str, dict[str, object]] = {
        "none": {},
        "slow": {"rate_bytes_per_s": 20_000.0},
        "lying": {"lies": frozenset(dice.sample(chunks, dice.randint(1, CHUNKS_MAX)))},
        "stall": {"stalls_after": dice.randint(0, 30)},
        "leaving": {"resets_after": dice.randint(0, 30)},
        "returning": {"resets_after": dice.randint(0, 30), "comes_back_after_s": dice.choice([2.0, 10.0])},
        "partial": {"holds": frozenset(dice.sample(chunks, CHUNKS_MAX // 2))},
        "no list": {"no_list": True},
        "lying list": {"lying_list": True},
    }
    return replace(peer, **changes[dice.choices(FAULTS, weights)[0]])


def broken_promises(world: World, result: Result) -> list[str]:
    """What a run with an honest complete peer in it should not have done."""
    found = [] if result.outcome == "completed" else [f"ended {result.outcome}: {world.machine.progress().error}"]
    for position, size in enumerate(world.sizes, start=1):
        disk = result.disk.get(TrackPosition(position), {})
        wrong = [n for n in range(chunk_count(size)) if disk.get(ChunkIndex(n)) != digest_of(position, n)]
        if TrackPosition(position) in result.published and wrong:
            found.append(f"file {position} was published with wrong chunks {wrong[:5]}")
    if len(result.published) != len(set(result.published)):
        found.append(f"published twice: {result.published}")
    return found
