"""An event loop in which waiting takes no time.

Owns: the loop and its clock, which starts at 0.0 and jumps to the next deadline as soon as nothing is left to do.
Never: used with sockets to other processes: what they do takes real time. The clock stands while a thread works that
the loop started (`asyncio.to_thread`, `run_in_executor`).
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")

# A thread that has not come back after this many real seconds hangs, and so would the test.
_THREAD_REAL_S_MAX = 60.0

# Nor will one that the loop did not start, and that has not come by then: a busy machine may hold it up for seconds.
_FOREIGN_REAL_S_MAX = 8.0


class NothingWillHappenError(Exception):
    """The loop waits, and no timer, no thread and no file can ever wake it."""


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """The event loop; its `time()` is the virtual clock."""

    def __init__(self) -> None:
        self._now_s = 0.0
        self._threads_busy = 0
        self._threads: ThreadPoolExecutor | None = None
        super().__init__(_JumpingSelector(self))
        # The default is that of the system's clock; here a float's rounding is all there is.
        self._clock_resolution = 1e-9

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._now_s

    def run_in_executor(self, executor: Executor | None, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:
        """Run in a thread, and hold the clock until it is done."""
        if executor is None:
            self._threads = executor = self._threads or ThreadPoolExecutor(thread_name_prefix="virtual-time")
        future = executor.submit(func, *args)
        self._threads_busy += 1
        # In this order: the result reaches the loop before the clock may go on.
        wrapped = asyncio.wrap_future(future, loop=self)
        future.add_done_callback(self._thread_done)
        return wrapped

    def close(self) -> None:
        """Close the loop and wait for its threads."""
        super().close()
        if self._threads is not None:
            self._threads.shutdown(wait=True)

    def _thread_done(self, _: Future[Any]) -> None:
        if not self.is_closed():
            self.call_soon_threadsafe(self._count_thread_down)

    def _count_thread_down(self) -> None:
        self._threads_busy -= 1

    def pass_time(self, seconds: float | None) -> float:
        """Let virtual time pass while the loop has nothing to do; returns for how many real seconds it may wait."""
        if self._threads_busy:
            return _THREAD_REAL_S_MAX
        if seconds is None:
            # A thread that the loop did not start may be about to call call_soon_threadsafe.
            return _FOREIGN_REAL_S_MAX
        self._now_s += max(seconds, 0.0)
        return 0.0


class _JumpingSelector(selectors.DefaultSelector):
    """Looks at the real files without waiting, then makes the time pass."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Give what is ready, or jump to the end of the timeout."""
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        real_s = self._loop.pass_time(timeout)
        ready = super().select(real_s)
        if real_s and not ready:
            raise NothingWillHappenError(f"at {self._loop.time()} s: no timer is set and nothing came in")
        return ready


class VirtualTime:
    """What a test is given: run coroutines in one virtual loop, and read its clock."""

    def __init__(self) -> None:
        self.loop = VirtualTimeLoop()
        self._runner = asyncio.Runner(loop_factory=lambda: self.loop)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run to completion; virtual time goes on from where the last run ended."""
        return self._runner.run(coroutine)

    def time(self) -> float:
        """Virtual seconds since the test began."""
        return self.loop.time()

    def close(self) -> None:
        """Cancel what is left, and close the loop."""
        self._runner.close()
        if not self.loop.is_closed():  # no coroutine was ever run
            self.loop.close()
