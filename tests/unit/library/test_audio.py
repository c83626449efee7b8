"""Audio checks: each way in which a file is not what it says has a reason of its own."""

import hashlib
import os
import random
import re
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
from music_files import m4a
from mutagen.flac import FLAC, Picture
from mutagen.id3 import ID3, TIT2

from reconciler.library.audio import AUDIO_CONTAINERS, AudioFacts, NotAudioError, check, probe
from reconciler.library.bounded import BUDGET_BYTES
from reconciler.library.flac import SAMPLES_MAX

RATE_HZ = 44_100
SECONDS = 4
STREAMINFO_AT = 8
COVER = bytes(range(256)) * 40
SUBTYPES = {8: "PCM_S8", 16: "PCM_16", 24: "PCM_24"}


def noise(*, seconds: float = SECONDS, channels: int = 2, seed: int = 1) -> np.ndarray:
    """Quiet noise: audio of which every bit counts and FLAC can save little."""
    return np.random.default_rng(seed).normal(0, 0.02, (int(seconds * RATE_HZ), channels))


def write_flac(path: Path, *, bits: int = 16, channels: int = 2) -> Path:
    """Write a real FLAC with tags, a picture and padding."""
    soundfile.write(path, noise(channels=channels), RATE_HZ, format="FLAC", subtype=SUBTYPES[bits])
    tagged = FLAC(path)
    tagged["title"] = "Only Shallow"
    picture = Picture()
    picture.data = COVER
    tagged.add_picture(picture)
    tagged.save()
    return path


@pytest.fixture(scope="module")
def flac_bytes(tmp_path_factory) -> bytes:
    """The bytes of a good 16-bit stereo FLAC."""
    return write_flac(tmp_path_factory.mktemp("audio") / "good.flac").read_bytes()


def judge(path: Path, **wanted):
    """Check as the engine does for a four-second FLAC."""
    return check(path, **{"container": "flac", "duration_ms": SECONDS * 1000, "tolerance_ms": 500} | wanted)


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("bits", [8, 16, 24])
def test_a_good_flac_is_proven(tmp_path, bits, channels):
    """Every sample decodes to the MD5 that the encoder wrote, at every depth that can be decoded."""
    path = write_flac(tmp_path / "x.flac", bits=bits, channels=channels)
    verdict = judge(path)
    assert verdict.ok, verdict.reason
    assert verdict.proven
    facts = verdict.facts
    assert (facts.codec, facts.container, facts.lossless) == ("FLAC", "flac", True)
    assert (facts.bit_depth, facts.channels, facts.sample_rate_hz) == (bits, channels, RATE_HZ)
    assert facts.duration_ms == SECONDS * 1000
    frame_bytes = path.stat().st_size - len(COVER)
    assert facts.bitrate_bps == pytest.approx(frame_bytes * 8 / SECONDS, rel=0.1)


def test_a_descriptor_can_be_given_and_keeps_its_offset(tmp_path):
    """The engine checks a part through the descriptor that it holds."""
    path = write_flac(tmp_path / "x.flac")
    fd = os.open(path, os.O_RDWR)
    try:
        os.lseek(fd, 77, os.SEEK_SET)
        assert check(fd, container="flac", duration_ms=None, tolerance_ms=0).proven
        assert probe(fd).codec == "FLAC"
        assert os.lseek(fd, 0, os.SEEK_CUR) == 77
    finally:
        os.close(fd)


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75, 0.999])
def test_a_flipped_byte_is_damage(tmp_path, flac_bytes, share):
    """One wrong bit anywhere in the frames is found."""
    broken = bytearray(flac_bytes)
    broken[int(len(broken) * share)] ^= 1
    path = tmp_path / "x.flac"
    path.write_bytes(broken)
    verdict = judge(path)
    assert verdict.code == "damaged", verdict
    assert "can be decoded for about" in verdict.reason


def test_every_flipped_byte_is_found(tmp_path, flac_bytes):
    """Two hundred seeded flips among the frames: no verdict is good, and none ends in an exception."""
    dice = random.Random(7)
    path = tmp_path / "x.flac"
    start = flac_bytes.index(b"\xff\xf8", 20_000)
    for _ in range(200):
        broken = bytearray(flac_bytes[: start + 60_000])
        broken[dice.randrange(start, len(broken))] ^= 1 << dice.randrange(8)
        path.write_bytes(broken)
        assert not check(path, container="flac", duration_ms=None, tolerance_ms=0).ok


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_truncated_flac_says_how_far_it_goes(tmp_path, flac_bytes, share):
    """The header states the whole length, so only decoding tells."""
    path = tmp_path / "x.flac"
    path.write_bytes(flac_bytes[: int(len(flac_bytes) * share)])
    verdict = judge(path)
    assert verdict.code == "truncated"
    assert "s of 4.0 s" in verdict.reason


