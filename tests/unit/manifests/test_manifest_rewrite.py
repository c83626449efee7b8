"""The write that loses no edit, against editors, full disks and crashes."""

import errno
import os
import random
import re
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from reconciler.errors import DiskError, FileBusyError, InvalidInputError
from reconciler.manifests import kernel
from reconciler.manifests.files import read_file, rewrite
from reconciler.manifests.snapshot import NAME_BYTES_MAX, PATIENCE_S, STEP_S

SOURCE = Path(__file__).parents[3]
# As conftest.py makes the file.
OLD_MTIME_NS = 1_700_000_000_123_456_789


def no_pause(_seconds: float) -> None:
    """Waits are counted, not spent."""


def leftovers(folder: Path) -> list[str]:
    """Names that a call should not have left behind."""
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


OLD, THEIRS = b"title: old\n", b"title: new\n"


class TestRewriting:
    """The write that loses no edit."""

    def test_a_change_is_published_with_the_attributes_kept(self, file: Path):
        """Mode and mtime stay the person's; the latter moves a microsecond, so that their next save wins a conflict."""
        file.chmod(0o640)
        inode = file.stat().st_ino
        assert rewrite(file, lambda data: data + b"x: 1\n", pause=no_pause) == b"title: old\nx: 1\n"
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
        assert rewrite(file, lambda data: data, pause=no_pause) == before.data
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
        real = kernel._renameat2
        saves = [b"title: first\n", b"title: second\n"]

        def save_then_exchange(source: Path, target: Path, flags: int) -> None:
            if flags == kernel._RENAME_EXCHANGE and saves:
                SAVES[style](file, saves.pop(0))
            real(source, target, flags)

        monkeypatch.setattr(kernel, "_renameat2", save_then_exchange)
        assert rewrite(file, lambda data: data + b"x: 1\n", pause=no_pause) == b"title: second\nx: 1\n"
        assert file.read_bytes() == b"title: second\nx: 1\n"
        assert leftovers(file.parent) == []

    def test_a_save_that_cannot_be_changed_is_put_back(self, file: Path, monkeypatch: pytest.MonkeyPatch):
        """A displaced version that the change refuses stands at its name again, as the person left it."""
        real = kernel._renameat2
        saves = [b"broken: [\n"]

        def save_then_exchange(source: Path, target: Path, flags: int) -> None:
            if flags == kernel._RENAME_EXCHANGE and saves:
                file.write_bytes(saves.pop())
            real(source, target, flags)

        def change(data: bytes) -> bytes:
            if b"broken" in data:
                raise InvalidInputError("broken")
            return data + b"x: 1\n"

        monkeypatch.setattr(kernel, "_renameat2", save_then_exchange)
        with pytest.raises(InvalidInputError, match="broken"):
            rewrite(file, change, pause=no_pause)
        assert file.read_bytes() == b"broken: [\n"
        assert leftovers(file.parent) == []

    def test_a_displaced_file_that_stays_open_is_put_back(self, file: Path, monkeypatch: pytest.MonkeyPatch):
        """An editor that opened the file before the exchange and keeps writing finds its file at its name."""
        real = kernel._renameat2
        writers = []

        def open_then_exchange(source: Path, target: Path, flags: int) -> None:
            if flags == kernel._RENAME_EXCHANGE and not writers:
                writers.append(file.open("r+b"))
            real(source, target, flags)

        monkeypatch.setattr(kernel, "_renameat2", open_then_exchange)
        with pytest.raises(FileBusyError):
            rewrite(file, lambda data: data + b"x: 1\n", pause=no_pause)
        with writers[0] as writer:
            writer.write(b"title: new\n")
        assert file.read_bytes() == b"title: new\n"
        assert leftovers(file.parent) == []

    def test_without_leases_a_displaced_file_is_watched_for_a_while(self, file: Path, monkeypatch: pytest.MonkeyPatch):
        """Where nobody can tell whether an editor still has the file, a late write is waited for."""
        real = kernel._renameat2
        writers = []

        def open_then_exchange(source: Path, target: Path, flags: int) -> None:
            if flags == kernel._RENAME_EXCHANGE and not writers:
                writers.append(file.open("r+b"))
            real(source, target, flags)

        def pause(_seconds: float) -> None:
            if not writers[0].closed:
                with writers[0] as writer:
                    writer.write(b"title: new\n")

        monkeypatch.setattr(kernel, "_renameat2", open_then_exchange)
        monkeypatch.setattr(kernel, "_lease", lambda _fd: False)
        assert rewrite(file, lambda data: data + b"x: 1\n", pause=pause) == b"title: new\nx: 1\n"
        assert file.read_bytes() == b"title: new\nx: 1\n"

    @pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOSYS])
    def test_where_names_cannot_be_exchanged_they_are_replaced(
        self, file: Path, monkeypatch: pytest.MonkeyPatch, code: int
    ):
        """The file is checked and renamed over, durably and with the same mtime rule."""

        def unsupported(*_arguments: object) -> int:
            kernel.ctypes.set_errno(code)
            return -1

        class Libc:
            renameat2 = staticmethod(unsupported)

        monkeypatch.setattr(kernel, "_libc", Libc)
        assert rewrite(file, lambda data: data + b"x: 1\n", pause=no_pause) == b"title: old\nx: 1\n"
        assert (file.read_bytes(), file.stat().st_mtime_ns) == (b"title: old\nx: 1\n", OLD_MTIME_NS + 1000)
        assert leftovers(file.parent) == []

    def test_a_disk_that_refuses_is_named(self, file: Path, monkeypatch: pytest.MonkeyPatch):
        """The job waits and is tried again; the file is as it was."""

        def full(*_arguments: object) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(kernel.os, "pwrite", full)
        with pytest.raises(DiskError, match="No space left"):
            rewrite(file, lambda data: data + b"x: 1\n", pause=no_pause)
        assert file.read_bytes() == b"title: old\n"
        assert leftovers(file.parent) == []

    def test_a_name_that_leaves_no_room_is_refused(self, tmp_path: Path):
        """The longest name that can be rewritten is exact."""
        longest = tmp_path / ("x" * (NAME_BYTES_MAX - 4) + ".yml")
        longest.write_bytes(b"a")
        assert rewrite(longest, lambda _data: b"b", pause=no_pause) == b"b"
        longer = tmp_path / f"x{longest.name}"
        longer.write_bytes(b"a")
        with pytest.raises(InvalidInputError, match="too long a name"):
            rewrite(longer, lambda _data: b"b", pause=no_pause)


