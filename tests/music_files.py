"""Small music files of several formats, with the tags that Picard writes.

Owns: making and tagging them. Never: asserts.
"""

import struct

import mutagen
import numpy as np
import soundfile
from mutagen.id3 import TIT2, TXXX, UFID
from mutagen.mp4 import MP4FreeForm

RATE_HZ = 44_100

FORMATS = {
    "flac": ("FLAC", "PCM_16"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "m4a": None,
}


def noise(*, seconds=1.0, seed=1):
    """Quiet stereo noise."""
    return np.random.default_rng(seed).normal(0, 0.02, (int(seconds * RATE_HZ), 2))


def write_music(path, *, seed=1, recording=None, release=None, title=None, seconds=1.0):
    """Write a file in the format of its extension; an .m4a is only a box around bytes that nobody decodes."""
    extension = path.suffix[1:]
    path.parent.mkdir(parents=True, exist_ok=True)
    if FORMATS[extension] is None:
        path.write_bytes(m4a(b"mp4a", np.random.default_rng(seed).bytes(20_000)))
    else:
        major, subtype = FORMATS[extension]
        rate_hz = 48_000 if extension == "opus" else RATE_HZ
        soundfile.write(path, noise(seconds=seconds, seed=seed), rate_hz, format=major, subtype=subtype)
    tag(path, recording=recording, release=release, title=title)
    return path


def tag(path, *, recording=None, release=None, title=None):
    """Write tags as Picard does in this format, over those that are there."""
    file = mutagen.File(path)
    said = {"title": title, "recording": recording, "release": release}
    names = _NAMES["mp4" if path.suffix == ".m4a" else "mp3" if path.suffix == ".mp3" else "vorbis"]
    for name, value in said.items():
        if value is not None:
            names[name](file, value)
    if any(said.values()):
        file.save()


def _set(name):
    def put(file, value):
        file[name] = value

    return put


def _free_form(name):
    def put(file, value):
        file[f"----:com.apple.iTunes:{name}"] = [MP4FreeForm(value.encode())]

    return put


def _frame(make):
    def put(file, value):
        if file.tags is None:
            file.add_tags()
        file.tags.add(make(value))

    return put


_NAMES = {
    "vorbis": {
        "title": _set("title"),
        "recording": _set("musicbrainz_trackid"),
        "release": _set("musicbrainz_albumid"),
    },
    "mp4": {
        "title": _set("\xa9nam"),
        "recording": _free_form("MusicBrainz Track Id"),
        "release": _free_form("MusicBrainz Album Id"),
    },
    "mp3": {
        "title": _frame(lambda value: TIT2(text=value)),
        "recording": _frame(lambda value: UFID(owner="http://musicbrainz.org", data=value.encode())),
        "release": _frame(lambda value: TXXX(desc="MusicBrainz Album Id", text=value)),
    },
}


def box(name: bytes, *inside: bytes) -> bytes:
    """Make an MP4 box."""
    content = b"".join(inside)
    return struct.pack(">I4s", 8 + len(content), name) + content


def m4a(codec: bytes, audio: bytes = b"") -> bytes:
    """Make the smallest MP4 that states a codec and three seconds; only AAC needs a descriptor of its stream."""
    header = box(b"mdhd", struct.pack(">4xIIII4x", 0, 0, RATE_HZ, RATE_HZ * 3))
    kind = box(b"hdlr", bytes(8) + b"soun" + bytes(13))
    # Tag 3 (elementary stream), 4 (decoder: AAC, 128 kbit/s), 5 (its settings), 6: ISO 14496-1, 7.2.6.
    decoder = bytes([4, 17, 0x40, 0x15, 0, 0, 0]) + struct.pack(">II", 128_000, 128_000) + bytes([5, 2, 0x12, 0x10])
    stream = (
        box(b"esds", bytes(4), bytes([3, 25, 0, 0, 0]), decoder, bytes([6, 1, 2])) if codec == b"mp4a" else box(b"free")
    )
    entry = box(codec, bytes(6), struct.pack(">H8xHHHHI", 1, 2, 16, 0, 0, RATE_HZ << 16), stream)
    table = box(b"minf", box(b"stbl", box(b"stsd", struct.pack(">4xI", 1), entry)))
    movie = box(b"moov", box(b"mvhd", bytes(100)), box(b"trak", box(b"mdia", header, kind, table)))
    return box(b"ftyp", b"M4A \0\0\0\0") + movie + (box(b"mdat", audio) if audio else b"")
