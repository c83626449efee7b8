"""A plain server's file is offered without a question, and its chunk list is found where it may be."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from web_answers import answering

from reconciler.errors import PeerError
from reconciler.ids import Root, Sha256, TrackPosition
from reconciler.manifests.model import UrlSource
from reconciler.overlay.merkle import CHUNK_BYTES
from reconciler.sources.base import Endpoint, Offer, PeerTrouble, Want
from reconciler.sources.http import HttpSource

ROOT = Root("1" * 64)
SHA256 = Sha256("2" * 64)
SIZE = 3 * CHUNK_BYTES
LIST = b"abc".ljust(96, b"d")


def want(*urls: str, **changes) -> Want:
    values = {
        "position": TrackPosition(1),
        "root": ROOT,
        "size": SIZE,
        "sources": tuple(UrlSource(url=url) for url in urls),
    }
    return Want(**(values | changes))


def search(*wants: Want) -> list:
    async def main():
        source = HttpSource(timeout_s=5)
        return [found async for found in source.search(wants)]

    return asyncio.run(main())


def test_each_url_becomes_an_offer():
    """By the server's name; nobody was asked."""
    first, second = search(want("http://192.0.2.1/a.flac?x=1", "https://mirror.example/b%20c"))
    assert (first.peer, first.source, first.peer_name) == ("http:192.0.2.1:80", "http", "192.0.2.1:80")
    assert first.endpoint == Endpoint(host="192.0.2.1", port=80, tls=False, pin=None)
    assert (first.target, first.chunk_list_target) == ("/a.flac?x=1", "/a.flac.chunks?x=1")
    assert (first.variant.root, first.variant.size, first.signed, first.complete) == (ROOT, SIZE, False, True)
    assert second.endpoint == Endpoint(host="mirror.example", port=443, tls=True, pin=None)
    assert second.target == "/b%20c"


def test_a_file_known_by_sha256_alone_is_offered_too():
    """It is verified as a whole."""
    (offer,) = search(want("http://h/a", root=None, sha256=SHA256))
    assert offer.variant.id == f"sha256:{SHA256}"


def test_a_file_that_nothing_names_is_not_offered():
    """Bytes that cannot be verified are not fetched."""
    assert search(want("http://h/a", root=None)) == []
    assert search(want("http://h/a", size=None)) == []


def test_a_bad_url_is_the_trouble_of_that_url_alone():
    """The others are offered."""
    trouble, offer = search(want("http://h:0/a", "http://h/a"))
    assert isinstance(trouble, PeerTrouble)
    assert (trouble.code, trouble.source) == ("refused", "http")
    assert "port 0" in trouble.message
    assert offer.target == "/a"
    assert isinstance(search(want(chunk_hashes_url="gopher://x"))[0], PeerTrouble)


def test_a_list_at_the_same_server_is_its_target():
    """A list elsewhere is not this server's."""
    (offer,) = search(want("http://h/a", chunk_hashes_url="http://h:80/lists/a"))
    assert offer.chunk_list_target == "/lists/a"
    (offer,) = search(want("http://h/a", chunk_hashes_url="http://other/lists/a"))
    assert offer.chunk_list_target == "/a.chunks"


def test_requests_are_plain():
    """No signature; the lane adds the range."""

    async def main():
        source = HttpSource(timeout_s=5)
        (offer,) = [found async for found in source.search((want("http://h/a"),))]
        request = source.request(offer)
        assert (request.endpoint, request.target) == (offer.endpoint, "/a")
        assert [name for name, _ in request.headers] == ["User-Agent"]
        assert source.etiquette.requests_in_flight_max == 2
        assert source.name == "http"

    asyncio.run(main())


@asynccontextmanager
async def plain_server(files: dict[str, object]):
    """Serve bodies, or statuses, by raw path; yields the port and the list of what was asked."""
    asked = []

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        asked.append((request.raw_path, request.headers.get("Accept-Encoding")))
        found = files.get(request.raw_path, 404)
        if isinstance(found, int):
            return web.Response(status=found, headers={"Location": "/list"}, text="x" * 200)
        return web.Response(body=found)

    async with answering(answer) as port:
        yield port, asked


def fetch(files: dict[str, object], make_want):
    """Serve `files`, search for what `make_want(port)` gives, fetch the chunk list; also says what was asked."""

    async def main():
        async with plain_server(files) as (port, asked):
            source = HttpSource(timeout_s=5)
            try:
                (offer,) = [found async for found in source.search((make_want(port),))]
                return await source.chunk_hashes(offer), asked
            finally:
                await source.close()

    return asyncio.run(main())


def test_the_list_is_fetched_from_beside_the_file():
    """`<path>.chunks`, uncompressed."""
    raw, asked = fetch({"/a%20b.chunks?t=%41": LIST}, lambda port: want(f"http://127.0.0.1:{port}/a%20b?t=%41"))
    assert raw == LIST
    assert asked == [("/a%20b.chunks?t=%41", "identity")]


def test_the_list_that_the_manifest_names_comes_first():
    """Wherever it is."""
    raw, asked = fetch(
        {"/list": LIST, "/a.chunks": b"other"},
        lambda port: want(f"http://127.0.0.1:{port}/a", chunk_hashes_url=f"http://localhost:{port}/list"),
    )
    assert raw == LIST
    assert len(asked) == 1


@pytest.mark.parametrize("named", [404, 500, 302, LIST[:-1], LIST + b"x", b"", b"x" * 1_000_000])
def test_a_named_list_that_cannot_be_had_is_looked_for_beside_the_file(named):
    """Missing, moved, too short, too long: then the sidecar."""
    raw, asked = fetch(
        {"/named": named, "/a.chunks": LIST, "/list": LIST},
        lambda port: want(f"http://127.0.0.1:{port}/a", chunk_hashes_url=f"http://127.0.0.1:{port}/named"),
    )
    assert raw == LIST
    assert [path for path, _ in asked] == ["/named", "/a.chunks"]


def test_no_list_is_a_peer_error():
    """It says where was looked."""
    with pytest.raises(PeerError, match=r"/a\.chunks answered 404"):
        fetch({}, lambda port: want(f"http://127.0.0.1:{port}/a"))


def test_a_dead_server_is_a_peer_error():
    """Not an exception of some library."""

    async def main():
        async with plain_server({}) as (port, _):
            pass
        source = HttpSource(timeout_s=5)
        (offer,) = [found async for found in source.search((want(f"http://127.0.0.1:{port}/a"),))]
        with pytest.raises(PeerError, match="cannot be reached"):
            await source.chunk_hashes(offer)
        await source.close()

    asyncio.run(main())


def test_a_file_of_one_chunk_needs_no_list():
    """Its root is its chunk's hash; nobody is asked."""
    raw, asked = fetch({}, lambda port: want(f"http://127.0.0.1:{port}/a", size=CHUNK_BYTES))
    assert raw == bytes.fromhex(ROOT)
    assert asked == []


def test_an_offer_that_was_not_searched_for_still_has_its_sidecar():
    """After a restart the engine may hold offers of an older search."""

    async def main():
        async with plain_server({"/a.chunks": LIST}) as (port, _):
            source = HttpSource(timeout_s=5)
            other = HttpSource(timeout_s=5)
            (offer,) = [found async for found in other.search((want(f"http://127.0.0.1:{port}/a"),))]
            assert isinstance(offer, Offer)
            assert await source.chunk_hashes(offer) == LIST
            await source.close()

    asyncio.run(main())
