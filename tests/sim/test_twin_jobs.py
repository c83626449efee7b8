"""Jobs that want the same bytes, in virtual time: the content crosses the wire once, whoever leaves when."""

import random
from dataclasses import replace

import pytest
from sim.crowd import Crowd, crowd_of_peers

from reconciler.engine.events import DiskRefused, OrderChanged, Publish
from reconciler.ids import TrackPosition
from reconciler.simulation.behaviour import SimPeer
from reconciler.traces.model import EventType

MB = 1_000_000
SIZES = [20 * MB, 7 * MB]
CHUNKS = 77 + 27


def twins(count, *, sizes=SIZES, rate=4e6, **crowd):
    """Jobs that all want the same files of one peer."""
    crowd.setdefault("peers", [SimPeer(name="a", rate_bytes_per_s=rate)])
    crowd.setdefault("priorities", [0] * count)
    return Crowd(sizes=[sizes] * count, twins=True, **crowd)


def test_three_jobs_fetch_one_content_once():
    """One fetches, the others wait, say so, and take the published bytes."""
    crowd = twins(3)
    crowd.run(until_s=3)
    shares = [world.machine.progress().tracks[0] for world in crowd.worlds.values()]
    leader = next(iter(crowd.worlds))
    assert [track.shares for track in shares] == ["", *[f"shares the transfer of job {leader}, track 1"] * 2]
    assert [track.phase for track in shares] == ["fetching", "pending", "pending"]
    crowd.run()
    assert crowd.outcomes == ["completed"] * 3
    assert sum(crowd.received.values()) == sum(SIZES)
    for world in crowd.worlds.values():
        assert sorted(world.result.published) == [1, 2]


def test_the_trace_says_for_whom_a_track_waits():
    """And tells nothing of a transfer of its own."""
    crowd = twins(2)
    crowd.run()
    first, second = crowd.worlds.values()
    notes = [note for _, note in second.result.notes if note.type is EventType.TRACK_START and note.action == "shares"]
    assert [(note.position, note.facts["job"], note.facts["track"]) for note in notes] == [
        (1, first.machine.order.job_id, 1),
        (2, first.machine.order.job_id, 2),
    ]
    assert not [note for _, note in second.result.notes if note.type is EventType.CHUNK_REQUESTED]


@pytest.mark.parametrize("at_s", [0.2, 3.0, 6.0])
def test_when_the_first_is_stopped_the_second_goes_on_with_its_chunks(at_s):
    """No chunk that had come is fetched again; what was under way may be."""
    crowd = twins(2)
    crowd.run(until_s=at_s)
    first, second = crowd.worlds
    had = sum(len(chunks) for chunks in crowd.worlds[first].result.disk.values())
    crowd.stop(first)
    crowd.run()
    assert crowd.outcomes == ["stopped", "completed"]
    assert len(crowd.worlds[second].result.arrivals) == CHUNKS - had


def test_when_all_but_the_last_are_stopped_it_has_everything():
    """Each takes over what those before it had."""
    crowd = twins(4)
    for number, job in enumerate(list(crowd.worlds)[:3], start=1):
        crowd.run(until_s=1.5 * number)
        crowd.stop(job)
    crowd.run()
    assert crowd.outcomes == ["stopped"] * 3 + ["completed"]
    assert sum(crowd.received.values()) < sum(SIZES) + 3 * 2.5 * 4e6 * 0.5


def test_when_the_first_fails_the_second_goes_on_by_itself():
    """The disk of the first refuses its name; the bytes are there, and nothing is fetched again."""
    crowd = twins(2, sizes=[8 * MB])
    first = next(iter(crowd.worlds.values()))
    plain = first._do

    def refusing(command):
        if isinstance(command, Publish):
            first._later(0.01, _refused(command, "refused"))
        else:
            plain(command)

    first._do = refusing
    crowd.run()
    assert crowd.outcomes == ["failed", "completed"]
    assert sum(crowd.received.values()) == 8 * MB


def test_an_edit_that_drops_the_track_leaves_the_transfer_to_the_other():
    """The first job goes on with its other file; the second takes over the part."""
    crowd = twins(2)
    crowd.run(until_s=3)
    first, second = crowd.worlds
    world = crowd.worlds[first]
    had = len(world.result.disk[TrackPosition(1)])
    order = replace(world.machine.order, generation=2, tracks=world.machine.order.tracks[1:])
    world.tell(OrderChanged(order=order), crowd.now)
    crowd.run()
    assert crowd.outcomes == ["completed", "completed"]
    again = [each for each in crowd.worlds[second].result.arrivals if each.position == 1]
    assert len(again) == 77 - had


