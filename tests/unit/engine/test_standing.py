"""How a job stands as a whole: albums that wait for their last track, disks that hold it up."""

import random
from collections import Counter
from dataclasses import replace
from itertools import groupby

import pytest

from reconciler.engine.events import DiskRefused, OrderChanged, Publish, PublishAlbum, VerifyWhole
from reconciler.engine.order import HeldUp
from reconciler.ids import TrackPosition
from reconciler.simulation.behaviour import SimPeer
from reconciler.simulation.content import order_of
from reconciler.simulation.disk import Disk
from reconciler.simulation.scene import Scene
from reconciler.simulation.world import Surroundings, World

MB = 1_000_000
SIZES = (2 * MB, 3 * MB, MB)


class Grudging(Disk):
    """A disk that refuses the next so many steps of a track."""

    trouble = "full"

    def __init__(self):
        super().__init__(dice=random.Random(0))
        self.left = {}

    def refused(self, job_id, position):
        if self.left.get(position, 0) == 0:
            return None
        self.left[position] -= 1
        message = f"track {position}: the disk is {self.trouble}"
        return DiskRefused(position=position, trouble=self.trouble, message=message)


def world_of(*, sizes=SIZES, album="A/B"):
    """A job of three tracks and one honest peer."""
    order = replace(order_of(sizes), album=album)
    scene = Scene(sizes=sizes, peers=(SimPeer(name="a"),), in_flight_max=2, order=order)
    return World(scene, dice=random.Random(0), stride=1, around=Surroundings(disk=Grudging()))


def fetched(result):
    """How often each chunk came whole."""
    return Counter((each.position, each.chunk) for each in result.arrivals)


def watching(world, *kinds):
    """Every command of these kinds, as they are carried out."""
    seen = []
    plain = world._do
    world._do = lambda command: (seen.append(command) if isinstance(command, kinds) else None, plain(command))
    return seen


def phases(world):
    """Where each track is."""
    return [track.phase for track in world.machine.progress().tracks]


def test_an_album_is_published_by_one_command_when_its_last_track_is_verified():
    """Until then what is verified is ready, and nothing is published."""
    world = world_of()
    commands = watching(world, VerifyWhole, Publish, PublishAlbum)
    assert world.run().outcome == "completed"
    assert [type(command) for command in commands] == [VerifyWhole] * 3 + [PublishAlbum]
    assert sorted(file.position for file in commands[-1].files) == [1, 2, 3]


def test_single_tracks_are_published_as_they_come():
    """Without an album each has its own command."""
    world = world_of(album=None)
    commands = watching(world, Publish, PublishAlbum)
    assert world.run().outcome == "completed"
    assert {type(command) for command in commands} == {Publish}


def test_an_album_with_a_track_that_cannot_be_had_is_not_published_and_says_so():
    """The error names the track, and how to have the rest; what is ready stays as parts."""
    world = world_of()
    offers = world._offers
    world._offers = lambda peer: [offer for offer in offers(peer) if offer.position != 2]
    result = world.run()
    assert (result.outcome, result.published) == ("failed", [])
    assert phases(world) == ["ready", "failed", "ready"]
    progress = world.machine.progress()
    assert progress.retriable
    assert progress.error == (
        "track 2 (Track 2): no peer offers it; "
        "an album is published whole; library.publish: track would publish the 2 of 3 ready now"
    )


def test_a_reason_that_several_tracks_share_is_said_once():
    """A person reads it once, with the tracks that it is about."""
    world = world_of(album=None)
    world._offers = lambda peer: []
    world.run()
    assert world.machine.progress().error == "tracks 1, 2, 3: no peer offers it"


def test_a_track_that_waits_does_not_keep_others_from_being_fetched():
    """An album of more tracks than are fetched side by side is fetched to its end."""
    sizes = (300_000,) * 12
    world = world_of(sizes=sizes)
    assert world.run().outcome == "completed"
    assert sorted(world.result.published) == list(range(1, 13))


