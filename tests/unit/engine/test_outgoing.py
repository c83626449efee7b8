"""Tagged copies on their way into the library: what is there, what is recorded, and what a crash leaves."""

import hashlib
import io
import os
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import soundfile
from file_server import chunk_hashes, root_of_bytes
from mutagen.flac import FLAC

from reconciler.clock import SystemClock
from reconciler.engine import disk as disk_module
from reconciler.engine import outgoing as outgoing_module
from reconciler.engine.disk import JobDisk, Shelves
from reconciler.engine.events import (
    DiskRefused,
    OpenPart,
    PartOpened,
    Publish,
    PublishAlbum,
    Published,
    VerifyWhole,
)
from reconciler.engine.inherit import take_over
from reconciler.engine.order import CoverWish, JobOrder, TrackOrder
from reconciler.engine.outgoing import copy_of
from reconciler.engine.partfile import PartName, PartStore
from reconciler.engine.runner import EventStamp
from reconciler.engine.twins import Legacy
from reconciler.ids import ChunkIndex, JobId, Mbid, TrackPosition
from reconciler.library import album as album_module
from reconciler.library.index import LibraryIndex
from reconciler.library.tag_map import TrackTags
from reconciler.manifests.model import Constraints, JobType
from reconciler.musicbrainz.cover import cover_of
from reconciler.overlay.merkle import chunk_hash, chunk_size
from reconciler.sources.base import Variant, Want
from reconciler.state.database import Database
from reconciler.state.jobs import JobRecord, JobStore
from reconciler.state.peers import PeerStore
from reconciler.traces.model import EventType
from reconciler.traces.reading import TraceReader
from reconciler.traces.store import TraceStore

JOB = JobId("01HRQ4GSX9K47J7M5FK7VW8B12")
RECORDING = Mbid("e2f5e9b4-5852-4cd3-b1f9-29a7a4a234bc")
RELEASE = Mbid("c0d0c0a4-4a26-4d74-9c02-67c9321b3b22")
TAGS = TrackTags(title="T", artist="A", album="B", albumartist="A", track=1, disc=1, discs=1, recording_id=RECORDING)


@cache
def song(seed):
    """A second of noise as FLAC: 200 KB."""
    samples = np.random.default_rng(seed).uniform(-0.5, 0.5, (44_100, 2))
    file = io.BytesIO()
    soundfile.write(file, samples, 44_100, format="FLAC", subtype="PCM_16")
    return file.getvalue()


class Shelf:
    """A library, parts and a database, for one job after another."""

    def __init__(self, folder):
        self.asked = []
        self.library = folder / "library"
        self.library.mkdir()
        self.parts_folder = folder / "parts"
        self.database = Database.open(folder / "state" / "reconciler.db")
        self.index, self.jobs = LibraryIndex(self.database), JobStore(self.database)
        self.traces = TraceStore(self.database, folder / "logs")
        self.parts = PartStore(parts=self.parts_folder, quarantine=folder / "quarantine")
        self.jobs.put(JobRecord(job_id=JOB, path="a.yml", job_type=JobType.MB_RELEASE, spec_digest="sha256:1"))

    def disk(self, *tags, album=None, cover=None, found=(None, "none: the archive has none")):
        """The disk work of the job, in a process that has just begun."""

        def find(release, group):
            self.asked.append((release, group))
            return found

        tracks = tuple(
            TrackOrder(
                want=Want(position=TrackPosition(number), recording=RECORDING),
                title="T",
                stem=f"A/B/0{number} T",
                tags=each,
            )
            for number, each in enumerate(tags, start=1)
        )
        order = JobOrder(
            job_id=JOB,
            generation=1,
            target_dir=str(self.library),
            allowed_root=str(self.library),
            constraints=Constraints(),
            tracks=tracks,
            album=album,
            cover=cover,
        )
        shelves = Shelves(
            parts=self.parts,
            index=self.index,
            jobs=self.jobs,
            peers=PeerStore(self.database),
            flush_traces=self.traces.flush_job,
            clock=SystemClock(),
            find_cover=find,
        )
        stamp = EventStamp(job_id=JOB, clock=SystemClock(), entropy=os.urandom)
        return JobDisk(order, shelves, stamp=stamp)

    def fetched(self, disk, data, position=1):
        """Open the part of a track and fill it, if it is not there or not whole; gives the answer and what is next."""
        variant = Variant(root=root_of_bytes(data), claim=None, size=len(data), codec="FLAC", container="flac")
        opened = disk.open(
            OpenPart(position=TrackPosition(position), variant=variant, part_id=variant.id, legacy=Legacy())
        )
        if isinstance(opened, PartOpened):
            name = PartName(job_id=JOB, position=TrackPosition(position), part_id=variant.id)
            self.parts.path_of(name, self.library).write_bytes(data)
            size = chunk_size(len(data))
            pieces = [data[at : at + size] for at in range(0, len(data), size)]
            kept = tuple((ChunkIndex(n), chunk_hash(each, file_size=len(data))) for n, each in enumerate(pieces))
            self.parts.begin_journal(name, allowed_root=self.library, size=len(data), kept=kept)
        publish = Publish(
            position=TrackPosition(position),
            variant=variant,
            part_id=variant.id,
            root=root_of_bytes(data),
            chunk_hashes=tuple(chunk_hashes(data)),
            sha256=hashlib.sha256(data).hexdigest(),
        )
        return opened, publish

    def files(self):
        """Every file of the library, hidden ones too."""
        return sorted(str(path.relative_to(self.library)) for path in self.library.rglob("*") if path.is_file())


