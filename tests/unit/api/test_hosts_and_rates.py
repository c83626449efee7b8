"""Which names are ours, which pages, and how often somebody may ask."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.api.allowance import ADDRESSES_MAX, Allowance, Rate
from reconciler.api.hosts import is_loopback, is_own_page, names_us


@pytest.mark.parametrize(
    ("host", "loopback", "ours"),
    [
        ("localhost:5031", True, True),
        ("music.example.org", True, True),
        ("MUSIC.example.org:443", False, True),
        ("127.0.0.1", True, True),
        ("[::1]:5031", True, True),
        ("[::1]", True, True),
        ("192.168.1.7:5031", False, True),
        ("192.168.1.7:5031", True, False),
        ("example.org", True, False),
        ("example.org", False, False),
        ("music.example.org.evil.net", False, False),
        ("127.0.0.1.evil.net", True, False),
        ("2130706433", True, False),
        ("0x7f000001", True, False),
        ("localhost@evil.net", True, False),
        ("[::1", True, False),
        ("", True, False),
        (":5031", True, False),
        ("localhost:99999", True, False),
        ("[::ffff:10.0.0.1]", True, False),
    ],
)
def test_a_name_is_ours_or_is_not(host, loopback, ours):
    """Addresses cannot be pointed elsewhere; names must be known, and nothing that only looks like one is."""
    assert names_us(host, allowed={"music.example.org"}, loopback=loopback) is ours


@given(st.text(max_size=300))
def test_any_host_is_judged(host):
    """Whatever stands there, there is an answer, and it is no unless it is an address or a known name."""
    if names_us(host, allowed={"music.example.org"}, loopback=True):
        assert host.lower().startswith(("localhost", "music.example.org", "127.", "["))


def test_only_pages_of_ours_may_ask():
    """No Origin is no page; another port is another page."""
    assert is_own_page(None, None, "localhost:5031")
    assert is_own_page("http://localhost:5031", "same-origin", "localhost:5031")
    assert is_own_page("https://music.example.org", None, "music.example.org")
    assert not is_own_page("http://localhost:1", None, "localhost:5031")
    assert not is_own_page("null", None, "localhost:5031")
    assert not is_own_page(None, "cross-site", "localhost:5031")


def test_what_is_loopback():
    """The whole of 127/8, ::1 and the name; nothing else."""
    assert all(map(is_loopback, ("127.0.0.1", "127.9.9.9", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "10.0.0.1", "example.org")))


def test_a_burst_is_let_in_and_then_so_many_a_second():
    """Each address for itself, and what is refused costs nothing."""
    allowance = Allowance(Rate(burst=2, per_s=0.5))
    assert [allowance.take("a", 10.0) for _ in range(3)] == [0.0, 0.0, 2.0]
    assert allowance.take("b", 10.0) == 0.0
    assert allowance.take("a", 11.0) == 1.0
    assert allowance.take("a", 12.0) == 0.0
    assert [allowance.take("a", 1000.0) for _ in range(3)] == [0.0, 0.0, 2.0]


def test_addresses_are_forgotten_before_they_fill_the_memory():
    """The one that asked longest ago makes room."""
    allowance = Allowance(Rate(burst=1, per_s=0.001))
    for number in range(ADDRESSES_MAX + 1):
        assert allowance.take(str(number), 1.0) == 0.0
    assert allowance.take(str(ADDRESSES_MAX), 1.0) > 0.0
    assert allowance.take("0", 1.0) == 0.0
    assert len(allowance._left) == ADDRESSES_MAX
