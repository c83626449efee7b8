"""What follows from a whole that is wrong: whom it refutes, what is fetched again, and from whom."""

from dataclasses import replace

from reconciler.engine.doubt import AGREED_TRIES_MAX, Again, Doubt
from reconciler.ids import ChunkIndex, TrackPosition
from reconciler.sources.base import Endpoint, Offer, PeerKey, Variant

A, B, C, D = (PeerKey(f"http:{name}:80") for name in "abcd")
ANYBODY = Offer(
    position=TrackPosition(1),
    peer=A,
    source="http",
    variant=Variant(root=None, sha256="ab" * 32, size=1_000_000),
    endpoint=Endpoint(host="a", port=80, tls=False),
    target="/",
)


def digests(text):
    """One letter a chunk: what it hashes to."""
    return {ChunkIndex(n): letter.encode() for n, letter in enumerate(text)}


def givers(*peers):
    """Who gave each chunk; None = an earlier run."""
    return {ChunkIndex(n): peer for n, peer in enumerate(peers) if peer is not None}


def offers(*peers, **changes):
    return {peer: replace(ANYBODY, peer=peer, **changes) for peer in peers}


def step(doubt, text, offered, *, speeds=None, ranges=True):
    return doubt.next_step(
        digests(text), offered, ranges=lambda _: ranges, speed=lambda peer: (speeds or {}).get(peer, 1e6)
    )


def chunks(*numbers):
    return frozenset(ChunkIndex(number) for number in numbers)


def test_who_brought_all_of_a_wrong_whole_is_refuted():
    """Nobody else can have been wrong."""
    doubt = Doubt()
    doubt.heard(digests("xyz"), givers(A, A, A))
    assert doubt.refuted([digests("xyz")]) == [A]
    assert doubt.refuted([digests("xyz")]) == [], "once"


def test_a_wrong_piece_refutes_who_brought_all_of_it():
    """Whoever brought a part of it may have been right, and so may who brought the rest."""
    doubt = Doubt()
    said = digests("xyzu")
    doubt.heard(said, givers(A, B, B, C))
    pieces = [{chunk: said[chunk] for chunk in chunks(*piece)} for piece in ((0, 1), (1, 2))]
    assert doubt.refuted(pieces) == [B]
    again = doubt.next_step(pieces[0] | pieces[1], offers(A, C, D), ranges=lambda _: True, speed=lambda _: 1e6)
    assert again is not None
    assert again.chunks <= chunks(0, 1, 2), "what lies in no wrong piece is right"


def test_a_chunk_that_an_earlier_run_left_clears_everybody():
    """It may be the wrong one, and nobody knows whose it is."""
    doubt = Doubt()
    doubt.heard(digests("xyz"), givers(A, A, None))
    assert doubt.refuted([digests("xyz")]) == []


def test_every_chunk_gets_a_second_opinion_from_somebody_else():
    """All peers at work, none asked for what it gave before."""
    doubt = Doubt()
    doubt.heard(digests("xyzu"), givers(A, B, C, D))
    again = step(doubt, "xyzu", offers(A, B, C, D))
    assert again == Again(chunks=chunks(0, 1, 2, 3), only=None)
    limited = doubt.unheard(again, offers(A, B, C, D), count=4)
    assert {peer: offer.holds for peer, offer in limited.items()} == {
        A: chunks(1, 2, 3),
        B: chunks(0, 2, 3),
        C: chunks(0, 1, 3),
        D: chunks(0, 1, 2),
    }


def test_only_what_two_do_not_agree_on_needs_a_third():
    """Chunk 1 is another now; the others are as before."""
    doubt = Doubt()
    doubt.heard(digests("xyz"), givers(A, A, B))
    doubt.heard(digests("xYz"), givers(B, C, C))
    again = step(doubt, "xYz", offers(A, B, C, D))
    assert again == Again(chunks=chunks(1), only=None)
    assert doubt.unheard(again, offers(A, B, D), count=3)[A].holds == chunks(0, 2)
    assert doubt.unheard(again, offers(A, B, D), count=3)[D].holds is None


