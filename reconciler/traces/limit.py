"""How much of a job is kept one by one.

Owns: which of its events are stored as they are, and how the others are summed up. Never: stores (traces.store).

A job may have `max_events_per_job` events. Once it has them a marker says so, and from then on key events are stored as
before, while chunk events that differ only in time, track, bytes and chunk are summed up: one event with the action
`summed up` stands for `count` of them. It carries their bytes, the time in which they were under way, and the id and
the time of the last one, so that the summary adds up as if they were all there.

A sum is stored when it is as old as the window, or when all must be (`close`). The window doubles with every
SUMS_PER_WINDOW stored: a job that runs a thousand times longer has ten times as many sums, not a thousand. A crash
loses what was not stored of it, as it loses the events of the last moments.
"""

import hashlib
from dataclasses import dataclass, field, replace

from reconciler.ids import ULID_ENTROPY_BYTES, JobId, make_ulid
from reconciler.traces.model import CHUNK_TYPES, SUMMED_UP, EventType, SwarmEvent
from reconciler.traces.spans import Spans

WINDOW_MS = 10_000
SUMS_PER_WINDOW = 1000

# Sums open at a time; a job asks some dozens of peers, and an event of each has five or six kinds. Past it the oldest
# is stored early.
OPEN_SUMS_MAX = 500

LIMIT_REACHED = "limit reached"

_Kind = tuple[EventType, str, str, str, bool, str]


@dataclass(slots=True, kw_only=True)
class _Sum:
    """Events of one kind that are not stored one by one."""

    first: SwarmEvent
    last: SwarmEvent
    track_id: str
    """Empty = of several tracks."""
    count: int = 0
    size: int = 0
    spans: Spans = field(default_factory=Spans)

    def add(self, event: SwarmEvent) -> None:
        self.last = event
        if event.track_id != self.track_id:
            self.track_id = ""
        self.count += 1
        self.size += event.bytes_transferred
        if event.duration_ms > 0:
            self.spans.add(end_ms=event.timestamp_ms, duration_ms=event.duration_ms)

    def event(self) -> SwarmEvent:
        if self.count == 1:
            return self.last
        return replace(
            self.last,
            action=SUMMED_UP,
            track_id=self.track_id,
            variant_id="",
            bytes_transferred=self.size,
            duration_ms=self.spans.total_ms,
            error_message="",
            metadata={"count": self.count, "of": self.last.action, "since_ms": self.first.timestamp_ms},
        )


class JobLimit:
    """What may still be stored of one job. `stored`, `sums` and `marked` are what the table has of it."""

    def __init__(self, *, events_max: int, stored: int = 0, sums: int = 0, marked: bool = False) -> None:
        self._events_max = events_max
        self._stored = stored
        self._sums = sums
        self._marked = marked
        self._open: dict[_Kind, _Sum] = {}

    def take(self, event: SwarmEvent) -> tuple[SwarmEvent, ...]:
        """Take the next event of the job; gives what is to be stored now, in this order."""
        if self._stored < self._events_max or event.type not in CHUNK_TYPES:
            self._stored += 1
            return (event,)
        marker = () if self._marked else (_marker(event, self._events_max),)
        self._marked = True
        return (*marker, *self._sum_up(event))

    def close(self) -> tuple[SwarmEvent, ...]:
        """All sums, to be stored now."""
        kinds = list(self._open)
        return tuple(self._stored_sum(kind) for kind in kinds)

    def _sum_up(self, event: SwarmEvent) -> tuple[SwarmEvent, ...]:
        kind = (event.type, event.action, event.source, event.peer_id, event.is_error, event.error_code)
        ripe: list[SwarmEvent] = []
        found = self._open.get(kind)
        if found is not None and event.timestamp_ms - found.first.timestamp_ms >= self._window_ms:
            ripe.append(self._stored_sum(kind))
            found = None
        if found is None:
            if len(self._open) >= OPEN_SUMS_MAX:
                ripe.append(self._stored_sum(next(iter(self._open))))
            found = self._open[kind] = _Sum(first=event, last=event, track_id=event.track_id)
        found.add(event)
        return tuple(ripe)

    @property
    def _window_ms(self) -> int:
        return WINDOW_MS << min(self._sums // SUMS_PER_WINDOW, 30)

    def _stored_sum(self, kind: _Kind) -> SwarmEvent:
        self._sums += 1
        return self._open.pop(kind).event()


def _marker(event: SwarmEvent, events_max: int) -> SwarmEvent:
    """The event that says from where on chunk events are summed up; just before the first of them."""
    return SwarmEvent(
        event_id=_marker_id(event.job_id, event.timestamp_ms),
        timestamp_ms=event.timestamp_ms,
        type=EventType.ERROR,
        job_id=event.job_id,
        action=LIMIT_REACHED,
        is_error=True,
        error_code=LIMIT_REACHED,
        error_message=f"the job has {events_max} events: from here on those of chunks are summed up",
        metadata={"max_events_per_job": events_max},
    )


def _marker_id(job_id: JobId, unix_ms: int) -> str:
    digest = hashlib.sha256(f"{job_id}/{unix_ms}/{LIMIT_REACHED}".encode("utf-8", "backslashreplace")).digest()
    return make_ulid(unix_ms=max(0, min(unix_ms, 2**48 - 1)), entropy=digest[:ULID_ENTROPY_BYTES])
