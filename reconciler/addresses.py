"""Where something listens, as people write it: `host:port`, and a peer's identity before it.

Owns: the two values and their syntax. Never: resolves a name, or connects.
"""

import ipaddress
import re
from dataclasses import dataclass

from reconciler.ids import PeerId, is_peer_id

# Parts of 63 characters at most (RFC 1035 section 2.3.4): asked to resolve another one, Python raises UnicodeError.
_NAME = re.compile(r"(?=[A-Za-z0-9].{0,253}\Z)([A-Za-z0-9-]{1,63}\.)*[A-Za-z0-9-]{0,62}[A-Za-z0-9]")
_PORT = re.compile(r"0|[1-9][0-9]{0,4}")
_PORT_MAX = 65_535


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPort:
    """A host name or address (IPv6 without brackets) and a TCP port."""

    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerAddress:
    """An overlay peer by its identity, and where it listens."""

    peer: PeerId
    host: str
    port: int


def parse_host_port(text: str) -> HostPort:
    """Take `host:port` or `[::1]:port` apart; raises ValueError that says what is wrong."""
    host, colon, port = text.rpartition(":")
    if not colon or not _PORT.fullmatch(port) or int(port) > _PORT_MAX:
        raise ValueError("has no port in 0-65535 at its end")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        known = _is_ipv6(host)
    else:
        known = _NAME.fullmatch(host) is not None
    if not known:
        raise ValueError("does not begin with a host name or address")
    return HostPort(host=host, port=int(port))


def parse_peer_address(text: str) -> PeerAddress:
    """Take `<peer id>@host:port` apart; raises ValueError that says what is wrong."""
    peer, at, rest = text.partition("@")
    if not at or not is_peer_id(peer):
        raise ValueError("does not begin with a peer id of 43 characters and `@`")
    where = parse_host_port(rest)
    if where.port == 0:
        raise ValueError("has port 0, which nobody listens on")
    return PeerAddress(peer=PeerId(peer), host=where.host, port=where.port)


def _is_ipv6(text: str) -> bool:
    try:
        # One with a zone (`%eth0`) is known to one machine alone.
        return ipaddress.IPv6Address(text).scope_id is None
    except ValueError:
        return False
