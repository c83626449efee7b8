"""Read one peer's answer to a search: bytes to SharedFile values, within limits.

Owns: the form of FileSearchResponse (peer message 9) and what of it is kept. Never: keeps a name it could not give
back.

Not left to the protocol library, whose reader believes every count that it finds: a megabyte of zeroes is fifty
thousand objects.
"""

import struct
from dataclasses import dataclass

from reconciler.overlay.merkle import FILE_BYTES_MAX
from reconciler.sources.soulseek.limits import PATH_CHARS_MAX, USERNAME_CHARS_MAX, LimitError, inflate
from reconciler.sources.soulseek.shared_file import SharedFile

# Files taken of one answer; Nicotine+ sends 300, others up to 500.
FILES_MAX = 500
# Attributes of one file; five kinds are known.
ATTRIBUTES_MAX = 16

_BITRATE, _DURATION, _SAMPLE_RATE, _BIT_DEPTH = 0, 1, 4, 5

_BYTE = struct.Struct("<B")
_WORD = struct.Struct("<I")
_LONG = struct.Struct("<Q")


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchReply:
    """What one user answered."""

    username: str
    ticket: int
    """Of the search that it answers."""
    files: tuple[SharedFile, ...]


class _Reader:
    """Takes fields off a body; raises LimitError where it ends too early."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def number(self, form: struct.Struct) -> int:
        try:
            (found,) = form.unpack_from(self._body, self._at)
        except struct.error as error:
            raise LimitError("ends inside a number") from error
        self._at += form.size
        return int(found)

    def text(self) -> str | None:
        """A string, or None where it is not UTF-8: such a name could not be sent back as it came."""
        length = self.number(_WORD)
        raw = self._body[self._at : self._at + length]
        if len(raw) != length:
            raise LimitError("ends inside a text")
        self._at += length
        try:
            return raw.decode()
        except UnicodeDecodeError:
            return None

    def passed(self, count: int) -> None:
        self._at += count


def read_search_reply(payload: bytes) -> SearchReply:
    """Read the body of a FileSearchResponse, still compressed; raises LimitError where it is none, or too large."""
    reader = _Reader(inflate(payload))
    username = reader.text()
    if not username or len(username) > USERNAME_CHARS_MAX or not username.isprintable():
        raise LimitError("has no usable user name")
    ticket = reader.number(_WORD)
    count = reader.number(_WORD)
    if count > FILES_MAX:
        raise LimitError(f"lists {count} files")
    rows = [_row(reader) for _ in range(count)]
    free_slot, speed, queue_length = bool(reader.number(_BYTE)), reader.number(_WORD), reader.number(_WORD)
    files = tuple(
        SharedFile(
            username=username,
            path=path,
            size=size,
            extension=_extension(path),
            duration_s=said.get(_DURATION),
            bitrate_kbps=said.get(_BITRATE),
            sample_rate_hz=said.get(_SAMPLE_RATE),
            bit_depth=said.get(_BIT_DEPTH),
            free_slot=free_slot,
            queue_length=queue_length,
            speed_bytes_per_s=speed,
        )
        for path, size, said in rows
        if path is not None and 0 < len(path) <= PATH_CHARS_MAX and "\0" not in path and 0 < size <= FILE_BYTES_MAX
    )
    return SearchReply(username=username, ticket=ticket, files=files)


def _row(reader: _Reader) -> tuple[str | None, int, dict[int, int]]:
    reader.passed(_BYTE.size)
    path, size = reader.text(), reader.number(_LONG)
    reader.text()  # the extension as stated: empty from most, so the path's own is taken
    count = reader.number(_WORD)
    if count > ATTRIBUTES_MAX:
        raise LimitError(f"lists {count} attributes of a file")
    return path, size, {reader.number(_WORD): reader.number(_WORD) for _ in range(count)}


def _extension(path: str) -> str:
    """What stands behind the last dot of the file's name, where that can be an extension."""
    name = path.replace("/", "\\").rpartition("\\")[2]
    stem, dot, extension = name.rpartition(".")
    return extension.lower() if dot and stem and len(extension) <= 8 and extension.isalnum() else ""  # noqa: PLR2004
