"""Keeps what is known of peers from one run of the daemon to the next.

Owns: when it is read and written. Never: judges a peer (engine.reputation), or knows SQL (state.peers).
"""

import asyncio

from loguru import logger

from reconciler.clock import Clock
from reconciler.engine.neighbours import Neighbours
from reconciler.engine.reputation import Book
from reconciler.errors import DiskError, FileBusyError
from reconciler.state.peers import PeerStore
from reconciler.state.reputations import Reputation

# How often what running jobs saw is written, and pardons are looked for: so much is lost with a crash, and so long
# `reconciler peers forget` takes. A batch is one commit.
KEEP_S = 10.0


class PeerMemory:
    """The book of peers behind `neighbours`, and its copy in the database."""

    def __init__(self, store: PeerStore, neighbours: Neighbours, clock: Clock) -> None:
        self._store = store
        self._neighbours = neighbours
        self._clock = clock
        self._writing = asyncio.Lock()
        self._failing = False

    async def open(self) -> None:
        """Read what was kept, before the first job."""
        known = await asyncio.to_thread(self._store.all)
        self._neighbours.book = Book(known)
        self._tell_time()
        await self.write()  # takes the pardons that came while nobody ran

    async def keep(self) -> None:
        """Keep what running jobs have seen so far; once every KEEP_S seconds is meant."""
        self._tell_time()
        self._neighbours.harvest(self._clock.monotonic())
        await self.write()

    async def write(self) -> None:
        """Write what has changed, and take pardons; what the disk refuses is tried again the next time."""
        async with self._writing:
            changed, gone = self._neighbours.book.take_changes()
            try:
                pardoned = await asyncio.to_thread(self._exchange, changed, gone)
            except (DiskError, FileBusyError) as error:
                self._neighbours.book.keep_changes(changed, gone)
                if not self._failing:  # said once, not every ten seconds
                    logger.bind(why=error.message).error("what is known of peers cannot be written")
                self._failing = True
            else:
                self._failing = False
                self._neighbours.pardon(pardoned)

    def _exchange(self, changed: tuple[Reputation, ...], gone: frozenset[str]) -> frozenset[str]:
        if not changed and not gone and not self._store.pardons_wait():
            return frozenset()
        return self._store.exchange(changed, gone)

    def _tell_time(self) -> None:
        self._neighbours.tell_time(wall=self._clock.wall(), monotonic=self._clock.monotonic())
