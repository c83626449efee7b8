"""What hooks are told when a job ends.

Owns: which facts of a pass those are. Never: decides that a job has ended (reconcile.judge), or tells anybody
(hooks.courier).
"""

from itertools import takewhile
from pathlib import PurePosixPath

from reconciler.config import HookEvent
from reconciler.hooks.model import Ending
from reconciler.manifests.model import (
    DiscographySpec,
    JobState,
    LabelCrateSpec,
    Manifest,
    MbReleaseSpec,
    MultiSourceSpec,
    Spec,
)
from reconciler.musicbrainz.model import Resolved, ResolvedRelease, ResolvedReleases
from reconciler.reconcile.observed import Observed, Policy, Valid
from reconciler.state.records import Artifact, JobRecord

_EVENTS: dict[JobState, HookEvent] = {
    JobState.COMPLETED: "job.completed",
    JobState.FAILED: "job.failed",
    JobState.CANCELLED: "job.cancelled",
}


def ending_of(observed: Observed, record: JobRecord, policy: Policy, *, now: float) -> Ending | None:
    """How the job in a file ends with this record; None where its manifest cannot be read any more."""
    if not isinstance(observed.file, Valid):
        return None
    manifest = observed.file.manifest
    artist, album, release = _names(manifest.spec, observed.resolved)
    return Ending(
        event=_EVENTS[record.state],
        job_id=record.job_id,
        job_type=record.job_type,
        generation=record.generation,
        node=policy.node.name,
        manifest=observed.path,
        artist=artist,
        album=album,
        release_mbid=release,
        path=_folder(observed.artifacts, manifest, policy),
        files=observed.artifacts,
        error_message=record.error_message,
        labels=manifest.labels,
        ended_at=now,
    )


def _names(spec: Spec, resolved: Resolved | None) -> tuple[str, str, str]:
    """Artist, album and release; what is written goes before what MusicBrainz says, but for an id that has changed."""
    match spec:
        case MbReleaseSpec():
            known = resolved if isinstance(resolved, ResolvedRelease) else None
            return (
                spec.artist or (known.artist if known is not None else ""),
                spec.title or (known.title if known is not None else ""),
                known.mbid if known is not None else spec.mb_release_id,
            )
        case DiscographySpec():
            return spec.artist_name or _name_of(resolved), "", ""
        case LabelCrateSpec() | MultiSourceSpec():
            return "", "", ""


def _name_of(resolved: Resolved | None) -> str:
    return resolved.name if isinstance(resolved, ResolvedReleases) else ""


def _folder(files: tuple[Artifact, ...], manifest: Manifest, policy: Policy) -> str:
    """The deepest folder that holds all files; of none, the target."""
    if not files:
        return str(PurePosixPath(policy.places.root, manifest.spec.target_dir))
    above = [PurePosixPath(each.path).parent.parts for each in files]
    common = takewhile(lambda parts: len(set(parts)) == 1, zip(*above, strict=False))
    return str(PurePosixPath(*(parts[0] for parts in common)))
