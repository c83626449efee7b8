"""Addresses as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.addresses import parse_host_port, parse_peer_address

PEER = "abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJKLM_01"


NO_PORT = ["", "host", "host:", "host:65536", "host:01", "host:-1"]
NO_HOST = [":1", "-a:1", "a b:1", "a\n:1", "[]:1", "a..b:1", "a.:1", f"{'a' * 64}.b:1", f"{'a.' * 127}a:1"]
NO_IPV6 = ["::1:80", "[x]:1", "[dead]:1", "[1.2.3.4]:1", "[fe80::1%lo]:1"]


@pytest.mark.parametrize("text", [*NO_PORT, *NO_HOST, *NO_IPV6])
def test_what_is_no_address(text: str):
    """A host and a port, an IPv6 address in brackets."""
    with pytest.raises(ValueError, match=r"port|host"):
        parse_host_port(text)


@pytest.mark.parametrize("host", ["a", "a-b.c", "192.0.2.1", "a" * 63 + ".b", "a." * 126 + "a"])
def test_what_is_a_host(host: str):
    """Parts of 1 to 63 characters between dots, 254 in all."""
    assert parse_host_port(f"{host}:1").host == host


def test_a_peer_that_listens_nowhere():
    """Port 0 is for listening only."""
    with pytest.raises(ValueError, match="port 0"):
        parse_peer_address(f"{PEER}@host:0")


@given(st.text())
def test_any_text_is_an_address_or_an_error_in_words(text: str):
    """No other exception leaves the parser."""
    for parse in (parse_host_port, parse_peer_address):
        try:
            parse(text)
        except ValueError as error:
            refused = str(error)
            continue
        refused = "accepted"
        assert text.isascii()
    assert refused
