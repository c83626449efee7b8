"""A crash before every step that changes the disk, and what the next run makes of it."""

import os
import random
import shutil
import stat
from itertools import count

import pytest
from crash.crashing import Crash, Ledger, Steps, stepping
from crash.disk_world import ALBUM, JOB, DiskWorld

# Pairs of crashes; CI takes 250.
PAIRS = 5 * int(os.environ.get("RECONCILER_TEST_CRASHES", "6"))


def run_to_the_crash(world, ledger, monkeypatch, crash_at, **more):
    """One process that dies before its step `crash_at`, or ends; gives its steps."""
    steps = Steps(crash_at)
    world.open()
    try:
        with stepping(world, steps, ledger, monkeypatch, **more):
            world.run()
    except Crash:
        pass
    finally:
        world.close()
    return steps


def assert_nothing_torn(world):
    """What can be seen is right; of an album, all of it or nothing."""
    seen = {name: data for name, data in world.files().items() if not any(p[0] == "." for p in name.split("/"))}
    wanted = world.wanted()
    assert all(wanted[name] == data for name, data in seen.items()), "a file is under its name and is not whole"
    if world.album and not world.others:
        assert seen in ({}, wanted), f"part of an album is to be seen: {sorted(seen)}"


def assert_all_is_well(world, ledger, monkeypatch):
    """The next run completes, fetches nothing that was there, and leaves what was asked for and nothing else."""
    had = world.journaled()
    world.open()
    try:
        with stepping(world, Steps(), ledger, monkeypatch):
            after = world.run()
        assert after.outcome == "completed"
        assert not had & set(after.fetched), "fetched again what a journal names"
        assert world.files() == world.wanted()
        assert world.left_over() == []
        tracks = list(range(1, len(world.sizes) + 1))
        assert [artifact.position for artifact in world.store.artifacts(JOB, 1)] == tracks
        assert sorted(world.completed_events()) == tracks
    finally:
        world.close()
    shutil.rmtree(world.folder)


SCENES = {
    "album": {"album": True},
    "album whose folder is there": {"album": True, "others": {f"{ALBUM}/01.bin": b"somebody else's"}},
    "track": {"album": False},
}


@pytest.mark.parametrize("scene", SCENES)
def test_a_crash_before_any_step_is_mended_by_the_next_run(memory_folder, monkeypatch, scene):
    """At each: nothing torn, half an album never seen, each track recorded once, and durable before it is recorded."""
    names = run_to_the_crash(DiskWorld(memory_folder / "whole", **SCENES[scene]), Ledger(), monkeypatch, None).names
    assert len(names) > 60, "the seam is not where the disk is changed"
    # What comes before a file gets its name is the same in every scene.
    first = 1 if scene == "album" else names.index("renameat2")
    for crash_at in count(first):
        world, ledger = DiskWorld(memory_folder / f"at {crash_at}", **SCENES[scene]), Ledger()
        if not run_to_the_crash(world, ledger, monkeypatch, crash_at).dead:
            break
        assert_nothing_torn(world)
        assert_all_is_well(world, ledger, monkeypatch)


def test_a_second_crash_while_the_first_is_mended(memory_folder, monkeypatch):
    """The run that tidies up may die as well, anywhere."""
    steps = run_to_the_crash(DiskWorld(memory_folder / "whole"), Ledger(), monkeypatch, None).count
    chance = random.Random(1991)
    for number in range(PAIRS):
        world, ledger = DiskWorld(memory_folder / str(number)), Ledger()
        for _ in range(2):
            run_to_the_crash(world, ledger, monkeypatch, chance.randint(1, steps))
        assert_nothing_torn(world)
        assert_all_is_well(world, ledger, monkeypatch)


def is_folder(fd):
    """Whether an open file is a folder."""
    return stat.S_ISDIR(os.fstat(fd).st_mode)


@pytest.mark.parametrize(
    ("forgotten", "forgets"), [("a folder", is_folder), ("its bytes", lambda fd: not is_folder(fd))]
)
@pytest.mark.parametrize("album", [True, False])
def test_a_sync_that_is_left_out_is_noticed(memory_folder, monkeypatch, album, forgotten, forgets):
    """The ledger is worth something: without the syncs of folders, or those of files, it objects."""
    world = DiskWorld(memory_folder, album=album)
    with pytest.raises(AssertionError, match="is recorded before"):
        run_to_the_crash(world, Ledger(), monkeypatch, None, forgets=forgets)


def test_a_process_that_is_dead_stays_dead(memory_folder, monkeypatch):
    """After the crash nothing changes the disk any more, whatever is tidied up on the way out."""
    world = DiskWorld(memory_folder)
    steps = run_to_the_crash(world, Ledger(), monkeypatch, 40)
    before = sorted(str(path) for path in memory_folder.rglob("*"))
    with pytest.raises(Crash):
        steps.step("unlink")
    assert sorted(str(path) for path in memory_folder.rglob("*")) == before
    assert (steps.count, len(steps.names)) == (40, 40)
