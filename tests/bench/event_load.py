"""Events for benches, as swarms make them.

Owns: what they hold. Never: reports them.
"""

import random

from reconciler.ids import JobId, make_ulid
from reconciler.traces.model import EventType, SwarmEvent

# As many as a job keeps one by one, so that none is summed up: that would be the cheaper case.
EVENTS_PER_JOB = 10_000

# Jobs that run side by side; their events are mixed in the table.
SIDE_BY_SIDE = 4

NOON_MS = 1_765_368_000_000
DICE = random.Random(1)


def events(count: int, *, first: int = 0) -> list[SwarmEvent]:
    """Events as a swarm of twenty peers makes them: half requests, half chunks."""
    return [event(number) for number in range(first, first + count)]


def event(number: int) -> SwarmEvent:
    """One of them; of its job there are EVENTS_PER_JOB."""
    block, place = divmod(number, EVENTS_PER_JOB * SIDE_BY_SIDE)
    unix_ms = NOON_MS + number // 20
    came = number // SIDE_BY_SIDE % 2 == 1
    return SwarmEvent(
        event_id=make_ulid(unix_ms=unix_ms, entropy=DICE.randbytes(10)),
        timestamp_ms=unix_ms,
        type=EventType.CHUNK_RECEIVED if came else EventType.CHUNK_REQUESTED,
        job_id=job_of(block * SIDE_BY_SIDE + place % SIDE_BY_SIDE),
        action="verified" if came else "requested",
        track_id=str(place % 12 + 1),
        variant_id=f"{place % 12:064x}",
        peer_id=f"{place % 20:043}",
        source="overlay",
        bytes_transferred=1 << 20 if came else 0,
        duration_ms=90.0 + place % 50 if came else 0.0,
        metadata={"chunk": number % 4096},
    )


def job_of(number: int) -> JobId:
    """The id of one of the jobs."""
    return JobId(make_ulid(unix_ms=NOON_MS, entropy=number.to_bytes(10)))
