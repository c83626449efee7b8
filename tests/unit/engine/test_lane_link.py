"""The lane process from the daemon's end: it may die, hang up or talk nonsense, and nothing is lost."""

import errno
import os
import queue
import signal
import threading
from pathlib import Path

import pytest
from e2e.rig import eventually
from hypothesis import given
from hypothesis import strategies as st
from test_lanes import COUNT, DATA, JOB, SIZE, Rig, Server

from reconciler.engine.chunk_pieces import ChunkPieces
from reconciler.engine.events import (
    ChunkArrived,
    PeerConnected,
    TransferEnded,
    TransferFailed,
    TransferId,
)
from reconciler.engine.lane_frames import (
    CHUNKS_MAX,
    FRAME_BYTES_MAX,
    BrokenFrameError,
    Unpacker,
    chunks_field,
    chunks_of,
    event_fields,
    event_of,
    order_fields,
    order_of,
    pack,
)
from reconciler.engine.lane_link import STARTS_PER_MINUTE_MAX, LaneLink
from reconciler.engine.lane_orders import LaneEvent, PartId, ReadRange, Tag
from reconciler.engine.lane_pool import LanePool
from reconciler.ids import ChunkIndex, PeerId
from reconciler.sources.base import ByteRequest, Endpoint


@pytest.fixture
def server():
    server = Server()
    yield server
    server.close()


@pytest.fixture
def rig(tmp_path, server):
    rig = Rig(tmp_path, server, make=LaneLink)
    yield rig
    rig.lanes.close()


def test_kill_9_of_the_lane_process_hands_back_what_was_under_way(rig, server):
    """Each order is answered `closed`; another process takes over, has the part attached, and brings the rest."""
    reached, go_on = threading.Event(), threading.Event()

    def hang(connection, first, last):
        reached.set()
        go_on.wait(60)
        return server.good(connection, first, last)

    server.send = hang
    rig.read(1, 0, 1)
    rig.read(2, 2, 2)
    assert reached.wait(60)
    before = rig.lanes.process_id
    os.kill(before, signal.SIGKILL)
    failed = [event for event in rig.until_ended(1, 2) if isinstance(event, TransferFailed)]
    assert {(event.transfer, event.code) for event in failed} == {(1, "closed"), (2, "closed")}
    go_on.set()
    server.send = server.good
    rig.read(3, 0, COUNT - 1)
    assert isinstance(rig.until_ended(3)[-1], TransferEnded)
    assert rig.lanes.process_id != before
    rig.lanes.detach(rig.part)
    assert rig.path.read_bytes() == DATA


def test_a_part_that_cannot_be_opened_is_an_error_at_once(rig):
    """The refusal of the other process comes back as OSError."""
    with pytest.raises(OSError, match="No such file") as refused:
        rig.lanes.attach(PartId(2), str(rig.path.parent / "no.part"), 1000)
    assert refused.value.errno == errno.ENOENT


def test_a_part_that_is_gone_when_another_process_takes_over_fails_for_our_disk(rig):
    """Asking again would help nobody: the order fails with `disk`, and no peer is blamed."""
    rig.path.unlink()
    before = rig.lanes.process_id
    os.kill(before, signal.SIGKILL)
    eventually(lambda: rig.lanes.process_id != before, "another process")
    rig.lanes.await_ready()
    rig.read(1, 0, 0)
    (failed,) = rig.until_ended(1)
    assert failed.code == "disk"


def test_a_process_that_ends_again_and_again_is_given_up(rig):
    """No order is handed back for ever: after ten starts within a minute each fails for our own side."""
    for _ in range(STARTS_PER_MINUTE_MAX):
        process = rig.lanes.process_id
        os.kill(process, signal.SIGKILL)
        eventually(lambda process=process: rig.lanes.process_id != process or rig.lanes.gave_up, "its end is noticed")
    assert rig.lanes.gave_up
    rig.read(1, 0, 0)
    (failed,) = rig.until_ended(1)
    assert failed.code == "disk"


def test_a_part_that_one_process_refuses_is_open_in_none(rig, tmp_path):
    """A pool of two opens a part in both or in neither: a descriptor left open would keep its bytes for ever."""
    gone = Rig(tmp_path / "other", rig.server, make=LaneLink)
    gone.lanes.close()
    pool = LanePool((rig.lanes, gone.lanes))
    with pytest.raises(OSError, match="not running"):
        pool.attach(PartId(7), str(rig.path), SIZE)
    assert not open_in(rig.lanes.process_id, rig.path, times=2)


def open_in(process, path, *, times):
    """Whether a process has the file open so often."""
    links = [str(entry.readlink()) for entry in Path(f"/proc/{process}/fd").iterdir()]
    return links.count(str(path)) >= times


