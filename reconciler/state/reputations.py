"""What the database holds of a peer, as a value, and the check of each row that is read.

Owns: Reputation, to a row and back. Never: queries (state.peers) or judges (engine.reputation).
"""

import math
from dataclasses import astuple, dataclass, fields
from typing import Any

# Dates as people write them end here (253,402,300,800 seconds after 1970).
_YEAR_10000 = 253_402_300_800.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reputation:
    """What is remembered of one peer across jobs. Times are seconds since 1970-01-01 UTC.

    The `recent_` sums are as they stood at `last_seen`; since then they have decayed. Fields are in the order of the
    table's columns.
    """

    peer: str
    """`<source>:<name>`; the name is the peer's own: escape it wherever it is shown."""
    last_seen: float
    recent_bytes: float = 0.0
    """Of accepted chunks that were timed."""
    recent_seconds: float = 0.0
    """In which those came."""
    recent_good: float = 0.0
    """Accepted chunks."""
    recent_errors: float = 0.0
    """Refused chunks, and requests that failed other than by silence."""
    recent_timeouts: float = 0.0
    """Requests that failed by silence, or were too slow."""
    chunks_good: int = 0
    """Ever."""
    chunks_refused: int = 0
    """Ever."""
    strikes: int = 0
    """How often it was banned."""
    banned_until: float | None = None
    """The end of the last ban, also when it is over; None = there was none."""
    ban_reason: str = ""


def row_of_reputation(reputation: Reputation) -> tuple[str | int | float | None, ...]:
    """The row that holds it."""
    return astuple(reputation)


def reputation_of_row(row: tuple[Any, ...]) -> Reputation:
    """The reputation in a row; raises ValueError or TypeError where no such row was ever written."""
    said = dict(zip((field.name for field in fields(Reputation)), row, strict=True))
    peer = said["peer"]
    if not isinstance(peer, str) or ":" not in peer or not isinstance(said["ban_reason"], str):
        raise ValueError(f"{peer!r} names no peer")
    for name in ("recent_bytes", "recent_seconds", "recent_good", "recent_errors", "recent_timeouts"):
        if not _is_real(said[name]) or said[name] < 0:
            raise ValueError(f"{peer!r} has an impossible {name}: {said[name]!r}")
    for name in ("chunks_good", "chunks_refused", "strikes"):
        if not isinstance(said[name], int) or said[name] < 0:
            raise ValueError(f"{peer!r} has an impossible {name}: {said[name]!r}")
    if not _is_time(said["last_seen"]) or not (said["banned_until"] is None or _is_time(said["banned_until"])):
        raise ValueError(f"{peer!r} was seen at no time")
    return Reputation(**said)


def _is_real(value: Any) -> bool:
    return isinstance(value, float) and math.isfinite(value)


def _is_time(value: Any) -> bool:
    return isinstance(value, float) and 0 <= value < _YEAR_10000
