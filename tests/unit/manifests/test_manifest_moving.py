"""A finished manifest goes to its folder, whoever saves it meanwhile and wherever the power fails."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.errors import DiskError, FileBusyError
from reconciler.manifests import renaming
from reconciler.manifests.moving import move_into, moved_earlier

SOURCE = Path(__file__).parents[3]
OLD, NEW = b"title: old\n", b"title: new\n"


def any_bytes(_data: bytes) -> bool:
    """Whatever the file says, it is the one that is meant."""
    return True


def no_pause(_seconds: float) -> None:
    """Waits are counted, not spent."""


def leftovers(*folders: Path) -> list[str]:
    """Names that a call should not have left behind."""
    return [path.name for folder in folders for path in folder.iterdir() if path.name.startswith(".")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where they go."""
    folder = tmp_path / "completed"
    folder.mkdir()
    return folder


class TestPlaces:
    """Where a file goes, and what is in the way."""

    def test_a_file_is_moved_and_where_it_went_can_be_asked(self, file: Path, folder: Path):
        """A crash after the rename costs nothing."""
        before = file.lstat()
        assert move_into(file, folder, is_wanted=any_bytes) == folder / file.name
        assert not file.exists()
        after = (folder / file.name).lstat()
        assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
        assert moved_earlier(file, folder, is_wanted=any_bytes) == folder / file.name
        assert leftovers(file.parent, folder) == []

    def test_an_equal_file_in_the_folder_makes_ours_superfluous(self, file: Path, folder: Path):
        """Syncthing may have brought it there already, with the status that another machine wrote."""
        file.write_bytes(b"title: old\nstatus:\n  state: running\n")
        (folder / file.name).write_bytes(b"title: old\nstatus:\n  state: completed\n")
        assert move_into(file, folder, is_wanted=any_bytes) == folder / file.name
        assert not file.exists()
        assert [path.name for path in folder.iterdir()] == [file.name]
        assert b"completed" in (folder / file.name).read_bytes()

    def test_a_different_file_in_the_folder_is_left_alone(self, file: Path, folder: Path):
        """Ours gets a number, and asking later gives that name."""
        for name in ("loveless.yml", "loveless (2).yml"):
            (folder / name).write_bytes(b"title: other\n")
        assert move_into(file, folder, is_wanted=any_bytes) == folder / "loveless (3).yml"
        assert moved_earlier(file, folder, is_wanted=lambda data: data == OLD) == folder / "loveless (3).yml"
        assert sorted(path.read_bytes() for path in folder.iterdir()) == [OLD, *[b"title: other\n"] * 2]

    def test_a_link_in_the_folder_is_not_followed(self, file: Path, folder: Path):
        """It counts as a different file."""
        (folder / file.name).symlink_to(file)
        assert move_into(file, folder, is_wanted=any_bytes) == folder / "loveless (2).yml"
        assert (folder / file.name).is_symlink()

    def test_a_file_that_is_nowhere(self, tmp_path: Path, folder: Path):
        """Neither here nor there: the caller hears it."""
        with pytest.raises(FileNotFoundError):
            move_into(tmp_path / "none.yml", folder, is_wanted=any_bytes)
        assert moved_earlier(tmp_path / "none.yml", folder, is_wanted=any_bytes) is None

    def test_a_missing_folder_is_made(self, file: Path, tmp_path: Path):
        """Git removes a folder that becomes empty."""
        assert move_into(file, tmp_path / "gone", is_wanted=any_bytes) == tmp_path / "gone" / file.name

    def test_a_folder_that_cannot_be_made_leaves_the_file_where_it_is(self, file: Path, tmp_path: Path):
        """A missing folder is not a finished move."""
        (tmp_path / "plain").write_bytes(b"")
        with pytest.raises(DiskError):
            move_into(file, tmp_path / "plain" / "completed", is_wanted=any_bytes)
        assert file.read_bytes() == OLD
        assert leftovers(file.parent) == []

    def test_without_renameat2_a_file_is_moved_by_link(self, file: Path, folder: Path, monkeypatch: pytest.MonkeyPatch):
        """An existing file is still never replaced."""
        monkeypatch.setattr(renaming, "_libc", object())
        (folder / file.name).write_bytes(b"title: other\n")
        assert move_into(file, folder, is_wanted=any_bytes) == folder / "loveless (2).yml"
        assert not file.exists()
        assert (folder / file.name).read_bytes() == b"title: other\n"


