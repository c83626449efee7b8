"""Accept connections within bounds: how many, from whom, and how long a handshake may take.

Owns: the listening socket and the TLS handshakes. Never: knows a request.

asyncio's own server counts nothing before the handshake is over, so anybody could hold all descriptors of the process
by connecting and saying nothing.
"""

import asyncio
import socket
import ssl
from collections import Counter

from aiohttp import web

# Connections over all, and from one address (several peers may share one behind a NAT; of IPv6, from one network). More
# are closed at once, before the handshake: a peer that means it tries again.
CONNECTIONS_MAX = 256
CONNECTIONS_PER_ADDRESS_MAX = 32

# A handshake is two packets each way.
HANDSHAKE_S_MAX = 10.0
# A peer that does not answer close_notify is not waited for.
SHUTDOWN_S_MAX = 2.0

# After the system refused to accept (no descriptors left): time for some connections to end.
ACCEPT_PAUSE_S = 0.5

_BACKLOG = 128

_IPV6_NETWORK_BYTES = 8
_IPV4_IN_IPV6 = bytes(10) + b"\xff\xff"  # RFC 4291 section 2.5.5.2


class Listener:
    """A bound socket whose connections become protocols of `protocols`."""

    def __init__(self, protocols: web.Server, context: ssl.SSLContext, *, host: str, port: int) -> None:
        """Bind; raises OSError. An IPv6 address has no brackets here, and `::` takes IPv4 too."""
        self._protocols = protocols
        self._context = context
        self._handshakes: Counter[str] = Counter()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server(
            (host, port), family=family, backlog=_BACKLOG, dualstack_ipv6=host == "::" and socket.has_dualstack_ipv6()
        )
        self._socket.setblocking(False)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._socket.getsockname()[1])

    async def run(self) -> None:
        """Accept until cancelled; handshakes under way end with it."""
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as handshakes:
            while True:
                try:
                    connection, address = await loop.sock_accept(self._socket)
                except OSError:
                    await asyncio.sleep(ACCEPT_PAUSE_S)
                    continue
                origin = origin_of(address[0])
                if self._has_room(origin):
                    # Counted here: a task begins later, and more connections may wait already.
                    self._handshakes[origin] += 1
                    handshakes.create_task(self._shake_hands(connection, origin))
                else:
                    connection.close()
                # While connections wait, accepting never does: others would have no turn.
                await asyncio.sleep(0)

    def close(self) -> None:
        """Stop listening; what is accepted stays."""
        self._socket.close()

    def _has_room(self, origin: str) -> bool:
        open_to = Counter(map(_origin, self._protocols.connections)) + self._handshakes
        return open_to.total() < CONNECTIONS_MAX and open_to[origin] < CONNECTIONS_PER_ADDRESS_MAX

    async def _shake_hands(self, connection: socket.socket, origin: str) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                self._protocols,
                connection,
                ssl=self._context,
                ssl_handshake_timeout=HANDSHAKE_S_MAX,
                ssl_shutdown_timeout=SHUTDOWN_S_MAX,
            )
        except OSError:
            return  # it spoke no TLS 1.3, left, or was too slow; the transport has closed the socket
        finally:
            self._handshakes[origin] -= 1
            if not self._handshakes[origin]:
                del self._handshakes[origin]


def origin_of(address: str) -> str:
    """Whom an address counts as: itself, or of IPv6 its network of 64 bits, all of which one machine may use."""
    if ":" not in address:
        return address
    raw = socket.inet_pton(socket.AF_INET6, address.partition("%")[0])
    return address if raw.startswith(_IPV4_IN_IPV6) else raw[:_IPV6_NETWORK_BYTES].hex()


def _origin(connection: web.RequestHandler) -> str:
    peer = connection.transport.get_extra_info("peername") if connection.transport is not None else None
    return origin_of(str(peer[0])) if peer else ""
