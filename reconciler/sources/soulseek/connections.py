"""Connections to the server and to peers: few, only in the clear, and at the address that was configured.

Owns: how many there are, which messages are handed on, and reading a file from one. Never: believes a length that a
stranger states (sources.soulseek.guards).

What the library does by itself and must not: listen everywhere; keep every connection that a stranger opens.
"""

import asyncio
import secrets
from collections.abc import Awaitable
from typing import Any, Protocol

from aioslsk.exceptions import ConnectionReadError, NetworkError, PeerConnectionError
from aioslsk.network.connection import CloseReason, ListeningConnection, PeerConnection, PeerConnectionState
from aioslsk.network.network import Network
from aioslsk.protocol import messages
from aioslsk.protocol.primitives import uint64
from aioslsk.settings import Settings
from aioslsk.user.model import UserStatus
from aioslsk.utils import ticket_generator

from reconciler.sources.soulseek.account import Account
from reconciler.sources.soulseek.browsing import BrowseBudget
from reconciler.sources.soulseek.download import DownloadError
from reconciler.sources.soulseek.guards import Broken
from reconciler.sources.soulseek.line import ReadFault
from reconciler.sources.soulseek.search_reply import SearchReply

# Connections to peers at once. Each may hold one frame (a quarter of a megabyte); answers to a search come from some
# hundred users, one after the other. More are hung up on.
PEERS_MAX = 100

# How long it may take to reach a peer: its address from the server (a round trip), the direct way (10 s in the
# library), the way through the server (INDIRECT_S). The library itself waits for the address for ever where the server
# has gone.
REACHED_S = 40.0

# A connection whose first frame does not come within this time is closed.
FIRST_FRAME_S = 10.0


class Hears(Protocol):
    """Who is told what came."""

    @property
    def account(self) -> Account:
        """Where to listen."""
        ...

    def answered(self, reply: SearchReply) -> None:
        """Take an answer to some search."""
        ...

    def has_download_from(self, username: str | None) -> bool:
        """Whether a file of this user is asked for."""
        ...

    def user_is(self, username: str, *, online: bool) -> None:
        """The server told whether a user is there."""
        ...

    def phrases(self, excluded: list[str]) -> None:
        """Take the phrases that the server does not search for."""
        ...


class Connections(Network):
    """Connections, few and only in the clear; answers to searches and news of users go to `hears`."""

    def __init__(self, hears: Hears, settings: Settings, events: Any) -> None:
        self._hears = hears
        self._browsing = BrowseBudget()
        super().__init__(settings, events)
        self._ticket_generator = ticket_generator(secrets.randbits(31))

    def create_listening_connections(self) -> tuple[ListeningConnection | None, None]:
        """One in the clear at the address that was configured, or none."""
        account = self._hears.account
        if not account.listen_port:
            return None, None
        return ListeningConnection(account.listen_host, account.listen_port, self, obfuscated=False), None

    def select_port(self, port: int, obfuscated_port: int) -> tuple[int, bool]:
        """The clear port; obfuscation hides nothing and would be one more parser."""
        if not port:
            raise PeerConnectionError(f"only an obfuscated port ({obfuscated_port}) is open")
        return port, False

    async def on_peer_accepted(self, connection: PeerConnection) -> None:
        """Take a stranger's connection, unless there are enough; it has to say soon who it is."""
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
        """Hand on what came: an answer to a search to us, everything else to the library as well."""
        if isinstance(message, Broken):
            await connection.disconnect(CloseReason.READ_ERROR)
        elif not self._is_answered(message, connection):
            return
        elif isinstance(message, SearchReply):
            self._hears.answered(message)
            if not self._hears.has_download_from(connection.username):
                await connection.disconnect(CloseReason.REQUESTED)
        else:
            await super().on_message_received(message, connection)
            if isinstance(message, messages.AddUser.Response) and not message.exists:
                self._hears.user_is(message.username, online=False)
            elif isinstance(message, messages.AddUser.Response | messages.GetUserStatus.Response):
                self._hears.user_is(message.username, online=message.status != UserStatus.OFFLINE.value)
            elif isinstance(message, messages.ExcludedSearchPhrases.Response):
                self._hears.phrases(message.phrases)

    def _is_answered(self, message: Any, connection: Any) -> bool:
        """Whether a message is heard: who asks for our list of files again and again gets no answer."""
        now = asyncio.get_running_loop().time()
        if isinstance(message, messages.PeerSharesRequest.Request):
            return self._browsing.may_send_list(connection.username or "", now)
        if isinstance(message, messages.PeerDirectoryContentsRequest.Request):
            return self._browsing.may_send_folder(now)
        return True


class FileStream:
    """A connection for a file, as download.Stream."""

    def __init__(self, connection: PeerConnection) -> None:
        self._connection = connection

    async def begin(self, offset: int) -> None:
        """Ask for the bytes from `offset` on."""
        await sent(self._connection.send_message(uint64(offset).serialize()))
        self._connection.set_connection_state(PeerConnectionState.TRANSFERRING)

    async def read(self, bytes_max: int) -> bytes:
        """Take what has come, one byte at least."""
        try:
            data = await self._connection.receive_data(bytes_max)
        except ConnectionReadError as error:
            silent = isinstance(error.__cause__, TimeoutError)
            raise DownloadError(*_STALLED if silent else ("cut short", "the connection broke")) from error
        if data is None:
            raise DownloadError("cut short", "the peer hung up before the end of the file")
        return bytes(data)

    async def close(self) -> None:
        """Hang up."""
        await self._connection.disconnect(CloseReason.REQUESTED)


_STALLED: tuple[ReadFault, str] = ("stalled", "nothing came for the stall timeout")


async def sent(sending: Awaitable[object]) -> None:
    """Wait for a message to a peer to leave; raises DownloadError."""
    try:
        async with asyncio.timeout(REACHED_S):
            await sending
    except (NetworkError, TimeoutError) as error:
        raise DownloadError("unreachable", "no connection to the peer") from error
