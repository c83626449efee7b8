"""The plan of one file's chunks."""

import pytest
from drawn_plans import drawing_of, plan_of
from hypothesis import given
from hypothesis import strategies as st

from reconciler.engine.chunks import ChunkPlan
from reconciler.engine.events import TransferId
from reconciler.ids import ChunkIndex
from reconciler.overlay.merkle import CHUNK_BYTES


def test_the_next_missing_run_skips_what_is_here_or_asked_for():
    """The first missing chunks come next, as many neighbours as are allowed."""
    plan = plan_of("VVr...V.")
    assert plan.next_missing(None, 2) == (3, 4)
    assert plan.next_missing(None, 9) == (3, 5)
    assert plan.first_missing() == 3


def test_nothing_is_next_when_nothing_is_missing():
    """A plan whose every chunk is here or asked for has no next one."""
    plan = plan_of("VrV")
    assert plan.next_missing(None, 5) is None
    assert plan.first_missing() is None


def test_a_partial_holder_is_offered_only_what_it_holds():
    """Runs end where the holder's chunks do; indexes beyond the file are ignored."""
    plan = plan_of("V......")
    assert plan.next_missing(frozenset({0, 2, 3, 5, 99}), 5) == (2, 3)
    assert plan.next_missing(frozenset({0}), 5) is None


def test_a_complete_holder_leaves_what_a_partial_one_has_for_last():
    """Once a partial holder is known, a complete one begins with what only complete ones have."""
    plan = plan_of("......")
    partial = frozenset({0, 1, 2})
    assert plan.next_missing(partial, 1) == (0, 0)
    assert plan.next_missing(None, 2) == (3, 4)
    plan.request(TransferId(7), ChunkIndex(3), ChunkIndex(5))
    assert plan.next_missing(None, 9) == (0, 2)


def test_a_stream_may_run_over_chunks_that_are_here():
    """What is here stays here, whatever is asked for again with it."""
    plan = plan_of(".V.r")
    plan.request(TransferId(9), ChunkIndex(0), ChunkIndex(3))
    assert drawing_of(plan) == "rVrr"
    assert plan.holders(ChunkIndex(3)) == (1, 9)
    plan.check_invariants()


def test_a_chunk_is_missing_again_when_the_last_of_those_asked_lets_go():
    """Two were asked: the first that lets go changes nothing, the second frees it, once."""
    plan = plan_of("r", transfer=1)
    plan.request(TransferId(2), ChunkIndex(0), ChunkIndex(0))
    plan.release(TransferId(1), ChunkIndex(0))
    assert (drawing_of(plan), plan.freed) == ("r", 0)
    plan.release(TransferId(2), ChunkIndex(0))
    plan.release(TransferId(2), ChunkIndex(0))
    assert (drawing_of(plan), plan.freed) == (".", 1)


def test_a_chunk_counts_once():
    """The second arrival of a chunk is told apart, and the sums stay."""
    plan = plan_of("..")
    assert plan.have(ChunkIndex(0))
    assert not plan.have(ChunkIndex(0))
    assert (plan.bytes_had, plan.bytes_missing, plan.chunks_had) == (CHUNK_BYTES, CHUNK_BYTES, 1)


STEPS = st.lists(st.tuples(st.sampled_from("arh"), st.integers(0, 11), st.integers(1, 4)), max_size=60)


@given(size=st.integers(11 * CHUNK_BYTES + 1, 12 * CHUNK_BYTES), steps=STEPS)
def test_any_order_of_steps_keeps_the_sums(size, steps):
    """Asking, letting go and having, in whatever order: bits, states, holders and sums agree."""
    plan = ChunkPlan(size)
    for step, chunk, transfer in steps:
        index = ChunkIndex(chunk)
        match step:
            case "a":
                plan.request(TransferId(transfer), index, ChunkIndex(min(chunk + transfer, 11)))
            case "r":
                plan.release(TransferId(transfer), index)
            case _:
                plan.have(index)
        plan.check_invariants()
    assert plan.bytes_had + plan.bytes_missing <= size
    found = plan.next_missing(None, 12)
    assert (found is None) == ("." not in drawing_of(plan))


def test_the_invariants_notice_a_lost_bit():
    """A plan whose bits are not its states does not pass."""
    plan = plan_of("V..")
    plan._missing = 0
    with pytest.raises(AssertionError, match="bits"):
        plan.check_invariants()
