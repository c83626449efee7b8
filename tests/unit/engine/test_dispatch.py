"""Who brings what: whole swarms in virtual time, and how near they come to what is possible."""

import random
from dataclasses import replace

import pytest

from reconciler.engine.events import Read
from reconciler.simulation.behaviour import SimPeer, fluid_bound_s
from reconciler.simulation.measures import measure
from reconciler.simulation.scene import Scene
from reconciler.simulation.world import World
from reconciler.traces.model import EventType

MB = 1_000_000
GIB = 1 << 30
NEAR = 0.01


class Listening(World):
    """A world that remembers what was asked, and when."""

    def _do(self, command):
        if isinstance(command, Read):
            self.asked = [*getattr(self, "asked", []), (self._now, command)]
        super()._do(command)


def ran(*peers, sizes, seed=0, **scene):
    """One run: the world, its result and its figures."""
    world = Listening(Scene(sizes=sizes, peers=peers, **scene), dice=random.Random(seed), stride=64)
    result = world.run()
    assert result.outcome == "completed"
    return world, result, measure(world.scene, result)


def mirrors(*rates, **traits):
    return tuple(
        SimPeer(name=f"m{number}", rate_bytes_per_s=rate * MB, rtt_s=NEAR, **traits)
        for number, rate in enumerate(rates)
    )


def handed_over(result):
    return [note for _, note in result.notes if note.type is EventType.SWARM_REBALANCED]


@pytest.mark.parametrize("rates", [(8, 4, 2, 1), (60, 60, 60, 1)], ids=str)
@pytest.mark.parametrize("in_flight", [2, 4])
def test_unequal_mirrors_give_nearly_the_sum_of_their_speeds(rates, in_flight):
    """A gibibyte from four mirrors takes at most three hundredths longer than a perfect downloader needs."""
    _, _, measures = ran(*mirrors(*rates), sizes=(GIB,), in_flight_max=in_flight)
    assert measures.efficiency >= 0.97
    assert measures.bytes_wasted <= 4 << 20


@pytest.mark.parametrize("fault", [{"gone_from_s": 5.0}, {"silent_from_s": 5.0}, {"slow_from_s": 5.0}], ids=str)
@pytest.mark.parametrize("rooted", [True, False])
def test_when_one_of_four_fails_at_half_the_rest_take_over(fault, rooted):
    """It breaks off, falls silent or slows down: within a tenth of what the others can do, no timeout waited for."""
    first, *others = mirrors(10, 10, 10, 10)
    peers = (replace(first, **fault), *others)
    _, _, measures = ran(*peers, sizes=(200 * MB, 200 * MB), rooted=rooted)
    assert measures.efficiency >= 0.9
    assert measures.bytes_wasted <= 8 << 20


def test_a_thief_that_falls_silent_too_is_relieved_in_its_turn():
    """The last chunks of one silent peer were given to another that went silent: a third brings them at once."""
    one, two, three = mirrors(4, 4, 1)
    peers = (replace(one, silent_from_s=2.0), replace(two, silent_from_s=4.0), three)
    _, _, measures = ran(*peers, sizes=(25 * MB,))
    assert measures.seconds < fluid_bound_s(peers, 25 * MB) + 4.0


def test_no_byte_comes_twice_where_everybody_keeps_its_speed():
    """Equal and steady peers leave nothing to take over."""
    _, result, measures = ran(*mirrors(5, 5, 5), sizes=(60 * MB,))
    assert measures.bytes_wasted == 0
    assert not handed_over(result)


def test_taking_over_is_told_with_its_numbers():
    """From whom, to whom, how many chunks, at which speeds, and why."""
    peers = (SimPeer(name="fast", rate_bytes_per_s=8e6), SimPeer(name="slow", rate_bytes_per_s=20_000))
    _, result, _ = ran(*peers, sizes=(8 * MB,))
    (note,) = handed_over(result)
    assert (note.facts["from"], note.facts["to"], note.facts["chunks"]) == ("slow", "fast", 1)
    assert note.facts["to_bytes_per_s"] == pytest.approx(8e6, rel=0.2)
    assert "slow" in note.facts["reason"]


def test_the_end_does_not_wait_for_the_slowest():
    """A chunk that would take 13 s from the slow peer comes from the fast one."""
    peers = (SimPeer(name="fast", rate_bytes_per_s=4e6), SimPeer(name="slow", rate_bytes_per_s=20_000))
    assert ran(*peers, sizes=(4 * MB,))[1].seconds < 1.4


