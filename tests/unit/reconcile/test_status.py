"""The status block: what it says, and when it is written."""

from dataclasses import replace

import pytest
from reconcile_builders import NOW, PLACES, artifact, files_spec, progress, record, release_spec

from reconciler.manifests.block import lines_of, status_fields
from reconciler.manifests.model import JobState, Renamed, Status
from reconciler.reconcile.orders import plan_of
from reconciler.reconcile.status import Written, status_of, write_delay_s

PLAN = plan_of(release_spec(4), PLACES)


def test_a_running_job_tells_each_track_once():
    """A published track is completed whatever the engine says of it; the rest is as the engine has it."""
    status = status_of(
        record(state=JobState.RUNNING, started_at=NOW),
        plan=PLAN,
        artifacts=[artifact(1)],
        progress=progress(None, "completed", "fetching", "failed", "pending"),
    )
    assert status.completed_tracks == (1,)
    assert status.in_progress_tracks == (2,)
    assert status.failed_tracks == (3,)
    assert status.pending_tracks == (4,)
    assert status.started_at == "1970-01-12T13:46:40Z"


def test_bytes_count_what_is_published_and_what_is_on_the_way():
    """A published file counts with its own size, once."""
    status = status_of(
        record(state=JobState.RUNNING),
        plan=PLAN,
        artifacts=[artifact(1, size=1000)],
        progress=progress(None, "completed", "fetching"),
    )
    assert (status.bytes_done, status.bytes_total) == (1010, 1100)


def test_bytes_of_stated_sizes_count_before_the_engine_knows_them():
    """The manifest of explicit files says how much there is to fetch."""
    plan = plan_of(files_spec("a", "b", "c"), PLACES)
    status = status_of(record(), plan=plan, artifacts=[], progress=None)
    assert (status.bytes_done, status.bytes_total) == (0, 60)
    assert status.pending_tracks == (1, 2, 3)


def test_what_is_missing_of_a_failed_job_has_failed():
    """The same with and without the engine's memory: a restart must not look like a change."""
    failed = record(state=JobState.FAILED, attempts=1, retry_at=NOW + 30, error_message="no peer has it")
    told = [
        status_of(failed, plan=PLAN, artifacts=[artifact(2)], progress=memory)
        for memory in (None, progress("failed", "fetching", "completed", "failed", "pending"))
    ]
    assert told[0] == told[1]
    assert (told[0].completed_tracks, told[0].failed_tracks) == ((2,), (1, 3, 4))
    assert (told[0].retry_attempts, told[0].retry_next_at) == (1, "1970-01-12T13:47:10Z")


def test_without_a_plan_the_tracks_are_those_that_are_known():
    """A file that cannot be read just now does not make its job forget its tracks."""
    status = status_of(
        record(state=JobState.RUNNING), plan=None, artifacts=[artifact(3)], progress=progress(None, "fetching")
    )
    assert (status.completed_tracks, status.in_progress_tracks) == ((3,), (1,))


def test_a_file_that_got_a_number_is_told_with_its_place():
    """Whoever looks for the track under its own name finds somebody else's file there."""
    path = "/srv/library/My Bloody Valentine/Loveless/01 Song 1 (2).flac"
    status = status_of(record(state=JobState.COMPLETED), plan=PLAN, artifacts=[artifact(1, path=path)], progress=None)
    assert status.renamed == (Renamed(position=1, path=path),)
    block = "\n".join(lines_of(status_fields(status)))
    assert f'renamed:\n  - position: 1\n    path: "{path}"\n' in block


RUNNING = Status(state=JobState.RUNNING, pending_tracks=(1, 2), bytes_done=5)
WRITES = {
    "the first is written at once": (RUNNING, None, 0.0),
    "the same is not written": (RUNNING, RUNNING, None),
    "bytes alone are no reason": (replace(RUNNING, bytes_done=500, bytes_total=600), RUNNING, None),
    "a track waits for the interval": (replace(RUNNING, pending_tracks=(2,)), RUNNING, 10.0),
    "completion is written at once": (replace(RUNNING, state=JobState.COMPLETED), RUNNING, 0.0),
    "failure is written at once": (replace(RUNNING, state=JobState.FAILED), RUNNING, 0.0),
    "news of a failed job wait": (
        replace(RUNNING, state=JobState.FAILED, error_message="b"),
        replace(RUNNING, state=JobState.FAILED, error_message="a"),
        10.0,
    ),
}


@pytest.mark.parametrize("name", WRITES)
def test_when_a_status_is_written(name):
    """Five seconds after the last write, with fifteen between two."""
    wanted, before, due_s = WRITES[name]
    written = Written(status=before, at_s=100.0) if before is not None else None
    assert write_delay_s(wanted, written, now_s=105.0, interval_s=15.0) == due_s


def test_a_late_status_is_due_now():
    """After the interval nothing is owed."""
    written = Written(status=RUNNING, at_s=0.0)
    assert write_delay_s(replace(RUNNING, pending_tracks=()), written, now_s=1000.0, interval_s=15.0) == 0.0
