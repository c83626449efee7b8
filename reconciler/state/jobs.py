"""What is known of each job: its generation, its state, and what it has published.

Owns: the tables jobs, acted_on, artifacts and finishes. Never: decides what follows (reconcile), nor stores an event
other than the two that are part of a fact: TrackComplete with its artifact, JobComplete with its final state.

Every method waits for the disk; call from a thread that may wait.
"""

import sqlite3
import zlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import cast

from reconciler.ids import JobId, Mbid, TrackPosition
from reconciler.manifests.model import JobState, JobType
from reconciler.state.database import Database, damaged
from reconciler.state.deliveries import add_deliveries
from reconciler.state.event_tables import INSERT_EVENT, EventRow
from reconciler.state.records import (
    Artifact,
    Delivery,
    JobRecord,
    KnownChild,
    Row,
    artifact_of_row,
    child_of_row,
    job_of_row,
    row_of_artifact,
    row_of_job,
)

__all__ = ["Artifact", "JobRecord", "JobStore"]

_PAGE = """
SELECT * FROM jobs
WHERE job_id > ?1 AND (?2 = '' OR state = ?2) AND (?3 = '' OR job_type = ?3)
    AND (?4 = '' OR instr(lower(job_id || ' ' || path || ' ' || error_message), lower(?4)))
ORDER BY job_id LIMIT ?5
"""

# More than a person wants to choose from; a longer prefix finds fewer.
FOUND_MAX = 50

# Versions of a manifest kept as bases of a merge. Whoever was away for longer than five edits merges by hand.
ACTED_ON_KEPT = 5

# A manifest is at most 256 KiB; a row that unpacks to more was not written by us.
_DOCUMENT_BYTES_MAX = 1024 * 1024

# Names bound in one statement; SQLite allows 32,766 (https://sqlite.org/limits.html).
_IDS_PER_QUERY = 1000

# Not INSERT OR REPLACE: that deletes the old row first, and with it the artifacts that refer to it.
_PUT_JOB = """
INSERT INTO jobs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (job_id) DO UPDATE SET
    path = excluded.path, job_type = excluded.job_type, spec_digest = excluded.spec_digest,
    generation = excluded.generation, generation_since = excluded.generation_since, state = excluded.state,
    attempts = excluded.attempts, retry_at = excluded.retry_at, started_at = excluded.started_at,
    completed_at = excluded.completed_at, error_message = excluded.error_message, conditions = excluded.conditions,
    last_handled_reconcile_at = excluded.last_handled_reconcile_at, ran_s = excluded.ran_s,
    running_since = excluded.running_since, gone_at = excluded.gone_at
"""

_ADD_ARTIFACT = "INSERT INTO artifacts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"

_CARRY_ARTIFACT = """
INSERT INTO artifacts
SELECT job_id, ?, position, path, size, root, sha256, recording, variant_id, completed_at FROM artifacts
WHERE job_id = ? AND generation = ? AND position = ? ON CONFLICT DO NOTHING
"""


# A finished manifest without a record was finished by another machine, or before the database was lost.
_CHILDREN = """
SELECT c.job_id, c.release, c.written, c.wanted, coalesce(j.state, (SELECT 'completed' FROM completed_manifests m
    WHERE m.job_id = c.job_id)), coalesce(j.path, ''), j.gone_at IS NOT NULL, j.retry_at IS NOT NULL
FROM children c LEFT JOIN jobs j ON j.job_id = c.job_id WHERE c.owner = ? ORDER BY c.job_id
"""

_PUT_CHILD = """
INSERT INTO children VALUES (?, ?, ?, ?, 1) ON CONFLICT (owner, job_id) DO UPDATE SET
    release = excluded.release, written = excluded.written, wanted = 1
"""


# In one transaction with the above: nobody must see a child that is wanted and count its old end.
_TAKE_BACK = """
UPDATE jobs SET path = ?, gone_at = NULL, state = CASE state WHEN 'cancelled' THEN 'pending' ELSE state END
WHERE job_id = ?
"""


