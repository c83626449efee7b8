"""Scanning: what is offered, what is passed over, and that nothing is read twice."""

import asyncio
import os
import shutil
import uuid
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import soundfile
from music_files import FORMATS, tag, write_music
from mutagen.apev2 import APEv2
from overlay_world import RawClient, hold, serving

from reconciler.clock import SystemClock
from reconciler.ids import Mbid
from reconciler.library.audio_name import audio_name
from reconciler.library.identity import TaggedIds, tagged_ids
from reconciler.library.index import LibraryIndex
from reconciler.library.register import Register
from reconciler.library.scan import Scan
from reconciler.overlay.filehash import hash_file
from reconciler.overlay.merkle import FILE_BYTES_MAX
from reconciler.overlay.messages import blob_target
from reconciler.state.database import Database


def mbid(number):
    """A MusicBrainz identifier."""
    return Mbid(str(uuid.UUID(int=number)))


class Library:
    """A library folder, and scans of it that count what they hash."""

    def __init__(self, folder, database):
        self.root, self.state = folder / "music", folder / "state"
        self.root.mkdir()
        self.index, self.register = LibraryIndex(database), Register(database)
        self.hashed = []

    def add(self, name, **about):
        """Write a tagged file."""
        return write_music(self.root / name, **about)

    def looks(self, **options):
        """One scan, as it goes."""

        def hashing(fd, size):
            self.hashed.append(Path(f"/proc/self/fd/{fd}").readlink().name)
            return hash_file(fd, size)

        scan = Scan(index=self.index, register=self.register, hash_file=hashing, clock=SystemClock(), **options)
        return scan.run([self.root], never=(self.state,))

    def scan(self, **options):
        """What one whole scan said, by file name."""
        self.hashed.clear()
        return {Path(each.path).name: each for each in self.looks(**options)}


@pytest.fixture
def database(tmp_path):
    """A state database of its own."""
    database = Database.open(tmp_path / "state" / "reconciler.db")
    yield database
    database.close()


@pytest.fixture
def library(tmp_path, database):
    """An empty library."""
    return Library(tmp_path, database)


@pytest.mark.parametrize("extension", FORMATS)
def test_the_ids_that_picard_writes_are_read(tmp_path, extension):
    """Each format keeps recording and release in places of its own."""
    path = write_music(tmp_path / f"x.{extension}", title="Song")
    assert tagged_ids(path) == TaggedIds()
    tag(path, recording=mbid(1).upper(), release=mbid(2))
    assert tagged_ids(path) == TaggedIds(recording=mbid(1), release=mbid(2))


@pytest.mark.parametrize(
    "value", ["", "4:02", ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "b" * 36], [str(mbid(1)), str(mbid(2))]]
)
def test_what_is_no_id_or_several_is_none(tmp_path, value):
    """A file that names two recordings is offered as neither."""
    path = write_music(tmp_path / "x.flac")
    tag(path, recording=value)
    assert tagged_ids(path).recording is None


@pytest.mark.parametrize("extension", FORMATS)
def test_the_audio_has_the_same_name_under_other_tags(tmp_path, extension):
    """Titles of any length move the audio and do not change it; one other byte of audio does."""
    path = write_music(tmp_path / f"x.{extension}", title="Song")
    name = audio_name(path, extension)
    assert name
    tag(path, title="Another " * 3000, recording=mbid(1))
    assert audio_name(path, extension) == name
    other = write_music(tmp_path / f"y.{extension}", title="Song", seed=2)
    assert audio_name(other, extension) != name


def test_an_ape_tag_at_the_end_of_an_mp3_is_a_tag(tmp_path):
    """Players write them behind everything else, before an ID3v1 tag or without one."""
    path = write_music(tmp_path / "x.mp3")
    name = audio_name(path, "mp3")
    tags = APEv2()
    tags["REPLAYGAIN_TRACK_GAIN"] = "-3.0 dB"
    tags.save(path)
    assert audio_name(path, "mp3") == name


