"""Is this file the audio that it says it is?

Owns: what a file is (codec, container, length), and the verdict on it. Never: trusts a name or a tag, writes, or judges
which variant is wanted (engine.variants).

The bytes come from strangers: headers are read within a budget (library.bounded), and only FLAC is proven, by decoding
it (library.flac). MP3, Vorbis and Opus are decoded to their end (library.lossy): what is missing is found, and nothing
is proven. Of other formats the headers alone are compared.
"""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import mutagen
from mutagen.mp3 import BitrateMode

from reconciler.errors import Fault, ReconcilerError
from reconciler.library.bounded import BoundedReader, opened
from reconciler.library.flac import FlacStream, find_fault, read_stream, zero_run
from reconciler.library.lossy import DECODED, Decoded, decode

# What may be missing of the stated length: encoders count their delay and padding in or not, a tenth of a second each.
MISSING_S_MAX = 0.5

# What mutagen lets through on broken files besides its own error, seen by flipping bytes of real ones; ArithmeticError
# is for a stated length of infinity.
UNREADABLE = (mutagen.MutagenError, struct.error, ValueError, LookupError, ArithmeticError)

# fmt: off
# Extension -> family; the extensions of one family may hold the same streams.
_FAMILY = {
    "flac": "flac", "mp3": "mp3", "ogg": "ogg", "oga": "ogg", "opus": "ogg", "m4a": "mp4", "m4b": "mp4", "mp4": "mp4",
    "aac": "aac", "wav": "wav", "aiff": "aiff", "aif": "aiff", "ape": "ape", "wv": "wv", "mpc": "mpc", "tta": "tta",
    "wma": "wma", "dsf": "dsf",
}
# mutagen's class -> (codec, extension, lossless); an MP4 says its codec itself.
_FORMATS = {
    "MP3": ("MP3", "mp3", False), "OggVorbis": ("VORBIS", "ogg", False), "OggOpus": ("OPUS", "opus", False),
    "OggFLAC": ("FLAC", "oga", True), "OggSpeex": ("SPEEX", "ogg", False), "AAC": ("AAC", "aac", False),
    "WAVE": ("PCM", "wav", True), "AIFF": ("PCM", "aiff", True), "MonkeysAudio": ("APE", "ape", True),
    "WavPack": ("WAVPACK", "wv", True), "Musepack": ("MUSEPACK", "mpc", False), "TrueAudio": ("TTA", "tta", True),
    "ASF": ("WMA", "wma", False), "DSF": ("DSD", "dsf", True),
}
# fmt: on

AUDIO_CONTAINERS = frozenset(_FAMILY)
"""The extensions, lower case and without the dot, of files that can be judged here."""


class NotAudioError(ReconcilerError):
    """A file is not audio in a format that is known here, or its headers are broken."""

    fault: ClassVar[Fault] = "peer"


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioFacts:
    """What the headers of a file say."""

    codec: str
    """Upper case: `FLAC`, `MP3`, `ALAC`."""
    container: str
    """File name extension without the dot."""
    lossless: bool
    bitrate_bps: int
    duration_ms: int
    sample_rate_hz: int
    bit_depth: int
    """0 where the codec has none."""
    channels: int
    states_length: bool = True
    """Whether the file says how long it is. For an MP3 without a count of its frames that is guessed by the first ones,
    and libsndfile stops where it guesses the end, too: decoding such a file would show nothing.
    """


