"""What peers are known for: how it fades, joins, bans, and what a new job begins with."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.engine import reputation
from reconciler.engine.commons import STRANGER, Prior
from reconciler.engine.reputation import (
    BAN_FIRST_S,
    BAN_LONGEST_S,
    HALF_LIFE_S,
    STRIKES_KEPT_S,
    Book,
    Sight,
    banned,
    error_rate,
    has_strikes,
    is_banned,
    merged,
    prior,
    throughput_bytes_per_s,
    timeout_rate,
)
from reconciler.sources.base import PeerKey
from reconciler.state.reputations import Reputation

NOW = 1_790_000_000.0
DAY = 86_400.0
PEER = PeerKey("overlay:" + "A" * 43)
GOOD = Sight(bytes_timed=64 << 20, seconds=8.0, chunks_good=64)


def known(sight=GOOD, now=NOW):
    """A peer after one job that saw this."""
    return merged(None, PEER, sight, now)


def test_what_one_job_saw_is_what_is_known():
    """Speed is bytes by seconds; rates are of all answers."""
    found = known(Sight(bytes_timed=8_000_000, seconds=4.0, chunks_good=30, errors=6, timeouts=3, chunks_refused=1))
    assert throughput_bytes_per_s(found) == 2e6
    assert (error_rate(found), timeout_rate(found)) == (7 / 40, 3 / 40)
    assert (found.chunks_good, found.chunks_refused, found.last_seen) == (30, 1, NOW)


def test_a_week_halves_what_was_seen_and_counts_stay():
    """After two weeks the newest job weighs four times as much as the one before it."""
    slow = Sight(bytes_timed=1_000_000, seconds=10.0, chunks_good=10)
    fast = Sight(bytes_timed=10_000_000, seconds=10.0, chunks_good=10)
    found = merged(known(slow), PEER, fast, NOW + 2 * HALF_LIFE_S)
    assert throughput_bytes_per_s(found) == pytest.approx((1_000_000 / 4 + 10_000_000) / (10 / 4 + 10))
    assert found.recent_good == 12.5
    assert found.chunks_good == 20


def test_a_clock_that_was_set_back_fades_nothing():
    """Time that runs backwards neither fades nor strengthens what was seen."""
    found = merged(known(), PEER, Sight(), NOW - 30 * DAY)
    assert found.recent_good == GOOD.chunks_good


@given(
    st.lists(
        st.tuples(
            st.floats(0, 400 * DAY),
            st.integers(0, 10**12),
            st.floats(0, 1e6),
            st.integers(0, 10**6),
            st.integers(0, 10**6),
            st.integers(0, 10**6),
        ),
        max_size=20,
    )
)
def test_rates_are_rates_and_the_speed_is_between_the_slowest_and_the_fastest(jobs):
    """Whatever jobs see in whatever order of time."""
    found, speeds = None, []
    for at, size, seconds, good, errors, timeouts in jobs:
        took = seconds + 1e-3
        sight = Sight(bytes_timed=size, seconds=took, chunks_good=good, errors=errors, timeouts=timeouts)
        found = merged(found, PEER, sight, NOW + at)
        speeds.append(size / took)
        assert 0 <= error_rate(found) <= 1
        assert 0 <= timeout_rate(found) <= 1
        assert error_rate(found) + timeout_rate(found) <= 1 + 1e-9
        assert min(speeds) * 0.999 <= throughput_bytes_per_s(found) <= max(speeds) * 1.001


def test_bans_double_from_a_day_to_thirty():
    """Each lie after the end of the last ban doubles the next."""
    found, now, days = None, NOW, []
    for _ in range(7):
        found = banned(found, PEER, "chunk 3 does not match its hash", now)
        days.append((found.banned_until - now) / DAY)
        now = found.banned_until + 1
    assert days == [1, 2, 4, 8, 16, 30, 30]


def test_one_lie_that_several_jobs_see_is_one_strike():
    """Who is banned already stays banned until the same moment."""
    once = banned(None, PEER, "first", NOW)
    again = banned(once, PEER, "second", NOW + 5)
    assert (again.strikes, again.banned_until, again.ban_reason) == (1, NOW + BAN_FIRST_S, "first")


def test_strikes_are_forgotten_ninety_days_after_the_last_ban():
    """A peer that was honest for so long is banned for a day again, not for two."""
    once = banned(None, PEER, "a bad disk", NOW)
    late = once.banned_until + STRIKES_KEPT_S
    assert has_strikes(once, late - 1)
    assert not has_strikes(once, late)
    assert banned(once, PEER, "again", late).banned_until == late + BAN_FIRST_S


def test_a_ban_from_a_clock_that_was_wrong_does_not_last():
    """An end years ahead was set by a clock that was years ahead."""
    found = banned(None, PEER, "x", NOW + 3650 * DAY)
    assert not is_banned(found, NOW)
    assert is_banned(banned(None, PEER, "x", NOW), NOW + BAN_FIRST_S - 1)
    assert BAN_FIRST_S < BAN_LONGEST_S


def test_a_known_peer_begins_with_its_speed():
    """Until what was seen has faded to less than four chunks."""
    assert prior(known(), NOW).throughput_bytes_per_s == 8 << 20
    four_weeks = 4 * HALF_LIFE_S
    assert prior(known(), NOW + four_weeks).throughput_bytes_per_s == 8 << 20
    assert prior(known(), NOW + four_weeks + 1) == STRANGER


def test_a_peer_that_brought_one_chunk_is_a_stranger_still():
    """One chunk may have come in a burst."""
    assert prior(known(Sight(bytes_timed=1 << 18, seconds=0.01, chunks_good=1)), NOW) == STRANGER


def test_an_unreliable_peer_is_known_for_it_even_where_it_is_a_stranger():
    """Errors and timeouts are remembered from the first on."""
    found = prior(known(Sight(errors=1, timeouts=3)), NOW)
    assert found == Prior(error_rate=0.25, timeout_rate=0.75)


def test_a_liar_is_banned_then_a_stranger_then_known_again():
    """However fast it was: its speed counts again only when its strikes are forgotten."""
    liar = banned(known(), PEER, "chunk 3 does not match its hash", NOW)
    assert prior(liar, NOW + 1).banned == "banned until 2026-09-22T14:13:20Z: chunk 3 does not match its hash"
    after = merged(liar, PEER, GOOD, liar.banned_until + 1)
    assert prior(after, liar.banned_until + 1).throughput_bytes_per_s == 0.0
    assert not prior(after, liar.banned_until + 1).banned
    much_later = liar.banned_until + STRIKES_KEPT_S
    assert prior(merged(after, PEER, GOOD, much_later), much_later).throughput_bytes_per_s > 0


def test_the_book_keeps_the_peers_heard_of_last(monkeypatch):
    """Beyond its bound the one heard of longest ago goes, and the disk is told."""
    monkeypatch.setattr(reputation, "PEERS_KEPT_MAX", 3)
    book = Book([Reputation(peer=f"overlay:{name}", last_seen=NOW) for name in "abcd"])
    assert len(book) == 3
    book.merge({PeerKey("overlay:b"): GOOD}, NOW + 1)
    book.merge({PeerKey("overlay:e"): GOOD}, NOW + 2)
    changed, gone = book.take_changes()
    assert [each.peer for each in changed] == ["overlay:b", "overlay:e"]
    assert gone == {"overlay:a", "overlay:c"}
    assert book.take_changes() == ((), frozenset())


def test_changes_that_the_disk_did_not_take_are_given_out_again():
    """As they are by then."""
    book = Book()
    book.merge({PEER: GOOD}, NOW)
    changed, gone = book.take_changes()
    book.merge({PEER: GOOD}, NOW)
    book.take_changes()
    book.keep_changes(changed, gone)
    ((again,), _) = book.take_changes()
    assert again.chunks_good == 128


def test_a_forgotten_peer_is_a_stranger_and_is_not_written_back():
    """Its ban as well."""
    book = Book()
    assert book.ban(PEER, "lied", NOW)
    assert not book.ban(PEER, "lied", NOW)
    book.forget([PEER, "overlay:never heard of"])
    assert book.prior(PEER, NOW) == STRANGER
    assert book.take_changes() == ((), frozenset())


def test_a_web_server_is_not_banned_across_jobs():
    """A manifest says what it should hold, and may be wrong."""
    book = Book()
    assert not book.ban(PeerKey("http:peer.example.org:80"), "chunk 0 does not match its hash", NOW)
    assert len(book) == 0


@pytest.mark.parametrize("name", ["x" * 500, "lone \ud800 surrogate"])
def test_a_name_that_cannot_be_kept_is_not_kept(name):
    """It would stop the batch that it is in, for ever."""
    book = Book()
    book.merge({PeerKey(f"soulseek:{name}"): GOOD}, NOW)
    assert len(book) == 0


def test_a_reason_is_cut_and_can_be_written():
    """It may quote a stranger."""
    found = banned(None, PEER, "\udc80" * 1000, NOW)
    assert len(found.ban_reason.encode()) == 400