@pytest.mark.parametrize(("begin", "end"), [(0.5, 1.0), (0.5, 0.6), (0.0, 1.0)])
def test_a_hole_is_named(tmp_path, flac_bytes, begin, end):
    """Blocks that were never written are told from other damage: the rest, a part, or all of it."""
    size = len(flac_bytes)
    first, last = int(size * begin), int(size * end)
    path = tmp_path / "x.flac"
    path.write_bytes(flac_bytes[:first] + bytes(last - first) + flac_bytes[last:])
    verdict = judge(path)
    assert verdict.code == "zero-filled"
    at = -(-first // 4096) * 4096
    assert f"zero bytes from byte {at} on" in verdict.reason


def test_other_audio_with_a_foreign_md5_is_wrong(tmp_path, flac_bytes):
    """Frames that decode well and are not what STREAMINFO vouches for are refused."""
    broken = bytearray(flac_bytes)
    broken[STREAMINFO_AT + 18] ^= 1
    path = tmp_path / "x.flac"
    path.write_bytes(broken)
    assert judge(path).code == "wrong audio"


def test_a_flac_without_an_md5_is_decoded_all_the_same(tmp_path, flac_bytes):
    """An encoder may leave the MD5 out; the frames' own checksums then speak alone."""
    path = tmp_path / "x.flac"
    path.write_bytes(flac_bytes[: STREAMINFO_AT + 18] + bytes(16) + flac_bytes[STREAMINFO_AT + 34 :])
    assert judge(path).proven


@pytest.mark.parametrize(("wanted_ms", "tolerance_ms", "code"), [(4400, 500, None), (4600, 500, "wrong duration")])
def test_another_length_is_another_recording(tmp_path, flac_bytes, wanted_ms, tolerance_ms, code):
    """A difference up to the tolerance is a fade; beyond it the file is refused, with both lengths."""
    path = tmp_path / "x.flac"
    path.write_bytes(flac_bytes)
    verdict = judge(path, duration_ms=wanted_ms, tolerance_ms=tolerance_ms)
    assert verdict.code == code
    assert not code or verdict.reason == "it is 4.0 s long; 4.6 s are wanted, give or take 0.5 s"


OTHER_FORMATS = {
    "mp3": ("MP3", None, "MP3", False),
    "ogg": ("OGG", "VORBIS", "VORBIS", False),
    "opus": ("OGG", "OPUS", "OPUS", False),
    "wav": ("WAV", "PCM_16", "PCM", True),
    "aiff": ("AIFF", "PCM_24", "PCM", True),
}


def write_other(folder: Path, extension: str) -> Path:
    """Write four seconds in another format."""
    major, subtype, _, _ = OTHER_FORMATS[extension]
    path = folder / f"x.{extension}"
    soundfile.write(path, noise(), 48_000 if extension == "opus" else RATE_HZ, format=major, subtype=subtype)
    return path


@pytest.mark.parametrize("extension", OTHER_FORMATS)
def test_other_formats_are_probed(tmp_path, extension):
    """Codec, container and length are read; nothing is called proven."""
    verdict = judge(write_other(tmp_path, extension), container=extension, duration_ms=4000, tolerance_ms=500)
    assert verdict.ok, verdict.reason
    assert not verdict.proven
    _, _, codec, lossless = OTHER_FORMATS[extension]
    assert (verdict.facts.codec, verdict.facts.container, verdict.facts.lossless) == (codec, extension, lossless)


LOSSY = ("mp3", "ogg", "opus")
HARM = {
    "cut": lambda good: good[: len(good) // 2],
    "hole": lambda good: good[: len(good) // 3] + bytes(len(good) // 3) + good[2 * (len(good) // 3) :],
}


@pytest.mark.parametrize("harm", HARM)
@pytest.mark.parametrize("extension", LOSSY)
def test_what_is_missing_of_a_lossy_file_is_found(tmp_path, extension, harm):
    """By decoding it to its end; an Ogg that was cut states less itself, and is too short for what is wanted."""
    path = write_other(tmp_path, extension)
    path.write_bytes(HARM[harm](path.read_bytes()))
    verdict = judge(path, container=extension)
    if harm == "cut" and extension != "mp3":
        assert verdict.code == "wrong duration"
        return
    assert verdict.code in ("damaged", "truncated")
    assert re.match(r"\d\.\d s of \d\.\d s can be decoded", verdict.reason)


def test_what_stands_behind_the_audio_is_no_damage(tmp_path):
    """An MP3 with tags at its end, which the decoder takes for broken frames."""
    path = write_other(tmp_path, "mp3")
    tagged = path.read_bytes() + b"APETAGEX" + bytes(range(256)) * 40 + b"TAG" + bytes(125)
    path.write_bytes(tagged)
    assert judge(path, container="mp3").ok


def test_an_mp3_without_a_count_of_its_frames_is_judged_by_its_headers(tmp_path):
    """Its first bitrate says less than half of what it holds: neither that nor a decoder that believes it is proof."""
    path = write_other(tmp_path, "mp3")
    good = path.read_bytes()
    count = good.index(b"\xff\xfb")
    path.write_bytes(good[good.index(b"\xff\xfb", count + 100) :])
    assert probe(path).duration_ms < 2000
    assert not probe(path).states_length
    assert judge(path, container="mp3", duration_ms=None).ok


@pytest.mark.parametrize("extension", OTHER_FORMATS)
def test_another_container_is_refused(tmp_path, extension):
    """What is called .flac and is something else is not published, whatever it sounds like."""
    verdict = judge(write_other(tmp_path, extension).rename(tmp_path / "x.flac"))
    assert verdict.code == "wrong container"
    assert verdict.reason.endswith("not .flac")


def test_extensions_of_one_family_are_one_container(tmp_path):
    """Opus is kept as .opus and as .ogg; an unknown extension is nobody's."""
    path = write_other(tmp_path, "opus")
    assert judge(path, container="ogg").ok
    assert judge(path, container="OPUS").ok
    assert judge(path, container="").ok
    assert judge(path, container="exe").code == "wrong container"
    assert {"flac", "mp3", "m4a"} <= AUDIO_CONTAINERS


@pytest.mark.parametrize(("name", "codec", "bitrate_bps"), [(b"mp4a", "AAC", 128_000), (b"Opus", "MP4", 0)])
def test_an_mp4_says_its_codec(tmp_path, name, codec, bitrate_bps):
    """Several codecs share the container; one that is not known is not guessed."""
    path = tmp_path / "x.m4a"
    path.write_bytes(m4a(name))
    assert probe(path) == AudioFacts(
        codec=codec,
        container="m4a",
        lossless=False,
        bitrate_bps=bitrate_bps,
        duration_ms=3000,
        sample_rate_hz=RATE_HZ,
        bit_depth=16,
        channels=2,
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no audio format"),
        (b"<html>not found</html>" * 50, "no audio format"),
        (b"fLaC", "headers end early"),
        (b"fLaC" + b"\x80\0\0\x04abcd", "no STREAMINFO"),
        (b"fLaC" + b"\x01\0\0\0" * 200, "more than 128 blocks"),
        (b"fLaC" + b"\x80\0\0\x22" + bytes(34), "sample rate of 0"),
        (b"MPCK" + b"\0" * 300, "cannot be read"),
    ],
)
def test_what_is_no_audio_is_refused(tmp_path, content, message):
    """Broken or foreign headers are a reason, never an exception of a parser."""
    path = tmp_path / "x.flac"
    path.write_bytes(content)
    verdict = judge(path)
    assert verdict.code == "not audio"
    assert message in verdict.reason
    with pytest.raises(NotAudioError, match=message):
        probe(path)


def test_broken_headers_never_raise_anything_else(tmp_path, flac_bytes):
    """Seeded damage to the first bytes of every format gives facts or NotAudioError."""
    samples = [flac_bytes[:4096], m4a(b"mp4a"), m4a(b"Opus")]
    samples += [write_other(tmp_path, extension).read_bytes()[:4096] for extension in OTHER_FORMATS]
    dice = random.Random(11)
    path = tmp_path / "broken"
    outcomes = set()
    for _ in range(1500):
        broken = bytearray(dice.choice(samples))
        for _ in range(dice.choice((1, 3, 20))):
            broken[dice.randrange(min(400, len(broken)))] = dice.choice((0, 127, 128, 255, dice.randrange(256)))
        path.write_bytes(broken)
        try:
            outcomes.add(probe(path).codec)
        except NotAudioError:
            outcomes.add("refused")
    assert outcomes >= {"refused", "FLAC", "MP3", "AAC"}


def test_a_flac_behind_an_id3_tag_is_still_a_flac(tmp_path, flac_bytes):
    """Some taggers put one in front; players accept it."""
    path = tmp_path / "x.flac"
    path.write_bytes(flac_bytes)
    tag = ID3()
    tag.add(TIT2(text="Only Shallow"))
    tag.save(path)
    assert path.read_bytes()[:3] == b"ID3"
    assert judge(path).proven


def test_a_stream_of_other_channels_than_stated_is_refused(tmp_path, flac_bytes):
    """A header that lies about the channels does not make the decoder write past its buffer."""
    broken = bytearray(flac_bytes)
    broken[STREAMINFO_AT + 12] ^= 0x02
    path = tmp_path / "x.flac"
    path.write_bytes(broken)
    assert not judge(path).ok


def test_a_stream_longer_than_stated_is_refused(tmp_path, flac_bytes):
    """Frames beyond the stated number of samples are damage, not a bonus."""
    broken = bytearray(flac_bytes)
    broken[STREAMINFO_AT + 14 : STREAMINFO_AT + 18] = (RATE_HZ).to_bytes(4)
    path = tmp_path / "x.flac"
    path.write_bytes(broken)
    assert not judge(path, duration_ms=None).ok


def test_a_claim_of_days_is_not_decoded(tmp_path, flac_bytes):
    """A stated length beyond a day of stereo is refused before a sample is decoded."""
    samples = SAMPLES_MAX // 2 + 1
    broken = bytearray(flac_bytes)
    broken[STREAMINFO_AT + 13] = broken[STREAMINFO_AT + 13] & 0xF0 | samples >> 32
    broken[STREAMINFO_AT + 14 : STREAMINFO_AT + 18] = (samples & 0xFFFF_FFFF).to_bytes(4)
    path = tmp_path / "x.flac"
    path.write_bytes(broken)
    assert judge(path, duration_ms=None).code == "too long"


def test_a_depth_that_cannot_be_decoded_is_only_probed(tmp_path, flac_bytes):
    """Twenty bits are legal and rare: not refused, and not called proven."""
    broken = bytearray(flac_bytes)
    broken[STREAMINFO_AT + 12] &= 0xFE
    broken[STREAMINFO_AT + 13] = broken[STREAMINFO_AT + 13] & 0x0F | 3 << 4
    broken[STREAMINFO_AT + 12] |= 1
    path = tmp_path / "x.flac"
    path.write_bytes(broken)
    verdict = judge(path)
    assert verdict.facts.bit_depth == 20
    assert verdict.ok
    assert not verdict.proven


def test_memory_does_not_follow_the_size_of_headers(tmp_path, flac_bytes):
    """Pictures of 16 MiB each, and a tag that claims a quarter of a gigabyte, are stepped over, not read."""
    frames = flac_bytes[flac_bytes.index(b"\xff\xf8", 10_000) :]
    big = b"\x06" + (0xFFFFFF).to_bytes(3)
    path = tmp_path / "x.flac"
    with path.open("wb") as file:
        file.write(flac_bytes[: STREAMINFO_AT + 34])
        for _ in range(8):
            file.write(big)
            file.seek(0xFFFFFF, os.SEEK_CUR)
        file.write(b"\x81\0\0\0" + frames)
    other = tmp_path / "x.mp3"
    with other.open("wb") as file:
        file.write(b"ID3\x04\0\0\x7f\x7f\x7f\x7f")
        file.truncate(300 << 20)
    tracemalloc.start()
    try:
        assert probe(path).codec == "FLAC"
        with pytest.raises(NotAudioError):
            probe(other)
        assert tracemalloc.get_traced_memory()[1] < BUDGET_BYTES + (8 << 20)
    finally:
        tracemalloc.stop()


def test_the_md5_is_that_of_the_samples(tmp_path, flac_bytes):
    """What is compared is the MD5 of interleaved little-endian samples, as the encoder defines it."""
    path = tmp_path / "x.flac"
    path.write_bytes(flac_bytes)
    samples, _ = soundfile.read(path, dtype="int16")
    digest = hashlib.md5(samples.astype("<i2").tobytes()).digest()
    assert flac_bytes[STREAMINFO_AT + 18 : STREAMINFO_AT + 34] == digest
