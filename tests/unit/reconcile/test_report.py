"""What a sidecar says, and when."""

from dataclasses import replace

import pytest
from reconcile_builders import JOB, NOW, OTHER_JOB, PATH, observed, progress, record

from reconciler.engine.order import PeerProgress
from reconciler.manifests.model import JobState, Status
from reconciler.manifests.read import read_document
from reconciler.reconcile.report import PEERS_MAX, PROGRESS_S, Report, report_delay_s, report_of, reported, text_of

RUNNING = Status(state=JobState.RUNNING, in_progress_tracks=(1,), pending_tracks=(2,))


def report(*phases, bytes_done=10, status=RUNNING, peers=()):
    """A report of a job whose tracks are in these phases."""
    made = progress(None, *phases)
    tracks = tuple(replace(track, bytes_done=bytes_done) for track in made.tracks)
    return Report(job_id=JOB, manifest=PATH, status=status, progress=replace(made, tracks=tracks, peers=peers))


def peer(name, received=0, *, rate=0.0, banned=False):
    """A peer that gave so many bytes."""
    return PeerProgress(
        name=name,
        source="overlay",
        bytes_received=received,
        throughput_bytes_per_s=rate,
        chunks_refused=int(banned),
        banned=banned,
    )


def fields_of(text):
    """The fields of a sidecar, as any YAML reader has them, scalars as text."""
    return read_document(text.encode()).tree


def written_as(wanted, before=None, *, now_s=100.0):
    """The fields of the file that is written for a report."""
    return fields_of(text_of(wanted, before, node="nas", now_s=now_s, now_unix_s=NOW))


def test_it_says_whose_it_is_and_what_the_block_says():
    """The file can be understood without the manifest."""
    fields = written_as(report("fetching", "pending"))
    assert (fields["job_id"], fields["manifest"], fields["node"]) == (JOB, PATH, "nas")
    assert fields["updated_at"] == "1970-01-12T13:46:40Z"
    assert fields["status"] == {"state": "running", "in_progress_tracks": ["1"], "pending_tracks": ["2"]}


def test_progress_has_tracks_with_bytes_and_rates():
    """The rate of a track is what it gained since the last write."""
    before = reported(report("fetching", "pending"), now_s=90.0)
    fields = written_as(report("fetching", "pending", bytes_done=60), before)
    first, second = fields["tracks"]
    assert first == {
        "position": "1",
        "title": "Song 1",
        "phase": "fetching",
        "bytes_done": "60",
        "bytes_total": "100",
        "bytes_per_second": "5",
    }
    assert "bytes_per_second" not in second


def test_a_track_that_waits_for_a_twin_says_so():
    """And one that does not has no such field."""
    made = report("pending", "fetching")
    first, second = made.progress.tracks
    shared = replace(first, shares="shares the transfer of job 01HRQ4, track 2")
    fields = written_as(replace(made, progress=replace(made.progress, tracks=(shared, second))))
    assert [track.get("shares") for track in fields["tracks"]] == [shared.shares, None]


def test_progress_has_the_peers_that_gave_most():
    """Their names are strangers' words: on one line, within quotes, and not without end."""
    peers = (peer("liar\n: {", banned=True), *(peer(f"p{n}", n, rate=2.5) for n in range(1, PEERS_MAX + 10)))
    fields = written_as(report("fetching", peers=peers))
    assert len(fields["peers"]) == PEERS_MAX
    assert fields["peers"][0]["name"] == f"p{PEERS_MAX + 9}"
    assert int(fields["bytes_per_second"]) == 2 * (PEERS_MAX + 9)
    hostile = written_as(report("fetching", peers=(peer("liar\n: {", banned=True),)))["peers"][0]
    assert (hostile["name"], hostile["banned"], hostile["chunks_refused"]) == ("liar : {", "true", "1")


def test_what_has_ended_has_no_rates():
    """The last rate of a peer is none of now."""
    ended = report("completed", peers=(peer("p", 5, rate=2.5),))
    fields = written_as(replace(ended, progress=replace(ended.progress, outcome="completed")))
    assert "bytes_per_second" not in fields
    assert fields["peers"] == [
        {"name": "p", "source": "overlay", "bytes_received": "5", "chunks_refused": "0", "banned": "false"}
    ]


def test_only_the_file_that_speaks_for_a_job_reports_its_progress():
    """A second file with the same id has a report of its own, under its own name."""
    status = Status(state=JobState.FAILED)
    assert report_of(observed(progress=progress(None, "fetching")), status).progress is not None
    other = report_of(observed(path="jobs/active/other.yml", progress=progress(None, "fetching")), status)
    assert (other.job_id, other.progress) == ("", None)
    assert report_of(observed(record=None), status).job_id == ""
    assert report_of(observed(record=record(job_id=OTHER_JOB)), status).job_id == OTHER_JOB


DELAYS = {
    "the first is written at once": (report("fetching"), None, 0.0),
    "the same is not written": (report("fetching"), report("fetching"), None),
    "bytes wait for their time": (report("fetching", bytes_done=20), report("fetching"), 6.0),
    "the end comes at once": (
        report("completed", status=Status(state=JobState.COMPLETED)),
        report("fetching"),
        0.0,
    ),
    "news of the end wait": (
        report("completed", status=Status(state=JobState.FAILED, error_message="b")),
        report("completed", status=Status(state=JobState.FAILED, error_message="a")),
        6.0,
    ),
}


@pytest.mark.parametrize("name", DELAYS)
def test_when_a_report_is_written(name):
    """Four seconds after the last one, with ten between two."""
    wanted, before, due_s = DELAYS[name]
    written = reported(before, now_s=100.0) if before is not None else None
    assert report_delay_s(wanted, written, now_s=104.0) == due_s
    assert report_delay_s(wanted, written, now_s=100.0 + PROGRESS_S) in (0.0, None)
