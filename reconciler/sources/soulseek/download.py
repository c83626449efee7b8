"""One file of one user on its way to us: asked for, offered, connected.

Owns: what the peer has said of it so far. Never: sends anything (sources.soulseek.client), decides when to ask again
(sources.soulseek.line) or writes a byte.
"""

import asyncio
from typing import Protocol

from reconciler.sources.soulseek.line import FAILED_UPLOADS_MAX, ReadFault


class DownloadError(Exception):
    """The peer will not, or cannot, send the file now."""

    def __init__(self, code: ReadFault, message: str, *, is_final: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.is_final = is_final
        """Whether this file of this user need not be asked for again."""


class Stream(Protocol):
    """The connection that a peer opened to send one file."""

    async def begin(self, offset: int) -> None:
        """Ask for the bytes from `offset` on; raises DownloadError."""
        ...

    async def read(self, bytes_max: int) -> bytes:
        """Take what has come, one byte at least; raises DownloadError `stalled` or `cut short`."""
        ...

    async def close(self) -> None:
        """Hang up."""
        ...


class Download:
    """What is known of one file that was asked for. Used on one loop."""

    def __init__(self, *, username: str, path: str, size: int, stall_s: float) -> None:
        self.username = username
        self.path = path
        self.size = size
        """Bytes that the search promised."""
        self.stall_s = stall_s
        """How long nothing may come once bytes flow."""
        self.place: int | None = None
        """In the peer's line, as it last said."""
        self.say_again = False
        """Whether the last request is known to be void."""
        self.stream: Stream | None = None
        self._ticket: int | None = None
        self._uploads_failed = 0
        self._error: DownloadError | None = None
        self._changed = asyncio.Event()

    def offered(self, ticket: int, size: int) -> bool:
        """The peer offers to send; whether that is taken.

        A later offer counts instead of one that no connection came of: the peer has begun anew.
        """
        if self.stream is not None or self._error is not None:
            return False
        if size != self.size:
            self.fail(DownloadError("bad answer", f"offers {size} bytes where it listed {self.size}", is_final=True))
            return False
        self._ticket = ticket
        self._changed.set()
        return True

    @property
    def is_offered(self) -> bool:
        """Whether the peer has offered to send, and its connection is what is waited for."""
        return self._ticket is not None

    def connected(self, ticket: int, stream: Stream) -> bool:
        """A connection for a ticket of this user came; whether it is this file's, and the first."""
        if self._ticket != ticket or self.stream is not None or self._error is not None:
            return False
        self.stream = stream
        self._changed.set()
        return True

    def in_line(self, place: int) -> None:
        """The peer told our place."""
        self.place = place
        self._changed.set()

    def upload_failed(self) -> None:
        """The peer gave an upload of this file up: the one before, or this one before it began."""
        if self.stream is not None:
            return
        self._ticket, self.place = None, None
        self._uploads_failed += 1
        if self._uploads_failed > FAILED_UPLOADS_MAX:
            self.fail(DownloadError("refused", "says again and again that the upload failed"))
        else:
            self.say_again = True
            self._changed.set()

    def fail(self, error: DownloadError) -> None:
        """Nothing will come of it; the first reason counts."""
        self._error = self._error or error
        self._changed.set()

    async def news(self, within_s: float) -> bool:
        """Wait until the peer has said something; False where it has not within the time. Raises DownloadError."""
        try:
            async with asyncio.timeout(within_s):
                await self._changed.wait()
        except TimeoutError:
            return False
        self._changed.clear()
        if self._error is not None:
            raise self._error
        return True
