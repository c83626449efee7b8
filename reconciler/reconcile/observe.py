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
from reconciler.manifests.files import read_file
from reconciler.manifests.model import Condition
from reconciler.manifests.read import read_manifest
from reconciler.reconcile.observed import FileState, Gone, GoneJob, Invalid, Observed, Unreadable, Valid
from reconciler.state.jobs import JobStore
from reconciler.state.records import JobRecord

_NANOSECONDS = 1e9


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

    def at(self, path: str) -> Path:
        """The file of a path relative to the root folder."""
        return self.root / path

    def relative(self, file: Path) -> str:
        """The path that records and messages use: relative to the root folder, `/` between parts."""
        return file.relative_to(self.root).as_posix()

    def is_active(self, path: str) -> bool:
        """Tell whether a path of a record lies in `jobs/active`."""
        return self.at(path).parent == self.active


class Observer:
    """Sees through the file system and the database of one root folder."""

    def __init__(self, *, folders: Folders, store: JobStore, library_roots: Iterable[Path]) -> None:
        self._folders = folders
        self._store = store
        self._library_roots = tuple(library_roots)

    def observe(self, path: str, *, last_job: JobId | None, last_conditions: tuple[Condition, ...]) -> Observed:
        """Look at the manifest at `path`; `last_job` was last seen there.

        Raises FileBusyError while somebody writes the file, DiskError where the whole folder is not there: that is a
        disk which is not mounted or a branch without jobs, and says nothing about one manifest.
        """
        file, changed_at_unix_s = self._file_state(self._folders.at(path))
        if isinstance(file, Gone) and not self._folders.active.is_dir():
            raise DiskError(f"{self._folders.active} is not there", hint="mount it, or make it with `reconciler init`")
        named = file.manifest.job_id if isinstance(file, Valid) else None
        job_id = named or last_job
        record = self._store.get(job_id) if job_id is not None else None
        artifacts = self._store.artifacts(record.job_id, record.generation) if record is not None else ()
        earlier = record is not None and record.generation > 1
        return Observed(
            path=path,
            file=file,
            changed_at_unix_s=changed_at_unix_s,
            record=record,
            artifacts=artifacts,
            earlier_artifacts=self._store.artifacts(record.job_id, record.generation - 1) if record and earlier else (),
            library_roots_present=frozenset(str(root) for root in self._library_roots if root.is_dir()),
            duplicate_of=self._first_path(path, named, record),
            completed_copy=self._completed_copy(path, named, record),
            last_conditions=last_conditions,
        )

    def observe_gone(self, job_id: JobId, *, gone_for_s: float) -> GoneJob | None:
        """Look for a job that is no longer in its file; None where there is no record of it."""
        record = self._store.get(job_id)
        if record is None:
            return None
        copy = self._completed_copy(record.path, job_id, record)
        return GoneJob(record=record, progress=None, gone_for_s=gone_for_s, completed_copy=copy)

    def _file_state(self, file: Path) -> tuple[FileState, float]:
        try:
            snapshot = read_file(file)
        except FileNotFoundError:
            return Gone(), 0.0
        except (InvalidInputError, UnsafePathError) as error:
            return Unreadable(message=f"{error.message}; {error.hint}" if error.hint else error.message), 0.0
        changed_at_unix_s = snapshot.fingerprint.mtime_ns / _NANOSECONDS
        if not snapshot.data.strip():
            return Unreadable(message="the file is empty"), changed_at_unix_s
        parsed = read_manifest(snapshot.data)
        if parsed.manifest is None:
            return Invalid(problems=parsed.problems), changed_at_unix_s
        return Valid(manifest=parsed.manifest, writable=snapshot.writable), changed_at_unix_s

    def _first_path(self, path: str, named: JobId | None, record: JobRecord | None) -> str:
        """The other file of `jobs/active` that this job is in, if it still is."""
        if named is None or record is None or record.path == path or not self._folders.is_active(record.path):
            return ""
        other, _ = self._file_state(self._folders.at(record.path))
        match other:
            case Gone():
                return ""
            case Valid(manifest=manifest):
                return record.path if manifest.job_id == named else ""
            case Invalid() | Unreadable():
                # Half of a save, or a mistake in it: until it can be read it is still the file of this job.
                return record.path

    def _completed_copy(self, path: str, named: JobId | None, record: JobRecord | None) -> str:
        """The file of `jobs/completed` with this job, under one of the names that it can be expected to have."""
        if named is None:
            return ""
        completed = self._folders.completed
        names = [completed / Path(path).name, completed / f"{named}.yml", completed / f"{named}.yaml"]
        if record is not None and not self._folders.is_active(record.path):
            names.insert(0, self._folders.at(record.path))
        for file in names:
            try:
                state, _ = self._file_state(file)
            except FileBusyError:
                continue
            if isinstance(state, Valid) and state.manifest.job_id == named:
                return self._folders.relative(file)
        return ""
