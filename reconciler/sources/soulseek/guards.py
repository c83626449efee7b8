"""Guards between the protocol library and what strangers send it.

Owns: reading frames and answers to searches in place of the library's own code, within limits. Never: opens or closes a
connection.

The library believes the length of a frame and of an inflated body: what it is told is allocated.
"""

from typing import Any

from aioslsk.exceptions import ConnectionReadError
from aioslsk.network import network as library_network
from aioslsk.network.connection import (
    DataConnection,
    PeerConnection,
    PeerConnectionState,
    PeerConnectionType,
    ServerConnection,
)

from reconciler.sources.soulseek.frames import DISTRIBUTED, FIRST, FROM_PEER, FROM_SERVER, FrameRule, read_frame
from reconciler.sources.soulseek.limits import LimitError
from reconciler.sources.soulseek.search_reply import read_search_reply

# How long a way through the server is tried: a few round trips.
INDIRECT_S = 20.0

SEARCH_REPLY = 9


class Broken:
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
            return Broken()
    return _deserialize_peer_message(self, message_data)


def guard_library() -> None:
    """Put the guards into the library's classes, which it names itself and cannot be handed others."""
    DataConnection._read_message = _read_message  # noqa: SLF001
    PeerConnection.deserialize_message = _deserialize_message
    library_network.PEER_INDIRECT_CONNECT_TIMEOUT = INDIRECT_S
