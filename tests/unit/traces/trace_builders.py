"""Short ways to say what a trace test needs."""

import sqlite3
from dataclasses import replace
from functools import cache
from pathlib import Path

from reconciler.ids import JobId
from reconciler.state.event_tables import INSERT_EVENT
from reconciler.state.migrations import migrate
from reconciler.traces.model import EventType, SwarmEvent
from reconciler.traces.reading import story_of
from reconciler.traces.rows import row_of
from reconciler.traces.summary import summarise as summarise_story

JOB = JobId("01HRQ4GSX9K47J7M5FK7VW8B12")
OTHER_JOB = JobId("6fb7b5cc-1b2e-4c3a-9a52-0b1f6a0c8a11")
NOON_MS = 1_765_368_000_000
"""2025-12-10T12:00:00Z."""

FULL_EVENT = SwarmEvent(
    event_id="01KC4GSX9K47J7M5FK7VW8B12A",
    timestamp_ms=NOON_MS + 250,
    type=EventType.CHUNK_FAILED,
    job_id=JOB,
    action="bad hash",
    track_id="3",
    variant_id="a" * 64,
    peer_id="peer-abc",
    source="overlay",
    bytes_transferred=65536,
    duration_ms=12.5,
    is_error=True,
    error_code="bad hash",
    error_message="chunk 7 does not match its hash",
    metadata={"chunk": 7, "rate": 1.5, "last": False, "why": "Ænima \N{SNOWMAN}"},
)


START_OF_JOB = SwarmEvent(
    event_id="0" * 26, timestamp_ms=NOON_MS, type=EventType.JOB_START, job_id=JOB, action="started"
)


def event(number=1, kind=EventType.CHUNK_RECEIVED, action="verified", **changes):
    """An event with an id and a time of its own: `number` milliseconds after noon."""
    plain = SwarmEvent(event_id=f"{number:026}", timestamp_ms=NOON_MS + number, type=kind, job_id=JOB, action=action)
    return replace(plain, **changes)


def at(second, kind, action="", **changes):
    """An event at a second after noon; its id is made of all that it is."""
    made = event(int(second * 1000), kind, action, **changes)
    return replace(made, event_id=f"{second}-{kind}-{action}-{sorted(changes.items())}")


def received(second, peer="ann", *, megabytes=1.0, seconds=1.0, source="overlay"):
    """A good chunk that took `seconds` and came at `second`."""
    return at(
        second,
        EventType.CHUNK_RECEIVED,
        "verified",
        peer_id=peer,
        source=source,
        bytes_transferred=int(megabytes * 1_000_000),
        duration_ms=seconds * 1000,
    )


def refused(second, peer="eve", *, megabytes=1.0, source="overlay"):
    """A chunk that did not match its hash."""
    return at(
        second,
        EventType.CHUNK_FAILED,
        "bad hash",
        peer_id=peer,
        source=source,
        bytes_transferred=int(megabytes * 1_000_000),
        is_error=True,
        error_code="bad hash",
    )


@cache
def _table():
    """The tables in memory, made once."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection)
    return connection


def story(events):
    """What is read of JOB when these events are stored, in this order."""
    _table().execute("DELETE FROM SwarmEvents")
    _table().executemany(INSERT_EVENT, [row_of(made) for made in events])
    return story_of(_table(), JOB, path=Path(":memory:"))


def summarise(events):
    """What the summary of JOB is then."""
    return summarise_story(story(events))
