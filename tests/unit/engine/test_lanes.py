"""Lanes over real sockets: a small scripted server at the other end, one trick a test."""

import contextlib
import queue
import re
import resource
import socket
import threading

import pytest
from file_server import RequestServer, chunk_hashes

from reconciler.clock import SystemClock
from reconciler.engine.events import ChunkArrived, PeerConnected, TransferEnded, TransferFailed, TransferId
from reconciler.engine.lane_link import LaneLink
from reconciler.engine.lane_orders import PartId, ReadRange, Tag
from reconciler.engine.lane_pool import LanePool
from reconciler.engine.lanes import Lanes
from reconciler.engine.partfile import PartName, PartStore
from reconciler.ids import ChunkIndex, JobId, TrackPosition
from reconciler.overlay.identity import Identity
from reconciler.overlay.merkle import chunk_count, chunk_size
from reconciler.overlay.tls import server_context
from reconciler.sources.base import ByteRequest, Endpoint

SIZE = 1_500_000
CHUNK = chunk_size(SIZE)
COUNT = chunk_count(SIZE)
DATA = (b"abcdefgh" * 40_000 + bytes(range(256)) * 6000)[:SIZE]
HASHES = chunk_hashes(DATA)
JOB = JobId("01HRQ4GSX9K47J7M5FK7VW8B12")
RANGE = re.compile(rb"Range: bytes=(\d+)-(\d+)")


class Server(RequestServer):
    """Answers range requests; `send` may be replaced by a test."""

    def __init__(self, context=None):
        self.connections = 0
        self.requests = []
        self.send = self.good
        super().__init__(context)

    def good(self, connection, first, last):
        self.send_head(connection, first, last)
        connection.sendall(DATA[first : last + 1])
        return True

    @staticmethod
    def send_head(connection, first, last):
        connection.sendall(
            b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes %d-%d/%d\r\nContent-Length: %d\r\n\r\n"
            % (first, last, SIZE, last - first + 1)
        )

    def _serve(self, plain):
        self.connections += 1
        super()._serve(plain)

    def answer(self, connection, head):
        self.requests.append(head)
        first, last = map(int, RANGE.search(head).groups())
        if not self.send(connection, first, last):
            raise ConnectionAbortedError


class Rig:
    """Lanes, one part, and the events as they come."""

    def __init__(self, tmp_path, server, *, make=Lanes, pin=None, stall_timeout_s=2.0):
        (tmp_path / "music").mkdir(parents=True)
        self.server = server
        self.store = PartStore(parts=tmp_path / "parts", quarantine=tmp_path / "q")
        self.name = PartName(job_id=JOB, position=TrackPosition(1), part_id="a root")
        self.root = tmp_path / "music"
        self.path, _ = self.store.open(self.name, allowed_root=self.root, variant_id="v", size=SIZE)
        self.events = queue.Queue()
        self.lanes = make(post=self.take, clock=SystemClock(), stall_timeout_s=stall_timeout_s)
        self.part = PartId(1)
        self.lanes.attach(self.part, str(self.path), SIZE)
        self.endpoint = Endpoint(host="127.0.0.1", port=server.port, tls=pin is not None, pin=pin)

    def take(self, events):
        for event in events:
            self.events.put(event)

    def read(self, transfer, first, last, expected=HASHES):
        self.lanes.read(
            ReadRange(
                tag=Tag(job_id=JOB, transfer=TransferId(transfer)),
                part=self.part,
                request=ByteRequest(endpoint=self.endpoint, target="/f", headers=()),
                size=SIZE,
                first=ChunkIndex(first),
                last=ChunkIndex(last),
                expected=None if expected is None else expected[first : last + 1],
            )
        )

    def until_ended(self, *transfers):
        """Every event up to the end of these transfers."""
        seen, open_ones = [], set(transfers)
        while open_ones:
            event = self.events.get(timeout=60).event
            seen.append(event)
            if isinstance(event, TransferEnded | TransferFailed):
                open_ones.discard(event.transfer)
        return seen


@pytest.fixture
def server():
    server = Server()
    yield server
    server.close()


def pool(**given):
    """Two lane processes behind one byte path."""
    return LanePool((LaneLink(**given), LaneLink(**given)))


