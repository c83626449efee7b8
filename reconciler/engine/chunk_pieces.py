"""Whether a chunk that comes is wrong, by the hashes of the pieces that lie in it.

Owns: which pieces those are, and the comparison. Never: reads a file (engine.pieces), or says that a chunk is right:
that the pieces are those of the file is known when the whole is.

A Metalink (RFC 5854) lists a hash for each piece of a file, of any length. Where whole pieces make a chunk, a wrong one
is known as it comes, and by whom.
"""

import hashlib
from dataclasses import dataclass

from reconciler.ids import ChunkIndex
from reconciler.manifests.model import Pieces
from reconciler.overlay.merkle import chunk_size
from reconciler.sources.base import Variant, Want


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkPieces:
    """What the pieces of neighbouring chunks hash to."""

    length_bytes: int
    """Of a piece: a chunk is a whole number of them, the last one of a file may be shorter."""
    sha256: tuple[tuple[bytes, ...], ...]
    """Of each chunk, of its pieces in order."""

    def are_in(self, nth: int, view: memoryview) -> bool:
        """Whether the pieces of the `nth` chunk are what these bytes are."""
        length = self.length_bytes
        found = (hashlib.sha256(view[at : at + length]).digest() for at in range(0, len(view), length))
        return tuple(found) == self.sha256[nth]


def fitting(want: Want, variant: Variant) -> Pieces | None:
    """The hashes of the pieces of these very bytes, as the manifest lists them; None where it does not."""
    is_it = variant.sha256 is not None and (variant.sha256, variant.size) == (want.sha256, want.size)
    return want.pieces if is_it else None


def pieces_in(pieces: Pieces | None, size: int, first: ChunkIndex, last: ChunkIndex) -> ChunkPieces | None:
    """The pieces of chunks `first` to `last` of a file of `size` bytes; None where a piece can lie in two chunks."""
    chunk_bytes = chunk_size(size)
    if pieces is None or chunk_bytes % pieces.length_bytes:
        return None
    each = chunk_bytes // pieces.length_bytes
    digests = [pieces.sha256[chunk * each : (chunk + 1) * each] for chunk in range(first, last + 1)]
    return ChunkPieces(
        length_bytes=pieces.length_bytes,
        sha256=tuple(tuple(bytes.fromhex(digest) for digest in chunk) for chunk in digests),
    )
