"""What strangers send is read within limits, or not at all."""

import asyncio
import logging
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.overlay.merkle import FILE_BYTES_MAX, chunk_count
from reconciler.sources.soulseek.frames import FIRST, FROM_PEER, FROM_SERVER, read_frame
from reconciler.sources.soulseek.limits import INFLATED_BYTES_MAX, LimitError, bounded, inflate
from reconciler.sources.soulseek.quiet_log import LINES_PER_MINUTE, QuietLog, line_of
from reconciler.sources.soulseek.search_reply import FILES_MAX, read_search_reply


def word(value):
    return struct.pack("<I", value)


def text(value):
    raw = value if isinstance(value, bytes) else value.encode()
    return word(len(raw)) + raw


def row(name, size=1000, attributes=()):
    """A file."""
    said = b"".join(word(key) + word(value) for key, value in attributes)
    return b"\1" + text(name) + struct.pack("<Q", size) + text("") + word(len(attributes)) + said


TAIL = b"\1" + word(5000) + word(7) + word(0)


def reply(*rows, user="someone", count=None, tail=TAIL):
    """The body of a FileSearchResponse."""
    return zlib.compress(text(user) + word(42) + word(len(rows) if count is None else count) + b"".join(rows) + tail)


def test_an_answer_becomes_files():
    """With its attributes, and what the user says of its uploads."""
    found = read_search_reply(reply(row("A\\b.FLAC", 9, [(1, 480), (4, 44100), (5, 16)]), row("c.mp3", 1, [(0, 320)])))
    assert (found.username, found.ticket) == ("someone", 42)
    flac, mp3 = found.files
    assert (flac.path, flac.size, flac.extension) == ("A\\b.FLAC", 9, "flac")
    assert (flac.duration_s, flac.sample_rate_hz, flac.bit_depth, flac.bitrate_kbps) == (480, 44100, 16, None)
    assert (mp3.bitrate_kbps, mp3.duration_s) == (320, None)
    assert (mp3.free_slot, mp3.speed_bytes_per_s, mp3.queue_length) == (True, 5000, 7)


@pytest.mark.parametrize(
    "name", [b"\xff\xfe.flac", "nul\0byte.flac", "x" * 2000 + ".flac", ""], ids=["cp1252", "nul", "long", "empty"]
)
def test_a_name_that_could_not_be_sent_back_is_left_out(name):
    """The others of the same answer are kept."""
    assert [each.path for each in read_search_reply(reply(row(name), row("good.flac"))).files] == ["good.flac"]


def test_a_size_that_no_file_has_is_left_out():
    """Nothing, or more than has chunks: a job that took it at its word would end in an error of the program."""
    sizes = {"a": 0, "b": 1 << 60, "c": FILE_BYTES_MAX + 1, "d": FILE_BYTES_MAX, "e": 1}
    found = read_search_reply(reply(*(row(f"{name}.flac", size) for name, size in sizes.items())))
    assert [each.path for each in found.files] == ["d.flac", "e.flac"]
    assert all(chunk_count(each.size) for each in found.files)


@pytest.mark.parametrize(
    "payload",
    [
        reply(count=FILES_MAX + 1),
        reply(row("a"), count=2, tail=b""),
        reply(row("a", attributes=[(n, n) for n in range(17)])),
        reply(user=""),
        reply(user="n" * 65),
        reply(user="line\nbreak"),
        zlib.compress(bytes(INFLATED_BYTES_MAX + 1)),
        zlib.compress(b"abc")[:-4],
        b"no zlib",
    ],
)
def test_an_answer_that_breaks_the_rules_is_refused_whole(payload):
    """In words."""
    with pytest.raises(LimitError, match=r"\w"):
        read_search_reply(payload)


@given(st.binary(max_size=300))
def test_any_bytes_are_an_answer_or_refused(data):
    """No other exception leaves the reader, whether the bytes come packed or not."""
    for payload in (data, zlib.compress(data), zlib.compress(text("someone") + data)):
        try:
            assert read_search_reply(payload).username
        except LimitError as refused:
            assert str(refused)  # noqa: PT017 - some bytes are answers


def test_inflating_never_holds_more_than_its_limit():
    """A gigabyte in a megabyte is refused after the first megabyte."""
    packing = zlib.compressobj(9)
    bomb = b"".join(packing.compress(bytes(1 << 20)) for _ in range(64)) + packing.flush()
    with pytest.raises(LimitError, match="more than"):
        inflate(bomb)
    assert inflate(zlib.compress(bytes(INFLATED_BYTES_MAX))) == bytes(INFLATED_BYTES_MAX)


def read(data, *rules):
    """The frames that are read from a stream."""

    async def main():
        reader = asyncio.StreamReader()
        reader.feed_data(data)
        reader.feed_eof()
        return [await read_frame(reader, lambda rule=rule: rule) for rule in rules]

    return asyncio.run(main())


def frame(code, body=b"", length=None):
    return struct.pack("<II", len(body) + 4 if length is None else length, code) + body


def test_frames_without_use_are_passed_over():
    """The next one that has one is read, whatever stood between."""
    rooms = frame(64, bytes(3_000_000))
    assert read(rooms + frame(69, b"x") + frame(26, b"body"), FROM_SERVER) == [frame(26, b"body")]


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (frame(9, b"x", length=0xFFFF_FFFF), FROM_PEER),
        (frame(5, b"x", length=0xFFFF_FFFF), FROM_PEER),
        (frame(9, b"x", length=2), FROM_PEER),
        (word(5000) + b"\1", FIRST),
    ],
    ids=["kept", "passed over", "shorter than its code", "first"],
)
def test_a_length_is_judged_before_a_byte_is_kept(data, rule):
    """A refusal, at once."""
    with pytest.raises(LimitError, match="a frame of"):
        read(data, rule)


class Login:
    """Stands for a message with a password."""

    def __repr__(self):
        return "Login(password='hunter2')"


def record(message, *arguments):
    return logging.LogRecord("aioslsk", logging.WARNING, "", 0, message, arguments, None)


def test_a_log_line_holds_no_message():
    """Only the name of its type; text of strangers is cut and made printable."""
    line = line_of(record("received : %s from %s, %d", Login(), "e\x1b[2Jvil" * 1000, 5))
    assert "hunter2" not in line
    assert "<Login>" in line
    assert "\x1b" not in line
    assert len(line) < 500
    assert line.endswith(" 5")


def test_log_lines_are_bounded_in_a_minute():
    """The rest are counted, and the count is told when the minute is over."""
    lines, now = [], [0.0]
    handler = QuietLog(lines.append, lambda: now[0])
    for _ in range(1000):
        handler.handle(record("noise"))
    assert len(lines) == LINES_PER_MINUTE
    now[0] = 61.0
    handler.handle(record("later"))
    assert lines[-2:] == [f"{1000 - LINES_PER_MINUTE} more lines in the last minute", "later"]


@given(st.text())
def test_text_of_strangers_is_one_printable_line(value):
    """Whatever it was."""
    shown = bounded(value)
    assert shown.isprintable()
    assert len(shown) <= 301