@pytest.fixture(params=[Lanes, LaneLink, pool], ids=["in this process", "in a process of its own", "in two"])
def make(request):
    """Both byte paths keep the same contract."""
    return request.param


@pytest.fixture
def rig(tmp_path, server, make):
    rig = Rig(tmp_path, server, make=make)
    yield rig
    rig.lanes.close()


def kinds(events):
    return [type(event).__name__ for event in events]


def test_a_range_becomes_verified_chunks_on_disk(rig):
    """Connect, one event a chunk, the end; the bytes are in their place."""
    rig.read(1, 0, COUNT - 1)
    events = rig.until_ended(1)
    assert kinds(events) == ["PeerConnected", *["ChunkArrived"] * COUNT, "TransferEnded"]
    assert all(event.matches for event in events if isinstance(event, ChunkArrived))
    assert rig.lanes.detach(rig.part) == set(range(COUNT)), "each was read from the disk again"
    assert rig.path.read_bytes() == DATA


def test_requests_share_a_connection_and_are_sent_ahead(rig, server):
    """Several orders of one peer: one connection, answered in order."""
    for index in range(COUNT):
        rig.read(index + 1, index, index)
    events = rig.until_ended(*range(1, COUNT + 1))
    assert server.connections == 1
    assert [event.chunk for event in events if isinstance(event, ChunkArrived)] == list(range(COUNT))


def test_a_wrong_chunk_is_reported_and_not_written(rig, server):
    """The bytes of a lie never reach the disk."""

    def lie(connection, first, last):
        body = bytearray(DATA[first : last + 1])
        body[7] ^= 1
        connection.sendall(
            b"HTTP/1.1 206 P\r\nContent-Range: bytes %d-%d/%d\r\nContent-Length: %d\r\n\r\n"
            % (first, last, SIZE, len(body))
        )
        connection.sendall(body)
        return True

    server.send = lie
    rig.read(1, 0, 1)
    verdicts = [event.matches for event in rig.until_ended(1) if isinstance(event, ChunkArrived)]
    assert verdicts == [False, True]
    rig.lanes.detach(rig.part)
    assert rig.path.read_bytes()[:CHUNK] == bytes(CHUNK)


def test_without_expected_hashes_a_chunk_is_written_and_its_hash_told(rig):
    """Provisional bytes: kept, with what they hash to."""
    rig.read(1, 1, 1, expected=None)
    (arrived,) = [event for event in rig.until_ended(1) if isinstance(event, ChunkArrived)]
    assert (arrived.matches, arrived.digest) == (None, HASHES[1])
    assert rig.lanes.detach(rig.part) == set(), "another peer's may yet be written over it"


def cut(connection, first, last):
    connection.sendall(
        b"HTTP/1.1 206 P\r\nContent-Range: bytes %d-%d/%d\r\nContent-Length: %d\r\n\r\nabc"
        % (first, last, SIZE, last - first + 1)
    )
    return False


def whole(connection, first, last):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE)
    return True


def endless_head(connection, first, last):
    for _ in range(400):
        connection.sendall(b"X-Filler: " + b"a" * 100 + b"\r\n")
    return False


def busy(connection, first, last):
    connection.sendall(b"HTTP/1.1 429 Later\r\nRetry-After: 3\r\nContent-Length: 0\r\n\r\n")
    return True


def silent(connection, first, last):
    connection.recv(1)
    return False


@pytest.mark.parametrize(
    ("answer", "code"),
    [(cut, "cut short"), (whole, "no ranges"), (endless_head, "bad answer"), (busy, "busy"), (silent, "stalled")],
)
def test_each_way_to_fail_has_its_code(tmp_path, server, make, answer, code):
    """What went wrong decides what is done about it."""
    server.send = answer
    rig = Rig(tmp_path, server, make=make, stall_timeout_s=0.3)
    rig.read(1, 0, 0)
    *_, failed = rig.until_ended(1)
    assert isinstance(failed, TransferFailed)
    assert failed.code == code
    assert failed.retry_after_s == (3.0 if code == "busy" else None)
    rig.lanes.close()


