"""The BEP 52 hash tree: what names a file's bytes, and what each of its chunks must hash to.

Owns: chunk sizes, chunk hashes, roots, and the check of a chunk list against its root. Never: reads a file
(overlay.filehash).

A leaf is the SHA-256 of 16 KiB of the file. Missing leaves of the full binary tree are 32 zero bytes. A chunk's hash is
the node above its leaves (an entry of the `piece layer`); the file's root is the node above all chunks. A file of one
chunk or less has no chunk list: its tree ends at the next power of two of its own leaves, so the chunk's hash is the
root. https://www.bittorrent.org/beps/bep_0052.html

A file has at least one byte: BEP 52 gives an empty file no root, and there is nothing to fetch of it.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import TypeAlias

from reconciler.ids import Root

Bytes: TypeAlias = bytes | bytearray | memoryview

HASH_BYTES = 32
LEAF_BYTES = 16 * 1024

CHUNK_BYTES = 256 * 1024
LARGE_CHUNK_BYTES = 1024 * 1024
# Above this, 256 KiB chunks would make lists of more than 1,024 hashes (32 KiB).
LARGE_FILE_BYTES = 256 * 1024 * 1024

# The largest file that is named by a root here: a chunk list of at most 65,536 hashes, 2 MiB.
FILE_BYTES_MAX = 64 * 1024 * 1024 * 1024


def _empty_nodes(heights: int) -> tuple[bytes, ...]:
    """The node above 2**h missing leaves, for each height h."""
    nodes = [bytes(HASH_BYTES)]
    for _ in range(heights - 1):
        nodes.append(sha256(nodes[-1] * 2).digest())
    return tuple(nodes)


# 64 GiB are 2**22 leaves, so a tree has at most 23 heights.
_EMPTY = _empty_nodes(FILE_BYTES_MAX.bit_length() - LEAF_BYTES.bit_length() + 1)


def chunk_size(file_size: int) -> int:
    """Bytes of every chunk but the last: a pure function of the file's size, because it enters the canonical info-hash.

    Raises ValueError for a size outside 1..FILE_BYTES_MAX.
    """
    if not 1 <= file_size <= FILE_BYTES_MAX:
        raise ValueError(f"a file of {file_size} bytes has no chunks: expected 1 to {FILE_BYTES_MAX}")
    return CHUNK_BYTES if file_size <= LARGE_FILE_BYTES else LARGE_CHUNK_BYTES


def chunk_count(file_size: int) -> int:
    """How many chunks a file has; raises ValueError as `chunk_size` does."""
    return -(-file_size // chunk_size(file_size))


def chunk_hash(data: Bytes, *, file_size: int) -> bytes:
    """Hash one whole chunk of a file of `file_size` bytes; the last chunk of a file may be shorter.

    hashlib lets go of the GIL for each leaf. Raises ValueError for data that cannot be a chunk of such a file.
    """
    limit = min(chunk_size(file_size), file_size)
    view = memoryview(data)
    size = view.nbytes
    if not 1 <= size <= limit:
        raise ValueError(f"a chunk of {size} bytes in a file of {file_size}: expected 1 to {limit}")
    leaves = [_leaf(view[at : at + LEAF_BYTES]) for at in range(0, size, LEAF_BYTES)]
    return _above(leaves, height=_height(-(-limit // LEAF_BYTES)), floor=0)


def root_of(hashes: Sequence[bytes], *, file_size: int) -> Root:
    """The root above all chunk hashes of a file; raises ValueError unless there is exactly one for each chunk."""
    if len(hashes) != chunk_count(file_size):
        raise ValueError(f"{len(hashes)} chunk hashes for {chunk_count(file_size)} chunks")
    if len(hashes) == 1:
        return Root(hashes[0].hex())
    floor = _height(chunk_size(file_size) // LEAF_BYTES)
    return Root(_above(list(hashes), height=floor + _height(len(hashes)), floor=floor).hex())


def split_hashes(raw: bytes) -> tuple[bytes, ...]:
    """Take a raw chunk list apart; raises ValueError where it is not whole hashes."""
    if len(raw) % HASH_BYTES:
        raise ValueError(f"a chunk list of {len(raw)} bytes is not a multiple of {HASH_BYTES}")
    return tuple(raw[at : at + HASH_BYTES] for at in range(0, len(raw), HASH_BYTES))


def hash_list_matches(root: Root, raw: bytes, *, file_size: int) -> bool:
    """Tell whether `raw`, 32 bytes a chunk, is the chunk list of the file of `file_size` bytes that `root` names."""
    if len(raw) != chunk_count(file_size) * HASH_BYTES:
        return False
    return root_of(split_hashes(raw), file_size=file_size) == root


# A hash to begin from: OpenSSL 3 looks its algorithm up by name, under a lock, each time that one is made anew, and a
# gigabyte has 65,536 leaves; a copy spares it that (measured: 0.13 s less of 1.3 s a gigabyte).
_BLANK = sha256()


def _leaf(data: memoryview) -> bytes:
    hasher = _BLANK.copy()
    hasher.update(data)
    return hasher.digest()


def _height(leaves: int) -> int:
    """How many levels a full binary tree with room for `leaves` has above them."""
    return (leaves - 1).bit_length()


def _above(nodes: list[bytes], *, height: int, floor: int) -> bytes:
    """The node at `height` above `nodes`, which stand at height `floor`; what is missing is empty."""
    for level in range(floor, height):
        if len(nodes) & 1:
            nodes.append(_EMPTY[level])
        nodes = [sha256(nodes[at] + nodes[at + 1]).digest() for at in range(0, len(nodes), 2)]
    return nodes[0]
