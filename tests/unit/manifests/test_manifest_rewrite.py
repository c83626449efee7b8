"""The write that loses no edit, against editors, full disks and crashes."""

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from ways_of_saving import WAYS

from reconciler.errors import DiskError, DiskFailingError, DiskFullError, FileBusyError, InvalidInputError
from reconciler.manifests import exchange, kernel, renaming
from reconciler.manifests.files import (
    FallBack,
    NotSupportedHereError,
    Rewritten,
    file_system_of,
    read_file,
    rewrite,
)
from reconciler.manifests.snapshot import NAME_BYTES_MAX, PATIENCE_S, STEP_S

SOURCE = Path(__file__).parents[3]
# As conftest.py makes the file.
OLD_MTIME_NS = 1_700_000_000_123_456_789


def no_pause(_seconds: float) -> None:
    """Waits are counted, not spent."""


def leftovers(folder: Path) -> list[str]:
    """Names that a call should not have left behind."""
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def libc_that_answers(code: int) -> object:
    """A C library in which every renameat2 fails with this code."""

    def unsupported(*_arguments: object) -> int:
        renaming.ctypes.set_errno(code)
        return -1

    return SimpleNamespace(renameat2=unsupported)


OLD, THEIRS = b"title: old\n", b"title: new\n"


class TestRewriting:
    """The write that loses no edit."""

    def test_a_change_is_published_with_the_attributes_kept(self, file: Path):
        """Mode and mtime stay the person's; the latter moves a microsecond, so that their next save wins a conflict."""
        file.chmod(0o640)
        inode = file.stat().st_ino
        assert rewrite(file, lambda data: data + b"x: 1\n", pause=no_pause).data == b"title: old\nx: 1\n"
        seen = file.stat()
        assert file.read_bytes() == b"title: old\nx: 1\n"
        assert (stat.S_IMODE(seen.st_mode), seen.st_mtime_ns) == (0o640, OLD_MTIME_NS + 1000)
        assert seen.st_ino != inode
        assert leftovers(file.parent) == []

    def test_extended_attributes_come_along(self, file: Path):
        """Access lists are such attributes."""
        try:
            os.setxattr(file, "user.colour", b"blue")
        except OSError:
            assert rewrite(file, lambda data: data + b"x: 1\n", pause=no_pause)
            return
        rewrite(file, lambda data: data + b"x: 1\n", pause=no_pause)
        assert os.getxattr(file, "user.colour") == b"blue"

    def test_no_change_touches_nothing(self, file: Path):
        """Not even the inode."""
        before = read_file(file)
        assert rewrite(file, lambda data: data, pause=no_pause).data == before.data
        assert read_file(file) == before

    def test_what_the_change_raises_comes_out_and_nothing_is_touched(self, file: Path):
        """A refusal to splice leaves the file as it was."""
        before = read_file(file)

        def refuse(_data: bytes) -> bytes:
            raise InvalidInputError("no")

        with pytest.raises(InvalidInputError):
            rewrite(file, refuse, pause=no_pause)
        assert read_file(file) == before

    def test_a_missing_file_is_missed_after_a_moment(self, tmp_path: Path):
        """Editors take a name away for milliseconds; a name that stays away is not there."""
        waits: list[float] = []
        with pytest.raises(FileNotFoundError):
            rewrite(tmp_path / "none.yml", lambda data: data, pause=waits.append)
        assert 0.02 < sum(waits) < 0.5

    def test_patience_with_a_writer_ends(self, file: Path):
        """Somebody who never closes the file is reported after two seconds of waiting."""
        waits: list[float] = []
        with file.open("r+b"), pytest.raises(FileBusyError):
            rewrite(file, lambda data: data + b"x", pause=waits.append)
        assert sum(waits) == pytest.approx(PATIENCE_S, abs=STEP_S)
        assert file.read_bytes() == b"title: old\n"

    @pytest.mark.parametrize("style", ["rename", "git", "in place"])
    def test_a_save_just_before_the_exchange_is_kept(self, file: Path, monkeypatch: pytest.MonkeyPatch, style: str):
        """The change is applied again, to the person's version."""
        real = renaming._renameat2
        saves = [b"title: first\n", b"title: second\n"]

        def save_then_exchange(source: Path, at: int, target: Path, to: int, flags: int) -> None:
            if flags == renaming._RENAME_EXCHANGE and saves:
                WAYS[style](file, saves.pop(0))
            real(source, at, target, to, flags)

        monkeypatch.setattr(renaming, "_renameat2", save_then_exchange)
        assert rewrite(file, lambda data: data + b"x: 1\n", pause=no_pause).data == b"title: second\nx: 1\n"
        assert file.read_bytes() == b"title: second\nx: 1\n"
        assert leftovers(file.parent) == []

    def test_a_save_that_cannot_be_changed_is_put_back(self, file: Path, monkeypatch: pytest.MonkeyPatch):
        """A displaced version that the change refuses stands at its name again, as the person left it."""
        real = renaming._renameat2
        saves = [b"broken: [\n"]

        def save_then_exchange(source: Path, at: int, target: Path, to: int, flags: int) -> None:
            if flags == renaming._RENAME_EXCHANGE and saves:
                file.write_bytes(saves.pop())
            real(source, at, target, to, flags)

        def change(data: bytes) -> bytes:
            if b"broken" in data:
                raise InvalidInputError("broken")
            return data + b"x: 1\n"

        monkeypatch.setattr(renaming, "_renameat2", save_then_exchange)
        with pytest.raises(InvalidInputError, match="broken"):
            rewrite(file, change, pause=no_pause)
        assert file.read_bytes() == b"broken: [\n"
        assert leftovers(file.parent) == []

    def test_a_displaced_file_that_stays_open_is_put_back(self, file: Path, monkeypatch: pytest.MonkeyPatch):
        """An editor that opened the file before the exchange and keeps writing finds its file at its name."""
        real = renaming._renameat2
        writers = []

        def open_then_exchange(source: Path, at: int, target: Path, to: int, flags: int) -> None:
            if flags == renaming._RENAME_EXCHANGE and not writers:
                writers.append(file.open("r+b"))
            real(source, at, target, to, flags)

        monkeypatch.setattr(renaming, "_renameat2", open_then_exchange)
        with pytest.raises(FileBusyError):
            rewrite(file, lambda data: data + b"x: 1\n", pause=no_pause)
        with writers[0] as writer:
            writer.write(b"title: new\n")
        assert file.read_bytes() == b"title: new\n"
        assert leftovers(file.parent) == []

    def test_a_writer_who_was_held_up_while_opening_is_seen_at_the_second_look(
        self, file: Path, monkeypatch: pytest.MonkeyPatch
    ):
        """It had found the file before the exchange, and writes after the first look at what was displaced."""
        real = exchange.sync_folder
        saves = [b"title: new\n"]

        def write_then_sync(folder: Path) -> None:
            if saves:
                (displaced,) = folder.glob(".syncthing.*")
                displaced.write_bytes(saves.pop())
            real(folder)

        monkeypatch.setattr(exchange, "sync_folder", write_then_sync)
        assert rewrite(file, lambda data: data + b"x: 1\n", pause=no_pause).data == b"title: new\nx: 1\n"
        assert file.read_bytes() == b"title: new\nx: 1\n"
        assert leftovers(file.parent) == []

    def test_without_leases_a_displaced_file_is_watched_for_a_while(self, file: Path, monkeypatch: pytest.MonkeyPatch):
        """Where nobody can tell whether an editor still has the file, a late write is waited for."""
        real = renaming._renameat2
        writers = []

        def open_then_exchange(source: Path, at: int, target: Path, to: int, flags: int) -> None:
            if flags == renaming._RENAME_EXCHANGE and not writers:
                writers.append(file.open("r+b"))
            real(source, at, target, to, flags)

        def pause(_seconds: float) -> None:
            if not writers[0].closed:
                with writers[0] as writer:
                    writer.write(b"title: new\n")

        monkeypatch.setattr(renaming, "_renameat2", open_then_exchange)
        monkeypatch.setattr(kernel, "_lease", lambda _fd: False)
        assert rewrite(file, lambda data: data + b"x: 1\n", pause=pause).data == b"title: new\nx: 1\n"
        assert file.read_bytes() == b"title: new\nx: 1\n"

    @pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOSYS])
    def test_where_names_cannot_be_exchanged_the_file_is_moved_aside(
        self, file: Path, monkeypatch: pytest.MonkeyPatch, code: int
    ):
        """Ours takes the name while it is free, with the same mtime rule, and the caller hears of it."""
        monkeypatch.setattr(renaming, "_libc", libc_that_answers(code))
        written = rewrite(file, lambda data: data + b"x: 1\n", pause=no_pause)
        assert written == Rewritten(over=OLD, data=b"title: old\nx: 1\n", fall_backs=frozenset({FallBack.MOVED_ASIDE}))
        assert (file.read_bytes(), file.stat().st_mtime_ns) == (b"title: old\nx: 1\n", OLD_MTIME_NS + 1000)
        assert leftovers(file.parent) == []

    def test_a_save_while_the_name_is_free_is_kept(self, file: Path, monkeypatch: pytest.MonkeyPatch):
        """It is newer than what was moved aside, and the change is applied to it."""
        monkeypatch.setattr(renaming, "_libc", libc_that_answers(errno.EINVAL))
        real = os.link
        saves = [b"title: new\n"]

        def save_then_link(source: Path, target: Path, **named: object) -> None:
            if target == file and saves:
                file.write_bytes(saves.pop())
            real(source, target, **named)

        monkeypatch.setattr(os, "link", save_then_link)
        assert rewrite(file, lambda data: data + b"x: 1\n", pause=no_pause).data == b"title: new\nx: 1\n"
        assert file.read_bytes() == b"title: new\nx: 1\n"
        assert leftovers(file.parent) == []

    def test_where_no_way_is_safe_nothing_is_touched(self, file: Path, monkeypatch: pytest.MonkeyPatch):
        """Neither a rename without replacing nor hard links: the error says so, and the file stands as it was."""

        def forbidden(*_arguments: object, **_named: object) -> None:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))

        monkeypatch.setattr(renaming, "_libc", libc_that_answers(errno.EINVAL))
        monkeypatch.setattr(os, "link", forbidden)
        before = read_file(file)
        with pytest.raises(NotSupportedHereError, match="neither"):
            rewrite(file, lambda data: data + b"x: 1\n", pause=no_pause)
        assert read_file(file) == before
        assert leftovers(file.parent) == []

    @pytest.mark.parametrize(
        ("grain_ns", "step_ns", "fall_backs"),
        [
            (1, 1_000, set()),
            (10_000_000, 10_000_000, {FallBack.COARSE_TIME}),
            (1_000_000_000, 1_000_000_000, {FallBack.COARSE_TIME}),
            (2_000_000_000, 2_000_000_000, {FallBack.COARSE_TIME}),
        ],
    )
    def test_the_mtime_moves_by_as_little_as_the_file_system_keeps(
        self, file: Path, monkeypatch: pytest.MonkeyPatch, grain_ns: int, step_ns: int, fall_backs: set[FallBack]
    ):
        """It always moves, so that Syncthing sees the change, and stays before any later save of a person."""
        real = os.utime
        old_ns = OLD_MTIME_NS // grain_ns * grain_ns

        def coarse(fd: int, *, ns: tuple[int, int]) -> None:
            real(fd, ns=(ns[0], ns[1] // grain_ns * grain_ns))

        real(file, ns=(old_ns, old_ns))
        monkeypatch.setattr(kernel.os, "utime", coarse)
        written = rewrite(file, lambda data: data + b"x: 1\n", pause=no_pause)
        assert file.stat().st_mtime_ns == old_ns + step_ns
        assert written.fall_backs == fall_backs

    @pytest.mark.parametrize(
        ("code", "kind", "hint"),
        [
            (errno.ENOSPC, DiskFullError, "free some space"),
            (errno.EACCES, DiskError, "let the daemon's user write into"),
            (errno.EROFS, DiskFailingError, "mount it so that it can be written"),
            (errno.EIO, DiskFailingError, "look at the disk"),
        ],
    )
    def test_a_disk_that_refuses_is_named(
        self, file: Path, monkeypatch: pytest.MonkeyPatch, code: int, kind: type[DiskError], hint: str
    ):
        """With what to do; the file is as it was."""

        def refuse(*_arguments: object) -> int:
            raise OSError(code, os.strerror(code))

        monkeypatch.setattr(kernel.os, "pwrite", refuse)
        with pytest.raises(DiskError, match=os.strerror(code)) as refused:
            rewrite(file, lambda data: data + b"x: 1\n", pause=no_pause)
        assert (type(refused.value), hint in refused.value.hint) == (kind, True)
        assert file.read_bytes() == b"title: old\n"
        assert leftovers(file.parent) == []

    def test_a_name_that_leaves_no_room_is_refused(self, tmp_path: Path):
        """The longest name that can be rewritten is exact."""
        longest = tmp_path / ("x" * (NAME_BYTES_MAX - 4) + ".yml")
        longest.write_bytes(b"a")
        assert rewrite(longest, lambda _data: b"b", pause=no_pause).data == b"b"
        longer = tmp_path / f"x{longest.name}"
        longer.write_bytes(b"a")
        with pytest.raises(InvalidInputError, match="too long a name"):
            rewrite(longer, lambda _data: b"b", pause=no_pause)


def test_a_write_on_a_file_system_in_memory(mounted: Callable[..., Path]):
    """Exchange and exact times are there; whether leases are depends on the kernel, and is said."""
    file = mounted("-t", "tmpfs", "-o", "size=1m", "tmpfs") / "loveless.yml"
    file.write_bytes(OLD)
    os.utime(file, ns=(OLD_MTIME_NS, OLD_MTIME_NS))
    written = rewrite(file, lambda data: data + b"x: 1\n")
    assert (file.read_bytes(), file.stat().st_mtime_ns) == (OLD + b"x: 1\n", OLD_MTIME_NS + 1000)
    assert written.fall_backs == (frozenset() if read_file(file).leased else {FallBack.SETTLED})
    assert file_system_of(file) == "tmpfs"


@pytest.mark.package("e2fsprogs")
def test_a_write_on_a_file_system_of_whole_seconds(tmp_path: Path, mounted: Callable[..., Path]):
    """ext4 with small inodes keeps no part of a second: the mtime moves by one."""
    image = tmp_path / "image"
    image.touch()
    os.truncate(image, 4 << 20)
    make = ["/usr/sbin/mkfs.ext4", "-q", "-I", "128", "-O", "^has_journal", str(image)]
    subprocess.run(make, check=True, capture_output=True)
    file = mounted("-o", "loop", str(image)) / "loveless.yml"
    file.write_bytes(OLD)
    os.utime(file, ns=(OLD_MTIME_NS, OLD_MTIME_NS))
    whole_ns = file.stat().st_mtime_ns
    assert whole_ns == OLD_MTIME_NS // 1_000_000_000 * 1_000_000_000
    written = rewrite(file, lambda data: data + b"x: 1\n")
    assert file.stat().st_mtime_ns == whole_ns + 1_000_000_000
    assert written.fall_backs == {FallBack.COARSE_TIME}
    assert file_system_of(file).startswith("ext")


@pytest.mark.parametrize("swaps", ["exchange", "aside"])
def test_a_crash_at_any_step_loses_neither_version(file: Path, swaps: str):
    """Killed at each system call in turn while a save comes in between: afterwards the save is there, and whole."""
    command = [sys.executable, "-c", CRASHES, str(file), swaps]
    done = subprocess.run(command, cwd=SOURCE, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    *crashed, finished = [line.split(" ", 1) for line in done.stdout.splitlines()]
    assert len(crashed) > 30
    assert {code for code, _ in crashed} == {"9"}
    assert finished == ["0", repr({"loveless.yml": THEIRS + b"status: 1\n"})]
    kept = (OLD, THEIRS, THEIRS + b"status: 1\n")
    assert {left for _, left in crashed} == {repr({"loveless.yml": data}) for data in kept}


# Runs the write again and again, in a process of its own that ends at the first, the second, ... step of it, and prints
# after each what the next start makes of the folder.
CRASHES = """
import os, sys
from pathlib import Path
from reconciler.manifests import exchange, kernel, renaming
from reconciler.manifests.files import recover_displaced

path, swaps, calls, fatal = Path(sys.argv[1]), sys.argv[2], 0, 0

def counted(real):
    def call(*arguments, **named):
        step()
        result = real(*arguments, **named)
        step()
        return result
    return call

def step():
    global calls
    calls += 1
    if calls == fatal:
        os._exit(9)

def save_then_rename(source, at, target, to, flags, real=renaming._renameat2, saves=[b"title: new\\n"]):
    if flags == renaming._RENAME_EXCHANGE:
        if saves:
            target.write_bytes(saves.pop())
        if swaps == "aside":
            raise renaming.NotSupportedHereError("no such flag")
    step()
    real(source, at, target, to, flags)

def run():
    renaming._renameat2 = counted(save_then_rename)
    for name in ("rename_new", "sync_folder", "step_mtime", "write_like", "read_file"):
        setattr(exchange, name, counted(getattr(exchange, name)))
    for name in ("unlink", "rename"):
        setattr(Path, name, counted(getattr(Path, name)))
    for name in ("pwrite", "fsync", "utime"):
        setattr(os, name, counted(getattr(os, name)))
    exchange.rewrite(path, lambda data: data.partition(b"status")[0] + b"status: 1\\n")
    os._exit(0)

code = 9
while code == 9:
    fatal += 1
    path.write_bytes(b"title: old\\n")
    child = os.fork() or run()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    recover_displaced(path.parent)
    print(code, {left.name: left.read_bytes() for left in path.parent.iterdir()})
"""
