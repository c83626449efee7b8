"""A name for the audio in a file that stays the same when only its tags change.

Owns: which name each format has, and that it can be kept. Never: decodes, or judges whether the audio is good.

FLAC carries the MD5 of its samples, so its headers are enough. Of MP3, Ogg and MP4 the stored audio itself is hashed
(library.same_audio), which a tagger moves and does not touch. Other formats have no such name here: of those it is not
known whether audio or tags changed.
"""

import struct
from pathlib import Path

from reconciler.library.bounded import opened
from reconciler.library.flac import read_stream
from reconciler.library.same_audio import audio_digest

FLAC = "flac-md5:"
"""How the name of a FLAC's audio begins."""


def audio_name(file: Path | int, container: str) -> str:
    """Name the audio of a file, given by path or descriptor, by its usual extension; empty where no honest name is.

    Reads a file that is no FLAC as a whole. Raises OSError where the disk fails.
    """
    with opened(file) as reader:
        try:
            stream = read_stream(reader)
            if stream is not None:
                return f"{FLAC}{stream.md5.hex()}" if any(stream.md5) else ""
            digest = audio_digest(Path(f"/proc/self/fd/{reader.fileno()}"), container)
        except (ValueError, struct.error):
            return ""
    return "" if digest is None else f"{container}:{digest.hex()}"
