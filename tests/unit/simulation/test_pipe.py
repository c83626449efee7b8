"""One simulated connection: what comes out of it, and when."""

import random

import pytest

from reconciler.engine.events import (
    ChunkArrived,
    PeerConnected,
    PeerQueued,
    Read,
    TransferEnded,
    TransferFailed,
    TransferId,
)
from reconciler.ids import ChunkIndex, TrackPosition
from reconciler.overlay.merkle import CHUNK_BYTES
from reconciler.simulation.behaviour import SimPeer
from reconciler.simulation.content import chunk_list, variant_of
from reconciler.simulation.pipe import JITTER, Pipe, Uplink
from reconciler.sources.base import Endpoint, Offer

SIZE = 20 * CHUNK_BYTES
STALL_S = 15.0


def read(transfer, first, last, *, hashed=True) -> Read:
    peer = SimPeer(name="p")
    offer = Offer(
        position=TrackPosition(1),
        peer=peer.key,
        source="overlay",
        variant=variant_of(1, SIZE),
        endpoint=Endpoint(host="127.0.0.1", port=1, tls=False),
        target="/",
    )
    expected = chunk_list(1, SIZE)[first : last + 1] if hashed else None
    return Read(
        transfer=TransferId(transfer),
        offer=offer,
        part_id=offer.variant.id,
        first=ChunkIndex(first),
        last=ChunkIndex(last),
        expected=expected,
    )


def pipe_of(*, uplink=None, **traits) -> Pipe:
    """A pipe to a peer that sends four chunks a second and is 0.1 s away."""
    peer = SimPeer(**{"name": "p", "rate_bytes_per_s": 4 * CHUNK_BYTES, "rtt_s": 0.1, **traits})
    return Pipe(peer, dice=random.Random(1), stall_timeout_s=STALL_S, uplink=uplink or Uplink())


def drained(pipe) -> list:
    """Everything that comes out, with its time."""
    found = []
    while pipe.due_s is not None:
        now = pipe.due_s
        found += [(now, event) for event in pipe.step(now)]
    return found


def kinds(found):
    return [type(event) for _, event in found]


def test_an_answer_takes_a_connection_a_round_trip_and_its_bytes():
    """Connect, ask, two chunks of a quarter of a second, and the end."""
    pipe = pipe_of()
    pipe.ask(read(1, 0, 1), 10.0)
    found = drained(pipe)
    assert kinds(found) == [PeerConnected, ChunkArrived, ChunkArrived, TransferEnded]
    assert found[0][0] == pytest.approx(10.1)
    assert found[1][0] == pytest.approx(10.1 + 0.1 + 0.25, abs=0.25 * JITTER * 1.2)
    assert found[1][1].duration_s == pytest.approx(found[1][0] - 10.1)
    assert found[1][1].matches is True


def test_requests_sent_ahead_hide_the_round_trip():
    """The second answer follows the first without a pause."""
    pipe = pipe_of()
    pipe.ask(read(1, 0, 0), 0.0)
    pipe.ask(read(2, 1, 1), 0.05)
    chunks = [(at, event) for at, event in drained(pipe) if isinstance(event, ChunkArrived)]
    assert chunks[1][0] - chunks[0][0] == pytest.approx(0.25, abs=0.25 * JITTER * 1.2)


def test_wrong_chunks_do_not_match_and_cannot_be_judged_without_hashes():
    """A lie is a mismatch where the hash is known, and passes where it is not."""
    pipe = pipe_of(lies=frozenset({1}))
    pipe.ask(read(1, 0, 1), 0.0)
    pipe.ask(read(2, 1, 1, hashed=False), 0.0)
    assert [event.matches for _, event in drained(pipe) if isinstance(event, ChunkArrived)] == [True, False, None]


def test_ending_the_answer_in_hand_ends_the_connection():
    """The one behind it has had no turn, and the next request connects anew."""
    pipe = pipe_of()
    pipe.ask(read(1, 0, 5), 0.0)
    pipe.ask(read(2, 6, 7), 0.0)
    pipe.step(pipe.due_s)
    ended = pipe.cancel(TransferId(1), 0.3)
    assert [(event.transfer, event.code) for event in ended] == [(1, "cancelled"), (2, "closed")]
    assert pipe.due_s is None
    pipe.ask(read(3, 0, 0), 0.3)
    assert kinds(drained(pipe))[0] is PeerConnected


