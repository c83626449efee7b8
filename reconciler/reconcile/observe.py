"""Look at one manifest and everything known of its job.

Owns: gathering an Observed: file, database, neighbours in the folders. Never: judges it (reconcile.decide) or changes
anything.

Blocking: it runs in a thread. What the engine knows is added by the loop, on whose thread the engine lives.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from reconciler.errors import DiskError, FileBusyError, InvalidInputError, UnsafePathError
from reconciler.ids import JobId
from reconciler.manifests.files import read_input
from reconciler.manifests.model import Condition, JobState, JobType, Manifest
from reconciler.manifests.read import has_conflict_marker, read_manifest
from reconciler.musicbrainz.model import Resolved
from reconciler.musicbrainz.resolutions import ResolutionStore
from reconciler.reconcile.git_state import git_folder_of, unfinished
from reconciler.reconcile.listing import FileMark, mark_at, mark_of_fingerprint
from reconciler.reconcile.names import REMOVAL_CONFIRMED
from reconciler.reconcile.observed import FileState, Gone, GoneJob, Invalid, Needed, Observed, Unreadable, Valid
from reconciler.reconcile.orders import is_looked_up
from reconciler.state.jobs import JobStore
from reconciler.state.records import JobRecord, KnownChild

_NANOSECONDS = 1e9

OWNING = frozenset({JobType.DISCOGRAPHY, JobType.LABEL_CRATE})
"""Jobs that write manifests of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Folders:
    """Where the manifests of one root folder are."""

    root: Path
    """Absolute."""

    @property
    def active(self) -> Path:
        """Desired state, edited by people."""
        return self.root / "jobs" / "active"

    @property
    def completed(self) -> Path:
        """Manifests that are done."""
        return self.root / "jobs" / "completed"

    @property
    def exported(self) -> Path:
        """Manifests as they were when somebody asked for a copy."""
        return self.root / "jobs" / "exported"

    @property
    def status(self) -> Path:
        """What daemons say of the jobs, where they do not say it in the manifests."""
        return self.root / "jobs" / "status"

    @property
    def removal_confirmed(self) -> Path:
        """The file by which a person says that many manifests are gone on purpose."""
        return self.active / REMOVAL_CONFIRMED

    def at(self, path: str) -> Path:
        """The file of a path relative to the root folder."""
        return self.root / path

    def relative(self, file: Path) -> str:
        """The path that records and messages use: relative to the root folder, `/` between parts."""
        return file.relative_to(self.root).as_posix()

    def is_active(self, path: str) -> bool:
        """Tell whether a path of a record lies in `jobs/active`."""
        return self.at(path).parent == self.active

    def is_completed(self, path: str) -> bool:
        """Tell whether a path of a record lies in `jobs/completed`."""
        return self.at(path).parent == self.completed

    def git_work(self, now_unix_s: float) -> str:
        """What git is in the middle of in the work tree of `jobs/active`, for a person; empty = of nothing."""
        git = git_folder_of(self.active)
        return unfinished(git, now_unix_s=now_unix_s) if git is not None else ""


