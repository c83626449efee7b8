"""Shares of the line and of peers among jobs, asked and told by hand."""

import pytest

from reconciler.engine.commons import Ask
from reconciler.engine.shares import BURST_S, REQUEST_S, Shares, weight_of
from reconciler.ids import JobId
from reconciler.sources.base import PeerKey

A, B, C = (JobId(name) for name in "ABC")
P, Q = PeerKey("overlay:p"), PeerKey("overlay:q")
CHUNK = 256 * 1024


def shares(*jobs, cap=0.0, proven=(P, Q)):
    """These jobs with equal priorities, at peers that have brought a chunk already."""
    made = Shares(bandwidth_bytes_per_s=cap)
    for job in jobs:
        made.join(job, priority=0)
        for peer in proven:
            made.may_ask(job, ask(peer), 0.0)
            made.proved(peer)
            made.look(job, peer)
    made.take_wakes()
    return made


def ask(peer=P, *, size=CHUNK, requests_max=2, speed=1e6, streams=False):
    """A request of one chunk."""
    return Ask(
        peer=peer,
        size_bytes=size,
        chunk_bytes=CHUNK,
        throughput_bytes_per_s=speed,
        requests_max=requests_max,
        streams=streams,
    )


def take(made, job, wanted, now=0.0):
    """Ask, and send it where that is allowed; whether it was."""
    granted = made.may_ask(job, wanted, now)
    if granted:
        made.asked(job, wanted, now)
    made.check_invariants()
    return granted


def look(made, job):
    """Have a job look at both peers anew."""
    for peer in (P, Q):
        made.look(job, peer)


def bring(made, job, wanted):
    """All of a request comes, and it is over."""
    made.came(job, wanted, wanted.size_bytes, 0.0)
    made.ended(job, wanted, 0)


def test_priorities_are_shares():
    """Twenty-five points double."""
    assert [weight_of(priority) for priority in (-100, -25, 0, 25, 100)] == [1 / 16, 0.5, 1.0, 2.0, 16.0]


def test_one_job_alone_is_bound_by_the_etiquette_only():
    """As many requests as the peer bears, however much it owes."""
    made = shares(A)
    assert [take(made, A, ask(size=50 * CHUNK)) for _ in range(3)] == [True, True, False]
    assert take(made, A, ask(Q))


def test_two_jobs_together_do_not_ask_a_peer_for_more_than_it_bears():
    """The second waits, and is woken when a request of the first is over."""
    made = shares(A, B)
    assert take(made, A, ask())
    assert take(made, B, ask())
    assert not take(made, B, ask())
    assert made.is_waiting(B)
    assert made.take_wakes() == []
    made.ended(A, ask(), CHUNK)
    assert made.take_wakes() == [B]
    assert made.take_wakes() == []
    assert made.take_calls(B, 0.0) == {P}
    assert made.take_calls(B, 0.0) == frozenset()
    look(made, B)
    assert take(made, B, ask())
    assert not made.is_waiting(B)


def test_a_shared_peer_owes_little_at_a_time():
    """So that the next turn is decided late; alone it may owe as much as its job likes."""
    made = shares(A, B)
    assert take(made, A, ask(requests_max=4, size=8 * CHUNK))
    assert made.is_shared(B, P)
    assert not made.is_shared(A, P)
    assert not take(made, B, ask(requests_max=4))
    made.came(A, ask(), 6 * CHUNK, 0.0)
    assert made.take_wakes() == []
    made.came(A, ask(), CHUNK, 0.0)
    assert made.take_wakes() == [B]
    look(made, B)
    assert take(made, B, ask(requests_max=4))
    assert made.owed_by(P) == 2 * CHUNK
    assert made.owed_by(Q) == 0


def test_a_stranger_is_asked_by_one_job_at_a_time_until_it_proves_itself():
    """So a liar costs one chunk, not one for every job."""
    made = shares(A, B, proven=())
    assert take(made, A, ask())
    assert not take(made, B, ask())
    made.proved(P)
    assert made.take_wakes() == [B]
    look(made, B)
    assert take(made, B, ask())


