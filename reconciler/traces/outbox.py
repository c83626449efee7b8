"""The session log of each job, written from the event table.

Owns: `<logs>/<job_id>.log` and the table session_log. Never: words a line (traces.session_log) or stores an event.

The table is the truth and each log its copy. Lines are appended and brought to the disk (fdatasync); only then is it
recorded, in a transaction, up to which event and which length the file has come. After a crash in between the file is
longer than recorded: it is cut back and the same lines are written again. A file shorter than recorded was removed, or
lost its end with the power: it is written anew from the first event. So each event has exactly one line, in the order
of the table. What others append to a log is cut off with the next line.
"""

import json
import os
import sqlite3
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from reconciler.errors import DiskError, ReconcilerError, UnsafePathError, disk_refusal
from reconciler.ids import JobId, is_job_id
from reconciler.state.database import Database, damaged
from reconciler.traces.session_log import line_of_row

# Lines appended with one write: 100 KB as a rule, 5 MB if peers are called as long as they may be.
LINES_PER_WRITE = 1000

# O_NONBLOCK: a FIFO put in the place of a log must not stop the daemon.
_OPEN_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPosition:
    """How far the log of a job has come."""

    job_id: JobId
    last_rowid: int = 0
    """Of SwarmEvents: the newest event whose line is written."""
    bytes: int = 0
    """Length of the file with that line."""


class SessionLogs:
    """The log files below one folder. Not for two threads at once; traces.store holds a lock."""

    def __init__(self, database: Database, folder: Path) -> None:
        self._database = database
        self._folder = folder
        self._seen_rowid = 0
        """Every event up to here is in its log, but for jobs in `_behind`; 0 at first, then all jobs are looked at."""
        self._behind: dict[JobId, int] = {}
        """Jobs whose log is to be written, and up to which event it certainly is, if it is there at all."""

    def behind(self) -> list[JobId]:
        """The jobs with events that have no line yet."""
        newest, jobs = self._database.read(lambda connection: _jobs_after(connection, self._seen_rowid))
        for job_id in filter(is_job_id, jobs):
            self._behind.setdefault(job_id, self._seen_rowid)
        self._seen_rowid = newest
        return sorted(self._behind)

    def catch_up(self, jobs: Iterable[JobId]) -> None:
        """Write the lines of these jobs' events that have none yet; one that fails does not hold up the others.

        Raises DiskError; what is missing follows next time.
        """
        reached: list[LogPosition] = []
        failed: list[ReconcilerError] = []
        for job_id in jobs:
            try:
                reached.append(self._append(job_id))
            except ReconcilerError as error:
                failed.append(error)
        if reached:
            self._database.write(lambda connection: _record(connection, reached)).result()
        for position in reached:
            self._behind.pop(position.job_id, None)
        if failed:
            raise failed[0]

    def _append(self, job_id: JobId) -> LogPosition:
        if not is_job_id(job_id):
            raise UnsafePathError(f"{job_id!r} cannot name a session log: it is neither ULID nor UUID")
        path = self._folder / f"{job_id}.log"
        recorded = self._recorded(job_id)
        if recorded.bytes == 0 and self._lines_after(recorded) is None:
            return recorded  # all its events were purged: no empty file in the place of a log
        logged_rowid = self._behind.get(job_id, self._seen_rowid)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, _OPEN_FLAGS, 0o600)
            try:
                return self._append_to(descriptor, recorded, path, logged_rowid)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise disk_refusal(error.errno)(
                f"the session log {path} cannot be written: {error.strerror}",
                hint="its events are safe in the state database; the lines follow when the disk takes them",
            ) from error

    def _append_to(self, descriptor: int, position: LogPosition, path: Path, logged_rowid: int = 0) -> LogPosition:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            # Not an unsafe path, which would end the daemon: who put it there moves it away, and the lines follow.
            raise DiskError(f"the session log {path} is not a regular file", hint="move it aside; the lines follow")
        if found.st_size < position.bytes:
            position, logged_rowid = LogPosition(job_id=position.job_id), 0
        if found.st_size > position.bytes:
            os.ftruncate(descriptor, position.bytes)
        if position.bytes == 0:
            self._sync_folder()
        reached, lines = position, self._lines_after(position, logged_rowid)
        while lines is not None:
            reached = LogPosition(
                job_id=position.job_id, last_rowid=lines.last_rowid, bytes=reached.bytes + len(lines.text)
            )
            _write_whole(descriptor, lines.text)
            lines = self._lines_after(reached, logged_rowid) if lines.more else None
        if reached != position:
            # A failed sync leaves the position where it was: these lines are cut off and written again, never trusted.
            os.fdatasync(descriptor)
        return reached

    def _recorded(self, job_id: JobId) -> LogPosition:
        query = "SELECT last_rowid, bytes FROM session_log WHERE job_id = ?"
        row = self._database.read(lambda connection: connection.execute(query, (job_id,)).fetchone())
        return (
            LogPosition(job_id=job_id) if row is None else LogPosition(job_id=job_id, last_rowid=row[0], bytes=row[1])
        )

    def _lines_after(self, position: LogPosition, logged_rowid: int = 0) -> "_Lines | None":
        """The next lines of a log, from the table; those up to `logged_rowid` it has."""
        query = _NEXT_OF_NEWEST if logged_rowid else _NEXT
        values = (position.job_id, max(position.last_rowid, logged_rowid), LINES_PER_WRITE)
        found = self._database.read(lambda connection: connection.execute(query, values).fetchone())
        last_rowid, count, told = found
        if not count:
            return None
        try:
            text = "".join([line_of_row(row) for row in json.loads(told)])
        except (TypeError, ValueError) as error:
            raise damaged(self._database.path, f"holds an impossible event of {position.job_id}: {error}") from error
        return _Lines(text=text.encode(), last_rowid=last_rowid, more=count == LINES_PER_WRITE)

    def _sync_folder(self) -> None:
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lines:
    text: bytes
    last_rowid: int
    more: bool


