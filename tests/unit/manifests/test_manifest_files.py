"""Reading, rewriting and moving files that somebody else writes at the same time."""

import errno
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.errors import FileBusyError, InvalidInputError
from reconciler.manifests import kernel
from reconciler.manifests.files import move_into, read_file, recover_displaced, rewrite
from reconciler.manifests.read import MANIFEST_BYTES_MAX
from reconciler.manifests.snapshot import temporary_for

SOURCE = Path(__file__).parents[3]
# As conftest.py makes the file.
OLD_MTIME_NS = 1_700_000_000_123_456_789


def no_pause(_seconds: float) -> None:
    """Waits are counted, not spent."""


def leftovers(folder: Path) -> list[str]:
    """Names that a call should not have left behind."""
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


class TestReading:
    """What is read, and what is not."""

    def test_a_snapshot_has_the_bytes_and_the_fingerprint(self, file: Path):
        """Both belong together, and the file may be replaced."""
        snapshot = read_file(file)
        seen = file.stat()
        assert (snapshot.path, snapshot.data, snapshot.writable) == (file, b"title: old\n", True)
        assert (snapshot.fingerprint.inode, snapshot.fingerprint.mtime_ns) == (seen.st_ino, OLD_MTIME_NS)
        assert (snapshot.fingerprint.size, snapshot.fingerprint.ctime_ns) == (11, seen.st_ctime_ns)

    def test_a_file_that_is_not_there(self, tmp_path: Path):
        """The caller decides what a missing file means."""
        with pytest.raises(FileNotFoundError):
            read_file(tmp_path / "none.yml")

    def test_a_file_that_somebody_has_open_to_write_is_busy(self, file: Path):
        """A torn file is never read, however long its writer takes."""
        with file.open("r+b") as writer:
            writer.write(b"ti")
            writer.flush()
            with pytest.raises(FileBusyError):
                read_file(file)
        assert read_file(file).data == b"title: old\n"

    def test_a_hard_link_is_read_and_not_written(self, file: Path):
        """Replacing one name would part the two."""
        os.link(file, file.with_name("other.yml"))
        assert not read_file(file).writable
        with pytest.raises(InvalidInputError, match="hard links"):
            rewrite(file, lambda data: data + b"x: 1\n", pause=no_pause)
        assert file.read_bytes() == b"title: old\n"

    @pytest.mark.parametrize("kind", ["link", "zero", "fifo", "folder", "socket", "sparse"])
    def test_what_is_no_plain_file_is_refused_at_once(self, file: Path, monkeypatch: pytest.MonkeyPatch, kind: str):
        """Links are not followed, pipes and devices do not hang, a gigabyte is not read."""
        path = file.with_name(f"{kind}.yml")
        match kind:
            case "link":
                path.symlink_to(file)
            case "zero":
                path.symlink_to("/dev/zero")
            case "fifo":
                os.mkfifo(path)
            case "folder":
                path.mkdir()
            case "socket":
                with socket.socket(socket.AF_UNIX) as listener:
                    monkeypatch.chdir(path.parent)
                    listener.bind(path.name)
            case _:
                path.touch()
                os.truncate(path, 1 << 30)
        with pytest.raises(InvalidInputError) as refusal:
            read_file(path)
        assert refusal.value.hint

    def test_the_largest_file_that_is_read(self, file: Path):
        """The limit is exact."""
        file.write_bytes(b"x" * MANIFEST_BYTES_MAX)
        assert len(read_file(file).data) == MANIFEST_BYTES_MAX
        file.write_bytes(b"x" * (MANIFEST_BYTES_MAX + 1))
        with pytest.raises(InvalidInputError, match="256 KiB"):
            read_file(file)

    def test_a_writer_who_comes_during_the_read_does_not_kill_us(self, file: Path):
        """The kernel's notice of a waiting writer is ignored, in a process that has prepared nothing for it."""
        program = (
            "import os, sys, threading\n"
            "from pathlib import Path\n"
            "from reconciler.manifests.files import read_file\n"
            "from reconciler.manifests import kernel\n"
            "path, real = Path(sys.argv[1]), os.pread\n"
            "def slow(fd, n, at):\n"
            "    writer = threading.Thread(target=lambda: path.open('r+b').close())\n"
            "    writer.start(); writer.join(0.05)\n"
            "    assert writer.is_alive(), 'the writer should wait for the lease'\n"
            "    return real(fd, n, at)\n"
            "kernel.os.pread = slow\n"
            "print(read_file(path).data)\n"
        )
        command = [sys.executable, "-c", program, str(file)]
        done = subprocess.run(command, cwd=SOURCE, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stdout) == (0, "b'title: old\\n'\n"), done.stderr
        assert signal.getsignal(signal.SIGURG) is signal.SIG_DFL