def _save_by_rename(path: Path, data: bytes) -> None:
    draft = path.with_name("sedAbC123")
    draft.write_bytes(data)
    draft.replace(path)


def _save_like_git(path: Path, data: bytes) -> None:
    path.unlink(missing_ok=True)
    path.write_bytes(data)


def _save_like_vim(path: Path, data: bytes) -> None:
    backup = path.with_name(path.name + "~")
    with suppress(FileNotFoundError):
        path.rename(backup)
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    backup.unlink(missing_ok=True)


def _save_in_place(path: Path, data: bytes) -> None:
    with path.open("wb", buffering=0) as file:
        file.write(data[: len(data) // 2])
        file.write(data[len(data) // 2 :])


SAVES: dict[str, Callable[[Path, bytes], None]] = {
    "rename": _save_by_rename,
    "git": _save_like_git,
    "vim": _save_like_vim,
    "in place": _save_in_place,
}

# More saves by RECONCILER_TEST_SAVES=1000; with these the four styles take about 3 s.
SAVES_A_STYLE = int(os.environ.get("RECONCILER_TEST_SAVES", "100"))


# A daemon that rewrites a file as fast as it can until its input closes, with its count of writes behind what it finds.
DAEMON = r"""
import re, select, sys
from pathlib import Path
from reconciler.errors import FileBusyError
from reconciler.manifests.files import rewrite

path, writes, changes = Path(sys.argv[1]), 0, 0

def change(data):
    global changes
    changes += 1
    return re.sub(rb"writes: .*\n", b"", data) + b"writes: %d\n" % (writes + 1)

while not select.select([sys.stdin], [], [], 0)[0]:
    try:
        rewrite(path, change)
    except FileBusyError:
        continue
    writes += 1
print(writes, changes)
"""


@pytest.mark.parametrize("style", SAVES)
def test_no_save_is_lost_while_the_daemon_writes_as_fast_as_it_can(tmp_path: Path, style: str):
    """Each save of an editor is found below a later write of the daemon, in each way in which editors save."""
    path = tmp_path / "loveless.yml"
    path.write_bytes(b"save: -1\n")
    with subprocess.Popen(
        [sys.executable, "-c", DAEMON, str(path)], cwd=SOURCE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as daemon:
        writes, lost, dice = 0, [], random.Random(7)
        for number in range(SAVES_A_STYLE):
            # Come at any moment of the daemon's write, which takes as long as some hundred looks.
            for _ in range(dice.randrange(1000)):
                os.access(path, os.R_OK)
            SAVES[style](path, b"save: %d\n" % number + b"# text\n" * 40)
            writes, kept = _once_written_again(path, number, writes + 20, daemon)
            if kept != number:
                lost.append((number, kept))
        said, _ = daemon.communicate()
    assert daemon.returncode == 0
    written, changed = (int(word) for word in said.split())
    print(f"{style}: {written} writes, {changed - written} begun again, {len(lost)} of {SAVES_A_STYLE} saves lost")
    assert lost == []
    assert leftovers(tmp_path) == []


def _once_written_again(path: Path, number: int, writes: int, daemon: subprocess.Popen[str]) -> tuple[int, int]:
    """The daemon's count and the save that it wrote behind: the save looked for, or after so many writes another one.

    For a moment the file may show an older save, while the newer one is displaced; a lost one does not come back.
    """
    while daemon.poll() is None:
        with suppress(FileNotFoundError):
            found = re.search(rb"\Asave: (-?\d+)\n[^w]*writes: (\d+)\n\Z", path.read_bytes())
            if found and (int(found[1]) == number or int(found[2]) >= writes):
                return int(found[2]), int(found[1])
    pytest.fail("the daemon has ended")


def test_a_crash_at_any_step_loses_neither_version(file: Path):
    """Killed at each system call in turn while a save comes in between: afterwards the save is there, and whole."""
    command = [sys.executable, "-c", CRASHES, str(file)]
    done = subprocess.run(command, cwd=SOURCE, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    *crashed, finished = [line.split(" ", 1) for line in done.stdout.splitlines()]
    assert len(crashed) > 20
    assert {code for code, _ in crashed} == {"9"}
    assert finished == ["0", repr({"loveless.yml": THEIRS + b"status: 1\n"})]
    kept = (OLD, THEIRS, THEIRS + b"status: 1\n")
    assert {left for _, left in crashed} == {repr({"loveless.yml": data}) for data in kept}


# Runs the write again and again, in a process of its own that ends at the first, the second, ... step of it, and prints
# after each what the next start makes of the folder.
CRASHES = """
import os, sys
from pathlib import Path
from reconciler.manifests import exchange
from reconciler.manifests.files import recover_displaced

path, calls, fatal = Path(sys.argv[1]), 0, 0

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

def save_then_exchange(one, other, swap=exchange.exchange, saves=[b"title: new\\n"]):
    if saves:
        other.write_bytes(saves.pop())
    step()
    swap(one, other)

def run():
    exchange.exchange = counted(save_then_exchange)
    for name in ("rename_new", "sync_folder", "set_mtime", "write_like", "read_file"):
        setattr(exchange, name, counted(getattr(exchange, name)))
    Path.unlink = counted(Path.unlink)
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
