"""A file is read once, in order, and named completely."""

import hashlib
import os

import pytest

from reconciler.errors import FileBusyError
from reconciler.overlay.filehash import hash_file
from reconciler.overlay.merkle import CHUNK_BYTES, chunk_hash, hash_list_matches


@pytest.mark.parametrize("size", [1, 16_384, CHUNK_BYTES, CHUNK_BYTES + 1, 4 * CHUNK_BYTES + 999])
def test_all_names_come_from_one_pass(size, tmp_path):
    """Root, SHA-256 and chunk list agree with each other, and the file's offset stays."""
    data = hashlib.shake_128(b"filehash").digest(size)
    (tmp_path / "file").write_bytes(data)
    with (tmp_path / "file").open("rb") as file:
        file.seek(min(7, size))
        hashes = hash_file(file.fileno(), size)
        assert os.lseek(file.fileno(), 0, os.SEEK_CUR) == min(7, size)
    assert hashes.sha256 == hashlib.sha256(data).hexdigest()
    assert hash_list_matches(hashes.root, b"".join(hashes.chunk_hashes), file_size=size)
    assert hashes.chunk_hashes[0] == chunk_hash(data[:CHUNK_BYTES], file_size=size)


def test_a_file_that_ends_early_is_busy(tmp_path):
    """A file that is being shortened is not hashed into a name for bytes that nobody has."""
    (tmp_path / "file").write_bytes(bytes(1000))
    with (tmp_path / "file").open("rb") as file, pytest.raises(FileBusyError, match="byte 1000"):
        hash_file(file.fileno(), 1001)


def test_an_empty_file_has_no_name(tmp_path):
    """Zero bytes have no BEP 52 root."""
    (tmp_path / "file").write_bytes(b"")
    with (tmp_path / "file").open("rb") as file, pytest.raises(ValueError, match="has no chunks"):
        hash_file(file.fileno(), 0)
