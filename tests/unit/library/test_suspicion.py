"""The suspicion that a lossless file was made from a lossy one: what earns it, and what does not."""

import io

import numpy as np
import pytest
import soundfile
from music_files import RATE_HZ, noise

from reconciler.library.spectrum import WINDOW_FRAMES, shelf_of
from reconciler.library.suspicion import suspect

SECONDS = 4


def coloured(decibels_per_octave, *, seed=1):
    """Noise that fades towards the high notes, as music does."""
    spectrum = np.fft.rfft(noise(seconds=SECONDS, seed=seed)[:, 0])
    octaves = np.log2(np.maximum(np.arange(len(spectrum)) / SECONDS, 20) / 20)
    sound = np.fft.irfft(spectrum * 10 ** (-decibels_per_octave * octaves / 20))
    return sound / np.abs(sound).max() / 2


def faded(sound, above_hz, decibels_per_octave):
    """The same with a filter that begins at a frequency."""
    spectrum = np.fft.rfft(sound)
    octaves = np.log2(np.maximum(np.arange(len(spectrum)) / SECONDS / above_hz, 1))
    return np.fft.irfft(spectrum * 10 ** (-decibels_per_octave * octaves / 20))


def lossless(folder, sound, *, subtype="PCM_16"):
    """Write a FLAC."""
    path = folder / "x.flac"
    soundfile.write(path, sound, RATE_HZ, format="FLAC", subtype=subtype)
    return path


def through(kind, subtype, sound, **how):
    """What is left of a sound after a lossy encoder, and its bitrate."""
    file = io.BytesIO()
    stereo = np.column_stack([sound, sound])
    soundfile.write(file, stereo, RATE_HZ, format=kind, subtype=subtype, **how)
    bitrate_bps = len(file.getvalue()) * 8 / SECONDS
    file.seek(0)
    return soundfile.read(file)[0], bitrate_bps


# Fades in dB an octave: white noise, pink, brown (darker than most music).
COLOURS = [0, 3, 6]

# libsndfile's compression level for LAME -> the constant bitrate that it stands for, and where LAME then cuts.
MP3 = {0.3: (224_000, 19.2), 0.5: (160_000, 18.5), 0.6: (160_000, 17.1), 0.7: (112_000, 15.1), 0.9: (56_000, 11.0)}


@pytest.mark.parametrize("colour", [COLOURS[0], COLOURS[-1]])
@pytest.mark.parametrize("level", MP3)
def test_a_flac_made_from_an_mp3_is_suspected_with_the_frequency(tmp_path, colour, level):
    """Within 300 Hz of where the encoder cut, in 16 and in 24 bits."""
    decoded, bitrate_bps = through(
        "MP3", "MPEG_LAYER_III", coloured(colour), compression_level=level, bitrate_mode="CONSTANT"
    )
    bitrate, cutoff_khz = MP3[level]
    assert bitrate_bps == pytest.approx(bitrate, rel=0.03)
    for subtype in ("PCM_16", "PCM_24"):
        shelf = suspect(lossless(tmp_path, decoded, subtype=subtype))
        assert shelf is not None
        assert shelf.cutoff_hz / 1000 == pytest.approx(cutoff_khz, abs=0.3)
        assert shelf.drop_db > 25
    assert str(shelf).startswith(f"nothing above {shelf.cutoff_hz / 1000:.1f} kHz of 22.1 kHz")


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
@pytest.mark.parametrize("colour", [*COLOURS, 12])
def test_sound_that_was_never_lossy_is_not_suspected(tmp_path, colour, subtype):
    """Whatever its colour: up to a fade that is under the last bit at the end."""
    assert suspect(lossless(tmp_path, coloured(colour), subtype=subtype)) is None


@pytest.mark.parametrize(("above_hz", "decibels"), [(8000, 24), (12_000, 24), (12_000, 48), (14_000, 48)])
def test_a_gradual_filter_is_no_shelf(tmp_path, above_hz, decibels):
    """Tapes and gentle filters fade over kilohertz."""
    assert suspect(lossless(tmp_path, faded(coloured(3), above_hz, decibels))) is None


def test_the_filters_of_converters_are_not_suspected(tmp_path):
    """A brick wall at 20 kHz is what a resampler leaves, and the best MP3s: the two cannot be told apart."""
    assert suspect(lossless(tmp_path, faded(coloured(3), 20_000, 3000))) is None
    decoded, _ = through("MP3", "MPEG_LAYER_III", coloured(3), compression_level=0.0, bitrate_mode="CONSTANT")
    assert suspect(lossless(tmp_path, decoded)) is None


def test_a_brick_wall_that_is_lower_is_a_false_positive(tmp_path):
    """FM radio ends at 15 kHz: the figures are told, and a person has to know the rest."""
    shelf = suspect(lossless(tmp_path, faded(coloured(3), 15_000, 3000)))
    assert shelf.cutoff_hz == pytest.approx(15_000, abs=300)


def test_there_is_nothing_to_say_of_what_is_short_silent_or_lossy(tmp_path):
    """Nor of what is no audio."""
    assert suspect(lossless(tmp_path, np.zeros(RATE_HZ * 4))) is None
    assert suspect(lossless(tmp_path, coloured(0)[: WINDOW_FRAMES - 1])) is None
    soundfile.write(tmp_path / "x.mp3", coloured(0), RATE_HZ, format="MP3", subtype="MPEG_LAYER_III")
    assert suspect(tmp_path / "x.mp3") is None
    (tmp_path / "none.flac").write_bytes(b"nothing")
    assert suspect(tmp_path / "none.flac") is None


@pytest.mark.parametrize("rate_hz", [8000, 16_000, 22_050])
def test_low_sample_rates_are_not_judged(rate_hz):
    """What they leave out, they leave out by design."""
    power = np.ones(WINDOW_FRAMES // 2 + 1)
    power[len(power) // 2 :] = 0
    assert shelf_of(power, sample_rate_hz=rate_hz) is None
