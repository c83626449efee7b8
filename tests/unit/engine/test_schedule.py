"""Choosing chunks for a peer, one choice at a time."""

import math

import pytest
from drawn_plans import plan_of

from reconciler.engine.events import TransferId
from reconciler.engine.peers import Peer
from reconciler.engine.schedule import (
    LEASE_BYTES_MAX,
    Fetching,
    Lease,
    Outlook,
    chunks_to_take,
    next_lease,
    overdue,
    request_bytes,
    wants_more,
)
from reconciler.engine.transfers import Transfer
from reconciler.ids import ChunkIndex, TrackPosition
from reconciler.overlay.merkle import CHUNK_BYTES
from reconciler.sources.base import Endpoint, Etiquette, Offer, PeerKey, Variant


def peer_of(name, *, chunks_per_s=4.0, sequential=False) -> Peer:
    etiquette = Etiquette(requests_in_flight_max=1 if sequential else 4, sequential=sequential)
    peer = Peer(key=PeerKey(f"overlay:{name}"), name=name, source="overlay", etiquette=etiquette)
    for _ in range(20):
        if chunks_per_s:
            peer.delivered(bytes_received=CHUNK_BYTES, duration_s=1 / chunks_per_s)
    return peer


def offer_of(peer, *, position=1, holds=None) -> Offer:
    return Offer(
        position=TrackPosition(position),
        peer=peer.key,
        source="overlay",
        variant=Variant(root=None, size=1),
        endpoint=Endpoint(host="127.0.0.1", port=1, tls=False),
        target="/",
        holds=holds,
    )


def track_of(drawn, *offers, position=1, hashed=True) -> Fetching:
    plan = plan_of(drawn)
    return Fetching(
        position=TrackPosition(position),
        part_id="part",
        plan=plan,
        offers={offer.peer: offer for offer in offers},
        chunk_hashes=(b"",) * plan.count if hashed else None,
    )


def run_of(lease):
    return (lease.track.position, lease.first, lease.last) if lease else None


def begun(track, peer, first, last, *, identity=1, now=0.0) -> Transfer:
    """A request under way, and in the peer's account."""
    transfer = Transfer.begin(
        TransferId(identity),
        track.offers[peer.key],
        plan=track.plan,
        first=ChunkIndex(first),
        last=ChunkIndex(last),
        ahead=0,
        now=now,
        grace_s=15.0,
    )
    track.plan.request(transfer.id, transfer.first, transfer.last)
    peer.transfers.add(transfer.id)
    peer.moved_s = now
    return transfer


def late_end(transfer, track, peer, *, now=0.0):
    return overdue(transfer, track, transfers={transfer.id: transfer}, peer=peer, silent=(), now=now)


@pytest.mark.parametrize(
    ("chunks_per_s", "left_bytes", "asked_bytes"),
    [
        pytest.param(4.0, 10**9, 4 * CHUNK_BYTES, id="a second of it"),
        pytest.param(0.5, 10**9, CHUNK_BYTES / 2, id="less than a chunk"),
        pytest.param(1000.0, 10**10, LEASE_BYTES_MAX, id="16 MiB at most"),
        pytest.param(40.0, 10**6, 0.4 * 10**6, id="its part of the rest"),
    ],
)
def test_a_request_is_about_a_second_and_near_the_end_a_part_of_the_rest(chunks_per_s, left_bytes, asked_bytes):
    """A second at the peer's speed, 16 MiB at most; near the end its share, so that all finish together."""
    peer = peer_of("a", chunks_per_s=chunks_per_s)
    outlook = Outlook(left_bytes=left_bytes, bytes_per_s=100 * CHUNK_BYTES)
    size = request_bytes(peer, owed_bytes=0, usable_bytes_per_s=peer.throughput_bytes_per_s, outlook=outlook)
    assert size == pytest.approx(asked_bytes)


def test_more_is_asked_for_before_a_pipe_runs_dry():
    """Half a second ahead and the round trip; a stranger and a stream only when they owe nothing."""
    peer = peer_of("a", chunks_per_s=10.0)
    assert wants_more(peer, owed_bytes=4 * CHUNK_BYTES, chunk_bytes=CHUNK_BYTES)
    assert not wants_more(peer, owed_bytes=6 * CHUNK_BYTES, chunk_bytes=CHUNK_BYTES)
    peer.lead_s = 0.3
    assert wants_more(peer, owed_bytes=6 * CHUNK_BYTES, chunk_bytes=CHUNK_BYTES)
    stream = peer_of("s", sequential=True)
    assert wants_more(stream, owed_bytes=0, chunk_bytes=CHUNK_BYTES)
    assert not wants_more(stream, owed_bytes=1, chunk_bytes=CHUNK_BYTES)


def test_tracks_are_filled_in_their_order():
    """The next track is touched when nothing of the first is missing that the peer has."""
    peer = peer_of("a")
    full = track_of("Vr", offer_of(peer))
    partial = track_of("...", offer_of(peer, position=2, holds=frozenset({1})), position=2)
    assert run_of(next_lease([full, partial], peer, bytes_max=4 * CHUNK_BYTES)) == (2, 1, 1)
    assert next_lease([full], peer, bytes_max=CHUNK_BYTES) is None


