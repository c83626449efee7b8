"""Prove a FLAC by decoding it.

Owns: STREAMINFO, and the comparison of every decoded sample with the MD5 that its encoder wrote there. Never: reads
tags or pictures, or trusts a length further than the file goes.

The format: https://www.rfc-editor.org/rfc/rfc9639
"""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import soundfile

from reconciler.library.bounded import BoundedReader

# 24 hours of CD audio, stereo: longer is no recording, and would keep a core busy for more than half a minute.
SAMPLES_MAX = 24 * 3600 * 44_100 * 2
# 16,384 frames of 8 channels of 32 bits are 512 KiB; larger blocks decode no faster (0.30 s for four minutes, both).
_BLOCK_FRAMES = 16_384
# Compressed audio never has this many zero bytes in a row (silence is a frame of some 14 bytes for 4,096 samples); a
# disk block that was never written has.
_ZERO_RUN_BYTES = 4096
_METADATA_BLOCKS_MAX = 128  # STREAMINFO, tags, pictures, padding: taggers write fewer than ten
_BLOCK_HEAD_BYTES = 4
_STREAMINFO_BYTES = 34
_ID3_HEAD_BYTES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class FlacStream:
    """What STREAMINFO says (RFC 9639 section 8.2), and where the frames begin."""

    sample_rate_hz: int
    channels: int
    bits: int
    samples: int
    """Of each channel; 0 = the encoder did not know."""
    md5: bytes
    """Of the decoded audio; sixteen zero bytes = not computed."""
    frames_at: int

    @property
    def seconds(self) -> float:
        """The stated length."""
        return self.samples / self.sample_rate_hz

    @property
    def decodable(self) -> bool:
        """Whether libsndfile can decode it: other depths than these are legal, and rare."""
        return self.bits in (8, 16, 24)


@dataclass(frozen=True, slots=True, kw_only=True)
class FlacFault:
    """Why the audio of a FLAC is not what its header says."""

    code: Literal["too long", "zero-filled", "truncated", "damaged", "wrong audio"]
    reason: str


def read_stream(reader: BoundedReader) -> FlacStream | None:
    """Walk the metadata by the lengths of its blocks; None for what is no native FLAC. Raises ValueError if broken."""
    at = _after_id3(reader)
    if reader.at(at, 4) != b"fLaC":
        return None
    at += 4
    streaminfo = b""
    for _ in range(_METADATA_BLOCKS_MAX):
        head = reader.at(at, _BLOCK_HEAD_BYTES)
        if len(head) < _BLOCK_HEAD_BYTES:
            raise ValueError("the FLAC headers end early")
        last, kind, length = head[0] >> 7, head[0] & 0x7F, int.from_bytes(head[1:])
        at += _BLOCK_HEAD_BYTES
        if kind == 0 and not streaminfo:
            streaminfo = reader.at(at, _STREAMINFO_BYTES)
        at += length
        if last:
            return _parse_streaminfo(streaminfo, at)
    raise ValueError(f"the FLAC headers have more than {_METADATA_BLOCKS_MAX} blocks")


def find_fault(reader: BoundedReader, stream: FlacStream) -> FlacFault | None:
    """Decode every sample and compare count and MD5 with `stream`; None where all is right.

    Blocks: four minutes of CD audio take a third of a second of one core.
    """
    if stream.samples * stream.channels > SAMPLES_MAX:
        hours = stream.seconds / 3600
        return FlacFault(code="too long", reason=f"{hours:.0f} hours of {stream.channels} channels are never decoded")
    md5, samples, failure = hashlib.md5(usedforsecurity=False), 0, ""
    samples_max = stream.samples or SAMPLES_MAX // stream.channels
    try:
        for block in _pcm_blocks(reader, stream):
            md5.update(block.data)
            samples += len(block)
            if samples > samples_max:
                failure = f"there are more than {samples_max} samples"
                break
    except soundfile.SoundFileError as broken:
        failure = str(broken).strip()
    if failure or samples < stream.samples:
        return _blame(reader, stream, samples, failure)
    if any(stream.md5) and md5.digest() != stream.md5:
        return FlacFault(code="wrong audio", reason="its decoded audio does not have the MD5 that its encoder wrote")
    return None


