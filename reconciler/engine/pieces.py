"""Which pieces of a file that is wrong are wrong.

Owns: reading a part piece by piece, and which chunks each piece lies in. Never: decides what follows (engine.doubt), or
looks at a chunk as it comes (engine.chunk_pieces).

A piece is as long as whoever made the hashes chose; a chunk is as long as the file's size says (overlay.merkle). So a
wrong piece is told as the chunks that it touches: at least one of them is wrong.
"""

import hashlib
import os
from pathlib import Path

from reconciler.ids import ChunkIndex
from reconciler.manifests.model import Pieces
from reconciler.overlay.merkle import chunk_size

_BLOCK_BYTES = 1 << 20

Run = tuple[ChunkIndex, ChunkIndex]
"""The first and the last chunk of neighbouring ones."""


def wrong_pieces(path: Path, size: int, pieces: Pieces) -> tuple[Run, ...]:
    """The chunks of each piece of the file of `size` bytes at `path` that is not what its hash says. Raises OSError."""
    chunk_bytes, wrong = chunk_size(size), []
    with path.open("rb") as part:
        for index, expected in enumerate(pieces.sha256):
            begin = index * pieces.length_bytes
            end = min(begin + pieces.length_bytes, size)
            if _digest(part.fileno(), begin, end) != expected:
                wrong.append((ChunkIndex(begin // chunk_bytes), ChunkIndex((end - 1) // chunk_bytes)))
    return tuple(wrong)


def _digest(part: int, begin: int, end: int) -> str:
    digest = hashlib.sha256()
    while begin < end:
        block = os.pread(part, min(_BLOCK_BYTES, end - begin), begin)
        if not block:
            break  # the file is shorter than it was: the digest is another
        digest.update(block)
        begin += len(block)
    return digest.hexdigest()
