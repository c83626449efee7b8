"""What we hold is found by root and recording, and opened only while it is still the same file."""

import os
import shutil
import sqlite3
from dataclasses import replace

import pytest
from overlay_world import NOBODYS_RECORDING, RECORDING, content, hold

from reconciler.config import LibrarySettings, RootSettings
from reconciler.errors import DiskError, NotFoundError, StateDamagedError, UnsafePathError
from reconciler.ids import Root, Sha256
from reconciler.library.index import HOLDINGS_PER_RECORDING_MAX, HoldingChangedError, LibraryIndex, shared_folders
from reconciler.state.database import Database


@pytest.fixture
def database(tmp_path):
    """A state database of its own."""
    database = Database.open(tmp_path / "state" / "reconciler.db")
    yield database
    database.close()


@pytest.fixture
def index(database):
    """An empty library."""
    return LibraryIndex(database)


def test_what_is_added_is_found(index, tmp_path):
    """By its root and by its recording, every field as it was."""
    holding = hold(index, tmp_path / "a.flac", content(300_000))
    assert index.by_root(holding.root) == holding
    assert index.by_recording(RECORDING) == (holding,)
    assert index.by_root(Root("0" * 64)) is None
    assert index.by_recording(NOBODYS_RECORDING) == ()


def test_a_file_without_a_recording_is_held_too(index, tmp_path):
    """It is found by its root alone."""
    holding = hold(index, tmp_path / "a.bin", content(5), recording=None)
    assert index.by_root(holding.root) == holding


def test_every_file_is_told_of_the_newest_first(index, tmp_path):
    """With what shows whether it is still the same; the revision is another one after each change."""
    seen = [index.revision]
    first = hold(index, tmp_path / "a.flac", content(5))
    seen.append(index.revision)
    second = hold(index, tmp_path / "b.flac", content(7))
    seen.append(index.revision)
    expected = [(each.path, each.size, each.mtime_ns) for each in (second, first)]
    assert [(each.path, each.size, each.mtime_ns) for each in index.files()] == expected
    (tmp_path / "b.flac").unlink()
    with pytest.raises(HoldingChangedError):
        index.open(second.root)
    third = hold(index, tmp_path / "c.flac", content(9))
    seen.append(index.revision)
    assert len(set(seen)) == len(seen)
    assert [each.path for each in index.files()] == [third.path, first.path]


def test_the_best_files_of_a_recording_come_first(index, tmp_path):
    """Lossless before lossy, then by bitrate, and not without end."""
    base = hold(index, tmp_path / "a.flac", content(5))
    for number in range(40):
        index.add(
            replace(
                base,
                root=Root(f"{number:064x}"),
                lossless=number % 2 == 0,
                bitrate_bps=number * 1000,
            )
        )
    found = index.by_recording(RECORDING)
    assert len(found) == HOLDINGS_PER_RECORDING_MAX
    order = [(holding.lossless, holding.bitrate_bps) for holding in found]
    assert order == sorted(order, reverse=True)


def test_the_same_bytes_elsewhere_take_the_place_of_the_old_row(index, tmp_path):
    """A root is held once: where it was added last."""
    hold(index, tmp_path / "a.flac", content(5))
    second = hold(index, tmp_path / "b.flac", content(5))
    assert index.by_root(second.root) == second
    assert len(index.by_recording(RECORDING)) == 1


def test_numbers_as_large_as_file_systems_make_them_are_kept(index, tmp_path):
    """Inode and device are unsigned 64-bit numbers there and signed ones here."""
    holding = replace(hold(index, tmp_path / "a.flac", content(5)), device=2**64 - 1, inode=2**63)
    index.add(holding)
    assert index.by_root(holding.root) == holding


def test_an_unchanged_file_is_opened(index, tmp_path):
    """The descriptor reads the bytes that the root names."""
    holding = hold(index, tmp_path / "a.flac", content(1000))
    descriptor, opened = index.open(holding.root)
    try:
        assert os.pread(descriptor, 1000, 0) == content(1000)
        assert opened == holding
    finally:
        os.close(descriptor)


