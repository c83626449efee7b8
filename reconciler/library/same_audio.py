"""Are two files the same audio with other tags? Their bytes say so.

Owns: what of a file is audio, in each container that is tagged here, and a digest of just that. Never: decodes: bytes
that are equal decode to what is equal. Writes nothing.

FLAC: STREAMINFO and all frames (RFC 9639). MP3: everything between the ID3v2 tag and the APEv2 and ID3v1 tags. Ogg:
every packet but the one of the comments, and the positions of the pages (RFC 3533). MP4: the media data, the tables of
samples, and where in the media data each chunk lies (ISO/IEC 14496-12).
"""

import hashlib
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from reconciler.library.bounded import opened
from reconciler.library.flac import read_stream

_BLOCK_BYTES = 1 << 20

_ID3_HEAD_BYTES = 10
_ID3_FOOTER_FLAG = 0x10
_ID3V1_BYTES = 128

_APE_FOOTER_BYTES = 32
_APE_HAS_HEADER = 1 << 31

_OGG_HEAD = struct.Struct("<4sBBqIIIB")
_OGG_LACED_BYTES = 255
_OGG_COMMENTS = 1  # the second packet of Vorbis, Opus and FLAC in Ogg

_BOX_HEAD = struct.Struct(">I4s")
_BOX_LONG = struct.Struct(">Q")
_BOX_TO_THE_END = 0
_BOX_LONG_MARK = 1
_BOX_PARENTS = frozenset({b"moov", b"trak", b"mdia", b"minf"})
# A real table has one entry for a chunk of half a second or so.
_BOX_TABLE_BYTES_MAX = 16 << 20
_BOXES_MAX = 10_000


class _Digest(Protocol):
    def update(self, data: bytes, /) -> None: ...


def audio_digest(path: Path, container: str) -> bytes | None:
    """Hash what of a file is audio, by its container's usual extension; None for one that is not known here.

    Raises ValueError where the file is not built as it should be, OSError.
    """
    readers = {"flac": _flac, "mp3": _mp3, "ogg": _ogg, "oga": _ogg, "opus": _ogg, "m4a": _mp4}
    read = readers.get(container)
    if read is None:
        return None
    digest = hashlib.sha256()
    read(path, digest)
    return digest.digest()


def _flac(path: Path, digest: _Digest) -> None:
    with opened(path) as reader:
        stream = read_stream(reader)
        size = reader.size
    if stream is None:
        raise ValueError("it is no FLAC")
    digest.update(repr((stream.sample_rate_hz, stream.channels, stream.bits, stream.samples, stream.md5)).encode())
    with path.open("rb") as file:
        _hash_range(file.fileno(), stream.frames_at, size, digest)


def _mp3(path: Path, digest: _Digest) -> None:
    with path.open("rb") as file:
        fd = file.fileno()
        size = os.fstat(fd).st_size
        end = size - _ID3V1_BYTES if os.pread(fd, 3, max(0, size - _ID3V1_BYTES)) == b"TAG" else size
        _hash_range(fd, _after_id3(fd), _before_ape(fd, end), digest)


def _after_id3(fd: int) -> int:
    """Where the tag at the beginning ends; 0 where there is none."""
    head = os.pread(fd, _ID3_HEAD_BYTES, 0)
    if head[:3] != b"ID3" or len(head) < _ID3_HEAD_BYTES:
        return 0
    size = 0
    for byte in head[6:]:
        size = size << 7 | byte & 0x7F
    return _ID3_HEAD_BYTES + size + (_ID3_HEAD_BYTES if head[5] & _ID3_FOOTER_FLAG else 0)


def _before_ape(fd: int, end: int) -> int:
    """Where an APEv2 tag that goes up to `end` begins; `end` where there is none."""
    footer = os.pread(fd, _APE_FOOTER_BYTES, max(0, end - _APE_FOOTER_BYTES))
    if footer[:8] != b"APETAGEX" or len(footer) < _APE_FOOTER_BYTES:
        return end
    has_header = int.from_bytes(footer[20:24], "little") & _APE_HAS_HEADER
    return max(0, end - int.from_bytes(footer[12:16], "little") - (_APE_FOOTER_BYTES if has_header else 0))


