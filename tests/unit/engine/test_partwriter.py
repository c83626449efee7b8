"""Writing a part: what the journal says and when, and what a disk that refuses costs."""

import errno
import os
import threading

import pytest
from e2e.rig import eventually

from reconciler.engine import partwriter
from reconciler.engine.partwriter import SYNC_BYTES, PartWriter, name_of
from reconciler.ids import ChunkIndex

CHUNK = 1 << 20


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "a.1.part"
    with path.open("wb") as part:
        part.truncate(64 * CHUNK)
    path.with_suffix(".journal").write_bytes(b"header\n")
    return path


def give(writer, chunk, data, *, verified=True):
    """Hand over a chunk whose digest is 32 times its number."""
    return writer.write_chunk(ChunkIndex(chunk), memoryview(data), bytes([chunk]) * 32, verified=verified)


def write(writer, *chunks, verified=True):
    for chunk in chunks:
        assert give(writer, chunk, bytes([chunk]) * CHUNK, verified=verified)


def journaled(path):
    return [int(line.split()[0]) for line in path.with_suffix(".journal").read_bytes().split(b"\n")[1:-1]]


def on_sync(monkeypatch, step):
    """Have `step(nth)` called in the place of the nth sync of a part; its answer is whether to sync in truth."""
    syncs, real = [], os.fdatasync

    def fdatasync(descriptor):
        if os.fstat(descriptor).st_size < 64 * CHUNK:
            return  # the journal's
        syncs.append(descriptor)
        step(len(syncs))
        real(descriptor)

    monkeypatch.setattr(partwriter.os, "fdatasync", fdatasync)
    return syncs


def fail_with(number, *, after=0):
    def step(nth):
        if nth > after:
            raise OSError(number, os.strerror(number))

    return step


def test_a_chunk_has_no_line_before_the_disk_has_it(path, monkeypatch):
    """The journal follows the sync, never the other way about."""
    go_on = threading.Event()
    syncs = on_sync(monkeypatch, lambda nth: go_on.wait(60))
    writer = PartWriter(str(path), chunk_bytes=CHUNK)
    write(writer, *range(SYNC_BYTES // CHUNK))
    eventually(lambda: syncs, "a sync after 16 MiB")
    assert journaled(path) == []
    go_on.set()
    writer.close()
    assert sorted(journaled(path)) == list(range(SYNC_BYTES // CHUNK))


def test_the_disk_is_asked_once_for_many_chunks(path, monkeypatch):
    """48 MiB are a few syncs (more only where the machine is slow), not one for each chunk."""
    syncs = on_sync(monkeypatch, lambda nth: None)
    writer = PartWriter(str(path), chunk_bytes=CHUNK)
    write(writer, *range(48))
    writer.close()
    assert 1 <= len(syncs) <= 16
    assert sorted(journaled(path)) == list(range(48))


def test_a_single_chunk_is_journaled_soon(path):
    """A slow peer's work survives a kill without 16 MiB of it."""
    writer = PartWriter(str(path), chunk_bytes=CHUNK)
    write(writer, 7)
    eventually(lambda: journaled(path) == [7], "a line within a second or two", patience_s=60)
    writer.close()


def test_what_the_disk_lost_is_never_journaled(path, monkeypatch):
    """After a failed sync nobody knows which bytes are there: no chunk since the last good one gets its line."""
    on_sync(monkeypatch, fail_with(errno.EIO, after=1))
    writer = PartWriter(str(path), chunk_bytes=CHUNK)
    write(writer, *range(16))
    eventually(lambda: len(journaled(path)) == 16, "the first sync")
    write(writer, *range(16, 20))
    with pytest.raises(OSError, match="Input/output") as lost:
        writer.close()
    assert name_of(lost.value) == "EIO"
    assert sorted(journaled(path)) == list(range(16))


def test_a_part_that_lost_bytes_takes_nothing_more(path, monkeypatch):
    """Whoever writes next is told what the disk said."""
    on_sync(monkeypatch, fail_with(errno.ENOSPC))
    writer = PartWriter(str(path), chunk_bytes=CHUNK)
    write(writer, *range(16))

    def refused():
        try:
            give(writer, 20, bytes(CHUNK))
        except OSError as error:
            return name_of(error)
        return ""

    assert eventually(refused, "a refusal") == "ENOSPC"
    with pytest.raises(OSError, match="No space left"):
        writer.close()
    assert journaled(path) == []


def test_closing_tells_which_verified_chunks_were_read_again(path):
    """The others could still be written over with other bytes, and are read when the file is whole."""
    writer = PartWriter(str(path), chunk_bytes=CHUNK)
    write(writer, 1, 2, 40)
    write(writer, 3, verified=False)
    assert writer.close() == {1, 2, 40}


def test_a_chunk_that_the_disk_gives_back_otherwise_is_not_among_those_read_again(path, monkeypatch):
    """So it is met by the last look at the whole, which reads it once more."""
    real = os.pwrite

    def pwrite(descriptor, data, offset):
        written = real(descriptor, data, offset)
        if offset == 5 * CHUNK:
            real(descriptor, b"!", offset + CHUNK - 1)
        return written

    monkeypatch.setattr(partwriter.os, "pwrite", pwrite)
    writer = PartWriter(str(path), chunk_bytes=CHUNK)
    write(writer, 4, 5, 6)
    assert writer.close() == {4, 6}


def test_a_closed_part_takes_nothing(path):
    """False, and not a byte."""
    writer = PartWriter(str(path), chunk_bytes=CHUNK)
    writer.close()
    assert not give(writer, 0, b"x" * CHUNK)
    assert path.read_bytes()[:CHUNK] == bytes(CHUNK)


@pytest.mark.parametrize(
    ("error", "name"), [(OSError(errno.EDQUOT, "quota"), "EDQUOT"), (OSError("no number"), ""), (OSError(), "")]
)
def test_an_error_has_its_name(error, name):
    """The number as its name in errno.h; nothing where there is none."""
    assert name_of(error) == name
