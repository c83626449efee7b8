"""How much room there is, and how that is said."""

import errno
import os

import pytest

from reconciler.errors import DiskError, DiskFailingError, DiskFullError, PartLostError, disk_refusal
from reconciler.library.room import require_room, require_writable, told_bytes


@pytest.mark.parametrize(
    ("size", "told"),
    [
        (0, "0 bytes"),
        (7, "7 bytes"),
        (99, "99 bytes"),
        (123, "120 bytes"),
        (999, "1 kB"),
        (1_000, "1 kB"),
        (512_345_678, "510 MB"),
        (999_999_999, "1 GB"),
        (1_250_000_000, "1.2 GB"),
        (42_000_000_000_000, "42 TB"),
        (42_000_000_000_000_000, "42000 TB"),
    ],
)
def test_a_size_is_told_to_two_digits(size, told):
    """A figure that a person can take in, and that does not move with every byte."""
    assert told_bytes(size) == told


def disk_of(monkeypatch, *, blocks, free):
    """Have the disk say that it has so many blocks of 4 KiB, and so many free."""
    found = os.statvfs_result((4096, 4096, blocks, free, free, 0, 0, 0, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda path: found)


def test_a_lack_is_told_with_all_its_figures(tmp_path, monkeypatch):
    """Where, how much is needed, how much is free, how much to free."""
    disk_of(monkeypatch, blocks=100_000_000, free=25_000)  # 102.4 MB, of which 67.1 are for others
    with pytest.raises(DiskFullError) as caught:
        require_room(tmp_path, 500_000_000)
    assert caught.value.message == f"{tmp_path}: 500 MB are needed and 35 MB free"
    assert caught.value.hint == "free 460 MB on that disk, or point spec.target_dir at another one"


def test_the_last_of_a_disk_is_left_to_others(tmp_path, monkeypatch):
    """64 MiB of a large disk, a hundredth of a small one."""
    disk_of(monkeypatch, blocks=1_000, free=500)
    require_room(tmp_path, 490 * 4096)
    with pytest.raises(DiskFullError):
        require_room(tmp_path, 490 * 4096 + 1)


def test_what_needs_nothing_more_is_not_stopped_by_a_full_disk(tmp_path, monkeypatch):
    """A part whose room is reserved goes on to the last block."""
    disk_of(monkeypatch, blocks=1_000, free=0)
    require_room(tmp_path, 0)
    require_room(tmp_path, -4096)


def test_a_trial_leaves_nothing(tmp_path):
    """A byte is written and synced, and the file is gone; one that a crash left is no hindrance."""
    (tmp_path / "x.trial").write_bytes(b"left")
    require_writable(tmp_path / "x.trial")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("call", ["write", "fsync"])
def test_a_trial_that_fails_leaves_nothing_either(tmp_path, monkeypatch, call):
    """The refusal is the disk's own."""

    def failing(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, call, failing)
    with pytest.raises(OSError, match="Input/output"):
        require_writable(tmp_path / "x.trial")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (errno.ENOSPC, DiskFullError),
        (errno.EDQUOT, DiskFullError),
        (errno.EIO, DiskFailingError),
        (errno.EROFS, DiskFailingError),
        (errno.ESTALE, DiskFailingError),
        (errno.EACCES, DiskError),
        (None, DiskError),
    ],
)
def test_what_an_error_number_means(code, kind):
    """Full and failing are waited for; anything else is an error of its own."""
    assert disk_refusal(code) is kind
    assert issubclass(PartLostError, DiskFailingError)
