"""Simulated peers, and what the best downloader could have of them."""

import math

import pytest

from reconciler.simulation.behaviour import SimPeer, fluid_bound_s

MB = 1_000_000


def test_the_bound_is_all_bytes_over_all_speeds():
    """Two peers next door: their speeds add up."""
    peers = (SimPeer(name="a", rate_bytes_per_s=3 * MB, rtt_s=0.0), SimPeer(name="b", rate_bytes_per_s=MB, rtt_s=0.0))
    assert fluid_bound_s(peers, 8 * MB) == pytest.approx(2.0)


def test_a_peer_counts_from_when_it_is_found_and_while_it_serves():
    """One is found after a second; another leaves at three and comes back at five; a third turns slow."""
    far = SimPeer(name="far", rate_bytes_per_s=MB, rtt_s=1.0)
    assert fluid_bound_s((far,), 2 * MB) == pytest.approx(3.0)
    leaves = SimPeer(name="leaves", rate_bytes_per_s=MB, rtt_s=0.0, gone_from_s=3.0, back_at_s=5.0)
    assert fluid_bound_s((leaves,), 4 * MB) == pytest.approx(6.0)
    slows = SimPeer(name="slows", rate_bytes_per_s=MB, rtt_s=0.0, slow_from_s=1.0, slow_bytes_per_s=MB / 2)
    assert fluid_bound_s((slows,), 2 * MB) == pytest.approx(3.0)


def test_a_line_is_waited_in_and_silence_brings_nothing():
    """A stream begins after its line; where nobody sends any more, the bound is infinite."""
    queued = SimPeer(name="s", source="soulseek", rate_bytes_per_s=MB, rtt_s=0.0, line_s=60.0)
    assert fluid_bound_s((queued,), 2 * MB) == pytest.approx(62.0)
    silent = SimPeer(name="p", rate_bytes_per_s=MB, rtt_s=0.0, silent_from_s=1.0)
    assert math.isinf(fluid_bound_s((silent,), 2 * MB))


@pytest.mark.parametrize(
    ("traits", "honest"),
    [
        ({}, True),
        ({"slow_from_s": 1.0, "no_list": True}, True),
        ({"holds": frozenset({1})}, False),
        ({"loses": 0.1}, False),
        ({"gone_from_s": 9.0, "back_at_s": 10.0}, False),
        ({"source": "soulseek"}, False),
    ],
    ids=str,
)
def test_honest_is_who_can_bring_everything_alone(traits, honest):
    """Slowness is no fault, absence is."""
    assert SimPeer(name="p", **traits).is_honest is honest
