"""What a simulation is about, and what a run of it gave.

Owns: the values that go in and come out. Never: runs anything (simulation.world) or adds it up (simulation.measures).
"""

from dataclasses import dataclass, field

from reconciler.engine.events import Note
from reconciler.engine.order import JobOrder
from reconciler.ids import ChunkIndex, TrackPosition
from reconciler.simulation.behaviour import SimPeer
from reconciler.simulation.disk import Parts


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What a simulation is about."""

    sizes: tuple[int, ...]
    """Bytes of each file."""
    peers: tuple[SimPeer, ...]
    rooted: bool = True
    """Whether the files' roots are known; without, only the SHA-256 of each whole."""
    in_flight_max: int = 4
    """Requests that one peer may have open."""
    stall_timeout_s: float = 15.0
    restarts_s: tuple[float, ...] = ()
    """When the daemon is ended and started again."""
    disk_refusals: int = 0
    """How many steps on our own disk it refuses in some way, each step by chance until then."""
    album: bool = False
    """Whether the files are published all at once."""
    order: JobOrder | None = None
    """The job, where it is not simply these files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A chunk that came whole."""

    at_s: float
    duration_s: float
    peer: str
    position: TrackPosition
    chunk: ChunkIndex
    size_bytes: int
    use: str
    """`verified`, `received`, `duplicate`, `bad hash`, or `late` for an answer to a request that was closed."""


@dataclass(slots=True, kw_only=True)
class Result:
    """What a run gave."""

    outcome: str | None = None
    seconds: float = 0.0
    events: int = 0
    notes: list[tuple[float, Note]] = field(default_factory=list)
    arrivals: list[Arrival] = field(default_factory=list)
    disk: Parts = field(default_factory=dict)
    published: list[TrackPosition] = field(default_factory=list)
    """In the order in which their files got their names."""
