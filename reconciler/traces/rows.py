"""An event as a row of the table SwarmEvents, and back.

Owns: what of an event is stored, and its bounds. Never: queries (traces.store).

Whatever an event holds can be stored: a row that SQLite refused would be tried again for ever, and all behind it too.
"""

import json
import math
from pathlib import Path
from typing import Any

from reconciler.ids import JobId
from reconciler.state.database import damaged
from reconciler.state.event_tables import EventRow
from reconciler.traces.model import EventType, SwarmEvent

# Names and messages may come from peers; the longest of ours is a sentence. Longer ones are cut.
TEXT_CHARS_MAX = 1000

# A note carries a handful; more than this are left out.
METADATA_KEYS_MAX = 32

_INT64_MAX = 2**63 - 1

_PLAIN_NAMES = frozenset({"chunk"})
_json = json.JSONEncoder(separators=(",", ":")).encode


def row_of(event: SwarmEvent) -> EventRow:
    """The row of `event`, in the order of the table's columns; empty text and unknown times are NULL."""
    return (
        event.event_id,
        _integer(event.timestamp_ms),
        event.type,
        event.job_id,
        _text(event.track_id),
        _text(event.variant_id),
        _text(event.peer_id),
        _text(event.action),
        _text(event.source),
        _integer(event.bytes_transferred),
        _real(event.duration_ms),
        _real(event.throughput_bytes_per_s),
        int(event.is_error),
        _text(event.error_code),
        _text(event.error_message),
        _metadata(event.metadata),
    )


def event_of(row: tuple[Any, ...], *, path: Path) -> SwarmEvent:
    """The event of a row from the database at `path`. Raises StateDamagedError for an impossible one."""
    try:
        return _event_of(row)
    except (ValueError, TypeError) as error:
        raise damaged(path, f"holds an impossible event {row[0]!r}: {error}") from error


def _event_of(row: tuple[Any, ...]) -> SwarmEvent:
    return SwarmEvent(
        event_id=row[0],
        timestamp_ms=int(row[1]),
        type=EventType(row[2]),
        job_id=JobId(row[3]),
        track_id=row[4] or "",
        variant_id=row[5] or "",
        peer_id=row[6] or "",
        action=row[7] or "",
        source=row[8] or "",
        bytes_transferred=int(row[9]),
        duration_ms=float(row[10] or 0.0),
        # row[11] is the throughput: the event computes it
        is_error=bool(row[12]),
        error_code=row[13] or "",
        error_message=row[14] or "",
        metadata=_facts(row[15]),
    )


def _text(text: str) -> str | None:
    kept = text[:TEXT_CHARS_MAX]
    # SQLite stores UTF-8, which has no lone surrogates.
    return (kept if kept.isascii() else kept.encode("utf-8", "backslashreplace").decode("utf-8")) or None


def _integer(number: int) -> int:
    return max(-_INT64_MAX, min(number, _INT64_MAX))


def _real(number: float) -> float | None:
    return number if number and math.isfinite(number) else None


def _metadata(facts: dict[str, str | int | float | bool]) -> str | None:
    # A chunk has its number and nothing else, and its event is nearly every event: a fifth of the time.
    if len(facts) == 1:
        ((name, value),) = facts.items()
        if type(value) is int and name in _PLAIN_NAMES and abs(value) <= _INT64_MAX:
            return f'{{"{name}":{value}}}'
    kept = {name[:TEXT_CHARS_MAX]: _storable(value) for name, value in list(facts.items())[:METADATA_KEYS_MAX]}
    return _json(kept) if kept else None


def _storable(value: str | float) -> str | float:
    """JSON has no NaN and no infinity, and readers elsewhere no integers above 64 bits: these become text."""
    if isinstance(value, str):
        return value[:TEXT_CHARS_MAX]
    if isinstance(value, int):
        return value if abs(value) <= _INT64_MAX else hex(value)[:TEXT_CHARS_MAX]
    return value if math.isfinite(value) else str(value)


def _facts(text: str | None) -> dict[str, str | int | float | bool]:
    if text is None:
        return {}
    facts: object = json.loads(text)
    if not isinstance(facts, dict) or not all(isinstance(value, str | int | float) for value in facts.values()):
        raise TypeError("the metadata is not an object of plain values")
    return facts
