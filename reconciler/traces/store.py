"""Where events are kept: a bounded buffer in front of the table SwarmEvents.

Owns: the buffer and the table. Never: blocks or fails whoever reports; decides what of a job is summed up
(traces.limit), writes a log file (traces.outbox) or reads (traces.reading).

`report` is for the event loop and only appends. All else is for a thread that may wait; the daemon calls
`write_waiting` four times a second (traces.upkeep) and `flush` before facts and at the end. An event in the table
stays, one still in the buffer is lost with the process: the events that must not be lost (state.jobs) go to the table
in the transaction of their fact.
"""

import sqlite3
import threading
from collections import deque
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path

from reconciler.config import SwarmEventSettings
from reconciler.errors import ReconcilerError
from reconciler.ids import JobId
from reconciler.state.database import Database
from reconciler.state.event_tables import INSERT_EVENT, EventRow
from reconciler.traces.limit import LIMIT_REACHED, JobLimit
from reconciler.traces.model import CHUNK_TYPES, SUMMED_UP, EventType, SwarmEvent
from reconciler.traces.outbox import SessionLogs
from reconciler.traces.purge import jobs_with_events_before, purge_job
from reconciler.traces.rows import row_of
from reconciler.traces.turns import Turns

__all__ = ["TraceStore", "row_of"]

# 1,000 rows a transaction take about 10 ms of the writer (measured: 90,000 rows/s with synchronous=FULL). 200 would pay
# five times the syncs, 5,000 would keep a `completed` fact waiting for 50 ms.
EVENTS_PER_TRANSACTION = 1000

# Each statement lets go of the interpreter and waits to have it back. With a row each, the loop and this thread take it
# from each other 20,000 times a second; measured beside a thread that computes: 1.5 times the rows a second so.
ROWS_PER_STATEMENT = 100
_ONE_ROW = f"({', '.join('?' * 16)})"
_INSERT_MANY = INSERT_EVENT.replace(_ONE_ROW, ", ".join([_ONE_ROW] * ROWS_PER_STATEMENT))

# A turn ends with a sync of each log and a transaction: 10 to 20 ms, as with a batch of rows. With all jobs in one turn
# a fact would wait for as many syncs as jobs run; with one in each, every job would cost a transaction of its own.
LOGS_PER_TURN = 4

# Room in the buffer, for a disk that stalls. An event takes about 1 KiB of memory. Those of chunks have 40 MiB: at 1
# GiB/s in chunks of 1 MiB there are some 2,500 a second, so after 16 s they are counted instead of kept; at 20,000 a
# second after 2 s, the time of a checkpoint beside a download (with half of it a sixteenth was dropped). Those of
# peers, which peers can cause at will, have 5 MiB beside them. All others tell of jobs, tracks and decisions of ours: a
# few of each job and track, which get no further while the disk stalls. They are kept whatever else is waiting; 55,000
# of them would be some other mistake, which must not take the machine down.
BUFFER_CHUNK_EVENTS_MAX = 40_000
BUFFER_PEER_EVENTS_MAX = 45_000
BUFFER_EVENTS_MAX = 100_000

_PEER_TYPES = frozenset({EventType.PEER_DISCOVERED, EventType.PEER_CONNECTED, EventType.PEER_DISCONNECTED})

# What is known of a job's place below its limit is asked of the table again when it was forgotten.
LIMITS_KEPT_MAX = 1000