def test_a_stream_is_asked_from_the_first_missing_chunk_to_the_end():
    """It cannot be asked for ranges: what lies between comes again; a track that is streamed already is left alone."""
    stream = peer_of("s", sequential=True)
    track = track_of("Vr.V.", offer_of(stream))
    assert run_of(next_lease([track], stream, bytes_max=CHUNK_BYTES)) == (1, 2, 4)
    assert next_lease([track], stream, bytes_max=CHUNK_BYTES, streamed={TrackPosition(1)}) is None


def test_a_fast_peer_takes_the_end_of_a_slow_one_so_that_both_finish_together():
    """Ten chunks at one a second, taken over at nine a second: nine of them."""
    slow, fast = peer_of("slow", chunks_per_s=1.0), peer_of("fast", chunks_per_s=9.0)
    track = track_of("." * 10, offer_of(slow), offer_of(fast))
    late = late_end(begun(track, slow, 0, 9), track, slow)
    assert late.last_s == pytest.approx(10.0)
    taken = chunks_to_take(late, fast, owed_bytes=0)
    assert (taken[0], taken[-1]) == (1, 9)


def test_little_is_gained_nothing_is_asked_twice():
    """A second holder that would save less than a third stays idle."""
    one, other = peer_of("one", chunks_per_s=1.0), peer_of("other", chunks_per_s=1.2)
    track = track_of(".", offer_of(one), offer_of(other))
    assert chunks_to_take(late_end(begun(track, one, 0, 0), track, one), other, owed_bytes=0) is None


def test_a_late_peer_is_expected_to_stay_late():
    """A chunk that should have come in a second and has not in ten is not expected in the next."""
    late, idle = peer_of("late", chunks_per_s=1.0), peer_of("idle", chunks_per_s=0.2)
    track = track_of(".", offer_of(late), offer_of(idle))
    transfer = begun(track, late, 0, 0)
    assert chunks_to_take(late_end(transfer, track, late, now=0.5), idle, owed_bytes=0) is None
    assert chunks_to_take(late_end(transfer, track, late, now=10.0), idle, owed_bytes=0) == range(1)


def test_a_request_in_a_line_may_take_for_ever():
    """Whoever is idle takes what waits in another's line, as much as one request may hold."""
    queued, idle = peer_of("queued", sequential=True), peer_of("idle")
    track = track_of("." * 5, offer_of(queued), offer_of(idle))
    transfer = begun(track, queued, 0, 4)
    transfer.in_line(3, now=0.0)
    late = late_end(transfer, track, queued)
    assert math.isinf(late.last_s)
    assert chunks_to_take(late, idle, owed_bytes=0) == range(5)


def test_unverified_chunks_are_taken_over_whole_and_only_for_much():
    """Two answers for one chunk could differ: the first request ends, which must be worth a new connection."""
    slow, fast = peer_of("slow", chunks_per_s=1.0), peer_of("fast", chunks_per_s=20.0)
    track = track_of("." * 3, offer_of(slow), offer_of(fast), hashed=False)
    transfer = begun(track, slow, 0, 2)
    assert chunks_to_take(late_end(transfer, track, slow), fast, owed_bytes=0) == range(3)
    near = track_of(".", offer_of(slow), offer_of(fast), hashed=False)
    slow.transfers.clear()
    soon = late_end(begun(near, slow, 0, 0, now=0.0), near, slow, now=0.6)
    assert chunks_to_take(soon, fast, owed_bytes=0) is None


def test_a_partial_holder_takes_over_only_what_it_has():
    """The last run that it holds, and nothing where it holds none."""
    slow, part = peer_of("slow", chunks_per_s=1.0), peer_of("part", chunks_per_s=50.0)
    held = frozenset({2, 3, 5})
    track = track_of("." * 7, offer_of(slow), offer_of(part, holds=held))
    late = late_end(begun(track, slow, 0, 6), track, slow)
    assert chunks_to_take(late, part, owed_bytes=0) == range(5, 6)
    nothing = track_of("." * 7, offer_of(slow), offer_of(part, holds=frozenset({40})))
    slow.transfers.clear()
    assert chunks_to_take(late_end(begun(nothing, slow, 0, 6), nothing, slow), part, owed_bytes=0) is None


def test_a_lease_knows_the_hashes_of_its_chunks():
    """What the lane compares with is cut out of the track's list."""
    peer = peer_of("a")
    track = track_of("..", offer_of(peer))
    lease = next_lease([track], peer, bytes_max=CHUNK_BYTES)
    assert isinstance(lease, Lease)
    assert lease.track.expected(lease.first, lease.last) == (b"",)
    assert track_of("..", offer_of(peer), hashed=False).expected(ChunkIndex(0), ChunkIndex(1)) is None
