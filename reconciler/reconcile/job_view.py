"""What files and database say of a job, put together for whoever asks: a command, or the HTTP API.

Owns: that view. Never: changes anything, or needs a daemon.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from reconciler.clock import rfc3339
from reconciler.errors import InvalidInputError, NotFoundError, ReconcilerError
from reconciler.ids import JobId, derived_job_id
from reconciler.manifests.files import read_input
from reconciler.manifests.model import JobState, Manifest, MbReleaseSpec, MultiSourceSpec
from reconciler.manifests.read import read_manifest
from reconciler.musicbrainz.model import Resolved, ResolvedRelease, ResolvedReleases
from reconciler.musicbrainz.resolutions import ResolutionStore
from reconciler.reconcile.conditions import Reason
from reconciler.reconcile.expand import is_completed, is_given_up
from reconciler.state.database import Database
from reconciler.state.jobs import JobStore
from reconciler.state.records import Artifact, JobRecord, KnownChild

# INDEXED BY, here and below: see traces.reading.
_RECEIVED = """
    SELECT COALESCE(SUM(bytes_transferred), 0) FROM SwarmEvents INDEXED BY SwarmEvents_by_job
    WHERE job_id = ? AND type = 'ChunkReceived' AND NOT is_error
"""

# SQLite gives the other columns from the row that has the maximum: https://sqlite.org/lang_select.html#bareagg
_LAST_ERRORS = """
    SELECT track_id, MAX(timestamp), peer_id, error_code, error_message FROM SwarmEvents INDEXED BY SwarmEvents_by_job
    WHERE job_id = ? AND is_error AND track_id IS NOT NULL
    GROUP BY track_id ORDER BY CAST(track_id AS INTEGER) LIMIT ?
"""

# The last step of each track since the job began.
_LAST_STEPS = """
    SELECT track_id, MAX(rowid), action, metadata_json FROM SwarmEvents INDEXED BY SwarmEvents_by_job
    WHERE job_id = ?1 AND type IN ('TrackStart', 'TrackComplete') AND rowid > (
        SELECT COALESCE(MAX(rowid), 0) FROM SwarmEvents INDEXED BY SwarmEvents_by_job
        WHERE job_id = ?1 AND type = 'JobStart' AND action <> 'changed'
    )
    GROUP BY track_id ORDER BY CAST(track_id AS INTEGER)
