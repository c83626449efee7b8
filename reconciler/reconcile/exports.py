"""A job's manifest as it leaves: every byte that a person wrote, and the job's status as word of where it came from.

Owns: finding the manifest, also of a job whose file is gone; the name of the export; the folder `jobs/exported`.
Never: changes the manifest itself, or writes over a file that is not an export of the same job.
"""

from dataclasses import dataclass
from pathlib import Path

from reconciler.errors import DiskError, InvalidInputError, NotFoundError
from reconciler.ids import JobId
from reconciler.manifests.admission import in_lines, provenance_of
from reconciler.manifests.document import Document
from reconciler.manifests.files import make_new, read_file, rewrite
from reconciler.manifests.model import Manifest
from reconciler.manifests.read import read_document, read_manifest
from reconciler.manifests.splice import SpliceRefusedError, insert_identity, splice_status
from reconciler.reconcile.here import Here
from reconciler.reconcile.names import is_manifest_name
from reconciler.reconcile.observe import Folders, look_at
from reconciler.reconcile.observed import Valid
from reconciler.reconcile.status import status_of
from reconciler.state.jobs import JobStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """A manifest that can be taken in elsewhere."""

    job_id: JobId
    name: str
    """Of its file, as it is called here."""
    data: bytes
    notes: tuple[str, ...] = ()
    """What a person should know, in sentences."""


def export_job(job_id: JobId, *, here: Here, jobs: JobStore | None) -> Export:
    """Export a job; without `jobs`, where no daemon has worked yet, a status is only what the file says.

    Blocking. Raises NotFoundError where neither file nor database has the job, FileBusyError while its file is written.
    """
    notes: list[str] = []
    name, document = _found(job_id, here, jobs, notes)
    data = in_lines(document)
    try:
        data = insert_identity(data, job_id=job_id, created_at=None)
        data = _with_status(data, job_id, jobs)
    except SpliceRefusedError as refusal:
        notes.append(f"it has no status, because there is no exact place for one: {refusal.reason}")
    return Export(job_id=job_id, name=name, data=data, notes=tuple(notes))


def save_export(export: Export, path: Path) -> bool:
    """Write an export to a file; False where it says just that already.

    An older export of the same job is replaced. Raises InvalidInputError where something else has the name, DiskError.
    """
    if make_new(path, export.data):
        return True
    standing = read_file(path).data
    if standing == export.data:
        return False
    _check_older(standing, export, path)

    def newer(found: bytes) -> bytes:
        _check_older(found, export, path)
        return export.data

    rewrite(path, newer)
    return True


def save_exported(export: Export, folders: Folders) -> tuple[Path, bool]:
    """Write an export into `jobs/exported`, under the name of its manifest or, where another job's has that, of its id.

    Gives the file, and False where it said just that already. Raises InvalidInputError, DiskError.
    """
    try:
        folders.exported.mkdir(exist_ok=True)
    except OSError as error:
        raise DiskError(f"{folders.exported} cannot be made: {error.strerror}", hint="look at permissions") from error
    path = folders.exported / export.name
    try:
        return path, save_export(export, path)
    except InvalidInputError:
        path = folders.exported / f"{export.job_id}.yml"
        return path, save_export(export, path)


def _found(job_id: JobId, here: Here, jobs: JobStore | None, notes: list[str]) -> tuple[str, bytes]:
    """The name and the bytes of the manifest; where it is gone, what the daemon acted on last."""
    for holder in here.holders(job_id):
        if holder.manifest is not None:
            return Path(holder.path).name, holder.document
    record = jobs.get(job_id) if jobs is not None else None
    if record is not None:
        look = look_at(here.folders.at(record.path))
        # A file that an id could not be written into.
        if isinstance(look.file, Valid) and look.file.manifest.job_id is None:
            return Path(record.path).name, look.document
    kept = jobs.acted_on(job_id) if jobs is not None else ()
    if record is None or not kept:
        raise NotFoundError(f"job {job_id} has no manifest here", hint="`reconciler status` lists the jobs")
    notes.append(f"{record.path} cannot be read, or is gone; this is what it said when it was last acted on")
    name = Path(record.path).name
    return name if is_manifest_name(name) else f"{job_id}.yml", kept[0][1]


def _with_status(data: bytes, job_id: JobId, jobs: JobStore | None) -> bytes:
    """The manifest with its own status where that is of this state, otherwise with what the database knows."""
    record = jobs.get(job_id) if jobs is not None else None
    document = read_document(data)
    said = provenance_of(document) if isinstance(document, Document) else None
    if jobs is None or record is None or (said is not None and said.state is record.state):
        return data
    artifacts = jobs.artifacts(job_id, record.generation)
    return splice_status(data, status_of(record, plan=None, artifacts=artifacts, progress=None))


def _check_older(found: bytes, export: Export, path: Path) -> None:
    manifest: Manifest | None = read_manifest(found).manifest
    if manifest is None or manifest.job_id != export.job_id:
        raise InvalidInputError(f"{path} is there already, and is no export of this job", hint="name another --output")
