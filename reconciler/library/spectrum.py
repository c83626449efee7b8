"""Does a spectrum end like that of a lossy encoder?

Owns: the measure, and what it takes to be told of. Never: reads a file (library.suspicion), or calls a file fake: music
that was recorded, broadcast or mastered with a low-pass ends in the same way.

Lossy encoders leave out everything above a frequency that follows from their bitrate: LAME cuts 128 kbit/s at about
16-17 kHz, 192 at 18-19, 320 at 20. In a lossless copy of that the spectrum falls off a shelf within a few hundred
hertz, down to the noise of the last bit, and stays there. Instruments and microphones fade gradually.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

WINDOW_FRAMES = 4096
"""Frames of one look: bands of 10.8 Hz at 44.1 kHz."""

# The range in which a shelf is looked for. Below it are speech and old recordings; above it the filters of converters
# and resamplers for CD audio end in the same way (at 20 kHz and more), and so do the best lossy encoders.
LOWEST_HZ = 8_000
HIGHEST_HZ = 19_500
# Of half the sample rate; 19.5 kHz of 22.05 are that, and lower rates have their own filters.
HIGHEST_SHARE = 0.885

# The level below the shelf is that of a kilohertz, the one above is taken half a kilohertz further: LAME's filter needs
# some 300 Hz to fall.
_BELOW_HZ = 1000
_GAP_HZ = 500
# Lossy copies of noise and music made with LAME and Vorbis fell by 37 dB and more; a fade of 12 dB an octave, which is
# steep for music, falls by 2 dB in this distance.
DROP_DB_MIN = 20.0
# What is above a shelf is the noise of the last bit, which has one level: 3 dB to either side.
_FLAT_DB = 6.0
# The noise of a last bit, of 16: files with more bits are looked at as if they had so many, because what a decoder
# leaves below that is neither music nor even. A step's variance is a twelfth; a Hann window keeps 3/8 of it.
_LAST_BIT = WINDOW_FRAMES * 3 / 8 / 12 / 32_768**2
# A look at less than this is no look at music: -80 dB of full scale is the hiss of a tape that has run out.
_LOUD_DB_MIN = -80.0

Samples = npt.NDArray[np.float32]
Power = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """Where a spectrum ends early."""

    cutoff_hz: float
    nyquist_hz: float
    """The highest frequency that the sample rate could carry."""
    drop_db: float
    """How far the level falls there."""

    def __str__(self) -> str:
        """For a person, with the figures."""
        return (
            f"nothing above {self.cutoff_hz / 1000:.1f} kHz of {self.nyquist_hz / 1000:.1f} kHz"
            f" (the level falls by {self.drop_db:.0f} dB there): perhaps made from a lossy file"
        )


def power_of(window: Samples) -> Power | None:
    """The power in each band of `WINDOW_FRAMES` frames of one channel; None for a window that is next to silent."""
    if 10 * np.log10(np.mean(np.square(window), dtype=np.float64) + 1e-20) < _LOUD_DB_MIN:
        return None
    return np.square(np.abs(np.fft.rfft(window * np.hanning(WINDOW_FRAMES)))).astype(np.float64)


def shelf_of(power: Power, *, sample_rate_hz: int) -> Shelf | None:
    """Find the shelf in the mean power of many windows; None where there is none to speak of."""
    nyquist_hz = sample_rate_hz / 2
    width_hz = sample_rate_hz / WINDOW_FRAMES
    highest_hz = min(HIGHEST_HZ, HIGHEST_SHARE * nyquist_hz)
    levels = np.concatenate(([0.0], np.cumsum(power + _LAST_BIT)))
    edges = np.arange(int(LOWEST_HZ / width_hz), int(highest_hz / width_hz))
    below, gap = int(_BELOW_HZ / width_hz), int(_GAP_HZ / width_hz)
    if not len(edges) or edges[-1] + gap + below >= len(power):
        return None
    drops = _mean_db(levels, edges - below, edges) - _mean_db(levels, edges + gap, edges + gap + below)
    best = int(np.argmax(drops))
    edge, drop_db = int(edges[best]), float(drops[best])
    rest = np.arange(edge + gap, len(power) - below, below)
    above = _mean_db(levels, rest, rest + below)
    if drop_db < DROP_DB_MIN or np.ptp(above) > _FLAT_DB:
        return None
    return Shelf(cutoff_hz=edge * width_hz, nyquist_hz=nyquist_hz, drop_db=drop_db)


def _mean_db(levels: Power, begin: npt.NDArray[np.int64], end: npt.NDArray[np.int64]) -> Power:
    """The mean level between two bands each, in dB; `levels` are sums up to each band."""
    mean: Power = 10 * np.log10((levels[end] - levels[begin]) / (end - begin) + 1e-20)
    return mean