def test_the_turn_goes_to_the_smaller_share():
    """B has had nothing at this peer: of two that wait it goes first, though it asks later."""
    made = shares(A, B, C)
    for _ in range(2):
        assert take(made, A, ask())
        bring(made, A, ask())
    assert take(made, C, ask(requests_max=1))
    assert not take(made, A, ask(requests_max=1))
    assert not take(made, B, ask(requests_max=1))
    bring(made, C, ask())
    assert made.take_wakes(stepped=C) == [B]
    assert not take(made, A, ask(requests_max=1))
    look(made, B)
    assert take(made, B, ask(requests_max=1))


def test_who_has_lost_interest_lets_the_next_one_go():
    """B is woken, looks, and asks for nothing: then it is A's turn."""
    made = shares(A, B, C)
    assert take(made, C, ask(requests_max=1))
    assert take(made, A, ask(Q))  # A has had something, so B goes before it where both wait
    assert not take(made, A, ask(requests_max=1))
    assert not take(made, B, ask(requests_max=1))
    bring(made, C, ask())
    (first,) = made.take_wakes(stepped=C)
    look(made, first)
    (second,) = made.take_wakes(stepped=first)
    assert {first, second} == {A, B}


def test_a_job_that_ends_frees_all_that_it_had():
    """Requests that were never answered, its place in line, and what it knew of the peer."""
    made = shares(A, B)
    assert take(made, A, ask())
    assert take(made, A, ask())
    assert not take(made, B, ask())
    made.leave(A)
    assert made.take_wakes() == [B]
    made.leave(B)
    assert made.take_wakes() == []
    assert made.owed_by(P) == 0


def test_under_the_cap_a_request_is_a_quarter_of_a_second():
    """Without a cap a peer's speed is its own."""
    assert shares(A).bounded(A, P, 5e6) == 5e6
    assert shares(A, cap=1e6).bounded(A, P, 5e6) == REQUEST_S * 1e6
    assert shares(A, cap=1e9).bounded(A, P, 5e6) == 5e6


def test_at_a_shared_peer_a_request_is_a_quarter_of_a_second():
    """Turns come often, and whoever comes late waits little."""
    made = shares(A, B)
    assert take(made, A, ask())
    assert made.bounded(B, P, 8e6) == 2e6
    assert made.bounded(A, P, 8e6) == 8e6


def test_the_cap_is_paid_for_before_the_next_request():
    """The first in line knows when it is free; the others are woken when they become first."""
    made = shares(A, B, cap=1e6)
    assert take(made, A, ask(size=250_000))
    assert not take(made, A, ask(Q))
    assert not take(made, B, ask(Q))
    assert made.next_turn(A, 0.0) is None
    free = made.next_turn(B, 0.0)
    assert free == pytest.approx(0.25 - BURST_S, abs=1e-4)
    look(made, A)
    assert not take(made, A, ask(Q), now=free), "the cap is free, and it is B's turn"
    assert made.take_calls(A, free) == frozenset()
    assert made.take_calls(B, free) == {Q}
    look(made, B)
    assert take(made, B, ask(Q), now=free)
    assert made.take_wakes(stepped=B) == [A]
    look(made, A)
    assert not take(made, A, ask(Q), now=free)
    assert made.next_turn(A, free) == pytest.approx(free + CHUNK / 1e6, abs=1e-4)


def test_bytes_that_will_not_come_are_given_back():
    """A request that failed costs nothing, and the first in line hears of it."""
    made = shares(A, B, cap=1e6)
    assert take(made, A, ask(size=10 * CHUNK))
    assert not take(made, B, ask(Q))
    assert made.next_turn(B, 0.0) > 2.0
    made.ended(A, ask(), 10 * CHUNK)
    assert made.take_wakes() == [B]
    look(made, B)
    assert take(made, B, ask(Q))


def test_a_stream_is_paid_for_as_it_comes_and_leaves_half_of_the_cap():
    """It cannot be slowed from here; however fast it is, others get their half."""
    made = shares(A, B, cap=1e6)
    song = ask(size=100 * CHUNK, streams=True)
    assert take(made, A, song)
    got, now = 0, 0.0
    while now < 10.0:
        now += 0.1
        made.came(A, song, 200_000, now)  # twice the cap
        look(made, B)
        if take(made, B, ask(Q, size=100_000), now=now):
            got += 100_000
            bring(made, B, ask(Q, size=100_000))
    assert 4e6 < got < 6e6
