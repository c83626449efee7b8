"""What is stored of a job's trace, as values.

Owns: the questions put to the table SwarmEvents. Never: writes to it (traces.store), adds up (traces.summary), or shows
anything. It needs no daemon: any process may read beside one.

`INDEXED BY`: left to itself SQLite takes the index on `type` for some of these, and looks through every job.
"""

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from reconciler.errors import InvalidInputError, NotFoundError
from reconciler.ids import JobId
from reconciler.state.database import Database
from reconciler.traces.model import SwarmEvent
from reconciler.traces.rows import event_of
from reconciler.traces.runs import is_start, runs_of
from reconciler.traces.story import Story
from reconciler.traces.summary import SwarmSessionSummary, summarise

# A page is some 400 KB of JSON at most places; it is held in memory as a whole.
PAGE_EVENTS_MAX = 1000

_ROWID_DIGITS_MAX = 18
"""Any number of so many digits is one that SQLite can hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPage:
    """Some events of a job in the order in which they were stored."""

    events: tuple[SwarmEvent, ...]
    cursor: str
    """Give it as `after` for what comes behind this page, now or later; it stays good when events are purged."""
    more: bool
    """Whether there is something behind this page already."""

    def to_json(self) -> dict[str, object]:
        """The page as plain values: `events`, `cursor` and `more`."""
        return {"events": [event.to_json() for event in self.events], "cursor": self.cursor, "more": self.more}


class TraceReader:
    """Reads traces from an open database. Any thread may; every method waits for the disk, so not on an event loop."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def summary(self, job_id: JobId) -> SwarmSessionSummary:
        """Give what the events of a job add up to; it grows while the job runs.

        One pass over the job's events, whatever else is in the table. Raises NotFoundError where it has none,
        StateDamagedError where one cannot be what was written.
        """
        return summarise(self.story(job_id))

    def story(self, job_id: JobId) -> Story:
        """Give what summaries and pictures are made of, all of one moment. Raises as `summary` does."""
        return self._database.read(lambda c: story_of(c, job_id, path=self._database.path))

    def page(self, job_id: JobId, *, after: str = "", limit: int = PAGE_EVENTS_MAX) -> EventPage:
        """Give up to `limit` (1 to PAGE_EVENTS_MAX) events behind the cursor `after`; empty = from the first.

        A job without events, or one that is not known, has an empty page. Raises InvalidInputError for a cursor that
        no page has given.
        """
        if not (after == "" or (after.isascii() and after.isdecimal() and len(after) <= _ROWID_DIGITS_MAX)):
            raise InvalidInputError("no page has given this cursor", hint="begin again without it")
        count = max(1, min(limit, PAGE_EVENTS_MAX))
        rows = self._rows(job_id, behind=int(after or 0), limit=count + 1)
        shown = rows[:count]
        return EventPage(
            events=tuple(event_of(row[1:], path=self._database.path) for row in shown),
            cursor=str(shown[-1][0]) if shown else after or "0",
            more=len(rows) > count,
        )

    def events(self, job_id: JobId) -> list[SwarmEvent]:
        """All events of a job in the order in which they were stored; some thousands (max_events_per_job)."""
        return [event_of(row[1:], path=self._database.path) for row in self._rows(job_id, behind=0, limit=-1)]

    def _rows(self, job_id: JobId, *, behind: int, limit: int) -> list[tuple[int, ...]]:
        values = (job_id, behind, limit)
        return self._database.read(lambda connection: connection.execute(_ROWS, values).fetchall())


def story_of(connection: sqlite3.Connection, job_id: JobId, *, path: Path) -> Story:
    """Gather what the summary of a job is made of, all of one moment; `path` is told where a row is damaged."""
    first_ms, last_ms = connection.execute(_MOMENTS, (job_id,)).fetchone()
    if first_ms is None:
        raise NotFoundError(
            f"job {job_id} has no events yet", hint="it waits for its turn; `reconciler job show` says why"
        )
    told = [event_of(row, path=path) for row in connection.execute(_TOLD, (job_id,))]
    starts = [event for event in told if is_start(event)]
    before = [connection.execute(_BEFORE, (job_id, start.timestamp_ms)).fetchone()[0] for start in starts]
    run_ends_ms = [first_ms if moment is None else moment for moment in before]
    return Story(
        job_id=job_id,
        first_ms=first_ms,
        runs=runs_of(told, first_ms=first_ms, last_ms=last_ms, run_ends_ms=run_ends_ms),
        told=told,
        chunks=connection.execute(_CHUNKS, (job_id,)).fetchall(),
    )


# The index alone says which rows these are; only they are then read.
_ROWS = """
SELECT rowid, * FROM SwarmEvents WHERE rowid IN (
    SELECT rowid FROM SwarmEvents INDEXED BY SwarmEvents_by_job WHERE job_id = ? AND rowid > ? ORDER BY rowid LIMIT ?
) ORDER BY rowid
"""

_MOMENTS = "SELECT min(timestamp), max(timestamp) FROM SwarmEvents INDEXED BY SwarmEvents_by_job WHERE job_id = ?"

_BEFORE = """
SELECT max(timestamp) FROM SwarmEvents INDEXED BY SwarmEvents_by_job WHERE job_id = ? AND timestamp < ?
"""

_TOLD = """
SELECT * FROM SwarmEvents INDEXED BY SwarmEvents_by_job
WHERE job_id = ? AND type NOT IN ('ChunkRequested', 'ChunkReceived', 'ChunkFailed', 'ChunkTimedOut')
ORDER BY timestamp, CASE type WHEN 'JobStart' THEN 0 WHEN 'JobComplete' THEN 2 ELSE 1 END, rowid
"""

# The fields of traces.story.ChunkRow. The casts: a number is a number, whatever was written there.
_CHUNKS = """
SELECT timestamp, type, coalesce(source, ''), coalesce(peer_id, ''), CAST(coalesce(bytes_transferred, 0) AS INTEGER),
       CAST(coalesce(duration_ms, 0) AS REAL), is_error, coalesce(error_code, ''),
       CASE WHEN action = 'summed up' AND json_valid(metadata_json)
            THEN CAST(coalesce(json_extract(metadata_json, '$.count'), 1) AS INTEGER) ELSE 1 END
FROM SwarmEvents INDEXED BY SwarmEvents_by_job
WHERE job_id = ? AND type IN ('ChunkReceived', 'ChunkFailed', 'ChunkTimedOut')
ORDER BY timestamp
"""
