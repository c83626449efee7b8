"""kill -9 of the process that holds the lanes, in the middle of a download: the daemon goes on."""

import hashlib
import os
import signal
import subprocess

from e2e.rig import command, events_of, eventually, is_running, journaled, lane_processes

from reconciler.cli.demo_scene import make_scene, running_peers


def test_after_kill_9_of_a_lane_process_the_job_completes(tmp_path):
    """The run ends well, every file is right, and nothing that was verified is asked for again."""
    scene = make_scene(tmp_path)
    words = command("run", "--once", "--root", scene.root, "--state", scene.state)
    with running_peers(scene), subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as daemon:
        try:
            eventually(lambda: sum(map(len, journaled(scene.state).values())) >= 8, "some chunks are here")
            victim = lane_processes(daemon.pid)[0]
            os.kill(victim, signal.SIGKILL)
            eventually(lambda: not is_running(victim), "it ends")
            assert daemon.wait(timeout=240) == 0
        finally:
            daemon.kill()
    events = events_of(scene.root, scene.state)
    assert sum(event.type == "TrackComplete" and not event.is_error for event in events) == len(scene.originals)
    assert_nothing_verified_is_asked_for_again(events)
    published = sorted((scene.root / "library").rglob("*.flac"))
    assert [hashlib.sha256(path.read_bytes()).hexdigest() for path in published] == list(scene.originals.values())


def assert_nothing_verified_is_asked_for_again(events):
    verified = set()
    for event in events:
        if event.type == "ChunkReceived" and event.action == "verified":
            verified.add((event.track_id, event.metadata["chunk"]))
        if event.type == "ChunkRequested":
            asked = {(event.track_id, n) for n in range(event.metadata["first"], event.metadata["last"] + 1)}
            assert not asked & verified, f"asked again for {asked & verified}"
