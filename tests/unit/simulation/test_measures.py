"""What a run comes to."""

import random

from reconciler.simulation.behaviour import SimPeer
from reconciler.simulation.measures import measure
from reconciler.simulation.promises import Promises
from reconciler.simulation.runs import run_once
from reconciler.simulation.scene import Scene
from reconciler.simulation.swarms import MANY, Wish
from reconciler.simulation.world import World

MB = 1_000_000


def measured(*peers, sizes=(5 * MB,), **scene):
    made = Scene(sizes=sizes, peers=peers, **scene)
    return measure(made, World(made, dice=random.Random(3)).run())


def test_a_clean_run_wastes_nothing():
    """All that came was of use, and the efficiency is a part of one."""
    found = measured(SimPeer(name="a"), SimPeer(name="b"))
    assert found.outcome == "completed"
    assert sum(each.bytes_useful for each in found.peers) == 5 * MB
    assert (found.bytes_wasted, found.handed_over) == (0, 0)
    assert 0.9 < found.efficiency <= 1.0
    assert {each.state for each in found.peers} == {"served"}


def test_what_a_liar_sent_is_waste_and_it_is_banned():
    """One chunk came wrong, and it counts against its sender."""
    found = measured(SimPeer(name="a"), SimPeer(name="liar", lies=frozenset(range(20))))
    liar = next(each for each in found.peers if each.peer.name == "liar")
    assert (liar.state, liar.bytes_useful, liar.chunks_refused) == ("banned", 0, 1)
    assert found.bytes_wasted == liar.bytes_wasted == 262_144


def test_what_is_fetched_again_of_a_wrong_whole_is_waste():
    """Each chunk counts once: as it came last."""
    found = measured(
        SimPeer(name="liar", lies=frozenset({2}), no_list=True), SimPeer(name="a", no_list=True), rooted=False
    )
    assert sum(each.bytes_useful for each in found.peers) == 5 * MB
    assert 2 * MB <= found.bytes_wasted <= 5 * MB


def test_a_job_that_fails_has_no_efficiency():
    """Nobody brings it, and the bound says so."""
    found = measured(SimPeer(name="gone", gone_from_s=0.5))
    assert (found.outcome, found.efficiency) == ("failed", 0.0)
    assert found.bound_s == float("inf")
    assert found.peers[0].state == "given up"
    assert found.peers[0].failures > 3


def test_a_broken_promise_is_told_and_not_raised(monkeypatch):
    """A run that breaks one ends with the reason."""
    monkeypatch.setattr(Promises, "asks", lambda *_: (_ for _ in ()).throw(AssertionError("asked for nothing")))
    run = run_once(random.Random(1), Wish(faults=MANY))
    assert run.broken == "asked for nothing"
    assert run.without_story().result.notes == []


def test_a_job_that_hangs_is_a_broken_promise(monkeypatch):
    """One peer is honest, and the time is up: that is told."""
    run = World.run
    monkeypatch.setattr(World, "run", lambda world, **_: run(world, stop_at_s=0.5))
    assert "the job ended unfinished" in run_once(random.Random(1), Wish(size_bytes=40 * MB)).broken
