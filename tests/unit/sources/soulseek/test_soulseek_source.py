"""The source: queries within a shared budget, offers in their users' words, a memory that outlives the process."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from soulseek_files import shared_file

from reconciler.errors import PeerError
from reconciler.ids import Sha256, TrackPosition
from reconciler.manifests.model import SoulseekSource as SoulseekUser
from reconciler.sources.base import Endpoint, Offer, PeerTrouble, Rejection, Want
from reconciler.sources.soulseek.account import SessionStatus
from reconciler.sources.soulseek.ledger import Ledger
from reconciler.sources.soulseek.offering import claim_of
from reconciler.sources.soulseek.pauses import Pauses
from reconciler.sources.soulseek.search_budget import WINDOW_S
from reconciler.sources.soulseek.source import LONGEST_S, QUIET_S, Judgement, SoulseekSource
from reconciler.sources.soulseek.standing import CANCELS_PER_DAY, Happened
from reconciler.state.database import Database
from reconciler.state.soulseek import SoulseekStore

BEGAN = 1_800_000_000.0


@dataclass(frozen=True, kw_only=True)
class Query:
    """A query."""

    text: str
    positions: tuple[TrackPosition, ...]


@dataclass(frozen=True, kw_only=True)
class Match:
    """A match."""

    position: TrackPosition
    file: object
    score: float = 0.87
    reasons: tuple[str, ...] = ("title: same", "artist: named")


@dataclass(frozen=True, kw_only=True)
class Rejected:
    """A rejection."""

    username: str
    folder: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Matches:
    """What became of the files."""

    matched: tuple = ()
    rejected: tuple = ()


def queries_of(wants, *, excluded_phrases):
    """The release, then each track; a file that is named by its bytes has no words."""
    wants = [want for want in wants if not want.sources]
    if not wants:
        return ()
    release = Query(text="release", positions=tuple(want.position for want in wants))
    tracks = [Query(text=f"track {want.position}", positions=(want.position,)) for want in wants]
    return tuple(each for each in (release, *tracks) if each.text not in excluded_phrases)


def match(wants, files):
    """`track N` in a path fits want N; a folder called `live` fits nothing."""
    matched = [
        Match(position=want.position, file=file)
        for want in wants
        for file in files
        if f"track {want.position}." in file.path and "live" not in file.path
    ]
    rejected = [Rejected(username=f.username, folder="live", reason="a concert") for f in files if "live" in f.path]
    return Matches(matched=tuple(matched), rejected=tuple(rejected))


ONLINE = SessionStatus(state="online")


@dataclass(kw_only=True)
class Network:
    """A network in memory: `found` says what each query brings, and after how long."""

    found: dict = field(default_factory=dict)
    status: SessionStatus = ONLINE
    excluded_phrases: frozenset = frozenset()

    def __post_init__(self):
        self.sent = []

    @asynccontextmanager
    async def search(self, query):
        loop = asyncio.get_running_loop()
        self.sent.append((loop.time(), query))
        answers = asyncio.Queue()
        for after_s, files in self.found.get(query, ()):
            loop.call_later(after_s, answers.put_nowait, tuple(files))
        yield answers


class LoopClock:
    """The clock of the virtual loop, and a wall clock that runs with it."""

    def __init__(self, virtual):
        self.virtual = virtual

    def wall(self):
        return BEGAN + self.virtual.time()

    def monotonic(self):
        return self.virtual.time()


@pytest.fixture
def make(virtual_loop, tmp_path):
    """Makes a source; each further one is as after a restart: on the same file, opened again."""
    opened = []

    def make(network, *, searches_max=30):
        for each in opened:
            each.close()
        opened.append(Database.open(tmp_path / "state" / "reconciler.db"))
        clock = LoopClock(virtual_loop)
        ledger = Ledger(SoulseekStore(opened[-1]), clock, searches_max=searches_max)
        judgement = Judgement(queries_of=queries_of, match=match)
        return SoulseekSource(network, ledger, judgement, clock=clock), ledger

    yield make
    for each in opened:
        each.close()


def wants(*positions):
    return tuple(Want(position=TrackPosition(position)) for position in positions)


async def collect(source, asked):
    """Everything that a search yields."""
    return [found async for found in source.search(asked)]


def test_an_offer_says_what_its_user_says(virtual_loop, make):
    """Who has it, under which name, and what it claims to be."""
    file = shared_file("digger", "Album\\track 1.flac", size=7, duration_s=61, bitrate_kbps=900)
    source, _ = make(Network(found={"release": [(0.1, [file])]}))
    (offer,) = virtual_loop.run(collect(source, wants(1)))
    assert isinstance(offer, Offer)
    assert (offer.peer, offer.source, offer.target) == ("soulseek:digger", "soulseek", "Album\\track 1.flac")
    assert offer.endpoint == Endpoint(host="digger", port=0, tls=False)
    assert offer.matched == "score 0.87: title: same; artist: named"
    variant = offer.variant
    assert (variant.root, variant.claim, variant.size) == (None, claim_of("digger", "Album\\track 1.flac", 7), 7)
    assert (variant.codec, variant.container, variant.lossless) == ("FLAC", "flac", True)
    assert (variant.bitrate_bps, variant.duration_ms) == (900_000, 61_000)
    assert source.request(offer).target == offer.target
    assert (source.etiquette.sequential, source.etiquette.requests_in_flight_max) == (True, 1)
    with pytest.raises(PeerError, match="no chunk hashes"):
        virtual_loop.run(source.chunk_hashes(offer))


def test_tracks_are_searched_for_only_where_the_release_did_not_bring_them(virtual_loop, make):
    """Two of three came with the release."""
    album = [shared_file("a", f"x\\track {n}.flac") for n in (1, 3)]
    network = Network(found={"release": [(0.1, album)], "track 2": [(0.1, [shared_file("b", "y\\track 2.mp3")])]})
    source, _ = make(network)
    found = virtual_loop.run(collect(source, wants(1, 2, 3)))
    assert [query for _, query in network.sent] == ["release", "track 2"]
    assert sorted((each.position, each.peer_name) for each in found) == [(1, "a"), (2, "b"), (3, "a")]


def test_a_collection_ends_when_answers_dry_up_or_at_the_longest(virtual_loop, make):
    """Shortly after the last one; but answers without end are cut off."""
    file = shared_file("a", "x\\track 1.flac")
    source, _ = make(Network(found={"release": [(0.5, [file]), (1.0, [file])]}))
    virtual_loop.run(collect(source, wants(1)))
    assert virtual_loop.time() == pytest.approx(1.0 + QUIET_S)
    source, _ = make(Network(found={"release": [(n, [file]) for n in range(60)]}))
    began = virtual_loop.time()
    virtual_loop.run(collect(source, wants(1)))
    assert virtual_loop.time() - began == pytest.approx(LONGEST_S)


def test_forty_searches_at_once_keep_to_the_budget_over_a_restart(virtual_loop, make):
    """At most thirty in any 220 seconds, those of the process before included."""
    network = Network()

    async def all_of(source, count, name):
        await asyncio.gather(*(source._answers(f"{name} {n}", {}) for n in range(count)))

    source, ledger = make(network)
    for _ in range(20):
        ledger.search_sent()
    before = [0.0] * 20
    source, _ = make(network)
    virtual_loop.run(all_of(source, 40, "query"))
    times = before + [at for at, _ in network.sent]
    assert len(times) == 60
    assert max(sum(at <= other <= at + WINDOW_S for other in times) for at in times) <= 30


def test_a_repeated_query_is_not_sent_again(virtual_loop, make):
    """Within ten minutes; its answers are those of the first time."""
    network = Network(found={"release": [(0.1, [shared_file("a", "x\\track 1.flac")])]})
    source, _ = make(network)
    first = virtual_loop.run(collect(source, wants(1)))
    assert virtual_loop.run(collect(source, wants(1))) == first
    assert len(network.sent) == 1
    virtual_loop.run(asyncio.sleep(600))

    async def twice():
        await asyncio.gather(collect(source, wants(1)), collect(source, wants(1)))

    virtual_loop.run(twice())
    assert len(network.sent) == 2
    virtual_loop.run(asyncio.sleep(600))
    virtual_loop.run(collect(source, wants(1)))
    assert len(network.sent) == 3


def test_without_a_session_the_reason_is_told(virtual_loop, make):
    """A ban is not waited for; nothing is counted."""
    status = SessionStatus(state="banned", reason="for 30 minutes", retry_in_s=1700)
    network = Network(status=status)
    source, ledger = make(network, searches_max=1)
    (trouble,) = virtual_loop.run(collect(source, wants(1)))
    assert isinstance(trouble, PeerTrouble)
    assert trouble.message == "the session is banned: for 30 minutes"
    assert (network.sent, ledger.search_wait_s()) == ([], 0.0)


def test_a_rejected_folder_is_told_with_its_reason(virtual_loop, make):
    """Once, and within bounds."""
    concerts = [shared_file(f"user {n}", "live\\track 1.flac") for n in range(100)]
    source, _ = make(Network(found={"release": [(0.1, concerts * 2)]}))
    found = virtual_loop.run(collect(source, wants(1)))
    assert len(found) == 20
    assert {(type(each), each.what, each.reason) for each in found} == {(Rejection, "live", "a concert")}


def test_users_whom_a_manifest_names_are_offered_without_a_search(virtual_loop, make):
    """By the bytes that it names; who failed comes later, and a file that was wrong is told of instead."""
    names = ("failed", "wrong", "good")
    users = tuple(SoulseekUser(username=name, filename=f"{name}\\song.flac") for name in names)
    want = Want(position=TrackPosition(1), sha256=Sha256("ab" * 32), size=9, sources=users)
    network = Network()
    source, ledger = make(network)
    ledger.happened("failed", "other", 1, Happened(what="failed"))
    ledger.condemn("wrong", "wrong\\song.flac", 9, "not the bytes")
    found = virtual_loop.run(collect(source, (want,)))
    offers = [each for each in found if isinstance(each, Offer)]
    assert [(each.peer_name, each.target) for each in offers] == [
        ("good", "good\\song.flac"),
        ("failed", "failed\\song.flac"),
    ]
    assert {(each.variant.sha256, each.variant.root, each.variant.size) for each in offers} == {("ab" * 32, None, 9)}
    (rejected,) = [each for each in found if isinstance(each, Rejection)]
    assert (rejected.peer, rejected.what) == ("soulseek:wrong", "wrong\\song.flac")
    assert "not the bytes" in rejected.reason
    assert network.sent == []
    source.condemn(offers[0].variant, "other bytes")
    assert "other bytes" in ledger.may_ask("good", "good\\song.flac", 9)[0]


def test_named_users_are_not_blamed_for_a_session_that_is_not_there(virtual_loop, make):
    """The trouble is the server's, and nobody is offered."""
    network = Network(status=SessionStatus(state="refused", reason="INVALIDPASS"))
    source, _ = make(network)
    user = SoulseekUser(username="a", filename="b.flac")
    want = Want(position=TrackPosition(1), sha256=Sha256("ab" * 32), size=9, sources=(user,))
    (trouble,) = virtual_loop.run(collect(source, (want,)))
    assert isinstance(trouble, PeerTrouble)
    assert trouble.peer == "soulseek:server"


