"""The line for the engine."""

from hypothesis import given
from hypothesis import strategies as st

from reconciler.reconcile.slots import SlotLine


def rank(text):
    """A rank by one letter."""
    return (text, "")


def line_of(letters):
    """A line in which each letter waits under its own rank."""
    line = SlotLine()
    for letter in letters:
        line.wait(letter, rank(letter))
    return line


def test_the_oldest_wish_is_first():
    """The line is in order of rank, not of arrival, and stands still while it is looked at."""
    line = line_of("cab")
    assert line.first(2) == ["a", "b"]
    assert line.first(9) == ["a", "b", "c"]
    assert len(line) == 3


def test_who_leaves_is_not_called():
    """A manifest that was removed while it waited holds nobody up."""
    line = line_of("abc")
    line.leave("a")
    line.leave("never there")
    assert line.first(1) == ["b"]


def test_a_newcomer_waits_behind_older_wishes():
    """With two slots free and two older wishes in line, a younger one does not slip in."""
    line = line_of("ab")
    assert not line.may_start("c", rank("c"), free=2)
    assert line.may_start("c", rank("c"), free=3)
    assert line.may_start("a", rank("a"), free=1)
    assert not line.may_start("b", rank("b"), free=1)


def test_a_changed_rank_is_a_new_place():
    """A wish that turns out older moves up; it is still in line once."""
    line = line_of("bc")
    line.wait("c", rank("a"))
    assert line.first(9) == ["c", "b"]
    line.wait("c", rank("c"))
    assert line.first(9) == ["b", "c"]


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from([None, "1", "2", "3"])), max_size=60))
def test_the_line_is_the_sorted_list_of_who_waits(steps):
    """Whatever comes and goes, the first ones are the smallest ranks."""
    line, model = SlotLine(), {}
    for key, letter in steps:
        if letter is None:
            line.leave(key)
            model.pop(key, None)
        else:
            line.wait(key, rank(letter))
            model[key] = rank(letter)
        wanted = [key for _, key in sorted((place, key) for key, place in model.items())]
        assert line.first(len(model)) == wanted


def test_memory_follows_those_who_wait():
    """A wish that is edited ten thousand times while it waits is one place in line."""
    line = line_of("a")
    for step in range(10_000):
        line.leave("z")
        line.wait("z", rank(f"z{step}"))
    assert len(line._heap) < 200
