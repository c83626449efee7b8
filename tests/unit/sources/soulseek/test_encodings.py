"""What a shared file can be by its extension and size."""

import pytest
from shared_folders import shared

from reconciler.library.audio import AUDIO_CONTAINERS
from reconciler.sources.soulseek.encodings import ENCODINGS, encoding_of, implausible_size


def test_what_is_taken_can_be_judged_once_it_is_here():
    """The same extensions as those of files that the library can read."""
    assert set(ENCODINGS) == AUDIO_CONTAINERS


@pytest.mark.parametrize(
    ("name", "said", "wanted_ms", "word"),
    [
        ("a.flac", (25_000_000, 240, None), None, ""),
        ("a.flac", (1_000_000, 240, None), None, "too few"),
        ("a.flac", (1_000_000, None, None), 240_000, "too few"),
        ("a.flac", (1_000_000, None, None), None, ""),
        ("a.flac", (0, None, None), None, "no bytes"),
        ("a.flac", (-5, 240, None), None, "no bytes"),
        ("a.mp3", (9_600_000, 240, 320), None, ""),
        ("a.mp3", (5_000_000, 240, 320), None, "too few"),
        ("a.mp3", (20_000_000, 240, 320), None, ""),
        ("a.mp3", (60_000_000, 240, 320), None, "too many"),
        ("a.dsf", (10_000_000, 240, None), None, "too few"),
    ],
)
def test_a_size_must_fit_codec_and_length(name, said, wanted_ms, word):
    """Cut files and other things under a good name are seen by their size; covers inside a file are allowed for."""
    size, duration_s, bitrate_kbps = said
    file = shared(name, duration_s, size=size, bitrate_kbps=bitrate_kbps)
    assert word in implausible_size(file, encoding_of(file), wanted_ms)
    assert bool(word) is bool(implausible_size(file, encoding_of(file), wanted_ms))


@pytest.mark.parametrize(
    ("path", "extension", "name"),
    [("a.flac", "", "FLAC"), ("a.FLAC", "", "FLAC"), ("a", "mp3", "MP3"), ("a.mp3", ".mp3", "MP3"), ("a", "", None)],
)
def test_the_extension_is_found_where_it_is(path, extension, name):
    """Some clients state it, some leave it in the name."""
    encoding = encoding_of(shared(path, extension=extension))
    assert (encoding and encoding.name) == name
