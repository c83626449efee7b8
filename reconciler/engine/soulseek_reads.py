"""Reading files from Soulseek users into parts, in the process that holds the session.

Owns: one task for each read: stand in the peer's line, receive, hash, write, tell. Never: chooses what to read, or
speaks the protocol (sources.soulseek.client).

A peer sends one stream from an offset to the end of the file. Hanging up before that counts as a failed upload with the
peer, so it is told to the daemon, which keeps the account (sources.soulseek.standing).
"""

import asyncio
import contextlib
import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from reconciler.clock import Clock
from reconciler.engine.events import ChunkArrived, PeerConnected, PeerQueued, TransferEnded, TransferFailed
from reconciler.engine.lane_orders import LaneEvent, PartId, ReadRange, Tag
from reconciler.engine.partwriter import PartWriter
from reconciler.ids import ChunkIndex
from reconciler.overlay.merkle import chunk_count, chunk_hash, chunk_size
from reconciler.sources.soulseek.download import Download, DownloadError, Stream
from reconciler.sources.soulseek.line import BUSY_RETRY_S, place_questions, requests_again
from reconciler.sources.soulseek.standing import Happened, What

# A peer that offered the file opens its connection within a few round trips, or through the server within 20 s.
CONNECT_S = 30.0

# Without a refusal or an offer for so long, the request is taken to be in the peer's line, though it tells no place.
IN_LINE_AFTER_S = 3.0

# Reads at once: each has a buffer of one chunk (1 MiB at most) and a connection.
READS_MAX = 32

_RECEIVE_BYTES = 1 << 18

TellEvent = Callable[[LaneEvent], None]
TellHappened = Callable[[str, str, int, Happened], None]
"""User, path, size, what happened."""


class Downloads(Protocol):
    """What is needed of the session."""

    def download(self, username: str, path: str, *, size: int, stall_s: float) -> AbstractAsyncContextManager[Download]:
        """Stand for one file while the block runs."""
        ...

    async def request(self, download: Download) -> None:
        """Ask for the file."""
        ...

    async def ask_place(self, download: Download) -> None:
        """Ask for the place in line."""
        ...


