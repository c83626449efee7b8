"""What other programs are told about the form of an event."""

import json
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from trace_builders import FULL_EVENT, event

from reconciler.traces.model import EventType
from reconciler.traces.rows import event_of, row_of

SCHEMA = json.loads((Path(__file__).parents[3] / "schemas" / "swarm-event.schema.json").read_text())
VALIDATOR = Draft202012Validator(SCHEMA)

TEXT = st.text(st.one_of(st.characters(), st.sampled_from("\0\n|\ud800")), max_size=1200)
FACTS = st.dictionaries(TEXT, st.one_of(TEXT, st.integers(), st.floats(), st.booleans()), max_size=40)


def test_the_schema_is_one_and_has_exactly_the_fifteen_types():
    """In the order of the contract."""
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["properties"]["type"]["enum"] == [kind.value for kind in EventType]
    assert len(EventType) == 15
    assert SCHEMA["required"] == list(SCHEMA["properties"]) == list(FULL_EVENT.to_json())


@given(
    kind=st.sampled_from(EventType),
    texts=st.tuples(*[TEXT] * 7),
    numbers=st.tuples(st.integers(), st.integers(), st.floats()),
    is_error=st.booleans(),
    metadata=FACTS,
)
@example(kind=EventType.ERROR, texts=("",) * 7, numbers=(-(2**70), 2**70, 5e-324), is_error=True, metadata={})
def test_whatever_is_stored_comes_out_as_the_schema_says(kind, texts, numbers, is_error, metadata):
    """Names and messages of any form, numbers of any size."""
    names = ("action", "track_id", "variant_id", "peer_id", "source", "error_code", "error_message")
    counted = dict(zip(("timestamp_ms", "bytes_transferred", "duration_ms"), numbers, strict=True))
    made = event(1, kind, **dict(zip(names, texts, strict=True)), **counted, is_error=is_error, metadata=metadata)
    read = event_of(row_of(made), path=Path("reconciler.db"))
    VALIDATOR.validate(json.loads(json.dumps(read.to_json(), allow_nan=False)))


@pytest.mark.parametrize("change", [{"type": "ChunkLost"}, {"peer": "ann"}, {"timestamp": "today"}, {"track_id": ""}])
def test_anything_else_is_refused(change):
    """A type that is none, a field that is none, a time that is none."""
    assert not VALIDATOR.is_valid({**FULL_EVENT.to_json(), **change})
