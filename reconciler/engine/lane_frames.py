"""Commands and events of the byte path as frames on a stream: four bytes of length, then JSON.

Owns: the form on the wire between the daemon and its lane process, and its limits. Never: reads or writes a stream.

JSON and not a pickle, because the process at the other end reads what hostile peers send: if one of them ever took it
over, it could still only say what these frames can say.
"""

import json
import struct
from collections.abc import Iterable, Iterator
from typing import Any

from reconciler.engine.chunk_pieces import ChunkPieces
from reconciler.engine.events import (
    ChunkArrived,
    PeerConnected,
    PeerQueued,
    TransferEnded,
    TransferFailed,
    TransferId,
)
from reconciler.engine.lane_orders import LaneEvent, ReadRange, Tag
from reconciler.ids import ChunkIndex, JobId
from reconciler.overlay.merkle import FILE_BYTES_MAX, LARGE_CHUNK_BYTES
from reconciler.sources.base import ByteRequest, Endpoint

# The largest frame is an order for 16 MiB in chunks of 256 KiB: 64 hashes of 64 digits and a request, some 8 KiB. A
# megabyte is no frame of ours.
FRAME_BYTES_MAX = 1 << 20
CHUNKS_MAX = FILE_BYTES_MAX // LARGE_CHUNK_BYTES
_LENGTH = struct.Struct("!I")

Fields = dict[str, Any]


class BrokenFrameError(Exception):
    """What came is not a frame of ours."""


def pack(fields: Fields) -> bytes:
    """Write one frame."""
    body = json.dumps(fields, separators=(",", ":")).encode()
    return _LENGTH.pack(len(body)) + body


