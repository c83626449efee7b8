"""Move a finished manifest out of the way.

Owns: what a manifest must still say to be moved to `jobs/completed`. Never: decides that a job is finished, or writes
into the file.

Idempotent: after a crash anywhere in between, calling it again ends in the same place.
"""

import os
from pathlib import Path

from reconciler.ids import JobId
from reconciler.manifests.files import move_into, moved_earlier, read_input
from reconciler.manifests.read import read_manifest


def archive(path: Path, completed: Path, *, job_id: JobId, spec_digest: str) -> Path | None:
    """Move the manifest at `path` into `completed` and return where it is; None where it says something new and stays.

    Between the last look at a file and its move a person may save an edit. A rename would take the edit along, to where
    nobody acts on it; so the file is looked at once more where nobody saves it any more, and only then moved.

    Raises FileNotFoundError where it is in neither folder, FileBusyError while somebody writes it, DiskError.
    """

    def is_done(data: bytes) -> bool:
        manifest = read_manifest(data).manifest
        return manifest is not None and (manifest.job_id, manifest.spec_digest) == (job_id, spec_digest)

    if not os.path.lexists(path):
        moved = moved_earlier(path, completed, is_wanted=is_done)
        if moved is None:
            raise FileNotFoundError(f"{path} was taken away before it could be moved")
        return moved
    # An edit that is seen now does not cost the file its name for a moment.
    if not is_done(read_input(path).data):
        return None
    return move_into(path, completed, is_wanted=is_done)
