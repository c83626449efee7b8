"""One thing that happened in a job, as a value.

Owns: the event and its vocabulary. Never: where events go (traces.store), how they are shown (cli) or added up
(traces.summary).
"""

from dataclasses import dataclass, field
from enum import StrEnum

from reconciler.ids import JobId


class EventType(StrEnum):
    """The fifteen kinds of event; the names are the contract of the SwarmEvents table."""

    JOB_START = "JobStart"
    JOB_COMPLETE = "JobComplete"
    TRACK_START = "TrackStart"
    TRACK_COMPLETE = "TrackComplete"
    PEER_DISCOVERED = "PeerDiscovered"
    PEER_CONNECTED = "PeerConnected"
    PEER_DISCONNECTED = "PeerDisconnected"
    CHUNK_REQUESTED = "ChunkRequested"
    CHUNK_RECEIVED = "ChunkReceived"
    CHUNK_FAILED = "ChunkFailed"
    CHUNK_TIMED_OUT = "ChunkTimedOut"
    RESCUE_MODE_ACTIVATED = "RescueModeActivated"
    RESCUE_MODE_DEACTIVATED = "RescueModeDeactivated"
    SWARM_REBALANCED = "SwarmRebalanced"
    ERROR = "Error"


@dataclass(frozen=True, slots=True, kw_only=True)
class SwarmEvent:
    """An event of a job; its id is a ULID, so that ids sort by time."""

    event_id: str
    timestamp_ms: int
    """Milliseconds since 1970-01-01 UTC."""
    type: EventType
    job_id: JobId
    action: str
    """What was done, in one or two words: `started`, `resumed`, `verified`, `bad hash`."""
    track_id: str = ""
    """The track's position in its job, as text; empty for events of the whole job."""
    variant_id: str = ""
    """The variant's root, or its provisional name while no root is known."""
    peer_id: str = ""
    """Who: an overlay peer id or `host:port` of a plain server. Peer-given text: escape it wherever it is shown."""
    source: str = ""
    """Which kind of source: `overlay`, `http`."""
    bytes_transferred: int = 0
    duration_ms: float = 0.0
    is_error: bool = False
    error_code: str = ""
    error_message: str = ""
    metadata: dict[str, str | int | float | bool] = field(default_factory=dict)

    @property
    def throughput_bytes_per_s(self) -> float:
        """Bytes over time of this one event; 0.0 where either is unknown."""
        return self.bytes_transferred * 1000.0 / self.duration_ms if self.duration_ms > 0 else 0.0
