"""Where events are kept: a bounded buffer in front of the table SwarmEvents.

Owns: the buffer and the table. Never: blocks or fails whoever reports; writes a log file (traces.outbox) or reads
(traces.reading).

`report` is for the event loop and only appends. `flush` is for a thread that may wait; the daemon calls it about once a
second and at the end. An event in the table stays, one still in the buffer is lost with the process: the events that
must not be lost (state.jobs) go to the table in the transaction of their fact.
"""

import threading
from collections import deque
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from reconciler.ids import JobId
from reconciler.state.database import Database
from reconciler.state.migrations import INSERT_EVENT
from reconciler.traces.model import CHUNK_TYPES, EventType, SwarmEvent
from reconciler.traces.outbox import SessionLogs
from reconciler.traces.rows import row_of

__all__ = ["TraceStore", "row_of"]

# 1,000 rows a transaction take about 10 ms of the writer (measured: 90,000 rows/s with synchronous=FULL). 200 would pay
# five times the syncs, 5,000 would keep a `completed` fact waiting for 50 ms.
EVENTS_PER_TRANSACTION = 1000

# An event takes about 1 KiB of memory, so a stalled disk costs 20 MiB. At 1 GiB/s in chunks of 1 MiB there are some
# 2,500 events a second: after 6 s of stall chunk events are counted instead of kept. The last quarter is for key
# events; a job has a few of them per track and peer. Past it they are counted too, for peers can cause them.
BUFFER_EVENTS_MAX = 20_000
BUFFER_CHUNK_EVENTS_MAX = 15_000


@dataclass(slots=True, kw_only=True)
class _Dropped:
    """What of one job did not fit into the buffer since the last flush."""

    count: int
    last: SwarmEvent

    def marker(self) -> SwarmEvent:
        """The event that tells of it, in the place (and with the id) of the last one that was dropped."""
        return SwarmEvent(
            event_id=self.last.event_id,
            timestamp_ms=self.last.timestamp_ms,
            type=EventType.ERROR,
            job_id=self.last.job_id,
            action="events dropped",
            is_error=True,
            error_code="events dropped",
            error_message=f"{self.count} events were not stored: the disk could not keep up",
            metadata={"count": self.count},
        )


class TraceStore:
    """A Reporter that stores events; any thread may report and flush."""

    def __init__(self, database: Database, logs_dir: Path) -> None:
        self._database = database
        self._logs = SessionLogs(database, logs_dir)
        self._buffer: deque[SwarmEvent] = deque()
        self._dropped: dict[JobId, _Dropped] = {}
        self._lock = threading.Lock()
        """Guards the buffer; held for an append or a copy only."""
        self._flushing = threading.Lock()
        """One flush at a time: it alone takes from the buffer and writes to the logs."""

    def report(self, event: SwarmEvent) -> None:
        """Take one event. When the buffer is full it is counted instead, chunk events first."""
        room = BUFFER_CHUNK_EVENTS_MAX if event.type in CHUNK_TYPES else BUFFER_EVENTS_MAX
        with self._lock:
            if len(self._buffer) < room:
                self._buffer.append(event)
            elif (dropped := self._dropped.get(event.job_id)) is not None:
                dropped.count += 1
                dropped.last = event
            else:
                self._dropped[event.job_id] = _Dropped(count=1, last=event)

    def flush(self) -> None:
        """Wait until all that was reported before is in the table and in the session logs.

        Raises DiskError where the disk refuses; what is not stored stays in the buffer, what is not in a log follows
        next time.
        """
        with self._flushing:
            for _ in range(0, self._take_markers(), EVENTS_PER_TRANSACTION):
                self._store_batch()
            self._logs.catch_up_all()

    def catch_up_log(self, job_id: JobId) -> None:
        """Bring the session log of one job up to the events in the table; `flush` does so for all."""
        with self._flushing:
            self._logs.catch_up([job_id])

    def _take_markers(self) -> int:
        """Put a marker behind the buffer for each job that lost events; count what is now to be stored."""
        with self._lock:
            self._buffer.extend(dropped.marker() for dropped in self._dropped.values())
            self._dropped.clear()
            return len(self._buffer)

    def _store_batch(self) -> None:
        """Move up to a transaction of events to the table; they leave the buffer when they are durable."""
        with self._lock:
            batch = list(islice(self._buffer, EVENTS_PER_TRANSACTION))
        rows = [row_of(event) for event in batch]
        self._database.write(lambda connection: connection.executemany(INSERT_EVENT, rows)).result()
        with self._lock:
            for _ in batch:
                self._buffer.popleft()
