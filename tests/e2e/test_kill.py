"""kill -9 in the middle of a download, then again: nothing lost, nothing twice."""

import hashlib
import signal
import subprocess

from e2e.rig import command, events_of, eventually, is_running, journaled, lane_processes, run

from reconciler.cli.demo_scene import make_scene, running_peers


def test_after_kill_9_no_verified_chunk_is_fetched_again(tmp_path):
    """The second run keeps what the first had verified, completes, and completes each track once."""
    scene = make_scene(tmp_path)
    where = ("--root", scene.root, "--state", scene.state)
    with running_peers(scene):
        first = subprocess.Popen(command("run", "--once", *where), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        kept = _kill_midway(first, scene.state)
        done = run("run", "--once", *where)
    assert done.returncode == 0, done.stderr
    events = events_of(scene.root, scene.state)
    _assert_not_fetched_again(events, kept)
    completed = [event.track_id for event in events if event.type == "TrackComplete"]
    assert sorted(completed) == ["1", "2", "3"]
    published = sorted((scene.root / "library").rglob("*.flac"))
    assert [hashlib.sha256(path.read_bytes()).hexdigest() for path in published] == list(scene.originals.values())


def _kill_midway(process, state):
    """Kill the daemon once a few chunks are journaled; gives what the journals name at that moment."""
    while process.poll() is None:
        if sum(len(chunks) for chunks in journaled(state).values()) >= 4:
            lanes = lane_processes(process.pid)
            process.send_signal(signal.SIGKILL)
            process.wait()
            return _journaled_after(lanes, state)
        try:
            process.wait(timeout=0.01)
        except subprocess.TimeoutExpired:
            continue
    raise AssertionError("the daemon ended before it could be killed")


def _journaled_after(lanes, state):
    """What the journals name once the lane processes have followed their daemon."""
    assert lanes
    eventually(lambda: not any(map(is_running, lanes)), "the lane processes end with their daemon")
    return journaled(state)


def _assert_not_fetched_again(events, kept):
    starts = [number for number, event in enumerate(events) if event.type == "JobStart"]
    assert len(starts) == 2
    second = events[starts[1] :]
    resumed = {int(e.track_id): e.metadata["chunks_kept"] for e in second if e.type == "TrackStart"}
    assert sum(resumed.values()) == sum(len(chunks) for chunks in kept.values()) > 0
    for event in second:
        if event.type == "ChunkRequested":
            asked = set(range(event.metadata["first"], event.metadata["last"] + 1))
            assert not asked & kept.get(int(event.track_id), set()), f"asked again for {asked}"
