"""Part files on a real disk: what is kept, what is not, and what closing promises."""

import threading

import pytest

from reconciler.engine.partfile import PartName, PartStore
from reconciler.engine.partwriter import PartWriter
from reconciler.engine.reread import differing
from reconciler.errors import DiskError
from reconciler.ids import ChunkIndex, JobId, TrackPosition
from reconciler.overlay.merkle import chunk_hash, chunk_size

SIZE = 700_000
CHUNK = chunk_size(SIZE)
DATA = bytes(range(256)) * (SIZE // 256) + b"tail" * 24
DATA = (DATA * 2)[:SIZE]
NAME = PartName(job_id=JobId("01HRQ4GSX9K47J7M5FK7VW8B12"), position=TrackPosition(3), part_id="a root")


@pytest.fixture
def store(tmp_path):
    (tmp_path / "music").mkdir()
    return PartStore(parts=tmp_path / "state" / "parts", quarantine=tmp_path / "state" / "quarantine")


def chunk_of(index):
    return memoryview(DATA)[index * CHUNK : min((index + 1) * CHUNK, SIZE)]


def digest_of(index):
    return chunk_hash(chunk_of(index), file_size=SIZE)


def put(path, *indexes):
    writer = PartWriter(str(path), chunk_bytes=CHUNK)
    for index in indexes:
        assert writer.write_chunk(ChunkIndex(index), chunk_of(index), digest_of(index), verified=True)
    writer.close()
    return writer


def reopen(store, tmp_path, variant="v1", size=SIZE):
    return store.open(NAME, allowed_root=tmp_path / "music", variant_id=variant, size=size)


def test_a_new_part_is_reserved_and_empty(store, tmp_path):
    """The whole size is there from the start; no chunk is."""
    path, kept = reopen(store, tmp_path)
    assert (path.stat().st_size, kept) == (SIZE, ())


def test_written_chunks_are_kept_over_a_restart(store, tmp_path):
    """What was written and journaled is found again, with its hash."""
    path, _ = reopen(store, tmp_path)
    put(path, 2, 0)
    _, kept = reopen(store, tmp_path)
    assert kept == tuple((ChunkIndex(n), digest_of(n)) for n in (0, 2))
    assert path.read_bytes()[:CHUNK] == DATA[:CHUNK]


def test_a_chunk_that_changed_on_disk_is_not_kept(store, tmp_path):
    """The journal is only a hint."""
    path, _ = reopen(store, tmp_path)
    put(path, 0, 1)
    with path.open("r+b") as part:
        part.seek(CHUNK + 5)
        part.write(b"?")
    _, kept = reopen(store, tmp_path)
    assert [chunk for chunk, _ in kept] == [0]


@pytest.mark.parametrize(
    "tail",
    [b"1 ab", b"1 " + b"0" * 64, b"99999999 " + b"0" * 64 + b"\n", b"\xff\xfe\n", b"77 " + b"0" * 64 + b"\n", b"\n\n"],
)
def test_a_torn_or_foreign_journal_line_costs_nothing(store, tmp_path, tail):
    """A line that is not whole, or names a chunk that cannot be, is passed over."""
    path, _ = reopen(store, tmp_path)
    put(path, 0)
    with path.with_suffix(".journal").open("ab") as journal:
        journal.write(tail)
    _, kept = reopen(store, tmp_path)
    assert [chunk for chunk, _ in kept] == [0]


@pytest.mark.parametrize(("variant", "size"), [("v2", SIZE), ("v1", SIZE - 1)])
def test_a_part_of_another_variant_is_begun_anew(store, tmp_path, variant, size):
    """Bytes of one variant never count for another."""
    path, _ = reopen(store, tmp_path)
    put(path, 0)
    path, kept = reopen(store, tmp_path, variant=variant, size=size)
    assert (kept, path.stat().st_size) == ((), size)


def test_a_journal_without_its_part_is_begun_anew(store, tmp_path):
    """A journal alone proves nothing."""
    path, _ = reopen(store, tmp_path)
    put(path, 0)
    path.unlink()
    assert reopen(store, tmp_path)[1] == ()


def test_a_link_in_the_place_of_a_part_is_not_written_through(store, tmp_path):
    """Somebody else's file is never touched."""
    path, _ = reopen(store, tmp_path)
    victim = tmp_path / "victim"
    victim.write_bytes(b"x" * SIZE)
    path.unlink()
    path.symlink_to(victim)
    with pytest.raises(DiskError):
        reopen(store, tmp_path)
    assert victim.read_bytes() == b"x" * SIZE


def test_closing_ends_writing(store, tmp_path):
    """After close nothing more is written, whoever still holds the writer."""
    path, _ = reopen(store, tmp_path)
    writer = put(path, 0)
    assert not writer.write_chunk(ChunkIndex(1), chunk_of(1), digest_of(1), verified=True)
    assert path.read_bytes()[CHUNK : 2 * CHUNK] == bytes(CHUNK)


def test_many_threads_may_write_at_once(store, tmp_path):
    """Lanes of several peers fill one part."""
    path, _ = reopen(store, tmp_path)
    writer = PartWriter(str(path), chunk_bytes=CHUNK)

    def write(index):
        writer.write_chunk(ChunkIndex(index), chunk_of(index), digest_of(index), verified=True)

    threads = [threading.Thread(target=write, args=(index,)) for index in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    assert path.read_bytes() == DATA
    assert len(reopen(store, tmp_path)[1]) == 3


def test_quarantine_keeps_the_bytes_and_the_reason(store, tmp_path):
    """What was refused can be looked at."""
    path, _ = reopen(store, tmp_path)
    put(path, 0)
    kept = store.set_aside(NAME, allowed_root=tmp_path / "music", reason="12.0 s long, 242.0 s wanted")
    assert kept.stat().st_size == SIZE
    assert kept.with_suffix(".why.txt").read_text() == "12.0 s long, 242.0 s wanted\n"
    assert not path.exists()
    assert not path.with_suffix(".journal").exists()


def test_a_disk_that_refuses_says_what_to_do(tmp_path):
    """An error names the file and the next step."""
    (tmp_path / "music").mkdir()
    (tmp_path / "state").write_text("a file in the place of the folder")
    store = PartStore(parts=tmp_path / "state" / "parts", quarantine=tmp_path / "q")
    with pytest.raises(DiskError) as caught:
        reopen(store, tmp_path)
    assert "tried again" in caught.value.hint


@pytest.mark.parametrize("at", [0, CHUNK - 1, CHUNK, SIZE - 1])
def test_one_changed_byte_is_found_when_the_whole_is_read_again(tmp_path, at):
    """Every chunk is compared with what it was when it was verified."""
    digests = tuple(digest_of(n) for n in range(3))
    path = tmp_path / "whole"
    path.write_bytes(DATA)
    assert differing(path, SIZE, digests) is None
    wrong = bytearray(DATA)
    wrong[at] ^= 0x10
    path.write_bytes(wrong)
    assert differing(path, SIZE, digests) == at // CHUNK
    assert differing(path, SIZE, digests, but={at // CHUNK}) is None
    path.write_bytes(DATA[:-1])
    assert differing(path, SIZE, digests) is not None