def test_nobody_there_is_unreachable(tmp_path, server):
    """A refused connection is told as such."""
    rig = Rig(tmp_path, server)
    server.close()
    gone = socket.create_server(("127.0.0.1", 0))
    rig.endpoint = Endpoint(host="127.0.0.1", port=gone.getsockname()[1], tls=False)
    gone.close()
    rig.read(1, 0, 0)
    (failed,) = rig.until_ended(1)
    assert failed.code == "unreachable"
    rig.lanes.close()


def test_a_closed_connection_between_answers_is_nobodys_fault(rig, server):
    """A server may close after an answer: the next order dials again."""

    def once(connection, first, last):
        server.good(connection, first, last)
        return False

    server.send = once
    rig.read(1, 0, 0)
    rig.until_ended(1)
    rig.read(2, 1, 1)
    events = rig.until_ended(2)
    if isinstance(events[-1], TransferFailed):
        assert events[-1].code == "closed"
        rig.read(3, 1, 1)
        events = rig.until_ended(3)
    assert isinstance(events[-1], TransferEnded)


def test_cancelling_ends_a_transfer_that_hangs(rig, server):
    """Another thread can end a read at once, and the lane goes on with the next order."""
    reached = threading.Event()

    def hang(connection, first, last):
        if first == 0:
            reached.set()
            connection.recv(1)
            return False
        return server.good(connection, first, last)

    server.send = hang
    rig.read(1, 0, 0)
    assert reached.wait(60)
    rig.lanes.cancel(Tag(job_id=JOB, transfer=TransferId(1)))
    *_, failed = rig.until_ended(1)
    assert failed.code == "cancelled"
    rig.read(2, 1, 1)
    assert isinstance(rig.until_ended(2)[-1], TransferEnded)


def test_a_request_behind_another_is_sent_before_the_last_byte_and_no_sooner(rig, server):
    """What was sent cannot be taken back; what was not sent in time costs a round trip."""
    seen = []

    def watch(connection, first, last):
        if first:
            return server.good(connection, first, last)
        half = CHUNK - 10
        server.send_head(connection, first, last)
        connection.sendall(DATA[:half])
        connection.settimeout(0.3)
        try:
            seen.append(connection.recv(1, socket.MSG_PEEK))
        except TimeoutError:
            seen.append(b"")
        connection.settimeout(60)
        connection.sendall(DATA[half : last + 1 - 10])
        seen.append(connection.recv(3, socket.MSG_PEEK))
        connection.sendall(DATA[last + 1 - 10 : last + 1])
        return True

    server.send = watch
    rig.read(1, 0, COUNT - 2)
    rig.read(2, COUNT - 1, COUNT - 1)
    rig.until_ended(1, 2)
    assert seen == [b"", b"GET"]


def test_cancelling_what_was_sent_behind_another_ends_only_itself(rig, server):
    """Its answer is not read to the end: the connection goes, and the next order has a new one."""
    reached, go_on = threading.Event(), threading.Event()

    def slow(connection, first, last):
        if first == 0:
            reached.set()
            go_on.wait(60)
        return server.good(connection, first, last)

    server.send = slow
    for transfer in (1, 2, 3):
        rig.read(transfer, transfer - 1, transfer - 1)
    assert reached.wait(60)
    rig.lanes.cancel(Tag(job_id=JOB, transfer=TransferId(2)))
    rig.lanes.attach(PartId(2), str(rig.path), SIZE)  # answered by each process, and so once it has cancelled
    go_on.set()
    ends = {event.transfer: event for event in rig.until_ended(1, 2, 3) if not isinstance(event, ChunkArrived)}
    assert isinstance(ends[1], TransferEnded)
    assert ends[2].code == "cancelled"
    assert isinstance(ends[3], TransferEnded) or ends[3].code == "closed"


