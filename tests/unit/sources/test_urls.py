"""A URL is taken as it was written, or refused with a reason."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import InvalidInputError
from reconciler.sources.urls import read_url, sidecar


@pytest.mark.parametrize(
    ("text", "host", "port", "tls", "target"),
    [
        ("http://example.org", "example.org", 80, False, "/"),
        ("https://example.org/", "example.org", 443, True, "/"),
        ("HTTP://Example.ORG:8080/A.flac", "example.org", 8080, False, "/A.flac"),
        ("http://h/a%2Fb%20c?x=%41&y=1+2", "h", 80, False, "/a%2Fb%20c?x=%41&y=1+2"),
        ("http://h/a;v=1/b,c/~d/(e)", "h", 80, False, "/a;v=1/b,c/~d/(e)"),
        ("http://h/\u00e4/\u2026.flac?q=\u00fc", "h", 80, False, "/%C3%A4/%E2%80%A6.flac?q=%C3%BC"),
        ("http://h?x=1", "h", 80, False, "/?x=1"),
        ('http://h/a"b<c>', "h", 80, False, "/a%22b%3Cc%3E"),
        ("http://b\u00fccher.example/x", "xn--bcher-kva.example", 80, False, "/x"),
        ("http://127.0.0.1:65535/x", "127.0.0.1", 65_535, False, "/x"),
        ("https://[::1]:8443/x", "::1", 8443, True, "/x"),
        ("http://my_nas.lan:/x", "my_nas.lan", 80, False, "/x"),
    ],
)
def test_urls_are_taken_apart(text, host, port, tls, target):
    """Host in ASCII, the usual port, and a target whose encoding stays as it is."""
    location = read_url(text)
    assert (location.endpoint.host, location.endpoint.port, location.endpoint.tls) == (host, port, tls)
    assert location.endpoint.pin is None
    assert location.target == target


@pytest.mark.parametrize(
    "text",
    [
        "",
        "example.org/x",
        "//example.org/x",
        "ftp://example.org/x",
        "file:///etc/passwd",
        "http:///x",
        "http://:80/x",
        "http://user@h/x",
        "http://user:word@h/x",
        "http://h/x#part",
        "http://h/x#",
        "http://h:0/x",
        "http://h:65536/x",
        "http://h:port/x",
        "http://h:-1/x",
        "http://h /x",
        "http://h/a b",
        "http://h/a\nHost: other",
        "http://h/a\tb",
        "\x01http://h/a",
        "http://h\\@other/x",
        "http://h/\u202ex",
        "http://ex ample/x",
        "http://h,i/x",
        "http://a..b/x",
        "http://[::1/x",
        "http://[::x]/x",
        "http://" + "a" * 254 + "/",
        "http://\u2024\u2024/x",
        "http://h/" + "x" * 8000,
    ],
)
def test_other_urls_are_refused(text):
    """No users, fragments, control characters, odd hosts or ports; the message names the URL."""
    with pytest.raises(InvalidInputError, match="the URL"):
        read_url(text)


@given(st.text(max_size=60))
def test_no_text_becomes_two_requests(text):
    """Whatever is accepted is one line of printable ASCII."""
    try:
        location = read_url("http://h/" + text)
    except InvalidInputError:
        return
    assert location.target.isascii()
    assert location.target.isprintable()
    assert " " not in location.target


@pytest.mark.parametrize(
    ("target", "beside"),
    [("/a.flac", "/a.flac.chunks"), ("/a.flac?token=1", "/a.flac.chunks?token=1"), ("/", "/.chunks")],
)
def test_the_chunk_list_lies_beside_the_file(target, beside):
    """The same query, another path."""
    assert sidecar(target) == beside
