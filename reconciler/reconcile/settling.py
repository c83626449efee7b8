"""Wait until a change is over, and drop what is none.

Owns: the moment between an event and its place in the queue. Never: parses a file for anything but our own bytes.
"""

import asyncio

from reconciler.clock import Clock
from reconciler.errors import ReconcilerError
from reconciler.reconcile.echoes import Echoes
from reconciler.reconcile.ledger import Ledger
from reconciler.reconcile.listing import FileMark, mark_at
from reconciler.reconcile.observe import Folders, look_at
from reconciler.reconcile.queue import Priority
from reconciler.reconcile.sights import Sights

# An editor's save is several events within some 20 ms, git's two writes lie 20 ms apart: one look, after the last of
# them. A person is to see an answer within 200 ms.
EDIT_SETTLE_S = 0.1


class Settling:
    """Paths that something has happened to a moment ago."""

    def __init__(self, *, folders: Folders, ledger: Ledger, sights: Sights, echoes: Echoes, clock: Clock) -> None:
        self._folders = folders
        self._ledger = ledger
        self._sights = sights
        self._echoes = echoes
        self._clock = clock
        # In the order of their times.
        self._due: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._due)

    def add(self, path: str) -> None:
        """Something may have happened to a file; of several events the first counts."""
        self._due.setdefault(path, self._clock.monotonic() + EDIT_SETTLE_S)

    def next_time(self) -> float | None:
        """When the first of them has settled; None where there is none."""
        return next(iter(self._due.values()), None)

    async def settle(self, now: float) -> None:
        """Take what has settled into the queue, but for what is as it was seen and what we wrote ourselves."""
        due: list[str] = []
        for path, at in self._due.items():
            if at > now:
                break
            due.append(path)
        if not due:
            return
        for path in due:
            del self._due[path]
        for path, mark in (await asyncio.to_thread(self._sift, due)).items():
            if mark is None:
                self._ledger.add(path, Priority.EDIT)
            else:
                self._sights.remark(path, mark)

    def _sift(self, paths: list[str]) -> dict[str, FileMark | None]:
        """Which of these are news (None), and which hold what we wrote ourselves, with their marks. In a thread."""
        news: dict[str, FileMark | None] = {}
        for path in paths:
            file = self._folders.at(path)
            mark = mark_at(file)
            if mark is not None and mark == self._sights.mark_of(path):
                continue
            news[path] = None
            if self._echoes.is_awaited(path):
                try:
                    look = look_at(file)
                except (ReconcilerError, OSError):
                    continue
                if self._echoes.is_echo(path, look.document):
                    news[path] = look.mark
        return news
