"""Frames from the Soulseek network: which kinds are read at all, and how long they may be.

Owns: these limits, and reading one frame within them. Never: looks into one.

A frame says its own length in its first four bytes: a stranger's word. Kinds that we have no use for (room lists, other
people's shares, pictures) are passed over unread, whatever they say.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from reconciler.sources.soulseek.limits import LimitError

# Codes by https://nicotine-plus.org/doc/SLSKPROTOCOL.html. From the server: Login, GetPeerAddress, WatchUser,
# GetUserStatus, ConnectToPeer, MessageUser, FileSearch, GetUserStats, Relogged, AdminMessage, ParentMinSpeed,
# ParentSpeedRatio, EmbeddedMessage, PossibleParents, ResetDistributed, ExcludedSearchPhrases, CantConnectToPeer.
SERVER_CODES = frozenset({1, 3, 5, 7, 18, 22, 26, 36, 41, 66, 83, 84, 93, 102, 130, 160, 1001})

# From a peer: SharedFileListRequest, FileSearchResponse, UserInfoRequest, FolderContentsRequest, TransferRequest,
# TransferResponse, QueueUpload, PlaceInQueueResponse, UploadFailed, UploadDenied, PlaceInQueueRequest.
PEER_CODES = frozenset({4, 9, 15, 36, 40, 41, 43, 44, 46, 50, 51})

# Nicotine+ answers a search with 300 files at most: some 50 kB before compression. A quarter of a megabyte holds five
# times that uncompressed, and a hundred peers that fill it together stay below 32 MiB.
PEER_FRAME_BYTES_MAX = 256 * 1024
# The list of possible parents is ten names; the longest that the server sends of what we read are excluded phrases.
SERVER_FRAME_BYTES_MAX = 256 * 1024
# A search that is handed down the distributed net: two names and a ticket.
DISTRIBUTED_FRAME_BYTES_MAX = 8 * 1024
# A connection's first frame: a name, a letter, a ticket.
FIRST_FRAME_BYTES_MAX = 1024
# The public room list is the longest thing that a server sends, well below a megabyte. It is passed over in pieces.
PASSED_OVER_BYTES_MAX = 16 * 1024 * 1024

_PIECE_BYTES = 64 * 1024
_LENGTH_BYTES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameRule:
    """What may come on one kind of connection."""

    codes: frozenset[int] | None = None
    """None = any."""
    code_bytes: int
    bytes_max: int


FROM_SERVER = FrameRule(codes=SERVER_CODES, code_bytes=4, bytes_max=SERVER_FRAME_BYTES_MAX)
FROM_PEER = FrameRule(codes=PEER_CODES, code_bytes=4, bytes_max=PEER_FRAME_BYTES_MAX)
DISTRIBUTED = FrameRule(code_bytes=1, bytes_max=DISTRIBUTED_FRAME_BYTES_MAX)
FIRST = FrameRule(code_bytes=1, bytes_max=FIRST_FRAME_BYTES_MAX)


async def read_frame(reader: asyncio.StreamReader, rule: Callable[[], FrameRule]) -> bytes:
    """Read the next frame that we have a use for, its length in front; raises LimitError, asyncio.IncompleteReadError.

    `rule` is asked once the length has come: what a connection is may have been settled meanwhile.
    """
    while True:
        header = await reader.readexactly(_LENGTH_BYTES)
        length, wanted = int.from_bytes(header, "little"), rule()
        if length < wanted.code_bytes:
            raise LimitError(f"a frame of {length} bytes")
        code = await reader.readexactly(wanted.code_bytes)
        length -= wanted.code_bytes
        if wanted.codes is None or int.from_bytes(code, "little") in wanted.codes:
            if length > wanted.bytes_max:
                raise LimitError(f"a frame of {length} bytes")
            return header + code + await reader.readexactly(length)
        if length > PASSED_OVER_BYTES_MAX:
            raise LimitError(f"a frame of {length} bytes")
        while length:
            length -= len(await reader.readexactly(min(length, _PIECE_BYTES)))
