"""The pieces of a chunk, held against its bytes as they come."""

import hashlib
import random

import pytest

from reconciler.engine.chunk_pieces import fitting, pieces_in
from reconciler.ids import Sha256, TrackPosition
from reconciler.manifests.model import Pieces
from reconciler.overlay.merkle import CHUNK_BYTES
from reconciler.sources.base import Variant, Want

SIZE = 3 * CHUNK_BYTES + 1000
DATA = random.Random(5854).randbytes(SIZE)


def pieces_of(length):
    parts = (DATA[at : at + length] for at in range(0, SIZE, length))
    return Pieces(length_bytes=length, sha256=tuple(Sha256(hashlib.sha256(part).hexdigest()) for part in parts))


def chunk(index):
    return memoryview(DATA)[index * CHUNK_BYTES : (index + 1) * CHUNK_BYTES]


@pytest.mark.parametrize("length", [CHUNK_BYTES, CHUNK_BYTES // 2, 16 * 1024, 512])
def test_each_chunk_is_held_against_its_own_pieces(length):
    """Also the last one, which is shorter; one changed byte is met wherever it is."""
    held = pieces_in(pieces_of(length), SIZE, 1, 3)
    assert [held.are_in(nth, chunk(1 + nth)) for nth in range(3)] == [True, True, True]
    for at in (0, CHUNK_BYTES // 2, CHUNK_BYTES - 1):
        wrong = bytearray(chunk(2))
        wrong[at] ^= 1
        assert not held.are_in(1, memoryview(wrong))
    assert not held.are_in(0, chunk(2)), "right bytes in another place"


@pytest.mark.parametrize("length", [2 * CHUNK_BYTES, CHUNK_BYTES - 512, CHUNK_BYTES + 1, 100_000])
def test_pieces_that_can_lie_in_two_chunks_say_nothing_of_one(length):
    """They are looked at when the whole is here."""
    assert pieces_in(pieces_of(length), SIZE, 0, 3) is None
    assert pieces_in(None, SIZE, 0, 3) is None


@pytest.mark.parametrize(
    ("change", "fits"),
    [({}, True), ({"sha256": Sha256("b" * 64)}, False), ({"size": 7}, False), ({"sha256": None}, False)],
)
def test_only_pieces_of_these_very_bytes_count(change, fits):
    """A variant of another hash or size has others."""
    sha256, pieces = Sha256("a" * 64), pieces_of(CHUNK_BYTES)
    want = Want(position=TrackPosition(1), sha256=sha256, size=SIZE, pieces=pieces)
    variant = Variant(**{"root": None, "sha256": sha256, "size": SIZE, "claim": "x", **change})
    assert fitting(want, variant) == (pieces if fits else None)
