"""Several jobs at once, in virtual time: fair, within the cap, and all of them end."""

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sim.crowd import Crowd, crowd_of_peers

from reconciler.engine.events import OrderChanged
from reconciler.engine.shares import weight_of
from reconciler.simulation.behaviour import SimPeer
from reconciler.traces.model import EventType

MB = 1_000_000
LARGE = [200 * MB] * 5


def shares_of(crowd):
    """What part of all bytes each job was sent, and what part it should be."""
    received, weights = crowd.received, [weight_of(priority) for priority in crowd.priorities]
    total, whole = sum(received.values()), sum(weights)
    return [(received[job] / total, w / whole) for job, w in zip(crowd.worlds, weights, strict=True)]


@pytest.mark.parametrize("priorities", [[0, 0, 0], [0, 25, 50], [-25, 0, 0, 25], [-50, 50]])
@pytest.mark.parametrize("capped", [False, True])
def test_jobs_that_share_a_peer_get_their_part_within_a_tenth(priorities, capped):
    """By priority, whether the peer or the cap is what they share."""
    peers = [SimPeer(name="a", rate_bytes_per_s=8e6)]
    cap = 6e6 if capped else 0.0
    crowd = Crowd(sizes=[LARGE] * len(priorities), priorities=priorities, peers=peers, bandwidth_bytes_per_s=cap)
    crowd.run(until_s=60)
    for had, due in shares_of(crowd):
        assert abs(had - due) <= 0.1 * due
    assert sum(crowd.received.values()) > 0.95 * 60 * (6e6 if capped else 8e6)


@given(st.lists(st.integers(-100, 100), min_size=2, max_size=5), st.booleans())
@settings(max_examples=15)
def test_nobody_starves(priorities, capped):
    """Any mix of priorities at one slow peer: when somebody is through, everybody has had something."""
    peers = [SimPeer(name="a", rate_bytes_per_s=20e6)]
    crowd = Crowd(
        sizes=[[40 * MB]] * len(priorities),
        priorities=priorities,
        peers=peers,
        bandwidth_bytes_per_s=10e6 if capped else 0.0,
    )
    crowd.run(until_s=0.2 + 40 * len(priorities) / 10)
    assert all(crowd.received[job] > 0 for job in crowd.worlds)
    crowd.run()
    assert set(crowd.outcomes) == {"completed"}


@pytest.mark.parametrize("mbit", [8, 20, 100])
@pytest.mark.parametrize("jobs", [1, 3])
def test_the_cap_holds_within_a_twentieth_over_any_ten_seconds(mbit, jobs):
    """From the first second on, and it is used."""
    rate = mbit * 1e6 / 8
    peers = [SimPeer(name=name, rate_bytes_per_s=20e6) for name in "abc"]
    crowd = Crowd(sizes=[LARGE] * jobs, priorities=[0] * jobs, peers=peers, bandwidth_bytes_per_s=rate)
    crowd.run(until_s=40)
    arrivals = [(at, size) for at, _, size in crowd.arrivals]
    for begin, _ in [(0.0, 0), *arrivals]:
        if begin <= 30:
            came = sum(size for at, size in arrivals if begin <= at < begin + 10)
            assert came <= 1.05 * rate * 10, f"{came / rate / 10:.3f} of the cap from {begin} s on"
            assert came >= 0.95 * rate * 10 - (rate if begin == 0.0 else 0)


def test_two_jobs_send_one_peer_no_more_than_one_would():
    """The etiquette is the peer's, not the job's; the crowd checks it after every event."""
    peers = [SimPeer(name="a", rate_bytes_per_s=1e6, rtt_s=0.3)]
    crowd = Crowd(sizes=[[20 * MB]] * 4, priorities=[0] * 4, peers=peers, in_flight_max=2)
    crowd.run()
    assert set(crowd.outcomes) == {"completed"}
    assert crowd.now < 1.1 * 80 + 4 * 0.3  # each job connects once


def test_a_liar_costs_one_chunk_over_all_jobs():
    """All meet it at once: one asks, and its ban reaches the others before they do."""
    peers = [SimPeer(name="liar", rate_bytes_per_s=9e6, lies=frozenset(range(1000))), SimPeer(name="honest")]
    crowd = Crowd(sizes=[[5 * MB]] * 5, priorities=[0] * 5, peers=peers)
    crowd.run()
    notes = [note for world in crowd.worlds.values() for _, note in world.result.notes]
    assert set(crowd.outcomes) == {"completed"}
    assert len([n for n in notes if n.type is EventType.CHUNK_REQUESTED and n.peer == "liar"]) == 1
    assert len([note for note in notes if note.action == "banned"]) == 5


def test_a_late_job_gets_its_part_at_once_and_a_finished_one_leaves_it():
    """Shares are those of the jobs that are there."""
    peers = [SimPeer(name="a", rate_bytes_per_s=8e6)]
    crowd = Crowd(sizes=[LARGE, [8 * MB]], priorities=[0, 0], peers=peers)
    crowd.run(until_s=10)
    long, short = crowd.worlds
    assert crowd.worlds[short].machine.outcome == "completed"
    ended = max(at for at, job, _ in crowd.arrivals if job == short)
    assert 1.8 <= ended <= 3.5
    after = sum(size for at, job, size in crowd.arrivals if job == long and at > ended)
    assert after > 0.9 * 8e6 * (10 - ended)


def mixed(seed):
    """A crowd of everything, run to its end."""
    dice = random.Random(seed)
    sizes = [[dice.randint(1, 20 * MB) for _ in range(dice.randint(1, 3))] for _ in range(dice.randint(2, 5))]
    crowd = Crowd(
        sizes=sizes,
        priorities=[dice.randint(-100, 100) for _ in sizes],
        peers=crowd_of_peers(dice, others_max=5),
        bandwidth_bytes_per_s=dice.choice([0.0, 10 ** dice.uniform(4.5, 7)]),
        in_flight_max=dice.randint(1, 4),
        seed=seed,
    )
    crowd.run()
    return crowd


@pytest.mark.parametrize("seed", range(40))
def test_crowds_with_faults_keep_every_promise(seed):
    """Whatever peers do, with and without a cap: every job completes, no wrong chunk is published."""
    assert set(mixed(seed).outcomes) == {"completed"}


def test_a_crowd_replays_bit_for_bit():
    """The same seed gives the same traces."""
    first, second = ([world.result for world in mixed(7).worlds.values()] for _ in range(2))
    assert repr(first) == repr(second)


def test_an_edited_priority_is_the_share_from_then_on():
    """The job goes on under its new order, and at once gets four times what the other gets."""
    peers = [SimPeer(name="a", rate_bytes_per_s=8e6)]
    crowd = Crowd(sizes=[LARGE, LARGE], priorities=[0, 0], peers=peers)
    crowd.run(until_s=10)
    first, second = crowd.worlds
    order = replace(crowd.worlds[first].machine.order, priority=50, generation=2)
    crowd.worlds[first].tell(OrderChanged(order=order), 10.0)
    before = crowd.received
    crowd.run(until_s=70)
    had = {job: crowd.received[job] - before[job] for job in crowd.worlds}
    assert 3.6 <= had[first] / had[second] <= 4.4
