"""The job machine, driven through whole swarms in virtual time: what is right and what becomes of it."""

import random
from collections import Counter
from dataclasses import replace

import pytest

from reconciler.engine.events import (
    ChunkArrived,
    DiscardPart,
    PeersFound,
    Search,
    SearchEnded,
    StopAsked,
    TransferEnded,
    TransferFailed,
    WholeRefused,
)
from reconciler.engine.job import JobMachine
from reconciler.engine.neighbours import Neighbours
from reconciler.engine.pace import Patience, RescuePolicy
from reconciler.ids import ChunkIndex, TrackPosition
from reconciler.manifests.model import Constraints
from reconciler.overlay.merkle import CHUNK_BYTES
from reconciler.simulation.behaviour import SimPeer
from reconciler.simulation.content import digest_of, order_of
from reconciler.simulation.measures import OF_USE
from reconciler.simulation.scene import Scene
from reconciler.simulation.world import World
from reconciler.sources.base import Etiquette, PeerKey, PeerTrouble
from reconciler.traces.model import EventType

MB = 1_000_000
ALL = frozenset(range(10_000))
FIRST = TrackPosition(1)


def world_of(*peers, sizes=(5 * MB,), seed=0, kept=None, **scene):
    """A world with these peers in it, whose every invariant is checked after every event."""
    return World(Scene(sizes=sizes, peers=peers, **scene), dice=random.Random(seed), kept=kept, stride=1)


def notes(result, *types):
    return [note for _, note in result.notes if note.type in types]


def given(result):
    """Bytes that were of use, by peer."""
    bytes_by = Counter()
    for each in result.arrivals:
        bytes_by[each.peer] += each.size_bytes if each.use in OF_USE else 0
    return bytes_by


def fetched(result, chunk):
    """How often a chunk of the first file came whole, from anybody."""
    return sum(each.position == 1 and each.chunk == chunk for each in result.arrivals)


def banned(result):
    return [note.peer for note in notes(result, EventType.PEER_DISCONNECTED) if note.action == "banned"]


def test_two_honest_peers_bring_an_album_and_no_chunk_twice():
    """Every chunk is fetched once, by whoever is free."""
    sizes = (10 * MB, 7 * MB, 300_000)
    result = world_of(SimPeer(name="a"), SimPeer(name="b"), sizes=sizes).run()
    assert result.outcome == "completed"
    assert sorted(result.published) == [1, 2, 3]
    assert sum(given(result).values()) == sum(sizes) == sum(each.size_bytes for each in result.arrivals)
    assert given(result)["a"] > 0
    assert given(result)["b"] > 0


def test_a_liar_is_named_and_none_of_its_bytes_count():
    """One bad chunk bans its sender; the others bring the file."""
    result = world_of(SimPeer(name="honest"), SimPeer(name="liar", rate_bytes_per_s=9e6, lies=ALL)).run()
    assert result.outcome == "completed"
    assert given(result)["liar"] == 0
    assert banned(result) == ["liar"]
    assert len([n for n in notes(result, EventType.CHUNK_FAILED) if n.peer == "liar"]) == 1


def test_a_lying_chunk_list_is_noticed_before_any_byte():
    """A list that does not hash to the root names its sender; the next peer's list is used."""
    liar = SimPeer(name="liar", lying_list=True, lies=ALL, rtt_s=0.001)
    result = world_of(liar, SimPeer(name="honest")).run()
    assert result.outcome == "completed"
    assert {note.peer for note in notes(result, EventType.CHUNK_REQUESTED)} == {"honest"}


def test_without_any_chunk_list_the_whole_file_decides():
    """Peers without lists can still bring a file: it is checked when it is whole."""
    result = world_of(SimPeer(name="a", no_list=True), SimPeer(name="b", no_list=True)).run()
    assert result.outcome == "completed"
    assert {note.action for note in notes(result, EventType.CHUNK_RECEIVED)} == {"received"}


@pytest.mark.parametrize("seed", range(8))
def test_a_wrong_whole_is_traced_to_its_liar(seed):
    """Provisional bytes from several peers: what differs when others bring it names the liar."""
    liar = SimPeer(name="liar", no_list=True, lies=frozenset({3}), rate_bytes_per_s=3e6)
    others = (SimPeer(name="one", no_list=True), SimPeer(name="two", no_list=True))
    result = world_of(liar, *others, sizes=(3 * MB,), rooted=False, seed=seed).run()
    assert result.outcome == "completed"
    assert set(banned(result)) <= {"liar"}
    assert result.disk[FIRST][ChunkIndex(3)] == digest_of(1, 3)


def without_list(**rates):
    return [SimPeer(name=name, no_list=True, rate_bytes_per_s=rate) for name, rate in rates.items()]