def test_a_root_that_was_never_held_is_not_found(index):
    """Not found is another answer than gone."""
    with pytest.raises(NotFoundError):
        index.open(Root("0" * 64))


def change_content(path):
    path.write_bytes(content(1000, "other"))


def touch(path):
    os.utime(path, ns=(1, 1))


def shorten(path):
    mtime = path.stat().st_mtime_ns
    os.truncate(path, 999)
    os.utime(path, ns=(mtime, mtime))


def exchange(path):
    mtime = path.stat().st_mtime_ns
    path.rename(path.with_name("old"))
    path.write_bytes(content(1000))
    os.utime(path, ns=(mtime, mtime))


def link(path):
    path.rename(path.with_name("old"))
    path.symlink_to("old")


def link_the_folder(path):
    path.parent.rename(path.parent.with_name("moved"))
    path.parent.symlink_to("moved")


def put_a_folder(path):
    path.unlink()
    path.mkdir()


def put_a_fifo(path):
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    "change",
    [
        change_content,
        touch,
        shorten,
        exchange,
        link,
        link_the_folder,
        put_a_folder,
        put_a_fifo,
        lambda path: path.unlink(),
    ],
)
def test_a_file_that_is_not_the_indexed_one_is_gone(index, tmp_path, change):
    """Whatever happened to it, it is not opened, and its row is dropped."""
    (tmp_path / "music").mkdir()
    path = tmp_path / "music" / "a.flac"
    holding = hold(index, path, content(1000))
    change(path)
    with pytest.raises(HoldingChangedError):
        index.open(holding.root)
    assert index.by_root(holding.root) is None
    with pytest.raises(NotFoundError):
        index.open(holding.root)


def test_a_disk_under_another_number_holds_what_it_held(index, tmp_path):
    """ZFS, btrfs, NFS and USB disks have a new one after each start."""
    holding = hold(index, tmp_path / "a.flac", content(1000))
    index.add(replace(holding, device=holding.device + 1))
    descriptor, _ = index.open(holding.root)
    os.close(descriptor)


@pytest.mark.parametrize("left", [None, (), (".reconciler-parts",)])
def test_what_lies_on_a_disk_that_is_not_mounted_stays_held(database, tmp_path, left):
    """Its root is not there, or another disk with nothing to be seen on it; with the disk, everything is back."""
    root = tmp_path / "music"
    root.mkdir()
    index = LibraryIndex(database, shared=shared_folders(LibrarySettings(roots=(str(root),)), root=tmp_path))
    holding = hold(index, root / "a.flac", content(1000))
    index.add(replace(holding, device=holding.device + 1))
    root.rename(tmp_path / "disk")
    for name in () if left is None else (".", *left):
        (root / name).mkdir()
    with pytest.raises(DiskError, match="may not be mounted"):
        index.open(holding.root)
    if left is not None:
        shutil.rmtree(root)
    (tmp_path / "disk").rename(root)
    descriptor, _ = index.open(holding.root)
    os.close(descriptor)


def test_what_was_moved_out_of_a_library_that_is_there_is_gone(database, tmp_path):
    """As by a program that takes in what is published, and leaves an empty folder."""
    root = tmp_path / "incoming"
    root.mkdir()
    index = LibraryIndex(database, shared={str(root): True})
    holding = hold(index, root / "a.flac", content(1000))
    (root / "a.flac").rename(tmp_path / "a.flac")
    with pytest.raises(HoldingChangedError):
        index.open(holding.root)
    assert index.held(holding.root) is None


def test_the_library_of_a_daemon_that_names_none_is_a_root_as_well(tmp_path):
    """It lies below the root folder."""
    assert shared_folders(LibrarySettings(), root=tmp_path) == {str(tmp_path / "library"): True}


