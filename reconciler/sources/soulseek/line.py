"""Standing in a peer's line: when to ask again, and what a refusal means.

Owns: the intervals, and the words that uploaders refuse with. Never: waits, or sends.

A request that comes before the uploader noticed the end of the last one is lost without an answer, so it is said again
after a short while; a second one for a file that is in line already is ignored by the clients that were tried. Once the
peer has told a place, the request is known to be in line and only the place is asked for, seldom.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

ReadFault = Literal["refused", "unreachable", "stalled", "cut short", "busy", "bad answer", "cancelled", "disk"]
"""Why a read ended early, in the engine's words."""

# Seconds until a request without any answer is said again. Uploaders answer within half a second when a slot is free;
# the longer ones are for the line of a peer that does not tell places.
SAY_AGAIN_S = (1.0, 2.0, 5.0, 15.0, 60.0, 300.0)

# Seconds until the place is asked for (again): lines move by the minute at best.
FIRST_PLACE_S = 5.0
LONGEST_PLACE_S = 600.0

# Times that a peer may end an offer by "upload failed" before it is believed.
FAILED_UPLOADS_MAX = 3

# What a peer that is full asks for by being full; the engine decides whether to wait that long.
BUSY_RETRY_S = 60.0

_BUSY = frozenset({"too many files", "too many megabytes", "pending shutdown", "queued", "remote file queue is full"})
_FINAL = frozenset({"file not shared", "banned", "file read error", "blocked country", "user blocked"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """What an uploader's reason comes to."""

    code: ReadFault
    is_final: bool
    """Whether this file of this user need not be asked for again."""


def meaning_of(reason: str) -> Refusal:
    """Read the reason of an UploadDenied message."""
    plain = reason.strip().rstrip(".").lower()
    if any(plain.startswith(each) for each in _BUSY):
        return Refusal(code="busy", is_final=False)
    return Refusal(code="refused", is_final=plain in _FINAL)


def requests_again() -> Iterator[float]:
    """Seconds to wait before each further request, without end."""
    yield from SAY_AGAIN_S
    while True:
        yield SAY_AGAIN_S[-1]


def place_questions() -> Iterator[float]:
    """Seconds to wait before each question for the place, without end."""
    pause_s = FIRST_PLACE_S
    while True:
        yield pause_s
        pause_s = min(pause_s * 2, LONGEST_PLACE_S)
