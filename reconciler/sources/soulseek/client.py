"""The door to aioslsk: a session with the Soulseek server, searches, downloads of one file from one offset, uploads.

Owns: everything that the protocol library is told, and the guards between it and what strangers send it. Never: writes
a file, decides when to connect, or knows what is searched for. It runs in a process of its own
(engine.soulseek_process).

What the library does by itself and must not: read settings from the environment; believe the length of a frame or of an
inflated body; listen everywhere; replace the loop's exception handler; reconnect; keep the second of two connections
that a peer opens for one file; tell two files apart by a ticket that every other client of its kind counts from 2.
"""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aioslsk.client import SoulSeekClient
from aioslsk.events import AdminMessageEvent, ConnectionStateChangedEvent, KickedEvent, on_message
from aioslsk.exceptions import (
    AioSlskException,
    AuthenticationError,
    ConnectionFailedError,
    ConnectionReadError,
    ListeningConnectionFailedError,
    NetworkError,
    PeerConnectionError,
)
from aioslsk.network import network as library_network
from aioslsk.network.connection import (
    CloseReason,
    ConnectionState,
    DataConnection,
    ListeningConnection,
    PeerConnection,
    PeerConnectionState,
    PeerConnectionType,
    ServerConnection,
)
from aioslsk.network.network import Network
from aioslsk.protocol import messages
from aioslsk.protocol.primitives import uint64
from aioslsk.settings import Settings
from aioslsk.shares.manager import SharesManager
from aioslsk.shares.model import SharedItem
from aioslsk.transfer.manager import TransferManager
from aioslsk.transfer.model import Transfer, TransferDirection
from aioslsk.user.model import UserStatus
from aioslsk.utils import ticket_generator

from reconciler.sources.soulseek.account import Account
from reconciler.sources.soulseek.download import Download, DownloadError
from reconciler.sources.soulseek.frames import DISTRIBUTED, FIRST, FROM_PEER, FROM_SERVER, FrameRule, read_frame
from reconciler.sources.soulseek.limits import LimitError, bounded
from reconciler.sources.soulseek.line import ReadFault, meaning_of
from reconciler.sources.soulseek.pauses import Ending, ending_of
from reconciler.sources.soulseek.search_reply import SearchReply, read_search_reply
from reconciler.sources.soulseek.sharing import TOO_MANY, has_room, offered_files, open_offered

# Connections to peers at once. Each may hold one frame (a quarter of a megabyte); answers to a search come from some
# hundred users, one after the other. More are hung up on.
PEERS_MAX = 100

# A connection whose first frame does not come within this time is closed.
FIRST_FRAME_S = 10.0

# How long the ticket of a file may take on a new connection, and how long a way through the server is tried: both are a
# few round trips.
TICKET_S = 5.0
INDIRECT_S = 20.0

# Phrases that the server asks not to search for; some dozens are known.
PHRASES_MAX = 1000

SEARCH_REPLY = 9


class SessionEndedError(Exception):
    """The session could not be had, or is over."""

    def __init__(self, how: Ending, reason: str) -> None:
        super().__init__(f"{how}: {reason}")
        self.how = how
        self.reason = bounded(reason)


class _Settings(Settings):
    """Settings that come from us alone."""

    @classmethod
    def settings_customise_sources(cls, _: Any, init_settings: Any, **__: Any) -> tuple[Any, ...]:
        return (init_settings,)


