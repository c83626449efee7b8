"""Who goes next: in proportion to weights, whoever comes and goes."""

from hypothesis import given
from hypothesis import strategies as st

from reconciler.engine.fair_line import FairLine
from reconciler.engine.shares import weight_of
from reconciler.ids import JobId

A, B, C = (JobId(name) for name in "ABC")


def serve(line, weights, times, *, size=1.0):
    """Give out `times` requests while all of `weights` wait; what each got."""
    got = dict.fromkeys(weights, 0)
    for _ in range(times):
        for job in weights:
            line.wait(job)
        first = line.first
        assert line.is_next(first)
        line.step_out(first)
        line.served(first, size / weights[first])
        got[first] += 1
    return got


def test_equal_weights_take_turns():
    """One each, in the order of their ids."""
    line = FairLine()
    assert serve(line, {A: 1.0, B: 1.0, C: 1.0}, 3) == {A: 1, B: 1, C: 1}


@given(st.dictionaries(st.sampled_from("ABCDEFGH"), st.integers(-100, 100), min_size=1))
def test_nobody_is_further_than_one_request_from_its_part(priorities):
    """Whatever the weights are."""
    weights = {JobId(name): weight_of(priority) for name, priority in priorities.items()}
    times = 2000
    got = serve(FairLine(), weights, times)
    for job, weight in weights.items():
        due = times * weight / sum(weights.values())
        # To within one request of each job that waits.
        assert abs(got[job] - due) <= 1 + len(weights) * max(1.0, weight / sum(weights.values()))


@given(st.lists(st.integers(-100, 100), min_size=2, max_size=8))
def test_everybody_has_a_turn(priorities):
    """The lowest priority against any others: its first request within those that its weight makes it wait for."""
    weights = {JobId(f"{number}"): weight_of(priority) for number, priority in enumerate(priorities)}
    times = int(sum(weights.values()) / min(weights.values())) + len(weights) + 1
    assert all(count > 0 for count in serve(FairLine(), weights, times).values())


def test_nobody_saves_up_while_away():
    """Who comes back begins at the present: the others do not have to stand aside."""
    line = FairLine()
    serve(line, {A: 1.0}, 1000)
    assert serve(line, {A: 1.0, B: 1.0}, 10) == {A: 5, B: 5}


def test_what_was_given_back_does_not_count():
    """A request that failed costs no turn."""
    line = FairLine()
    line.served(A, 1.0)
    line.give_back(A, 1.0)
    assert serve(line, {A: 1.0, B: 1.0}, 2) == {A: 1, B: 1}
    line.leave(A)
    line.give_back(A, 1.0)
    line.step_out(A)
    assert line.first == B or line.first is None


def test_bytes_that_come_unasked_do_not_move_those_that_wait():
    """A stream is counted as it flows; who stands in line keeps the place."""
    line = FairLine()
    line.wait(B)
    for _ in range(100):
        line.served(A, 1.0)
    assert line.is_next(B)
    line.step_out(B)
    assert serve(line, {A: 1.0, B: 1.0}, 50) == {A: 0, B: 50}
