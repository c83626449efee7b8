"""Decode a lossy file to its end: how much of it is there?

Owns: the process in which that is done. Never: judges (library.audio does).

MP3, Vorbis and Opus carry no checksum of their audio. What is missing shows as seconds that cannot be decoded. The
bytes come from strangers and the decoders are old C: they run in a process of their own, within limits, for one file.
It also keeps what libmpg123 writes to standard error, a line for every spot that it does not like, out of the log.

`python -m reconciler.library.lossy FD` prints how many seconds there are, and what ended it, as JSON.
"""

import json
import os
import resource
import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import soundfile

from reconciler.library.bounded import BoundedReader
from reconciler.library.flac import SAMPLES_MAX

DECODED = frozenset({"MP3", "VORBIS", "OPUS"})
"""What libsndfile decodes of the codecs that library.audio knows by name and that are lossy."""

# Address space, most of which is libraries that are mapped and not touched; and processor time: four minutes of MP3
# take one second, a day's worth (SAMPLES_MAX) some five minutes.
ADDRESS_SPACE_BYTES = 2 << 30
CPU_S = 600
# On the wall: the machine may be busy, the disk slow.
PATIENCE_S = 1800.0

_BLOCK_FRAMES = 16_384
_REASON_CHARACTERS_MAX = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """How far a file could be decoded."""

    seconds: float
    failure: str
    """What ended it before the file did; empty = nothing."""


def decode(reader: BoundedReader) -> Decoded:
    """Decode a whole file; blocks. Raises OSError where no process can be started."""
    # Our own interpreter and module; the path goes with it, so that a checkout runs like an installation.
    try:
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-m", "reconciler.library.lossy", str(reader.fileno())],
            pass_fds=[reader.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            timeout=PATIENCE_S,
            check=False,
        )
        told = json.loads(done.stdout)
        return Decoded(seconds=float(told["seconds"]), failure=str(told["failure"]))
    except subprocess.TimeoutExpired:
        return Decoded(seconds=0.0, failure=f"it takes longer than {PATIENCE_S:.0f} s")
    except (ValueError, KeyError, TypeError):
        return Decoded(seconds=0.0, failure="the decoder broke on it")


def _decode_here(fd: int) -> Decoded:
    frames, rate_hz, failure = 0, 1, ""
    os.lseek(fd, 0, os.SEEK_SET)
    try:
        with soundfile.SoundFile(fd, closefd=False) as decoder:
            rate_hz = decoder.samplerate
            room = np.empty((_BLOCK_FRAMES, decoder.channels), dtype="float32")
            while read := len(decoder.read(out=room)):
                frames += read
                if frames * decoder.channels > SAMPLES_MAX:
                    failure = f"there are more than {SAMPLES_MAX} samples"
                    break
    except soundfile.SoundFileError as broken:
        failure = str(broken).strip()[:_REASON_CHARACTERS_MAX]
    return Decoded(seconds=frames / rate_hz, failure=failure)


def main() -> None:
    """Decode the descriptor that is named, and tell."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    found = _decode_here(int(sys.argv[1]))
    json.dump({"seconds": found.seconds, "failure": found.failure}, sys.stdout)


if __name__ == "__main__":
    main()
