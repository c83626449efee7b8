"""When the server is connected to, what it is sent, what is owed to each user: the time is an argument."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from soulseek_files import shared_file

from reconciler.sources.soulseek.line import meaning_of, place_questions, requests_again
from reconciler.sources.soulseek.pauses import JITTER, LASTED_S, LONGEST_PAUSE_S, Pauses, ending_of
from reconciler.sources.soulseek.search_budget import ANSWERS_MAX, REPEAT_S, WINDOW_S, AnswerMemory, SearchBudget
from reconciler.sources.soulseek.standing import (
    CANCELS_PER_DAY,
    DAY_S,
    QUESTIONS_PER_DAY,
    USERS_MAX,
    WRONG_FILES_MAX,
    Happened,
    Standings,
    UserStanding,
)

FILE = shared_file("u", "a\\b.flac")


def waits_after(*endings, lasted_s=0.0, chance=0.0):
    """How long is waited after each of these ends, one session after the other."""
    pauses, now, waits = Pauses(), 1000.0, []
    for how in endings:
        pauses = pauses.ended(how, now=now, lasted_s=lasted_s, chance=lambda: chance)
        waits.append(pauses.wait_s(now))
        now += waits[-1] or 0.0
    return waits


def test_pauses_double_from_five_seconds_to_half_an_hour():
    """However often the session is lost."""
    assert waits_after(*["lost"] * 11) == [5, 10, 20, 40, 80, 160, 320, 640, 1280, 1800, 1800]
    assert waits_after(*["lost"] * 200)[-1] == LONGEST_PAUSE_S


def test_chance_makes_pauses_longer_by_a_quarter_at_most():
    """So that nobody comes back earlier than the rule says."""
    assert waits_after("lost", "lost", chance=0.999) == pytest.approx([5 * (1 + JITTER), 10 * (1 + JITTER)], rel=1e-3)


def test_a_session_that_lasted_starts_the_pauses_anew():
    """A loss after ten good minutes is the first one again."""
    assert waits_after("lost", "lost", "lost", lasted_s=LASTED_S) == [5, 5, 5]


@pytest.mark.parametrize("how", ["banned", "kicked"])
def test_a_ban_or_another_login_costs_half_an_hour_at_once(how):
    """And what follows is not shorter than the rule."""
    assert waits_after(how)[0] >= LONGEST_PAUSE_S


def test_hung_up_on_twice_is_a_ban():
    """Once is not, nor are two with a loss between."""
    assert waits_after("unanswered", "unanswered") == [5, LONGEST_PAUSE_S]
    assert waits_after("unanswered", "lost", "unanswered") == [5, 10, 20]


def test_wrong_credentials_end_it():
    """There is no next login."""
    assert waits_after("refused") == [None]


def test_a_clock_that_was_wrong_keeps_nobody_away():
    """What it wrote lies years ahead of the right time: no pause is that long."""
    years = 4 * 365 * DAY_S
    ahead = Pauses(not_before_s=NOW + years)
    assert LONGEST_PAUSE_S <= ahead.wait_s(NOW) <= LONGEST_PAUSE_S * (1 + JITTER)
    assert after("failed", "failed", now=NOW + years).why_not(NOW) == ""


@pytest.mark.parametrize(
    ("reason", "how"),
    [
        ("INVALIDPASS", "refused"),
        ("INVALIDUSERNAME", "refused"),
        ("Banned for 30 min", "banned"),
        ("You have been banned.", "banned"),
        ("SVRFULL", "lost"),
        ("no bandwidth left", "lost"),
    ],
)
def test_what_a_refused_login_means(reason, how):
    """Only wrong names and passwords stay wrong."""
    assert ending_of(reason) == how


@given(st.lists(st.floats(0, 60), min_size=1, max_size=120), st.integers(1, 40))
def test_no_window_ever_holds_more_than_the_budget(gaps, searches_max):
    """However the requests come, each sent as soon as it may be."""
    budget, now, sent = SearchBudget(searches_max), 1e9, []
    for gap in gaps:
        now += gap
        now += budget.wait_s(now)
        budget.sent(now)
        sent.append(now)
    assert all(sum(at <= other <= at + WINDOW_S for other in sent) <= searches_max for at in sent)


def test_a_restart_does_not_reset_the_budget():
    """What was sent before counts, and a clock that was set back holds nobody up for ever."""
    full = SearchBudget(3, [1000.0, 1001.0, 1002.0])
    assert 0 < full.wait_s(1100.0) < WINDOW_S
    assert full.wait_s(1000.0 + WINDOW_S + 5) == 0.0
    assert SearchBudget(1, [1e12]).wait_s(1000.0) <= WINDOW_S + 5


def test_an_answer_is_remembered_for_ten_minutes():
    """By its words, whatever their case and spaces; old ones make room."""
    memory = AnswerMemory()
    memory.keep("An  Artist", (FILE,), 1000.0)
    assert memory.recall("an artist", 1000.0 + REPEAT_S - 1) == (FILE,)
    assert memory.recall("an artist", 1000.0 + REPEAT_S) is None
    assert memory.recall("another", 1000.0) is None
    for nth in range(ANSWERS_MAX):
        memory.keep(f"query {nth}", (), 1000.0)
    assert memory.recall("an artist", 1000.0) is None


def after(*happened, now=100 * DAY_S):
    """What is remembered of a user after these."""
    standing = UserStanding()
    for what in happened:
        standing = standing.after(Happened(what=what), now)
    return standing


NOW = 100 * DAY_S


def test_uploads_ended_early_are_counted_for_a_day():
    """After five the user is left alone until the next day."""
    standing = after(*["cancelled"] * CANCELS_PER_DAY)
    assert "ended early today" in standing.why_not(NOW)
    assert after(*["cancelled"] * (CANCELS_PER_DAY - 1)).why_not(NOW) == ""
    assert standing.why_not(NOW + DAY_S) == ""


def test_questions_are_counted_for_a_day():
    """Ten; none beyond."""
    standing = after(*["asked"] * (QUESTIONS_PER_DAY + 3))
    assert standing.questions_left(NOW) == 0
    assert standing.questions_left(NOW + DAY_S) == QUESTIONS_PER_DAY
    assert standing.why_not(NOW) == ""


def test_a_user_who_fails_twice_is_left_alone_longer_each_time():
    """One failure is borne; then an hour, two, four, a day at most. A file that comes whole clears it."""
    assert after("failed").why_not(NOW) == ""
    waits = [after(*["failed"] * count).ignored_until - NOW for count in range(2, 9)]
    assert waits == [3600, 7200, 14400, 28800, 57600, 86400, 86400]
    assert after("failed", "failed", "served").why_not(NOW) == ""
    assert after("failed", "refused").why_not(NOW) == "", "a refusal is about a file, not a user"


def test_a_condemned_file_stays_so_and_others_of_the_user_do_not():
    """The reason is told."""
    standings = Standings({}, {"old": "not the audio"})
    standings.condemn("new", "refused")
    assert standings.why_not("u", "old", NOW) == "this file was wrong before: not the audio"
    assert standings.why_not("u", "new", NOW)
    assert standings.why_not("u", "third", NOW) == ""


def test_condemned_files_are_remembered_within_bounds():
    """Those that were condemned longest ago go first, as on the disk."""
    standings = Standings({}, {"first": "refused"})
    for nth in range(WRONG_FILES_MAX):
        standings.condemn(f"claim {nth}", "refused")
    assert standings.why_not("u", "first", NOW) == ""
    assert standings.why_not("u", "claim 0", NOW)


def test_users_are_remembered_within_bounds():
    """Those heard of longest ago go first."""
    standings = Standings({}, {})
    for nth in range(USERS_MAX + 1):
        standings.count(f"user {nth}", Happened(what="failed"), NOW)
    assert standings.of("user 0") == UserStanding()
    assert standings.of("user 1").failures_in_a_row == 1


@pytest.mark.parametrize(
    ("reason", "code", "is_final"),
    [
        ("File not shared.", "refused", True),
        ("Banned", "refused", True),
        ("Cancelled", "refused", False),
        ("Too many files", "busy", False),
        ("Too many megabytes", "busy", False),
        ("Pending shutdown.", "busy", False),
        ("something new", "refused", False),
    ],
)
def test_what_a_refusal_means(reason, code, is_final):
    """In the words that Nicotine+ and others use."""
    meaning = meaning_of(reason)
    assert (meaning.code, meaning.is_final) == (code, is_final)


def test_a_peer_is_asked_less_and_less_often():
    """Requests and questions end in long, equal pauses."""
    again, places = requests_again(), place_questions()
    assert [next(again) for _ in range(8)] == [1, 2, 5, 15, 60, 300, 300, 300]
    assert [next(places) for _ in range(9)] == [5, 10, 20, 40, 80, 160, 320, 600, 600]
