"""What pictures on pages have in common."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.cli.page import CURVE, LEVELS_MAX, levels, round_levels
from reconciler.cli.render import rate


@pytest.mark.parametrize(
    ("highest", "found"),
    [
        (0.0, ()),
        (4.4e6, (2e6, 4e6, 6e6)),
        (4e6, (1e6, 2e6, 3e6, 4e6)),
        (1e6, (0.5e6, 1e6)),
        (930e3, (0.5e6, 1e6)),
        (17e6, (5e6, 10e6, 15e6, 20e6)),
        (1.0, (0.5, 1.0)),
    ],
)
def test_a_scale_has_round_numbers(highest, found):
    """Of which the last is not below what is drawn."""
    assert round_levels(highest) == pytest.approx(found)


@given(st.floats(min_value=1e-3, max_value=1e15))
def test_any_scale_holds_what_is_drawn(highest):
    """With few levels, and the curve in more than half of the picture."""
    found = round_levels(highest)
    assert 1 <= len(found) <= LEVELS_MAX
    assert highest <= found[-1] * (1 + 1e-9)
    assert highest > found[-1] / 2 * (1 - 1e-9)


def test_levels_are_drawn_where_they_are():
    """Nothing at the bottom, the last at the top with its words still in the picture; without any only the bottom."""
    drawn = levels((1e6, 2e6), rate)
    assert re.findall(r'y1="([0-9.]+)"', drawn) == [f"{CURVE:.1f}", f"{CURVE / 2:.1f}", "0.0"]
    assert re.findall(r">([^<]+)</text>", drawn) == ["0", "1.0 MB/s", "2.0 MB/s"]
    assert re.findall(r'x="142" y="([0-9.]+)"', drawn)[-1] == "10.0"
    assert levels((), rate).count("<line") == 1