def test_the_bytes_are_not_looked_at(index, tmp_path):
    """Only inode, size and time tell: whoever receives a file verifies it."""
    path = tmp_path / "a.flac"
    holding = hold(index, path, content(1000))
    path.write_bytes(content(1000, "other"))
    os.utime(path, ns=(holding.mtime_ns, holding.mtime_ns))
    descriptor, _ = index.open(holding.root)
    os.close(descriptor)
    assert index.by_root(holding.root) == holding


def test_a_file_that_is_added_anew_in_the_meantime_is_not_dropped(index, tmp_path):
    """What was read before and judged later cannot remove a younger row."""
    old = hold(index, tmp_path / "a.flac", content(1000))
    new = hold(index, tmp_path / "b.flac", content(1000))
    index._drop(old)
    assert index.by_root(new.root) == new


def test_links_on_the_way_are_resolved_when_a_file_is_added(index, tmp_path):
    """A library root may be a link; the file is then opened without following any."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "music").symlink_to("disk")
    holding = hold(index, tmp_path / "music" / "a.flac", content(1000))
    descriptor, opened = index.open(holding.root)
    os.close(descriptor)
    assert opened.path == str(tmp_path / "disk" / "a.flac")


@pytest.mark.parametrize("path", ["a.flac", "", "/", "./a", "/tmp/.."])
def test_paths_that_name_no_file_are_refused(index, tmp_path, path):
    """A relative path would mean another file tomorrow."""
    holding = hold(index, tmp_path / "a.flac", content(5))
    with pytest.raises(UnsafePathError):
        index.add(replace(holding, path=path))


def test_a_name_that_is_not_unicode_is_refused(index, tmp_path):
    """The index keeps names as text."""
    holding = hold(index, tmp_path / "a.flac", content(5))
    with pytest.raises(UnsafePathError, match="not Unicode"):
        index.add(replace(holding, path=os.fsdecode(os.fsencode(tmp_path) + b"/\xff.flac")))


@pytest.mark.parametrize(
    "change",
    [{"root": Root("A" * 64)}, {"sha256": Sha256("A" * 64)}, {"chunk_hashes": b""}, {"chunk_hashes": bytes(33)}],
)
def test_hashes_that_are_none_are_refused(index, tmp_path, change):
    """A program error, caught before it is durable."""
    holding = hold(index, tmp_path / "a.flac", content(5))
    with pytest.raises(ValueError, match=r"."):
        index.add(replace(holding, **change))


def test_a_row_that_nobody_wrote_is_damage(index, database, tmp_path):
    """It is named, with the file."""
    holding = hold(index, tmp_path / "a.flac", content(5))

    def work(connection: sqlite3.Connection) -> None:
        connection.execute("UPDATE holdings SET chunk_hashes = 'text'")

    database.write(work).result()
    with pytest.raises(StateDamagedError, match=r"reconciler\.db"):
        index.by_root(holding.root)


def test_what_lies_below_a_folder_that_is_not_shared_is_nobodys(database, tmp_path):
    """It is held, and neither found nor opened for others; of folders within one another the deepest decides."""
    for name in ("music/private/public", "musical"):
        (tmp_path / name).mkdir(parents=True)
    private, public = str(tmp_path / "music/private"), str(tmp_path / "music/private/public")
    library = LibrarySettings(
        roots=(str(tmp_path / "music"), private, public), root_rules=(RootSettings(path=private, share=False),)
    )
    index = LibraryIndex(database, shared=shared_folders(library, root=tmp_path))
    names = ("music/a.flac", "music/private/b.flac", "music/private/public/c.flac", "musical/d.flac")
    held = {name: hold(index, tmp_path / name, content(5, seed=name)) for name in names}
    hidden = held["music/private/b.flac"]
    assert {each.path for each in index.by_recording(RECORDING)} == {
        each.path for each in held.values() if each is not hidden
    }
    assert hidden.path not in {each.path for each in index.files()}
    assert index.by_root(hidden.root) is None
    assert index.held(hidden.root) == hidden
    with pytest.raises(NotFoundError):
        index.open(hidden.root)
