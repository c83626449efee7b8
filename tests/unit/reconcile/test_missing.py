"""Jobs whose manifests are gone, and when that looks like an accident."""

import pytest

from reconciler.reconcile.missing import Missing, is_mass_removal


@pytest.mark.parametrize(
    ("missing", "of", "held"),
    [
        (1, 1, False),
        (2, 2, True),
        (1, 2, False),
        (8, 9, False),
        (9, 9, True),
        (5, 10, False),
        (6, 10, True),
        (50_000, 100_000, False),
        (50_001, 100_000, True),
        (0, 0, False),
    ],
)
def test_all_or_most_of_many_are_held(missing, of, held):
    """One alone may go; all of several, or over half of ten or more, may not."""
    assert is_mass_removal(missing, of=of) == held


def missing_of(known, lost):
    """So many jobs, and these of them missed since second 0."""
    made = Missing(known=lambda: known, grace_s=60.0)
    for job in lost:
        made.lost(job, 0.0)
    return made


def test_since_when_a_job_is_missed_does_not_move():
    """However often it is looked for."""
    made = missing_of(5, "a")
    assert made.lost("a", 10.0) == 0.0
    made.found("a")
    assert made.lost("a", 20.0) == 20.0


def test_an_absence_may_begin_anew():
    """While git had the folder, nothing in it was missing."""
    made = missing_of(5, "ab")
    made.restart(100.0)
    assert made.lost("a", 110.0) == 100.0


def test_what_comes_back_ends_the_hold():
    """It is judged by what is, not by what was."""
    made = missing_of(3, "abc")
    assert made.many()
    made.found("a")
    assert not made.many()
    assert made.jobs() == ("b", "c")


def test_what_a_person_confirms_is_not_held_and_no_reason_to_hold_others():
    """The rest is judged without them."""
    made = missing_of(12, "abcdefg")
    assert made.many()
    made.confirm()
    assert not made.many()
    assert made.is_confirmed("a")
    made.lost("h", 1.0)
    assert not made.many()
    assert not made.is_confirmed("h")


def test_a_job_that_came_back_is_confirmed_no_more():
    """Its next absence is another one."""
    made = missing_of(3, "abc")
    made.confirm()
    made.found("a")
    made.lost("a", 5.0)
    assert not made.is_confirmed("a")


def test_a_hold_is_due_when_the_longest_missed_has_had_its_grace():
    """A branch that is checked out for a moment is no alarm."""
    made = missing_of(3, "abc")
    assert not made.is_overdue(59.9)
    assert made.is_overdue(60.0)
    assert not Missing(known=lambda: 0, grace_s=60.0).is_overdue(1e9)
