"""How the loop sleeps, and how it is woken.

Owns: one flag and the wait for it. Never: says why.
"""

import asyncio
from typing import Protocol


class Wakeup(Protocol):
    """A flag that somebody waits for; on the loop's thread only."""

    def set(self) -> None:
        """Wake the waiting, or the next to wait."""
        ...

    async def wait(self, timeout_s: float) -> None:
        """Return when the flag is set, or after the time; the flag is down again then."""
        ...


class EventWakeup:
    """The flag of a running event loop."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def set(self) -> None:
        """Wake the waiting, or the next to wait."""
        self._event.set()

    async def wait(self, timeout_s: float) -> None:
        """Return when the flag is set, or after the time; the flag is down again then."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._event.wait()
        except TimeoutError:
            return
        finally:
            self._event.clear()