def _write_whole(descriptor: int, text: bytes) -> None:
    rest = memoryview(text)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _jobs_after(connection: sqlite3.Connection, rowid: int) -> tuple[int, list[JobId]]:
    """The newest event there is, and the jobs that have events newer than `rowid` (0: than what their log has)."""
    newest = connection.execute("SELECT coalesce(max(rowid), 0) FROM SwarmEvents").fetchone()[0]
    if rowid:
        # NOT INDEXED: walk the few new rows by rowid, not a whole index to find the distinct ids in order.
        query = "SELECT DISTINCT job_id FROM SwarmEvents NOT INDEXED WHERE rowid > ?"
        rows = connection.execute(query, (rowid,)).fetchall()
    else:
        rows = connection.execute(_JOBS_BEHIND).fetchall()
    return int(newest), [row[0] for row in rows]


# What a line shows (session_log.LineRow), all lines as one JSON text: a row each would let go of the interpreter, and
# wait to have it back, for every line. The casts: text is text, whatever was written there.
_NEXT = """
SELECT max(row), count(*), json_group_array(json_array(timestamp, type, action, peer, bytes, code, message)) FROM (
    SELECT rowid AS row, timestamp, type, CAST(coalesce(action, '') AS TEXT) AS action,
           CAST(coalesce(peer_id, '') AS TEXT) AS peer, coalesce(bytes_transferred, 0) AS bytes,
           CAST(coalesce(error_code, '') AS TEXT) AS code, CAST(coalesce(error_message, '') AS TEXT) AS message
    FROM SwarmEvents WHERE rowid IN (
        SELECT rowid FROM SwarmEvents INDEXED BY SwarmEvents_by_job
        WHERE job_id = ? AND rowid > ? ORDER BY rowid LIMIT ?
    ) ORDER BY rowid
)
"""

# The same where all but the last moments is known to be logged: a walk over the newest rows of the table.
_NEXT_OF_NEWEST = """
SELECT max(row), count(*), json_group_array(json_array(timestamp, type, action, peer, bytes, code, message)) FROM (
    SELECT rowid AS row, timestamp, type, CAST(coalesce(action, '') AS TEXT) AS action,
           CAST(coalesce(peer_id, '') AS TEXT) AS peer, coalesce(bytes_transferred, 0) AS bytes,
           CAST(coalesce(error_code, '') AS TEXT) AS code, CAST(coalesce(error_message, '') AS TEXT) AS message
    FROM SwarmEvents NOT INDEXED WHERE job_id = ? AND rowid > ? ORDER BY rowid LIMIT ?
)
"""

_JOBS_BEHIND = """
SELECT job_id FROM (SELECT job_id, max(rowid) AS newest FROM SwarmEvents GROUP BY job_id)
LEFT JOIN session_log USING (job_id) WHERE newest > coalesce(last_rowid, 0)
"""


def _record(connection: sqlite3.Connection, reached: list[LogPosition]) -> None:
    connection.executemany(
        "INSERT INTO session_log VALUES (?, ?, ?) ON CONFLICT (job_id) DO UPDATE SET"
        " last_rowid = excluded.last_rowid, bytes = excluded.bytes",
        [(position.job_id, position.last_rowid, position.bytes) for position in reached],
    )
