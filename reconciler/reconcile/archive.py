"""Move a finished manifest out of the way.

Owns: the move to `jobs/completed`, and taking it back. Never: decides that a job is finished, or writes into the file.

Idempotent: after a crash anywhere in between, calling it again ends in the same place.
"""

from pathlib import Path

from reconciler.errors import FileBusyError
from reconciler.ids import JobId
from reconciler.manifests.files import move_into, read_file
from reconciler.manifests.read import read_manifest


def archive(path: Path, completed: Path, *, job_id: JobId, spec_digest: str) -> Path | None:
    """Move the manifest at `path` into `completed` and return where it is; None where it says something new and stays.

    Between the last look at a file and its move a person may save an edit. A rename takes the edit along, to where
    nobody acts on it; so the file is read again in its new place, and brought back if it is not what was completed.

    Raises FileNotFoundError where it is in neither folder, FileBusyError while somebody writes it, DiskError.
    """

    def is_done(file: Path) -> bool:
        manifest = read_manifest(read_file(file).data).manifest
        return manifest is not None and (manifest.job_id, manifest.spec_digest) == (job_id, spec_digest)

    if path.exists() and not is_done(path):
        return None
    inode = path.lstat().st_ino if path.exists() else 0
    moved = move_into(path, completed)
    # Another inode: it was moved before, or taken away just now and this is the file of another job, or it equalled
    # this one and was removed. There is nothing to bring back.
    ours = moved.lstat().st_ino == inode
    try:
        done = is_done(moved)
    except FileBusyError:
        if ours:
            move_into(moved, path.parent)
        raise
    if done:
        return moved
    if not ours:
        raise FileNotFoundError(f"{path} was taken away before it could be moved")
    move_into(moved, path.parent)
    return None
