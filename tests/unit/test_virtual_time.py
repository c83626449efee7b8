"""The virtual clock, on which every test of waiting rests."""

import asyncio
import threading
import time

import pytest
from virtual_time import NothingWillHappenError


def test_an_hour_passes_at_once(virtual_loop):
    """Waiting moves the clock by exactly the time waited, and takes none."""
    began = time.monotonic()
    virtual_loop.run(asyncio.sleep(3600))
    assert virtual_loop.time() == 3600
    assert time.monotonic() - began < 60


def test_waits_end_in_the_order_of_their_deadlines(virtual_loop):
    """Tasks interleave as they would in real time."""
    ended = []

    async def wait(seconds):
        await asyncio.sleep(seconds)
        ended.append((seconds, virtual_loop.time()))

    async def all_three():
        await asyncio.gather(wait(3), wait(1), wait(2))

    virtual_loop.run(all_three())
    assert ended == [(1, 1), (2, 2), (3, 3)]


def test_time_goes_on_between_runs(virtual_loop):
    """A second run begins where the first ended."""
    virtual_loop.run(asyncio.sleep(5))
    virtual_loop.run(asyncio.sleep(5))
    assert virtual_loop.time() == 10


def test_a_timeout_ends_a_wait_that_has_no_end(virtual_loop):
    """A deadline is met to the second, with nobody there to answer."""

    async def wait_for_nobody():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30):
                await asyncio.Event().wait()

    virtual_loop.run(wait_for_nobody())
    assert virtual_loop.time() == 30


def test_the_clock_waits_for_a_thread(virtual_loop):
    """Work in a thread takes no virtual time, even with a deadline that is close."""
    may_end = threading.Event()

    async def work_beside_a_timer():
        work = asyncio.create_task(asyncio.to_thread(may_end.wait))
        await asyncio.sleep(0)
        threading.Timer(0.05, may_end.set).start()
        async with asyncio.timeout(0.001):
            return await work

    assert virtual_loop.run(work_beside_a_timer()) is True
    assert virtual_loop.time() == 0


def test_a_wait_that_nothing_can_end_is_an_error(virtual_loop, monkeypatch):
    """A deadlock fails the test; it does not hang it."""
    monkeypatch.setattr("virtual_time._FOREIGN_REAL_S_MAX", 0.1)
    with pytest.raises(NothingWillHappenError):
        virtual_loop.run(asyncio.Event().wait())


def test_a_wake_up_from_a_foreign_thread_is_heard(virtual_loop):
    """A thread that the loop did not start may still wake it when nothing else is due."""

    async def wait_for_thread():
        woken = asyncio.Event()
        loop = asyncio.get_running_loop()
        threading.Thread(target=lambda: loop.call_soon_threadsafe(woken.set)).start()
        await woken.wait()

    virtual_loop.run(wait_for_thread())
    assert virtual_loop.time() == 0