class JobStore:
    """The jobs in the state database."""

    def __init__(self, database: Database, *, keep_events: bool = True) -> None:
        """`keep_events` = the event that is handed over with a fact is stored with it."""
        self._database = database
        self._keep_events = keep_events

    def get(self, job_id: JobId) -> JobRecord | None:
        """What is known of `job_id`; None = it was never seen."""
        row = self._database.read(lambda connection: _job_row(connection, job_id))
        return None if row is None else self._job(row)

    def all(self) -> list[JobRecord]:
        """Every job, by id: the oldest ULID first."""
        rows = self._database.read(
            lambda connection: connection.execute("SELECT * FROM jobs ORDER BY job_id").fetchall()
        )
        return [self._job(row) for row in rows]

    def page(
        self, *, after: str, limit: int, state: JobState | None, job_type: JobType | None, text: str
    ) -> list[JobRecord]:
        """Up to `limit` jobs by id, behind the id `after`, that are in this state and of this type (None = any).

        `text` stands somewhere in the id, the path or the error, in either case of its letters; empty = anything does.
        """
        values = (after, state or "", job_type or "", text, limit)
        rows = self._database.read(lambda connection: connection.execute(_PAGE, values).fetchall())
        return [self._job(row) for row in rows]

    def counts(self) -> dict[JobState, int]:
        """How many jobs are in each state, those aside whose manifest was given up as gone."""
        query = "SELECT state, count(*) FROM jobs WHERE gone_at IS NULL GROUP BY state"
        rows = self._database.read(lambda connection: connection.execute(query).fetchall())
        try:
            return {JobState(state): int(count) for state, count in rows}
        except ValueError as error:
            raise damaged(self._database.path, f"holds an impossible state: {error}") from error

    def find(self, prefix: str) -> list[JobRecord]:
        """The jobs whose id begins with `prefix`, in either case; at most FOUND_MAX."""
        query = "SELECT * FROM jobs WHERE lower(substr(job_id, 1, ?)) = lower(?) ORDER BY job_id LIMIT ?"
        rows = self._database.read(
            lambda connection: connection.execute(query, (len(prefix), prefix, FOUND_MAX)).fetchall()
        )
        return [self._job(row) for row in rows]

    def places(self) -> list[tuple[JobId, str]]:
        """Each job with its manifest's path, but for those whose manifest was given up as gone."""
        query = "SELECT job_id, path FROM jobs WHERE gone_at IS NULL ORDER BY job_id"
        return self._database.read(lambda connection: connection.execute(query).fetchall())

    def states(self, job_ids: Collection[JobId]) -> dict[JobId, JobState]:
        """The state of those of `job_ids` that are known and whose manifest was not given up as gone."""
        wanted = sorted(set(job_ids))
        found: dict[JobId, JobState] = {}
        for start in range(0, len(wanted), _IDS_PER_QUERY):
            some = wanted[start : start + _IDS_PER_QUERY]
            rows = self._database.read(partial(_states, job_ids=some))
            try:
                found.update({JobId(job_id): JobState(state) for job_id, state in rows})
            except ValueError as error:
                raise damaged(self._database.path, f"holds an impossible state: {error}") from error
        return found

    def completed_paths(self, job_id: JobId) -> tuple[str, ...]:
        """Where manifests with this id were seen in `jobs/completed`, by path."""
        query = "SELECT path FROM completed_manifests WHERE job_id = ? ORDER BY path"
        rows = self._database.read(lambda connection: connection.execute(query, (job_id,)).fetchall())
        return tuple(row[0] for row in rows)

    def children(self, owner: JobId) -> tuple[KnownChild, ...]:
        """The manifests that a job has written, by id, and what became of their jobs."""
        rows = self._database.read(lambda connection: connection.execute(_CHILDREN, (owner,)).fetchall())
        try:
            return tuple(child_of_row(row) for row in rows)
        except (ValueError, TypeError) as error:
            raise damaged(self._database.path, f"holds an impossible child of job {owner!r}: {error}") from error

    def put_child(self, owner: JobId, job_id: JobId, *, release: Mbid, written: str, path: str) -> None:
        """Note that the manifest of a child was written to `path`, and is wanted: an end that it had is taken back."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(_PUT_CHILD, (owner, job_id, release, written))
            connection.execute(_TAKE_BACK, (path, job_id))

        self._database.write(work).result()

    def owner_of(self, job_id: JobId) -> JobId | None:
        """The job that has written the manifest of this one; None = a person did."""
        query = "SELECT owner FROM children WHERE job_id = ?"
        row = self._database.read(lambda connection: connection.execute(query, (job_id,)).fetchone())
        return None if row is None else JobId(row[0])

    def leave_child(self, owner: JobId, job_id: JobId) -> None:
        """Note that a child is not wanted any more."""
        query = "UPDATE children SET wanted = 0 WHERE owner = ? AND job_id = ?"
        self._database.write(lambda connection: connection.execute(query, (owner, job_id))).result()

    def hasten(self, now: float) -> None:
        """Make every planned retry due at `now`."""
        query = "UPDATE jobs SET retry_at = ? WHERE retry_at IS NOT NULL"
        self._database.write(lambda connection: connection.execute(query, (now,))).result()

    def acted_on(self, job_id: JobId) -> tuple[tuple[str, bytes], ...]:
        """What the newest generations of a job asked for, the latest first: digest, and the text without status."""
        query = "SELECT spec_digest, document FROM acted_on WHERE job_id = ? ORDER BY generation DESC"
        rows = self._database.read(lambda connection: connection.execute(query, (job_id,)).fetchall())
        try:
            return tuple((str(digest), _unpacked(document)) for digest, document in rows)
        except (zlib.error, TypeError, ValueError) as error:
            raise damaged(self._database.path, f"holds an impossible document of job {job_id!r}: {error}") from error

    def observe_spec(
        self, job_id: JobId, *, path: str, job_type: JobType, spec_digest: str, now: float, document: bytes = b""
    ) -> JobRecord:
        """Note the spec that the manifest has now: a new one is a new generation, pending and without attempts.

        `document` is the manifest without its status, kept to merge later edits; empty = not kept. The same spec seen
        again writes nothing, unless the manifest has moved. `now` is in seconds since 1970.
        """
        known = self.get(job_id)
        if known is None or known.spec_digest != spec_digest:
            observed = JobRecord(
                job_id=job_id,
                path=path,
                job_type=job_type,
                spec_digest=spec_digest,
                generation=1 if known is None else known.generation + 1,
                generation_since=now,
                # They keep their transition times; the next pass sets what has changed.
                conditions=() if known is None else known.conditions,
                last_handled_reconcile_at="" if known is None else known.last_handled_reconcile_at,
            )
        else:
            observed = replace(known, path=path, job_type=job_type, gone_at=None)
        if observed != known:
            kept = (observed, document) if known is None or known.generation != observed.generation else (observed, b"")
            self._database.write(lambda connection: _put_observed(connection, *kept)).result()
        return observed

    def put(self, record: JobRecord) -> None:
        """Replace what is known of a job."""
        self._database.write(lambda connection: _put(connection, record)).result()

    def artifacts(self, job_id: JobId, generation: int) -> tuple[Artifact, ...]:
        """What is published for this generation, by position."""
        query = "SELECT * FROM artifacts WHERE job_id = ? AND generation = ? ORDER BY position"
        rows = self._database.read(lambda connection: connection.execute(query, (job_id, generation)).fetchall())
        return tuple(self._artifact(row) for row in rows)

    def record_artifact(self, artifact: Artifact, event_row: EventRow) -> bool:
        """Record that a track is complete, and its TrackComplete event, in one transaction.

        False = it was recorded before; then nothing is written, no event either. The job must be known.
        """
        return self._database.write(
            lambda connection: _add_artifact(connection, artifact, self._kept(event_row))
        ).result()

    def record_finished(self, record: JobRecord, event_row: EventRow, told: Sequence[Delivery] = ()) -> bool:
        """Record the final state of a job, its JobComplete event, and what hooks are `told`, in one transaction.

        False = this outcome of this generation was recorded before; then the record is stored and nothing else.
        """
        events = self._kept(event_row)
        return self._database.write(lambda connection: _finish(connection, record, events, told)).result()

    def carry_artifacts(
        self, job_id: JobId, *, from_generation: int, to_generation: int, positions: Iterable[TrackPosition]
    ) -> None:
        """Count what was published for `positions` in one generation for another: the edit did not concern them.

        What the other generation has already stays. No event is told: these tracks were completed before.
        """
        rows = [(to_generation, job_id, from_generation, position) for position in positions]
        self._database.write(lambda connection: connection.executemany(_CARRY_ARTIFACT, rows)).result()

    def _kept(self, event_row: EventRow) -> tuple[EventRow, ...]:
        return (event_row,) if self._keep_events else ()

    def _job(self, row: Row) -> JobRecord:
        try:
            return job_of_row(row)
        except (ValueError, TypeError, KeyError) as error:
            raise damaged(self._database.path, f"holds an impossible record of job {row[0]!r}: {error}") from error

    def _artifact(self, row: Row) -> Artifact:
        try:
            return artifact_of_row(row)
        except (ValueError, TypeError) as error:
            what = f"holds an impossible artifact of job {row[0]!r}, track {row[2]!r}: {error}"
            raise damaged(self._database.path, what) from error


def _job_row(connection: sqlite3.Connection, job_id: JobId) -> Row | None:
    return cast("Row | None", connection.execute("SELECT * FROM jobs WHERE job_id = ?", (job_id,)).fetchone())


def _put(connection: sqlite3.Connection, record: JobRecord) -> None:
    connection.execute(_PUT_JOB, row_of_job(record))


def _put_observed(connection: sqlite3.Connection, record: JobRecord, document: bytes) -> None:
    _put(connection, record)
    if document:
        row = (record.job_id, record.generation, record.spec_digest, zlib.compress(document))
        connection.execute("INSERT INTO acted_on VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", row)
        oldest = (record.job_id, record.generation - ACTED_ON_KEPT)
        connection.execute("DELETE FROM acted_on WHERE job_id = ? AND generation <= ?", oldest)


def _unpacked(document: bytes) -> bytes:
    """The text of a row of acted_on; ValueError where it is larger than a manifest can be."""
    unpacking = zlib.decompressobj()
    text = unpacking.decompress(document, _DOCUMENT_BYTES_MAX)
    if not unpacking.eof:
        raise ValueError("it does not end")
    return text


def _states(connection: sqlite3.Connection, job_ids: Collection[JobId]) -> list[tuple[str, str]]:
    places = ", ".join("?" * len(job_ids))
    # The only text put into the statement is question marks.
    query = f"SELECT job_id, state FROM jobs WHERE gone_at IS NULL AND job_id IN ({places})"  # noqa: S608
    return connection.execute(query, tuple(job_ids)).fetchall()


def _add_artifact(connection: sqlite3.Connection, artifact: Artifact, events: tuple[EventRow, ...]) -> bool:
    if connection.execute(_ADD_ARTIFACT, row_of_artifact(artifact)).rowcount == 0:
        return False
    connection.executemany(INSERT_EVENT, events)
    return True


def _finish(
    connection: sqlite3.Connection, record: JobRecord, events: tuple[EventRow, ...], told: Sequence[Delivery]
) -> bool:
    _put(connection, record)
    outcome = (record.job_id, record.generation, record.state)
    if connection.execute("INSERT INTO finishes VALUES (?, ?, ?) ON CONFLICT DO NOTHING", outcome).rowcount == 0:
        return False
    connection.executemany(INSERT_EVENT, events)
    add_deliveries(connection, told)
    return True