def test_closing_ends_the_process(tmp_path, server):
    """Nothing is left running."""
    rig = Rig(tmp_path, server, make=LaneLink)
    process = rig.lanes.process_id
    rig.lanes.close()
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
    rig.read(1, 0, 0)
    (failed,) = rig.until_ended(1)
    assert failed.code == "closed"


TAGS = st.builds(Tag, job_id=st.just(JOB), transfer=st.integers(1, 1 << 40).map(TransferId))
DIGESTS = st.binary(min_size=32, max_size=32)
EVENTS = st.one_of(
    st.builds(PeerConnected, transfer=st.just(TransferId(1))),
    st.builds(TransferEnded, transfer=st.just(TransferId(1))),
    st.builds(
        TransferFailed,
        transfer=st.just(TransferId(1)),
        code=st.sampled_from(["stalled", "busy", "disk"]),
        message=st.text(max_size=200),
        retry_after_s=st.none() | st.floats(0, 1e6),
        errno_name=st.sampled_from(["", "ENOSPC", "EIO"]),
    ),
    st.builds(
        ChunkArrived,
        transfer=st.just(TransferId(1)),
        chunk=st.integers(0, 1 << 20).map(ChunkIndex),
        digest=DIGESTS,
        matches=st.sampled_from([None, True, False]),
        bytes_received=st.integers(0, 1 << 24),
        duration_s=st.floats(0, 1e6),
    ),
)
ORDERS = st.builds(
    ReadRange,
    tag=TAGS,
    part=st.integers(1, 1000).map(PartId),
    request=st.builds(
        ByteRequest,
        endpoint=st.builds(
            Endpoint,
            host=st.text(min_size=1, max_size=20),
            port=st.integers(1, 65535),
            tls=st.booleans(),
            pin=st.none() | st.just(PeerId("A" * 43)),
        ),
        target=st.text(max_size=40),
        headers=st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5)), max_size=3).map(tuple),
    ),
    size=st.integers(1, 1 << 34),
    first=st.integers(0, 5).map(ChunkIndex),
    last=st.integers(5, 9).map(ChunkIndex),
    expected=st.none() | st.lists(DIGESTS, max_size=4).map(tuple),
    pieces=st.none()
    | st.builds(
        ChunkPieces,
        length_bytes=st.integers(1, 1 << 20),
        sha256=st.lists(st.lists(DIGESTS, max_size=3).map(tuple), max_size=3).map(tuple),
    ),
)


@given(st.lists(EVENTS, max_size=6), st.integers(1, 50))
def test_events_cross_the_border_whole(events, step):
    """Whatever happened comes out as it went in, however the stream is cut."""
    told = [LaneEvent(tag=Tag(job_id=JOB, transfer=event.transfer), event=event) for event in events]
    stream = b"".join(pack(event_fields(each)) for each in told)
    unpacker = Unpacker()
    found = [event_of(fields) for at in range(0, len(stream), step) for fields in unpacker.feed(stream[at : at + step])]
    assert found == told


@given(ORDERS)
def test_orders_cross_the_border_whole(order):
    """The other process reads what was asked, to the last header."""
    (fields,) = Unpacker().feed(pack(order_fields(order)))
    assert order_of(fields) == order


@given(st.frozensets(st.integers(0, CHUNKS_MAX - 1), max_size=50))
def test_sets_of_chunks_cross_the_border_whole(chunks):
    """As bits: thousands of neighbours are a short word."""
    assert chunks_of(chunks_field(chunks)) == chunks


@pytest.mark.parametrize("field", ["", "xyz", "-1", f"{1 << CHUNKS_MAX:x}"])
def test_chunks_that_no_file_has_are_refused(field):
    """What is no set of chunks is a broken frame like any other."""
    with pytest.raises(BrokenFrameError):
        chunks_of(field)


@given(st.binary(max_size=60))
def test_what_is_no_frame_is_refused(data):
    """A process that was taken over can say nonsense, and only that."""
    unpacker = Unpacker()
    try:
        for fields in unpacker.feed(len(data).to_bytes(4, "big") + data):
            event_of(fields)
    except BrokenFrameError as refused:
        assert str(refused)  # noqa: PT017 - some bytes are frames, most are not; both are fine here


def test_a_frame_without_end_is_refused_before_it_is_kept():
    """The length is bounded before anything is stored for it."""
    with pytest.raises(BrokenFrameError, match="a frame of"):
        list(Unpacker().feed((FRAME_BYTES_MAX + 1).to_bytes(4, "big")))


def test_events_wait_in_no_queue_of_ours(rig):
    """Every event of a whole file arrives, in the order of its chunks."""
    rig.read(1, 0, COUNT - 1)
    chunks = [event.chunk for event in rig.until_ended(1) if isinstance(event, ChunkArrived)]
    assert chunks == list(range(COUNT))
    with pytest.raises(queue.Empty):
        rig.events.get_nowait()