def test_tagged_files_are_offered_and_others_are_told_of(library):
    """The index has what says its recording; what does not, and what is damaged, has a reason."""
    good = library.add("A/good.flac", recording=mbid(1), release=mbid(9))
    library.add("A/song.mp3", recording=mbid(2))
    library.add("A/untagged.flac", seed=3)
    broken = library.add("B/broken.flac", recording=mbid(4), seed=4)
    data = bytearray(broken.read_bytes())
    data[len(data) // 2] ^= 1
    broken.write_bytes(data)
    (library.root / "B" / "notes.txt").write_text("not looked at")
    said = library.scan()
    assert {name: each.outcome for name, each in said.items()} == {
        "good.flac": "offered",
        "song.mp3": "offered",
        "untagged.flac": "untagged",
        "broken.flac": "broken",
    }
    assert "can be decoded for about" in said["broken.flac"].reason
    assert "no MusicBrainz recording" in said["untagged.flac"].reason
    (holding,) = library.index.by_recording(mbid(1))
    assert (holding.path, holding.codec, holding.lossless) == (str(good), "FLAC", True)
    assert library.register.at(str(good)).release == mbid(9)
    assert [each.codec for each in library.index.by_recording(mbid(2))] == ["MP3"]
    assert library.index.by_recording(mbid(4)) == ()


def test_what_is_offered_can_be_had(library):
    """An overlay server over the same index sends exactly the bytes of a scanned file."""
    good = library.add("good.flac", recording=mbid(1))
    library.scan()
    (holding,) = library.index.by_recording(mbid(1))

    async def fetched():
        async with serving(library.index) as port, RawClient.connect(port) as client:
            return await client.get(blob_target(holding.root))

    assert asyncio.run(fetched()).body == good.read_bytes()


def test_an_unchanged_file_is_not_read_again(library):
    """Size, time and inode say so; what was said of it before still stands."""
    library.add("good.flac", recording=mbid(1))
    library.add("untagged.flac", seed=2)
    library.scan()
    again = library.scan()
    assert library.hashed == []
    assert all(each.unchanged for each in again.values())
    assert again["untagged.flac"].reason
    os.utime(library.root / "good.flac", ns=(0, 1))
    assert not library.scan()["good.flac"].unchanged
    assert library.hashed == ["good.flac"]


def test_a_stopped_scan_goes_on_where_it_was(library):
    """Each file is recorded as soon as it was read."""
    for number in range(4):
        library.add(f"{number}.flac", recording=mbid(number + 1), seed=number)
    list(islice(library.looks(), 2))
    said = library.scan()
    assert library.hashed == ["2.flac", "3.flac"]
    assert [each.unchanged for each in said.values()] == [True, True, False, False]


def test_links_hidden_files_and_the_state_folder_are_passed_over(library, tmp_path):
    """Nothing outside the roots is offered, nor an album that is being put together, nor what is in quarantine."""
    outside = tmp_path / "outside"
    write_music(outside / "x.flac", recording=mbid(1))
    library.add(".hidden/x.flac", recording=mbid(2))
    library.add(".x.flac", recording=mbid(3))
    library.state = library.root / "state"
    library.add("state/quarantine/x.flac", recording=mbid(4))
    (library.root / "folder").symlink_to(outside)
    (library.root / "file.flac").symlink_to(outside / "x.flac")
    os.mkfifo(library.root / "pipe.flac")
    assert library.scan() == {}


def test_a_moved_file_takes_its_record_with_it(library):
    """The same bytes elsewhere are the same file, and what is gone is not offered from its old place."""
    old = library.add("old.flac", recording=mbid(1))
    library.scan()
    new = old.rename(library.root / "new.flac")
    assert library.scan()["new.flac"].moved_from == str(old)
    assert library.register.at(str(old)) is None
    (holding,) = library.index.by_recording(mbid(1))
    assert holding.path == str(new)


def test_a_file_that_lost_its_tags_or_its_health_is_not_offered_any_more(library):
    """What was offered of a path is dropped when something else stands there."""
    one, other = library.add("one.flac", recording=mbid(1)), library.add("other.flac", recording=mbid(2), seed=2)
    library.scan()
    write_music(one, seed=3)
    other.write_bytes(b"nothing")
    said = library.scan()
    assert [said[name].outcome for name in ("one.flac", "other.flac")] == ["untagged", "broken"]
    assert library.index.by_recording(mbid(1)) == library.index.by_recording(mbid(2)) == ()


def test_a_copy_takes_over_when_the_one_that_was_offered_is_gone(library):
    """Two copies are one offer; it is made anew from the other."""
    first = library.add("a.flac", recording=mbid(1))
    shutil.copy(first, library.root / "b.flac")
    library.scan()
    (held,) = library.index.by_recording(mbid(1))
    Path(held.path).unlink()
    with pytest.raises(Exception, match="cannot be opened any more"):
        library.index.open(held.root)
    library.scan()
    (again,) = library.index.by_recording(mbid(1))
    assert again.path != held.path


@pytest.mark.parametrize("private_first", [True, False])
def test_of_two_copies_the_one_that_may_be_shared_is_offered(library, database, private_first):
    """Whichever was scanned first; and neither is read again."""
    names = ("a/x.flac", "b/x.flac") if private_first else ("b/x.flac", "a/x.flac")
    private, public = (library.add(name, recording=mbid(1)) for name in names)
    library.index = LibraryIndex(database, shared={str(private.parent): False})
    library.scan()
    assert [each.path for each in library.index.by_recording(mbid(1))] == [str(public)]
    library.scan()
    assert library.hashed == []


def test_a_published_file_keeps_the_recording_that_it_was_fetched_as(library):
    """It is in the index with its hashes: it is not hashed again, and needs no tags to stay offered."""
    path = library.add("untagged.flac")
    hold(library.index, path, path.read_bytes(), recording=mbid(1))
    assert library.scan()["untagged.flac"].outcome == "offered"
    assert library.hashed == []
    path.rename(library.root / "moved.flac")
    assert library.scan()["moved.flac"].outcome == "offered"
    assert library.hashed == ["moved.flac"]


def test_a_disk_under_another_number_is_not_read_again(library, database):
    """ZFS, btrfs, NFS and USB disks have a new one after each start."""
    library.add("a.flac", recording=mbid(1))
    library.add("b.flac")
    library.scan()
    for table in ("library_files", "holdings"):
        database.write(lambda connection, t=table: connection.execute(f"UPDATE {t} SET device = device + 1")).result()
    said = library.scan()
    assert library.hashed == []
    assert {name: (each.outcome, each.unchanged) for name, each in said.items()} == {
        "a.flac": ("offered", True),
        "b.flac": ("untagged", True),
    }


def test_a_disk_that_goes_away_while_what_is_gone_is_forgotten_loses_nothing(library):
    """What was gone before is forgotten; what is gone with the disk is not."""
    for name in ("a.flac", "b.flac", "c.flac"):
        library.add(name)
    library.scan()
    (library.root / "a.flac").unlink()
    forgetting = Scan(
        index=library.index, register=library.register, hash_file=hash_file, clock=SystemClock()
    ).forget_gone([library.root])
    assert Path(next(forgetting)).name == "a.flac"
    library.root.rename(library.root.with_name("disk"))
    (library.root / ".reconciler-parts").mkdir(parents=True)
    assert list(forgetting) == []
    assert [Path(each.path).name for each in library.register.every()] == ["b.flac", "c.flac"]


def test_a_file_too_large_for_hashes_is_told_and_the_rest_goes_on(library):
    """An image of a disk that is called like audio, say: it takes no room here."""
    library.add("z.flac", recording=mbid(1))
    soundfile.write(library.root / "large.wav", np.zeros((100, 2)), 44_100)
    os.truncate(library.root / "large.wav", FILE_BYTES_MAX + 1)
    said = library.scan()
    assert (said["large.wav"].outcome, said["large.wav"].reason) == ("unreadable", "it is too large to be offered")
    assert said["z.flac"].outcome == "offered"


def test_a_quick_scan_reads_headers_only(library):
    """Damage in the audio is not noticed; what is no audio still is."""
    broken = library.add("broken.flac", recording=mbid(1))
    broken.write_bytes(broken.read_bytes()[:-30_000])
    library.add("none.flac").write_bytes(b"nothing")
    said = library.scan(whole=False)
    assert (said["broken.flac"].outcome, said["none.flac"].outcome) == ("offered", "broken")


def test_what_cannot_be_read_is_told_and_the_rest_goes_on(library):
    """A root that is not there, and a file whose name is not Unicode."""
    library.add("good.flac", recording=mbid(1))
    odd = os.fsencode(library.root / "good.flac")
    shutil.copy(odd, odd.replace(b"good", b"\xff"))
    said = list(library.looks())
    assert sorted(each.outcome for each in said) == ["offered", "unreadable"]
    shutil.rmtree(library.root)
    (gone,) = library.looks()
    assert gone.outcome == "unreadable"
    assert "mount the disk" in gone.reason
