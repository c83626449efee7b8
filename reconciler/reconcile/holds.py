"""What holds everything back, said where people look.

Owns: saying a hold once in the log, and keeping it in the database while it lasts. Never: decides that there is one.
"""

import asyncio

from loguru import logger

from reconciler.clock import Clock
from reconciler.reconcile.conditions import Reason
from reconciler.state.sightings import Hold, SightingStore

_KNOWN = frozenset(Reason)


class Holds:
    """The holds of one folder."""

    def __init__(self, store: SightingStore, *, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._said: dict[Reason, str] = {}

    async def begin(self) -> None:
        """Take over what an earlier process left: it is over unless it is said again."""
        for hold in await asyncio.to_thread(self._store.holds):
            # Another version of this program may have had others.
            if hold.reason in _KNOWN:
                self._said[Reason(hold.reason)] = hold.message
            else:
                await asyncio.to_thread(self._store.release, hold.reason)

    def lasts(self, reason: Reason) -> bool:
        """Tell whether it was said and is not over."""
        return reason in self._said

    async def say(self, reason: Reason, message: str) -> None:
        """Everything is held back for this reason."""
        if self._said.get(reason) == message:
            return
        hold = Hold(reason=reason.value, since=self._clock.wall(), message=message)
        await asyncio.to_thread(self._store.hold, hold)
        self._said[reason] = message
        logger.bind(reason=reason.value, why=message).warning("nothing is done for now")

    async def over(self, reason: Reason) -> None:
        """It is over; nothing where it was not said."""
        if reason in self._said:
            await asyncio.to_thread(self._store.release, reason.value)
            del self._said[reason]
            logger.bind(reason=reason.value).info("goes on")
