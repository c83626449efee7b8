"""An event to a row and back."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from trace_builders import FULL_EVENT, JOB, NOON_MS, event

from reconciler.errors import StateDamagedError
from reconciler.state.database import Database
from reconciler.state.event_tables import INSERT_EVENT
from reconciler.traces.model import EventType
from reconciler.traces.rows import METADATA_KEYS_MAX, TEXT_CHARS_MAX, event_of, row_of

PATH = Path("/state/reconciler.db")
ANY_TEXT = st.text(st.one_of(st.characters(), st.sampled_from("\0\n\ud800\udfff")), max_size=40)


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """An open database for every example."""
    opened = Database.open(tmp_path_factory.mktemp("state") / "reconciler.db")
    yield opened
    opened.close()


def stored(database, made):
    """`made` as it comes out of a real table."""

    def there_and_back(connection):
        connection.execute("DELETE FROM SwarmEvents")
        connection.execute(INSERT_EVENT, row_of(made))
        return connection.execute("SELECT * FROM SwarmEvents").fetchone()

    return event_of(database.write(there_and_back).result(), path=PATH)


def test_the_row_has_the_columns_in_their_order():
    """Other programs read the table by these."""
    assert row_of(FULL_EVENT) == (
        "01KC4GSX9K47J7M5FK7VW8B12A",
        NOON_MS + 250,
        "ChunkFailed",
        JOB,
        "3",
        "a" * 64,
        "peer-abc",
        "bad hash",
        "overlay",
        65536,
        12.5,
        5_242_880.0,
        1,
        "bad hash",
        "chunk 7 does not match its hash",
        '{"chunk":7,"rate":1.5,"last":false,"why":"\\u00c6nima \\u2603"}',
    )


def test_what_is_not_known_is_null():
    """An empty text, a time of nothing and no metadata are absent, a count of zero is a count."""
    row = row_of(event(1, EventType.JOB_START, "started"))
    assert row[4:] == (None, None, None, "started", None, 0, None, None, 0, None, None, None)


@pytest.mark.parametrize("made", [FULL_EVENT, event(1), event(2, is_error=True, duration_ms=0.001, metadata={"a": ""})])
def test_an_event_comes_back_as_it_was(database, made):
    """Through a real table."""
    assert stored(database, made) == made


ANY_EVENT = st.builds(
    event,
    peer_id=ANY_TEXT,
    error_message=ANY_TEXT,
    metadata=st.dictionaries(ANY_TEXT, st.one_of(ANY_TEXT, st.integers(), st.floats(), st.booleans()), max_size=40),
    bytes_transferred=st.integers(-(2**80), 2**80),
    timestamp_ms=st.integers(),
    duration_ms=st.floats(),
)


@given(made=ANY_EVENT)
@example(made=event(1, bytes_transferred=2**63, duration_ms=5e-324))
def test_whatever_an_event_holds_can_be_stored(database, made):
    """Lone surrogates, NUL, numbers without end: a row that is refused would be tried for ever."""
    found = stored(database, made)
    assert math.isfinite(found.duration_ms)
    if made.peer_id.isprintable():
        assert found.peer_id == made.peer_id
    if abs(made.timestamp_ms) < 2**63:
        assert found.timestamp_ms == made.timestamp_ms


def test_what_has_no_end_is_cut(database):
    """Text and metadata of any size take a bounded row."""
    endless = event(1, peer_id="x" * 10**6, metadata={f"{number}" * 400: "y" * 10**4 for number in range(1000)})
    found = stored(database, endless)
    assert found.peer_id == "x" * TEXT_CHARS_MAX
    assert len(found.metadata) == METADATA_KEYS_MAX
    assert all(len(name) <= TEXT_CHARS_MAX and len(value) == TEXT_CHARS_MAX for name, value in found.metadata.items())


def test_numbers_that_json_has_not_become_text():
    """Readers in other languages get valid JSON."""
    facts = {"nan": math.nan, "inf": -math.inf, "huge": 2**70, "fits": 2**63 - 1}
    kept = json.loads(row_of(replace(FULL_EVENT, metadata=facts))[15])
    assert kept == {"nan": "nan", "inf": "-inf", "huge": hex(2**70), "fits": 2**63 - 1}


@pytest.mark.parametrize(
    ("column", "value"),
    [
        (1, "noon"),
        (2, "ChunkReceivef"),
        (9, None),
        (9, "many"),
        (15, "{"),
        (15, "[1]"),
        (15, '{"a": {}}'),
        (15, b"\xff"),
    ],
)
def test_a_row_that_cannot_have_been_written_is_damage(column, value):
    """It says which event and where."""
    row = list(row_of(FULL_EVENT))
    row[column] = value
    with pytest.raises(StateDamagedError, match=f"{PATH} holds an impossible event '{FULL_EVENT.event_id}'"):
        event_of(tuple(row), path=PATH)