"""

# On one screen with the rest; the trace has them all.
ERRORS_MAX = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackError:
    """What last went wrong with a track. Texts and names may come from a peer."""

    track: str
    at_unix_s: float
    peer: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """One job."""

    record: JobRecord
    manifest: Manifest | None
    """None where the file is gone or cannot be read now."""
    artifacts: tuple[Artifact, ...]
    bytes_received: int
    """Accepted bytes over all runs."""
    resolved: Resolved | None
    """What MusicBrainz said of its current generation; None = it was not asked, or not needed."""

    children: tuple[KnownChild, ...]
    """The manifests that it has written and wants."""

    @property
    def tracks_total(self) -> int | None:
        """Tracks or files that the manifest asks for; None where it cannot be read, or does not list them."""
        match self.manifest.spec if self.manifest is not None else None:
            case MbReleaseSpec(tracks=tracks) if tracks is not None:
                return len(tracks)
            case MbReleaseSpec():
                return len(self.resolved.tracks) if isinstance(self.resolved, ResolvedRelease) else None
            case MultiSourceSpec(files=files):
                return len(files)
            case _:
                return None

    @property
    def tracks_text(self) -> str:
        """`3/12`: published of wanted; of a discography or label crate `3/12 releases`."""
        if isinstance(self.resolved, ResolvedReleases):
            return f"{self._children_completed}/{len(self.children)} releases"
        total = self.tracks_total
        return f"{len(self.artifacts)}/{'?' if total is None else total}"

    @property
    def _children_completed(self) -> int:
        return sum(1 for child in self.children if is_completed(child))

    @property
    def next_text(self) -> str:
        """Why it is not done, and when it is tried again."""
        if self.record.completed_at is not None:
            return ""
        when = f"next try {rfc3339(self.record.retry_at)}" if self.record.retry_at is not None else ""
        return "; ".join(part for part in (self.record.error_message or self._held_by, when) if part)

    @property
    def _held_by(self) -> str:
        """Why it is not done though nothing went wrong: it rests, or waits for a place, a disk or others."""
        ready = next((each for each in self.record.conditions if each.type == "Ready"), None)
        if ready is None or ready.status == "True" or ready.reason == Reason.FETCHING:
            return ""
        return f"{ready.reason}: {ready.message}" if ready.message else ready.reason

    def as_json(self) -> dict[str, object]:
        """The view as plain values."""
        record = self.record
        return {
            "job_id": record.job_id,
            "job_type": record.job_type.value,
            "path": record.path,
            "state": record.state.value,
            "generation": record.generation,
            "attempts": record.attempts,
            "tracks_total": self.tracks_total,
            "tracks_completed": [artifact.position for artifact in self.artifacts],
            "children": [
                {
                    "job_id": child.job_id,
                    "mb_release_id": child.release,
                    "state": JobState.PENDING.value if child.state is None else child.state.value,
                    "path": child.path,
                }
                for child in self.children
            ],
            "bytes_received": self.bytes_received,
            "started_at": _time(record.started_at),
            "completed_at": _time(record.completed_at),
            "retry_at": _time(record.retry_at),
            "error": record.error_message,
            "files": [
                {"position": a.position, "path": a.path, "size": a.size, "sha256": a.sha256, "root": a.root}
                for a in self.artifacts
            ],
            "conditions": [
                {
                    "type": c.type,
                    "status": c.status,
                    "reason": c.reason,
                    "message": c.message,
                    "since": c.last_transition_time,
                }
                for c in record.conditions
            ],
        }


def views_of(database: Database, root: Path) -> list[JobView]:
    """Every job, in the order of their ids (which is that of their making)."""
    records = sorted(JobStore(database).all(), key=lambda record: record.job_id)
    return [view_of_record(database, root, record) for record in records]


def view_of(database: Database, root: Path, name: str) -> JobView:
    """The job whose id begins with `name`; NotFoundError for none, InvalidInputError for several."""
    found = JobStore(database).find(name.strip())
    if not found:
        raise NotFoundError(f"no job's id begins with {name!r}", hint="`reconciler status` lists them")
    if len(found) > 1:
        ids = ", ".join(record.job_id for record in found[:5])
        raise InvalidInputError(f"{len(found)} jobs begin with {name!r}: {ids}", hint="write more of the id")
    return view_of_record(database, root, found[0])


def view_of_record(database: Database, root: Path, record: JobRecord) -> JobView:
    """The view of a job whose record is at hand."""
    store = JobStore(database)
    received = database.read(lambda connection: connection.execute(_RECEIVED, (record.job_id,)).fetchone()[0])
    resolved = ResolutionStore(database).get(record.job_id, record.generation)
    return JobView(
        record=record,
        manifest=_manifest(root / record.path),
        artifacts=store.artifacts(record.job_id, record.generation),
        bytes_received=int(received),
        children=_children(store, record, resolved),
        resolved=resolved,
    )


def last_errors(database: Database, job_id: JobId) -> list[TrackError]:
    """What last went wrong with each track, by position; at most ERRORS_MAX."""
    rows = database.read(lambda connection: connection.execute(_LAST_ERRORS, (job_id, ERRORS_MAX)).fetchall())
    return [
        TrackError(
            track=str(track),
            at_unix_s=float(milliseconds) / 1000,
            peer=str(peer or ""),
            what=": ".join(str(part) for part in (code, message) if part),
        )
        for track, milliseconds, peer, code, message in rows
    ]


def shared_transfers(database: Database, record: JobRecord) -> list[tuple[str, str]]:
    """Each track of a running job that waits for a twin's bytes, and what it waits for; at most ERRORS_MAX."""
    if record.state is not JobState.RUNNING:
        return []
    rows = database.read(lambda connection: connection.execute(_LAST_STEPS, (record.job_id,)).fetchall())
    found = [(str(track), json.loads(facts or "{}")) for track, _, action, facts in rows if action == "shares"]
    return [
        (track, f"shares the transfer of job {facts.get('job', '')}, track {facts.get('track', '')}")
        for track, facts in found[:ERRORS_MAX]
    ]


def _children(store: JobStore, record: JobRecord, resolved: Resolved | None) -> tuple[KnownChild, ...]:
    """Those that the job wants now; what it wanted once and is completed stays, and is not counted."""
    if not isinstance(resolved, ResolvedReleases):
        return ()
    wanted = {derived_job_id(record.job_id, release.group) for release in resolved.releases}
    known = store.children(record.job_id)
    return tuple(child for child in known if child.job_id in wanted and not is_given_up(child))


def _manifest(path: Path) -> Manifest | None:
    try:
        return read_manifest(read_input(path).data).manifest
    except (ReconcilerError, FileNotFoundError):
        return None


def _time(unix_s: float | None) -> str | None:
    return None if unix_s is None else rfc3339(unix_s)