def test_ending_a_later_request_leaves_its_bytes_coming():
    """Its chunks come and it ends as cancelled: that is how a connection with several requests is."""
    pipe = pipe_of()
    pipe.ask(read(1, 0, 0), 0.0)
    pipe.ask(read(2, 1, 1), 0.0)
    assert pipe.cancel(TransferId(2), 0.0) == []
    found = drained(pipe)
    assert kinds(found) == [PeerConnected, ChunkArrived, TransferEnded, ChunkArrived, TransferFailed]
    assert found[-1][1].code == "cancelled"


@pytest.mark.parametrize("traits", [{"silent_from_s": 0.3}, {"loses": 1.0}], ids=str)
def test_silence_ends_with_the_stall_timeout(traits):
    """Nothing comes; fifteen seconds later the request has stalled."""
    pipe = pipe_of(**traits)
    pipe.ask(read(1, 0, 3), 0.0)
    at, last = drained(pipe)[-1]
    assert last.code == "stalled"
    assert STALL_S < at < STALL_S + 0.5


def test_a_peer_that_leaves_breaks_off_and_cannot_be_reached_until_it_is_back():
    """Cut short, then unreachable, then as before."""
    pipe = pipe_of(gone_from_s=1.0, back_at_s=5.0)
    pipe.ask(read(1, 0, 9), 0.0)
    at, last = drained(pipe)[-1]
    assert (at, last.code) == (1.0, "cut short")
    pipe.ask(read(2, 5, 5), 2.0)
    assert [(at, event.code) for at, event in drained(pipe)] == [(2.0, "unreachable")]
    pipe.ask(read(3, 5, 5), 5.0)
    assert kinds(drained(pipe))[-1] is TransferEnded


def test_a_reset_breaks_within_a_chunk():
    """With a chance of one the first chunk never comes whole."""
    pipe = pipe_of(resets=1.0)
    pipe.ask(read(1, 0, 1), 0.0)
    found = drained(pipe)
    assert kinds(found) == [PeerConnected, TransferFailed]
    assert found[-1][1].code == "cut short"


def test_a_peer_with_a_line_lets_each_request_wait_first():
    """Queued at once, the first byte a minute later."""
    pipe = pipe_of(line_s=60.0)
    pipe.ask(read(1, 0, 0), 0.0)
    found = drained(pipe)
    assert kinds(found) == [PeerConnected, PeerQueued, ChunkArrived, TransferEnded]
    assert found[2][0] > 60


def test_connections_to_one_peer_share_what_it_sends_with():
    """Chunk by chunk in turn: together they take as long as one would for both."""
    uplink = Uplink()
    pipes = [pipe_of(uplink=uplink) for _ in range(2)]
    for transfer, pipe in enumerate(pipes):
        pipe.ask(read(transfer, 0, 7), 0.0)
    came = []
    while due := [pipe for pipe in pipes if pipe.due_s is not None]:
        pipe = min(due, key=lambda each: each.due_s)
        now = pipe.due_s
        came += [(now, event.transfer) for event in pipe.step(now) if isinstance(event, ChunkArrived)]
    assert [transfer for _, transfer in came] == [0, 1] * 8
    assert came[-1][0] == pytest.approx(0.2 + 16 / 4, rel=JITTER)


def test_a_connection_that_ends_frees_what_its_chunk_would_have_taken():
    """The next one begins at once."""
    uplink = Uplink()
    first, second = (pipe_of(uplink=uplink) for _ in range(2))
    first.ask(read(1, 0, 3), 0.0)
    first.step(first.due_s)
    assert uplink.free_s == first.due_s
    first.cancel(TransferId(1), 0.21)
    assert uplink.free_s == 0.21
    second.ask(read(2, 0, 3), 0.21)
    second.step(second.due_s)
    assert second.due_s == pytest.approx(0.21 + 0.2 + 1 / 4, abs=0.03)
