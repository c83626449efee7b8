"""Our own disk in trouble: full, failing, gone read-only. The job waits, loses nothing, and goes on by itself."""

import errno
import os
import subprocess
from contextlib import contextmanager, suppress
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
from crash.disk_world import ALBUM, DiskWorld
from small_disk import fill

from reconciler.engine.events import OpenPart, PublishAlbum, Read, VerifyWhole
from reconciler.engine.hold import FAILING_PAUSE_S_MAX, FULL_PAUSE_S
from reconciler.manifests import renaming
from reconciler.traces.reading import TraceReader

MB = 1_000_000
SIZES = (2 * MB, 3 * MB)


@contextmanager
def running(world):
    """A process over `world`."""
    world.open()
    try:
        yield world
    finally:
        world.close()


def at_second(world, second, deed):
    """Do something before the first step at or after that second."""
    begun, before, done = world.clock.now_s, world.before, []

    def look(command):
        before(command)
        if not done and world.clock.now_s - begun >= second:
            done.append(True)
            deed()

    world.before = look


def at_command(world, kind, deed):
    """Do something before the first command of a kind."""
    before, done = world.before, []

    def look(command):
        before(command)
        if not done and isinstance(command, kind):
            done.append(True)
            deed()

    world.before = look


def assert_complete(world, after, *, fetched_once=True):
    """Everything is there, and nothing came twice."""
    assert after.outcome == "completed"
    library = {name: data for name, data in world.files().items() if name != "filler"}
    assert library == world.wanted()
    assert sorted(world.completed_events()) == list(range(1, len(world.sizes) + 1))
    if fetched_once:
        assert len(after.fetched) == len(set(after.fetched)), "a chunk came twice"


def reasons(after):
    """What stood in the way, in order."""
    return [reason for _, reason, _ in after.helds]


# ---- full ------------------------------------------------------------------------------------------------------------


def test_a_disk_that_is_full_at_the_start_is_waited_for(tmp_path, small_disk):
    """Nothing is asked of a peer; the message says where, how much is needed and free; room is noticed in 30 s."""
    filler = fill(small_disk, leaving=MB)
    world = DiskWorld(tmp_path, sizes=(2 * MB,), library=small_disk)
    at_second(world, 100.0, filler.unlink)
    with running(world):
        after = world.run()
        assert_complete(world, after)
    assert reasons(after) == ["", "DiskFull", ""]
    [_, (_, _, message), (over_s, _, _)] = after.helds
    assert message == (
        f"{small_disk / '.reconciler-parts'}: 2 MB are needed and 920 kB free; "
        "free 1.1 MB on that disk, or point spec.target_dir at another one"
    )
    assert 100.0 <= over_s <= 100.0 + FULL_PAUSE_S


def test_a_disk_that_fills_up_meanwhile_keeps_what_is_there(tmp_path, small_disk):
    """A write is refused: the transfers end, the part stays, and only what was missing is fetched later."""
    world = DiskWorld(tmp_path, sizes=(2 * MB,), library=small_disk)
    reads = []
    world.before = lambda command: reads.append(command) if isinstance(command, Read) else None

    def squeeze():
        filler = fill(small_disk, leaving=700_000)
        at_second(world, 50.0, filler.unlink)

    at_command(world, Read, squeeze)
    with running(world):
        after = world.run()
        assert_complete(world, after)
    assert reasons(after) == ["", "DiskFull", "DiskFull", ""]
    first, second = (message for _, reason, message in after.helds if reason)
    assert first.startswith(f"{small_disk}: writing the part failed: [Errno 28] No space left on device")
    assert "are needed and" in second
    assert len(reads) > 1


def test_another_job_is_told_apart_from_one_that_waits_entirely(tmp_path, small_disk):
    """A track that still fits is fetched while a larger one waits."""
    filler = fill(small_disk, leaving=3 * MB)
    world = DiskWorld(tmp_path, sizes=(5 * MB, MB), library=small_disk, album=False)
    at_second(world, 200.0, filler.unlink)
    seen = []
    world.look = lambda progress: seen.append((progress.held and progress.held.entirely, progress.tracks[1].phase))
    with running(world):
        after = world.run()
        assert_complete(world, after)
    assert (False, "fetching") in seen
    assert (True, "completed") in seen


# ---- failing ---------------------------------------------------------------------------------------------------------


def failing(code, *, when):
    """A function of `os` that refuses with `code` where `when` says so."""

    def wrap(call):
        def refused(*args, **kwargs):
            if when(*args, **kwargs):
                raise OSError(code, os.strerror(code))
            return call(*args, **kwargs)

        return refused

    return wrap


def path_of(fd):
    """Where an open file lies."""
    return Path(f"/proc/self/fd/{fd}").readlink()


def losing(monkeypatch, times):
    """Have the next so many syncs of finished parts fail as a bad disk has them fail; gives what was synced."""
    synced = []

    def is_lost(fd):
        if path_of(fd).suffix != ".part":
            return False
        synced.append(os.fstat(fd).st_ino)
        return len(synced) <= times

    monkeypatch.setattr(os, "fsync", failing(errno.EIO, when=is_lost)(os.fsync))
    return synced


