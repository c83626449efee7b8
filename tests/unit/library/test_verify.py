"""Verifying: what became of each known file, and that nothing is changed by looking."""

import os
import shutil
import uuid
from dataclasses import replace
from pathlib import Path

import pytest
from music_files import tag, write_music
from overlay_world import hold

from reconciler.clock import SystemClock
from reconciler.library.index import LibraryIndex
from reconciler.library.register import Register
from reconciler.library.scan import Scan
from reconciler.library.verify import Verification
from reconciler.overlay.filehash import hash_file
from reconciler.state.database import Database

RECORDING = str(uuid.UUID(int=1))


class Shelf:
    """A library folder that has been scanned."""

    def __init__(self, folder, database):
        self.root = folder / "music"
        self.root.mkdir()
        self.index, self.register = LibraryIndex(database), Register(database)

    def add(self, name, **about):
        """Write a tagged file and scan the library."""
        path = write_music(self.root / name, recording=RECORDING, title="Song", **about)
        self.scan()
        return path

    def scan(self):
        """Take everything that is there for the state that it should be in."""
        scan = Scan(index=self.index, register=self.register, hash_file=hash_file, clock=SystemClock())
        list(scan.run([self.root], never=()))

    def verify(self):
        """What became of each file, by its name."""
        found = Verification(register=self.register, hash_file=hash_file).run([self.root], never=())
        return {Path(each.path).name: each for each in found}


@pytest.fixture
def shelf(memory_folder):
    """An empty library."""
    database = Database.open(memory_folder / "state" / "reconciler.db")
    yield Shelf(memory_folder, database)
    database.close()


def flip(path, *, same_time=False):
    """Turn one bit in the middle of a file."""
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(before.st_size // 2)
        (byte,) = file.read(1)
        file.seek(before.st_size // 2)
        file.write(bytes([byte ^ 1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + (0 if same_time else 1_000_000_000)))


def test_what_is_as_it_was_is_good(shelf):
    """Also a file that has only been touched."""
    path = shelf.add("a.flac")
    os.utime(path)
    assert shelf.verify()["a.flac"].state == "good"


@pytest.mark.parametrize("extension", ["flac", "mp3", "ogg", "opus", "m4a"])
def test_other_tags_around_the_same_audio_are_retagged(shelf, extension):
    """Each of these formats can tell."""
    path = shelf.add(f"a.{extension}")
    tag(path, title="Another " * 100)
    assert shelf.verify()[path.name].state == "retagged"


def test_other_audio_is_changed(shelf):
    """Good music, and not what was there."""
    path = shelf.add("a.flac")
    write_music(path, seed=2)
    found = shelf.verify()["a.flac"]
    assert (found.state, found.reason) == ("changed", "it holds other audio")


@pytest.mark.parametrize("same_time", [True, False])
def test_one_flipped_bit_is_corrupt(shelf, same_time):
    """With a reason, whether or not the disk says that something was written."""
    path = shelf.add("a.flac")
    flip(path, same_time=same_time)
    found = shelf.verify()["a.flac"]
    assert found.state == "corrupt"
    assert "can be decoded for about" in found.reason


def test_bytes_that_change_without_a_write_are_corrupt_in_any_format(shelf):
    """Nobody retags without touching size or time."""
    path = shelf.add("a.m4a")
    flip(path, same_time=True)
    found = shelf.verify()["a.m4a"]
    assert found.state == "corrupt"
    assert "look at the disk" in found.reason


def test_the_same_bytes_elsewhere_are_moved(shelf):
    """Found by their hash, whatever the file is called now."""
    path = shelf.add("a.mp3")
    shelf.add("b.flac", seed=2)
    new = shelf.root / "Elsewhere" / "x.mp3"
    new.parent.mkdir()
    path.rename(new)
    found = shelf.verify()
    assert (found["a.mp3"].state, found["a.mp3"].moved_to) == ("moved", str(new))
    assert found["b.flac"].state == "good"


def test_a_flac_that_was_moved_and_retagged_is_found_by_its_audio(shelf):
    """Its headers carry the name of its audio."""
    path = shelf.add("a.flac")
    new = path.rename(shelf.root / "b.flac")
    tag(new, title="Another")
    found = shelf.verify()["a.flac"]
    assert (found.state, found.moved_to) == ("moved", str(new))
    assert "under other tags" in found.reason


def test_what_is_nowhere_is_missing(shelf):
    """And stays known until it is back; a copy that was known before is named."""
    path = shelf.add("a.flac")
    other = shelf.add("b.flac", seed=2)
    shutil.copy(other, shelf.root / "c.flac")
    shelf.scan()
    path.unlink()
    other.unlink()
    for _ in range(2):
        found = shelf.verify()
        assert [found[name].state for name in ("a.flac", "b.flac", "c.flac")] == ["missing", "missing", "good"]
        assert "nothing in the library has its bytes" in found["a.flac"].reason
        assert found["b.flac"].reason == f"it is gone; a copy is at {shelf.root / 'c.flac'}"


def test_of_a_disk_that_is_not_mounted_that_is_said(shelf):
    """Nothing of it is gone."""
    shelf.add("a.flac")
    shelf.root.rename(shelf.root.with_name("disk"))
    for make in (lambda: None, shelf.root.mkdir):
        make()
        found = shelf.verify()["a.flac"]
        assert found.state == "missing"
        assert found.reason == f"{shelf.root} is empty or not there: mount the disk that it is on"


def test_a_link_in_the_place_of_a_file_is_not_it(shelf):
    """It is not followed, also not to the same bytes."""
    path = shelf.add("a.flac")
    outside = path.rename(shelf.root.parent / "outside.flac")
    path.symlink_to(outside)
    assert shelf.verify()["a.flac"].state == "missing"


def test_what_a_job_has_published_is_known_without_a_scan(shelf):
    """The index has its hashes."""
    path = write_music(shelf.root / "a.flac")
    hold(shelf.index, path, path.read_bytes(), recording=RECORDING)
    assert shelf.verify()["a.flac"].state == "good"
    tag(path, title="New")
    assert shelf.verify()["a.flac"].state == "changed"


def test_nothing_is_written_by_looking(shelf):
    """Neither to the library nor to what is known of it."""
    for number, name in enumerate(("a.flac", "b.flac", "c.flac")):
        shelf.add(name, seed=number)
    flip(shelf.root / "a.flac")
    (shelf.root / "b.flac").rename(shelf.root / "d.flac")
    before = {path: path.read_bytes() for path in shelf.root.iterdir()}, list(shelf.register.every())
    first, second = shelf.verify(), shelf.verify()
    assert first == second
    assert ({path: path.read_bytes() for path in shelf.root.iterdir()}, list(shelf.register.every())) == before


def test_every_file_is_told_of_once_however_many_there_are(shelf):
    """They are read from the database in pages of 500."""
    path = shelf.add("a.flac")
    seen = shelf.register.at(str(path))
    for number in range(1100):
        shelf.register.put(replace(seen, path=f"{shelf.root}/{number:04}.flac", root=None, audio=""))
    assert len(list(shelf.register.every())) == 1101
    found = shelf.verify()
    assert [each.state for each in found.values()].count("missing") == 1100
