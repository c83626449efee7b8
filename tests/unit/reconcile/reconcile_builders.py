"""Short ways to say what a test needs: manifests, records, artifacts, progress, what a pass sees."""

from dataclasses import replace
from pathlib import PurePosixPath

from reconciler.config import MusicBrainzSettings
from reconciler.engine.order import JobProgress, TrackProgress
from reconciler.ids import JobId, Mbid, Root, Sha256, TrackPosition
from reconciler.library.naming import DEFAULT_TEMPLATE
from reconciler.manifests.model import (
    JobType,
    Manifest,
    MbReleaseSpec,
    MultiSourceSpec,
    Track,
    WantedFile,
)
from reconciler.musicbrainz.model import ChosenRelease, ResolvedRelease, ResolvedReleases
from reconciler.reconcile.decide import Moment
from reconciler.reconcile.observed import Observed, Policy, Valid
from reconciler.reconcile.orders import Places
from reconciler.reconcile.ownership import Node
from reconciler.state.records import Artifact, JobRecord

JOB = JobId("01HRQ4GSX9K47J7M5FK7VW8B12")
OTHER_JOB = JobId("01HRQ4GSX9K47J7M5FK7VW8B13")
PATH = "jobs/active/loveless.yml"
NOW = 1_000_000.0
TRACKS = 3

PLACES = Places(
    root=PurePosixPath("/srv"),
    library_roots=(PurePosixPath("/srv/library"),),
    naming=DEFAULT_TEMPLATE,
    publish="album",
    soulseek=False,
)
NODE = Node(name="attic", labels={"disk": "large"})
POLICY = Policy(
    places=PLACES,
    node=NODE,
    retry_interval_s=30.0,
    retry_interval_s_max=3600.0,
    retry_limit=3,
    status_mode="in_file",
    status_interval_s=15.0,
    rescan_s=30.0,
    poll_s=5.0,
    musicbrainz=MusicBrainzSettings(),
)
MOMENT = Moment(now_unix_s=NOW, chance=0.0, policy=POLICY)


def mbid(number):
    """A MusicBrainz identifier that is not another one."""
    return Mbid(f"00000000-0000-0000-0000-{number:012}")


def track(position, **changes):
    """Track `position`, of recording `mbid(position)`."""
    made = Track(
        position=TrackPosition(position), title=f"Song {position}", mb_recording_id=mbid(position), duration_ms=1000
    )
    return replace(made, **changes)


def release_spec(tracks=TRACKS, **changes):
    """A release of so many tracks, or of these."""
    wanted = tuple(track(position) for position in range(1, tracks + 1)) if isinstance(tracks, int) else tracks
    made = MbReleaseSpec(
        mb_release_id=mbid(100),
        target_dir="library",
        title="Loveless",
        artist="My Bloody Valentine",
        tracks=wanted,
    )
    return replace(made, **changes)


def files_spec(*paths, target_dir="library"):
    """Files known by their roots: file 1 by `root(1)`."""
    files = tuple(WantedFile(path=path, size=10 * n, root=root(n)) for n, path in enumerate(paths, start=1))
    return MultiSourceSpec(target_dir=target_dir, files=files)


def resolved_release(*tracks, asked=100, **changes):
    """What MusicBrainz said of release `mbid(100)`: three tracks, or these."""
    made = ResolvedRelease(
        asked=mbid(asked),
        mbid=mbid(asked),
        title="Loveless",
        artist="My Bloody Valentine",
        year=1991,
        tracks=tracks or tuple(track(position) for position in range(1, TRACKS + 1)),
        skipped=(),
    )
    return replace(made, **changes)


def chosen(number, **changes):
    """Release `mbid(number)`, of release group `mbid(1000 + number)`."""
    made = ChosenRelease(
        group=mbid(1000 + number), release=mbid(number), title=f"No {number}", artist="My Bloody Valentine", year=1991
    )
    return replace(made, **changes)


def resolved_releases(*numbers, asked=1, **changes):
    """What MusicBrainz said of artist or label `mbid(1)`: these releases are wanted."""
    found = tuple(chosen(number) for number in numbers)
    made = ResolvedReleases(
        asked=mbid(asked), mbid=mbid(asked), name="MBV", listed=len(found), groups=len(found), releases=found
    )
    return replace(made, **changes)


def root(number):
    """A BEP 52 root that is not another one."""
    return Root(f"{number:064x}")


def manifest(spec=None, *, job_id=JOB, digest="sha256:one"):
    """A valid manifest."""
    spec = spec or release_spec()
    kind = JobType.MB_RELEASE if isinstance(spec, MbReleaseSpec) else JobType.MULTI_SOURCE
    return Manifest(version="1.0", job_id=job_id, job_type=kind, created_at=None, spec=spec, spec_digest=digest)


def record(**changes):
    """A pending job that was just seen."""
    made = JobRecord(job_id=JOB, path=PATH, job_type=JobType.MB_RELEASE, spec_digest="sha256:one")
    return replace(made, **changes)


def artifact(position, **changes):
    """What the job published for a track."""
    made = Artifact(
        job_id=JOB,
        generation=1,
        position=TrackPosition(position),
        path=f"/srv/library/song {position}.flac",
        size=1000,
        root=root(position),
        sha256=Sha256(f"{position:064x}"),
        recording=mbid(position),
        variant_id=root(position),
        completed_at=NOW,
    )
    return replace(made, **changes)


def progress(outcome=None, *phases, **changes):
    """What the engine says: a phase for each track from the first on."""
    made = JobProgress(
        job_id=JOB,
        generation=1,
        outcome=outcome,
        retriable=True,
        error="no peer has it" if outcome == "failed" else "",
        tracks=tuple(
            TrackProgress(position=TrackPosition(n), title=f"Song {n}", phase=phase, bytes_done=10, bytes_total=100)
            for n, phase in enumerate(phases, start=1)
        ),
        peers=(),
    )
    return replace(made, **changes)


def observed(**changes):
    """A pass that sees a valid manifest, known to the database, with room in the engine."""
    made = Observed(
        path=PATH,
        file=Valid(manifest=manifest(), writable=True),
        changed_at_unix_s=NOW - 100.0,
        record=record(),
        library_roots_present=frozenset({"/srv/library"}),
    )
    return replace(made, **changes)


def condition(decision, kind):
    """The condition of that type which a decision puts into the status; None where it has none."""
    assert decision.status is not None
    found = [each for each in decision.status.conditions if each.type == kind]
    assert len(found) < 2
    return found[0] if found else None


def reason(decision):
    """Why the job is as it is: the reason of `Ready`."""
    return condition(decision, "Ready").reason
