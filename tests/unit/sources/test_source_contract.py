"""What sources.base asks of a source, of each of them alike: web servers, overlay peers, Soulseek users."""

import asyncio
import socket
from contextlib import asynccontextmanager
from dataclasses import FrozenInstanceError, dataclass

import pytest
from aiohttp import web
from overlay_world import NOBODYS_RECORDING, RECORDING, at, content, hold, overlay_source, serving
from soulseek_files import NetworkInMemory, shared_file
from web_answers import answering

from reconciler.clock import SystemClock
from reconciler.errors import PeerError
from reconciler.ids import Sha256, TrackPosition
from reconciler.library.index import LibraryIndex
from reconciler.manifests.model import SoulseekSource, UrlSource
from reconciler.overlay.merkle import HASH_BYTES, chunk_count
from reconciler.sources.base import Offer, PeerTrouble, Rejection, Source, Want, Words
from reconciler.sources.http import HttpSource
from reconciler.sources.soulseek import source as soulseek
from reconciler.sources.soulseek.ledger import Ledger
from reconciler.sources.soulseek.matching import match
from reconciler.sources.soulseek.queries import queries_of
from reconciler.state.database import Database
from reconciler.state.soulseek import SoulseekStore

SIZE = 700_001
SHA256 = Sha256("2" * 64)
CODES = {"unreachable", "wrong identity", "refused", "bad answer", "lied"}


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A source, and what can be wanted of it."""

    source: Source
    there: Want
    """Somebody has it."""
    not_there: Want
    """Nobody does."""
    troubled: tuple[Want, ...]
    """Whoever is asked for one of these cannot answer as they should."""
    has_list: bool = False
    """Whether those who have it know its chunk list."""


@asynccontextmanager
async def web_servers(_):
    """A server that has a file and no chunk list."""

    async def send(request):
        return web.Response(body=bytes(SIZE)) if request.path == "/a.bin" else web.Response(status=404)

    named = {"position": TrackPosition(3), "sha256": SHA256, "size": SIZE}
    async with answering(send) as port:
        source = HttpSource(timeout_s=5)
        try:
            yield Scene(
                source=source,
                there=Want(sources=(UrlSource(url=f"http://127.0.0.1:{port}/a.bin"),), **named),
                not_there=Want(**named),
                troubled=(Want(sources=(UrlSource(url="http://h:0/a"),), **named),),
            )
        finally:
            await source.close()


@asynccontextmanager
async def overlay_peers(database):
    """A peer that holds a recording, and an address that nobody answers at."""
    index = LibraryIndex(database)
    hold(index, database.path.with_name("a.flac"), content(SIZE))
    with socket.create_server(("127.0.0.1", 0)) as probe:
        silent = probe.getsockname()[1]
    async with serving(index) as port:
        source = overlay_source(at(port), timeout_s=5)
        dead = (at(silent),)
        try:
            yield Scene(
                source=source,
                there=Want(position=TrackPosition(3), recording=RECORDING),
                not_there=Want(position=TrackPosition(3), recording=NOBODYS_RECORDING),
                troubled=(Want(position=TrackPosition(3), root="1" * 64, size=SIZE, sources=dead),),
                has_list=True,
            )
        finally:
            await source.close()


@asynccontextmanager
async def soulseek_users(database):
    """A user whom a search finds and a manifest names, and one whose file was wrong before."""
    path = "Music\\An Artist\\An Album (1999)\\03 A Song.flac"
    file = shared_file("digger", path, size=30_000_000, duration_s=240)
    network = NetworkInMemory(answers=lambda query: (file,) if "song" in query.lower() or "album" in query else ())
    ledger = Ledger(SoulseekStore(database), SystemClock(), searches_max=30)
    judgement = soulseek.Judgement(queries_of=queries_of, match=match)
    words = {"artist": "An Artist", "album": "An Album", "albumartist": "An Artist", "duration_ms": 240_000}
    named = (SoulseekSource(username="digger", filename=path),)
    wrong = SoulseekSource(username="wrong", filename="b.flac")
    ledger.condemn("wrong", "b.flac", SIZE, "it was another")
    yield Scene(
        source=soulseek.SoulseekSource(network, ledger, judgement, clock=SystemClock()),
        there=Want(
            position=TrackPosition(3),
            sha256=SHA256,
            size=file.size,
            sources=named,
            words=Words(title="A Song", track_number=3, **words),
        ),
        not_there=Want(position=TrackPosition(3), words=Words(title="Zzz", track_number=1)),
        troubled=(Want(position=TrackPosition(3), sha256=SHA256, size=SIZE, sources=(wrong,)),),
    )


@pytest.fixture(params=[web_servers, overlay_peers, soulseek_users])
def play(request, tmp_path, monkeypatch):
    """Runs a test's coroutine with the scene of one source."""
    # Whoever answers here does so at once.
    monkeypatch.setattr(soulseek, "FIRST_ANSWER_WITHIN_S", 0.05)
    monkeypatch.setattr(soulseek, "QUIET_S", 0.05)
    database = Database.open(tmp_path / "state.db")

    def play(test):
        async def main():
            async with request.param(database) as scene:
                await asyncio.wait_for(test(scene), 30)

        asyncio.run(main())

    yield play
    database.close()


