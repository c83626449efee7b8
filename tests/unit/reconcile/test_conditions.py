"""Conditions: which go together, and since when."""

import pytest

from reconciler.reconcile import conditions as say
from reconciler.reconcile.conditions import MESSAGE_CHARACTERS_MAX, Reason

SETS = {
    "reconciling": (say.reconciling(Reason.FETCHING), {"Ready": "False", "Reconciling": "True", "Valid": "True"}),
    "completed": (say.completed(), {"Ready": "True", "Valid": "True"}),
    "stalled": (say.stalled(Reason.NOT_RETRIABLE, "x"), {"Ready": "False", "Stalled": "True", "Valid": "True"}),
    "invalid": (
        say.invalid(Reason.INVALID_SPEC, "x", running=False),
        {"Ready": "False", "Stalled": "True", "Valid": "False"},
    ),
    "invalid while running": (
        say.invalid(Reason.INVALID_SPEC, "x", running=True),
        {"Ready": "False", "Reconciling": "True", "Stalled": "True", "Valid": "False"},
    ),
    "gone": (say.gone(), {"Ready": "Unknown"}),
}


@pytest.mark.parametrize("name", SETS)
def test_the_conditions_that_go_together(name):
    """Reconciling and Stalled are there only while they are true."""
    conditions, wanted = SETS[name]
    assert {condition.type: condition.status for condition in conditions} == wanted


def test_a_time_stays_while_nothing_changes():
    """Saying the same again an hour later keeps the hour."""
    first = say.since(say.reconciling(Reason.FETCHING), previous=(), now_unix_s=0.0)
    again = say.since(say.reconciling(Reason.FETCHING), previous=first, now_unix_s=3600.0)
    assert again == first
    assert {condition.last_transition_time for condition in again} == {"1970-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    "changed",
    [say.reconciling(Reason.RETRYING), say.reconciling(Reason.FETCHING, "news"), say.completed()],
    ids=["reason", "message", "status"],
)
def test_a_time_moves_with_status_reason_or_message(changed):
    """Each of the three counts as a transition; the condition that stayed as it was keeps its time."""
    first = say.since(say.reconciling(Reason.FETCHING), previous=(), now_unix_s=0.0)
    then = {each.type: each for each in say.since(changed, previous=first, now_unix_s=60.0)}
    assert then["Ready"].last_transition_time == "1970-01-01T00:01:00Z"
    assert then["Valid"].last_transition_time == "1970-01-01T00:00:00Z"


def test_a_condition_that_comes_back_has_a_new_time():
    """Stalled, then not, then stalled again: the time is that of the second."""
    first = say.since(say.stalled(Reason.NOT_RETRIABLE, "x"), previous=(), now_unix_s=0.0)
    then = say.since(say.reconciling(Reason.FETCHING), previous=first, now_unix_s=60.0)
    back = say.since(say.stalled(Reason.NOT_RETRIABLE, "x"), previous=then, now_unix_s=120.0)
    stalled = next(each for each in back if each.type == "Stalled")
    assert stalled.last_transition_time == "1970-01-01T00:02:00Z"


def test_a_long_message_is_cut():
    """A peer cannot fill a person's file through an error message."""
    [ready, *_] = say.stalled(Reason.NOT_RETRIABLE, "x" * 10_000)
    assert len(ready.message) == MESSAGE_CHARACTERS_MAX
