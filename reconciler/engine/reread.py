"""Whether a part on the disk is what was written to it.

Owns: the comparison of an open file with what it was just given, and of a whole part with its chunks' digests.
Never: writes, or judges a peer.
"""

import os
from collections.abc import Container
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from reconciler.ids import ChunkIndex
from reconciler.overlay.merkle import chunk_hash, chunk_size

# What was just written is read in steps that stay in a core's own cache, with the bytes that they are compared with.
_STEP_BYTES = 128 * 1024

# Threads that read a whole part again: two keep both cores of a small machine busy.
READERS = 2


def gives_back(file: int, offset: int, view: memoryview) -> bool:
    """Whether an open file has the bytes of `view` at `offset`; raises OSError."""
    step = bytearray(min(_STEP_BYTES, len(view)))
    for at in range(0, len(view), len(step)):
        expected = view[at : at + len(step)]
        if os.preadv(file, [memoryview(step)[: len(expected)]], offset + at) != len(expected):
            return False
        if (step if len(expected) == len(step) else step[: len(expected)]) != expected:
            return False
    return True


def differing(
    path: Path, size: int, digests: tuple[bytes, ...], *, but: Container[ChunkIndex] = frozenset()
) -> ChunkIndex | None:
    """A chunk of the file at `path` that does not hash to its digest; None where all do. Raises OSError.

    The chunks `but` are taken to be right.
    """
    part = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if os.fstat(part).st_size != size:
            return ChunkIndex(0)
        chunks = [ChunkIndex(each) for each in range(len(digests)) if each not in but]
        with ThreadPoolExecutor(READERS) as readers:  # reading and hashing both run without the interpreter's lock
            parts = (chunks[: len(chunks) // READERS], chunks[len(chunks) // READERS :])
            found = readers.map(lambda some: _differing_in(part, size, digests, some), parts)
            return next((chunk for chunk in found if chunk is not None), None)
    finally:
        os.close(part)


def _differing_in(part: int, size: int, digests: tuple[bytes, ...], chunks: list[ChunkIndex]) -> ChunkIndex | None:
    chunk_bytes = chunk_size(size)
    for index in chunks:
        length = min(chunk_bytes, size - index * chunk_bytes)
        data = os.pread(part, length, index * chunk_bytes)
        if len(data) != length or chunk_hash(data, file_size=size) != digests[index]:
            return index
    return None