class TestMoving:
    """Finished manifests go to their folder."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """Where they go."""
        folder = tmp_path / "completed"
        folder.mkdir()
        return folder

    def test_a_file_is_moved_and_moving_it_again_says_where_it_is(self, file: Path, folder: Path):
        """A crash after the rename costs nothing."""
        assert move_into(file, folder) == folder / file.name
        assert not file.exists()
        assert (folder / file.name).read_bytes() == b"title: old\n"
        assert move_into(file, folder) == folder / file.name

    def test_an_equal_file_in_the_folder_makes_ours_superfluous(self, file: Path, folder: Path):
        """Syncthing may have brought it there already."""
        (folder / file.name).write_bytes(b"title: old\n")
        assert move_into(file, folder) == folder / file.name
        assert not file.exists()
        assert [path.name for path in folder.iterdir()] == [file.name]

    def test_a_different_file_in_the_folder_is_left_alone(self, file: Path, folder: Path):
        """Ours gets a number, and asking again gives that name."""
        for name in ("loveless.yml", "loveless (2).yml"):
            (folder / name).write_bytes(b"title: other\n")
        assert move_into(file, folder) == folder / "loveless (3).yml"
        assert move_into(file, folder) == folder / "loveless (3).yml"
        assert sorted(path.read_bytes() for path in folder.iterdir()) == [b"title: old\n", *[b"title: other\n"] * 2]

    def test_a_link_in_the_folder_is_not_followed(self, file: Path, folder: Path):
        """It counts as a different file."""
        (folder / file.name).symlink_to(file)
        assert move_into(file, folder) == folder / "loveless (2).yml"
        assert (folder / file.name).is_symlink()

    def test_a_save_while_equals_are_compared_is_kept(self, file: Path, folder: Path, monkeypatch: pytest.MonkeyPatch):
        """What is saved at the name after the look goes to the folder under a number."""
        (folder / file.name).write_bytes(b"title: old\n")
        real = kernel._renameat2
        saves = [b"title: new\n"]

        def save_then_rename(source: Path, target: Path, flags: int) -> None:
            if target.name.startswith(".") and saves:
                file.write_bytes(saves.pop())
            real(source, target, flags)

        monkeypatch.setattr(kernel, "_renameat2", save_then_rename)
        assert move_into(file, folder) == folder / "loveless (2).yml"
        assert (folder / "loveless (2).yml").read_bytes() == b"title: new\n"
        assert (folder / "loveless.yml").read_bytes() == b"title: old\n"

    def test_a_file_that_is_nowhere(self, tmp_path: Path, folder: Path):
        """Neither here nor there: the caller hears it."""
        with pytest.raises(FileNotFoundError):
            move_into(tmp_path / "none.yml", folder)

    def test_a_missing_folder_is_not_a_finished_move(self, file: Path, tmp_path: Path):
        """The file stays where it is."""
        with pytest.raises(FileNotFoundError):
            move_into(file, tmp_path / "nowhere")
        assert file.exists()

    def test_another_file_system_gets_a_copy_and_ours_goes_after_it(
        self, file: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
    ):
        """Two bind mounts of one disk are already two file systems to rename."""
        real = kernel._renameat2

        def apart(source: Path, target: Path, flags: int) -> None:
            if source.parent != target.parent:
                raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
            real(source, target, flags)

        monkeypatch.setattr(kernel, "_renameat2", apart)
        assert move_into(file, folder) == folder / file.name
        assert not file.exists()
        assert (folder / file.name).read_bytes() == b"title: old\n"
        assert leftovers(file.parent) + leftovers(folder) == []

    def test_without_renameat2_a_file_is_moved_by_link(self, file: Path, folder: Path, monkeypatch: pytest.MonkeyPatch):
        """An existing file is still never replaced."""
        monkeypatch.setattr(kernel, "_libc", object())
        (folder / file.name).write_bytes(b"title: other\n")
        assert move_into(file, folder) == folder / "loveless (2).yml"
        assert not file.exists()
        assert (folder / file.name).read_bytes() == b"title: other\n"


class TestRecovery:
    """What a crash between two steps left is put right at the next start."""

    OLD, OURS, THEIRS, LATER = b"title: old\n", b"title: old\nstatus: 1\n", b"title: new\n", b"title: newest\n"

    @pytest.mark.parametrize(
        ("standing", "left", "expected"),
        [
            pytest.param(OLD, OURS, OLD, id="before the exchange"),
            pytest.param(OURS, OLD, OURS, id="after the exchange"),
            pytest.param(OURS, THEIRS, THEIRS, id="a save was displaced"),
            pytest.param(None, THEIRS, THEIRS, id="a save was displaced and the name is gone"),
            pytest.param(None, OURS, None, id="the name is gone and nothing was displaced"),
            pytest.param(THEIRS + b"status: 2\n", THEIRS, THEIRS + b"status: 2\n", id="published again already"),
        ],
    )
    def test_a_temporary_file_is_put_where_it_belongs(
        self, file: Path, standing: bytes | None, left: bytes, expected: bytes | None
    ):
        """A person's bytes come back to their name; ours are removed."""
        temporary = temporary_for(file, old=self.OLD, new=self.OURS)
        temporary.write_bytes(left)
        file.unlink()
        if standing is not None:
            file.write_bytes(standing)
        assert recover_displaced(file.parent) == ([file] if expected != standing else [])
        assert (file.read_bytes() if file.exists() else None) == expected
        assert leftovers(file.parent) == []

    def test_a_save_over_which_another_was_made_becomes_a_conflict_copy(self, file: Path):
        """Neither is thrown away."""
        temporary = temporary_for(file, old=self.OLD, new=self.OURS)
        temporary.write_bytes(self.THEIRS)
        os.utime(temporary, (1_763_794_961, 1_763_794_961))
        file.write_bytes(self.LATER)
        copy = file.with_name("loveless.sync-conflict-20251122-070241-RECONCI.yml")
        assert recover_displaced(file.parent) == [copy]
        assert (copy.read_bytes(), file.read_bytes()) == (self.THEIRS, self.LATER)

    def test_a_file_moved_aside_comes_back(self, file: Path):
        """The comparison with its equal is begun again."""
        temporary = temporary_for(file, aside=True)
        file.rename(temporary)
        assert recover_displaced(file.parent) == [file]
        assert file.read_bytes() == self.OLD

    def test_a_draft_is_removed_and_strange_names_are_left_alone(self, file: Path):
        """A draft never stood at a name; what is not ours is not touched."""
        temporary_for(file).write_bytes(b"half a fi")
        strange = [".syncthing.loveless.yml.tmp", ".syncthing.reconciler.loveless.yml.tmp", "~syncthing~x.tmp"]
        for name in strange:
            file.with_name(name).write_bytes(b"x")
        assert recover_displaced(file.parent) == []
        assert sorted(path.name for path in file.parent.iterdir()) == sorted([file.name, *strange])