@pytest.fixture
def shelf(memory_folder):
    made = Shelf(memory_folder)
    yield made
    made.database.close()


def check(shelf, data, *, position=1, name="A/B/01 T.flac"):
    """The tagged file has its name, is offered as what it is, and is recorded as what was fetched."""
    path = shelf.library / name
    there = path.read_bytes()
    assert FLAC(path)["musicbrainz_trackid"] == [RECORDING]
    assert there != data
    holding = shelf.index.by_root(root_of_bytes(there))
    assert (holding.path, holding.size) == (str(path), len(there))
    assert holding.chunk_hashes == b"".join(chunk_hashes(there))
    assert shelf.index.by_root(root_of_bytes(data)) is None
    (artifact,) = [each for each in shelf.jobs.artifacts(JOB, 1) if each.position == position]
    assert (artifact.root, artifact.size, artifact.path) == (root_of_bytes(data), len(data), str(path))
    assert artifact.sha256 == hashlib.sha256(data).hexdigest()


def facts(shelf):
    """What the trace says of the completed tracks."""
    shelf.traces.flush()
    return [
        event.metadata for event in TraceReader(shelf.database).events(JOB) if event.type is EventType.TRACK_COMPLETE
    ]


def test_a_library_that_is_gone_is_a_refusal_of_the_disk(shelf):
    """Whole and about to be verified: the job is held, and no program error ends it."""
    disk = shelf.disk(TAGS)
    _, publish = shelf.fetched(disk, song(1))
    shelf.library.rename(shelf.library.with_name("elsewhere"))
    part = VerifyWhole(position=publish.position, variant=publish.variant, part_id=publish.part_id, digests=None)
    refusal = disk.verify(part)
    assert isinstance(refusal, DiskRefused)
    assert str(shelf.library) in refusal.message


def test_a_tagged_copy_is_published_in_place_of_the_part(shelf):
    """Offered under its own root, recorded under that of what was fetched; nothing else is left."""
    data = song(1)
    disk = shelf.disk(TAGS)
    _, publish = shelf.fetched(disk, data)
    published = disk.publish(publish)
    assert isinstance(published, Published)
    assert published.how == "published"
    check(shelf, data)
    assert [each["tags"] for each in facts(shelf)] == ["written"]
    assert list(shelf.parts_folder.iterdir()) == []


def test_without_tags_nothing_is_changed(shelf):
    """The bytes are those that were fetched, and offered as such."""
    data = song(1)
    disk = shelf.disk(None)
    _, publish = shelf.fetched(disk, data)
    disk.publish(publish)
    assert (shelf.library / "A/B/01 T.flac").read_bytes() == data
    assert shelf.index.by_root(root_of_bytes(data)) is not None
    assert "tags" not in facts(shelf)[0]


