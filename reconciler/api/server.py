"""The API on the daemon's own loop: the port, the server, and the address by which commands find it.

Owns: binding, starting and stopping. Never: handles a signal (the daemon does) or a request.
"""

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from reconciler.addresses import HostPort
from reconciler.api.address import forget_address, keep_address
from reconciler.api.ports import holder_of
from reconciler.errors import BadConfigurationError

# Requests that wait for the disk at once; the reconcile loop has threads of its own.
THREADS = 4

# Connections at once, streams included; one more is answered 503.
CONNECTIONS_MAX = 64

# A request's line and headers come in one packet, or from somebody who wants to hold the connection.
HEAD_S_MAX = 10.0
HEAD_BYTES_MAX = 16 * 1024

# How long an answer may take no byte, in milliseconds, before the kernel gives the connection up.
_UNTAKEN_MS_MAX = 60_000

# Requests that are being answered when the daemon ends.
_GRACE_S = 3

_BACKLOG = 64


def threads() -> ThreadPoolExecutor:
    """The threads for what waits for the disk."""
    return ThreadPoolExecutor(THREADS, thread_name_prefix="api")


def bound(where: HostPort) -> socket.socket:
    """A socket that listens; raises BadConfigurationError where it cannot, saying who has the port."""
    text = f"[{where.host}]:{where.port}" if ":" in where.host else f"{where.host}:{where.port}"
    try:
        family, _, _, _, address = socket.getaddrinfo(where.host, where.port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(cast("tuple[str, int]", address[:2]), family=family, backlog=_BACKLOG)
    except OSError as error:
        holder = holder_of(where.port) if error.errno == errno.EADDRINUSE else ""
        by = f" (process {holder} has it)" if holder else ""
        # What a name server says has numbers of its own, below zero.
        why = os.strerror(error.errno) if error.errno is not None and error.errno > 0 else error.strerror
        raise BadConfigurationError(
            f"the API cannot listen at {text}: {why}{by}",
            hint="stop that program, set api.listen to another port, or set api.enabled to false",
        ) from error


@contextlib.asynccontextmanager
async def serving(app: ASGIApp, listener: socket.socket, *, closing: asyncio.Event, state: Path) -> AsyncIterator[None]:
    """Serve `app` while the block runs. At its end `closing` is set, and streams end."""
    server = _Server(_settings(app))
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(server.serve([listener]))
        await server.began.wait()
        keep_address(state, listener.getsockname())
        try:
            yield
        finally:
            forget_address(state)
            closing.set()
            server.should_exit = True
            await asyncio.wait({running})


def _settings(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=_Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=CONNECTIONS_MAX,
        backlog=_BACKLOG,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=_GRACE_S,
        h11_max_incomplete_event_size=HEAD_BYTES_MAX,
    )


class _Server(uvicorn.Server):
    """Says when it has begun, and leaves signals to the daemon."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.began = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.began.set()


class _Connection(H11Protocol):
    """A connection that must come to the point: with its first request, and with each that it begins later."""

    _head_began_s: float | None = None
    """When a head was begun that is not whole yet, or more of a body whose request was answered; the loop's time."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()
        taken = transport.get_extra_info("socket")
        if taken is not None:
            taken.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNTAKEN_MS_MAX)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        cycle: RequestResponseCycle | None = self.cycle  # None until a request has begun, whatever its annotation says
        if cycle is not None and not cycle.response_complete:
            self._head_began_s = None
        elif self._head_began_s is None:
            self._await_head()

    def _await_head(self) -> None:
        self._head_began_s = self.loop.time()
        self.loop.call_later(HEAD_S_MAX, self._close_without_head, self._head_began_s)

    def _close_without_head(self, began_s: float) -> None:
        if self._head_began_s == began_s and not self.transport.is_closing():
            self.transport.close()
