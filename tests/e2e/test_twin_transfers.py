"""Jobs that want the same bytes, in a real engine over real sockets: they cross the wire once."""

import asyncio
import signal
import subprocess

import pytest
from e2e.rig import command, eventually
from e2e.rig import run as run_command
from engine_rig import closing, recording_want, running, url_want
from file_server import FileServer, chunk_hashes, root_of_bytes
from overlay_world import RECORDING, at, content, hold, overlay_source, serving

from reconciler.engine.pace import Patience, RescuePolicy
from reconciler.ids import JobId
from reconciler.library.index import LibraryIndex
from reconciler.sources.http import HttpSource
from reconciler.state.database import Database

PATIENCE = Patience(stall_timeout_s=20.0, rescue=RescuePolicy())
DATA = content(3_000_000)
ROOT = root_of_bytes(DATA)
FIRST, SECOND = JobId("01HRQ4GSX9K47J7M5FK7VW8B01"), JobId("01HRQ4GSX9K47J7M5FK7VW8B02")


@pytest.fixture
def server():
    """It sends nothing beyond the first megabyte before its gate is open."""
    made = FileServer({"song": DATA}, holds_at=1_000_000)
    with closing(made):
        yield made


def engine_over(tmp_path, *sources):
    """A rig whose engine runs."""
    return running(tmp_path, *sources, patience=PATIENCE)


def shares(progress):
    """Whether its first track waits for a twin."""
    return progress.tracks[0].shares


def fetches(progress):
    """Whether some of its bytes are here."""
    return progress.tracks[0].bytes_done > 0


async def together(rig, first, second):
    """Start two orders; the first has begun to fetch, the second waits for it."""
    await rig.engine.start(first)
    await rig.until(lambda: fetches(rig.engine.progress(first.job_id)))
    await rig.engine.start(second)
    await rig.until(lambda: shares(rig.engine.progress(second.job_id)))


def run(main):
    """Run a test's coroutine."""
    return asyncio.run(asyncio.wait_for(main(), 240))


def test_the_second_job_copies_what_the_first_has_published(tmp_path, server):
    """The file is sent once, its chunk list once; the two files of the library are two files."""

    async def main():
        async with engine_over(tmp_path, HttpSource(timeout_s=5.0)) as rig:
            first = rig.order_of(url_want(server, "song"), "one.bin", job_id=FIRST)
            second = rig.order_of(url_want(server, "song"), "two.bin", job_id=SECOND)
            await together(rig, first, second)
            assert shares(rig.engine.progress(SECOND)) == f"shares the transfer of job {FIRST}, track 1"
            server.gate.set()
            ended = await rig.ended(FIRST, SECOND)
            return ended, rig.events(SECOND), rig.library

    ended, events, library = run(main)
    assert [each.outcome for each in ended] == ["completed", "completed"]
    assert (library / "one.bin").read_bytes() == (library / "two.bin").read_bytes() == DATA
    assert (library / "one.bin").stat().st_ino != (library / "two.bin").stat().st_ino
    assert server.sent == {"/song": len(DATA), "/song.chunks": 32 * len(chunk_hashes(DATA))}
    assert "ChunkRequested" not in {event.type for event in events}
    assert [event.action for event in events if event.type == "TrackStart"] == ["shares", "resumed"]


def test_a_job_that_comes_later_copies_what_is_published(tmp_path, server):
    """The first has long ended; nothing is asked for, not even a chunk list."""

    async def main():
        async with engine_over(tmp_path, HttpSource(timeout_s=5.0)) as rig:
            server.gate.set()
            for job_id, name in ((FIRST, "one.bin"), (SECOND, "two.bin")):
                ended = await rig.fetch(rig.order_of(url_want(server, "song"), name, job_id=job_id))
                assert ended.outcome == "completed"
            return rig.library

    library = run(main)
    assert (library / "one.bin").read_bytes() == (library / "two.bin").read_bytes() == DATA
    assert server.sent == {"/song": len(DATA), "/song.chunks": 32 * len(chunk_hashes(DATA))}


def test_two_tracks_of_one_job_are_twins_too(tmp_path, server):
    """One manifest may want one file under two names."""

    async def main():
        async with engine_over(tmp_path, HttpSource(timeout_s=5.0)) as rig:
            server.gate.set()
            ended = await rig.fetch(rig.order_of(url_want(server, "song"), "one.bin", "two.bin", job_id=FIRST))
            return ended, rig.library

    ended, library = run(main)
    assert ended.outcome == "completed"
    assert (library / "one.bin").read_bytes() == (library / "two.bin").read_bytes() == DATA
    assert server.sent["/song"] == len(DATA)