def _settings_of(account: Account) -> _Settings:
    return _Settings(
        credentials={"username": account.username, "password": account.password},
        network={
            "server": {"hostname": account.server_host, "port": account.server_port, "reconnect": {"auto": False}},
            "listening": {"error_mode": "any", "port": account.listen_port, "obfuscated_port": 0},
            "peer": {"connect_mode": "fallback"},
            "upnp": {"enabled": False},
            "limits": {"upload_speed_kbps": account.upload_bytes_per_s // 1024},
        },
        shares={"scan_on_start": False, "download": os.devnull, "directories": [{"path": p} for p in account.shared]},
        transfers={"limits": {"upload_slots": account.upload_slots}},
        # The distributed net brings other people's searches. Who shares nothing has no answer to any.
        debug={"search_for_parent": bool(account.shared)},
    )


# ---- guards ----------------------------------------------------------------------------------------------------------


class _Broken:
    """Stands for a frame that breaks the rules: its connection is closed."""


def _rule(connection: DataConnection) -> FrameRule:
    if isinstance(connection, ServerConnection):
        return FROM_SERVER
    if connection.connection_state == PeerConnectionState.AWAITING_INIT:
        return FIRST
    return FROM_PEER if connection.connection_type == PeerConnectionType.PEER else DISTRIBUTED


async def _read_message(self: Any) -> bytes:
    """Read one frame that we have a use for, within limits."""
    if self._reader is None:
        raise ConnectionReadError("the connection is not open")
    return await read_frame(self._reader, lambda: _rule(self))


_deserialize_peer_message = PeerConnection.deserialize_message


def _deserialize_message(self: Any, message_data: bytes) -> object:
    """Read a peer's frame: an answer to a search by our own reader, everything else by the library's."""
    established = self.connection_state != PeerConnectionState.AWAITING_INIT
    is_answer = established and self.connection_type == PeerConnectionType.PEER
    if is_answer and int.from_bytes(message_data[4:8], "little") == SEARCH_REPLY:
        try:
            return read_search_reply(message_data[8:])
        except LimitError:
            return _Broken()
    return _deserialize_peer_message(self, message_data)


def guard_library() -> None:
    """Put the guards into the library's classes, which it names itself and cannot be handed others."""
    DataConnection._read_message = _read_message  # noqa: SLF001
    PeerConnection.deserialize_message = _deserialize_message
    library_network.PEER_INDIRECT_CONNECT_TIMEOUT = INDIRECT_S


class _Network(Network):
    """Connections, few and only in the clear; answers to searches and news of users go to `client`."""

    def __init__(self, client: "Client", settings: Settings, events: Any) -> None:
        self._client = client
        super().__init__(settings, events)
        self._ticket_generator = ticket_generator(secrets.randbits(31))

    def create_listening_connections(self) -> tuple[ListeningConnection | None, None]:
        account = self._client.account
        if not account.listen_port:
            return None, None
        return ListeningConnection(account.listen_host, account.listen_port, self, obfuscated=False), None

    def select_port(self, port: int, obfuscated_port: int) -> tuple[int, bool]:
        """The clear port; obfuscation hides nothing and would be one more parser."""
        if not port:
            raise PeerConnectionError(f"only an obfuscated port ({obfuscated_port}) is open")
        return port, False

    async def on_peer_accepted(self, connection: PeerConnection) -> None:
        if len(self.peer_connections) >= PEERS_MAX:
            await connection.disconnect(CloseReason.REQUESTED)
            return
        usual_s, connection.read_timeout = connection.read_timeout, FIRST_FRAME_S
        await super().on_peer_accepted(connection)
        connection.read_timeout = usual_s

    async def _handle_connect_to_peer(self, message: Any) -> None:
        if len(self.peer_connections) >= PEERS_MAX:
            raise PeerConnectionError("too many connections to peers")
        await super()._handle_connect_to_peer(message)

    async def on_message_received(self, message: Any, connection: Any) -> None:
        if isinstance(message, _Broken):
            await connection.disconnect(CloseReason.READ_ERROR)
        elif isinstance(message, SearchReply):
            self._client.answered(message)
            if not self._client.has_download_from(connection.username):
                await connection.disconnect(CloseReason.REQUESTED)
        else:
            await super().on_message_received(message, connection)
            if isinstance(message, messages.AddUser.Response) and not message.exists:
                self._client.user_is(message.username, online=False)
            elif isinstance(message, messages.AddUser.Response | messages.GetUserStatus.Response):
                self._client.user_is(message.username, online=message.status != UserStatus.OFFLINE.value)
            elif isinstance(message, messages.ExcludedSearchPhrases.Response):
                self._client.phrases(message.phrases)


class _Stream:
    """A connection for a file, as download.Stream."""

    def __init__(self, connection: PeerConnection) -> None:
        self._connection = connection

    async def begin(self, offset: int) -> None:
        await _sent(self._connection.send_message(uint64(offset).serialize()))
        self._connection.set_connection_state(PeerConnectionState.TRANSFERRING)

    async def read(self, bytes_max: int) -> bytes:
        try:
            data = await self._connection.receive_data(bytes_max)
        except ConnectionReadError as error:
            silent = isinstance(error.__cause__, TimeoutError)
            raise DownloadError(*_STALLED if silent else ("cut short", "the connection broke")) from error
        if data is None:
            raise DownloadError("cut short", "the peer hung up before the end of the file")
        return bytes(data)

    async def close(self) -> None:
        await self._connection.disconnect(CloseReason.REQUESTED)


_STALLED: tuple[ReadFault, str] = ("stalled", "nothing came for the stall timeout")


async def _sent(sending: Awaitable[object]) -> None:
    """Wait for a message to a peer to leave; raises DownloadError."""
    try:
        await sending
    except NetworkError as error:
        raise DownloadError("unreachable", "no connection to the peer") from error


class _Shares(SharesManager):
    """What is offered: found by our own walk, which follows no link."""

    never: tuple[Path, ...] = ()

    async def scan_directory_files(self, shared_directory: Any) -> None:
        root = Path(shared_directory.absolute_path)
        found = await asyncio.to_thread(lambda: list(offered_files(root, never=self.never)))
        before = {(item.subdir, item.filename, item.modified): item for item in shared_directory.items}
        items = set()
        for below, modified in found:
            subdir, name = os.path.split(below)
            known = before.get((subdir, name, modified))
            items.add(known or SharedItem(shared_directory, subdir, name, modified))
        shared_directory.items.clear()
        shared_directory.items |= items
        self.rebuild_term_map()


class _Transfers(TransferManager):
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
        taker = next((each for each in waiting if each.connected(ticket, _Stream(connection))), None)
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
            try:
                opened = await asyncio.to_thread(open_offered, Path(item.shared_directory.absolute_path), below)
            except OSError:
                opened = None
        # Without a descriptor the library finds no file and tells the peer so.
        usual, transfer.local_path = transfer.local_path, None if opened is None else f"/proc/self/fd/{opened}"
        try:
            await super()._upload_file(transfer, connection)
        finally:
            transfer.local_path = usual
            if opened is not None:
                os.close(opened)


class Client(SoulSeekClient):
    """One account. `found` takes answers to searches, `excluded` the phrases that the server does not search for."""

    def __init__(
        self,
        account: Account,
        *,
        found: Callable[[SearchReply], None],
        excluded: Callable[[tuple[str, ...]], None],
    ) -> None:
        guard_library()
        self.account = account
        self._found = found
        self._excluded = excluded
        self._notice = ""
        self._kicked = False
        self._over = asyncio.Event()
        super().__init__(_settings_of(account))
        self.shares.never = tuple(Path(each) for each in account.never_shared)
        self.events.register(ConnectionStateChangedEvent, self._on_connection)
        self.events.register(AdminMessageEvent, self._on_notice)
        self.events.register(KickedEvent, self._on_kicked)

    def create_network(self) -> Network:
        """Connections within bounds."""
        return _Network(self, self.settings, self.events)

    def create_shares_manager(self, cache: Any, executor_factory: Any = None) -> SharesManager:
        """Files found without following links."""
        return _Shares(self.settings, self.events, self.network, cache=cache, executor_factory=executor_factory)

    def create_transfer_manager(self, cache: Any) -> TransferManager:
        """Downloads of ours beside the library's uploads."""
        return _Transfers(self.settings, self.events, self.users, self.shares, self.network, cache=cache)

    # ---- the session -------------------------------------------------------------------------------------------------

    async def begin(self) -> str:
        """Start without connecting; gives what is wrong with the listening port, or nothing."""
        loop = asyncio.get_running_loop()
        before = loop.get_exception_handler()
        await self.start(connect=False)
        loop.set_exception_handler(before)
        try:
            await self.network.connect_listening_ports()
        except ListeningConnectionFailedError:
            return f"port {self.account.listen_port} cannot be listened on"
        return ""

    async def hold_session(self, online: Callable[[], None]) -> None:
        """Log in, call `online`, wait for the end; always raises SessionEndedError."""
        self._over.clear()
        self._notice, self._kicked = "", False
        try:
            await self.network.connect_server()
            await self.login()
        except ConnectionFailedError as error:
            raise SessionEndedError("lost", f"the server cannot be reached: {error}") from error
        except AuthenticationError as error:
            reason = str(error.args[0] if error.args else error)
            raise await self._given_up(ending_of(reason), f"the server refused the login: {reason}") from error
        except (NetworkError, AioSlskException) as error:
            # Hung up on before our login was read, the connection ends with a reset instead of in order.
            raise await self._given_up("unanswered", "the server hung up before the login had an answer") from error
        online()
        await self._over.wait()
        if self._kicked:
            raise SessionEndedError("kicked", "the same name logged in elsewhere")
        if "ban" in self._notice.lower():
            raise SessionEndedError("banned", self._notice)
        raise SessionEndedError("lost", self._notice or "the server closed the connection")

    async def _given_up(self, how: Ending, reason: str) -> SessionEndedError:
        await self.network.disconnect_server()
        return SessionEndedError("banned" if "ban" in self._notice.lower() else how, self._notice or reason)

    async def rescan(self) -> None:
        """Look through the shared folders again, and tell the server how many files there are."""
        await self.shares.scan()

    # ---- searching ---------------------------------------------------------------------------------------------------

    async def search(self, ticket: int, query: str) -> None:
        """Send a search to the server; answers come through `found` with its ticket."""
        await self.network.send_server_messages(messages.FileSearch.Request(ticket, query))

    def answered(self, reply: SearchReply) -> None:
        """Take an answer to some search."""
        self._found(reply)

    def phrases(self, excluded: list[str]) -> None:
        """Take the phrases that the server does not search for."""
        self._excluded(tuple(bounded(each, chars_max=100) for each in excluded[:PHRASES_MAX]))

    # ---- downloading -------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def download(self, username: str, path: str, *, size: int, stall_s: float) -> AsyncIterator[Download]:
        """Stand for one file of a user while the block runs; afterwards its connection is closed."""
        downloads = self.transfers.downloads
        if (username, path) in downloads:
            raise DownloadError("busy", "this very file is being read already")
        download = downloads[username, path] = Download(username=username, path=path, size=size, stall_s=stall_s)
        await self.users.track_user(username)
        try:
            yield download
        finally:
            del downloads[username, path]
            if download.stream is not None:
                await download.stream.close()
            if not self.has_download_from(username):
                await self.users.untrack_user(username)

    async def request(self, download: Download) -> None:
        """Ask the peer to put the file into its line; raises DownloadError."""
        download.say_again = False
        message = messages.PeerTransferQueue.Request(download.path)
        await _sent(self.network.send_peer_messages(download.username, message))

    async def ask_place(self, download: Download) -> None:
        """Ask for our place in the peer's line; raises DownloadError."""
        message = messages.PeerPlaceInQueueRequest.Request(download.path)
        await _sent(self.network.send_peer_messages(download.username, message))

    def has_download_from(self, username: str | None) -> bool:
        """Whether a file of this user is asked for."""
        return any(name == username for name, _ in self.transfers.downloads)

    def user_is(self, username: str, *, online: bool) -> None:
        """The server told whether a user is there: who is not sends nothing."""
        if not online:
            for (name, _), download in self.transfers.downloads.items():
                if name == username:
                    download.fail(DownloadError("unreachable", "the user is offline"))

    async def _on_connection(self, event: Any) -> None:
        if isinstance(event.connection, ServerConnection) and event.state == ConnectionState.CLOSED:
            self._over.set()

    async def _on_notice(self, event: Any) -> None:
        self._notice = bounded(event.message)

    async def _on_kicked(self, event: Any) -> None:  # noqa: ARG002 - who is told needs no more
        self._kicked = True
