"""The real daemon on a real disk that is full: it says so, loses nothing, and goes on when there is room."""

import hashlib
import json
import subprocess

from e2e.rig import command, events_of, eventually, journaled, run
from small_disk import fill

from reconciler.cli.demo_scene import make_scene, running_peers

KB = 1000


def settle_on(scene, disk):
    """Have the scene's files go to `disk`, one after another."""
    settings = scene.root / "reconciler.yml"
    settings.write_text(settings.read_text() + f"library: {{roots: [{disk}]}}\n")
    scene.manifest.write_text(scene.manifest.read_text().replace("target_dir: library", f"target_dir: {disk}"))


def job_of(where):
    """The only job, as `status --json` has it."""
    [job] = json.loads(run("status", "--json", *where, check=0).stdout)
    return job


def reason_of(job):
    """Why it is not ready."""
    return next(each["reason"] for each in job["conditions"] if each["type"] == "Ready")


def assert_complete(scene, disk):
    """The album is there, whole."""
    published = sorted(path for path in disk.rglob("*.flac") if ".reconciler" not in str(path))
    assert [hashlib.sha256(path.read_bytes()).hexdigest() for path in published] == list(scene.originals.values())


def test_a_disk_that_is_full_from_the_start(tmp_path, small_disk):
    """No byte is asked for; manifest, status, explain and plan say how much is missing; with room it completes."""
    scene = make_scene(tmp_path)
    where = ("--root", scene.root, "--state", scene.state)
    filler = fill(small_disk, leaving=500 * KB)
    with running_peers(scene):
        settle_on(scene, small_disk)
        run("run", "--once", *where, check=3)
        text = scene.manifest.read_text()
        job = job_of(where)
        assert (job["state"], job["attempts"], reason_of(job)) == ("running", 0, "DiskFull")
        assert f"{small_disk}/.reconciler-parts: " in text
        assert " MB are needed and 420 kB free; free " in text
        for words in (("job", "explain", job["job_id"]), ("plan",)):
            assert "wait: DiskFull: " in run(*words, *where, check=0).stdout
        assert not [event for event in events_of(scene.root, scene.state) if event.type == "ChunkRequested"]
        filler.unlink()
        run("run", "--once", *where, check=0)
    assert_complete(scene, small_disk)
    assert "DiskFull" not in (scene.root / "jobs" / "completed" / "demo.yml").read_text()


def test_a_disk_that_fills_up_in_the_middle(tmp_path, small_disk):
    """The lanes' writes are refused; what the journals name is not fetched again, and no try is used up."""
    scene = make_scene(tmp_path)
    where = ("--root", scene.root, "--state", scene.state)
    with running_peers(scene):
        settle_on(scene, small_disk)
        with subprocess.Popen(command("run", "--once", *where), stderr=subprocess.DEVNULL) as daemon:
            eventually(lambda: journaled_chunks(small_disk) >= 3, "some chunks are there")
            filler = fill(small_disk, leaving=0)
            assert daemon.wait() == 3
        job = job_of(where)
        assert (job["state"], job["attempts"], reason_of(job)) == ("running", 0, "DiskFull")
        kept = journaled(small_disk, folder=".reconciler-parts")
        told = len(events_of(scene.root, scene.state))
        filler.unlink()
        run("run", "--once", *where, check=0)
    assert_complete(scene, small_disk)
    for event in events_of(scene.root, scene.state)[told:]:
        if event.type == "ChunkRequested":
            asked = set(range(event.metadata["first"], event.metadata["last"] + 1))
            assert not asked & kept.get(int(event.track_id), set())


def journaled_chunks(disk):
    """How many chunks the journals on the disk name."""
    return sum(len(chunks) for chunks in journaled(disk, folder=".reconciler-parts").values())