def zero_run(reader: BoundedReader, start: int) -> int | None:
    """Find the first aligned 4 KiB of zero bytes from `start` on: what a hole in a file looks like."""
    zeros = bytes(_ZERO_RUN_BYTES)
    at = -(-start // _ZERO_RUN_BYTES) * _ZERO_RUN_BYTES
    while len(block := reader.at(at, 1 << 20)) >= _ZERO_RUN_BYTES:
        for offset in range(0, len(block) - _ZERO_RUN_BYTES + 1, _ZERO_RUN_BYTES):
            if block[offset : offset + _ZERO_RUN_BYTES] == zeros:
                return at + offset
        at += len(block)
    return None


def _after_id3(reader: BoundedReader) -> int:
    """Where an ID3v2 tag in front of the stream ends (players accept one, so taggers write them); 0 without one."""
    head = reader.at(0, _ID3_HEAD_BYTES)
    if head[:3] != b"ID3" or len(head) < _ID3_HEAD_BYTES:
        return 0
    return _ID3_HEAD_BYTES + sum((byte & 0x7F) << 7 * place for place, byte in enumerate(reversed(head[6:])))


def _parse_streaminfo(block: bytes, frames_at: int) -> FlacStream:
    if len(block) < _STREAMINFO_BYTES:
        raise ValueError("the FLAC headers hold no STREAMINFO")
    packed = int.from_bytes(block[10:18])  # 20 bits sample rate, 3 channels - 1, 5 depth - 1, 36 samples
    stream = FlacStream(
        sample_rate_hz=packed >> 44,
        channels=(packed >> 41 & 0x7) + 1,
        bits=(packed >> 36 & 0x1F) + 1,
        samples=packed & (1 << 36) - 1,
        md5=block[18:34],
        frames_at=frames_at,
    )
    if not stream.sample_rate_hz:
        raise ValueError("the FLAC headers state a sample rate of 0")
    return stream


def _pcm_blocks(reader: BoundedReader, stream: FlacStream) -> Iterator[npt.NDArray[np.generic]]:
    """Decode to blocks as the MD5 takes them: interleaved, little-endian, as many bytes a sample as its bits need."""
    room = np.empty((_BLOCK_FRAMES, stream.channels), dtype="int16" if stream.bits <= 16 else "int32")  # noqa: PLR2004
    os.lseek(reader.fileno(), 0, os.SEEK_SET)
    with soundfile.SoundFile(reader.fileno(), closefd=False) as decoder:
        if decoder.channels != stream.channels:
            raise soundfile.SoundFileError("the frames have another number of channels than the header")
        while len(block := decoder.read(out=room)):
            match stream.bits:
                case 8:
                    yield (block >> 8).astype(np.int8)
                case 16:
                    yield block.astype("<i2", copy=False)
                case _:  # libsndfile gives 24 bits as the upper three bytes of 32
                    octets = block.astype("<i4", copy=False).view(np.uint8).reshape(len(block), stream.channels, 4)
                    yield np.ascontiguousarray(octets[:, :, 1:])


def _blame(reader: BoundedReader, stream: FlacStream, samples: int, failure: str) -> FlacFault:
    """Say what is wrong with a stream that did not decode to its stated end."""
    read_to = os.lseek(reader.fileno(), 0, os.SEEK_CUR)
    good = f"{samples / stream.sample_rate_hz:.1f} s of {stream.seconds:.1f} s"
    gap = zero_run(reader, stream.frames_at)
    if gap is not None:
        return FlacFault(code="zero-filled", reason=f"there are only zero bytes from byte {gap} on; good are {good}")
    # The decoder reads ahead: at the very end, a cut and a flipped byte look alike.
    if read_to >= reader.size and stream.samples - samples > _BLOCK_FRAMES:
        return FlacFault(code="truncated", reason=f"it ends after about {good}")
    return FlacFault(
        code="damaged", reason=f"it can be decoded for about {good} only: {failure or 'samples are missing'}"
    )