# ---- held up ---------------------------------------------------------------------------------------------------------


def refusing(world, trouble, *positions, times=1):
    """Have the disk refuse the next so many steps of these tracks."""
    disk = world._disk
    disk.trouble, disk.left = trouble, {TrackPosition(position): times for position in positions}
    return disk.left


def test_while_one_track_is_held_up_the_others_go_on():
    """The job says what holds it up, and that not all of it is."""
    world = world_of(sizes=(20 * MB, 20 * MB))
    refusing(world, "full", 1)
    world.run(stop_at_s=3.0)
    assert phases(world) == ["held", "fetching"]
    assert world.machine.progress().held == HeldUp(
        reason="DiskFull", message="track 1: the disk is full", entirely=False
    )


def test_when_every_track_is_held_up_the_job_is():
    """A disk that fails is the worse news; after the pauses it completes, and no chunk came twice."""
    world = world_of(sizes=(MB, MB))
    left = refusing(world, "full", 1, 2)
    world.run(stop_at_s=5.0)
    assert world.machine.progress().held == HeldUp(
        reason="DiskFull", message="track 1: the disk is full", entirely=True
    )
    assert left == {1: 0, 2: 0}
    result = world.run()
    assert result.outcome == "completed"
    assert 30.0 < result.seconds < 40.0
    assert set(fetched(result).values()) == {1}
    assert world.machine.progress().held is None


@pytest.mark.parametrize("trouble", ["full", "failing"])
def test_a_hold_lasts_through_its_looks(trouble):
    """What a person reads does not flicker each time that the disk is looked at, and the trace has it once."""
    world = world_of(sizes=(MB,))
    refusing(world, trouble, 1, times=5)
    helds = []
    feed = world._feed
    world._feed = lambda event: (feed(event), helds.append(world.machine.progress().held is not None))
    result = world.run()
    assert result.outcome == "completed"
    assert [held for held, _ in groupby(helds)] == [False, True, False]
    assert [note.error_code for _, note in result.notes if note.action == "held"] == [f"disk {trouble}"]


def test_any_other_refusal_fails_the_track_at_once():
    """A path that is not safe does not become so by waiting."""
    world = world_of(sizes=(MB,), album=None)
    refusing(world, "refused", 1)
    assert world.run().outcome == "failed"
    assert world.machine.progress().error == "track 1 (Track 1): track 1: the disk is refused"


# ---- another order -------------------------------------------------------------------------------------------------


def test_what_is_ready_is_verified_again_under_another_order():
    """An edit may ask for another duration; the bytes are kept, and none is fetched again."""
    world = world_of(sizes=(MB, 40 * MB))
    verified = watching(world, VerifyWhole)
    world.run(stop_at_s=5.0)
    assert phases(world) == ["ready", "fetching"]
    world._feed(OrderChanged(order=replace(world.machine.order, generation=1, target_dir="/music/other")))
    result = world.run()
    assert result.outcome == "completed"
    assert [command.position for command in verified] == [1, 1, 2]
    assert set(fetched(result).values()) == {1}


def test_an_edit_that_wants_single_tracks_publishes_what_is_ready():
    """`library.publish: track` after a restart, or a track taken out of the list: nobody waits any more."""
    world = world_of(sizes=(MB, 40 * MB))
    world.run(stop_at_s=5.0)
    world._feed(OrderChanged(order=replace(world.machine.order, tracks=world.machine.order.tracks[:1])))
    assert world.run().outcome == "completed"
    assert world.result.published == [1]


def test_what_is_held_up_stays_so_under_another_order():
    """The disk has not changed."""
    world = world_of(sizes=(MB,))
    refusing(world, "full", 1, times=2)
    world.run(stop_at_s=5.0)
    world._feed(OrderChanged(order=world.machine.order))
    assert phases(world) == ["held"]
    assert world.run().outcome == "completed"