def test_when_the_first_is_stopped_the_second_has_its_part(tmp_path, server):
    """Chunks that had come are not sent again."""

    async def main():
        async with engine_over(tmp_path, HttpSource(timeout_s=5.0)) as rig:
            first = rig.order_of(url_want(server, "song"), "one.bin", job_id=FIRST)
            second = rig.order_of(url_want(server, "song"), "two.bin", job_id=SECOND)
            await together(rig, first, second)
            await rig.engine.stop(FIRST)
            server.gate.set()
            (ended,) = await rig.ended(SECOND)
            return ended, rig.events(FIRST), rig.events(SECOND), rig.library

    ended, before, after, library = run(main)
    assert ended.outcome == "completed"
    assert not (library / "one.bin").exists()
    assert (library / "two.bin").read_bytes() == DATA
    had = {event.metadata["chunk"] for event in before if event.type == "ChunkReceived"}
    again = {event.metadata["chunk"] for event in after if event.type == "ChunkReceived"}
    assert had
    assert not had & again
    (resumed,) = [event for event in after if event.action == "resumed"]
    # What came while it was being stopped is on the disk, and in no trace.
    assert resumed.metadata["chunks_kept"] >= len(had)
    assert resumed.metadata["chunks_kept"] + len(again) == len(chunk_hashes(DATA))
    assert list((tmp_path / "parts").iterdir()) == []


def test_when_the_first_cannot_publish_the_second_does_without_a_request(tmp_path, server):
    """A file stands where its folder should be: it fails, its whole part does not."""

    async def main():
        async with engine_over(tmp_path, HttpSource(timeout_s=5.0)) as rig:
            first = rig.order_of(url_want(server, "song"), "folder/one.bin", job_id=FIRST)
            second = rig.order_of(url_want(server, "song"), "two.bin", job_id=SECOND)
            await together(rig, first, second)
            (rig.library / "folder").write_text("in the way")
            server.gate.set()
            ended = await rig.ended(FIRST, SECOND)
            return ended, rig.library

    (failed, completed), library = run(main)
    assert (failed.outcome, completed.outcome) == ("failed", "completed")
    assert (library / "two.bin").read_bytes() == DATA
    assert server.sent["/song"] == len(DATA)


def test_jobs_that_find_the_same_root_in_the_overlay_are_twins(tmp_path):
    """Neither names the bytes: both look for the recording, and one peer offers one root."""
    peers = Database.open(tmp_path / "peer" / "state.db")
    hold(LibraryIndex(peers), tmp_path / "peer" / "song.flac", DATA)

    async def main():
        async with (
            serving(LibraryIndex(peers)) as port,
            engine_over(tmp_path, overlay_source(at(port), timeout_s=5.0)) as rig,
        ):
            orders = [
                rig.order_of(recording_want(RECORDING), f"{job_id}.bin", job_id=job_id) for job_id in (FIRST, SECOND)
            ]
            for order in orders:
                await rig.engine.start(order)
            ended = await rig.ended(FIRST, SECOND)
            return ended, [*rig.events(FIRST), *rig.events(SECOND)], rig.library

    ended, events, library = run(main)
    peers.close()
    assert [each.outcome for each in ended] == ["completed", "completed"]
    assert {(library / f"{job_id}.bin").read_bytes() for job_id in (FIRST, SECOND)} == {DATA}
    received = [event.bytes_transferred for event in events if event.type == "ChunkReceived"]
    assert sum(received) == len(DATA)


MANIFEST = """\
manifest_version: "1.0"
job_id: {job}
created_at: 2025-12-10T15:30:00Z
job_type: multi_source
spec:
  target_dir: library
  files:
    - path: {job}.bin
      size: {size}
      root: {root}
      sources: [{{url: "{url}"}}]
"""


def test_a_killed_daemon_knows_no_twins_and_completes_both(tmp_path, server):
    """While it runs, `job explain` says who waits for whom; after a kill the first to come fetches again."""
    root, where = tmp_path / "root", ("--root", tmp_path / "root", "--state", tmp_path / "state")
    run_command("init", "--root", root, check=0)
    for job in (FIRST, SECOND):
        text = MANIFEST.format(job=job, size=len(DATA), root=ROOT, url=server.url("song"))
        (root / "jobs" / "active" / f"{job}.yml").write_text(text)

    def explained():
        return "".join(run_command("job", "explain", job, *where).stdout for job in (FIRST, SECOND))

    with subprocess.Popen(command("run", *where), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as daemon:
        eventually(lambda: "track 1: shares the transfer of job 01HRQ4" in explained(), "one waits for the other")
        daemon.send_signal(signal.SIGKILL)
    server.gate.set()
    run_command("run", "--once", *where, check=0)
    assert (root / "library" / f"{FIRST}.bin").read_bytes() == DATA
    assert (root / "library" / f"{SECOND}.bin").read_bytes() == DATA
    assert server.sent["/song"] <= 2 * len(DATA)
    assert "shares the transfer" not in explained()
