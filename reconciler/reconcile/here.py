"""Which jobs have a manifest in this root folder, and where: in the files, whether a daemon has seen them or not.

Owns: that index. Never: writes, or takes the database's word for what a file says.

The database remembers each file that a daemon has seen, with a mark by which it is known to be unchanged; only what is
not remembered so is read for the index. So it costs little with 100,000 manifests, and is right without any daemon.
"""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from reconciler.errors import DiskError, FileBusyError, NotFoundError
from reconciler.ids import JobId
from reconciler.manifests.model import Manifest
from reconciler.reconcile.listing import differences
from reconciler.reconcile.observe import Folders, look_at
from reconciler.reconcile.observed import Valid
from reconciler.state.sightings import CompletedManifest, Sighting, SightingStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A file that has a job, as it is now."""

    path: str
    """Relative to the root folder."""
    manifest: Manifest | None
    """None where the file cannot be read as a manifest just now: it is still the file of its job."""
    document: bytes


class Here:
    """The manifests of `jobs/active` and `jobs/completed` as they are at one moment. Each method waits for the disk."""

    def __init__(self, folders: Folders, *, sightings: SightingStore | None) -> None:
        """Without a store, as where no daemon has worked yet, all files are read. Raises NotFoundError."""
        self.folders = folders
        self._paths: dict[JobId, list[str]] = defaultdict(list)
        self._by_digest: dict[str, list[str]] = defaultdict(list)
        marks: dict[str, int] = {}
        said: dict[str, tuple[JobId | None, str]] = {}

        def remember(seen: Sighting | CompletedManifest) -> None:
            marks[seen.path] = seen.mark
            said[seen.path] = (seen.job_id, seen.spec_digest)

        if sightings is not None:
            sightings.each(remember)
            sightings.each_completed(remember)
        for folder in (folders.active, folders.completed):
            prefix = f"{folders.relative(folder)}/"
            below = {path: mark for path, mark in marks.items() if path.startswith(prefix)}
            self._take(folder, prefix, below, said)

    def holders(self, job_id: JobId) -> list[Holder]:
        """The files that have a job, those of `jobs/active` first; raises FileBusyError while one is written."""
        found = [self._holder(path, job_id) for path in self._paths.get(job_id, ())]
        return [holder for holder in found if holder is not None]

    def asking_for(self, spec_digest: str) -> list[Holder]:
        """The files that ask for just this; raises FileBusyError while one is written."""
        found = [self._holder(path, None) for path in dict.fromkeys(self._by_digest.get(spec_digest, ()))]
        return [h for h in found if h is not None and h.manifest is not None and h.manifest.spec_digest == spec_digest]

    def beginning_with(self, prefix: str) -> list[JobId]:
        """The jobs whose id begins so, in either case, by id."""
        return sorted(job_id for job_id in self._paths if job_id.lower().startswith(prefix.lower()))

    def add(self, path: str, manifest: Manifest) -> None:
        """Take note of a file that now says this."""
        if manifest.job_id is not None and path not in self._paths[manifest.job_id]:
            self._paths[manifest.job_id].append(path)
        self._by_digest[manifest.spec_digest].append(path)

    def notice(self, path: str) -> Manifest | None:
        """Look at one file that has changed, or is new; gives what it says where that is a manifest."""
        try:
            state = look_at(self.folders.at(path)).file
        except (FileBusyError, DiskError):
            # Who writes it now is not done with it; what the disk does not give has no job for now.
            return None
        if not isinstance(state, Valid):
            return None
        self.add(path, state.manifest)
        return state.manifest

    def _take(
        self, folder: Path, prefix: str, marks: dict[str, int], said: dict[str, tuple[JobId | None, str]]
    ) -> None:
        try:
            seen = differences(folder, prefix, marks, ())
        except OSError as error:
            if folder == self.folders.completed and isinstance(error, FileNotFoundError):
                return
            raise NotFoundError(
                f"{folder} cannot be listed: {error.strerror}", hint="make it with `reconciler init`, or name --root"
            ) from error
        apart = {*seen.changed, *seen.vanished}
        for path in marks:
            if path not in apart:
                job_id, spec_digest = said[path]
                if job_id is not None:
                    self._paths[job_id].append(path)
                if spec_digest:
                    self._by_digest[spec_digest].append(path)
        for path in seen.changed:
            self.notice(path)

    def _holder(self, path: str, job_id: JobId | None) -> Holder | None:
        """The file at a path, if it still is there and has that job; None = any."""
        look = look_at(self.folders.at(path))
        if look.mark is None:
            return None
        if not isinstance(look.file, Valid):
            return Holder(path=path, manifest=None, document=look.document)
        if job_id is not None and look.file.manifest.job_id != job_id:
            return None
        return Holder(path=path, manifest=look.file.manifest, document=look.document)
