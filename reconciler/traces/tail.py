"""The newest events of all jobs, in the order in which they were stored.

Owns: this question to the table SwarmEvents. Never: waits for news, or keeps anything. Any thread may ask; every method
waits for the disk.
"""

from reconciler.ids import JobId
from reconciler.state.database import Database
from reconciler.traces.model import SwarmEvent
from reconciler.traces.rows import event_of

_AFTER = "SELECT rowid, * FROM SwarmEvents WHERE rowid > ? ORDER BY rowid LIMIT ?"
_AFTER_OF_JOB = "SELECT rowid, * FROM SwarmEvents WHERE rowid > ? AND job_id = ? ORDER BY rowid LIMIT ?"


class TraceTail:
    """Reads behind a place in the table. A place is a number that only grows; it stays good when events are purged."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def newest(self) -> int:
        """The place of the newest event; 0 = there is none."""
        query = "SELECT coalesce(max(rowid), 0) FROM SwarmEvents"
        return int(self._database.read(lambda connection: connection.execute(query).fetchone()[0]))

    def after(self, place: int, *, limit: int, job_id: JobId | None = None) -> list[tuple[int, SwarmEvent]]:
        """Up to `limit` events behind `place`, each with its own; of one job, or of all."""
        query, values = (_AFTER, (place, limit)) if job_id is None else (_AFTER_OF_JOB, (place, job_id, limit))
        rows = self._database.read(lambda connection: connection.execute(query, values).fetchall())
        return [(int(row[0]), event_of(row[1:], path=self._database.path)) for row in rows]
