"""When a hook that failed is told again."""

from hypothesis import given
from hypothesis import strategies as st

from reconciler.hooks.schedule import ASKED_S_MAX, TRIES_MAX, wait_s


def test_the_waits_grow_and_end():
    """Ten hours in all."""
    waits = [wait_s(tries, asked_s=0.0, chance=0.0) for tries in range(1, TRIES_MAX + 1)]
    assert waits == [10.0, 40.0, 160.0, 640.0, 2560.0, 10240.0, 21600.0, None]


@given(st.integers(1, TRIES_MAX - 1), st.floats(0, 1e9), st.floats(0, 0.999))
def test_who_asks_for_longer_gets_it_up_to_a_day(tries, asked_s, chance):
    """And never earlier than planned."""
    waited = wait_s(tries, asked_s=asked_s, chance=chance)
    assert min(asked_s, ASKED_S_MAX) <= waited <= ASKED_S_MAX
    assert waited >= wait_s(tries, asked_s=0.0, chance=0.0)
