"""What a seed means."""

import random

import pytest

from reconciler.simulation.swarms import ALL_KINDS, CHANGES, DISK, MANY, NONE, RESTART, Faults, Wish, swarm

MB = 1_000_000


@pytest.mark.parametrize("seed", range(20))
def test_one_peer_is_always_honest_and_complete(seed):
    """Whatever the faults, and whoever is asked for."""
    for wish in (Wish(faults=MANY), Wish(faults=MANY, peers=1), Wish(faults=MANY, rates_bytes_per_s=(1e6, 2e6))):
        assert any(peer.is_honest for peer in swarm(random.Random(seed), wish).peers)


def test_a_wish_is_kept():
    """Files, their size, peers and their speeds are as asked for; the rest is chance."""
    wish = Wish(files=3, size_bytes=7 * MB, rates_bytes_per_s=(8e6, 4e6))
    scene = swarm(random.Random(1), wish)
    assert scene.sizes == (7 * MB,) * 3
    assert [peer.rate_bytes_per_s for peer in scene.peers] == [8e6, 4e6]
    assert len(swarm(random.Random(1), Wish(peers=50)).peers) == 50


def test_the_same_seed_is_the_same_swarm():
    """And another seed another."""
    wish = Wish(faults=MANY)
    assert swarm(random.Random(5), wish) == swarm(random.Random(5), wish)
    assert swarm(random.Random(5), wish) != swarm(random.Random(6), wish)


@pytest.mark.parametrize("kind", list(CHANGES))
def test_each_kind_of_fault_changes_a_peer(kind):
    """With a share of one, every peer but the honest one has it."""
    scene = swarm(random.Random(2), Wish(peers=6, faults=Faults(kinds=(kind,), share=1.0)))
    plain = swarm(random.Random(2), Wish(peers=6, faults=NONE))
    changed = [peer for peer in scene.peers if peer not in plain.peers and peer.rtt_s]
    assert len(changed) >= 5
    assert not scene.restarts_s


def test_a_restart_is_a_fault_of_nobody():
    """It changes no peer."""
    scene = swarm(random.Random(2), Wish(peers=6, faults=Faults(kinds=(RESTART,), share=1.0)))
    assert 1 <= len(scene.restarts_s) <= 2
    assert all(peer.is_honest for peer in scene.peers)


def test_every_kind_comes_up_in_random_swarms():
    """A hundred seeds with many faults have all of them."""
    scenes = [swarm(random.Random(seed), Wish(faults=MANY)) for seed in range(100)]
    peers = [peer for scene in scenes for peer in scene.peers]
    seen = {
        "slow": any(peer.slow_from_s is not None for peer in peers),
        "stall": any(peer.silent_from_s is not None for peer in peers),
        "loss": any(peer.loses for peer in peers),
        "reset": any(peer.resets for peer in peers),
        "leaving": any(peer.gone_from_s is not None and peer.back_at_s is None for peer in peers),
        "returning": any(peer.back_at_s is not None for peer in peers),
        "lying": any(peer.lies for peer in peers),
        "corruption": any(peer.corrupts for peer in peers),
        "lying-list": any(peer.lying_list for peer in peers),
        "no-list": any(peer.no_list and peer.source == "overlay" for peer in peers),
        "partial": any(peer.holds is not None for peer in peers),
        "stream": any(peer.source == "soulseek" for peer in peers),
        RESTART: any(scene.restarts_s for scene in scenes),
        DISK: any(scene.disk_refusals for scene in scenes),
    }
    assert set(seen) == set(ALL_KINDS)
    assert all(seen.values()), [kind for kind, found in seen.items() if not found]
