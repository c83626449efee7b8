"""Git's protocol for a filter that stays: one process for all files of a command.

Owns: the packets, the greeting and the answers. Never: knows what a filter does to a file, or starts git.

gitattributes(5), "Long Running Filter Process"; the packets are those of gitprotocol-common(5): four hex digits of
length, themselves included, then the bytes; `0000` ends a list. A process for each file instead costs two minutes for
a thousand of them, most of it Python starting.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import BinaryIO

from reconciler.errors import InvalidInputError

Change = Callable[[bytes], bytes]

# LARGE_PACKET_MAX of git, less the four digits.
PACKET_BYTES_MAX = 65_516

# The lists of a request have some six lines; whoever sends more is not git.
LINES_MAX = 100

_FLUSH = b"0000"
_CLIENT, _SERVER, _VERSION = "git-filter-client", "git-filter-server", "version=2"


def serve(source: BinaryIO, sink: BinaryIO, *, changes: Mapping[str, Change], content_bytes_max: int) -> None:
    """Answer git until it closes the pipe; `changes` has what to do for the commands `clean` and `smudge`.

    A file that is larger than `content_bytes_max`, or a command that is not in `changes`, is answered with an error,
    and git then takes the file as it is. Raises InvalidInputError for what is not this protocol.
    """
    greeting = _texts(source)
    if greeting is None:
        return
    if greeting[:1] != [_CLIENT] or _VERSION not in greeting:
        raise InvalidInputError("standard input is not git's filter protocol, version 2", hint="let git start this")
    _write_list(sink, [_SERVER, _VERSION])
    offered = _texts(source) or []
    _write_list(sink, [f"capability={name}" for name in changes if f"capability={name}" in offered])
    while (request := _texts(source)) is not None:
        _answer(request, source, sink, changes=changes, content_bytes_max=content_bytes_max)


def _answer(
    request: list[str], source: BinaryIO, sink: BinaryIO, *, changes: Mapping[str, Change], content_bytes_max: int
) -> None:
    command = next((line.removeprefix("command=") for line in request if line.startswith("command=")), "")
    change = changes.get(command)
    content = _content(source, bytes_max=content_bytes_max)
    if change is None or content is None:
        _write_list(sink, ["status=error"])
        return
    changed = change(content)
    _write_list(sink, ["status=success"])
    for start in range(0, len(changed), PACKET_BYTES_MAX):
        _write_packet(sink, changed[start : start + PACKET_BYTES_MAX])
    sink.write(_FLUSH)
    # An empty list: the status from above stands.
    _write_list(sink, [])


def _content(source: BinaryIO, *, bytes_max: int) -> bytes | None:
    """A file's bytes; None for one that is too large, of which everything was read and nothing kept."""
    parts: list[bytes] = []
    size = 0
    for packet in _packets(source):
        size += len(packet)
        if size <= bytes_max:
            parts.append(packet)
    return b"".join(parts) if size <= bytes_max else None


def _texts(source: BinaryIO) -> list[str] | None:
    """The lines of a list; None at the end of the input."""
    first = _packet(source)
    if first is None:
        return None
    lines: list[str] = []
    packet = first
    while packet != b"":
        if len(lines) >= LINES_MAX:
            raise InvalidInputError(f"git sent a list of more than {LINES_MAX} lines", hint="let git start this")
        # A path is whatever bytes a file system allows.
        lines.append(packet.removesuffix(b"\n").decode(errors="replace"))
        packet = _next(source)
    return lines


def _packets(source: BinaryIO) -> Iterator[bytes]:
    while packet := _next(source):
        yield packet


def _next(source: BinaryIO) -> bytes:
    """The next packet; empty at the end of a list."""
    packet = _packet(source)
    if packet is None:
        raise InvalidInputError("the input ended inside a list of packets", hint="let git start this")
    return packet


def _packet(source: BinaryIO) -> bytes | None:
    """One packet's bytes; empty for the end of a list, None at the end of the input."""
    digits = source.read(4)
    if not digits:
        return None
    try:
        length = int(digits, 16)
    except ValueError:
        length = -1
    if length == 0:
        return b""
    content = source.read(length - len(digits)) if len(digits) < length <= PACKET_BYTES_MAX + len(digits) else b""
    if not content or len(content) != length - len(digits):
        raise InvalidInputError(f"{digits!r} does not begin a packet of git's", hint="let git start this")
    return content


def _write_packet(sink: BinaryIO, content: bytes) -> None:
    sink.write(b"%04x" % (len(content) + 4))
    sink.write(content)


def _write_list(sink: BinaryIO, lines: list[str]) -> None:
    for line in lines:
        _write_packet(sink, f"{line}\n".encode())
    sink.write(_FLUSH)
    sink.flush()
