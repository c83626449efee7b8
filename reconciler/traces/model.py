"""One thing that happened in a job, as a value.

Owns: the event and its vocabulary. Never: where events go (traces.store), how they are shown (cli) or added up
(traces.summary).
"""

import math
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


CHUNK_TYPES = frozenset(
    {EventType.CHUNK_REQUESTED, EventType.CHUNK_RECEIVED, EventType.CHUNK_FAILED, EventType.CHUNK_TIMED_OUT}
)
"""The types of which a job has thousands; every other event is a key event, and is kept when these are summed up."""

SUMMED_UP = "summed up"
"""Action of a chunk event that stands for many: `count` of them, those `of` one action, since `since_ms`."""


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
        """Bytes over time of this one event; 0.0 where either is unknown, or the time is none that a clock gives."""
        rate = self.bytes_transferred * 1000.0 / self.duration_ms if self.duration_ms > 0 else 0.0
        return rate if math.isfinite(rate) else 0.0

    def to_json(self) -> dict[str, object]:
        """The event as plain values, as `schemas/swarm-event.schema.json` describes them.

        The names are the columns of the table SwarmEvents (but `metadata` for metadata_json); what is not known is
        None. Text may come from peers: JSON makes it safe to send, whoever shows it escapes it.
        """
        return {
            "event_id": self.event_id,
            "timestamp": self.timestamp_ms,
            "type": self.type.value,
            "job_id": self.job_id,
            "track_id": self.track_id or None,
            "variant_id": self.variant_id or None,
            "peer_id": self.peer_id or None,
            "action": self.action or None,
            "source": self.source or None,
            "bytes_transferred": self.bytes_transferred,
            "duration_ms": self.duration_ms or None,
            "throughput_bytes_per_sec": self.throughput_bytes_per_s or None,
            "is_error": self.is_error,
            "error_code": self.error_code or None,
            "error_message": self.error_message or None,
            "metadata": dict(self.metadata),
        }