def test_what_cannot_be_tagged_is_published_as_it_came(shelf):
    """And the trace says why."""
    data = b"no audio" * 100_000
    disk = shelf.disk(TAGS)
    _, publish = shelf.fetched(disk, data)
    assert isinstance(disk.publish(publish), Published)
    assert (shelf.library / "A/B/01 T.flac").read_bytes() == data
    assert facts(shelf)[0]["tags"] == "not written: it is no audio"
    assert shelf.index.by_root(root_of_bytes(data)) is not None


def test_an_album_appears_with_its_tags(shelf):
    """All at once, each with its own."""
    one, two = song(1), song(2)
    disk = shelf.disk(TAGS, replace(TAGS, track=2), album="A/B")
    commands = [shelf.fetched(disk, data, position)[1] for position, data in ((1, one), (2, two))]
    answers = disk.publish_album(PublishAlbum(files=tuple(commands)))
    assert [type(answer) for answer in answers] == [Published, Published]
    check(shelf, one)
    check(shelf, two, position=2, name="A/B/02 T.flac")
    assert FLAC(shelf.library / "A/B/02 T.flac")["tracknumber"] == ["2"]
    assert shelf.files() == ["A/B/01 T.flac", "A/B/02 T.flac"]
    assert list(shelf.parts_folder.iterdir()) == []


