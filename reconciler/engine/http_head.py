"""The head of a range request, and the strict reading of the head that answers it.

Owns: HTTP/1.1 syntax for one GET with one byte range (RFC 9110 section 14, RFC 9112). Never: reads a socket.

Peers are hostile: a head is bounded before it comes here, and everything that could make two readers disagree about
where the body ends (Transfer-Encoding, two lengths, a coded body) is refused.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.engine.events import FailureCode

HEAD_BYTES_MAX = 16 * 1024
HEAD_LINES_MAX = 64

_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2})(?: [^\r\n]*)?")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\x00]*?)[ \t]*")
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})")
_LENGTH = re.compile(r"\d{1,18}")
_SECONDS = re.compile(r"\d{1,6}")

_OK = 200
_PARTIAL = 206
_BUSY = (429, 503)


class HeadRefusedError(Exception):
    """An answer that cannot be used; `code` says which kind of failure it is."""

    def __init__(self, code: FailureCode, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True, kw_only=True)
class PartialHead:
    """A 206 that promises exactly the range that was asked for."""

    keep_alive: bool


def request_head(target: str, *, host: str, headers: tuple[tuple[str, str], ...], first: int, last: int) -> bytes:
    """Write the head of `GET target` for bytes `first`..`last`, both included.

    Target, host and headers come from our own configuration and manifests, checked there; a line break in one is a
    program error.
    """
    lines = [
        f"GET {target} HTTP/1.1",
        f"Host: {host}",
        f"Range: bytes={first}-{last}",
        "Accept-Encoding: identity",
        *(f"{name}: {value}" for name, value in headers),
    ]
    assert not any("\r" in line or "\n" in line for line in lines), "a line break in a request line"
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


def read_head(head: bytes, *, first: int, last: int, size: int) -> PartialHead:
    """Check that `head` (up to the empty line, without it) answers the request for `first`..`last` of `size` bytes.

    Raises HeadRefusedError with what is wrong.
    """
    lines = head.split(b"\r\n")
    if len(lines) > HEAD_LINES_MAX:
        raise HeadRefusedError("bad answer", f"more than {HEAD_LINES_MAX} header lines")
    status_line = _STATUS.fullmatch(lines[0])
    if status_line is None:
        raise HeadRefusedError("bad answer", "the first line is not an HTTP/1 status line")
    fields = _fields(lines[1:])
    status = int(status_line[2])
    if status in _BUSY:
        raise HeadRefusedError("busy", f"the peer answered {status}", retry_after_s=_retry_after(fields))
    if status == _OK:
        raise HeadRefusedError("no ranges", "the peer answered a range request with the whole file")
    if status != _PARTIAL:
        raise HeadRefusedError("refused", f"the peer answered {status}")
    _check_body(fields, first=first, last=last, size=size)
    closing = "close" in fields.get("connection", "").lower() or status_line[1] == b"0"
    return PartialHead(keep_alive=not closing)


def _fields(lines: list[bytes]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in lines:
        match = _FIELD.fullmatch(line)
        if match is None:
            raise HeadRefusedError("bad answer", "a header line that is not one")
        name = match[1].decode("ascii").lower()
        if name in fields and name in ("content-length", "content-range", "transfer-encoding"):
            raise HeadRefusedError("bad answer", f"two {name} lines")
        fields[name] = match[2].decode("latin-1")
    return fields


def _check_body(fields: Mapping[str, str], *, first: int, last: int, size: int) -> None:
    if "transfer-encoding" in fields:
        raise HeadRefusedError("bad answer", "a range in transfer coding")
    if fields.get("content-encoding", "identity").lower() != "identity":
        raise HeadRefusedError("bad answer", "a compressed range")
    told = _CONTENT_RANGE.fullmatch(fields.get("content-range", ""))
    if told is None:
        raise HeadRefusedError("bad answer", "no Content-Range of the form `bytes a-b/size`")
    if (int(told[1]), int(told[2])) != (first, last):
        raise HeadRefusedError("bad answer", f"bytes {told[1]}-{told[2]}, asked for {first}-{last}")
    if int(told[3]) != size:
        raise HeadRefusedError("bad answer", f"a file of {told[3]} bytes, expected {size}")
    length = fields.get("content-length", "")
    if _LENGTH.fullmatch(length) is None or int(length) != last - first + 1:
        raise HeadRefusedError("bad answer", f"a Content-Length that is not {last - first + 1}")


def _retry_after(fields: Mapping[str, str]) -> float | None:
    """Retry-After in seconds; the date form is rare among range servers and taken as not said (RFC 9110 section
    10.2.3).
    """
    told = fields.get("retry-after", "")
    return float(told) if _SECONDS.fullmatch(told) else None
