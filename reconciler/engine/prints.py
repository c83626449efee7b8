"""What a chunk hashes to, and the reading of a whole part again by it.

Owns: the two prints of a chunk, and the comparison of a file with them. Never: writes, or judges a peer.

The digest (SHA-256, BEP 52) names bytes to others. The checksum is ours alone: it answers whether the disk still gives
what was verified a moment ago, at a twentieth of the cost. It is the tag of AES-GCM over the chunk (GMAC, NIST SP
800-38D): a change that was not made for this key is missed once in 2^112 chunks of a megabyte. The key is no secret,
for nobody is kept out by it: who can write to a part can as well write to the file once it has its name.
"""

import os
from collections.abc import Container
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from reconciler.engine.events import ChunkPrint
from reconciler.ids import ChunkIndex
from reconciler.overlay.merkle import chunk_hash, chunk_size

_KEY = b"reconciler chunk"
_CHECK = AESGCM(_KEY)
_NONCE = bytes(12)

# A file is read again in pieces that stay in a core's own cache beside what the lanes are working on.
STEP_BYTES = 128 * 1024

# Threads that read a whole part again: two keep both cores of a small machine busy, more only wait for the same memory.
READERS = 2


def checksum_of(data: bytes | bytearray | memoryview) -> bytes:
    """The checksum of one chunk: 16 bytes."""
    return _CHECK.encrypt(_NONCE, b"", data)


def checksum_in(file: int, offset: int, length: int) -> bytes:
    """The checksum of `length` bytes of an open file, of as many as there are; raises OSError."""
    context = Cipher(algorithms.AES(_KEY), modes.GCM(_NONCE)).encryptor()
    buffer = memoryview(bytearray(min(length, STEP_BYTES)))
    at, end = offset, offset + length
    while at < end:
        got = os.preadv(file, [buffer[: end - at]], at)
        if not got:
            break
        context.authenticate_additional_data(buffer[:got])
        at += got
    context.finalize()
    return context.tag


def print_of(view: memoryview, file_size: int) -> ChunkPrint:
    """Hash one chunk of a file of `file_size` bytes both ways."""
    return ChunkPrint(digest=chunk_hash(view, file_size=file_size), checksum=checksum_of(view))


def differing(
    path: Path, size: int, checksums: tuple[bytes, ...], *, but: Container[ChunkIndex] = frozenset()
) -> ChunkIndex | None:
    """A chunk of the file at `path` that does not hash to its checksum; None where all do. Raises OSError.

    The chunks `but` are taken to be right.
    """
    part = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if os.fstat(part).st_size != size:
            return ChunkIndex(0)
        chunks = [ChunkIndex(each) for each in range(len(checksums)) if each not in but]
        with ThreadPoolExecutor(READERS) as readers:  # reading and hashing both run without the interpreter's lock
            parts = (chunks[: len(chunks) // READERS], chunks[len(chunks) // READERS :])
            found = readers.map(lambda some: _differing_in(part, size, checksums, some), parts)
            return next((chunk for chunk in found if chunk is not None), None)
    finally:
        os.close(part)


def _differing_in(part: int, size: int, checksums: tuple[bytes, ...], chunks: list[ChunkIndex]) -> ChunkIndex | None:
    chunk_bytes = chunk_size(size)
    for index in chunks:
        offset = index * chunk_bytes
        if checksum_in(part, offset, min(chunk_bytes, size - offset)) != checksums[index]:
            return index
    return None