def test_cancelling_what_has_just_come_blames_nobody_for_what_was_sent_behind_it(tmp_path, server):
    """The abort meets a connection on which the next answer has begun: that one was cut short by us."""
    rig = Rig(tmp_path, server)
    plain, first_came, aborted = rig.take, threading.Event(), threading.Event()

    def third_after_the_abort(connection, first, last):
        if first == 2 * CHUNK:
            server.send_head(connection, first, last)
            aborted.wait(60)
        return server.good(connection, first, last)

    def cancel_when_it_came(events):
        plain(events)
        for event in events:
            if event.tag.transfer == 1 and isinstance(event.event, ChunkArrived):
                first_came.wait(60)  # until the other two are queued behind it
            elif event.tag.transfer == 2 and isinstance(event.event, ChunkArrived):
                rig.lanes.cancel(event.tag)
                aborted.set()

    server.send = third_after_the_abort
    rig.lanes.close()
    rig.lanes = Lanes(post=cancel_when_it_came, clock=SystemClock(), stall_timeout_s=2.0)
    rig.lanes.attach(rig.part, str(rig.path), SIZE)
    for transfer in (1, 2, 3):
        rig.read(transfer, transfer - 1, transfer - 1)
    first_came.set()
    ends = {event.transfer: event for event in rig.until_ended(1, 2, 3) if not isinstance(event, ChunkArrived)}
    assert ends[2].code == "cancelled"
    assert isinstance(ends[3], TransferEnded) or ends[3].code == "closed"
    rig.lanes.close()


def test_a_disk_that_refuses_is_told_with_its_errno(tmp_path, server):
    """The job must know whether waiting helps: a full disk is no broken one."""
    rig = Rig(tmp_path, server)
    with files_of_at_most(CHUNK):
        rig.read(1, 1, 1)
        *_, failed = rig.until_ended(1)
    assert (failed.code, failed.errno_name) == ("disk", "EFBIG")
    rig.lanes.close()


@contextlib.contextmanager
def files_of_at_most(size):
    """Let this process write no file beyond `size`: the kernel refuses as a disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_detached_part_is_not_written_to(rig, server):
    """After detach the lanes refuse orders for the part."""
    rig.lanes.detach(rig.part)
    rig.read(1, 0, 0)
    (failed,) = rig.until_ended(1)
    assert failed.code == "cancelled"
    assert rig.path.read_bytes() == bytes(SIZE)


@pytest.fixture
def tls_server():
    identity = Identity.generate(b"s" * 32)
    server = Server(server_context(identity, unix_s=1_790_000_000))
    server.identity = identity
    yield server
    server.close()


def test_over_tls_the_pinned_key_is_met(tmp_path, tls_server, make):
    """The same bytes over TLS 1.3 from the peer that the pin names."""
    rig = Rig(tmp_path, tls_server, make=make, pin=tls_server.identity.id)
    rig.read(1, 0, COUNT - 1)
    events = rig.until_ended(1)
    assert isinstance(events[0], PeerConnected)
    assert isinstance(events[-1], TransferEnded)
    rig.lanes.detach(rig.part)
    assert rig.path.read_bytes() == DATA
    rig.lanes.close()


def test_over_tls_another_key_gets_no_request(tmp_path, tls_server, make):
    """A peer that is not who it should be never learns what we want."""
    rig = Rig(tmp_path, tls_server, make=make, pin=Identity.generate(b"o" * 32).id)
    rig.read(1, 0, 0)
    (failed,) = rig.until_ended(1)
    assert failed.code == "wrong identity"
    assert tls_server.requests == []
    rig.lanes.close()


def test_over_tls_silence_is_a_stall(tmp_path, tls_server):
    """The stall timeout holds inside TLS too."""
    tls_server.send = silent
    rig = Rig(tmp_path, tls_server, pin=tls_server.identity.id, stall_timeout_s=0.3)
    rig.read(1, 0, 0)
    *_, failed = rig.until_ended(1)
    assert failed.code == "stalled"
    rig.lanes.close()


def test_two_peers_fill_one_part_from_two_processes(tmp_path, tls_server):
    """Peers are dealt over the processes, which all write to the same part."""
    other_identity = Identity.generate(b"t" * 32)
    other = Server(server_context(other_identity, unix_s=1_790_000_000))
    rig = Rig(tmp_path, tls_server, make=pool, pin=tls_server.identity.id)
    rig.read(1, 0, 1)
    rig.until_ended(1)
    rig.endpoint = Endpoint(host="127.0.0.1", port=other.port, tls=True, pin=other_identity.id)
    rig.read(2, 2, COUNT - 1)
    assert isinstance(rig.until_ended(2)[-1], TransferEnded)
    assert len({id(path) for path in rig.lanes._home.values()}) == 2
    rig.lanes.detach(rig.part)
    assert rig.path.read_bytes() == DATA
    rig.lanes.close()
    other.close()
