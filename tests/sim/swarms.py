"""Random swarms: one seed, one swarm, the same every time.

Owns: what a seed means. Never: runs it (sim.world) or judges it (the tests).

`python tests/sim/swarms.py SEED` runs one again and prints its story.
"""

import random
import sys
from dataclasses import dataclass, replace
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sim.world import Result, SimPeer, World, digest_of, order_of

from reconciler.ids import ChunkIndex, TrackPosition
from reconciler.overlay.merkle import chunk_count

FAULTS = ("none", "slow", "lying", "stall", "leaving", "returning", "partial", "no list", "lying list")
CHUNKS_MAX = 160


@dataclass(frozen=True, kw_only=True)
class Faults:
    """How likely each peer is to have each fault; all else is honest."""

    weights: tuple[int, ...] = (3, 1, 1, 1, 1, 1, 1, 1, 1)


NO_FAULTS = Faults(weights=(1, 0, 0, 0, 0, 0, 0, 0, 0))


def swarm(seed: int, faults: Faults | None = None) -> World:
    """Make the swarm of `seed`: up to six files, up to six peers with faults, and one honest complete peer."""
    dice = random.Random(seed)
    sizes = [dice.randint(1, 40_000_000) for _ in range(dice.randint(1, 6))]
    weights = (faults or Faults()).weights
    peers = [_peer(dice, number, weights) for number in range(dice.randint(0, 6))]
    peers.append(SimPeer(name="honest", rate_bytes_per_s=10 ** dice.uniform(5, 7)))
    dice.shuffle(peers)
    rooted = dice.random() < 0.8
    order = order_of(sizes, rooted=rooted)
    return World(order=order, sizes=sizes, peers=peers, seed=seed, rooted=rooted, in_flight_max=dice.randint(1, 4))


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


def story(result: Result) -> tuple[object, ...]:
    """Everything that happened, to compare two runs."""
    return result.outcome, result.seconds, tuple(map(repr, result.notes))


def main() -> None:
    """Run one seed and print what happened."""
    world = swarm(int(sys.argv[1]))
    result = world.run()
    for note in result.notes:
        sys.stdout.write(
            f"{note.type} {note.action} {note.position or ''} {note.peer} {note.error_message} {note.facts}\n"
        )
    for peer in world.peers:
        sys.stdout.write(f"{peer}\n")
    sys.stdout.write(
        f"{result.outcome} after {result.seconds:.1f} s; {broken_promises(world, result) or 'all as promised'}\n"
    )


if __name__ == "__main__":
    main()
