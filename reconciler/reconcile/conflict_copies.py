"""Settle what Syncthing could not: two versions of one manifest.

Owns: reading both, writing a merge, removing a copy that says nothing new. Never: judges (reconcile.conflict), and
never removes a version of which anything would be lost.

Blocking: it runs in a thread. After a crash between a merge and the removal of its copy, the copy is found to say
nothing new.
"""

from dataclasses import dataclass
from pathlib import Path

from reconciler.errors import FileBusyError, InvalidInputError
from reconciler.manifests.files import read_file, rewrite
from reconciler.manifests.read import read_manifest
from reconciler.manifests.splice import SpliceRefusedError, without_status
from reconciler.reconcile.conflict import Apart, Equal, Merged, Verdict, compare
from reconciler.reconcile.observe import Look, look_at
from reconciler.reconcile.observed import Gone, Valid
from reconciler.reconcile.ownership import Node, why_not_ours
from reconciler.state.jobs import JobStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What became of a conflict copy."""

    message: str = ""
    """What a person has to look at; empty = nothing."""
    mark: int | None = None
    """Of the copy; None = it is not there any more."""
    merged: bool = False
    """Whether its edit was taken into the manifest."""


def settle(copy: Path, original: Path, *, store: JobStore, node: Node) -> Settled:
    """Take what the copy says into the manifest, or say why a person must.

    Raises FileBusyError while somebody writes one of the two, DiskError, OSError.
    """
    there = look_at(copy)
    if isinstance(there.file, Gone):
        return Settled()
    here = look_at(original)
    if isinstance(here.file, Valid) and why_not_ours(here.file.manifest.directives.node, node):
        return Settled(mark=there.mark)
    match _judged(here, there, store):
        case Apart(why=why):
            return Settled(message=f"{copy.name}: {why}", mark=there.mark)
        case Equal():
            return _removed(copy, there.document, merged=False)
        case Merged(document=document):
            ours = without_status(here.document)
            if document != ours:
                _write(original, over=ours, document=document)
            return _removed(copy, there.document, merged=document != ours)


def _judged(here: Look, there: Look, store: JobStore) -> Verdict:
    """What can be done with the copy `there` of the manifest `here`."""
    why = _incomparable(here, there)
    if why:
        return Apart(why=why)
    assert isinstance(here.file, Valid)
    try:
        ours, theirs = without_status(here.document), without_status(there.document)
    except SpliceRefusedError as refusal:
        return Apart(why=refusal.reason)
    job_id = here.file.manifest.job_id
    bases = [document for _, document in store.acted_on(job_id)] if job_id is not None else []
    verdict = compare(ours, theirs, bases)
    if isinstance(verdict, Merged) and read_manifest(verdict.document).manifest is None:
        return Apart(why="both edits together would be no manifest")
    if isinstance(verdict, Apart):
        return Apart(why=f"{verdict.why}; take what is right into the manifest, then remove the copy")
    return verdict


def _incomparable(here: Look, there: Look) -> str:
    """Why the two cannot be merged whatever they say; empty = they can be compared."""
    if isinstance(here.file, Gone):
        return "the manifest of which it is another version is gone; rename the copy, or remove it"
    if not isinstance(here.file, Valid):
        return "the manifest itself cannot be read"
    if not isinstance(there.file, Valid):
        return "it cannot be read as a manifest; take what is right into the other, then remove it"
    theirs = there.file.manifest.job_id
    if theirs is not None and theirs != here.file.manifest.job_id:
        return f"it has another job_id, {theirs}; rename it to make it a manifest of its own"
    return "" if here.file.writable else "the manifest is a link, which is not written through"


def _write(original: Path, *, over: bytes, document: bytes) -> None:
    """Put the merge in the place of the version that was judged; the status is written anew by the next pass."""

    def change(standing: bytes) -> bytes:
        if without_status(standing) != over:
            raise FileBusyError(f"{original} was edited while it was merged", hint="it is looked at again shortly")
        return document

    rewrite(original, change)


def _removed(copy: Path, judged: bytes, *, merged: bool) -> Settled:
    """Remove a copy of which everything stands in the manifest now, if it still is what was judged."""
    try:
        if read_file(copy).data != judged:
            raise FileBusyError(f"{copy} was changed while it was looked at", hint="it is looked at again shortly")
    except (FileNotFoundError, InvalidInputError):
        return Settled(merged=merged)
    copy.unlink(missing_ok=True)
    return Settled(merged=merged)