class Reads:
    """All reads of this process."""

    def __init__(
        self,
        downloads: Downloads,
        *,
        tasks: asyncio.TaskGroup,
        tell: TellEvent,
        happened: TellHappened,
        clock: Clock,
        stall_s: float,
    ) -> None:
        self._downloads = downloads
        self._tasks = tasks
        self._tell = tell
        self._happened = happened
        self._clock = clock
        self._stall_s = stall_s
        self._known: dict[PartId, tuple[str, int]] = {}
        self._open: dict[PartId, PartWriter] = {}
        self._running: dict[Tag, asyncio.Task[None]] = {}

    def attach(self, part: PartId, path: str, size: int) -> None:
        """Know a part; raises OSError where it cannot be written.

        It is opened by the first read: most parts never have bytes from here, and an open one has a thread of its own.
        """
        os.close(os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC))
        self._known[part] = (path, size)

    def detach(self, part: PartId) -> frozenset[ChunkIndex]:
        """Close a part: afterwards nothing is written to it again, and the disk has what was. Blocks; gives what was
        read again, and raises OSError where the disk has it not (engine.partwriter).
        """
        self._known.pop(part, None)
        writer = self._open.pop(part, None)
        return frozenset() if writer is None else writer.close()

    def detach_all(self) -> None:
        """Close every part: what was written gets its journal lines."""
        for part in list(self._open):
            with contextlib.suppress(OSError):
                self.detach(part)

    def read(self, order: ReadRange, *, questions: int) -> None:
        """Begin a read; `questions` is how often the peer may be asked for our place."""
        try:
            part = self._writer(order.part)
        except OSError as error:
            self._fail(order.tag, DownloadError("disk", str(error)))
            return
        if part is None:
            self._fail(order.tag, DownloadError("cancelled", "the part was closed"))
        elif len(self._running) >= READS_MAX:
            self._fail(order.tag, DownloadError("busy", "too many files are being read"))
        else:
            reading = self._tasks.create_task(self._run(order, part, questions), name=f"read {order.tag.transfer}")
            self._running[order.tag] = reading
            reading.add_done_callback(lambda _: self._running.pop(order.tag, None))

    def _writer(self, part: PartId) -> PartWriter | None:
        known = self._known.get(part)
        if known is not None and part not in self._open:
            path, size = known
            self._open[part] = PartWriter(path, chunk_bytes=chunk_size(size))
        return self._open.get(part)

    def cancel(self, tag: Tag) -> None:
        """End a read; it answers `cancelled` unless it ended just before."""
        reading = self._running.get(tag)
        if reading is not None:
            reading.cancel()

    async def _run(self, order: ReadRange, part: PartWriter, questions: int) -> None:
        username, path = order.request.endpoint.host, order.request.target
        flowing = False
        try:
            async with self._downloads.download(username, path, size=order.size, stall_s=self._stall_s) as download:
                stream = await self._stand_in_line(order.tag, download, questions)
                flowing = True
                await self._receive(order, part, stream)
        except DownloadError as error:
            if error.code not in ("busy", "cancelled", "disk"):
                what: What = "refused" if error.is_final else "failed"
                self._happened(username, path, order.size, Happened(what=what, reason=error.message))
            elif flowing:
                self._happened(username, path, order.size, Happened(what="cancelled"))
            self._fail(order.tag, error)
        except asyncio.CancelledError:
            if flowing:
                self._happened(username, path, order.size, Happened(what="cancelled"))
            self._fail(order.tag, DownloadError("cancelled", "cancelled"))
            raise
        else:
            is_whole = order.last + 1 == chunk_count(order.size)
            self._happened(username, path, order.size, Happened(what="served" if is_whole else "cancelled"))
            self._tell(LaneEvent(tag=order.tag, event=TransferEnded(transfer=order.tag.transfer)))

    async def _stand_in_line(self, tag: Tag, download: Download, questions: int) -> Stream:
        """Ask, and wait until the peer has opened its connection."""
        await self._downloads.request(download)
        again, places = requests_again(), place_questions()
        asked_s = now = self._clock.monotonic()
        request_at, place_at = now + next(again), now + next(places)
        told: tuple[bool, int | None] = (False, None)
        while download.stream is None:
            if download.is_offered:
                await self._await_connection(download)
                continue
            quiet = not await download.news(max(0.0, min(request_at, place_at) - now))
            now = self._clock.monotonic()
            in_line = download.place is not None or now - asked_s >= IN_LINE_AFTER_S
            if in_line and told != (True, download.place):
                told = (True, download.place)
                self._tell(LaneEvent(tag=tag, event=PeerQueued(transfer=tag.transfer, place=download.place)))
            if download.say_again or (quiet and now >= request_at and download.place is None):
                await self._downloads.request(download)
            if now >= request_at:
                request_at = now + next(again)
            if now >= place_at and not download.is_offered:
                place_at = now + next(places) if questions else float("inf")
                if questions:
                    questions -= 1
                    self._happened(download.username, download.path, download.size, Happened(what="asked"))
                    await self._downloads.ask_place(download)
        return download.stream

    async def _await_connection(self, download: Download) -> None:
        if not await download.news(CONNECT_S):
            raise DownloadError("stalled", "offered the file and opened no connection")

    async def _receive(self, order: ReadRange, part: PartWriter, stream: Stream) -> None:
        """Read chunk after chunk from where the order begins."""
        chunk_bytes = chunk_size(order.size)
        buffer = memoryview(bytearray(min(chunk_bytes, order.size)))
        await stream.begin(order.first * chunk_bytes)
        began, connected = self._clock.monotonic(), False
        for index in range(order.first, order.last + 1):
            view = buffer[: min(chunk_bytes, order.size - index * chunk_bytes)]
            filled = 0
            while filled < len(view):
                data = await stream.read(min(len(view) - filled, _RECEIVE_BYTES))
                if not connected:
                    connected = True
                    self._tell(LaneEvent(tag=order.tag, event=PeerConnected(transfer=order.tag.transfer)))
                view[filled : filled + len(data)] = data
                filled += len(data)
            ended = self._clock.monotonic()
            # Hashing and writing leave the interpreter's lock alone: the loop goes on with other peers meanwhile.
            event = await asyncio.to_thread(_keep, order, part, ChunkIndex(index), view, ended - began)
            began = ended
            self._tell(LaneEvent(tag=order.tag, event=event))

    def _fail(self, tag: Tag, error: DownloadError) -> None:
        pause_s = BUSY_RETRY_S if error.code == "busy" else None
        failed = TransferFailed(transfer=tag.transfer, code=error.code, message=error.message, retry_after_s=pause_s)
        self._tell(LaneEvent(tag=tag, event=failed))


def _keep(order: ReadRange, part: PartWriter, chunk: ChunkIndex, view: memoryview, duration_s: float) -> ChunkArrived:
    """Hash a chunk and write it unless it is wrong; raises DownloadError where our own side refuses."""
    found = chunk_hash(view, file_size=order.size)
    matches = None if order.expected is None else found == order.expected[chunk - order.first]
    try:
        written = matches is False or part.write_chunk(chunk, view, found, verified=matches is True)
    except OSError as error:
        raise DownloadError("disk", str(error)) from error
    if not written:
        raise DownloadError("cancelled", "the part was closed")
    return ChunkArrived(
        transfer=order.tag.transfer,
        chunk=chunk,
        digest=found,
        matches=matches,
        bytes_received=len(view),
        duration_s=duration_s,
    )
