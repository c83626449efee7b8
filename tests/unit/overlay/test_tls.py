"""A client meets the key it expects, or sends nothing."""

import asyncio
import socket
import ssl
import threading

import pytest
from overlay_world import OTHER, SERVER

from reconciler.overlay.tls import PinnedContext, WrongIdentityError, server_context

NOW = 1_790_000_000.0


class Echo:
    """A TLS server in a thread that keeps what one connection sends."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.received = b""
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        sock, _ = self._listener.accept()
        try:
            with self._context.wrap_socket(sock, server_side=True) as secure:
                while data := secure.recv(100):
                    self.received += data
        except OSError:
            sock.close()

    def end(self) -> bytes:
        self._thread.join(60)
        self._listener.close()
        return self.received


def test_a_blocking_client_meets_its_peer():
    """The right key: bytes pass, over TLS 1.3."""
    echo = Echo(server_context(SERVER, unix_s=NOW))
    with (
        socket.create_connection(("127.0.0.1", echo.port)) as sock,
        PinnedContext(SERVER.id).wrap_socket(sock, server_hostname="127.0.0.1") as secure,
    ):
        assert secure.version() == "TLSv1.3"
        secure.sendall(b"hello")
    assert echo.end() == b"hello"


def test_a_blocking_client_refuses_another_key():
    """The handshake itself fails, and nothing was sent."""
    echo = Echo(server_context(SERVER, unix_s=NOW))
    with socket.create_connection(("127.0.0.1", echo.port)) as sock, pytest.raises(WrongIdentityError) as error:
        PinnedContext(OTHER.id).wrap_socket(sock, server_hostname="127.0.0.1")
    assert (error.value.expected, error.value.met) == (OTHER.id, SERVER.id)
    assert echo.end() == b""


def test_asyncio_refuses_another_key():
    """The same check in asyncio's handshake."""
    echo = Echo(server_context(SERVER, unix_s=NOW))

    async def connect():
        await asyncio.open_connection("127.0.0.1", echo.port, ssl=PinnedContext(OTHER.id), server_hostname="x")

    with pytest.raises(WrongIdentityError):
        asyncio.run(connect())
    assert echo.end() == b""


def test_older_versions_are_not_spoken():
    """TLS 1.2 is refused by the server and by the client."""
    echo = Echo(server_context(SERVER, unix_s=NOW))
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname = False
    old.verify_mode = ssl.CERT_NONE
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with socket.create_connection(("127.0.0.1", echo.port)) as sock, pytest.raises(ssl.SSLError):
        old.wrap_socket(sock)
    assert echo.end() == b""
    assert PinnedContext(SERVER.id).minimum_version == ssl.TLSVersion.TLSv1_3