def test_peers_that_only_the_waiting_job_knows_help_the_one_that_fetches():
    """The first has a slow peer; the second lends it a fast one."""
    crowd = twins(1, sizes=[20 * MB], peers=[SimPeer(name="slow", rate_bytes_per_s=1e5)])
    crowd.run(until_s=1)
    second = crowd.add([20 * MB], priority=0, peers=[SimPeer(name="fast", rate_bytes_per_s=5e6)])
    first = next(iter(crowd.worlds.values()))
    crowd.run()
    assert crowd.outcomes == ["completed", "completed"]
    assert crowd.now < 12
    assert sum(each.size_bytes for each in first.result.arrivals if each.peer == "fast") > 15 * MB
    assert not second.result.arrivals


def test_a_job_that_matters_is_not_held_up_by_one_that_does_not():
    """While a job of high priority waits for its transfer, one of low priority has its share."""
    crowd = twins(2, sizes=[20 * MB], priorities=[-100, 100])
    crowd.add([200 * MB], priority=0)
    crowd.run(until_s=8)
    assert crowd.outcomes == ["completed", "completed", None]


def test_four_waiting_tracks_do_not_keep_the_others_from_beginning():
    """Who waits for a twin takes up no place among the tracks that are open at once."""
    sizes = [5 * MB] * 4 + [3 * MB]
    crowd = twins(1, sizes=sizes[:4], rate=1e6)
    crowd.add([*sizes[:4], 3 * MB], priority=0)
    crowd.run(until_s=12)
    second = list(crowd.worlds.values())[1]
    assert second.result.published[0] == 5
    crowd.run()
    assert crowd.outcomes == ["completed", "completed"]
    assert sum(crowd.received.values()) == sum(sizes)


def test_a_single_file_does_not_wait_for_the_album_of_another_job():
    """The part of the first is whole, and stays whole for its album; the second copies it."""
    crowd = twins(1, sizes=[4 * MB, 40 * MB], album=True)
    crowd.add([4 * MB], priority=0)
    crowd.run(until_s=8)
    assert crowd.outcomes == [None, "completed"]
    crowd.run()
    assert crowd.outcomes == ["completed", "completed"]
    assert sum(crowd.received.values()) == 44 * MB


def test_a_job_that_our_own_disk_holds_up_lets_the_other_go_on():
    """The disk of the first is full when it publishes; later it copies what the second has published."""
    crowd = twins(2, sizes=[8 * MB])
    first, second = crowd.worlds.values()
    plain, refused = first._do, []

    def full(command):
        if isinstance(command, Publish) and not refused:
            refused.append(command)
            first._later(0.01, _refused(command, "full"))
        else:
            plain(command)

    first._do = full
    crowd.run(until_s=20)
    assert crowd.outcomes == [None, "completed"]
    assert crowd.worlds[first.machine.order.job_id].machine.progress().tracks[0].phase == "held"
    crowd.run()
    assert crowd.outcomes == ["completed", "completed"]
    assert second.result.published == [1]
    assert sum(crowd.received.values()) == 8 * MB


def _refused(command, trouble):
    return DiskRefused(position=command.position, trouble=trouble, message="the disk says no")


@pytest.mark.parametrize("seed", range(40))
def test_twins_with_faults_keep_every_promise(seed):
    """Liars, silence, stops at any moment: who is not stopped completes, and publishes no wrong chunk."""
    dice = random.Random(seed)
    sizes = [dice.randint(1, 20 * MB) for _ in range(dice.randint(1, 3))]
    count = dice.randint(2, 5)
    crowd = twins(
        count,
        sizes=sizes,
        peers=crowd_of_peers(dice, others_max=4),
        priorities=[dice.randint(-100, 100) for _ in range(count)],
        bandwidth_bytes_per_s=dice.choice([0.0, 2e6]),
        in_flight_max=dice.randint(1, 4),
        seed=seed,
    )
    stopped = dice.sample(list(crowd.worlds), dice.randint(0, count - 1))
    for job in stopped:
        crowd.run(until_s=crowd.now + dice.uniform(0, 3))
        crowd.stop(job)
    crowd.run()
    assert {world.machine.outcome for job, world in crowd.worlds.items() if job not in stopped} == {"completed"}
