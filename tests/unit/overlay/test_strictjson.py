"""JSON from strangers is read in one way, or not at all."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.errors import PeerError
from reconciler.overlay.strictjson import INTEGER_MAX, Fields, canonical, read_object


def read(text: bytes):
    return read_object(text, bytes_max=65_536, what="the text")


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"1",
        b"null",
        b"{",
        b'{"a":1}x',
        b'{"a":1,"a":1}',
        b'{"a":{"b":1,"b":2}}',
        b'{"a":1.0}',
        b'{"a":1e3}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":9007199254740992}',
        b'{"a":' + b"9" * 60_000 + b"}",
        b"\xff\xfe{}",
        b'\xef\xbb\xbf{"a":1}',
        b"[" * 65_536,
        b'{"a":' * 10_000,
    ],
)
def test_what_two_readers_could_read_differently_is_refused(text):
    """Doubled names, fractions, huge numbers, nests, other encodings."""
    with pytest.raises(PeerError, match="the text is not"):
        read(text)


def test_a_text_that_is_too_long_is_not_even_read():
    """The bound comes first."""
    with pytest.raises(PeerError, match="more than 10"):
        read_object(b'{"a":"bcdefg"}', bytes_max=10, what="the text")


json_values = st.recursive(
    st.booleans()
    | st.integers(min_value=-INTEGER_MAX, max_value=INTEGER_MAX)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=20,
)


@settings(max_examples=30)
@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), json_values))
def test_the_one_spelling_survives_reading(value):
    """What is written is read back, and written the same again: a signature over it can be checked by anybody."""
    text = canonical(value)
    assert read(text) == value
    assert canonical(read(text)) == text


def test_the_one_spelling_is_sorted_and_tight():
    """An example to compare other implementations with."""
    assert canonical({"b": [1, True, None], "a": "\u00e4"}) == '{"a":"\u00e4","b":[1,true,null]}'.encode()


FIELDS = Fields({"n": 5, "t": "text", "f": True, "l": [1], "m": {"a": 1}, "null": None}, what="it")


@pytest.mark.parametrize(
    ("read_field", "value"),
    [
        (lambda: FIELDS.integer("n", low=5, high=5), 5),
        (lambda: FIELDS.integer("absent", default=3), 3),
        (lambda: FIELDS.text("t", length_max=4), "text"),
        (lambda: FIELDS.text("absent", length_max=4, default=""), ""),
        (lambda: FIELDS.flag("f", default=False), True),
        (lambda: FIELDS.flag("absent", default=True), True),
        (lambda: FIELDS.list("l", length_max=1), [1]),
        (lambda: FIELDS.list("absent", length_max=1), []),
        (lambda: FIELDS.mapping("m", length_max=1), {"a": 1}),
        (lambda: FIELDS.mapping("absent", length_max=1), {}),
    ],
)
def test_fields_are_read_within_their_bounds(read_field, value):
    """Present or by default."""
    assert read_field() == value


@pytest.mark.parametrize(
    "read_field",
    [
        lambda: FIELDS.integer("n", low=6),
        lambda: FIELDS.integer("n", high=4),
        lambda: FIELDS.integer("t"),
        lambda: FIELDS.integer("f"),
        lambda: FIELDS.integer("absent"),
        lambda: FIELDS.integer("null", default=1),
        lambda: FIELDS.text("t", length_max=3),
        lambda: FIELDS.text("n", length_max=3),
        lambda: FIELDS.flag("n", default=True),
        lambda: FIELDS.list("l", length_max=0),
        lambda: FIELDS.list("m", length_max=9),
        lambda: FIELDS.mapping("m", length_max=0),
        lambda: FIELDS.mapping("l", length_max=9),
        lambda: Fields([], what="it"),
        lambda: Fields({"t": "line\nbreak"}, what="it").text("t", length_max=99),
        lambda: Fields({"t": "\u202egnp.exe"}, what="it").text("t", length_max=99),
    ],
)
def test_fields_beyond_their_bounds_are_refused(read_field):
    """Wrong kind, missing, too large, too long, or not printable."""
    with pytest.raises(PeerError, match="it"):
        read_field()
