"""What the Soulseek source needs of the process that holds the session.

Owns: the port. Never: implements it (engine.soulseek_path does).
"""

from asyncio import Queue
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from reconciler.sources.soulseek.account import SessionStatus
from reconciler.sources.soulseek.shared_file import SharedFile


class SearchNetwork(Protocol):
    """A session with the network."""

    @property
    def status(self) -> SessionStatus:
        """How the session stands."""
        ...

    @property
    def excluded_phrases(self) -> frozenset[str]:
        """Phrases that the server does not search for."""
        ...

    def search(self, query: str) -> AbstractAsyncContextManager["Queue[tuple[SharedFile, ...]]"]:
        """Send a search; answers come into the queue while the block runs."""
        ...
