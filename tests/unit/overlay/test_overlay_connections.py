"""The server bounds what connections may cost, and starts and stops as a whole."""

import asyncio
import socket
from contextlib import ExitStack, contextmanager

import pytest
from loguru import logger
from overlay_world import SERVER, RawClient, content, hold, open_files_named, serving, turns_until, with_client

from reconciler.clock import SystemClock
from reconciler.library.index import LibraryIndex
from reconciler.overlay import listener
from reconciler.overlay import server as server_module
from reconciler.overlay.fairness import UploadLimits
from reconciler.overlay.messages import blob_target
from reconciler.overlay.server import OverlayServer
from reconciler.state.database import Database


@pytest.fixture
def index(tmp_path):
    """A library in a database of its own."""
    database = Database.open(tmp_path / "state.db")
    yield LibraryIndex(database)
    database.close()


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /" + b"x" * 3000 + b" HTTP/1.1\r\nHost: p\r\n\r\n",
        b"GET /overlay/v1/hello HTTP/1.1\r\nX: " + b"y" * 9000 + b"\r\n\r\n",
        b"GET /overlay/v1/hello HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"GET /overlay/v1/hello HTTP/1.1\r\nHost: p\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"\x16\x03\x01\x00\x00 nonsense\r\n\r\n",
        b"GET /overlay/v1/hello HTTP/1.1\r\nHo st: p\r\n\r\n",
    ],
    ids=["line", "header", "many headers", "two lengths", "not HTTP", "broken header"],
)
def test_requests_beyond_bounds_end_the_connection(index, request_bytes):
    """400 and closed, without a word in the log above debug."""
    lines = []
    sink = logger.add(lambda message: lines.append(message.record["level"].no), level=0)

    async def talk(client):
        client.writer.write(request_bytes)
        answer = await client.reader.read()
        assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.0 400 "))

    with_client(index, talk)
    logger.remove(sink)
    assert max(lines) <= 20


def test_connections_of_one_address_are_bounded(index, monkeypatch):
    """One more than may be is closed before the handshake; one that ends makes room."""
    monkeypatch.setattr(listener, "CONNECTIONS_PER_ADDRESS_MAX", 2)

    async def main():
        async with serving(index) as port, RawClient.connect(port) as first:
            async with RawClient.connect(port) as second:
                assert (await second.get("/overlay/v1/hello")).status == 200
                with pytest.raises((ConnectionError, EOFError, OSError)):
                    async with RawClient.connect(port) as third:
                        await third.get("/overlay/v1/hello")
                assert (await first.get("/overlay/v1/hello")).status == 200
            for _ in range(100):
                try:
                    async with RawClient.connect(port) as third:
                        assert (await third.get("/overlay/v1/hello")).status == 200
                        return
                except OSError:
                    await asyncio.sleep(0)
            pytest.fail("no room was made")

    asyncio.run(asyncio.wait_for(main(), 60))


@contextmanager
def connected(port, count):
    """So many connections that the server has not seen yet."""
    with ExitStack() as held:
        yield [held.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(count)]


def is_closed(connection):
    """Whether the other side has hung up."""
    connection.setblocking(False)
    try:
        return not connection.recv(1)
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


def test_a_burst_of_one_address_is_bounded(index, monkeypatch):
    """Those that came before any handshake has begun count as well; and nothing is kept of an address that is gone."""
    monkeypatch.setattr(listener, "CONNECTIONS_PER_ADDRESS_MAX", 3)

    async def main():
        server = OverlayServer(SERVER, index, UploadLimits(), SystemClock())
        port = await server.start("127.0.0.1", 0)
        with connected(port, 40) as connections:
            await turns_until(lambda: sum(map(is_closed, connections)) >= 37)
            for _ in range(100):
                await asyncio.sleep(0)
            assert sum(map(is_closed, connections)) == 37
        await turns_until(lambda: not server._running.listener._handshakes)
        await server.stop()

    asyncio.run(asyncio.wait_for(main(), 60))


def test_a_burst_does_not_hold_up_the_loop(index, monkeypatch):
    """Others have their turn between two connections, however many wait."""
    monkeypatch.setattr(listener, "CONNECTIONS_PER_ADDRESS_MAX", 0)

    async def main():
        async with serving(index) as port:
            with connected(port, 60) as connections:
                for _ in range(20):
                    await asyncio.sleep(0)
                assert not all(map(is_closed, connections))
                await turns_until(lambda: all(map(is_closed, connections)))

    asyncio.run(asyncio.wait_for(main(), 60))


@pytest.mark.parametrize(
    ("address", "same", "other"),
    [
        ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.1", "::ffff:192.0.2.2"),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:3::1"),
        ("fe80::1%eth0", "fe80::2%eth0", "fe80:0:0:1::1%eth0"),
    ],
)
def test_a_network_of_ipv6_counts_as_one_address(address, same, other):
    """Whoever has one such address has 2^64 of them."""
    assert listener.origin_of(address) == listener.origin_of(same)
    assert listener.origin_of(address) != listener.origin_of(other)


def test_a_silent_connection_is_closed(index, monkeypatch):
    """A handshake that never comes holds a place for a while only."""
    monkeypatch.setattr(listener, "HANDSHAKE_S_MAX", 0.05)

    async def main():
        async with serving(index) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            assert await asyncio.wait_for(reader.read(), 60) == b""
            writer.close()

    asyncio.run(main())


def test_plain_http_is_not_spoken(index):
    """Without TLS there is no answer."""

    async def main():
        async with serving(index) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /overlay/v1/hello HTTP/1.1\r\n\r\n")
            answer = await asyncio.wait_for(reader.read(), 60)
            assert b"HTTP" not in answer
            writer.close()

    asyncio.run(main())


def test_it_stops_in_the_middle_of_an_answer(index, tmp_path, monkeypatch):
    """Stopping waits a moment, not for a slow peer; twice is as once, and the port is free again."""
    monkeypatch.setattr(server_module, "GRACE_S", 0.05)
    large = hold(index, tmp_path / "large.flac", content(24 * 1024 * 1024))

    async def main():
        server = OverlayServer(SERVER, index, UploadLimits(), SystemClock())
        port = await server.start("127.0.0.1", 0)
        async with RawClient.connect(port) as client:
            client.send("GET", blob_target(large.root))
            await client.reader.readexactly(100)
            await asyncio.wait_for(server.stop(), 60)
            await server.stop()
        assert await server.start("127.0.0.1", port) == port
        await server.stop()

    asyncio.run(main())
    assert open_files_named("large.flac") == 0


def test_it_does_not_start_twice(index):
    """And an address that is taken is an error at once."""

    async def main():
        server = OverlayServer(SERVER, index, UploadLimits(), SystemClock())
        port = await server.start("127.0.0.1", 0)
        with pytest.raises(RuntimeError):
            await server.start("127.0.0.1", 0)
        with pytest.raises(OSError, match="in use"):
            await OverlayServer(SERVER, index, UploadLimits(), SystemClock()).start("127.0.0.1", port)
        await server.stop()

    asyncio.run(main())


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_one_socket_takes_both_versions_of_ip(index):
    """`::` listens for IPv4 too."""

    async def main():
        server = OverlayServer(SERVER, index, UploadLimits(), SystemClock())
        port = await server.start("::", 0)
        async with RawClient.connect(port) as client:
            assert (await client.get("/overlay/v1/hello")).status == 200
        await server.stop()

    asyncio.run(main())
