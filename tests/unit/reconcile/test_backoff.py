"""The wait after the n-th failure."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.reconcile.backoff import backoff_s


@pytest.mark.parametrize(
    ("failures", "wanted_s"), [(1, 30.0), (2, 60.0), (3, 120.0), (7, 1920.0), (8, 3600.0), (10_000, 3600.0)]
)
def test_the_wait_doubles_up_to_its_cap(failures, wanted_s):
    """Without spread the waits are 30 s, 60 s, 120 s and so on, and never more than the cap."""
    assert backoff_s(failures, base_s=30.0, max_s=3600.0, chance=0.0) == wanted_s


@given(st.integers(1, 2000), st.floats(0.0, 1.0, exclude_max=True))
def test_the_spread_takes_off_at_most_a_quarter(failures, chance):
    """Whatever the dice say, the wait stays between three quarters of the whole and the whole."""
    whole_s = backoff_s(failures, base_s=1.0, max_s=300.0, chance=0.0)
    assert 0.75 * whole_s <= backoff_s(failures, base_s=1.0, max_s=300.0, chance=chance) <= whole_s


@pytest.mark.parametrize(("failures", "chance"), [(0, 0.0), (-1, 0.0), (1, 1.0), (1, -0.1)])
def test_what_is_not_a_failure_or_a_chance_is_refused(failures, chance):
    """The first failure is number 1, and a chance lies below 1."""
    with pytest.raises(ValueError, match=r"failure|chance"):
        backoff_s(failures, base_s=1.0, max_s=2.0, chance=chance)
