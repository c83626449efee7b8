"""Everything that is wrong with a manifest, before anybody acts on it.

Owns: putting together what the reader says and what the configuration says of where files go. Never: either of them
(manifests.read, reconcile.orders).
"""

from dataclasses import replace

from reconciler.manifests.document import Document, pointer_of
from reconciler.manifests.model import Manifest, Parsed, Problem
from reconciler.manifests.read import read_document, read_manifest
from reconciler.reconcile.orders import Places, plan_of


def checked(data: bytes, places: Places) -> Parsed:
    """Read a manifest that is to be acted on in these places: a value where nothing is an error, and all problems."""
    parsed = read_manifest(data)
    if parsed.manifest is None:
        return parsed
    misplaced = misplacement(data, parsed.manifest, places)
    return parsed if misplaced is None else Parsed(manifest=None, problems=(*parsed.problems, misplaced))


def misplacement(data: bytes, manifest: Manifest, places: Places) -> Problem | None:
    """Why the files of this manifest, read from `data`, cannot go where it says; None = they can."""
    plan = plan_of(manifest.spec, places)
    if not isinstance(plan, Problem):
        return None
    document = read_document(data)
    if not isinstance(document, Document):
        return plan
    marks = {pointer_of(path): mark for path, mark in document.marks.items()}
    place = marks[plan.pointer].value if plan.pointer in marks else None
    return plan if place is None else replace(plan, line=place.line, column=place.column)