def test_a_part_that_the_disk_lost_is_fetched_again_at_once(tmp_path, monkeypatch):
    """The kernel forgets what it could not write, so the sync is never asked again; the bytes are."""
    world = DiskWorld(tmp_path, sizes=(600_000,))
    synced = losing(monkeypatch, times=1)
    with running(world):
        after = world.run()
        assert_complete(world, after, fetched_once=False)
    assert reasons(after) == [""]
    assert len(after.fetched) == 2 * 3
    assert len(synced) == 2


def test_a_disk_that_loses_a_part_twice_is_failing(tmp_path, monkeypatch):
    """The job is held up until the disk keeps what it is given, with pauses that grow to ten minutes."""
    world = DiskWorld(tmp_path, sizes=(600_000,))
    losing(monkeypatch, times=8)
    with running(world):
        after = world.run()
        assert_complete(world, after, fetched_once=False)
    begun = [at for at, reason, _ in after.helds if reason == "DiskFailing"]
    gaps = [later - at for at, later in pairwise(begun)]
    assert gaps[:5] == [30.0, 60.0, 120.0, 240.0, 480.0]
    assert set(gaps[5:]) == {FAILING_PAUSE_S_MAX}
    assert "the disk failed to keep the finished part (Input/output error)" in after.helds[1][2]


def test_a_disk_that_goes_read_only_is_failing(tmp_path, small_disk):
    """What an ext4 disk does after an error: nothing can be published until somebody mounts it again."""
    world = DiskWorld(tmp_path, sizes=SIZES, library=small_disk)

    def remount(how):
        subprocess.run(["mount", "-o", f"remount,{how}", str(small_disk)], check=True)

    at_command(world, PublishAlbum, lambda: remount("ro"))
    at_second(world, 80.0, lambda: remount("rw"))
    with running(world):
        after = world.run()
        assert_complete(world, after)
    assert set(reasons(after)) == {"", "DiskFailing"}
    assert "Read-only file system" in after.helds[1][2]
    assert 80.0 <= after.seconds <= 80.0 + 120.0


def test_a_sector_that_cannot_be_read_costs_its_chunk(tmp_path, monkeypatch):
    """On resume it is fetched again, and written anew, which most disks mend by."""
    world = DiskWorld(tmp_path, sizes=(600_000,))
    with running(world), suppress(KeyboardInterrupt):
        at_command(world, VerifyWhole, _interrupt)
        world.run()
    world.before = lambda command: None
    bad, write = {262_144}, os.pwrite
    is_bad = lambda fd, size, at: path_of(fd).suffix == ".part" and at in bad
    monkeypatch.setattr(os, "pread", failing(errno.EIO, when=is_bad)(os.pread))
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: bad.discard(at) or write(fd, data, at))
    with running(world):
        after = world.run()
        assert_complete(world, after)
    assert after.fetched == [(1, 1)]
    assert reasons(after) == [""]


def _interrupt():
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("code", "reason"),
    [(errno.ENOSPC, "DiskFull"), (errno.EDQUOT, "DiskFull"), (errno.EIO, "DiskFailing"), (errno.EROFS, "DiskFailing")],
)
@pytest.mark.parametrize("album", [True, False], ids=["album", "track"])
def test_whatever_refuses_while_a_file_gets_its_name(tmp_path, monkeypatch, code, reason, album):
    """Nothing is lost, nothing is fetched again, no try is used up: the job goes on when the disk does."""
    for call in ("mkdir", "rename", "listdir"):
        world = DiskWorld(tmp_path / call, sizes=SIZES, album=album)
        wrong = []
        at_command(world, PublishAlbum if album else VerifyWhole, partial(wrong.append, True))
        at_second(world, 100.0, wrong.clear)
        module, name = (renaming, "_renameat2") if call == "rename" else (os, call)
        with running(world), monkeypatch.context() as patch:
            patch.setattr(
                module, name, failing(code, when=lambda *_, now=wrong, **__: bool(now))(getattr(module, name))
            )
            after = world.run()
            assert_complete(world, after)
        assert set(reasons(after)) == {"", reason}, call


def test_a_refusal_that_no_waiting_mends_fails_the_track(tmp_path, monkeypatch):
    """A folder that is not ours is nobody's disk in trouble: it is an error, said at once."""
    world = DiskWorld(tmp_path, sizes=(MB,))
    is_ours = lambda name, *_, **__: name == Path(ALBUM).parts[0]
    monkeypatch.setattr(os, "mkdir", failing(errno.EACCES, when=is_ours)(os.mkdir))
    with running(world):
        after = world.run()
    assert after.outcome == "failed"
    assert "Permission denied" in after.progress.error


def test_while_it_is_held_nothing_is_asked_of_a_peer(tmp_path, small_disk):
    """An hour of a full disk is a look each half minute, one note in the trace, and no request."""
    fill(small_disk, leaving=MB)
    world = DiskWorld(tmp_path, sizes=SIZES, library=small_disk)
    asked = []
    world.before = lambda command: asked.append(type(command)) if isinstance(command, Read | OpenPart) else None
    with running(world):
        after = world.run(until_s=3600.0)
        told = TraceReader(world.database).events(world.order().job_id)
    held = [event for event in told if event.action == "held"]
    assert after.outcome is None
    assert set(asked) == {OpenPart}
    assert len(held) == len(SIZES)
    assert after.progress.held.entirely
    assert reasons(after) == ["", "DiskFull"]