class Dead(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("album", [None, "A/B"])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", ["tagged_copy", "add_tagged", "place", "add", "record_artifact"])
def test_a_death_at_any_step_leaves_old_or_new_and_is_made_good(shelf, monkeypatch, step, after, album):
    """The next process ends with the one tagged file under its name, and one record."""
    data = song(1)
    owner = {
        "tagged_copy": outgoing_module,
        "place": disk_module if album is None else album_module,
    }.get(step) or {"add_tagged": shelf.index, "add": shelf.index, "record_artifact": shelf.jobs}[step]
    real = getattr(owner, step)

    def dying(*arguments, **named):
        if after:
            real(*arguments, **named)
        raise Dead

    disk = shelf.disk(TAGS, album=album)
    _, publish = shelf.fetched(disk, data)
    with monkeypatch.context() as patched:
        patched.setattr(owner, step, dying)
        with pytest.raises(Dead):
            _publish(disk, publish, album)
    visible = [name for name in shelf.files() if not name.startswith(("A/.", "."))]
    for name in visible:
        assert FLAC(shelf.library / name)["title"] == ["T"]
    disk = shelf.disk(TAGS, album=album)
    opened, publish = shelf.fetched(disk, data)
    if isinstance(opened, PartOpened):
        assert len(opened.kept) == len(publish.chunk_hashes), "something would be fetched again"
        assert isinstance(_publish(disk, publish, album), Published)
    else:
        assert opened.how == "adopted"
    check(shelf, data)
    assert shelf.files() == ["A/B/01 T.flac"]
    assert list(shelf.parts_folder.iterdir()) == []
    assert len(facts(shelf)) == 1


def _publish(disk, publish, album):
    if album is None:
        return disk.publish(publish)
    (answer,) = disk.publish_album(PublishAlbum(files=(publish,)))
    return answer


def test_an_untagged_file_of_before_is_kept_and_offered_as_what_it_is(shelf):
    """Tags were turned on since: the same bytes under the name are not written a second time."""
    data = song(1)
    path = shelf.library / "A/B/01 T.flac"
    path.parent.mkdir(parents=True)
    disk = shelf.disk(TAGS)
    _, publish = shelf.fetched(disk, data)
    path.write_bytes(data)
    assert disk.publish(publish).how == "adopted"
    assert path.read_bytes() == data
    assert shelf.index.by_root(root_of_bytes(data)).path == str(path)
    assert "tags" not in facts(shelf)[0]


def test_another_file_of_the_same_name_is_not_taken_for_it(shelf):
    """It keeps its name, and ours gets a number."""
    data = song(1)
    path = shelf.library / "A/B/01 T.flac"
    path.parent.mkdir(parents=True)
    path.write_bytes(song(2))
    disk = shelf.disk(TAGS)
    _, publish = shelf.fetched(disk, data)
    assert disk.publish(publish).how == "renamed"
    check(shelf, data, name="A/B/01 T (2).flac")


def test_a_twin_does_not_take_the_tagged_file_for_its_bytes(shelf):
    """It wants what was fetched; that is not there any more, and it fetches for itself."""
    data = song(1)
    disk = shelf.disk(TAGS)
    _, publish = shelf.fetched(disk, data)
    published = disk.publish(publish)
    other = PartName(job_id=JobId("01HRQ4GSX9K47J7M5FK7VW8B13"), position=TrackPosition(1), part_id=publish.part_id)
    legacy = Legacy(published=published.path)
    assert take_over(legacy, shelf.parts, other, allowed_root=shelf.library, variant=publish.variant) is None


def test_a_full_disk_leaves_no_copy(shelf, monkeypatch):
    """The part is kept, and the next try makes the copy anew."""
    data = song(1)
    disk = shelf.disk(TAGS)
    _, publish = shelf.fetched(disk, data)
    with monkeypatch.context() as patched:
        patched.setattr(disk_module, "place", lambda *a, **n: (_ for _ in ()).throw(OSError(28, "No space left")))
        refused = disk.publish(publish)
    assert isinstance(refused, DiskRefused)
    assert refused.trouble == "full"
    (part,) = shelf.parts_folder.glob("*.part")
    assert not copy_of(part).exists()
    assert isinstance(disk.publish(publish), Published)
    check(shelf, data)


COVER = cover_of(b"\xff\xd8\xff" + bytes(1000))
BESIDE = CoverWish(where="file", folder="A/B", release=RELEASE, group=None)


@pytest.mark.parametrize("album", [None, "A/B"])
@pytest.mark.parametrize("there", [False, True])
def test_a_cover_lies_beside_the_tracks(shelf, album, there):
    """In a new folder and in one that was there before; the archive is asked once."""
    if there:
        (shelf.library / "A/B").mkdir(parents=True)
    disk = shelf.disk(None, None, album=album, cover=BESIDE, found=(COVER, ""))
    commands = [shelf.fetched(disk, song(position), position)[1] for position in (1, 2)]
    if album is None:
        answers = [disk.publish(command) for command in commands]
    else:
        answers = disk.publish_album(PublishAlbum(files=tuple(commands)))
    assert [type(answer) for answer in answers] == [Published, Published]
    assert shelf.files() == ["A/B/01 T.flac", "A/B/02 T.flac", "A/B/cover.jpg"]
    assert (shelf.library / "A/B/cover.jpg").read_bytes() == COVER.data
    assert shelf.asked == [(RELEASE, None)]
    assert list(shelf.parts_folder.iterdir()) == []
    assert facts(shelf)[-1]["cover"] == "found"


def test_a_cover_that_is_there_stays(shelf):
    """Somebody chose it."""
    path = shelf.library / "A/B/cover.jpg"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"mine")
    disk = shelf.disk(None, cover=BESIDE, found=(COVER, ""))
    disk.publish(shelf.fetched(disk, song(1))[1])
    assert path.read_bytes() == b"mine"
    assert shelf.files() == ["A/B/01 T.flac", "A/B/cover.jpg"]


def test_an_album_without_a_cover_is_an_album(shelf):
    """The trace says why there is none."""
    disk = shelf.disk(TAGS, album="A/B", cover=BESIDE)
    (answer,) = disk.publish_album(PublishAlbum(files=(shelf.fetched(disk, song(1))[1],)))
    assert isinstance(answer, Published)
    assert shelf.files() == ["A/B/01 T.flac"]
    assert facts(shelf)[0]["cover"] == "none: the archive has none"


def test_a_cover_goes_into_each_file(shelf):
    """Of an album, once asked for."""
    disk = shelf.disk(TAGS, TAGS, album="A/B", cover=replace(BESIDE, where="embed"), found=(COVER, ""))
    commands = [shelf.fetched(disk, song(position), position)[1] for position in (1, 2)]
    disk.publish_album(PublishAlbum(files=tuple(commands)))
    for name in shelf.files():
        assert FLAC(shelf.library / name).pictures[0].data == COVER.data
    assert shelf.asked == [(RELEASE, None)]
