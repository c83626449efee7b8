"""Figures of the loop: how many passes, how they ended, how long they took and waited."""

from reconciler.reconcile.queue import Priority, WorkQueue
from reconciler.reconcile.tally import BOUNDS_S, Durations, LoopTally


def test_durations_are_counted_below_each_bound():
    """As Prometheus wants them: each bound counts what is not longer, the last one everything."""
    durations = Durations()
    for seconds in (0.0, BOUNDS_S[0], 0.002, 100.0):
        durations.add(seconds)
    counted = durations.at_most()
    assert counted[:2] == [("0.001", 2), ("0.004", 3)]
    assert counted[-2:] == [("64.0", 3), ("+Inf", 4)]
    assert durations.sum_s == 100.003


def test_passes_are_counted_by_how_they_ended():
    """Every result is there from the beginning, so that a graph begins at zero."""
    tally = LoopTally()
    tally.ended("success", 0.01)
    tally.ended("error", 0.01)
    assert tally.results == {"success": 1, "git": 0, "error": 1, "mistake": 0}
    assert tally.worked.at_most()[-1] == ("+Inf", 2)


def test_a_queue_counts_what_is_added_tried_again_and_how_long_it_waited():
    """Waiting begins when a key is due, not when it is added."""
    queue = WorkQueue()
    queue.add("a", priority=Priority.EDIT, not_before=10.0)
    queue.add("a", priority=Priority.EDIT, not_before=10.0)
    assert queue.take(12.5) == "a"
    queue.retry("a", now=12.5, chance=0.5)
    queue.done("a")
    assert (queue.adds, queue.retries) == (3, 1)
    assert queue.waited.sum_s == 2.5
