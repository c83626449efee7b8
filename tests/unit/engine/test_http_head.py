"""Reading answers to range requests: exactly what was asked for, or a reason."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.engine.http_head import HeadRefusedError, read_head, request_head

GOOD = b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-9/100\r\nContent-Length: 10"


def refusal(head: bytes) -> str:
    with pytest.raises(HeadRefusedError) as caught:
        read_head(head, first=0, last=9, size=100)
    return caught.value.code


def test_a_correct_answer_is_taken():
    """206 with the exact range, length and size."""
    assert read_head(GOOD, first=0, last=9, size=100).keep_alive


@pytest.mark.parametrize("closing", [b"HTTP/1.0 206 OK" + GOOD[28:], GOOD + b"\r\nConnection: close"])
def test_an_answer_that_ends_the_connection_says_so(closing):
    """HTTP/1.0 and Connection: close leave no connection behind."""
    assert not read_head(closing, first=0, last=9, size=100).keep_alive


@pytest.mark.parametrize(
    ("head", "code"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100", "no ranges"),
        (b"HTTP/1.1 404 Not Found", "refused"),
        (b"HTTP/1.1 301 Moved\r\nLocation: http://elsewhere/", "refused"),
        (b"HTTP/1.1 429 Too Many", "busy"),
        (b"HTTP/1.1 503 Full", "busy"),
        (b"HTTP/2 206", "bad answer"),
        (b"SSH-2.0-OpenSSH", "bad answer"),
        (b"", "bad answer"),
        (GOOD.replace(b"bytes 0-9/100", b"bytes 1-10/100"), "bad answer"),
        (GOOD.replace(b"bytes 0-9/100", b"bytes 0-9/101"), "bad answer"),
        (GOOD.replace(b"bytes 0-9/100", b"bytes 0-9/*"), "bad answer"),
        (GOOD.replace(b"bytes 0-9/100", b"bytes 0-9/18446744073709551716"), "bad answer"),
        (GOOD.replace(b": 10", b": 11"), "bad answer"),
        (GOOD.replace(b": 10", b": -10"), "bad answer"),
        (GOOD.replace(b": 10", b": +10"), "bad answer"),
        (GOOD + b"\r\nContent-Length: 10", "bad answer"),
        (GOOD + b"\r\nTransfer-Encoding: chunked", "bad answer"),
        (GOOD + b"\r\nContent-Encoding: gzip", "bad answer"),
        (GOOD + b"\r\n folded", "bad answer"),
        (GOOD + b"\r\nno colon here", "bad answer"),
        (GOOD + b"\r\nX: a\x00b", "bad answer"),
        (GOOD + b"\r\nX: y" * 70, "bad answer"),
        (b"HTTP/1.1 206 OK\r\nContent-Length: 10", "bad answer"),
        (b"HTTP/1.1 206 OK\r\nContent-Range: bytes 0-9/100", "bad answer"),
    ],
)
def test_everything_else_is_refused_with_a_code(head, code):
    """One row a trick."""
    assert refusal(head) == code


def test_retry_after_is_understood():
    """Seconds are taken; a date or nonsense is taken as not said."""
    for value, seconds in [(b"7", 7.0), (b"Sun, 22 Nov 2026 08:00:00 GMT", None), (b"-1", None), (b"9" * 30, None)]:
        with pytest.raises(HeadRefusedError) as caught:
            read_head(b"HTTP/1.1 429 No\r\nRetry-After: " + value, first=0, last=9, size=100)
        assert caught.value.retry_after_s == seconds


@given(st.binary(max_size=400))
def test_any_bytes_are_refused_with_a_reason(head):
    """Nothing but HeadRefusedError ever comes out of what is no answer."""
    with pytest.raises(HeadRefusedError) as caught:
        read_head(head, first=0, last=9, size=100)
    assert caught.value.message


def test_a_request_has_what_it_needs():
    """Target, host, range, identity coding, then the caller's headers."""
    head = request_head("/a%20b", host="h:1", headers=(("User-Agent", "x"),), first=5, last=9)
    assert head == (
        b"GET /a%20b HTTP/1.1\r\nHost: h:1\r\nRange: bytes=5-9\r\nAccept-Encoding: identity\r\nUser-Agent: x\r\n\r\n"
    )


def test_a_line_break_in_a_request_is_a_program_error():
    """No header can be smuggled in."""
    with pytest.raises(AssertionError):
        request_head("/a\r\nX: y", host="h", headers=(), first=0, last=1)
