"""What is deleted of old traces.

Owns: the deleting, in the table and in the folder of logs. Never: decides how old is too old (the caller), or touches
what a job that runs has.

Age is the event's own time. A job's log goes with its last event, before it: a crash in between leaves events whose log
is written anew (traces.outbox) and deleted next time, never a log that belongs to nothing. The newest event of the
whole table stays whatever its age: its number would be given again, and the logs go by that number.
"""

import sqlite3
from contextlib import suppress
from pathlib import Path

from reconciler.errors import disk_refusal
from reconciler.ids import JobId, is_job_id
from reconciler.state.database import Database

# A transaction of some 20 ms: facts of jobs that run wait for it.
EVENTS_PER_TRANSACTION = 1000


def jobs_with_events_before(connection: sqlite3.Connection, before_ms: int) -> list[JobId]:
    """Jobs that do not run and have an event older than `before_ms`; one look into the index for each job there is."""
    return [row[0] for row in connection.execute(_STALE, {"before": before_ms})]


def purge_job(database: Database, logs: Path, job_id: JobId, *, before_ms: int) -> int:
    """Delete the events of a job that are older than `before_ms`, unless it runs; gives how many.

    Raises DiskError where the disk refuses; what is left is deleted next time.
    """
    asked: dict[str, str | int] = {"job": job_id, "before": before_ms, "count": EVENTS_PER_TRANSACTION}
    if not database.read(lambda connection: connection.execute(_KEEPS_SOME, asked).fetchone()[0]):
        _remove_log(logs, job_id)
    deleted = 0
    while True:
        count = database.write(lambda connection: _delete(connection, asked)).result()
        deleted += count
        if count < EVENTS_PER_TRANSACTION:
            return deleted


def _delete(connection: sqlite3.Connection, asked: dict[str, str | int]) -> int:
    count = connection.execute(_DELETE, asked).rowcount
    connection.execute(_FORGET_LOG, asked)
    return count


def _remove_log(logs: Path, job_id: JobId) -> None:
    if not is_job_id(job_id):
        return
    path = logs / f"{job_id}.log"
    try:
        with suppress(FileNotFoundError, NotADirectoryError):
            path.unlink()
    except OSError as error:
        raise disk_refusal(error.errno)(
            f"the session log {path} cannot be removed: {error.strerror}", hint="it is tried again in a day"
        ) from error


# From one job to the next by the index, in place of a walk over all events.
_STALE = """
WITH RECURSIVE found (job_id) AS (
    SELECT min(job_id) FROM SwarmEvents INDEXED BY SwarmEvents_by_job
    UNION ALL
    SELECT (SELECT min(job_id) FROM SwarmEvents INDEXED BY SwarmEvents_by_job WHERE job_id > found.job_id)
    FROM found WHERE found.job_id IS NOT NULL
)
SELECT job_id FROM found WHERE job_id IS NOT NULL
    AND (SELECT min(timestamp) FROM SwarmEvents INDEXED BY SwarmEvents_by_job WHERE job_id = found.job_id) < :before
    AND NOT EXISTS (
        SELECT 1 FROM jobs WHERE job_id = found.job_id AND (state = 'running' OR running_since IS NOT NULL))
"""

_DELETE = """
DELETE FROM SwarmEvents WHERE rowid IN (
    SELECT rowid FROM SwarmEvents INDEXED BY SwarmEvents_by_job
    WHERE job_id = :job AND timestamp < :before AND rowid < (SELECT max(rowid) FROM SwarmEvents)
    AND NOT EXISTS (SELECT 1 FROM jobs WHERE job_id = :job AND (state = 'running' OR running_since IS NOT NULL))
    ORDER BY timestamp LIMIT :count
)
"""

_KEEPS_SOME = """
SELECT EXISTS (
    SELECT 1 FROM SwarmEvents INDEXED BY SwarmEvents_by_job
    WHERE job_id = :job AND (timestamp >= :before OR rowid = (SELECT max(rowid) FROM SwarmEvents))
) OR EXISTS (SELECT 1 FROM jobs WHERE job_id = :job AND (state = 'running' OR running_since IS NOT NULL))
"""

_FORGET_LOG = """
DELETE FROM session_log WHERE job_id = :job AND NOT EXISTS (SELECT 1 FROM SwarmEvents WHERE job_id = :job)
"""
