"""What a shared file can be by its extension and its size.

Owns: which extensions are audio, and which sizes a recording of some length can have. Never: reads a file
(library.audio does, once it is here).
"""

from dataclasses import dataclass

from reconciler.sources.soulseek.shared_file import SharedFile

# Pictures and tags inside a file; covers of 10 MB are seen.
_EMBEDDED_BYTES_MAX = 16 * 1024 * 1024
# What a file may lack of bitrate x duration: averages of VBR and whole seconds are off by a few percent, not by this.
_SHORT_BY_MAX = 0.3
_EXTENSION_CHARACTERS_MAX = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """A family of audio files that are alike for a listener."""

    name: str
    """Upper case; `M4A` may be AAC or ALAC."""
    kbps_min: int
    kbps_max: int


def _lossless(name: str) -> Encoding:
    # Below: a silent or mono speech track compresses to about this. Above: eight channels of 24 bit at 192 kHz.
    return Encoding(name=name, kbps_min=64, kbps_max=8 * 24 * 192)


_M4A = Encoding(name="M4A", kbps_min=16, kbps_max=36_864)

# fmt: off
ENCODINGS = {
    "flac": _lossless("FLAC"), "wav": _lossless("WAV"), "aiff": _lossless("AIFF"), "aif": _lossless("AIFF"),
    "ape": _lossless("APE"), "wv": _lossless("WAVPACK"), "tta": _lossless("TTA"),
    "mp3": Encoding(name="MP3", kbps_min=24, kbps_max=330),
    "ogg": Encoding(name="OGG", kbps_min=24, kbps_max=600), "oga": Encoding(name="OGG", kbps_min=24, kbps_max=8000),
    "opus": Encoding(name="OPUS", kbps_min=12, kbps_max=520), "aac": Encoding(name="AAC", kbps_min=16, kbps_max=600),
    "m4a": _M4A, "m4b": _M4A, "mp4": _M4A,
    "mpc": Encoding(name="MPC", kbps_min=48, kbps_max=1000),
    "wma": Encoding(name="WMA", kbps_min=24, kbps_max=10_000),
    "dsf": Encoding(name="DSF", kbps_min=2800, kbps_max=50_000),
}
# fmt: on
"""Extension, lower case and without the dot -> what may be in it. A size beyond the range was cut short, or is some
other thing.
"""


def encoding_of(file: SharedFile) -> Encoding | None:
    """What `file` is by its extension; None = no audio that is known here.

    Some clients state no extension: it is in the name.
    """
    said = file.extension.strip(".").lower() or file.path[-_EXTENSION_CHARACTERS_MAX:].rpartition(".")[2].lower()
    return ENCODINGS.get(said)


def implausible_size(file: SharedFile, encoding: Encoding, wanted_ms: int | None) -> str:
    """Why `file` cannot be a whole recording of its length by its size; empty = it can.

    The length is what the user states, else what is wanted; with neither nothing is said.
    """
    if file.size <= 0:
        return "it has no bytes"
    seconds = file.duration_s or (wanted_ms or 0) / 1000
    if seconds <= 0:
        return ""
    kbps = file.size * 8 / seconds / 1000
    if kbps < encoding.kbps_min:
        return f"{file.size} bytes are too few for {seconds:.0f} s of {encoding.name}"
    if (file.size - _EMBEDDED_BYTES_MAX) * 8 / seconds / 1000 > encoding.kbps_max:
        return f"{file.size} bytes are too many for {seconds:.0f} s of {encoding.name}"
    if file.bitrate_kbps and kbps < file.bitrate_kbps * (1 - _SHORT_BY_MAX):
        return f"{file.size} bytes are too few for {seconds:.0f} s at {file.bitrate_kbps} kbit/s"
    return ""
