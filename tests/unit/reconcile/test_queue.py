"""The work queue: examples of each promise, and a model that it is run against."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from reconciler.reconcile.queue import Priority, WorkQueue

KEYS = st.sampled_from("abcde")


def test_a_key_added_twice_is_taken_once():
    """Many reasons to look at a file are one look."""
    queue = WorkQueue()
    queue.add("a", priority=Priority.SCAN, not_before=0.0)
    queue.add("a", priority=Priority.EDIT, not_before=0.0)
    assert queue.take(0.0) == "a"
    assert queue.take(0.0) is None


def test_an_edit_goes_before_the_engine_before_a_timer_before_a_scan():
    """What a person waits for comes first."""
    queue = WorkQueue()
    for priority in (Priority.SCAN, Priority.TIMER, Priority.ENGINE, Priority.EDIT):
        queue.add(priority.name, priority=priority, not_before=0.0)
    taken = [queue.take(0.0) for _ in range(4)]
    assert taken == ["EDIT", "ENGINE", "TIMER", "SCAN"]


def test_keys_of_one_priority_come_in_the_order_of_arrival():
    """Nobody overtakes among equals."""
    queue = WorkQueue()
    for key in "cab":
        queue.add(key, priority=Priority.SCAN, not_before=0.0)
    assert [queue.take(1.0) for _ in range(3)] == ["c", "a", "b"]


def test_a_weight_counts_among_equals_and_lifts_nobody_into_another_class():
    """The greater goes first; the least of the more urgent class goes before the greatest of the next."""
    queue = WorkQueue()
    for key, priority, weight in (
        ("late", Priority.TIMER, 100),
        ("low", Priority.EDIT, -100),
        ("usual", Priority.EDIT, 0),
        ("high", Priority.EDIT, 100),
    ):
        queue.add(key, priority=priority, not_before=0.0, weight=weight)
    assert [queue.take(0.0) for _ in range(4)] == ["high", "usual", "low", "late"]


def test_a_key_is_not_taken_before_its_time():
    """A timer that is not due yet yields to everything that is."""
    queue = WorkQueue()
    queue.add("late", priority=Priority.EDIT, not_before=10.0)
    queue.add("soon", priority=Priority.SCAN, not_before=5.0)
    assert queue.take(4.9) is None
    assert queue.next_time() == 5.0
    assert queue.take(5.0) == "soon"
    assert queue.next_time() == 10.0
    assert queue.take(10.0) == "late"
    assert queue.next_time() is None


def test_a_later_addition_never_delays_a_key():
    """Merging takes the earlier time and the better priority, whichever addition they come from."""
    queue = WorkQueue()
    queue.add("a", priority=Priority.EDIT, not_before=9.0)
    queue.add("a", priority=Priority.SCAN, not_before=1.0)
    queue.add("b", priority=Priority.ENGINE, not_before=1.0)
    assert [queue.take(1.0), queue.take(1.0)] == ["a", "b"]


def test_a_key_added_while_it_is_worked_on_comes_back_after():
    """The change that arrives in the middle of a pass is looked at, and not by a second pass at the same time."""
    queue = WorkQueue()
    queue.add("a", priority=Priority.EDIT, not_before=0.0)
    assert queue.take(0.0) == "a"
    queue.add("a", priority=Priority.EDIT, not_before=0.0)
    assert queue.take(0.0) is None
    queue.done("a")
    assert queue.take(0.0) == "a"
    queue.done("a")
    assert len(queue) == 0


def test_failures_in_a_row_wait_longer_until_forgotten():
    """Each repetition doubles the wait; a success starts over."""
    queue = WorkQueue()
    queue.add("a", priority=Priority.EDIT, not_before=0.0)
    waits = []
    for _ in range(3):
        assert queue.take(1000.0) == "a"
        waits.append(queue.retry("a", now=100.0, chance=0.0))
        queue.done("a")
    assert waits == [0.25, 0.5, 1.0]
    assert queue.next_time() == 101.0
    queue.take(1000.0)
    queue.forget("a")
    assert queue.retry("a", now=100.0, chance=0.0) == 0.25
    queue.done("a")
    queue.check_invariants()


def test_an_edit_ends_the_wait_after_a_failure():
    """A person who repairs a file does not wait for the backoff of the broken one."""
    queue = WorkQueue()
    queue.add("a", priority=Priority.SCAN, not_before=0.0)
    queue.take(0.0)
    queue.retry("a", now=0.0, chance=0.0)
    queue.done("a")
    queue.add("a", priority=Priority.EDIT, not_before=0.1)
    assert queue.next_time() == 0.1


def test_a_full_queue_refuses_new_keys_and_keeps_its_own():
    """At the bound a new key is refused; those in it, worked on or not, can still be added."""
    queue = WorkQueue(keys_max=2)
    assert queue.add("a", priority=Priority.SCAN, not_before=0.0)
    assert queue.add("b", priority=Priority.SCAN, not_before=0.0)
    assert queue.take(0.0) == "a"
    assert not queue.add("c", priority=Priority.EDIT, not_before=0.0)
    assert queue.add("a", priority=Priority.EDIT, not_before=0.0)
    assert queue.add("b", priority=Priority.EDIT, not_before=0.0)
    queue.done("a")
    queue.check_invariants()
    assert {queue.take(0.0), queue.take(0.0)} == {"a", "b"}


def test_memory_follows_the_keys_that_wait():
    """Ten thousand changes to ten files leave a queue of ten files."""
    queue = WorkQueue()
    for step in range(10_000):
        queue.add(f"k{step % 10}", priority=Priority.SCAN, not_before=10_000.0 - step)
    queue.check_invariants()
    assert len(queue._later) + len(queue._due) < 200


class QueueMachine(RuleBasedStateMachine):
    """The queue beside a model that is too simple to be wrong: dictionaries and a search."""

    def __init__(self):
        super().__init__()
        self.queue = WorkQueue(keys_max=4)
        self.now = 0.0
        self.waiting = {}
        self.dirty = {}
        self.processing = set()

    def _model_add(self, key, priority, not_before):
        place = self.dirty if key in self.processing else self.waiting
        if key not in self.processing | self.waiting.keys() and len(self.waiting) + len(self.processing) >= 4:
            return False
        old = place.get(key, (priority, not_before))
        place[key] = (min(priority, old[0]), min(not_before, old[1]))
        return True

    @rule(key=KEYS, priority=st.sampled_from(Priority), delay_s=st.integers(0, 5))
    def add(self, key, priority, delay_s):
        """Both accept or refuse alike."""
        not_before = self.now + delay_s
        accepted = self.queue.add(key, priority=priority, not_before=not_before)
        assert accepted == self._model_add(key, priority, not_before)

    @rule()
    def take(self):
        """What is taken is due, and nothing due has a better priority."""
        due = {key: entry[0] for key, entry in self.waiting.items() if entry[1] <= self.now}
        taken = self.queue.take(self.now)
        if not due:
            assert taken is None
            return
        assert due[taken] == min(due.values())
        del self.waiting[taken]
        self.processing.add(taken)

    @precondition(lambda self: self.processing)
    @rule(data=st.data(), failed=st.booleans())
    def done(self, data, failed):
        """What was added meanwhile, or failed, waits again; the rest is gone."""
        key = data.draw(st.sampled_from(sorted(self.processing)))
        if failed:
            delay_s = self.queue.retry(key, now=self.now, chance=0.5)
            self._model_add(key, Priority.TIMER, self.now + delay_s)
        self.queue.done(key)
        self.processing.remove(key)
        if key in self.dirty:
            self.waiting[key] = self.dirty.pop(key)

    @rule(seconds=st.integers(1, 5))
    def wait(self, seconds):
        """Time passes."""
        self.now += seconds

    @invariant()
    def agree(self):
        """The queue is sound, and as full as the model says."""
        self.queue.check_invariants()
        assert len(self.queue) == len(self.waiting) + len(self.processing)
        times = [entry[1] for entry in self.waiting.values()]
        said = self.queue.next_time()
        assert (said is None) == (not times)
        if said is not None and min(times) > self.now:
            assert said == min(times)


TestQueueMachine = QueueMachine.TestCase
TestQueueMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
