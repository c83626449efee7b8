"""A manifest that is edited while its job runs: what both versions ask for goes on untouched."""

import random
from dataclasses import replace

from rescue_stage import CLAIMED, Stage

from reconciler.engine.events import ClosePart, OrderChanged, Published, Search
from reconciler.ids import TrackPosition
from reconciler.manifests.model import Constraints
from reconciler.simulation.behaviour import SimPeer
from reconciler.simulation.content import order_of
from reconciler.simulation.scene import Scene
from reconciler.simulation.world import World

MB = 1_000_000


def running(*sizes, order=None):
    """A world in the middle of its job, with one peer of a megabyte per second."""
    scene = Scene(sizes=sizes, peers=(SimPeer(name="a"),), in_flight_max=2, order=order)
    world = World(scene, dice=random.Random(0), stride=1)
    world.run(stop_at_s=4.0)
    assert world.machine.outcome is None
    return world


def change(world, order):
    """Feed another order and give what the machine wants done at once."""
    before = len(world.result.notes)
    world.machine.feed(OrderChanged(order=order), now=world._now)
    world.machine.check_invariants()
    commands = world.machine.commands()
    world.machine._out.extend(commands)
    world._obey()
    return commands, [note for _, note in world.result.notes[before:]]


def test_a_track_that_is_wanted_as_before_goes_on():
    """One track more: nothing of the first is cancelled, no chunk comes twice, the new one is searched for."""
    sizes = (8 * MB, 8 * MB, 2 * MB)
    whole = order_of(sizes)
    world = running(*sizes, order=replace(whole, tracks=whole.tracks[:2]))
    commands, notes = change(world, replace(whole, generation=2))
    assert not any(type(command).__name__ == "CancelRead" for command in commands)
    (search,) = [command for command in commands if isinstance(command, Search)]
    assert [want.position for want in search.wants] == [3]
    (changed,) = [note for note in notes if note.action == "changed"]
    assert changed.facts == {"generation": 2, "kept": 2, "new": 1, "dropped": 0}
    assert world.machine.progress().generation == 2


def test_a_track_that_is_not_wanted_any_more_is_let_go():
    """Its requests are cancelled and its part is closed; the others do not notice."""
    world = running(8 * MB, 8 * MB)
    kept = world.machine.order.tracks[1:]
    commands, _ = change(world, replace(world.machine.order, generation=2, tracks=kept))
    assert [command.position for command in commands if isinstance(command, ClosePart)] == [1]
    assert [track.position for track in world.machine.progress().tracks] == [2]


def test_answers_for_a_track_that_is_gone_are_nobody_s():
    """What the disk says of it afterwards changes nothing."""
    world = running(8 * MB, 8 * MB)
    change(world, replace(world.machine.order, generation=2, tracks=world.machine.order.tracks[1:]))
    late = Published(position=TrackPosition(1), generation=1, path="/x", how="published")
    world.machine.feed(late, now=world._now)
    world.machine.check_invariants()
    assert world.machine.outcome is None


def test_a_name_given_under_the_old_order_is_not_taken_for_the_new_one():
    """The file is found and recorded once more under its own generation."""
    world = running(8 * MB)
    change(world, replace(world.machine.order, generation=2))
    late = Published(position=TrackPosition(1), generation=1, path="/old", how="published")
    world.machine.feed(late, now=5.0)
    assert world.machine.progress().tracks[0].phase == "fetching"


def test_constraints_that_forbid_what_is_fetched_have_it_given_up():
    """The edit allows no lossy files: the one that is being fetched is let go, with that reason."""
    stage = Stage()
    stage.offer("soulseek", "user", replace(CLAIMED, codec="MP3", lossless=False))
    stage.search_ends()
    stage.bring("soulseek", chunks=2)
    strict = replace(stage.machine.order, generation=2, constraints=Constraints(allow_lossy=False))
    stage.feed(OrderChanged(order=strict))
    assert stage.machine.outcome == "failed"
    assert "lossy" in stage.machine.progress().error


def test_other_preferences_give_nothing_up():
    """What is still allowed is fetched to its end, though something else would be chosen now."""
    stage = Stage()
    stage.offer("soulseek", "user", CLAIMED)
    stage.search_ends()
    stage.bring("soulseek", chunks=2)
    other = replace(stage.machine.order, generation=2, constraints=Constraints(preferred_codecs=("MP3",)))
    stage.feed(OrderChanged(order=other))
    while stage.machine.outcome is None:
        stage.bring("soulseek")
    assert stage.machine.outcome == "completed"
