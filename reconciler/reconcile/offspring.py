"""The manifests that a job owns, on the disk.

Owns: making, rewriting, cancelling and taking one back, so that a crash at any point leaves what the next pass mends.
Never: decides which are wanted (reconcile.expand).

Every function waits for the disk.
"""

from reconciler.errors import InvalidInputError
from reconciler.manifests.edit import EditRefusedError, set_field
from reconciler.manifests.files import make_new, move_into, rewrite
from reconciler.reconcile.actions import CancelChild, WriteChild
from reconciler.reconcile.observe import Folders
from reconciler.state.jobs import JobStore


def write_child(folders: Folders, store: JobStore, step: WriteChild) -> str:
    """Have a child's manifest say what it should, in `jobs/active`; gives its path there.

    One that is there already under the name of its job, though nobody remembers it, is adopted as it is: the database
    was lost. Raises FileBusyError, DiskError, InvalidInputError.
    """
    child, data = step.child, step.child.text.encode()
    file = folders.at(step.path)
    active = folders.active / file.name
    try:
        if _is_known(store, step):
            rewrite(file, lambda _: data)
            if folders.is_completed(step.path):
                # Whatever somebody writes into it meanwhile comes along.
                active = move_into(file, folders.active, is_wanted=lambda _: True) or active
        elif not (folders.completed / file.name).exists():
            make_new(active, data)
    except FileNotFoundError:
        make_new(active, data)
    path = folders.relative(active)
    store.put_child(step.owner, child.job_id, release=child.release, written=child.digest, path=path)
    return path


def cancel_child(folders: Folders, store: JobStore, step: CancelChild) -> str:
    """Write into a child's manifest that it is to end; gives its path. One that is not there needs no end.

    Raises InvalidInputError where somebody has written the file in a way that leaves no exact place for it.
    """
    try:
        rewrite(folders.at(step.path), lambda data: set_field(data, ("spec", "desired_state"), "cancelled"))
    except FileNotFoundError:
        pass
    except EditRefusedError as refusal:
        raise InvalidInputError(f"{step.path} is to be cancelled: {refusal.message}", hint=refusal.hint) from refusal
    store.leave_child(step.owner, step.job_id)
    return step.path


def _is_known(store: JobStore, step: WriteChild) -> bool:
    return any(each.job_id == step.child.job_id for each in store.children(step.owner))
