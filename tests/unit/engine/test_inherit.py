"""What a twin has left, taken over on a real disk."""

import hashlib
import os
from dataclasses import replace

import pytest
from file_server import chunk_hashes, root_of_bytes
from overlay_world import content

from reconciler.engine.inherit import take_over
from reconciler.engine.partfile import PartName, PartStore
from reconciler.engine.twins import Legacy, Place
from reconciler.ids import JobId, Sha256, TrackPosition
from reconciler.overlay.merkle import chunk_count, chunk_hash, chunk_size
from reconciler.sources.base import Variant

SIZE = 1_200_000
DATA = content(SIZE)
CHUNK = chunk_size(SIZE)
ROOTED = Variant(root=root_of_bytes(DATA), size=SIZE)


class Rig:
    """A store, a library, and the names of two jobs' parts."""

    def __init__(self, folder):
        self.root = folder / "library"
        self.root.mkdir()
        self.parts = PartStore(parts=folder / "parts", quarantine=folder / "quarantine")
        self.published = self.root / "a.bin"
        self.old, self.new = self.name("A"), self.name("B")

    def name(self, job, variant=ROOTED):
        return PartName(job_id=JobId(job), position=TrackPosition(1), part_id=variant.id)

    def place(self, name):
        return Place(
            job_id=name.job_id,
            position=name.position,
            part_id=name.part_id,
            allowed_root=str(self.root),
            number=1,
        )

    def fill(self, name, chunks, *, data=DATA):
        """Make a part that has these chunks."""
        path, _ = self.parts.open(name, allowed_root=self.root, variant_id=name.part_id, size=SIZE)
        kept = []
        with path.open("r+b") as part:
            for chunk in chunks:
                part.seek(chunk * CHUNK)
                part.write(data[chunk * CHUNK : (chunk + 1) * CHUNK])
                kept.append((chunk, chunk_hash(DATA[chunk * CHUNK : (chunk + 1) * CHUNK], file_size=SIZE)))
        self.parts.begin_journal(name, allowed_root=self.root, size=SIZE, kept=tuple(kept))
        return path

    def take(self, legacy, *, variant=ROOTED, name=None):
        """What is in the new part then, by chunk."""
        kept = take_over(legacy, self.parts, name or self.new, allowed_root=self.root, variant=variant)
        return None if kept is None else dict(kept)

    def path(self, name):
        return self.parts.path_of(name, self.root)


@pytest.fixture
def rig(tmp_path):
    return Rig(tmp_path)


def everything():
    return dict(enumerate(chunk_hashes(DATA)))


@pytest.mark.parametrize(
    "variant", [ROOTED, Variant(root=None, sha256=Sha256(hashlib.sha256(DATA).hexdigest()), size=SIZE)]
)
def test_a_published_file_is_copied_whole(rig, variant):
    """Another file with the same bytes, hashed, with a journal that says so; the first is as it was."""
    rig.published.write_bytes(DATA)
    name = rig.name("B", variant)
    assert rig.take(Legacy(published=str(rig.published)), variant=variant, name=name) == everything()
    path = rig.path(name)
    assert path.read_bytes() == rig.published.read_bytes() == DATA
    assert path.stat().st_ino != rig.published.stat().st_ino
    assert rig.published.stat().st_nlink == 1
    _, kept = rig.parts.open(name, allowed_root=rig.root, variant_id=name.part_id, size=SIZE)
    assert dict(kept) == everything()
    assert sorted(each.suffix for each in path.parent.iterdir()) == [".journal", ".part"]


def test_a_file_that_was_edited_since_is_not_taken(rig):
    """Its size is right and its bytes are not: the part is as it was."""
    path = rig.fill(rig.new, [0])
    before = path.read_bytes()
    rig.published.write_bytes(DATA[:-1] + b"!")
    assert rig.take(Legacy(published=str(rig.published))) is None
    assert path.read_bytes() == before
    assert sorted(each.suffix for each in path.parent.iterdir()) == [".journal", ".part"]


@pytest.mark.parametrize("make", ["nothing", "short", "link", "folder", "fifo"])
def test_what_is_no_such_file_is_not_taken(rig, make):
    """It may have been moved, cut, or replaced by anything."""
    match make:
        case "short":
            rig.published.write_bytes(DATA[:-1])
        case "link":
            (rig.root / "b.bin").write_bytes(DATA)
            rig.published.symlink_to(rig.root / "b.bin")
        case "folder":
            rig.published.mkdir()
        case "fifo":
            os.mkfifo(rig.published)
    assert rig.take(Legacy(published=str(rig.published))) is None


def test_a_whole_part_is_copied_and_stays(rig):
    """It waits for the rest of its album."""
    path = rig.fill(rig.old, range(chunk_count(SIZE)))
    assert rig.take(Legacy(whole=rig.place(rig.old))) == everything()
    assert path.read_bytes() == rig.path(rig.new).read_bytes() == DATA


def test_a_disk_that_refuses_the_twins_bytes_is_no_trouble_of_ours(rig):
    """Its library is not mounted any more: nothing is taken, and the part is filled otherwise."""
    gone = replace(rig.place(rig.old), allowed_root=str(rig.root / "gone"))
    assert rig.take(Legacy(parts=(gone,))) is None
    assert rig.take(Legacy(whole=gone)) is None


def test_an_unfinished_part_is_taken_over_with_its_chunks(rig):
    """It has another name then; the first job has none."""
    rig.fill(rig.old, [0, 2])
    taken = rig.take(Legacy(parts=(rig.place(rig.old),)))
    assert taken == {0: everything()[0], 2: everything()[2]}
    assert not rig.path(rig.old).exists()
    _, kept = rig.parts.open(rig.new, allowed_root=rig.root, variant_id=rig.new.part_id, size=SIZE)
    assert [chunk for chunk, _ in kept] == [0, 2]


def test_a_chunk_that_the_journal_only_claims_is_not_taken_over(rig):
    """Each is hashed on the way."""
    rig.fill(rig.old, [0, 1], data=DATA[:CHUNK] + bytes(SIZE))
    assert rig.take(Legacy(parts=(rig.place(rig.old),))) == {0: everything()[0]}


def test_the_part_with_more_chunks_is_kept(rig):
    """An earlier run of our own may have come further."""
    rig.fill(rig.old, [0])
    rig.fill(rig.new, [1, 2, 3])
    assert set(rig.take(Legacy(parts=(rig.place(rig.old),)))) == {1, 2, 3}
    assert rig.path(rig.old).exists()


def test_the_newest_part_that_is_there_is_taken(rig):
    """A leader that never opened one has left none."""
    rig.fill(rig.old, range(chunk_count(SIZE)))
    never = rig.place(rig.name("C"))
    assert rig.take(Legacy(parts=(never, rig.place(rig.old)))) == everything()
    assert rig.take(Legacy(parts=(never,))) is None


def test_our_own_part_is_not_taken_from_ourselves(rig):
    """It is resumed as any part is."""
    rig.fill(rig.new, [0])
    assert rig.take(Legacy(parts=(rig.place(rig.new),))) is None
    assert rig.path(rig.new).exists()


def test_a_part_known_by_another_name_of_the_same_bytes_is_taken(rig):
    """The first job knew the SHA-256 alone, the second the root."""
    by_sha256 = rig.name("A", Variant(root=None, sha256=Sha256("c" * 64), size=SIZE))
    rig.fill(by_sha256, [3])
    assert set(rig.take(Legacy(parts=(rig.place(by_sha256),)))) == {3}
