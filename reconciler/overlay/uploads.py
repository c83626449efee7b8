"""Send held files, or ranges of them, within slots and rate.

Owns: whose turn it is, the pace, and the bytes on their way out. Never: knows who may ask (overlay.server), and hashes
nothing: whoever receives verifies.

A slot is held, and the rate accounted, while bytes are really being sent: the response is written here, not handed back
to be sent when the slot is free again.
"""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import Executor, Future
from contextlib import asynccontextmanager
from typing import assert_never

from aiohttp import web

from reconciler.clock import Clock
from reconciler.errors import FileBusyError
from reconciler.ids import PeerId, Root
from reconciler.library.index import LibraryIndex
from reconciler.overlay.answers import RETRY_FULL_S, RETRY_NO_SLOT_S, RefusedError, blob_headers
from reconciler.overlay.blob import Blob
from reconciler.overlay.fairness import BURST_S, Slots, TokenBucket, UploadLimits
from reconciler.overlay.ranges import RangeRefusedError, Span, read_range

# Read and written at once: large enough that the step into a thread (some 50 us) does not show at 130 MiB/s, small
# enough that eight senders hold 2 MiB.
BLOCK_BYTES = 256 * 1024
# Under a low cap, blocks shrink so that every sender gets something several times a second.
BLOCK_BYTES_MIN = 16 * 1024

# A peer that has not taken a block after this long (below 9 kB/s) holds a slot that others wait for.
BLOCK_S_MAX = 30.0


class Uploads:
    """Everything that is being sent."""

    def __init__(self, index: LibraryIndex, limits: UploadLimits, *, clock: Clock, threads: Executor) -> None:
        self._index = index
        self._clock = clock
        self._threads = threads
        self._slots = Slots(limits)
        self._bucket = TokenBucket(bytes_per_s=limits.bytes_per_s, now_s=clock.monotonic())
        burst = int(limits.bytes_per_s * BURST_S) or BLOCK_BYTES
        self._block_bytes = max(BLOCK_BYTES_MIN, min(BLOCK_BYTES, burst))

    @property
    def sending(self) -> int:
        """Slots taken."""
        return self._slots.taken

    async def send(self, request: web.BaseRequest, root: Root, caller: PeerId) -> web.StreamResponse:
        """Answer a request for a blob; raises RefusedError, or what LibraryIndex.open raises."""
        match self._slots.take(caller):
            case "no slot for you":
                headers = {"Retry-After": str(RETRY_NO_SLOT_S)}
                raise RefusedError(429, "you are being sent as much at once as one peer may have", headers)
            case "full":
                raise RefusedError(503, "all upload slots are taken", {"Retry-After": str(RETRY_FULL_S)})
            case "granted":
                pass
            case turn:
                assert_never(turn)
        try:
            async with self._opened(root) as blob:
                return await self._send(request, blob)
        finally:
            self._slots.give_back(caller)

    async def _send(self, request: web.BaseRequest, blob: Blob) -> web.StreamResponse:
        size = blob.holding.size
        try:
            span = read_range(request.headers.getall("Range", ()), size=size)
        except RangeRefusedError as error:
            headers = {"Content-Range": f"bytes */{size}", "Accept-Ranges": "bytes"}
            raise RefusedError(416, "one range of the form `bytes=first-last`, please", headers) from error
        root = blob.holding.root
        if span is None:
            span = Span(first=0, last=size - 1)
            response = web.StreamResponse(status=200, headers=blob_headers(root, length=size))
        else:
            told = f"bytes {span.first}-{span.last}/{size}"
            response = web.StreamResponse(
                status=206, headers=blob_headers(root, length=span.length, content_range=told)
            )
        try:
            await response.prepare(request)
            await self._write(response, blob, span)
            await response.write_eof()
        except (OSError, FileBusyError, TimeoutError):
            # The head has promised a length. Only a broken connection tells the peer that the rest will not come.
            if request.transport is not None:
                request.transport.abort()
        return response

    async def _write(self, response: web.StreamResponse, blob: Blob, span: Span) -> None:
        loop = asyncio.get_running_loop()
        for offset in range(span.first, span.last + 1, self._block_bytes):
            count = min(self._block_bytes, span.last + 1 - offset)
            block = await loop.run_in_executor(self._threads, blob.read, offset, count)
            wait_s = self._bucket.take(count, now_s=self._clock.monotonic())
            try:
                await asyncio.sleep(wait_s)
            except asyncio.CancelledError:
                self._bucket.give_back(count)
                raise
            async with asyncio.timeout(BLOCK_S_MAX):
                await response.write(block)

    @asynccontextmanager
    async def _opened(self, root: Root) -> AsyncIterator[Blob]:
        opening = self._threads.submit(Blob.open, self._index, root)
        try:
            blob = await asyncio.wrap_future(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_close_unused)
            raise
        try:
            yield blob
        finally:
            blob.close()


def _close_unused(opening: Future[Blob]) -> None:
    """Close what was opened for a request that has ended meanwhile."""
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
