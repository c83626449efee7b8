"""What running jobs have in common: what one sees of a peer, the others and later ones know."""

import itertools
import random
from dataclasses import replace

from reconciler.engine.events import PeerJudged, PeersFound
from reconciler.engine.job import JobMachine
from reconciler.engine.neighbours import Neighbours
from reconciler.engine.pace import Patience, RescuePolicy
from reconciler.ids import JobId
from reconciler.simulation.behaviour import SimPeer
from reconciler.simulation.content import JOB, order_of
from reconciler.simulation.disk import Disk
from reconciler.simulation.measures import OF_USE
from reconciler.simulation.scene import Scene
from reconciler.simulation.world import Surroundings, World
from reconciler.sources.base import Etiquette, PeerKey, PeerTrouble
from reconciler.traces.model import EventType

MB = 1_000_000
OTHER = JobId("01HRQ4GSX9K47J7M5FK7VW8B13")
ALL = frozenset(range(10_000))
NOW = 1_790_000_000.0
_files = itertools.count()
A = PeerKey("overlay:a")


def neighbours():
    """Nobody yet; the wall clock is known."""
    made = Neighbours(bandwidth_bytes_per_s=0.0)
    made.tell_time(wall=NOW, monotonic=0.0)
    return made


def world_of(common, *peers, size=5 * MB):
    """A job that wants one file, on a disk of its own."""
    dice = random.Random(0)
    around = Surroundings(disk=Disk(dice=dice), neighbours=common)
    return World(Scene(sizes=(size,), peers=peers, in_flight_max=2), dice=dice, stride=1, around=around)


def fetch(common, *peers, size=5 * MB):
    """Run one job to its end; each wants another file, or it would copy that of the one before."""
    result = world_of(common, *peers, size=size + next(_files)).run()
    common.leave(JOB, result.seconds)
    return result


def requests(result):
    """Peer, first and last chunk of every request, in order."""
    asked = [note for _, note in result.notes if note.type is EventType.CHUNK_REQUESTED]
    return [(note.peer, note.facts["first"], note.facts["last"]) for note in asked]


def test_what_a_job_sees_is_known_when_it_has_ended():
    """Good chunks with their time, and none twice."""
    common = neighbours()
    result = fetch(common, SimPeer(name="a", rate_bytes_per_s=4e6))
    assert result.outcome == "completed"
    found = common.book.get(A)
    brought = sum(each.size_bytes for each in result.arrivals if each.use in OF_USE)
    assert (found.chunks_good, found.recent_bytes) == (20, brought)
    assert 3e6 < common.book.prior(A, NOW).throughput_bytes_per_s < 5e6
    common.leave(JOB, 0.0)
    assert common.book.get(A).chunks_good == 20


def test_what_a_running_job_sees_is_known_by_halves():
    """Each harvest takes what came since the last."""
    common = neighbours()
    seat = common.seat(order_of((1,)))
    for _ in range(2):
        seat.delivered(A, bytes_received=10, duration_s=1.0)
        seat.failed(A, timed_out=True)
        seat.failed(A, timed_out=False)
        common.harvest(now=0.0)
    found = common.book.get(A)
    assert (found.recent_good, found.recent_timeouts, found.recent_errors) == (2, 2, 2)


def test_a_known_fast_peer_is_asked_first_and_for_more_than_a_chunk():
    """A stranger would be asked for one chunk."""
    peers = [SimPeer(name="a", rate_bytes_per_s=9e6), SimPeer(name="b", rate_bytes_per_s=1e6)]
    common = neighbours()
    first = requests(fetch(common, *peers))
    assert [last - first for _, first, last in first[:2]] == [0, 0]
    again = requests(fetch(common, *peers))
    assert again[0][0] == "a"
    assert again[0][2] - again[0][1] > 2
    assert len([each for each in again if each[0] == "a"]) > len([each for each in again if each[0] == "b"])


def test_a_known_peer_that_has_become_a_liar_costs_one_chunk():
    """Its speed gives it a large first request, and the first wrong chunk ends it."""
    common = neighbours()
    fetch(common, SimPeer(name="a", rate_bytes_per_s=9e6))
    peers = [SimPeer(name="a", rate_bytes_per_s=9e6, lies=ALL), SimPeer(name="honest")]
    result = fetch(common, *peers)
    assert result.outcome == "completed"
    wrong = [note for _, note in result.notes if note.type is EventType.CHUNK_FAILED]
    assert [note.peer for note in wrong] == ["a"]
    assert common.book.get(A).chunks_refused == 1


