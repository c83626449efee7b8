"""Make a small album out of nothing: real FLAC files to fetch where there is no network.

Owns: the music, its titles and its tags. Never: decides where an album lies or who serves it (cli.cmd_demo).

A track is a slow chord progression with plucked notes over it and a little room noise, which keeps FLAC from shrinking
it to almost nothing: about 95 KB for each second of CD audio. The same seed makes the same samples.
"""

import uuid
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
from mutagen.flac import FLAC

from reconciler.ids import Mbid
from reconciler.library.naming import safe_component

SAMPLE_RATE_HZ = 44_100
TRACKS_MAX = 20  # one title each
ARTIST = "The Loopbacks"
ALBUM = "Nine Kinds of Quiet"
_TITLES = (
    "Harbour Lights", "Paper Lanterns", "The Long Way Down", "Slow Train", "Winter Garden", "Second Window", "Low Tide",
    "Copper Wire", "A Room Upstairs", "Small Hours", "Field Notes", "Northern Line", "Glass Houses", "Half Asleep",
    "Salt and Smoke", "Every Other Sunday", "Empty Platform", "Borrowed Light", "Last Ferry", "Home by Morning",
)  # fmt: skip

_NAMESPACE = uuid.UUID("6f1c4ad6-6a3c-5d5e-9c55-2b1d0c0b7a41")

# Four bars that return to their start, as scale degrees of a major key: I vi IV V, I iii IV I, vi IV I V.
_PROGRESSIONS = ((0, 5, 3, 4), (0, 2, 3, 0), (5, 3, 0, 4))
_MAJOR_SEMITONES = (0, 2, 4, 5, 7, 9, 11)
_BAR_S = 2.4
_NOTES_PER_BAR = 6
_HARMONICS = 4
# Room noise of 64 of 32,768 steps (-54 dB): quiet beside the notes, and log2(64) + 2 = 8 bits of every sample to FLAC.
_NOISE = 64 / 32_768

_Samples = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class SynthesisedTrack:
    """A track that was made, and what its tags say."""

    position: int
    title: str
    artist: str
    album: str
    recording: Mbid
    duration_ms: int
    path: Path


def make_album(folder: Path, *, tracks: int, seconds: float, seed: int) -> tuple[SynthesisedTrack, ...]:
    """Write `tracks` FLAC files of about `seconds` each into `folder`: 16 bit, stereo, tagged with MusicBrainz ids."""
    if not 1 <= tracks <= TRACKS_MAX:
        raise ValueError(f"an album here has 1 to {TRACKS_MAX} tracks, not {tracks}")
    folder.mkdir(parents=True, exist_ok=True)
    return tuple(_make_track(folder, position, seconds, seed) for position in range(1, tracks + 1))


def _make_track(folder: Path, position: int, seconds: float, seed: int) -> SynthesisedTrack:
    dice = np.random.default_rng((seed, position))
    # No two tracks of one length: a file in the wrong place is then seen by its duration too.
    samples = _compose(dice, seconds + 0.5 * (position - 1))
    title = _TITLES[position - 1]
    recording = Mbid(str(uuid.uuid5(_NAMESPACE, f"{seed}/{position}")))
    path = folder / f"{position:02} {safe_component(title)}.flac"
    soundfile.write(path, samples, SAMPLE_RATE_HZ, format="FLAC", subtype="PCM_16")
    _tag(path, {
        "title": title, "artist": ARTIST, "albumartist": ARTIST, "album": ALBUM, "tracknumber": str(position),
        "musicbrainz_trackid": str(recording),  # the recording, by the convention of Vorbis comments
    })  # fmt: skip
    return SynthesisedTrack(
        position=position,
        title=title,
        artist=ARTIST,
        album=ALBUM,
        recording=recording,
        duration_ms=round(len(samples) * 1000 / SAMPLE_RATE_HZ),
        path=path,
    )


def _tag(path: Path, tags: dict[str, str]) -> None:
    # mutagen has types for some of its functions only.
    file = FLAC(path)  # type: ignore[no-untyped-call]
    file.update(tags)  # type: ignore[no-untyped-call]
    file.save()


def _compose(dice: np.random.Generator, seconds: float) -> npt.NDArray[np.int16]:
    length = round(seconds * SAMPLE_RATE_HZ)
    music = np.zeros((length, 2))
    key_hz = 110.0 * 2 ** (int(dice.integers(0, 12)) / 12)
    progression = _PROGRESSIONS[int(dice.integers(0, len(_PROGRESSIONS)))]
    for bar in range(int(seconds / _BAR_S) + 1):
        degree = progression[bar % len(progression)]
        begin_s = bar * _BAR_S
        for third in (0, 2, 4):
            _add_note(music, begin_s, _pitch_hz(key_hz, degree + third), loudness=0.07, ring_s=2.0, right=0.5)
        for step in range(_NOTES_PER_BAR):
            if dice.random() < 0.3:  # noqa: PLR2004 -- a third of the places stay silent: a tune needs to breathe
                continue
            pitch = _pitch_hz(2 * key_hz, degree + int(dice.choice((0, 2, 4, 7))))
            begin = begin_s + step * _BAR_S / _NOTES_PER_BAR
            _add_note(music, begin, pitch, loudness=0.12, ring_s=0.7, right=float(dice.uniform(0.2, 0.8)))
    music *= _fades(length)[:, np.newaxis]
    music += dice.normal(0, _NOISE, music.shape)
    return (np.clip(music, -1, 1) * 32_767).astype(np.int16)


def _pitch_hz(key_hz: float, degree: int) -> float:
    octave, step = divmod(degree, len(_MAJOR_SEMITONES))
    return float(key_hz * 2 ** (octave + _MAJOR_SEMITONES[step] / 12))


def _add_note(music: _Samples, begin_s: float, hz: float, *, loudness: float, ring_s: float, right: float) -> None:
    """Add a plucked string: harmonics that fade faster the higher they are, `right` of it in the right channel."""
    begin = round(begin_s * SAMPLE_RATE_HZ)
    room = music[begin : begin + round(2 * ring_s * SAMPLE_RATE_HZ)]
    # The n-th harmonic is the n-th power of the first, its fading included.
    first = _ringing(complex(-3 / ring_s, 2 * np.pi * hz) / SAMPLE_RATE_HZ, len(room))
    sound = np.zeros_like(first)
    for harmonic in range(_HARMONICS, 0, -1):
        sound = (sound + 1 / harmonic**2) * first
    attack = np.minimum(np.arange(len(room)) / (0.004 * SAMPLE_RATE_HZ), 1)  # four milliseconds: no click
    note = loudness * sound.imag * attack
    room[:, 0] += note * (1 - right)
    room[:, 1] += note * right


def _ringing(step: complex, length: int) -> npt.NDArray[np.complex128]:
    """The powers of e to the `step`, from the zeroth on; in rows, since a power costs ten times what a product does."""
    columns = 512
    rows = np.exp(step * columns * np.arange(length // columns + 1))
    powers: npt.NDArray[np.complex128] = np.outer(rows, np.exp(step * np.arange(columns))).ravel()[:length]
    return powers


def _fades(length: int) -> _Samples:
    """Half a second in and two seconds out."""
    at_s = np.arange(length) / SAMPLE_RATE_HZ
    fades: _Samples = np.minimum(np.minimum(at_s / 0.5, (length / SAMPLE_RATE_HZ - at_s) / 2), 1)
    return fades
