"""Who waits for whom."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from reconciler.reconcile.dependencies import Dependencies


def graph(**needs):
    """Jobs by name, and the jobs that each needs, one letter each."""
    made = Dependencies()
    for job, others in needs.items():
        made.place(job, tuple(others))
    made.check_invariants()
    return made


def test_who_is_needed_knows_by_whom():
    """So that the end of a job wakes those that wait for it."""
    assert graph(a="c", b="c").dependants_of("c") == ("a", "b")
    assert graph(a="c").dependants_of("a") == ()


def test_placing_tells_what_is_news():
    """Only then somebody else has to look."""
    made = graph(a="b")
    assert not made.place("a", ("b",))
    assert made.place("a", ("c",))
    assert made.dependants_of("b") == ()
    made.drop("a")
    made.check_invariants()
    assert made.dependants_of("c") == ()


def test_a_cycle_is_a_way_back():
    """With the job at both ends, however long it is."""
    assert graph(a="a").cycle_through("a") == ("a", "a")
    assert graph(a="b", b="a").cycle_through("a") == ("a", "b", "a")
    assert graph(a="bx", b="c", c="ya").cycle_through("b") == ("b", "c", "a", "b")


def test_who_only_leads_to_a_cycle_is_in_none():
    """It waits for jobs that wait for each other; they are to be mended, not it."""
    made = graph(a="b", b="c", c="b")
    assert made.cycle_through("a") == ()
    assert made.cycle_through("b") == ("b", "c", "b")


@given(st.dictionaries(st.sampled_from("abcdef"), st.lists(st.sampled_from("abcdef"), max_size=4, unique=True)))
def test_a_cycle_is_found_if_and_only_if_there_is_one(needs):
    """Each step of the way is a need, and where none is found, none of the reachable jobs needs the first."""
    made = graph(**{job: "".join(others) for job, others in needs.items()})
    for job in "abcdef":
        way = made.cycle_through(job)
        if way:
            assert way[0] == way[-1] == job
            assert all(other in needs.get(one, ()) for one, other in itertools.pairwise(way))
        else:
            reached, waiting = set(), list(needs.get(job, ()))
            while waiting:
                one = waiting.pop()
                if one not in reached:
                    reached.add(one)
                    waiting += needs.get(one, ())
            assert job not in reached
