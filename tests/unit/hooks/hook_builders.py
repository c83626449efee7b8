"""Endings and deliveries, as they come from a job."""

from dataclasses import replace

from reconciler.hooks.model import Ending, body_of
from reconciler.ids import JobId, Mbid, Root, Sha256, TrackPosition
from reconciler.manifests.model import JobType
from reconciler.state.records import Artifact, Delivery

JOB = JobId("01HRQ4GSX9K47J7M5FK7VW8B12")
RELEASE = "c0d0c0a4-4a26-4d74-9c02-67c9321b3b22"
NOW = 1_800_000_000.0


def file(position=1, **changes):
    """A published track."""
    made = Artifact(
        job_id=JOB,
        generation=1,
        position=TrackPosition(position),
        path=f"/music/Loveless/{position:02}.flac",
        size=1000,
        root=Root("a" * 64),
        sha256=Sha256("b" * 64),
        recording=Mbid("6fb7b5cc-1b2e-4c3a-9a52-0b1f6a0c8a11"),
        variant_id="a" * 64,
        completed_at=NOW,
    )
    return replace(made, **changes)


def ending(**changes):
    """The end of an album."""
    made = Ending(
        event="job.completed",
        job_id=JOB,
        job_type=JobType.MB_RELEASE,
        generation=1,
        node="nas",
        manifest="jobs/active/loveless.yml",
        artist="My Bloody Valentine",
        album="Loveless",
        release_mbid=RELEASE,
        path="/music/Loveless",
        files=(file(1), file(2)),
        error_message="",
        labels={"shelf": "shoegaze"},
        ended_at=NOW,
    )
    return replace(made, **changes)


def delivery(delivery_id="01HRQ4GSX9K47J7M5FK7VW8D01", *, hook="command", next_at=NOW, **changes):
    """One telling of such an end."""
    of = ending(**changes)
    return Delivery(
        delivery_id=delivery_id, hook=hook, event=of.event, job_id=of.job_id, body=body_of(of), next_at=next_at
    )
