"""Was a FLAC perhaps made from a lossy one?

Owns: which parts of a file are looked at. Never: refuses, moves or deletes anything: it is a warning with figures, and
what they cannot tell is in docs/howto/library.md.
"""

import os
from pathlib import Path

import numpy as np
import soundfile

from reconciler.library.bounded import opened
from reconciler.library.flac import read_stream
from reconciler.library.spectrum import WINDOW_FRAMES, Power, Shelf, power_of, shelf_of

# Looks at a file, spread over its length: four minutes of FLAC take some 50 ms, a twentieth of decoding it whole.
_LOOKS = 64
# With fewer that are loud enough there is nothing to go by.
_LOOKS_MIN = 8


def suspect(file: Path | int) -> Shelf | None:
    """Look at a FLAC, given by path or descriptor; None where nothing is to be seen, and for every other format.

    Blocks. Raises OSError where the disk fails.
    """
    with opened(file) as reader:
        os.lseek(reader.fileno(), 0, os.SEEK_SET)
        try:
            if read_stream(reader) is None:
                return None
            with soundfile.SoundFile(reader.fileno(), closefd=False) as decoder:
                power = _mean_power(decoder)
                return None if power is None else shelf_of(power, sample_rate_hz=decoder.samplerate)
        except (ValueError, soundfile.SoundFileError):
            return None


def _mean_power(decoder: soundfile.SoundFile) -> Power | None:
    """The mean power of looks at evenly spread places; None where too few were loud enough."""
    total, count = np.zeros(WINDOW_FRAMES // 2 + 1), 0
    for look in range(_LOOKS):
        at = (decoder.frames - WINDOW_FRAMES) * (2 * look + 1) // (2 * _LOOKS)
        if at < 0:
            return None
        decoder.seek(at)
        block = decoder.read(WINDOW_FRAMES, dtype="float32", always_2d=True)
        if len(block) < WINDOW_FRAMES:
            return None
        power = power_of(block[:, 0])
        if power is not None:
            total += power
            count += 1
    return total / count if count >= _LOOKS_MIN else None
