"""One line an event, whatever a peer is called."""

import unicodedata
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from trace_builders import FULL_EVENT, NOON_MS, event

from reconciler.traces.session_log import FIELD_CHARS_MAX, escape, line_of

# Every character there is, with those that matter more often than chance would have them.
HOSTILE = st.text(
    st.one_of(
        st.characters(),
        st.sampled_from("|\\\n\r\0\x1b\x7f\x85\x9b\u061c\u200b\u2028\u202e\u2066\ufeff\U000e0041\ud800\udfff…x"),
    ),
    max_size=300,
)


def harmless(text):
    """Whether nothing in `text` could end a line, move a cursor or turn letters around."""
    return all(unicodedata.category(character) not in ("Cc", "Cf", "Zl", "Zp", "Cs") for character in text)


def test_a_line_has_six_fields_that_people_can_read():
    """Time, type, action, peer, bytes and error, in that order."""
    assert line_of(FULL_EVENT) == (
        "2025-12-10T12:00:00.250Z|ChunkFailed|bad hash|peer-abc|65536|bad hash: chunk 7 does not match its hash\n"
    )


def test_what_is_not_known_is_an_empty_field():
    """An event of the whole job has no peer and no error."""
    assert line_of(event(1, action="")) == "2025-12-10T12:00:00.001Z|ChunkReceived|||0|\n"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, even Ænima \N{SNOWMAN} \N{PILE OF POO}", "plain, even Ænima \N{SNOWMAN} \N{PILE OF POO}"),
        ("a|b", r"a\x7cb"),
        ("a\\b", r"a\\b"),
        ("a\\x7cb", r"a\\x7cb"),
        ("one\ntwo\r\0", r"one\x0atwo\x0d\x00"),
        ("\x1b[31mred\x7f\x9b", r"\x1b[31mred\x7f\x9b"),
        ("gnp.\u202eexe", r"gnp.\u202eexe"),
        ("a\u2028b\u2029c\u0085", r"a\u2028b\u2029c\x85"),
        ("zero\u200bwidth\ufeff", r"zero\u200bwidth\ufeff"),
        ("tag\U000e0041", r"tag\U000e0041"),
        ("\ud800", r"\ud800"),
    ],
)
def test_what_could_do_harm_is_shown_as_an_escape(text, shown):
    """The rest stays as it is."""
    assert escape(text, separators="|") == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("x" * 200, "x" * 200),
        ("x" * 201, "x" * 199 + "…"),
        ("x" * 10**6, "x" * 199 + "…"),
        ("\n" * 50, "\\x0a" * 50),
        ("\n" * 51, "\\x0a" * 49 + "…"),
        ("x" * 197 + "\u202e", "x" * 197 + "…"),
    ],
)
def test_a_long_field_is_cut_between_characters(text, shown):
    """Never within an escape; the cut shows."""
    assert escape(text) == shown


@given(peer=HOSTILE, action=HOSTILE, code=HOSTILE, message=HOSTILE)
@example(peer="a|b\n", action="\\", code="|", message="\ud800")
def test_any_text_gives_one_line_of_six_fields(peer, action, code, message):
    """No control character, no separator too many, nothing longer than it may be, and it can be written as UTF-8."""
    made = replace(FULL_EVENT, peer_id=peer, action=action, error_code=code, error_message=message)
    line = line_of(made)
    assert line.endswith("\n")
    assert line.splitlines() == [line[:-1]]
    fields = line[:-1].split("|")
    assert len(fields) == 6
    assert all(len(field) <= FIELD_CHARS_MAX and harmless(field) for field in fields)
    assert len(line.encode("utf-8")) <= 4806


@given(one=HOSTILE, two=HOSTILE)
@example(one="|", two="\\x7c")
@example(one="\n", two="\\x0a")
@example(one="\\", two="\\\\")
@example(one="\x01f", two="\u001f")
def test_two_texts_that_need_no_cut_are_never_shown_alike(one, two):
    """A peer cannot take another's name in the log."""
    shown = escape(one, separators="|"), escape(two, separators="|")
    if one != two and not any(len(text) == FIELD_CHARS_MAX for text in shown):
        assert shown[0] != shown[1]


@given(text=HOSTILE.filter(lambda text: len(text) <= FIELD_CHARS_MAX // 10))
def test_a_short_text_can_be_read_back(text):
    """The escapes are Python's own, so nothing is lost."""
    assert "".join(_unescaped(escape(text, separators="|"))) == text


def _unescaped(shown):
    """Each character that an escaped text stands for."""
    rest = shown
    while rest:
        width = {"x": 4, "u": 6, "U": 10, "\\": 2}[rest[1]] if rest[0] == "\\" else 1
        yield rest[0] if width == 1 else "\\" if width == 2 else chr(int(rest[2:width], 16))
        rest = rest[width:]


@pytest.mark.parametrize(
    ("unix_ms", "shown"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (NOON_MS, "2025-12-10T12:00:00.000Z"),
        (4_102_444_799_999, "2099-12-31T23:59:59.999Z"),
        (10**18, "1000000000000000000"),
    ],
)
def test_a_moment_is_utc_to_the_millisecond(unix_ms, shown):
    """One that no calendar has is written as its number."""
    assert line_of(replace(FULL_EVENT, timestamp_ms=unix_ms)).partition("|")[0] == shown