@pytest.mark.parametrize("lies", [frozenset(range(0, 80, 5)), ALL])
def test_a_wrong_whole_is_questioned_by_all_peers_at_once(lies):
    """Second opinions from others, not one peer for all of it; the liar is banned, nobody else, and no slow peer is
    waited for.
    """
    liar = SimPeer(name="liar", no_list=True, lies=lies, rate_bytes_per_s=2e6)
    peers = without_list(one=2e6, two=2e6, three=2e6, slow=1e4)
    result = world_of(liar, *peers, sizes=(20 * MB,), rooted=False).run()
    assert (result.outcome, banned(result)) == ("completed", ["liar"])
    assert result.seconds < 14, "the swarm brings 8 MB/s: twice the file, and once more what the liar gave"
    assert sum(each.size_bytes for each in result.arrivals) < 3 * 20 * MB


def test_a_liar_faster_than_all_others_costs_its_own_time():
    """It is refuted by a whole that is all its own; the others bring the file then."""
    liar = SimPeer(name="liar", no_list=True, lies=ALL, rate_bytes_per_s=50e6)
    result = world_of(liar, *without_list(one=1e6, two=1e6), sizes=(5 * MB,), rooted=False).run()
    assert (result.outcome, banned(result)) == ("completed", ["liar"])
    assert result.seconds < 4.5


def test_liars_in_league_cannot_outvote_the_file():
    """They agree on the same wrong bytes: the one honest peer is found, and none of theirs count."""
    liars = [SimPeer(name=f"liar{n}", no_list=True, lies=ALL, rate_bytes_per_s=2e6) for n in range(3)]
    result = world_of(*liars, *without_list(honest=1e6), sizes=(3 * MB,), rooted=False).run()
    assert result.outcome == "completed"
    assert set(banned(result)) == {"liar0", "liar1", "liar2"}


def test_what_an_earlier_run_left_wrong_is_fetched_again():
    """Nobody is to blame for it, and nobody is blamed."""
    kept = {FIRST: {ChunkIndex(n): digest_of(1, n, wrong=n == 2) for n in range(5)}}
    result = world_of(*without_list(a=1e6, b=1e6, c=1e6), kept=kept, rooted=False).run()
    assert (result.outcome, banned(result)) == ("completed", [])
    assert fetched(result, 2) >= 1


def test_the_trace_tells_of_a_wrong_whole():
    """What was wrong, how much is fetched again, and from whom."""
    liar = SimPeer(name="liar", no_list=True, lies=ALL)
    result = world_of(liar, *without_list(a=1e6, b=1e6), sizes=(3 * MB,), rooted=False).run()
    told = [note for note in notes(result, EventType.ERROR) if note.action == "wrong whole"]
    assert told[0].error_message == "other bytes; 12 of 12 chunks are fetched again, from others than before"
    assert told[0].facts == {"chunks_again": 12, "chunks_total": 12}


