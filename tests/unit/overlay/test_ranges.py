"""A Range header names bytes of the file, or nothing is sent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.overlay.ranges import RangeRefusedError, Span, read_range

GARBAGE = [
    "",
    "bytes",
    "bytes=",
    "bytes=-",
    "bytes=-0",
    "bytes=a-b",
    "bytes=1",
    "bytes=2-1",
    "bytes=100-",
    "bytes=100-200",
    "bytes=+1-2",
    "bytes=1 -2",
    "bytes=0x1-2",
    "bytes=-1-2",
    "bytes=0-1,3-4",
    "bytes=0-1,",
    "items=0-1",
    "bytes 0-1",
    "bytes=0-1;q=1",
    "bytes=\u0660-\u0661",
    "bytes=0-1\x00",
    "bytes=1234567890123456789-",
]
"""Header values that a file of 100 bytes has no single range for."""


@pytest.mark.parametrize("text", GARBAGE)
def test_what_is_not_one_satisfiable_range_is_refused(text):
    """Never the whole file instead."""
    with pytest.raises(RangeRefusedError):
        read_range([text], size=100)


def test_two_headers_are_refused():
    """Two answers to one question."""
    with pytest.raises(RangeRefusedError):
        read_range(["bytes=0-1", "bytes=0-1"], size=100)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=0-99", 0, 99),
        ("bytes=99-99", 99, 99),
        ("bytes=10-1000", 10, 99),
        ("bytes=10-", 10, 99),
        ("bytes=-1", 99, 99),
        ("bytes=-1000", 0, 99),
        ("BYTES= 5-6 ", 5, 6),
    ],
)
def test_one_range_is_read(text, first, last):
    """First and last included, cut at the end, suffixes counted from it."""
    assert read_range([text], size=100) == Span(first=first, last=last)


def test_no_header_means_no_range():
    """The whole was asked for."""
    assert read_range([], size=100) is None


@given(st.text(max_size=30) | st.from_regex(r"bytes=[0-9]*-[0-9]*", fullmatch=True), st.integers(min_value=1))
def test_a_span_never_leaves_the_file(text, size):
    """Whatever is asked, what is granted lies within."""
    try:
        span = read_range([text], size=size)
    except RangeRefusedError:
        return
    assert span is not None
    assert 0 <= span.first <= span.last < size
