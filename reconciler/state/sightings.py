"""What was last seen of each manifest file: so that a start reads only what has changed.

Owns: the tables sightings, sighting_rules, completed_manifests and holds. Never: what a file says or what follows from
it; all of it but the holds is a cache that may be lost at any time.

Every method waits for the disk; call from a thread that may wait.
"""

import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, cast, get_args

from reconciler.ids import JobId
from reconciler.state.database import Database, damaged

WaitsFor = Literal["nothing", "time", "slot", "jobs", "file", "look"]
"""What a job waits for after its last pass: nothing but an edit; a time; room in the engine; other jobs; another file
that has the same id; or it wants to be looked at when the daemon starts.
"""

_WAITS_FOR = frozenset(get_args(WaitsFor))

# Rows held in memory at once while all are read: some 100 kB.
_ROWS_AT_ONCE = 1000

_PUT = """
INSERT INTO sightings VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (path) DO UPDATE SET
    mark = excluded.mark, job_id = excluded.job_id, waits_for = excluded.waits_for, at = excluded.at,
    priority = excluded.priority, created_at = excluded.created_at, depends_on = excluded.depends_on,
    spec_digest = excluded.spec_digest
"""

_PUT_COMPLETED = """
INSERT INTO completed_manifests VALUES (?, ?, ?, ?) ON CONFLICT (path) DO UPDATE SET
    mark = excluded.mark, job_id = excluded.job_id, spec_digest = excluded.spec_digest
"""

_PUT_HOLD = """
INSERT INTO holds VALUES (?, ?, ?) ON CONFLICT (reason) DO UPDATE SET message = excluded.message
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A manifest file as the last pass left it."""

    path: str
    """Relative to the root folder."""
    mark: int
    """By which it is known to be unchanged: 64 bits over device, inode, size and times."""
    job_id: JobId | None
    waits_for: WaitsFor
    at: float | None = None
    """Seconds since 1970, with `time`."""
    priority: int = 0
    created_at: str = ""
    depends_on: tuple[JobId, ...] = ()
    spec_digest: str = ""
    """Of what it asks for; empty = it is no manifest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletedManifest:
    """A manifest in `jobs/completed`."""

    path: str
    mark: int
    job_id: JobId | None
    spec_digest: str = ""
    """As in Sighting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Why nothing is done just now, for the whole folder."""

    reason: str
    since: float
    """Seconds since 1970."""
    message: str


class SightingStore:
    """The sightings in the state database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, rules: str) -> None:
        """Forget every sighting that was judged under other rules."""

        def work(connection: sqlite3.Connection) -> None:
            row = connection.execute("SELECT rules FROM sighting_rules").fetchone()
            if row is None or row[0] != rules:
                connection.execute("DELETE FROM sightings")
                connection.execute("INSERT OR REPLACE INTO sighting_rules VALUES (1, ?)", (rules,))

        self._database.write(work).result()

    def each(self, take: Callable[[Sighting], None]) -> None:
        """Call `take` with every sighting, in the order of their paths."""
        self._each("SELECT * FROM sightings ORDER BY path", lambda row: take(_sighting_of(row)))

    def each_completed(self, take: Callable[[CompletedManifest], None]) -> None:
        """Call `take` with every manifest that is known in `jobs/completed`."""
        self._each("SELECT * FROM completed_manifests", lambda row: take(_completed_of(row)))

    def put(
        self,
        seen: Iterable[Sighting],
        *,
        marks: Mapping[str, int] | None = None,
        completed: Iterable[CompletedManifest] = (),
        gone: Collection[str] = (),
    ) -> None:
        """Remember these, and forget what was at the paths `gone`, in either folder; all or nothing.

        `marks` are those of files that changed and of which everything else still holds.
        """
        rows = [_row_of(sighting) for sighting in seen]
        more = [(each.path, each.mark, each.job_id or "", each.spec_digest) for each in completed]
        paths = [(path,) for path in gone]
        remarked = [(mark, path) for path, mark in (marks or {}).items()]

        def work(connection: sqlite3.Connection) -> None:
            connection.executemany("DELETE FROM sightings WHERE path = ?", paths)
            connection.executemany("DELETE FROM completed_manifests WHERE path = ?", paths)
            connection.executemany(_PUT, rows)
            connection.executemany("UPDATE sightings SET mark = ? WHERE path = ?", remarked)
            connection.executemany(_PUT_COMPLETED, more)

        self._database.write(work).result()

    def holds(self) -> tuple[Hold, ...]:
        """What holds everything back now, by reason."""
        query = "SELECT reason, since, message FROM holds ORDER BY reason"
        rows = self._database.read(lambda connection: connection.execute(query).fetchall())
        try:
            return tuple(Hold(reason=str(name), since=float(since), message=str(text)) for name, since, text in rows)
        except ValueError as error:
            raise damaged(self._database.path, f"holds an impossible hold: {error}") from error

    def hold(self, hold: Hold) -> None:
        """Say that everything is held back for a reason; the time of the first saying stays."""
        row = (hold.reason, hold.since, hold.message)
        self._database.write(lambda connection: connection.execute(_PUT_HOLD, row)).result()

    def release(self, reason: str) -> None:
        """Say that it is over; nothing where it was not said."""
        query = "DELETE FROM holds WHERE reason = ?"
        self._database.write(lambda connection: connection.execute(query, (reason,))).result()

    def _each(self, query: str, take: Callable[[tuple[object, ...]], None]) -> None:
        def work(connection: sqlite3.Connection) -> None:
            cursor = connection.execute(query)
            while rows := cursor.fetchmany(_ROWS_AT_ONCE):
                for row in rows:
                    take(row)

        try:
            self._database.read(work)
        except (ValueError, TypeError) as error:
            raise damaged(self._database.path, f"holds an impossible sighting: {error}") from error


def _row_of(sighting: Sighting) -> tuple[str | int | float | None, ...]:
    return (
        sighting.path,
        sighting.mark,
        sighting.job_id or "",
        sighting.waits_for,
        sighting.at,
        sighting.priority,
        sighting.created_at,
        " ".join(sighting.depends_on),
        sighting.spec_digest,
    )


def _sighting_of(row: tuple[object, ...]) -> Sighting:
    path, mark, job_id, waits_for, at, priority, created_at, depends_on, spec_digest = row
    if waits_for not in _WAITS_FOR or not isinstance(mark, int) or not isinstance(priority, int):
        raise ValueError(f"{row!r}"[:200])
    return Sighting(
        path=str(path),
        mark=mark,
        job_id=JobId(str(job_id)) if job_id else None,
        waits_for=cast("WaitsFor", waits_for),
        at=float(str(at)) if at is not None else None,
        priority=priority,
        created_at=str(created_at),
        depends_on=tuple(JobId(each) for each in str(depends_on).split()) if depends_on else (),
        spec_digest=str(spec_digest),
    )


def _completed_of(row: tuple[object, ...]) -> CompletedManifest:
    path, mark, job_id, spec_digest = row
    if not isinstance(mark, int):
        raise TypeError(f"{row!r}"[:200])
    return CompletedManifest(
        path=str(path), mark=mark, job_id=JobId(str(job_id)) if job_id else None, spec_digest=str(spec_digest)
    )
