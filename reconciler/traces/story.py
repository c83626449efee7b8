"""All that a summary or a picture of a job is made of.

Owns: these values. Never: reads them (traces.reading) or draws a conclusion (traces.summary, traces.timeline).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from reconciler.ids import JobId
from reconciler.traces.model import SwarmEvent
from reconciler.traces.runs import Runs

# The code of a chunk that another peer had brought before (engine.notes).
DUPLICATE = "duplicate"

ChunkRow: TypeAlias = tuple[int, str, str, str, int, float, int, str, int]
"""What counts of a chunk event; a plain tuple, for a job has ten thousand of them: when (unix milliseconds), type,
source, peer, bytes, milliseconds that it took, whether it is an error, error code, how many events it stands for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What happened in a job, all of one moment."""

    job_id: JobId
    first_ms: int
    """Unix milliseconds of its first event."""
    runs: Runs
    told: Sequence[SwarmEvent]
    """Every event but those of chunks, in the order of their time; in one millisecond starts first and ends last."""
    chunks: Sequence[ChunkRow]
    """The events of chunks that came, failed or timed out, in the order of their time."""
