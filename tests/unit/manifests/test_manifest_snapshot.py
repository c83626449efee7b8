"""Reading a file that somebody else may be writing, or that is no plain file at all."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.errors import FileBusyError, InvalidInputError
from reconciler.manifests.exchange import rewrite
from reconciler.manifests.read import MANIFEST_BYTES_MAX
from reconciler.manifests.snapshot import NAME_BYTES_MAX, is_open_in_editor, read_file, read_input

SOURCE = Path(__file__).parents[3]
# As conftest.py makes the file.
OLD_MTIME_NS = 1_700_000_000_123_456_789


def no_pause(_seconds: float) -> None:
    """Waits are counted, not spent."""


def test_a_snapshot_has_the_bytes_and_the_fingerprint(file: Path):
    """Both belong together, and the file may be replaced."""
    snapshot = read_file(file)
    seen = file.stat()
    assert (snapshot.path, snapshot.data, snapshot.writable) == (file, b"title: old\n", True)
    assert (snapshot.fingerprint.inode, snapshot.fingerprint.mtime_ns) == (seen.st_ino, OLD_MTIME_NS)
    assert (snapshot.fingerprint.size, snapshot.fingerprint.ctime_ns) == (11, seen.st_ctime_ns)


def test_a_file_that_is_not_there(tmp_path: Path):
    """The caller decides what a missing file means."""
    with pytest.raises(FileNotFoundError):
        read_file(tmp_path / "none.yml")


def test_a_file_that_somebody_has_open_to_write_is_busy(file: Path):
    """A torn file is never read, however long its writer takes."""
    with file.open("r+b") as writer:
        writer.write(b"ti")
        writer.flush()
        with pytest.raises(FileBusyError):
            read_file(file)
    assert read_file(file).data == b"title: old\n"


def test_a_hard_link_is_read_and_not_written(file: Path):
    """Replacing one name would part the two."""
    os.link(file, file.with_name("other.yml"))
    assert not read_file(file).writable
    with pytest.raises(InvalidInputError, match="hard links"):
        rewrite(file, lambda data: data + b"x: 1\n", pause=no_pause)
    assert file.read_bytes() == b"title: old\n"


@pytest.mark.parametrize("kind", ["link", "zero", "fifo", "folder", "socket", "sparse"])
def test_what_is_no_plain_file_is_refused_at_once(file: Path, monkeypatch: pytest.MonkeyPatch, kind: str):
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


def test_the_largest_file_that_is_read(file: Path):
    """The limit is exact."""
    file.write_bytes(b"x" * MANIFEST_BYTES_MAX)
    assert len(read_file(file).data) == MANIFEST_BYTES_MAX
    file.write_bytes(b"x" * (MANIFEST_BYTES_MAX + 1))
    with pytest.raises(InvalidInputError, match="256 KiB"):
        read_file(file)


def test_a_writer_who_comes_during_the_read_does_not_kill_us(file: Path):
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
    done = subprocess.run(command, cwd=SOURCE, capture_output=True, text=True, timeout=240, check=False)
    assert (done.returncode, done.stdout) == (0, "b'title: old\\n'\n"), done.stderr
    assert signal.getsignal(signal.SIGURG) is signal.SIG_DFL


class TestLinks:
    """A symbolic link in `jobs/active` is a wish kept elsewhere: read, never written."""

    @pytest.mark.parametrize(
        "text", ["loveless.yml", "./loveless.yml", "../{folder}/loveless.yml", "{file}", "hop.yml"]
    )
    def test_a_link_is_read_and_not_written(self, file: Path, text: str):
        """Relative, absolute, or through another link: the bytes are the target's, and it is not ours to write."""
        file.with_name("hop.yml").symlink_to(file)
        link = file.with_name("link.yml")
        link.symlink_to(text.format(folder=file.parent.name, file=file))
        snapshot = read_input(link)
        assert (snapshot.path, snapshot.data, snapshot.writable) == (link, b"title: old\n", False)
        assert snapshot.fingerprint.inode == file.stat().st_ino
        with pytest.raises(InvalidInputError, match="symbolic link"):
            rewrite(link, lambda data: data + b"x: 1\n", pause=no_pause)
        assert file.read_bytes() == b"title: old\n"

    def test_a_plain_file_is_read_as_ever(self, file: Path):
        """The door for a person's files is the same for both kinds."""
        assert read_input(file) == read_file(file)

    @pytest.mark.parametrize("kind", ["nothing", "itself", "folder", "below a file", "fifo", "device", "huge"])
    def test_a_link_to_what_is_no_plain_file_is_refused_at_once(self, file: Path, kind: str):
        """It is there, so it is not missing; it says what to do; nothing hangs."""
        targets = {"nothing": "none.yml", "itself": "link.yml", "folder": ".", "below a file": "loveless.yml/x"}
        targets |= {"fifo": "fifo", "device": "/dev/zero", "huge": "huge"}
        os.mkfifo(file.with_name("fifo"))
        file.with_name("huge").touch()
        os.truncate(file.with_name("huge"), 1 << 30)
        link = file.with_name("link.yml")
        link.symlink_to(targets[kind])
        with pytest.raises(InvalidInputError) as refusal:
            read_input(link)
        assert refusal.value.hint

    def test_a_link_that_is_swapped_in_on_the_way_leads_nowhere(self, file: Path, monkeypatch: pytest.MonkeyPatch):
        """Between resolving and opening, a folder of the target becomes a link to another place."""
        store, other = file.with_name("store"), file.with_name("other")
        for folder in (store, other):
            folder.mkdir()
            (folder / "a.yml").write_bytes(folder.name.encode())
        link = file.with_name("link.yml")
        link.symlink_to(store / "a.yml")
        real = os.path.realpath

        def resolve_then_swap(path: Path, **named: bool) -> str:
            target = real(path, **named)
            store.rename(file.with_name("moved"))
            store.symlink_to(other)
            return target

        monkeypatch.setattr(os.path, "realpath", resolve_then_swap)
        with pytest.raises(InvalidInputError):
            read_input(link)

    def test_a_target_that_somebody_is_writing_is_busy(self, file: Path):
        """The rules of reading hold behind a link."""
        link = file.with_name("link.yml")
        link.symlink_to(file)
        with file.open("r+b"), pytest.raises(FileBusyError):
            read_input(link)

    def test_a_name_that_leaves_no_room_is_refused(self, tmp_path: Path):
        """What is read can be written and moved; the longest name is exact."""
        longest = tmp_path / ("x" * (NAME_BYTES_MAX - 4) + ".yml")
        longest.write_bytes(b"a")
        assert read_input(longest).data == b"a"
        longer = tmp_path / f"x{longest.name}"
        longer.write_bytes(b"a")
        with pytest.raises(InvalidInputError, match="too long a name"):
            read_input(longer)


@pytest.mark.parametrize(
    ("beside", "expected"),
    [
        (".loveless.yml.swp", True),
        (".#loveless.yml", True),
        (".other.yml.swp", False),
        ("loveless.yml~", False),
        (".loveless.yml", False),
    ],
)
def test_an_editor_is_known_by_what_it_leaves_beside_the_file(file: Path, beside: str, *, expected: bool):
    """The swap file of vim and nano; the lock of emacs, which is a link to nothing."""
    assert not is_open_in_editor(file)
    file.with_name(beside).symlink_to("person@desk.4711")
    assert is_open_in_editor(file) is expected
