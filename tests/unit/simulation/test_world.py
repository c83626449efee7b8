"""The simulated world: what survives a restart, and that it notices a machine that breaks its promises."""

import random

import pytest

from reconciler.engine import job
from reconciler.engine.chunks import ChunkPlan
from reconciler.engine.dispatch import Dispatch
from reconciler.engine.doubt import Doubt
from reconciler.engine.events import ChunkArrived, ClosePart, Publish
from reconciler.engine.track import Phase, TrackMachine
from reconciler.ids import ChunkIndex, TrackPosition
from reconciler.simulation.behaviour import SimPeer
from reconciler.simulation.content import digest_of
from reconciler.simulation.pipe import Pipe
from reconciler.simulation.promises import BrokenPromiseError
from reconciler.simulation.scene import Scene
from reconciler.simulation.world import World
from reconciler.traces.model import EventType

MB = 1_000_000


def world_of(*peers, sizes=(5 * MB,), kept=None, **scene) -> World:
    return World(Scene(sizes=sizes, peers=peers, **scene), dice=random.Random(3), kept=kept, stride=1)


def test_a_restart_keeps_what_is_on_disk_and_fetches_the_rest():
    """What had come is not asked for again; what was under way is."""
    result = world_of(SimPeer(name="a"), restarts_s=(2.0,)).run()
    assert result.outcome == "completed"
    starts = [note for _, note in result.notes if note.type is EventType.TRACK_START]
    assert [note.action for note in starts] == ["started", "resumed"]
    assert starts[1].facts["chunks_kept"] > 3
    assert len(result.arrivals) == len({each.chunk for each in result.arrivals}) == 20


def test_a_restart_does_not_publish_again_what_is_published():
    """The first of two files had its name; the second machine finds it there."""
    result = world_of(SimPeer(name="a"), sizes=(MB, 6 * MB), restarts_s=(4.0, 5.0)).run()
    assert result.outcome == "completed"
    assert sorted(result.published) == [1, 2]
    assert sum(note.type is EventType.JOB_START for _, note in result.notes) == 3


def test_a_disk_that_refuses_is_waited_for_and_an_album_appears_whole():
    """Whatever it refuses, the job completes; what it had kept is not fetched again."""
    result = world_of(SimPeer(name="a"), sizes=(MB, 2 * MB), album=True, disk_refusals=6).run()
    assert result.outcome == "completed"
    assert sorted(result.published) == [1, 2]
    assert result.seconds > 30.0
    assert any(note.action == "held" for _, note in result.notes)


def test_an_album_that_is_published_in_part_is_noticed(monkeypatch):
    """A machine that does not wait for the last file breaks the promise of an album."""
    ready = lambda tracks: [track for track in tracks if track.phase is Phase.READY]
    monkeypatch.setattr(job, "album_ready", ready)
    with pytest.raises(BrokenPromiseError, match="an album is published with nothing but"):
        world_of(SimPeer(name="a"), sizes=(MB, 6 * MB), album=True).run()


def test_what_comes_for_a_part_that_was_closed_is_not_written():
    """A lane writes to the part that it was asked for, and not to one that was opened after it was closed."""
    world = world_of(SimPeer(name="a", rate_bytes_per_s=2 * MB))
    world.run(stop_at_s=1.0)
    transfer = min(world._reads)
    world.result.disk[TrackPosition(1)] = {}
    world._do(ClosePart(position=TrackPosition(1), part_id=world._reads[transfer].part_id))
    pipe = world._pipes[world._reads[transfer].offer.peer]
    (arrived, *_) = pipe.step(pipe.due_s)
    assert arrived.matches
    world._write(arrived)
    assert world.result.disk[TrackPosition(1)] == {}


def test_the_time_can_be_up():
    """A run that is stopped has no outcome."""
    result = world_of(SimPeer(name="a")).run(stop_at_s=1.0)
    assert (result.outcome, result.seconds) == (None, 1.0)


def test_a_wrong_chunk_that_counts_is_noticed(monkeypatch):
    """A lane that says of a wrong chunk that it is right breaks the first promise."""
    arrived = Pipe._arrived

    def blind(pipe, asked, chunk, now):
        event = arrived(pipe, asked, chunk, now)
        return ChunkArrived(**{name: getattr(event, name) for name in event.__slots__} | {"matches": True})

    monkeypatch.setattr(Pipe, "_arrived", blind)
    with pytest.raises(BrokenPromiseError, match="counts as verified"):
        world_of(SimPeer(name="liar", lies=frozenset({4}))).run()


def test_asking_for_what_is_here_is_noticed(monkeypatch):
    """A plan that forgets a chunk makes the machine ask for it again."""
    monkeypatch.setattr(TrackMachine, "check_invariants", lambda _: None)
    have = ChunkPlan.have

    def forgetful(plan, chunk):
        new = have(plan, chunk)
        plan._missing |= int(chunk == 3) << 3
        return new

    monkeypatch.setattr(ChunkPlan, "have", forgetful)
    with pytest.raises(BrokenPromiseError, match="are here and asked for again"):
        world_of(SimPeer(name="a")).run()


def test_a_lost_bit_is_noticed_by_the_machines_own_invariants(monkeypatch):
    """The same mistake, seen from inside."""
    release = ChunkPlan.release

    def careless(plan, transfer, chunk):
        release(plan, transfer, chunk)
        plan._missing &= ~(1 << chunk)

    monkeypatch.setattr(ChunkPlan, "release", careless)
    with pytest.raises(AssertionError, match="bits"):
        world_of(SimPeer(name="a", gone_from_s=1.0), SimPeer(name="b")).run()


def test_asking_twice_without_a_word_is_noticed(monkeypatch):
    """Taking over is told in the trace, or it is a mistake."""

    def silently(dispatch, late, peer, chunks, now):
        """Take over and say nothing."""

    monkeypatch.setattr(Dispatch, "_hand_over", silently)
    with pytest.raises(BrokenPromiseError, match="no note says why"):
        world_of(SimPeer(name="a"), SimPeer(name="slow", rate_bytes_per_s=20_000)).run()


def test_a_wrong_file_and_a_second_publication_are_noticed():
    """Neither gets past the disk of this world."""
    kept = {TrackPosition(1): {ChunkIndex(n): digest_of(1, n, wrong=n == 3) for n in range(20)}}
    world = world_of(SimPeer(name="a"), kept=kept)
    variant = world._variants[1]
    publish = Publish(
        position=TrackPosition(1), variant=variant, part_id=variant.id, root=variant.root, chunk_hashes=(), sha256=None
    )
    with pytest.raises(BrokenPromiseError, match=r"wrong chunks \[3\]"):
        world._do(publish)
    world.result.disk[TrackPosition(1)][ChunkIndex(3)] = digest_of(1, 3)
    world._do(publish)
    with pytest.raises(BrokenPromiseError, match="a second time"):
        world._do(publish)


def test_a_ban_of_somebody_who_sends_nothing_wrong_is_noticed(monkeypatch):
    """A machine that blames the first giver of a wrong whole breaks the promise."""
    liar = SimPeer(name="liar", no_list=True, lies=frozenset(range(20)))
    blamed = lambda doubt, _: [min(doubt._said)]
    monkeypatch.setattr(Doubt, "refuted", blamed)
    with pytest.raises(BrokenPromiseError, match="a, which sends nothing wrong, is banned: the whole file is wrong"):
        world_of(SimPeer(name="a", no_list=True), liar, rooted=False).run()