class Unpacker:
    """Cuts a stream into frames; keeps what is not whole yet."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[Fields]:
        """Give every frame that `data` completes; raises BrokenFrameError."""
        self._rest += data
        at = 0
        while len(self._rest) - at >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._rest, at)
            if length > FRAME_BYTES_MAX:
                raise BrokenFrameError(f"a frame of {length} bytes")
            end = at + _LENGTH.size + length
            if end > len(self._rest):
                break
            yield _fields(self._rest[at + _LENGTH.size : end])
            at = end
        self._rest = self._rest[at:]


def order_fields(order: ReadRange) -> Fields:
    """An order as plain values."""
    endpoint = order.request.endpoint
    return {
        "job": order.tag.job_id,
        "transfer": order.tag.transfer,
        "part": order.part,
        "endpoint": [endpoint.host, endpoint.port, endpoint.tls, endpoint.pin],
        "target": order.request.target,
        "headers": order.request.headers,
        "size": order.size,
        "first": order.first,
        "last": order.last,
        "expected": None if order.expected is None else [digest.hex() for digest in order.expected],
        "pieces": None if order.pieces is None else _pieces_field(order.pieces),
    }


def order_of(fields: Fields) -> ReadRange:
    """The order that the daemon sent."""
    host, port, tls, pin = fields["endpoint"]
    expected, pieces = fields["expected"], fields["pieces"]
    return ReadRange(
        tag=Tag(job_id=fields["job"], transfer=fields["transfer"]),
        part=fields["part"],
        request=ByteRequest(
            endpoint=Endpoint(host=host, port=port, tls=tls, pin=pin),
            target=fields["target"],
            headers=tuple((name, value) for name, value in fields["headers"]),
        ),
        size=fields["size"],
        first=fields["first"],
        last=fields["last"],
        expected=None if expected is None else tuple(bytes.fromhex(digest) for digest in expected),
        pieces=None if pieces is None else _pieces_of(*pieces),
    )


def _pieces_field(pieces: ChunkPieces) -> list[Any]:
    return [pieces.length_bytes, [[digest.hex() for digest in chunk] for chunk in pieces.sha256]]


def _pieces_of(length_bytes: int, chunks: list[list[str]]) -> ChunkPieces:
    digests = tuple(tuple(bytes.fromhex(digest) for digest in chunk) for chunk in chunks)
    return ChunkPieces(length_bytes=length_bytes, sha256=digests)


def event_fields(told: LaneEvent) -> Fields:
    """An event as plain values."""
    event = told.event
    fields: Fields = {"job": told.tag.job_id, "transfer": told.tag.transfer, "event": type(event).__name__}
    if isinstance(event, ChunkArrived):
        fields |= {
            "chunk": event.chunk,
            "digest": event.digest.hex(),
            "matches": event.matches,
            "bytes": event.bytes_received,
            "duration_s": event.duration_s,
        }
    elif isinstance(event, PeerQueued):
        fields["place"] = event.place
    elif isinstance(event, TransferFailed):
        fields |= {
            "code": event.code,
            "message": event.message[:1000],
            "retry_after_s": event.retry_after_s,
            "errno_name": event.errno_name,
        }
    return fields


def event_of(fields: Fields) -> LaneEvent:
    """The event that the lane process told; raises BrokenFrameError where it is none."""
    try:
        tag = Tag(job_id=JobId(str(fields["job"])), transfer=TransferId(int(fields["transfer"])))
        return LaneEvent(tag=tag, event=_event(fields, tag.transfer))
    except (KeyError, TypeError, ValueError) as error:
        raise BrokenFrameError(f"an event without {error}") from error


def _event(
    fields: Fields, transfer: TransferId
) -> PeerConnected | PeerQueued | ChunkArrived | TransferEnded | TransferFailed:
    match fields["event"]:
        case "PeerConnected":
            return PeerConnected(transfer=transfer)
        case "PeerQueued":
            place = fields["place"]
            return PeerQueued(transfer=transfer, place=None if place is None else int(place))
        case "ChunkArrived":
            matches = fields["matches"]
            return ChunkArrived(
                transfer=transfer,
                chunk=ChunkIndex(int(fields["chunk"])),
                digest=bytes.fromhex(fields["digest"]),
                matches=None if matches is None else bool(matches),
                bytes_received=int(fields["bytes"]),
                duration_s=float(fields["duration_s"]),
            )
        case "TransferEnded":
            return TransferEnded(transfer=transfer)
        case "TransferFailed":
            pause = fields["retry_after_s"]
            return TransferFailed(
                transfer=transfer,
                code=fields["code"],
                message=str(fields["message"]),
                retry_after_s=None if pause is None else float(pause),
                errno_name=str(fields["errno_name"]),
            )
        case other:
            raise BrokenFrameError(f"an event called {other!r}")


def answer_fields(question: Any, refused: OSError | None = None, *, read_again: Iterable[ChunkIndex] = ()) -> Fields:
    """The answer to a question: what the disk said, and what was read again of a part that was closed."""
    return {
        "answer": question,
        "error": "" if refused is None else str(refused),
        "errno": 0 if refused is None else refused.errno or 0,
        "read_again": chunks_field(read_again),
    }


def chunks_field(chunks: Iterable[ChunkIndex]) -> str:
    """A set of chunks as bits, in hexadecimal digits: 16 KiB for the largest file."""
    bits = 0
    for chunk in chunks:
        bits |= 1 << chunk
    return f"{bits:x}"


def chunks_of(field: str) -> frozenset[ChunkIndex]:
    """The chunks that the lane process named; raises BrokenFrameError where it names none that can be."""
    try:
        bits = int(field, 16)
    except ValueError as error:
        raise BrokenFrameError("chunks that are no bits") from error
    if not 0 <= bits < 1 << CHUNKS_MAX:
        raise BrokenFrameError("more chunks than a file can have")
    return frozenset(ChunkIndex(chunk) for chunk, bit in enumerate(reversed(f"{bits:b}")) if bit == "1")


def _fields(body: bytes) -> Fields:
    try:
        fields = json.loads(body)
    except ValueError as error:
        raise BrokenFrameError("a frame that is no JSON") from error
    if not isinstance(fields, dict):
        raise BrokenFrameError("a frame that is no object")
    return fields