def test_who_failed_comes_later_and_who_is_left_alone_not_at_all(virtual_loop, make):
    """One failure, two in a row, five uploads ended early, one wrong file: remembered over a restart."""
    names = ("good", "once", "twice", "tired", "wrong")
    files = [shared_file(name, "x\\track 1.flac") for name in reversed(names)]
    network = Network(found={"release": [(0.1, files)]})
    source, ledger = make(network)
    offers = {each.peer_name: each for each in virtual_loop.run(collect(source, wants(1)))}
    for name, count, what in (("once", 1, "failed"), ("twice", 2, "failed"), ("tired", CANCELS_PER_DAY, "cancelled")):
        for _ in range(count):
            ledger.happened(name, "other", 1, Happened(what=what))
    source.condemn(offers["wrong"].variant, "not the audio")
    source, ledger = make(network)
    found = virtual_loop.run(collect(source, wants(1)))
    assert [each.peer_name for each in found] == ["good", "once"]
    assert "not the audio" in ledger.may_ask("wrong", "x\\track 1.flac", 1000)[0]
    assert ledger.may_ask("wrong", "another", 1000)[0] == ""


def test_a_final_refusal_holds_for_the_file_alone(make):
    """The user is not at fault for not sharing it any more."""
    _, ledger = make(Network())
    ledger.happened("a", "gone.flac", 5, Happened(what="refused", reason="File not shared."))
    _, again = make(Network())
    assert "File not shared." in again.may_ask("a", "gone.flac", 5)[0]
    assert again.may_ask("a", "here.flac", 5) == ("", 10)


def test_the_pause_before_the_next_login_outlives_the_process(make):
    """A ban is not shortened by a restart; wrong credentials may have been changed meanwhile."""
    _, ledger = make(Network())
    ledger.keep_pauses(Pauses(failures_in_a_row=3, not_before_s=BEGAN + 1800))
    _, again = make(Network())
    assert again.pauses().wait_s(BEGAN) == 1800
    again.keep_pauses(Pauses(refused=True))
    _, third = make(Network())
    assert third.pauses().wait_s(BEGAN) == 0.0
