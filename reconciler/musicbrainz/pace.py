"""One request at a time, and not too often.

Owns: when the next request may leave this process. Never: sends one (musicbrainz.client).

The time runs from the end of one request to the beginning of the next: whatever happens on the way, the server never
sees two closer together than that. Nobody overtakes: who asks first is served first.
https://musicbrainz.org/doc/MusicBrainz_API/Rate_Limiting
"""

import asyncio
from types import TracebackType

from reconciler.clock import Clock


class Pace:
    """A gate that lets one request through at a time: `async with pace: ...`."""

    def __init__(self, *, interval_s: float, clock: Clock) -> None:
        """`interval_s`: from the end of a request to the beginning of the next."""
        self._interval_s = interval_s
        self._clock = clock
        self._gate = asyncio.Lock()
        self._free_at_s = 0.0

    def hold_off(self, seconds: float) -> None:
        """Let nothing through for so long: the server has asked for it."""
        self._free_at_s = max(self._free_at_s, self._clock.monotonic() + seconds)

    async def __aenter__(self) -> None:
        """Wait for the turn."""
        await self._gate.acquire()
        try:
            # A wait may be over early, and the server may ask for more meanwhile.
            while (wait_s := self._free_at_s - self._clock.monotonic()) > 0:  # noqa: ASYNC110 - time is what is waited for
                await asyncio.sleep(wait_s)
        except BaseException:
            self._gate.release()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        """Count the time from now, also after a request that came to nothing."""
        self._free_at_s = max(self._free_at_s, self._clock.monotonic() + self._interval_s)
        self._gate.release()
