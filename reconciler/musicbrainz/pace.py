"""One request at a time, and not too often.

Owns: when the next request may leave this process. Never: sends one (musicbrainz.client).

The time runs from the end of one request to the beginning of the next: whatever happens on the way, the server never
sees two closer together than that. Nobody overtakes: who asks first is served first. Where the server wants to be left
alone for longer than anybody should stand in line, nobody does.
https://musicbrainz.org/doc/MusicBrainz_API/Rate_Limiting
"""

import asyncio
from types import TracebackType

from reconciler.clock import Clock


class HeldOffError(Exception):
    """The server wants to be left alone for longer than is waited for."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds
        """For how long it still does."""


class Pace:
    """A gate that lets one request through at a time: `async with pace: ...`."""

    def __init__(self, *, interval_s: float, patience_s: float, clock: Clock) -> None:
        """`interval_s`: from the end of a request to the beginning of the next; `patience_s`: how long a server that
        asks to be left alone is waited for.
        """
        self._interval_s = interval_s
        self._patience_s = patience_s
        self._clock = clock
        self._gate = asyncio.Lock()
        self._free_at_s = 0.0
        self._held_off_until_s = 0.0

    def hold_off(self, seconds: float) -> None:
        """Let nothing through for so long: the server has asked for it."""
        self._held_off_until_s = max(self._held_off_until_s, self._clock.monotonic() + seconds)
        self._free_at_s = max(self._free_at_s, self._held_off_until_s)

    async def __aenter__(self) -> None:
        """Wait for the turn; raises HeldOffError instead of waiting for long."""
        await self._gate.acquire()
        try:
            self._require_patience()
            # A wait may be over early, and the server may ask for more meanwhile.
            while (wait_s := self._free_at_s - self._clock.monotonic()) > 0:  # noqa: ASYNC110 - time is what is waited for
                await asyncio.sleep(wait_s)
        except BaseException:
            self._gate.release()
            raise

    def _require_patience(self) -> None:
        left_s = self._held_off_until_s - self._clock.monotonic()
        if left_s > self._patience_s:
            raise HeldOffError(left_s)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        """Count the time from now, also after a request that came to nothing."""
        self._free_at_s = max(self._free_at_s, self._clock.monotonic() + self._interval_s)
        self._gate.release()
