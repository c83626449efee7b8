"""The chunk tree names the same bytes as every BitTorrent v2 client does."""

import hashlib
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.ids import Root
from reconciler.overlay.merkle import (
    CHUNK_BYTES,
    FILE_BYTES_MAX,
    LARGE_CHUNK_BYTES,
    LARGE_FILE_BYTES,
    LEAF_BYTES,
    chunk_count,
    chunk_hash,
    chunk_size,
    hash_list_matches,
    root_of,
    split_hashes,
)

SIZES = [
    1,
    2,
    LEAF_BYTES - 1,
    LEAF_BYTES,
    LEAF_BYTES + 1,
    2 * LEAF_BYTES,
    3 * LEAF_BYTES + 17,
    5 * LEAF_BYTES,
    CHUNK_BYTES - LEAF_BYTES,
    CHUNK_BYTES - 1,
    CHUNK_BYTES,
    CHUNK_BYTES + 1,
    CHUNK_BYTES + LEAF_BYTES,
    2 * CHUNK_BYTES,
    2 * CHUNK_BYTES + 1,
    3 * CHUNK_BYTES - 1,
    5 * CHUNK_BYTES + 12_345,
    8 * CHUNK_BYTES,
    9 * CHUNK_BYTES + 3,
]


def content(size: int) -> bytes:
    """Bytes without a period that a tree could hide."""
    return hashlib.shake_128(size.to_bytes(8, "big")).digest(size)


def hashes_of(data: bytes) -> list[bytes]:
    step = chunk_size(len(data))
    return [chunk_hash(data[at : at + step], file_size=len(data)) for at in range(0, len(data), step)]


@pytest.mark.parametrize("size", SIZES)
def test_the_tree_is_the_one_that_libtorrent_builds(size, tmp_path):
    """Root and chunk list equal libtorrent's for files around every boundary."""
    libtorrent = pytest.importorskip("libtorrent", reason="the reference implementation has no wheel for this Python")
    data = content(size)
    (tmp_path / "file.bin").write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        files = libtorrent.file_storage()
        libtorrent.add_files(files, str(tmp_path / "file.bin"))
        creator = libtorrent.create_torrent(files, chunk_size(size), libtorrent.create_torrent.v2_only)
        libtorrent.set_piece_hashes(creator, str(tmp_path))
        torrent = creator.generate()
    expected_root = torrent[b"info"][b"file tree"][b"file.bin"][b""][b"pieces root"]
    expected_list = torrent.get(b"piece layers", {}).get(expected_root, b"")
    ours = hashes_of(data)
    assert root_of(ours, file_size=size) == expected_root.hex()
    assert (b"".join(ours) if len(ours) > 1 else b"") == expected_list


@pytest.mark.parametrize(
    ("size", "step", "count"),
    [
        (1, CHUNK_BYTES, 1),
        (CHUNK_BYTES, CHUNK_BYTES, 1),
        (CHUNK_BYTES + 1, CHUNK_BYTES, 2),
        (LARGE_FILE_BYTES, CHUNK_BYTES, 1024),
        (LARGE_FILE_BYTES + 1, LARGE_CHUNK_BYTES, 257),
        (FILE_BYTES_MAX, LARGE_CHUNK_BYTES, 65_536),
    ],
)
def test_the_chunk_size_follows_from_the_file_size_alone(size, step, count):
    """256 KiB up to 256 MiB, 1 MiB above."""
    assert (chunk_size(size), chunk_count(size)) == (step, count)


@pytest.mark.parametrize("size", [0, -1, FILE_BYTES_MAX + 1])
def test_sizes_without_a_tree_are_refused(size):
    """An empty file has no root, and beyond the largest no list is accepted."""
    with pytest.raises(ValueError, match="has no chunks"):
        chunk_size(size)
    with pytest.raises(ValueError, match="has no chunks"):
        chunk_count(size)


def test_a_file_of_one_chunk_is_named_by_its_chunk():
    """The chunk's hash is the root, and for at most 16 KiB the plain SHA-256."""
    data = content(10_000)
    assert root_of([chunk_hash(data, file_size=10_000)], file_size=10_000) == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer_hashes_alike(kind):
    """A lane hashes the buffer that it received into, without a copy."""
    data = content(3 * LEAF_BYTES + 5)
    whole = CHUNK_BYTES + len(data)
    assert chunk_hash(kind(data), file_size=whole) == chunk_hash(data, file_size=whole)


def test_the_last_chunk_is_padded_as_far_as_a_whole_one():
    """The same short bytes hash differently as a whole file and as the tail of a longer one."""
    data = content(LEAF_BYTES)
    assert chunk_hash(data, file_size=LEAF_BYTES) != chunk_hash(data, file_size=CHUNK_BYTES + LEAF_BYTES)


def test_large_files_have_large_chunks():
    """Above 256 MiB a chunk is the node over 64 leaves."""
    data = content(LARGE_CHUNK_BYTES)
    halves = [
        chunk_hash(data[at : at + CHUNK_BYTES], file_size=4 * CHUNK_BYTES) for at in range(0, len(data), CHUNK_BYTES)
    ]
    node = root_of(halves, file_size=LARGE_CHUNK_BYTES)
    assert chunk_hash(data, file_size=LARGE_FILE_BYTES + 1).hex() == node


@pytest.mark.parametrize("size", [0, CHUNK_BYTES + 1])
def test_what_cannot_be_a_chunk_is_refused(size):
    """No chunk is empty or longer than the chunk size."""
    with pytest.raises(ValueError, match="a chunk of"):
        chunk_hash(bytes(size), file_size=3 * CHUNK_BYTES)


def test_a_chunk_is_not_longer_than_its_file():
    """A short file has a short only chunk."""
    with pytest.raises(ValueError, match="a chunk of"):
        chunk_hash(bytes(11), file_size=10)


@pytest.mark.parametrize("count", [0, 2, 4])
def test_a_root_needs_every_chunk(count):
    """Too few or too many hashes are no tree."""
    with pytest.raises(ValueError, match="for 3 chunks"):
        root_of([bytes(32)] * count, file_size=3 * CHUNK_BYTES)


@given(st.integers(min_value=1, max_value=40), st.data())
def test_a_chunk_list_matches_only_its_root(count, data):
    """One changed bit, one hash more or less, another size: no match."""
    size = count * CHUNK_BYTES
    raw = content(32 * count)
    root = root_of(split_hashes(raw), file_size=size)
    assert hash_list_matches(root, raw, file_size=size)
    bit = data.draw(st.integers(min_value=0, max_value=len(raw) * 8 - 1))
    changed = bytearray(raw)
    changed[bit // 8] ^= 1 << bit % 8
    assert not hash_list_matches(root, bytes(changed), file_size=size)
    assert not hash_list_matches(root, raw + bytes(32), file_size=size)
    assert not hash_list_matches(root, raw[:-1], file_size=size)
    assert not hash_list_matches(root, raw, file_size=size + 1)
    assert not hash_list_matches(Root("0" * 64), raw, file_size=size)


def test_a_list_of_broken_hashes_is_refused():
    """A list is taken apart only at whole hashes."""
    with pytest.raises(ValueError, match="multiple"):
        split_hashes(bytes(33))