def _ogg(path: Path, digest: _Digest) -> None:
    number, serials = 0, set[int]()
    packet = hashlib.sha256()
    with path.open("rb") as file:
        while head := file.read(_OGG_HEAD.size):
            if len(head) < _OGG_HEAD.size:
                raise ValueError("an Ogg page ends early")
            magic, _, _, position, serial, _, _, segments = _OGG_HEAD.unpack(head)
            if magic != b"OggS":
                raise ValueError("an Ogg page begins as none does")
            serials.add(serial)
            lacing = file.read(segments)
            body = file.read(sum(lacing))
            at = 0
            for length in lacing:
                packet.update(body[at : at + length])
                at += length
                if length < _OGG_LACED_BYTES:
                    digest.update(b"" if number == _OGG_COMMENTS else packet.digest())
                    packet, number = hashlib.sha256(), number + 1
            if position > 0:
                digest.update(struct.pack("<qI", position, number))
    if len(serials) != 1:
        raise ValueError("it holds more than one stream")


def _mp4(path: Path, digest: _Digest) -> None:
    with path.open("rb") as file:
        fd = file.fileno()
        boxes = list(_boxes(fd, 0, os.fstat(fd).st_size))
        kinds = {kind for kind, _, _ in boxes}
        if not {b"moov", b"mdat"} <= kinds or b"moof" in kinds:
            raise ValueError("it is no plain MP4 with one movie")
        media = [(start, end) for kind, start, end in boxes if kind == b"mdat"]
        for start, end in media:
            _hash_range(fd, start, end, digest)
        for kind, start, end in _movie(fd, boxes):
            if end - start > _BOX_TABLE_BYTES_MAX:
                raise ValueError("a table of an MP4 is too long")
            data = os.pread(fd, end - start, start)
            digest.update(_within(media, data, kind) if kind in (b"stco", b"co64") else kind + data)


def _movie(fd: int, boxes: list[tuple[bytes, int, int]]) -> Iterator[tuple[bytes, int, int]]:
    """Everything that a `moov` says of its media: headers and tables, but for its own tags."""
    left = _BOXES_MAX
    waiting = [(start, end) for kind, start, end in boxes if kind == b"moov"]
    while waiting:
        start, end = waiting.pop(0)
        for kind, inner, inner_end in _boxes(fd, start, end):
            left -= 1
            if left < 0:
                raise ValueError(f"an MP4 has more than {_BOXES_MAX} boxes")
            if kind in _BOX_PARENTS or kind == b"stbl":
                waiting.append((inner, inner_end))
            elif kind not in (b"udta", b"meta", b"free", b"skip"):
                yield kind, inner, inner_end


def _boxes(fd: int, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """The boxes of a range: kind, and where the content of each lies."""
    while start + _BOX_HEAD.size <= end:
        length, kind = _BOX_HEAD.unpack(os.pread(fd, _BOX_HEAD.size, start))
        head = _BOX_HEAD.size
        if length == _BOX_LONG_MARK:
            (length,) = _BOX_LONG.unpack(os.pread(fd, _BOX_LONG.size, start + head))
            head += _BOX_LONG.size
        stop = end if length == _BOX_TO_THE_END else start + length
        if length != _BOX_TO_THE_END and (length < head or stop > end):
            raise ValueError("a box of an MP4 goes beyond what holds it")
        yield kind, start + head, stop
        start = stop


def _within(media: list[tuple[int, int]], table: bytes, kind: bytes) -> bytes:
    """A table of chunk offsets, each told by its place in the media data instead of the file."""
    form = struct.Struct(">I" if kind == b"stco" else ">Q")
    places = bytearray()
    for (offset,) in form.iter_unpack(table[8 : 8 + (len(table) - 8) // form.size * form.size]):
        found = [(number, offset - start) for number, (start, end) in enumerate(media) if start <= offset < end]
        if not found:
            raise ValueError("a chunk of an MP4 lies outside of its media data")
        places += struct.pack(">IQ", *found[0])
    return bytes(places)


def _hash_range(fd: int, start: int, end: int, digest: _Digest) -> None:
    while start < end:
        block = os.pread(fd, min(_BLOCK_BYTES, end - start), start)
        if not block:
            raise ValueError("it ended while it was read")
        digest.update(block)
        start += len(block)