_DAY_MS = 86_400_000
_AS_CONFIGURED_BY_NOBODY = SwarmEventSettings()


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
    """A Reporter that stores events; any thread may report, write and flush."""

    def __init__(
        self, database: Database, logs_dir: Path, settings: SwarmEventSettings = _AS_CONFIGURED_BY_NOBODY
    ) -> None:
        self._database = database
        self._logs_dir = logs_dir
        self._settings = settings
        self._logs = SessionLogs(database, logs_dir) if settings.enabled and settings.log_to_file else None
        self._buffer: deque[SwarmEvent] = deque()
        self._dropped: dict[JobId, _Dropped] = {}
        self._limits: dict[JobId, JobLimit] = {}
        self._rows: list[EventRow] = []
        """Taken from the buffer and not yet in the table."""
        self._lock = threading.Lock()
        """Guards the buffer; held for an append or a copy only."""
        self._turns = Turns()
        """One thread at a time takes from the buffer, writes to the logs, or purges."""

    def report(self, event: SwarmEvent) -> None:
        """Take one event. When the buffer is full it is counted instead, chunk events first."""
        if not self._settings.enabled:
            return
        with self._lock:
            if len(self._buffer) < _room(event.type):
                self._buffer.append(event)
            elif (dropped := self._dropped.get(event.job_id)) is not None:
                dropped.count += 1
                dropped.last = event
            else:
                self._dropped[event.job_id] = _Dropped(count=1, last=event)

    def flush(self) -> None:
        """Wait until all that was reported before is in the table and in the session logs, open sums too.

        Raises DiskError where the disk refuses; what is not stored stays in memory, what is not in a log follows next
        time.
        """
        self._store_waiting()
        with self._turns.behind():
            self._close_sums()
        self._catch_up()

    def flush_job(self, job_id: JobId) -> None:
        """Do the same for the events of one job, before a fact of it: it need not wait for what others report."""
        if not self._settings.enabled:
            return
        with self._turns.first():
            self._write_rows()
            limit = self._limit_of(job_id)
            self._rows = [row_of(kept) for event in self._taken_of(job_id) for kept in limit.take(event)]
            self._rows += [row_of(kept) for kept in limit.close()]
            self._write_rows()
            if self._logs is not None:
                self._logs.catch_up([job_id])

    def write_waiting(self) -> None:
        """As `flush`, but what is being summed up goes on: to be called again and again while jobs run."""
        self._store_waiting()
        with self._turns.behind():
            if len(self._limits) > LIMITS_KEPT_MAX:
                self._close_sums()
        self._catch_up()

    def catch_up_log(self, job_id: JobId) -> None:
        """Bring the session log of one job up to the events in the table; `flush` does so for all."""
        with self._turns.first():
            if self._logs is not None:
                self._logs.catch_up([job_id])

    def stale_jobs(self, *, now_ms: int) -> list[JobId]:
        """Jobs that do not run and have events older than `retention_days`; their number is that of jobs."""
        before_ms = self._oldest_kept_ms(now_ms)
        return self._database.read(lambda connection: jobs_with_events_before(connection, before_ms))

    def purge(self, job_id: JobId, *, now_ms: int) -> int:
        """Delete what is too old of one job, its log with its last event; gives how many events that were."""
        with self._turns.behind():
            return purge_job(self._database, self._logs_dir, job_id, before_ms=self._oldest_kept_ms(now_ms))

    def _oldest_kept_ms(self, now_ms: int) -> int:
        return now_ms - self._settings.retention_days * _DAY_MS

    def _store_waiting(self) -> None:
        """Store what waits now, batch by batch: between two of them whoever has a fact to tell gets a turn."""
        with self._turns.behind():
            self._write_rows()
        for _ in range(0, self._take_markers(), EVENTS_PER_TRANSACTION):
            with self._turns.behind():
                self._store_batch()

    def _take_markers(self) -> int:
        """Put a marker behind the buffer for each job that lost events; count what is now to be stored."""
        with self._lock:
            self._buffer.extend(dropped.marker() for dropped in self._dropped.values())
            self._dropped.clear()
            return len(self._buffer)

    def _store_batch(self) -> None:
        """Move up to a transaction of events to the table; they leave memory when they are durable."""
        with self._lock:
            batch = list(islice(self._buffer, EVENTS_PER_TRANSACTION))
        limits = {job_id: self._limit_of(job_id) for job_id in {event.job_id for event in batch}}
        # Behind what another thread could not write meanwhile (flush_job).
        self._rows += [row_of(kept) for event in batch for kept in limits[event.job_id].take(event)]
        with self._lock:
            for _ in batch:
                self._buffer.popleft()
        self._write_rows()

    def _close_sums(self) -> None:
        self._rows += [row_of(kept) for limit in self._limits.values() for kept in limit.close()]
        self._write_rows()
        if len(self._limits) > LIMITS_KEPT_MAX:
            self._limits.clear()

    def _taken_of(self, job_id: JobId) -> list[SwarmEvent]:
        """Take what waits of one job out of the buffer, and the marker of what did not fit."""
        with self._lock:
            taken = [event for event in self._buffer if event.job_id == job_id]
            if taken:
                self._buffer = deque(event for event in self._buffer if event.job_id != job_id)
            dropped = self._dropped.pop(job_id, None)
        return taken if dropped is None else [*taken, dropped.marker()]

    def _write_rows(self) -> None:
        """Bring `_rows` into the table; what fails stays, and is written before any others."""
        while self._rows:
            rows = self._rows[:EVENTS_PER_TRANSACTION]
            self._database.write(partial(_insert, rows=rows)).result()
            del self._rows[: len(rows)]

    def _limit_of(self, job_id: JobId) -> JobLimit:
        found = self._limits.get(job_id)
        if found is None:
            stored, sums, markers = self._database.read(lambda connection: _counts(connection, job_id))
            events_max = self._settings.max_events_per_job
            found = JobLimit(events_max=events_max, stored=stored, sums=sums, marked=markers > 0)
            self._limits[job_id] = found
        return found

    def _catch_up(self) -> None:
        """Write the lines that are missing, a few jobs at a turn; what fails does not hold up the others."""
        if self._logs is None:
            return
        with self._turns.behind():
            behind = self._logs.behind()
        failed: list[ReconcilerError] = []
        for start in range(0, len(behind), LOGS_PER_TURN):
            with self._turns.behind():
                try:
                    self._logs.catch_up(behind[start : start + LOGS_PER_TURN])
                except ReconcilerError as error:
                    failed.append(error)
        if failed:
            raise failed[0]


def _insert(connection: sqlite3.Connection, *, rows: list[EventRow]) -> None:
    whole = len(rows) - len(rows) % ROWS_PER_STATEMENT
    for start in range(0, whole, ROWS_PER_STATEMENT):
        connection.execute(_INSERT_MANY, list(chain.from_iterable(rows[start : start + ROWS_PER_STATEMENT])))
    connection.executemany(INSERT_EVENT, rows[whole:])


def _room(kind: EventType) -> int:
    if kind in CHUNK_TYPES:
        return BUFFER_CHUNK_EVENTS_MAX
    return BUFFER_PEER_EVENTS_MAX if kind in _PEER_TYPES else BUFFER_EVENTS_MAX


def _counts(connection: sqlite3.Connection, job_id: JobId) -> tuple[int, int, int]:
    """How many events a job has, how many of them are sums, and how many say that the limit is reached."""
    found = connection.execute(_COUNTS, (SUMMED_UP, LIMIT_REACHED, job_id)).fetchone()
    return (found[0], found[1] or 0, found[2] or 0)


_COUNTS = """
SELECT count(*), sum(action = ?), sum(type = 'Error' AND action = ?)
FROM SwarmEvents INDEXED BY SwarmEvents_by_job WHERE job_id = ?
"""
