"""What a stranger's bytes and words may come to: inflated, as a name, as a line of text.

Owns: these limits and the functions that keep them. Never: reads a socket (sources.soulseek.frames).
"""

import zlib

# Inflated search answer: twenty times what Nicotine+ would send.
INFLATED_BYTES_MAX = 1024 * 1024

# The server allows 30 characters for a name; a path of 255 bytes in each of four folders is longer than any seen.
USERNAME_CHARS_MAX = 64
PATH_CHARS_MAX = 1024

# Characters kept of any other text that a stranger sends: a reason, a notice of the server.
TEXT_CHARS_MAX = 300


class LimitError(ValueError):
    """What came is larger than anything honest is."""


def inflate(data: bytes, *, bytes_max: int = INFLATED_BYTES_MAX) -> bytes:
    """Inflate zlib data, never holding more than `bytes_max`; raises LimitError where it would be longer, or is
    damaged.
    """
    inflating = zlib.decompressobj()
    try:
        whole = inflating.decompress(data, bytes_max + 1)
    except zlib.error as error:
        raise LimitError(f"is no zlib stream: {error}") from error
    if len(whole) > bytes_max:
        raise LimitError(f"inflates to more than {bytes_max} bytes")
    if not inflating.eof:
        raise LimitError("ends inside its zlib stream")
    return whole


def bounded(text: str, *, chars_max: int = TEXT_CHARS_MAX) -> str:
    """Text of a stranger for a log, a trace or a screen: one line, printable, not long."""
    kept = "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text[:chars_max]
    )
    return kept if len(text) <= chars_max else kept + "…"
