"""From a discography or label crate to the manifests that it wants.

Owns: the text and the identity of each, and what has to change so that those and no others are wanted. Never: writes a
file (reconcile.perform), or chooses a release (musicbrainz.edition).

A child is an ordinary manifest of a release, without a track list. Its id follows from the owner and the release group:
whatever is lost, the same wish leads to the same file. What is completed is never touched.
"""

from collections.abc import Iterable

from reconciler.ids import JobId, derived_job_id
from reconciler.manifests.block import Field
from reconciler.manifests.compose import constraint_fields, inherited_fields, manifest_text
from reconciler.manifests.model import DiscographySpec, JobState, LabelCrateSpec, Manifest
from reconciler.musicbrainz.model import ChosenRelease
from reconciler.reconcile.actions import CancelChild, Child, WriteChild
from reconciler.reconcile.orders import Family
from reconciler.state.records import KnownChild

_ACTIVE, _COMPLETED = "jobs/active/", "jobs/completed/"


def children_of(manifest: Manifest, owner: JobId, family: Family) -> tuple[Child, ...]:
    """The manifests that `manifest` wants, in the order in which their releases were chosen."""
    return tuple(_child(manifest, owner, release) for release in family.releases)


def changes(owner: JobId, wanted: Iterable[Child], known: Iterable[KnownChild]) -> tuple[WriteChild | CancelChild, ...]:
    """What has to be done so that the `wanted` manifests are there, and no others go on."""
    before = {child.job_id: child for child in known}
    steps: list[WriteChild | CancelChild] = []
    names = set()
    for child in wanted:
        names.add(child.job_id)
        there = before.get(child.job_id)
        if there is None or not is_as_wanted(child, there):
            path = there.path if there is not None and there.path else f"{_ACTIVE}{child.job_id}.yml"
            steps.append(WriteChild(owner=owner, child=child, path=path))
    steps += [
        CancelChild(owner=owner, job_id=child.job_id, path=child.path or f"{_ACTIVE}{child.job_id}.yml")
        for child in before.values()
        if child.job_id not in names and child.wanted and not is_completed(child)
    ]
    return tuple(steps)


def is_completed(child: KnownChild) -> bool:
    """Whether everything of it is there. A manifest that another machine has finished is found at its end, too."""
    ended = child.path.startswith(_COMPLETED) and child.state is not JobState.CANCELLED
    return child.state is JobState.COMPLETED or ended


def is_given_up(child: KnownChild) -> bool:
    """Whether a person has cancelled it: then it is not wanted, whatever its owner says."""
    return child.wanted and child.state is JobState.CANCELLED


def has_failed(child: KnownChild) -> bool:
    """Whether it failed and is not tried again by itself."""
    return child.state is JobState.FAILED and not child.tried_again


def is_as_wanted(child: Child, there: KnownChild) -> bool:
    """Whether the manifest of a wanted child may stay as it is."""
    if is_completed(there) or is_given_up(there):
        return True
    return there.wanted and not there.gone and there.written == child.digest


def _child(manifest: Manifest, owner: JobId, release: ChosenRelease) -> Child:
    spec = manifest.spec
    assert isinstance(spec, DiscographySpec | LabelCrateSpec)
    job_id = derived_job_id(owner, release.group)
    head: dict[str, Field] = {
        "job_id": job_id,
        "job_type": "mb_release",
        "created_at": manifest.created_at or "",
        "labels": dict(manifest.labels),
        "owner": owner,
        "reconcile_requested_at": manifest.reconcile_requested_at,
    }
    wish: dict[str, Field] = {
        "mb_release_id": release.release,
        "title": release.title,
        "artist": release.artist,
        "target_dir": spec.target_dir,
        "constraints": constraint_fields(spec.constraints),
        **inherited_fields(manifest.directives),
    }
    above = [
        f"Written by the {manifest.job_type.value} {owner}. It writes this file anew when its own spec changes;",
        "until then an edit of yours holds. To leave this release out, cancel it here or name its release group there.",
    ]
    return Child(job_id=job_id, release=release.release, text=manifest_text(head, wish, above=above))
