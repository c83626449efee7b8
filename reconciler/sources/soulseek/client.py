"""The door to aioslsk: a session with the Soulseek server, searches, downloads of one file from one offset, uploads.

Owns: everything that the protocol library is told. Never: writes a file, decides when to connect, or knows what is
searched for. It runs in a process of its own (engine.soulseek_process).

The library's parts are put in their places here, each in the form that we can live with: sources.soulseek.guards,
connections, shares and transfers. What it does by itself and must not, beside what is said there: read settings from
the environment; replace the loop's exception handler; reconnect.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aioslsk.client import SoulSeekClient
from aioslsk.events import AdminMessageEvent, ConnectionStateChangedEvent, KickedEvent
from aioslsk.exceptions import (
    AioSlskException,
    AuthenticationError,
    ConnectionFailedError,
    ListeningConnectionFailedError,
    NetworkError,
)
from aioslsk.network.connection import ConnectionState, ServerConnection
from aioslsk.network.network import Network
from aioslsk.protocol import messages
from aioslsk.settings import Settings
from aioslsk.shares.manager import SharesManager
from aioslsk.transfer.manager import TransferManager

from reconciler.sources.soulseek.account import Account
from reconciler.sources.soulseek.connections import Connections, sent
from reconciler.sources.soulseek.download import Download, DownloadError
from reconciler.sources.soulseek.guards import guard_library
from reconciler.sources.soulseek.limits import bounded
from reconciler.sources.soulseek.pauses import Ending, ending_of, speaks_of_a_ban
from reconciler.sources.soulseek.search_reply import SearchReply
from reconciler.sources.soulseek.shares import Shares
from reconciler.sources.soulseek.sharing import Mark, by_root, outermost
from reconciler.sources.soulseek.transfers import Transfers

# Phrases that the server asks not to search for; some dozens are known.
PHRASES_MAX = 1000


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
            # In the library's units of 1,024 bytes a second, rounded up: 0 would be no cap at all.
            "limits": {"upload_speed_kbps": -(-account.upload_bytes_per_s // 1024)},
        },
        shares={
            "scan_on_start": False,
            "download": os.devnull,
            "directories": [{"path": str(each)} for each in (*_shared(account), *_published_roots(account))],
        },
        transfers={"limits": {"upload_slots": account.upload_slots}},
        # The distributed net brings other people's searches. Who shares nothing has no answer to any.
        debug={"search_for_parent": account.gives},
    )


def _shared(account: Account) -> tuple[Path, ...]:
    return outermost(Path(each).resolve() for each in account.shared)


def _published_roots(account: Account) -> tuple[Path, ...]:
    """Those that are not offered whole anyway."""
    shared = _shared(account)
    roots = outermost(Path(each) for each in account.published_roots)
    return tuple(each for each in roots if not any(each.is_relative_to(other) for other in shared))


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
        self._is_online = False
        self._over = asyncio.Event()
        super().__init__(_settings_of(account))
        self.shares.never = tuple(Path(each) for each in account.never_shared)
        self.shares.published = {root: {} for root in _published_roots(account)}
        self.events.register(ConnectionStateChangedEvent, self._on_connection)
        self.events.register(AdminMessageEvent, self._on_notice)
        self.events.register(KickedEvent, self._on_kicked)

    def create_network(self) -> Network:
        """Connections within bounds."""
        return Connections(self, self.settings, self.events)

    def create_shares_manager(self, cache: Any, executor_factory: Any = None) -> SharesManager:
        """Files found without following links."""
        return Shares(self.settings, self.events, self.network, cache=cache, executor_factory=executor_factory)

    def create_transfer_manager(self, cache: Any) -> TransferManager:
        """Downloads of ours beside the library's uploads."""
        return Transfers(self.settings, self.events, self.users, self.shares, self.network, cache=cache)

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
        self._is_online = True
        online()
        await self._over.wait()
        self._is_online = False
        if self._kicked:
            raise SessionEndedError("kicked", "the same name logged in elsewhere")
        if speaks_of_a_ban(self._notice):
            raise SessionEndedError("banned", self._notice)
        raise SessionEndedError("lost", self._notice or "the server closed the connection")

    async def _given_up(self, how: Ending, reason: str) -> SessionEndedError:
        await self.network.disconnect_server()
        return SessionEndedError("banned" if speaks_of_a_ban(self._notice) else how, self._notice or reason)

    def publish(self, files: Iterable[tuple[str, Mark]]) -> None:
        """Take what is published by its path and its mark, in place of what was; `rescan` offers it."""
        account = self.account
        self.shares.published = by_root(files, _published_roots(account), but=_shared(account))

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
        if not self._is_online and not self.network.get_active_peer_connections(download.username, "P"):
            # The user is not at fault that nobody can tell us where they are.
            raise DownloadError("busy", "there is no session with the server")
        message = messages.PeerTransferQueue.Request(download.path)
        await sent(self.network.send_peer_messages(download.username, message))

    async def ask_place(self, download: Download) -> None:
        """Ask for our place in the peer's line; raises DownloadError."""
        message = messages.PeerPlaceInQueueRequest.Request(download.path)
        await sent(self.network.send_peer_messages(download.username, message))

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
