"""Which pieces of a file on disk are wrong, and which chunks they touch."""

import contextlib
import hashlib
import random
from pathlib import Path

import pytest

from reconciler.clock import SystemClock
from reconciler.engine.disk import JobDisk, Shelves
from reconciler.engine.events import OpenPart, PartOpened, VerifyWhole, WholeVerified
from reconciler.engine.order import JobOrder, TrackOrder
from reconciler.engine.partfile import PartStore
from reconciler.engine.pieces import wrong_pieces
from reconciler.ids import JobId, Sha256, TrackPosition
from reconciler.library.index import LibraryIndex
from reconciler.manifests.model import Constraints, Pieces
from reconciler.overlay.merkle import CHUNK_BYTES, chunk_count
from reconciler.sources.base import Variant, Want
from reconciler.state.database import Database
from reconciler.state.jobs import JobStore
from reconciler.state.peers import PeerStore

SIZE = 3 * CHUNK_BYTES + 1000


@pytest.fixture
def data():
    return bytearray(random.Random(5854).randbytes(SIZE))


def pieces_of(data, length):
    """What a Metalink would say of them."""
    parts = (data[at : at + length] for at in range(0, len(data), length))
    return Pieces(length_bytes=length, sha256=tuple(hashlib.sha256(part).hexdigest() for part in parts))


@pytest.mark.parametrize(
    ("length", "at", "chunks"),
    [
        (CHUNK_BYTES, 0, (0, 0)),
        (CHUNK_BYTES, CHUNK_BYTES, (1, 1)),
        (CHUNK_BYTES, SIZE - 1, (3, 3)),
        (16 * 1024, CHUNK_BYTES - 1, (0, 0)),
        (2 * CHUNK_BYTES, CHUNK_BYTES - 1, (0, 1)),
        (2 * CHUNK_BYTES, SIZE - 1, (2, 3)),
        (100_000, 270_000, (0, 1)),
        (4_000_000, 5, (0, 3)),
    ],
)
def test_a_wrong_byte_is_found_in_its_piece(tmp_path, data, length, at, chunks):
    """Whatever the length of a piece; told as the chunks that it touches."""
    pieces = pieces_of(data, length)
    (tmp_path / "part").write_bytes(data)
    assert wrong_pieces(tmp_path / "part", SIZE, pieces) == ()
    data[at] ^= 1
    (tmp_path / "part").write_bytes(data)
    assert wrong_pieces(tmp_path / "part", SIZE, pieces) == (chunks,)


def test_a_file_that_has_become_shorter_is_wrong_to_its_end(tmp_path, data):
    """What is not there is not what a hash says."""
    (tmp_path / "part").write_bytes(data[: CHUNK_BYTES + 5])
    wrong = wrong_pieces(tmp_path / "part", SIZE, pieces_of(data, CHUNK_BYTES))
    assert wrong == tuple((chunk, chunk) for chunk in range(1, chunk_count(SIZE)))


@pytest.fixture
def verified(tmp_path, data):
    """Verify a part of these bytes that is wanted with these pieces."""
    (tmp_path / "library").mkdir()
    with contextlib.closing(Database.open(tmp_path / "state" / "reconciler.db")) as database:
        shelves = Shelves(
            parts=PartStore(parts=tmp_path / "parts", quarantine=tmp_path / "quarantine"),
            index=LibraryIndex(database),
            jobs=JobStore(database),
            peers=PeerStore(database),
            flush_traces=lambda _: None,
            clock=SystemClock(),
        )
        wanted = Sha256(hashlib.sha256(data).hexdigest())

        def verify(written, pieces, *, sha256=wanted):
            position = TrackPosition(1)
            want = Want(position=position, sha256=sha256, size=SIZE, pieces=pieces)
            order = JobOrder(
                job_id=JobId("01HRQ4GSX9K47J7M5FK7VW8B12"),
                generation=1,
                target_dir=str(tmp_path / "library"),
                allowed_root=str(tmp_path / "library"),
                constraints=Constraints(),
                tracks=(TrackOrder(want=want, title="a", stem="a.bin", extension=""),),
            )
            disk = JobDisk(order, shelves, stamp=lambda _: pytest.fail("nothing is to be told"))
            variant = Variant(root=None, sha256=sha256, size=SIZE)
            assert isinstance(disk.open(OpenPart(position=position, variant=variant, part_id=variant.id)), PartOpened)
            Path(disk.part_path(position, variant.id)).write_bytes(written)
            return disk.verify(VerifyWhole(position=position, variant=variant, part_id=variant.id, digests=None))

        yield verify


def test_a_wrong_whole_is_told_with_its_wrong_pieces(verified, data):
    """Of what only its SHA-256 proves; a right one is not read by its pieces at all."""
    pieces, nonsense = pieces_of(data, CHUNK_BYTES), Pieces(length_bytes=CHUNK_BYTES, sha256=("0" * 64,) * 4)
    assert isinstance(verified(data, pieces), WholeVerified)
    assert isinstance(verified(data, nonsense), WholeVerified)
    wrong = bytearray(data)
    wrong[CHUNK_BYTES] ^= 1
    refused = verified(wrong, pieces)
    assert (refused.fault, refused.wrong) == ("content", ((1, 1),))
    assert "(1 of 4 pieces are wrong)" in refused.message
    assert verified(wrong, None).wrong == ()


def test_pieces_that_contradict_the_whole_are_the_manifests_fault(verified, data):
    """No peer can bring a file that is both: nobody is asked again."""
    refused = verified(data, pieces_of(data, CHUNK_BYTES), sha256=Sha256("0" * 64))
    assert (refused.fault, refused.wrong) == ("claim", ())
    assert "one of the two is wrong" in refused.message