async def found_of(source, *wants):
    """Everything that a search yields, until it ends by itself."""
    return [found async for found in source.search(wants)]


def test_an_offer_says_who_has_what(play):
    """For the position that wants it, under the source's own name; its id is fit for a file name and a trace."""

    async def test(scene):
        offers = await found_of(scene.source, scene.there)
        assert offers
        for offer in offers:
            assert isinstance(offer, Offer)
            assert (offer.position, offer.source) == (3, scene.source.name)
            assert offer.peer == f"{scene.source.name}:{offer.peer_name}"
            assert offer.variant.size > 0
            assert offer.variant.root or offer.variant.sha256 or offer.variant.claim
            assert offer.variant.id.isascii()
            assert offer.variant.id.isprintable()
            assert " " not in offer.variant.id

    play(test)


def test_a_request_is_for_the_offer(play):
    """At its endpoint, for its target; a second one is as good as the first."""

    async def test(scene):
        offer = (await found_of(scene.source, scene.there))[0]
        for _ in range(2):
            request = scene.source.request(offer)
            assert (request.endpoint, request.target) == (offer.endpoint, offer.target)
            assert all("\n" not in name + value for name, value in request.headers)

    play(test)


def test_a_chunk_list_is_whole_or_refused(play):
    """Thirty-two bytes a chunk, or a PeerError, after which the next peer can be asked."""

    async def test(scene):
        offer = (await found_of(scene.source, scene.there))[0]
        if scene.has_list:
            assert len(await scene.source.chunk_hashes(offer)) == chunk_count(offer.variant.size) * HASH_BYTES
        else:
            with pytest.raises(PeerError, match=r"."):
                await scene.source.chunk_hashes(offer)

    play(test)


def test_what_nobody_has_is_not_offered(play):
    """The search ends, with nothing; so it does where nothing is wanted."""

    async def test(scene):
        assert [each for each in await found_of(scene.source, scene.not_there) if isinstance(each, Offer)] == []
        assert await found_of(scene.source) == []

    play(test)


def test_trouble_with_one_ends_no_search(play):
    """It is told in words, as trouble of that peer or as a decision; the others' offers come all the same."""

    async def test(scene):
        found = await found_of(scene.source, *scene.troubled, scene.there)
        told = [each for each in found if not isinstance(each, Offer)]
        assert told
        for each in told:
            assert each.peer.startswith(f"{scene.source.name}:")
            match each:
                case PeerTrouble():
                    assert each.code in CODES
                    assert 0 < len(each.message) <= 1000
                case Rejection():
                    assert each.reason
        assert any(isinstance(each, Offer) for each in found)

    play(test)


def test_a_search_can_be_left_at_any_moment(play):
    """The next one is as good as the first."""

    async def test(scene):
        search = scene.source.search((scene.there,))
        first = await anext(search)
        await search.aclose()
        again = await found_of(scene.source, scene.there)
        assert first.peer in {each.peer for each in again}

    play(test)


def test_an_etiquette_is_data(play):
    """At least one request, and nobody changes it."""

    async def test(scene):
        etiquette = scene.source.etiquette
        assert etiquette.requests_in_flight_max >= 1
        assert etiquette == scene.source.etiquette
        with pytest.raises(FrozenInstanceError):
            etiquette.sequential = False

    play(test)