def test_partial_holders_are_asked_for_what_they_hold():
    """And a chunk that nobody else holds is not fetched again."""
    doubt = Doubt()
    doubt.heard(digests("xyz"), givers(A, A, A))
    doubt.heard(digests("xyz"), givers(None, None, D))
    again = step(doubt, "xyz", offers(A, holds=chunks(0, 1, 2)) | offers(B, holds=chunks(1, 2)))
    assert again == Again(chunks=chunks(1), only=None)


def test_of_two_peers_the_sooner_done_brings_the_rest_alone():
    """What it gave already stays; either the whole is right then, or it is refuted."""
    doubt = Doubt()
    doubt.heard(digests("xyz"), givers(A, B, B))
    assert step(doubt, "xyz", offers(A, B)) == Again(chunks=chunks(0), only=B)
    assert step(doubt, "xyz", offers(A, B), speeds={A: 9e6}) == Again(chunks=chunks(1, 2), only=A)
    doubt.heard(digests("xYZ"), givers(A, A, A))
    assert doubt.refuted([digests("xYZ")]) == [A]
    assert step(doubt, "xYZ", offers(B)) == Again(chunks=chunks(0, 1, 2), only=B), "nothing of A's word counts"


def test_a_slow_peer_is_not_waited_for():
    """Where only it could tell more, a fast one brings the rest alone."""
    doubt = Doubt()
    doubt.heard(digests("xyzu"), givers(A, A, B, B))
    doubt.heard(digests("XYZU"), givers(B, B, A, A))
    assert step(doubt, "XYZU", offers(A, B, C)) == Again(chunks=chunks(0, 1), only=A)
    fast = {C: 4e6, D: 4e6}
    assert step(doubt, "XYZU", offers(A, B, C, D), speeds=fast) == Again(chunks=chunks(0, 1, 2, 3), only=None)


def test_who_sends_streams_gives_no_second_opinions():
    """A stream runs over what is here; it can only bring all of it."""
    doubt = Doubt()
    doubt.heard(digests("xyz"), givers(A, B, C))
    again = step(doubt, "xyz", offers(A, B, C), ranges=False)
    assert again is not None
    assert again.only == A


def test_where_only_parts_can_be_had_that_tell_nothing_new_there_is_no_next_step():
    """Where nobody can be asked at all, somebody may yet be found."""
    doubt = Doubt()
    doubt.heard(digests("xy"), givers(A, B))
    assert step(doubt, "xy", {}) == Again(chunks=chunks(0, 1), only=None)
    assert step(doubt, "xy", offers(A, holds=chunks(0))) is None


def test_who_said_otherwise_is_named_once_the_whole_is_right():
    """With the first of its wrong chunks; who was right, or silent, is not."""
    doubt = Doubt()
    doubt.heard(digests("xyz"), givers(A, B, B))
    doubt.heard(digests("Xyz"), givers(C, None, None))
    assert doubt.liars(digests("XyZ")) == {A: 0, B: 2}


def test_peers_that_all_agree_on_a_wrong_whole_are_not_all_asked():
    """Mirrors that have replaced a file agree for ever."""
    doubt = Doubt()
    peers = [PeerKey(f"http:{n}:80") for n in range(12)]
    said = givers(*(peers[n % 12] for n in range(12)))
    doubt.heard(digests("x" * 12), said)
    copies = 0
    for turn in range(50):
        for liar in doubt.refuted([digests("x" * 12)]):
            peers.remove(liar)
        again = step(doubt, "x" * 12, offers(*peers))
        if again is None:
            break
        copies += again.only is not None
        limited = doubt.unheard(again, offers(*peers), count=12)
        said = {}
        for chunk in again.chunks:
            willing = [peer for peer in peers if limited[peer].holds is None or chunk in limited[peer].holds]
            said[chunk] = again.only or willing[(chunk + turn) % len(willing)]
        doubt.heard(digests("x" * 12), said)
    assert again is None
    assert copies == AGREED_TRIES_MAX
