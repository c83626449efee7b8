r"""An event as one line of text.

Owns: the form of the line and how text from strangers is made harmless. Never: writes it (traces.store).

A line is `timestamp|type|action|peer|bytes|error`: six fields, whatever a peer is called. In a field
- a backslash becomes `\\`;
- `|`, and every character of the Unicode categories Cc (C0, DEL, C1), Cf (bidi controls, zero-width and other invisible
  ones), Zl and Zp (U+2028, U+2029) and Cs (lone surrogates) becomes `\xNN`, `\uNNNN` or `\UNNNNNNNN`;
- what is longer than FIELD_CHARS_MAX characters then is cut there, never within an escape, and ends in `…`.
So two different fields that need no cut are never written alike, and nothing moves a cursor or turns text around.
"""

import unicodedata
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TypeAlias

from reconciler.traces.model import SwarmEvent

# Room for an overlay peer id (43), a host name (253 at most, hardly ever above 60) or a sentence. Six fields of four
# bytes a character are at most 4,806 bytes a line; the usual line has 90.
FIELD_CHARS_MAX = 200

_LATIN_1_MAX = 0xFF
_BMP_MAX = 0xFFFF

_ESCAPED_CATEGORIES = frozenset({"Cc", "Cf", "Zl", "Zp", "Cs"})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def line_of(event: SwarmEvent) -> str:
    """`event` as one line, with its line end."""
    return line_of_row(
        (
            event.timestamp_ms,
            event.type,
            event.action,
            event.peer_id,
            event.bytes_transferred,
            event.error_code,
            event.error_message,
        )
    )


LineRow: TypeAlias = tuple[int, str, str, str, int, str, str]
"""What a line shows: when (unix milliseconds), type, action, peer, bytes, error code, error message."""


def line_of_row(row: LineRow) -> str:
    """The line of an event of which only this was read."""
    timestamp_ms, kind, action, peer, transferred, code, message = row
    error = ": ".join(part for part in (code, message) if part) if code or message else ""
    return f"{_moment(timestamp_ms)}|{kind}|{_field(action)}|{_field(peer)}|{transferred}|{_field(error)}\n"


def _field(text: str) -> str:
    return escape(text, separators="|") if text else ""


def escape(text: str, *, separators: str = "") -> str:
    """Text from a stranger as it may be shown: printable, on one line, at most FIELD_CHARS_MAX characters.

    `separators` are characters that must not appear either.
    """
    # str.isprintable is False for all that is escaped, but for backslash and separators; nearly every field ends here.
    if text.isprintable() and len(text) <= FIELD_CHARS_MAX and not any(mark in text for mark in "\\" + separators):
        return text
    # Each character is shown as at least one: no need to look further.
    shown = [_visible(character, separators) for character in text[: FIELD_CHARS_MAX + 1]]
    length = sum(map(len, shown))
    if length <= FIELD_CHARS_MAX:
        return "".join(shown)
    while length > FIELD_CHARS_MAX - 1:
        length -= len(shown.pop())
    return "".join(shown) + "…"


def _visible(character: str, separators: str) -> str:
    if character == "\\":
        return "\\\\"
    if character not in separators and unicodedata.category(character) not in _ESCAPED_CATEGORIES:
        return character
    code = ord(character)
    if code <= _LATIN_1_MAX:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= _BMP_MAX else f"\\U{code:08x}"


def _moment(unix_ms: int) -> str:
    """`2025-12-10T15:30:00.250Z`; a moment that no calendar has is written as the number it is."""
    second, milliseconds = divmod(unix_ms, 1000)
    try:
        return f"{_second(second)}.{milliseconds:03}Z"
    except OverflowError:
        return str(unix_ms)


@lru_cache(maxsize=64)
def _second(unix_s: int) -> str:
    """Events come by the hundred in a second; that of the calendar is worked out once."""
    return (_EPOCH + timedelta(seconds=unix_s)).isoformat(timespec="seconds").removesuffix("+00:00")
