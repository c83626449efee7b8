"""Files on their way: uploads as the protocol library does them, within bounds; downloads as values of ours.

Owns: which message of a peer belongs to which download, and what an upload is read from. Never: decides when a file is
asked for (engine.soulseek_reads).

What the library does by itself and must not: keep the second of two connections that a peer opens for one file; tell
two files apart by a ticket that every other client of its kind counts from 2; follow a link to what it sends.
"""

import asyncio
import contextlib
import os
import secrets
from pathlib import Path
from typing import Any

from aioslsk.events import on_message
from aioslsk.exceptions import ConnectionReadError
from aioslsk.network.connection import CloseReason, PeerConnection, PeerConnectionType
from aioslsk.protocol import messages
from aioslsk.transfer.manager import TransferManager
from aioslsk.transfer.model import Transfer, TransferDirection
from aioslsk.utils import ticket_generator

from reconciler.sources.soulseek.connections import FileStream
from reconciler.sources.soulseek.download import Download, DownloadError
from reconciler.sources.soulseek.limits import bounded
from reconciler.sources.soulseek.line import meaning_of
from reconciler.sources.soulseek.sharing import TOO_MANY, has_room, open_offered

# How long the ticket of a file may take on a new connection: a few round trips.
TICKET_S = 5.0


class Transfers(TransferManager):
    """Uploads as the library does them, within bounds; downloads are Download values of ours."""

    def __init__(self, *given: Any, **more: Any) -> None:
        self.downloads: dict[tuple[str, str], Download] = {}
        super().__init__(*given, **more)
        self._ticket_generator = ticket_generator(secrets.randbits(31))

    def _download(self, message: Any, connection: Any) -> Download | None:
        return self.downloads.get((connection.username or "", message.filename))

    @on_message(messages.PeerTransferRequest.Request)
    async def _on_peer_transfer_request(self, message: Any, connection: Any) -> None:
        if message.direction != TransferDirection.DOWNLOAD.value:
            if await self._has_room(message, connection):
                await super()._on_peer_transfer_request(message, connection)
            return
        download = self._download(message, connection)
        taken = download is not None and download.offered(message.ticket, message.filesize)
        reason = None if taken else "Cancelled"
        await connection.send_message(messages.PeerTransferReply.Request(message.ticket, taken, reason=reason))

    @on_message(messages.PeerTransferQueue.Request)
    async def _on_peer_transfer_queue(self, message: Any, connection: Any) -> None:
        if await self._has_room(message, connection):
            await super()._on_peer_transfer_queue(message, connection)

    @on_message(messages.PeerTransferQueueFailed.Request)
    async def _on_peer_transfer_queue_failed(self, message: Any, connection: Any) -> None:
        download = self._download(message, connection)
        if download is not None:
            meaning = meaning_of(message.reason)
            download.fail(DownloadError(meaning.code, bounded(message.reason), is_final=meaning.is_final))

    @on_message(messages.PeerUploadFailed.Request)
    async def _on_peer_upload_failed(self, message: Any, connection: Any) -> None:
        download = self._download(message, connection)
        if download is not None:
            download.upload_failed()

    @on_message(messages.PeerPlaceInQueueReply.Request)
    async def _on_peer_place_in_queue_reply(self, message: Any, connection: Any) -> None:
        download = self._download(message, connection)
        if download is not None:
            download.in_line(message.place)

    async def _on_peer_initialized(self, event: Any) -> None:
        """A peer opened a connection for a file: give it to the download that its ticket names, else close it."""
        connection = event.connection
        if connection.connection_type != PeerConnectionType.FILE or event.requested:
            return
        try:
            async with asyncio.timeout(TICKET_S):
                ticket = await connection.receive_transfer_ticket()
        except (ConnectionReadError, TimeoutError):
            await connection.disconnect(CloseReason.TIMEOUT)
            return
        waiting = [each for (name, _), each in self.downloads.items() if name == connection.username]
        taker = next((each for each in waiting if each.connected(ticket, FileStream(connection))), None)
        if taker is not None:
            connection.transfer_read_timeout = taker.stall_s
        else:
            await connection.disconnect(CloseReason.REQUESTED)

    async def _has_room(self, message: Any, connection: Any) -> bool:
        for done in self.get_finished_transfers():
            await self.remove(done)
        if has_room([each.username for each in self.transfers], connection.username):
            return True
        connection.queue_message(messages.PeerTransferQueueFailed.Request(filename=message.filename, reason=TOO_MANY))
        return False

    async def _upload_file(self, transfer: Transfer, connection: PeerConnection) -> None:
        """Upload from a descriptor that was reached without a link, whatever the path leads to by now."""
        item = self._shares_manager.find_shared_item_cache(transfer.remote_path, transfer.username)
        opened = None
        if item is not None:
            below = os.path.join(item.subdir, item.filename)  # noqa: PTH118 - two parts of a path, not a path
            root = Path(item.shared_directory.absolute_path)
            with contextlib.suppress(OSError):
                opened = await asyncio.to_thread(open_offered, root, below)
            if opened is not None and not self._shares_manager.is_offered(root, below, os.fstat(opened)):
                os.close(opened)
                opened = None
        # Without a descriptor the library finds no file and tells the peer so.
        usual, transfer.local_path = transfer.local_path, None if opened is None else f"/proc/self/fd/{opened}"
        try:
            await super()._upload_file(transfer, connection)
        finally:
            transfer.local_path = usual
            if opened is not None:
                os.close(opened)