class TestSaves:
    """What a person saves while their file is on its way."""

    def test_a_file_that_says_something_new_stands_at_its_name_again(self, file: Path, folder: Path):
        """It was saved after the last look."""
        file.write_bytes(NEW)
        inode = file.lstat().st_ino
        assert move_into(file, folder, is_wanted=lambda data: data == OLD) is None
        assert (file.read_bytes(), file.lstat().st_ino) == (NEW, inode)
        assert list(folder.iterdir()) == []
        assert leftovers(file.parent) == []

    def test_a_save_at_the_name_while_the_file_is_aside_is_another_file(self, file: Path, folder: Path):
        """The finished one goes, the new one stays and is acted on."""

        def save_meanwhile(data: bytes) -> bool:
            file.write_bytes(NEW)
            return data == OLD

        assert move_into(file, folder, is_wanted=save_meanwhile) == folder / file.name
        assert ((folder / file.name).read_bytes(), file.read_bytes()) == (OLD, NEW)

    def test_two_saves_keep_both_where_the_first_stays(self, file: Path, folder: Path):
        """The one that was aside becomes a conflict copy of the one that took its name."""

        def save_meanwhile(_data: bytes) -> bool:
            file.write_bytes(b"title: newest\n")
            return False

        file.write_bytes(NEW)
        assert move_into(file, folder, is_wanted=save_meanwhile) is None
        found = {path.name.partition(".sync-conflict")[0]: path.read_bytes() for path in file.parent.glob("*love*")}
        assert found == {"loveless": NEW, "loveless.yml": b"title: newest\n"}
        assert leftovers(file.parent) == []

    def test_a_file_that_stays_open_comes_back_to_its_name(self, file: Path, folder: Path):
        """An editor that is still writing finds its file, and the move is tried later."""
        with file.open("r+b") as writer:
            with pytest.raises(FileBusyError):
                move_into(file, folder, is_wanted=any_bytes, pause=no_pause)
            writer.write(NEW)
        assert file.read_bytes() == NEW
        assert leftovers(file.parent, folder) == []


class TestLinks:
    """A symbolic link is moved as one: what it leads to is not ours."""

    @pytest.mark.parametrize("text", ["{store}/a.yml", "../store/a.yml", "a.yml", "../active/a.yml"])
    def test_a_link_leads_to_the_same_file_from_its_new_place(self, tmp_path: Path, text: str):
        """Absolute, or relative: one that would lead elsewhere from there is written anew."""
        active, completed, store = (tmp_path / name for name in ("active", "completed", "store"))
        for each in (active, completed, store):
            each.mkdir()
        for target in (active / "a.yml", store / "a.yml"):
            target.write_bytes(OLD)
        link = active / "link.yml"
        link.symlink_to(text.format(store=store))
        wanted = link.resolve()
        moved = move_into(link, completed, is_wanted=any_bytes)
        assert moved == completed / "link.yml"
        assert (moved.is_symlink(), moved.resolve(), os.path.lexists(link)) == (True, wanted, False)
        assert leftovers(active, completed) == []

    def test_the_same_link_in_the_folder_makes_ours_superfluous(self, file: Path, folder: Path):
        """As after a crash in the middle of the move."""
        link = file.with_name("link.yml")
        link.symlink_to("loveless.yml")
        (folder / "link.yml").symlink_to(file)
        assert move_into(link, folder, is_wanted=any_bytes) == folder / "link.yml"
        assert not os.path.lexists(link)
        assert len(list(folder.iterdir())) == 1


