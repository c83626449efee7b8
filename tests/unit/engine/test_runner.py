"""Steps on the disk that go on side by side."""

import sys
import threading

import pytest

from reconciler.engine.lane_orders import PartId
from reconciler.engine.runner import JobRunner
from reconciler.ids import TrackPosition


@pytest.fixture
def restless():
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_a_track_s_parts_are_closed_while_others_open_and_close_theirs(restless):
    """Each track's steps have a thread; looking for the parts of one meets the table in the middle of a change."""
    runner = object.__new__(JobRunner)
    runner._parts = {(TrackPosition(n), "a variant"): PartId(n) for n in range(1, 30)}
    ended = threading.Event()

    def others():
        number = 100
        while not ended.is_set():
            if number % 2:
                runner._parts.pop((TrackPosition(number - 1), "another"), None)
            else:
                runner._parts[TrackPosition(number), "another"] = PartId(number)
            number += 1

    threads = [threading.Thread(target=others) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(3000):
            runner._let_go(TrackPosition(50))  # it has none: nothing is closed
    finally:
        ended.set()
        for thread in threads:
            thread.join(60)