Refusal = Literal[
    "not audio", "wrong container", "wrong duration", "too long", "zero-filled", "truncated", "damaged", "wrong audio"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioVerdict:
    """Whether a file may be published."""

    code: Refusal | None
    """None = nothing speaks against it."""
    reason: str = ""
    """For a person; empty with no code."""
    facts: AudioFacts | None = None
    """None where not even the headers can be read."""
    proven: bool = False
    """Whether every sample was decoded and is right."""

    @property
    def ok(self) -> bool:
        """Whether nothing speaks against it."""
        return self.code is None


def probe(file: Path | int) -> AudioFacts:
    """Read the headers of a file, given by path or by a descriptor, whose offset stays. Raises NotAudioError."""
    with opened(file) as reader:
        return _probed(reader, _flac_stream(reader))


def check(file: Path | int, *, container: str, duration_ms: int | None, tolerance_ms: int) -> AudioVerdict:
    """Judge a whole file: readable, of this container (empty = any) and length (None = any), each FLAC sample right.

    Blocks while the file is decoded. Raises OSError where the disk fails.
    """
    with opened(file) as reader:
        try:
            stream = _flac_stream(reader)
            facts = _probed(reader, stream)
        except NotAudioError as broken:
            gap = zero_run(reader, 0)
            if gap is None:
                return AudioVerdict(code="not audio", reason=broken.message)
            return AudioVerdict(code="zero-filled", reason=f"there are only zero bytes from byte {gap} on")
        verdict = _judge_headers(facts, container.lower(), duration_ms, tolerance_ms)
        if verdict.ok and facts.codec in DECODED and facts.states_length:
            return _judge_decoded(facts, decode(reader))
        if not verdict.ok or stream is None or not stream.decodable:
            return verdict
        fault = find_fault(reader, stream)
    if fault is None:
        return AudioVerdict(code=None, facts=facts, proven=True)
    return AudioVerdict(code=fault.code, reason=fault.reason, facts=facts)


def _judge_headers(facts: AudioFacts, container: str, duration_ms: int | None, tolerance_ms: int) -> AudioVerdict:
    if container and _FAMILY.get(container) != _FAMILY[facts.container]:
        reason = f"this is {facts.codec} as in .{facts.container}, not .{container}"
        return AudioVerdict(code="wrong container", reason=reason, facts=facts)
    if duration_ms and abs(facts.duration_ms - duration_ms) > tolerance_ms:
        length, wanted, tolerance = facts.duration_ms / 1000, duration_ms / 1000, tolerance_ms / 1000
        reason = f"it is {length:.1f} s long; {wanted:.1f} s are wanted, give or take {tolerance:.1f} s"
        return AudioVerdict(code="wrong duration", reason=reason, facts=facts)
    return AudioVerdict(code=None, facts=facts)


def _judge_decoded(facts: AudioFacts, decoded: Decoded) -> AudioVerdict:
    """Whether all of a lossy file is there; what a decoder stumbles over behind it, as a rule tags, does not matter."""
    stated_s = facts.duration_ms / 1000
    if stated_s - decoded.seconds <= MISSING_S_MAX:
        return AudioVerdict(code=None, facts=facts)
    good = f"{decoded.seconds:.1f} s of {stated_s:.1f} s can be decoded"
    if decoded.failure:
        return AudioVerdict(code="damaged", reason=f"{good}: {decoded.failure}", facts=facts)
    return AudioVerdict(code="truncated", reason=good, facts=facts)


def _flac_stream(reader: BoundedReader) -> FlacStream | None:
    try:
        return read_stream(reader)
    except ValueError as broken:
        raise NotAudioError(str(broken)) from broken


def _probed(reader: BoundedReader, stream: FlacStream | None) -> AudioFacts:
    if stream is None:
        return _probed_by_mutagen(reader)
    audio_bits = max(0, reader.size - stream.frames_at) * 8
    return AudioFacts(
        codec="FLAC",
        container="flac",
        lossless=True,
        bitrate_bps=round(audio_bits / stream.seconds) if stream.samples else 0,
        duration_ms=round(stream.seconds * 1000),
        sample_rate_hz=stream.sample_rate_hz,
        bit_depth=stream.bits,
        channels=stream.channels,
    )


def _probed_by_mutagen(reader: BoundedReader) -> AudioFacts:
    try:
        found = mutagen.File(reader)
        if found is None or (type(found).__name__ not in _FORMATS and type(found).__name__ != "MP4"):
            raise NotAudioError("it is in no audio format that is known here")
        return _facts_of(type(found).__name__, found.info)
    except UNREADABLE as broken:
        raise NotAudioError(f"its headers cannot be read ({type(broken).__name__})") from broken


def _facts_of(kind: str, info: Any) -> AudioFacts:
    if kind == "MP4":
        lossless = info.codec == "alac"
        codec, container = "ALAC" if lossless else "AAC" if info.codec.startswith("mp4a") else "MP4", "m4a"
    else:
        codec, container, lossless = _FORMATS[kind]
    return AudioFacts(
        states_length=getattr(info, "bitrate_mode", None) is not BitrateMode.UNKNOWN,
        codec=codec,
        container=container,
        lossless=lossless,
        bitrate_bps=int(getattr(info, "bitrate", 0) or 0),
        duration_ms=round(info.length * 1000),
        sample_rate_hz=int(getattr(info, "sample_rate", 0) or 0),
        bit_depth=int(getattr(info, "bits_per_sample", 0) or 0),
        channels=int(getattr(info, "channels", 0) or 0),
    )
