"""Read a file once and know everything that names its bytes.

Owns: one pass over an open file in bounded memory. Never: opens, writes or judges it.
"""

import os
from dataclasses import dataclass
from hashlib import sha256

from reconciler.errors import FileBusyError
from reconciler.ids import Root, Sha256
from reconciler.overlay.merkle import chunk_hash, chunk_size, root_of


@dataclass(frozen=True, slots=True, kw_only=True)
class FileHashes:
    """What names a file's bytes."""

    root: Root
    sha256: Sha256
    chunk_hashes: tuple[bytes, ...]
    """One for each chunk; of a file of one chunk or less, its root."""


def hash_file(fd: int, size: int) -> FileHashes:
    """Hash the first `size` bytes of an open file with one chunk in memory; blocks, and leaves the file's offset alone.

    Raises FileBusyError when the file ends before `size`, ValueError for a size that no chunk tree has, OSError.
    """
    whole = sha256()
    hashes: list[bytes] = []
    buffer = memoryview(bytearray(min(chunk_size(size), size)))
    for offset in range(0, size, len(buffer)):
        view = buffer[: size - offset]
        _read_exactly(fd, view, offset)
        whole.update(view)
        hashes.append(chunk_hash(view, file_size=size))
    return FileHashes(
        root=root_of(hashes, file_size=size), sha256=Sha256(whole.hexdigest()), chunk_hashes=tuple(hashes)
    )


def _read_exactly(fd: int, view: memoryview, offset: int) -> None:
    done = 0
    while done < len(view):
        got = os.preadv(fd, [view[done:]], offset + done)
        if not got:
            raise FileBusyError(
                f"the file ended at byte {offset + done} while it was being read",
                hint="something shortens it; it is read again when it has come to rest",
            )
        done += got