class TestOtherFileSystem:
    """The folder may be a mount of its own; two bind mounts of one disk are two as well."""

    def test_a_file_is_copied_whole_and_ours_goes_after_it(self, file: Path, mounted: Callable[..., Path]):
        """Bytes, mode and mtime are the same there."""
        folder = mounted("-t", "tmpfs", "-o", "size=1m", "tmpfs")
        file.chmod(0o640)
        before = file.stat()
        assert move_into(file, folder, is_wanted=any_bytes) == folder / file.name
        assert not file.exists()
        there = (folder / file.name).stat()
        assert (folder / file.name).read_bytes() == OLD
        assert (there.st_mode, there.st_mtime_ns) == (before.st_mode, before.st_mtime_ns)
        assert there.st_dev != before.st_dev
        assert leftovers(file.parent, folder) == []

    def test_a_different_file_there_is_left_alone_and_an_equal_one_is_enough(
        self, file: Path, mounted: Callable[..., Path]
    ):
        """The rules are those of one file system."""
        folder = mounted("-t", "tmpfs", "-o", "size=1m", "tmpfs")
        (folder / file.name).write_bytes(NEW)
        assert move_into(file, folder, is_wanted=any_bytes) == folder / "loveless (2).yml"
        file.write_bytes(OLD)
        assert move_into(file, folder, is_wanted=any_bytes) == folder / "loveless (2).yml"
        assert len(list(folder.iterdir())) == 2

    def test_a_link_leads_to_the_same_file_from_there(self, file: Path, mounted: Callable[..., Path]):
        """It is written anew on the other file system."""
        folder = mounted("-t", "tmpfs", "-o", "size=1m", "tmpfs")
        link = file.with_name("link.yml")
        link.symlink_to("loveless.yml")
        moved = move_into(link, folder, is_wanted=any_bytes)
        assert moved is not None
        assert (moved.resolve(), os.path.lexists(link)) == (file, False)

    def test_a_full_disk_leaves_the_file_where_it_is(self, file: Path, mounted: Callable[..., Path]):
        """And nothing of the copy."""
        folder = mounted("-t", "tmpfs", "-o", "size=64k", "tmpfs")
        (folder / "full").write_bytes(b"x" * 56 * 1024)
        file.write_bytes(OLD * 1000)
        with pytest.raises(DiskError, match="No space left"):
            move_into(file, folder, is_wanted=any_bytes)
        assert file.read_bytes() == OLD * 1000
        assert [path.name for path in folder.iterdir()] == ["full"]
        assert leftovers(file.parent) == []

    @pytest.mark.parametrize("save", ["none", "before", "after"])
    def test_a_crash_at_any_step_keeps_every_version_once(self, file: Path, mounted: Callable[..., Path], save: str):
        """As on one file system, with the copy and the removal apart."""
        folder = mounted("-t", "tmpfs", "-o", "size=1m", "tmpfs")
        _crash_at_every_step(file, folder, save=save, steps_min=8 if save == "before" else 20)


@pytest.mark.parametrize("save", ["none", "before", "after"])
def test_a_crash_at_any_step_keeps_every_version_once(file: Path, folder: Path, save: str):
    """Killed at each step, mended as at a start, moved again: no version is lost, none is in both folders."""
    _crash_at_every_step(file, folder, save=save, steps_min=8)


def _crash_at_every_step(file: Path, folder: Path, *, save: str, steps_min: int) -> None:
    active = file.parent / "active"
    active.mkdir()
    command = [sys.executable, "-c", CRASHES, str(active), str(folder), save]
    done = subprocess.run(command, cwd=SOURCE, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    rounds = [eval(line) for line in done.stdout.splitlines()]
    assert len(rounds) > steps_min
    expected = {
        "none": [({}, {"loveless.yml": OLD})],
        "before": [({"loveless.yml": NEW}, {})],
        # Killed before the save; after it and before the move; after the move.
        "after": [
            ({}, {"loveless.yml": OLD}),
            ({"loveless.yml": NEW, "conflict copy": OLD}, {}),
            ({"loveless.yml": NEW}, {"loveless.yml": OLD}),
            # Between the copy to another file system and the removal.
            ({"loveless.yml": NEW, "conflict copy": OLD}, {"loveless.yml": OLD}),
        ],
    }
    for _, active_files, completed_files in rounds:
        named = {("conflict copy" if ".sync-conflict-" in name else name): d for name, d in active_files.items()}
        assert (named, completed_files) in expected[save]
    assert [code for code, *_ in rounds] == [9] * (len(rounds) - 1) + [0]


# Moves the file again and again, in a process of its own that ends at the first, the second, ... step of it; after each
# crash it mends the folders and moves once more, and prints what the folders hold.
CRASHES = """
import os, sys
from pathlib import Path
from reconciler.manifests import recovery, renaming
from reconciler.manifests.files import move_into, recover_displaced

active, completed, save = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
path, calls, fatal = active / "loveless.yml", 0, 0

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

def rename_and_save(self, target, real=Path.rename):
    if save == "before":
        path.write_bytes(b"title: new\\n")
    step()
    real(self, target)
    if save == "after":
        path.write_bytes(b"title: new\\n")
    step()

def is_wanted(data):
    return data == b"title: old\\n"

def run():
    Path.rename = rename_and_save
    Path.unlink = counted(Path.unlink)
    for name in ("pwrite", "fsync", "utime", "open"):
        setattr(os, name, counted(getattr(os, name)))
    renaming._renameat2 = counted(renaming._renameat2)
    move_into(path, completed, is_wanted=is_wanted)
    os._exit(0)

code = 9
while code == 9:
    fatal += 1
    for folder in (active, completed):
        for left in folder.iterdir():
            left.unlink()
    path.write_bytes(b"title: old\\n")
    child = os.fork() or run()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    for folder in (active, completed):
        recover_displaced(folder)
    if path.exists():
        move_into(path, completed, is_wanted=is_wanted)
    print((code, *({left.name: left.read_bytes() for left in folder.iterdir()} for folder in (active, completed))))
"""