def test_a_slow_peer_is_not_asked_for_what_others_bring_sooner():
    """Its next chunk would come after the end of the job: it is left idle, and nothing is wasted on it."""
    peers = (SimPeer(name="fast", rate_bytes_per_s=4e6), SimPeer(name="slow", rate_bytes_per_s=200_000))
    world, _, measures = ran(*peers, sizes=(12 * MB,))
    last = max(at for at, read in world.asked if read.offer.peer_name == "slow")
    assert last < 2.0  # a chunk takes it 1.3 s, and the whole job 3 s
    assert measures.bytes_wasted == 0


def test_the_best_peer_is_given_the_first_chunks():
    """Once the speeds are known, what comes first in the file is asked of the cheapest peer."""
    peers = (SimPeer(name="slow", rate_bytes_per_s=5e5), SimPeer(name="fast", rate_bytes_per_s=8e6))
    world, _, _ = ran(*peers, sizes=(20 * MB, 20 * MB))
    second = [read for _, read in world.asked if read.offer.position == 2]
    assert second[0].offer.peer_name == "fast"


def test_requests_stay_within_etiquette_and_size():
    """At most as many at once as its source allows, none above 16 MiB, one chunk for a stranger."""
    world, _, _ = ran(*mirrors(100, 1), sizes=(GIB,), in_flight_max=2)  # the world checks the number after each event
    sizes = [(read.last - read.first + 1) << 20 for _, read in world.asked]
    assert max(sizes) == 16 << 20
    first = {}
    for size, (_, read) in zip(sizes, world.asked, strict=True):
        first.setdefault(read.offer.peer_name, size)
    assert set(first.values()) == {1 << 20}


def test_one_request_at_a_time_still_works():
    """A source whose peers bear one request loses the round trips and nothing else."""
    _, _, measures = ran(*mirrors(2, 1), sizes=(30 * MB,), in_flight_max=1)
    assert measures.efficiency >= 0.93


# ---- peers that send one stream --------------------------------------------------------------------------------------


def stream(name, **traits):
    return SimPeer(name=name, source="soulseek", **traits)


def test_a_stream_is_asked_once_to_the_end():
    """One request for the whole file, whatever its size."""
    world, _, _ = ran(stream("s"), sizes=(9 * MB,))
    ((_, read),) = world.asked
    assert (read.first, read.last) == (0, 34)


def test_of_several_streams_one_is_read_at_a_time_and_the_next_goes_on_where_it_broke():
    """The second user of the same file is asked from the first missing chunk on, after the first one has gone."""
    peers = (stream("a", gone_from_s=3.0, rtt_s=0.001), stream("b", rtt_s=0.1))
    world, _, measures = ran(*peers, sizes=(9 * MB,))
    reads = [(read.offer.peer_name, read.first, read.last) for _, read in world.asked]
    broke_at = next(first for name, first, _ in reads if name == "b")
    assert reads[0] == ("a", 0, 34)
    assert ("b", broke_at, 34) in reads
    assert 5 < broke_at < 20
    assert measures.bytes_wasted == 0


def test_one_user_sends_one_file_at_a_time():
    """A stream of another track begins when the first has ended."""
    world, _, _ = ran(stream("s"), sizes=(2 * MB, 2 * MB))
    (first_at, first), (second_at, second) = world.asked
    assert {first.offer.position, second.offer.position} == {1, 2}
    assert second_at - first_at >= 2.0 * 0.9


def test_overlay_peers_fill_a_streamed_file_from_its_end():
    """Both networks bring one file: the stream from the front, the overlay from the back, and hardly a byte twice."""
    peers = (stream("s"), SimPeer(name="o"))
    world, result, measures = ran(*peers, sizes=(20 * MB,))
    assert measures.seconds < 0.6 * 20
    by_peer = {each.peer.name: each.bytes_useful for each in measures.peers}
    assert by_peer["s"] > 8 * MB
    assert by_peer["o"] > 8 * MB
    assert measures.bytes_wasted <= 2 * 262_144
    assert [read.offer.peer_name for _, read in world.asked].count("s") == 1
    assert handed_over(result)


def test_a_stream_that_waits_in_a_line_is_not_late_and_others_do_not_wait_for_it():
    """It stands in line for longer than any timeout; the overlay peer brings the file meanwhile."""
    _, result, measures = ran(stream("s", line_s=600.0), SimPeer(name="o"), sizes=(5 * MB,))
    assert measures.seconds < 8
    assert not any(note.type is EventType.CHUNK_TIMED_OUT for _, note in result.notes)
    (told,) = handed_over(result)
    assert "wait in its line" in told.facts["reason"]


def test_a_line_is_waited_in_where_nobody_else_has_the_file():
    """An hour in the line of the only holder ends with the file."""
    _, _, measures = ran(stream("s", line_s=3600.0), sizes=(MB,))
    assert measures.seconds > 3600