def test_a_liar_is_not_asked_by_the_next_job():
    """Not even for a chunk list; the trace says until when and why."""
    common = neighbours()
    peers = [SimPeer(name="a", rate_bytes_per_s=9e6, lies=ALL), SimPeer(name="honest")]
    assert fetch(common, *peers).outcome == "completed"
    result = fetch(common, *peers)
    assert result.outcome == "completed"
    assert {peer for peer, _, _ in requests(result)} == {"honest"}
    (banned,) = [note for _, note in result.notes if note.action == "banned"]
    assert banned.peer == "a"
    assert banned.error_message.startswith("banned until 2026-09-22T14:13:20Z: chunk ")


def test_after_its_ban_a_liar_is_a_stranger():
    """One chunk is asked of it, however fast it was before."""
    common = neighbours()
    fetch(common, SimPeer(name="a", rate_bytes_per_s=9e6))
    common.ban(A, "lied", told_by=OTHER, now=0.0)
    common.tell_time(wall=NOW + 86_401, monotonic=0.0)
    first, *_ = requests(fetch(common, SimPeer(name="a", rate_bytes_per_s=9e6)))
    assert first[2] == first[1]


def test_a_liar_in_one_job_is_let_go_by_the_others_at_once():
    """What it owes them is free for others, and they say why."""
    common = neighbours()
    other = common.seat(replace(order_of((1,)), job_id=OTHER))
    world = world_of(common, SimPeer(name="a"))
    world.run(stop_at_s=0.5)
    machine = world.machine
    other.lied(A, "chunk 7 does not match its hash", now=0.5)
    assert common.take_words() == [
        (JOB, PeerJudged(peer=A, banned=f"it lied to job {OTHER}: chunk 7 does not match its hash"))
    ]
    assert common.take_words() == []
    machine.feed(PeerJudged(peer=A, banned="it lied"), now=0.5)
    machine.check_invariants()
    assert any(type(command).__name__ == "CancelRead" for command in machine.commands())
    assert [peer.banned for peer in machine.progress().peers] == [True]


def test_a_pardoned_peer_is_asked_again_by_jobs_that_run():
    """A person has lifted its ban for a chunk of another, larger file."""
    common = neighbours()
    common.ban(A, "lied", told_by=OTHER, now=0.0)
    world = world_of(common, SimPeer(name="a", lies=frozenset({999})), size=MB)
    machine = world.machine
    machine.commands()
    machine.feed(PeersFound(found=tuple(world._offers(world.scene.peers[0]))), now=0.0)
    assert [peer.banned for peer in machine.progress().peers] == [True]
    common.pardon([A])
    ((job, word),) = common.take_words()
    assert job == JOB
    machine.feed(word, now=0.1)
    assert [peer.banned for peer in machine.progress().peers] == [False]
    machine.feed(PeerJudged(peer=PeerKey("overlay:never met"), banned=""), now=0.2)
    assert world.run().outcome == "completed"


def test_a_liar_met_while_searching_is_known_to_all():
    """Though no offer of it was taken."""
    common = neighbours()
    machine = JobMachine(
        order_of((MB,)),
        etiquettes={"overlay": Etiquette(requests_in_flight_max=1)},
        patience=Patience(stall_timeout_s=15, rescue=RescuePolicy()),
        commons=common.seat(order_of((1,))),
    )
    trouble = PeerTrouble(peer=A, source="overlay", code="lied", message="its descriptor is not signed by it")
    machine.feed(PeersFound(found=(trouble,)), now=0.0)
    assert common.book.prior(A, NOW).banned.endswith("its descriptor is not signed by it")


def test_slow_peers_are_remembered_for_their_timeouts():
    """One that stalls is known to."""
    common = neighbours()
    result = fetch(common, SimPeer(name="a", silent_from_s=0.5), SimPeer(name="b", rate_bytes_per_s=2e6), size=60 * MB)
    assert result.outcome == "completed"
    assert common.book.get(A).recent_timeouts >= 1
    assert common.book.prior(A, NOW).timeout_rate > 0.2
