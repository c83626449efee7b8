"""What a simulated run comes to, in numbers.

Owns: efficiency, waste, and what each peer gave. Never: runs anything (simulation.world) or shows it (cli).
"""

import math
from collections import Counter
from dataclasses import dataclass

from reconciler.ids import ChunkIndex, TrackPosition
from reconciler.simulation.behaviour import SimPeer, fluid_bound_s
from reconciler.simulation.scene import Arrival, Result, Scene
from reconciler.traces.model import EventType

# Arrivals that brought the file on.
OF_USE = frozenset({"verified", "received"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerMeasure:
    """What one peer gave."""

    peer: SimPeer
    bytes_useful: int
    bytes_wasted: int
    """Wrong, or brought by somebody else before."""
    chunks: int
    """Useful ones."""
    chunks_refused: int
    failures: int
    """Requests that ended before all of it came, by its fault."""
    state: str
    """`served`, `banned`, `given up`, or `not needed` for one that gave nothing and did nothing wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """What one run gave."""

    outcome: str | None
    """`completed`, `failed`; None = it was still going when the time was up."""
    seconds: float
    bound_s: float
    """How long a perfect downloader would take; infinite where the peers do not have everything for long enough."""
    bytes_wanted: int
    bytes_wasted: int
    requests: int
    handed_over: int
    """How often one peer was given what another had been asked for."""
    peers: tuple[PeerMeasure, ...]

    @property
    def efficiency(self) -> float:
        """The part of the speed of all peers that was used, 0.0 to 1.0; 0.0 where the job did not complete."""
        if self.outcome != "completed" or math.isinf(self.bound_s):
            return 0.0
        return self.bound_s / self.seconds


def measure(scene: Scene, result: Result) -> Measures:
    """Add up a run."""
    useful = _useful(result.arrivals)
    return Measures(
        outcome=result.outcome,
        seconds=result.seconds,
        bound_s=fluid_bound_s(scene.peers, sum(scene.sizes)),
        bytes_wanted=sum(scene.sizes),
        bytes_wasted=sum(each.size_bytes for each in result.arrivals) - sum(each.size_bytes for each in useful),
        requests=sum(note.type is EventType.CHUNK_REQUESTED for _, note in result.notes),
        handed_over=sum(note.type is EventType.SWARM_REBALANCED for _, note in result.notes),
        peers=tuple(_peer(peer, result, useful) for peer in scene.peers),
    )


def _useful(arrivals: list[Arrival]) -> list[Arrival]:
    """Of each chunk the last arrival that counted: one before it was thrown away with a file that was wrong."""
    kept: dict[tuple[TrackPosition, ChunkIndex], Arrival] = {}
    for each in arrivals:
        if each.use in OF_USE:
            kept[each.position, each.chunk] = each
    return list(kept.values())


def _peer(peer: SimPeer, result: Result, useful: list[Arrival]) -> PeerMeasure:
    given = [each for each in useful if each.peer == peer.name]
    came = [each for each in result.arrivals if each.peer == peer.name]
    told = Counter((note.type, note.action) for _, note in result.notes if note.peer == peer.name)
    refused = told[EventType.CHUNK_FAILED, "bad hash"]
    failures = sum(
        count for (kind, _), count in told.items() if kind in (EventType.CHUNK_FAILED, EventType.CHUNK_TIMED_OUT)
    )
    state = "served" if given else "not needed"
    if told[EventType.PEER_DISCONNECTED, "banned"]:
        state = "banned"
    elif told[EventType.PEER_DISCONNECTED, "failed"]:
        state = "given up"
    bytes_useful = sum(each.size_bytes for each in given)
    return PeerMeasure(
        peer=peer,
        bytes_useful=bytes_useful,
        bytes_wasted=sum(each.size_bytes for each in came) - bytes_useful,
        chunks=len(given),
        chunks_refused=refused,
        failures=failures - refused,
        state=state,
    )
