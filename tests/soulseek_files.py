"""Files as a Soulseek search finds them.

Owns: a builder with defaults, and a network in memory that finds what it is told to. Never: opens a socket.
"""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from reconciler.sources.soulseek.account import SessionStatus
from reconciler.sources.soulseek.shared_file import SharedFile


def shared_file(username, path, *, size=1000, **more):
    """One file of a user."""
    values = {
        "extension": path.rpartition(".")[2],
        "duration_s": None,
        "bitrate_kbps": None,
        "sample_rate_hz": None,
        "bit_depth": None,
        "free_slot": True,
        "queue_length": 0,
        "speed_bytes_per_s": 0,
    }
    return SharedFile(username=username, path=path, size=size, **(values | more))


@dataclass(kw_only=True)
class NetworkInMemory:
    """A session that is online and gives `answers(query)` at once."""

    answers: Any
    status: SessionStatus = field(default_factory=lambda: SessionStatus(state="online"))
    excluded_phrases: frozenset = frozenset()

    @asynccontextmanager
    async def search(self, query):
        """One answer with everything, unless there is nothing."""
        queue = asyncio.Queue()
        if files := self.answers(query):
            queue.put_nowait(tuple(files))
        yield queue