class Observer:
    """Sees through the file system and the database of one root folder."""

    def __init__(
        self, *, folders: Folders, store: JobStore, resolutions: ResolutionStore, library_roots: Iterable[Path]
    ) -> None:
        self._folders = folders
        self._store = store
        self._resolutions = resolutions
        self._library_roots = tuple(library_roots)
        # Several passes in a row look at one file: it is read each time, and parsed once.
        self._last = Look(file=Gone())

    def observe(
        self, path: str, *, last_job: JobId | None, last_conditions: tuple[Condition, ...], now_unix_s: float
    ) -> Observed:
        """Look at the manifest at `path`; `last_job` was last seen there.

        Raises FileBusyError while somebody writes the file, DiskError where the whole folder is not there: that is a
        disk which is not mounted or a branch without jobs, and says nothing about one manifest.
        """
        # Before and after the file: what git writes in between must not be taken for somebody's wish.
        git_work = self._folders.git_work(now_unix_s)
        look = self._last = look_at(self._folders.at(path), last=self._last)
        git_work = git_work or self._folders.git_work(now_unix_s)
        if isinstance(look.file, Gone) and not self._folders.active.is_dir():
            raise DiskError(f"{self._folders.active} is not there", hint="mount it, or make it with `reconciler init`")
        manifest = look.file.manifest if isinstance(look.file, Valid) else None
        named = manifest.job_id if manifest is not None else None
        job_id = named or last_job
        record = self._store.get(job_id) if job_id is not None else None
        artifacts = self._store.artifacts(record.job_id, record.generation) if record is not None else ()
        earlier = record is not None and record.generation > 1
        return Observed(
            path=path,
            file=look.file,
            changed_at_unix_s=look.changed_at_unix_s,
            document=look.document,
            mark=look.mark,
            git_work=git_work,
            record=record,
            artifacts=artifacts,
            earlier_artifacts=self._store.artifacts(record.job_id, record.generation - 1) if record and earlier else (),
            resolved=self._resolved(manifest, record),
            children=self._children(manifest, record),
            library_roots_present=frozenset(str(root) for root in self._library_roots if root.is_dir()),
            duplicate_of=self._first_path(path, named, record),
            completed_copy=self._completed_copy(path, named, record),
            needs=self._needs(manifest.directives.depends_on if manifest is not None else ()),
            last_conditions=last_conditions,
        )

    def observe_gone(self, job_id: JobId, *, gone_for_s: float, now_unix_s: float) -> GoneJob | None:
        """Look for a job that is no longer in its file; None where there is no record of it."""
        record = self._store.get(job_id)
        if record is None:
            return None
        copy = self._completed_copy(record.path, job_id, record)
        git_work = self._folders.git_work(now_unix_s)
        return GoneJob(record=record, progress=None, gone_for_s=gone_for_s, completed_copy=copy, git_work=git_work)

    def _resolved(self, manifest: Manifest | None, record: JobRecord | None) -> Resolved | None:
        """What MusicBrainz said of the recorded generation, for a job that needs it."""
        if manifest is None or record is None or not is_looked_up(manifest.spec):
            return None
        return self._resolutions.get(record.job_id, record.generation)

    def _children(self, manifest: Manifest | None, record: JobRecord | None) -> tuple[KnownChild, ...]:
        if manifest is None or record is None or manifest.job_type not in OWNING:
            return ()
        return self._store.children(record.job_id)

    def _needs(self, job_ids: tuple[JobId, ...]) -> tuple[Needed, ...]:
        states = self._store.states(job_ids) if job_ids else {}
        return tuple(Needed(job_id=job_id, state=states.get(job_id) or self._elsewhere(job_id)) for job_id in job_ids)

    def _elsewhere(self, job_id: JobId) -> JobState | None:
        """The state of a job that only its finished manifest tells of: another node ran it."""
        return JobState.COMPLETED if self._store.completed_paths(job_id) else None

    def _first_path(self, path: str, named: JobId | None, record: JobRecord | None) -> str:
        """The other file of `jobs/active` that this job is in, if it still is."""
        if named is None or record is None or record.path == path or not self._folders.is_active(record.path):
            return ""
        match look_at(self._folders.at(record.path)).file:
            case Gone():
                return ""
            case Valid(manifest=manifest):
                return record.path if manifest.job_id == named else ""
            case Invalid() | Unreadable():
                # Half of a save, or a mistake in it: until it can be read it is still the file of this job.
                return record.path

    def _completed_copy(self, path: str, named: JobId | None, record: JobRecord | None) -> str:
        """The file of `jobs/completed` with this job: where it was seen, or under a name that it is likely to have.

        The names are for what came a moment ago and was not looked at yet.
        """
        if named is None:
            return ""
        completed = self._folders.completed
        names = [self._folders.at(seen) for seen in self._store.completed_paths(named)]
        names += [completed / Path(path).name, completed / f"{named}.yml", completed / f"{named}.yaml"]
        if record is not None and self._folders.is_completed(record.path):
            names.insert(0, self._folders.at(record.path))
        for file in dict.fromkeys(names):
            try:
                state = look_at(file).file
            except FileBusyError:
                continue
            if isinstance(state, Valid) and state.manifest.job_id == named:
                return self._folders.relative(file)
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One file, read once."""

    file: FileState
    changed_at_unix_s: float = 0.0
    document: bytes = b""
    mark: FileMark | None = None
    """None where there is no file."""


def look_at(file: Path, *, last: Look | None = None) -> Look:
    """Read a manifest and say what it is; what has the bytes of the `last` look is not parsed again.

    Raises FileBusyError while somebody writes it, DiskError.
    """
    try:
        snapshot = read_input(file)
    except FileNotFoundError:
        return Look(file=Gone())
    except (InvalidInputError, UnsafePathError) as error:
        message = f"{error.message}; {error.hint}" if error.hint else error.message
        return Look(file=Unreadable(message=message), mark=mark_at(file))
    seen = snapshot.fingerprint
    state: FileState
    if last is not None and last.document == snapshot.data and isinstance(last.file, Invalid):
        state = last.file
    elif last is not None and last.document == snapshot.data and isinstance(last.file, Valid):
        state = Valid(manifest=last.file.manifest, writable=snapshot.writable)
    elif not snapshot.data.strip():
        state = Unreadable(message="the file is empty")
    else:
        parsed = read_manifest(snapshot.data)
        if parsed.manifest is None:
            state = Invalid(problems=parsed.problems, half_merged=has_conflict_marker(snapshot.data))
        else:
            state = Valid(manifest=parsed.manifest, writable=snapshot.writable)
    return Look(
        file=state,
        changed_at_unix_s=seen.mtime_ns / _NANOSECONDS,
        document=snapshot.data,
        mark=mark_of_fingerprint(seen),
    )