class Pieced(World):
    """A world whose disk tells wrong pieces, each of four chunks."""

    def verify(self, command):
        refused = super().verify(command)
        if not isinstance(refused, WholeRefused):
            return refused
        here = self.result.disk[command.position]
        bad = {chunk // 4 for chunk, digest in here.items() if digest != digest_of(command.position, chunk)}
        runs = tuple((ChunkIndex(4 * n), ChunkIndex(min(4 * n + 3, len(here) - 1))) for n in sorted(bad))
        return replace(refused, wrong=runs)


def test_wrong_pieces_alone_are_fetched_again():
    """What lies in none is right: the liar costs about what it gave."""
    liar = SimPeer(name="liar", no_list=True, lies=ALL, rate_bytes_per_s=1e6)
    peers = (liar, *without_list(one=2e6, two=2e6, three=2e6))
    scene = Scene(sizes=(20 * MB,), peers=peers, rooted=False)
    result = Pieced(scene, dice=random.Random(1), stride=1).run()
    assert (result.outcome, banned(result)) == ("completed", ["liar"])
    assert sum(each.size_bytes for each in result.arrivals) < 1.6 * 20 * MB
    assert result.seconds < 6, "7 MB/s: 2.9 s, and what was wrong again"


def test_one_mirror_with_one_wrong_piece_costs_one_piece():
    """The rest of what it gave stays, and another brings what is missing."""
    liar = SimPeer(name="liar", no_list=True, lies=frozenset({5}), rate_bytes_per_s=5e6)
    late = SimPeer(name="late", no_list=True, rate_bytes_per_s=5e6, rtt_s=6.0)
    result = Pieced(Scene(sizes=(20 * MB,), peers=(liar, late), rooted=False), dice=random.Random(1), stride=1).run()
    assert (result.outcome, banned(result)) == ("completed", ["liar"])
    assert sum(each.size_bytes for each in result.arrivals) <= 20 * MB + 4 * 262_144


class Overwritten(World):
    """A world in which a request that was cancelled writes a wrong chunk over a right one, just before the end."""

    spoilt = False

    def verify(self, command):
        if not self.spoilt:
            self.spoilt = True
            self.result.disk[command.position][ChunkIndex(4)] = digest_of(1, 4, wrong=True)
        return super().verify(command)


def test_what_was_written_late_over_a_chunk_is_not_its_givers_fault():
    """What is on the disk is not what was counted: that chunk is fetched again, and nobody is banned."""
    scene = Scene(sizes=(3 * MB,), peers=tuple(without_list(a=1e6, b=1e6)), rooted=False)
    result = Overwritten(scene, dice=random.Random(1), stride=1).run()
    assert (result.outcome, banned(result)) == ("completed", [])
    assert fetched(result, 4) >= 2


def test_where_the_only_other_peer_leaves_the_same_one_is_heard_again():
    """A second opinion that cannot be had is done without."""
    liar = SimPeer(name="liar", no_list=True, lies=frozenset({0}), rate_bytes_per_s=1e6, gone_from_s=4.0)
    result = world_of(liar, *without_list(a=1e6), sizes=(6 * MB,), rooted=False).run()
    assert result.outcome == "completed"
    assert set(banned(result)) <= {"liar"}


def test_a_job_with_liars_only_fails_and_says_so():
    """Nobody honest: no file, and the reason names what happened."""
    world = world_of(SimPeer(name="liar", lies=ALL), sizes=(2 * MB,))
    assert world.run().outcome == "failed"
    progress = world.machine.progress()
    assert "banned" in progress.error
    assert progress.retriable


def test_nobody_offers_it():
    """A search that ends empty ends the job."""
    world = world_of(sizes=(MB,))
    assert world.run().outcome == "failed"
    assert "no peer offers it" in world.machine.progress().error


def test_chunks_on_disk_are_not_asked_for_again():
    """A resumed part keeps what still matches."""
    half = {FIRST: {ChunkIndex(n): digest_of(1, n) for n in range(10)}}
    result = world_of(SimPeer(name="a"), kept=half).run()
    assert result.outcome == "completed"
    assert not any(fetched(result, n) for n in range(10))
    (start,) = notes(result, EventType.TRACK_START)
    assert (start.action, start.facts["chunks_kept"]) == ("resumed", 10)


def test_a_kept_chunk_that_the_list_contradicts_is_fetched_again():
    """What the journal said is only a hint; the chunk list decides."""
    kept = {FIRST: {ChunkIndex(0): digest_of(1, 0), ChunkIndex(1): digest_of(1, 1, wrong=True)}}
    result = world_of(SimPeer(name="a"), kept=kept).run()
    assert result.outcome == "completed"
    assert (fetched(result, 0), fetched(result, 1)) == (0, 1)


def test_a_partial_holder_is_asked_only_for_what_it_holds():
    """A peer with half the chunks brings those, another the rest."""
    holds = frozenset(range(0, 20, 2))
    result = world_of(
        SimPeer(name="part", holds=holds, rate_bytes_per_s=5e6), SimPeer(name="all", rate_bytes_per_s=1e6)
    ).run()
    assert result.outcome == "completed"
    chunks = {each.chunk for each in result.arrivals if each.peer == "part"}
    assert chunks
    assert chunks <= holds


def test_a_partial_holder_has_work_to_the_end():
    """A complete peer of the same speed begins with what only it has, so both finish together."""
    peers = (SimPeer(name="all"), SimPeer(name="part", holds=frozenset(range(10))))
    result = world_of(*peers, sizes=(20 * 262_144,)).run()
    assert result.seconds < 1.15 * 10 * 262_144 / MB


def test_a_partial_holder_alone_does_not_hang_the_job():
    """What nobody holds is missing in the end, and the job says so."""
    assert world_of(SimPeer(name="part", holds=frozenset({0, 1}))).run().outcome == "failed"


def test_a_peer_that_returns_is_used_again():
    """A connection that breaks is tried again after growing pauses."""
    result = world_of(SimPeer(name="flaky", gone_from_s=1.0, back_at_s=5.0)).run()
    assert result.outcome == "completed"
    failed = [note.action for note in notes(result, EventType.CHUNK_FAILED)]
    assert failed[0] == "cut short"
    assert 2 <= len(failed) <= 5


@pytest.mark.parametrize("rate", [1e5, 50e6])
def test_a_bandwidth_cap_is_kept(rate):
    """`overlay_bandwidth_kbps` bounds the average rate, and slows nobody who is slower."""
    order = order_of((4 * MB,), constraints=Constraints(overlay_bandwidth_kbps=4000))  # 500,000 bytes a second
    result = world_of(SimPeer(name="a", rate_bytes_per_s=rate), sizes=(4 * MB,), order=order).run()
    assert result.outcome == "completed"
    assert 6.5 < result.seconds * min(1.0, rate / 5e5) < 9.0


def test_by_recording_the_machine_listens_for_better_offers_first():
    """Where any variant may do, the choice waits until the search is over or has settled."""
    sizes = (2 * MB,)
    near, far = SimPeer(name="near", rtt_s=0.01), SimPeer(name="far", rtt_s=1.5)
    result = world_of(near, far, sizes=sizes, order=order_of(sizes, by_recording=True)).run()
    assert result.outcome == "completed"
    begun = next(at for at, note in result.notes if note.type is EventType.TRACK_START)
    assert begun >= 1.5


def test_stop_lets_go_of_everything():
    """A stopped job cancels what it asked for and waits for nothing."""
    world = world_of(SimPeer(name="a", rate_bytes_per_s=1e5), sizes=(50 * MB,))
    world.run(stop_at_s=3.0)
    world.machine.feed(StopAsked(), now=3.0)
    assert world.machine.outcome == "stopped"
    assert any(type(command).__name__ == "CancelRead" for command in world.machine.commands())
    assert world.machine.next_deadline() is None
    world.machine.check_invariants()


def test_trouble_while_searching_is_told_and_ends_nothing():
    """A peer that cannot be reached is a note, not an end."""
    machine = JobMachine(
        order_of((MB,)),
        etiquettes={"overlay": Etiquette(requests_in_flight_max=1)},
        patience=Patience(stall_timeout_s=15, rescue=RescuePolicy()),
        commons=Neighbours(bandwidth_bytes_per_s=0.0).seat(order_of([1])),
    )
    assert any(isinstance(command, Search) for command in machine.commands())
    trouble = PeerTrouble(peer=PeerKey("overlay:x"), source="overlay", code="unreachable", message="no route")
    machine.feed(PeersFound(found=(trouble,)), now=0.0)
    (note,) = machine.commands()
    assert (note.error_code, note.peer) == ("unreachable", "x")
    machine.feed(SearchEnded(source="overlay"), now=1.0)
    assert machine.outcome == "failed"


class Gathered(World):
    """Chunks are told some at a time, together with what ends them, as lanes tell them."""

    _chunks = ()

    def _feed(self, event):
        if isinstance(event, ChunkArrived) and len(self._chunks) < 5:
            self._write(event)
            self._chunks = (*self._chunks, event)
            return
        events, self._chunks = (*self._chunks, event), ()
        for each in events:
            if isinstance(each, TransferEnded | TransferFailed):
                self._promises.closed(each.transfer)
        if isinstance(event, ChunkArrived):
            self._write(event)
        self.machine.feed_all(events, now=self._now)
        self.machine.check_invariants()
        self._obey()


@pytest.mark.parametrize("seed", range(20))
def test_what_happened_together_is_decided_once(seed):
    """The same job completes, every chunk comes once, and a liar's never counts."""
    peers = (SimPeer(name="a"), SimPeer(name="b"), SimPeer(name="c", lies=ALL))
    sizes = (9 * MB, 4 * MB)
    result = Gathered(Scene(sizes=sizes, peers=peers), dice=random.Random(seed), kept=None, stride=1).run()
    assert result.outcome == "completed"
    assert banned(result) == ["c"]
    assert len(notes(result, EventType.CHUNK_RECEIVED)) == sum(-(-size // CHUNK_BYTES) for size in sizes)


class Unkind(World):
    """A world whose disk reads back something else than was written to it."""

    fault = "content"

    def verify(self, command):
        return WholeRefused(position=command.position, part_id=command.part_id, fault=self.fault, message="12.0 s long")

    def _do(self, command):
        self.dropped = [*getattr(self, "dropped", []), *([command] if isinstance(command, DiscardPart) else [])]
        super()._do(command)


def test_a_disk_that_forgets_is_noticed_and_given_up():
    """Content that was right when it came and wrong when read again: fetched once more, then the disk is blamed."""
    world = Unkind(Scene(sizes=(MB,), peers=(SimPeer(name="a"),)), dice=random.Random(0))
    result = world.run()
    assert result.outcome == "failed"
    assert "disk does not keep" in world.machine.progress().error
    assert given(result)["a"] == 2 * MB


def test_wrong_audio_is_set_aside_and_the_variant_refused():
    """Right bytes of the wrong recording go to quarantine; with no other variant the track fails with that reason."""
    world = Unkind(Scene(sizes=(MB,), peers=(SimPeer(name="a"),)), dice=random.Random(0))
    world.fault = "audio"
    assert world.run().outcome == "failed"
    assert [command.quarantine for command in world.dropped] == [True]
    assert "12.0 s long" in world.machine.progress().error
