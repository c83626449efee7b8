"""Overlay peers are asked, and their answers are believed as far as their signatures and words reach."""

import asyncio
import json
import socket
import time
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from overlay_world import (
    CLIENT,
    NOBODYS_RECORDING,
    OTHER,
    RECORDING,
    SERVER,
    RawClient,
    at,
    content,
    hold,
    overlay_source,
    serving,
)
from web_answers import answering

from reconciler.clock import SystemClock
from reconciler.errors import PeerError
from reconciler.ids import Mbid, Root, Sha256, TrackPosition
from reconciler.library.index import LibraryIndex
from reconciler.manifests.model import OverlayPeerSource, UrlSource
from reconciler.overlay.descriptor import DescribedVariant, make_descriptor
from reconciler.overlay.identity import verify_authorization
from reconciler.overlay.merkle import CHUNK_BYTES, hash_list_matches
from reconciler.overlay.messages import HAVE_TARGET, HaveAnswer, HaveQuestion, HeldRoot, blob_target, write_bitfield
from reconciler.overlay.tls import server_context
from reconciler.sources.base import Offer, PeerTrouble, Want
from reconciler.sources.overlay import OverlaySource
from reconciler.state.database import Database

SIZE = 700_001
DATA = content(SIZE)
ROOT = Root("1" * 64)


@pytest.fixture
def index(tmp_path):
    """A library in a database of its own."""
    database = Database.open(tmp_path / "state.db")
    yield LibraryIndex(database)
    database.close()


@pytest.fixture
def holding(index, tmp_path):
    """One file of three chunks."""
    return hold(index, tmp_path / "a.flac", DATA)


@asynccontextmanager
async def source_of(*peers: OverlayPeerSource, timeout_s: float = 10):
    """A source with these static peers."""
    source = overlay_source(*peers, timeout_s=timeout_s)
    try:
        yield source
    finally:
        await source.close()


def want(position: int = 1, **values) -> Want:
    return Want(position=TrackPosition(position), **values)


async def search(source: OverlaySource, *wants: Want) -> list:
    return [found async for found in source.search(wants)]


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 60))


def test_a_recording_is_offered(index, holding):
    """By its descriptor, with everything that a lane needs."""

    async def main():
        async with serving(index) as port, source_of(at(port)) as source:
            (offer,) = await search(source, want(7, recording=RECORDING))
            assert (offer.position, offer.peer, offer.source) == (7, f"overlay:{SERVER.id}", "overlay")
            assert (offer.variant.root, offer.variant.size) == (holding.root, SIZE)
            assert (offer.variant.codec, offer.variant.container, offer.variant.lossless) == ("FLAC", "flac", True)
            assert (offer.variant.bitrate_bps, offer.variant.duration_ms) == (912_000, 242_000)
            assert (offer.signed, offer.complete, offer.holds) == (True, True, None)
            assert (offer.endpoint.host, offer.endpoint.port, offer.endpoint.tls) == ("127.0.0.1", port, True)
            assert offer.endpoint.pin == SERVER.id
            raw = await source.chunk_hashes(offer)
            assert hash_list_matches(holding.root, raw, file_size=SIZE)
            return offer

    run(main())


def test_what_a_peer_is_asked_about_is_worked_out_once_for_each_want():
    """A job of thousands of files that all name one peer: doubled, it takes twice the time and not four times."""

    def seconds(count):
        peer = at(1)
        wants = [want(n, root=Root(f"{n:064x}"), sources=(peer,)) for n in range(1, count + 1)]

        async def main():
            async with source_of(peer) as source:
                began = time.process_time()
                plan = source._plan(tuple(wants))
                took_s = time.process_time() - began
                assert plan == {peer: tuple(wants)}
                return took_s

        return min(run(main()) for _ in range(3))

    assert seconds(4000) < 8 * seconds(1000) + 0.05


def test_a_host_that_cannot_be_is_a_trouble_of_that_peer():
    """Python resolves no such name, and raises what is no error of a network."""

    async def main():
        async with source_of(at(1, host="a..b")) as source:
            (trouble,) = await search(source, want(recording=RECORDING))
            assert (trouble.code, trouble.message) == ("unreachable", "a..b:1 cannot be reached: this is no host name")

    run(main())


def test_an_offer_leads_to_its_bytes(index, holding):
    """Two prepared requests, sent raw on one pinned connection, bring the file."""

    async def main():
        async with serving(index) as port, source_of(at(port)) as source, RawClient.connect(port) as client:
            (offer,) = await search(source, want(recording=RECORDING))
            body = b""
            for span in ("bytes=0-262143", "bytes=262144-"):
                request = source.request(offer)
                assert request.endpoint == offer.endpoint
                head = [f"GET {request.target} HTTP/1.1", "Host: peer", f"Range: {span}"]
                head += [f"{name}: {value}" for name, value in request.headers]
                client.writer.write("\r\n".join([*head, "", ""]).encode())
                body += (await client.read()).body
            assert body == DATA

    run(main())


def test_a_root_is_offered(index, holding):
    """By the size alone that the peer names, for wants without a recording and with one that nobody knows."""

    async def main():
        async with serving(index) as port, source_of(at(port)) as source:
            first, second = await search(
                source,
                want(1, root=holding.root, size=SIZE),
                want(2, root=holding.root, size=SIZE, recording=NOBODYS_RECORDING),
                want(3, root=Root("0" * 64), size=SIZE),
            )
            assert {first.position, second.position} == {1, 2}
            assert first.variant.root == holding.root
            assert first.target == blob_target(holding.root)

    run(main())


def test_one_variant_is_offered_once(index, holding):
    """Though recording and root both lead to it; and only wants that it fits are offered it."""

    async def main():
        async with serving(index) as port, source_of(at(port)) as source:
            found = await search(
                source,
                want(1, recording=RECORDING, root=holding.root, size=SIZE),
                want(2, recording=RECORDING, sha256=holding.sha256, size=SIZE),
                want(3, recording=RECORDING, sha256=Sha256("0" * 64), size=SIZE),
                want(4, recording=RECORDING, root=Root("0" * 64), size=SIZE),
            )
            assert sorted(offer.position for offer in found) == [1, 2]
            assert {offer.position: offer.variant.sha256 for offer in found} == {1: None, 2: holding.sha256}

    run(main())


def test_a_wrong_size_is_a_lie(index, holding):
    """A root names exact bytes: a size that is not theirs is the peer's word against its own."""

    async def main():
        async with serving(index) as port, source_of(at(port)) as source:
            for asked in ({"root": holding.root}, {"recording": RECORDING, "sha256": holding.sha256}):
                (trouble,) = await search(source, want(size=SIZE + 1, **asked))
                assert isinstance(trouble, PeerTrouble)
                assert (trouble.code, trouble.peer) == ("lied", f"overlay:{SERVER.id}")

    run(main())


def test_explicit_peers_are_asked_about_their_want_alone(index, holding):
    """A peer that stands in a manifest does not learn of the other wants."""

    async def main():
        async with serving(index) as port, source_of() as source:
            explicit = (at(port), UrlSource(url="http://192.0.2.1/"), at(port))
            (offer,) = await search(
                source,
                want(1, recording=RECORDING, sources=explicit),
                want(2, recording=RECORDING),
            )
            assert offer.position == 1

    run(main())


def test_nothing_askable_asks_nobody(index):
    """A want by SHA-256 alone has no question; no connection is made."""

    async def main():
        async with source_of(at(9)) as source:
            assert await search(source, want(sha256=Sha256("0" * 64), size=1)) in ([], [])
            assert await search(source) == []

    run(main())


def test_many_wants_are_asked_in_batches(index, holding):
    """More than one question may hold; the file at the end is found all the same."""
    ids = [Mbid(f"{number:08x}-9c0b-4ef8-bb6d-6bb9bd380a11") for number in range(450)]

    async def main():
        async with serving(index) as port, source_of(at(port)) as source:
            wants = [want(number + 1, recording=recording) for number, recording in enumerate(ids)]
            (offer,) = await search(source, *wants, want(999, recording=RECORDING))
            assert offer.position == 999

    run(main())


def test_a_wrong_key_is_refused_before_a_request(index, holding):
    """Whoever answers in the peer's place learns nothing, and is named as what it is."""
    asked = []

    async def main():
        async with listening(asked.append, identity=OTHER) as port, source_of(at(port)) as source:
            (trouble,) = await search(source, want(recording=RECORDING))
            assert (trouble.code, trouble.peer) == ("wrong identity", f"overlay:{SERVER.id}")
            assert OTHER.id in trouble.message
        assert asked == []

    run(main())


def test_dead_peers_do_not_end_a_search(index, holding):
    """Unreachable, unresolvable, silent: each is named once, and the living one is found."""

    async def main():
        async with listening(lambda request: None) as closed:
            pass
        with socket.create_server(("127.0.0.1", 0)) as silent:  # connects, and never says a word
            await ask_all(closed, silent.getsockname()[1])

    async def ask_all(closed, silent):
        async with (
            serving(index) as port,
            source_of(
                at(closed, identity=OTHER),
                at(1, host="no-such-host.invalid"),
                at(silent, identity=CLIENT),
                at(port),
                timeout_s=1.5,
            ) as source,
        ):
            found = await search(source, want(1, recording=RECORDING), want(2, recording=RECORDING))
        assert sorted(one.position for one in found if isinstance(one, Offer)) == [1, 2]
        troubles = [one for one in found if isinstance(one, PeerTrouble)]
        assert [trouble.code for trouble in troubles] == ["unreachable"] * 3

    run(main())


def test_a_search_that_is_left_ends(index, holding):
    """Whoever stops listening leaves no task behind."""

    async def main():
        async with serving(index) as port, source_of(at(port)) as source:
            results = source.search((want(1, recording=RECORDING), want(2, recording=RECORDING)))
            await anext(results)
            await results.aclose()
            names = {task.get_name() for task in asyncio.all_tasks()}
            assert "overlay-search" not in names

    run(main())


def test_a_search_that_is_cancelled_ends(index):
    """Cancelled means as if not begun."""

    async def main():
        with socket.create_server(("127.0.0.1", 0)) as silent:
            await leave(silent.getsockname()[1])

    async def leave(silent):
        async with source_of(at(silent)) as source:
            task = asyncio.create_task(search(source, want(recording=RECORDING)))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    run(main())


# ---- a peer that says what a test wants it to say --------------------------------------------------------------------


@asynccontextmanager
async def listening(answer, *, identity=SERVER):
    """A TLS server with `identity` that answers as `answer(request)` says."""

    async def respond(request: web.BaseRequest) -> web.StreamResponse:
        return answer(request)

    async with answering(respond, context=server_context(identity, unix_s=SystemClock().wall())) as port:
        yield port


def saying(*, have: HaveAnswer | web.Response | None = None, others: dict[str, web.Response | bytes] | None = None):
    """An answerer: `have` for the question, `others` by path, 404 else."""
    have = have or HaveAnswer(recordings={RECORDING: (ROOT,)}, roots={})

    def answer(request: web.BaseRequest) -> web.StreamResponse:
        if request.raw_path == HAVE_TARGET:
            return have if isinstance(have, web.Response) else web.Response(body=have.write())
        found = (others or {}).get(request.raw_path)
        if found is None:
            return web.Response(status=404)
        return found if isinstance(found, web.Response) else web.Response(body=found)

    return answer


def descriptor(*variants: DescribedVariant, identity=SERVER, recording=RECORDING, now=None) -> bytes:
    variants = variants or (DescribedVariant(root=ROOT, size=SIZE),)
    return make_descriptor(identity, recording, variants, now_unix_s=now or SystemClock().wall())


DESCRIPTOR_TARGET = f"/overlay/v1/recordings/{RECORDING}"


def ask(answer, *wants: Want) -> list:
    async def main():
        async with listening(answer) as port, source_of(at(port)) as source:
            return await search(source, *(wants or (want(recording=RECORDING),)))

    return run(main())


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (saying(have=web.Response(status=401)), "refused"),
        (saying(have=web.Response(status=429)), "refused"),
        (saying(have=web.Response(status=503)), "refused"),
        (saying(have=web.Response(status=500)), "bad answer"),
        (saying(have=web.Response(status=302, headers={"Location": "https://127.0.0.1:1/"})), "bad answer"),
        (saying(have=web.Response(body=b"nonsense")), "bad answer"),
        (saying(have=web.Response(body=b"x" * 2_000_000)), "bad answer"),
        (saying(others={DESCRIPTOR_TARGET: b"{}"}), "bad answer"),
        (saying(others={DESCRIPTOR_TARGET: b"x" * 100_000}), "bad answer"),
        (saying(others={DESCRIPTOR_TARGET: descriptor(now=1_600_000_000)}), "bad answer"),
        (saying(others={DESCRIPTOR_TARGET: descriptor(identity=OTHER)}), "lied"),
        (saying(others={DESCRIPTOR_TARGET: descriptor(recording=NOBODYS_RECORDING)}), "lied"),
        (saying(others={DESCRIPTOR_TARGET: descriptor().replace(b'"size":700001', b'"size":700002')}), "lied"),
    ],
)
def test_bad_answers_are_the_peers_trouble(answer, code):
    """Each is told once, with what kind it is."""
    (trouble,) = ask(answer)
    assert (trouble.peer, trouble.source, trouble.code) == (f"overlay:{SERVER.id}", "overlay", code)
    assert trouble.message


@pytest.mark.parametrize(
    "answer",
    [
        saying(have=HaveAnswer(recordings={}, roots={})),
        saying(have=HaveAnswer(recordings={RECORDING: ()}, roots={})),
        saying(have=HaveAnswer(recordings={NOBODYS_RECORDING: (ROOT,)}, roots={ROOT: HeldRoot(size=1, complete=True)})),
        saying(),
    ],
    ids=["nothing", "no root", "what was not asked", "gone since"],
)
def test_having_nothing_is_no_trouble(answer):
    """A peer that does not hold it is only not offered."""
    assert ask(answer) == []


def test_a_peer_is_asked_signed_and_plainly():
    """Every control request carries a valid signature, and asks for no compression."""
    seen = []

    def answer(request):
        signed = verify_authorization(
            request.headers["Authorization"],
            server=SERVER.id,
            method=request.method,
            target=request.raw_path,
            now_unix_s=SystemClock().wall(),
        )
        seen.append((signed.peer, signed.nonce, request.headers["Accept-Encoding"]))
        return saying(others={DESCRIPTOR_TARGET: descriptor()})(request)

    (offer,) = ask(answer)
    assert offer.variant.root == ROOT
    assert [(peer, coding) for peer, _, coding in seen] == [(CLIENT.id, "identity")] * 2
    assert len({nonce for _, nonce, _ in seen}) == 2


def partial(bitfield: bytes):
    return saying(
        others={
            DESCRIPTOR_TARGET: descriptor(DescribedVariant(root=ROOT, size=SIZE, complete=False)),
            f"{blob_target(ROOT)}/bitfield": bitfield,
        }
    )


def test_a_partial_holder_says_which_chunks_it_has():
    """They are part of the offer."""
    (offer,) = ask(partial(write_bitfield(frozenset({0, 2}), count=3)))
    assert (offer.complete, offer.holds) == (False, {0, 2})


@pytest.mark.parametrize("bitfield", [b"", b"\xff", b"\x00\x00"])
def test_a_bitfield_that_does_not_fit_is_a_bad_answer(bitfield):
    """No offer comes of it."""
    (trouble,) = ask(partial(bitfield))
    assert trouble.code == "bad answer"


def test_a_partial_root_is_offered_with_its_chunks():
    """Also where no descriptor led to it."""
    have = HaveAnswer(recordings={}, roots={ROOT: HeldRoot(size=SIZE, complete=False)})
    (offer,) = ask(saying(have=have, others={f"{blob_target(ROOT)}/bitfield": b"\x40"}), want(root=ROOT, size=SIZE))
    assert offer.holds == {1}


def test_a_stated_sha256_is_not_taken_from_a_peer():
    """The root names the bytes; a wrong SHA-256 beside it would make right bytes fail."""
    lying = descriptor(DescribedVariant(root=ROOT, size=SIZE, sha256=Sha256("f" * 64)))
    (offer,) = ask(saying(others={DESCRIPTOR_TARGET: lying}))
    assert offer.variant.sha256 is None


@pytest.mark.parametrize("body", [b"", bytes(95), bytes(97), bytes(10_000), web.Response(status=404)])
def test_a_chunk_list_of_another_length_is_refused(body):
    """Exactly 32 bytes a chunk, or a PeerError."""
    answer = saying(others={DESCRIPTOR_TARGET: descriptor(), f"{blob_target(ROOT)}/chunks": body})

    async def main():
        async with listening(answer) as port, source_of(at(port)) as source:
            (offer,) = await search(source, want(recording=RECORDING))
            with pytest.raises(PeerError):
                await source.chunk_hashes(offer)

    run(main())


def test_a_file_of_one_chunk_needs_no_list():
    """Its root is its chunk's hash."""
    answer = saying(others={DESCRIPTOR_TARGET: descriptor(DescribedVariant(root=ROOT, size=CHUNK_BYTES))})

    async def main():
        async with listening(answer) as port, source_of(at(port)) as source:
            (offer,) = await search(source, want(recording=RECORDING))
            assert await source.chunk_hashes(offer) == bytes.fromhex(ROOT)

    run(main())


def test_a_failing_peer_is_named_once():
    """Ten recordings that all fail are one trouble."""
    ids = [Mbid(f"{number:08x}-9c0b-4ef8-bb6d-6bb9bd380a11") for number in range(10)]
    have = HaveAnswer(recordings=dict.fromkeys(ids, (ROOT,)), roots={})
    others = {f"/overlay/v1/recordings/{recording}": b"nonsense" for recording in ids}
    found = ask(saying(have=have, others=others), *(want(n, recording=r) for n, r in enumerate(ids, 1)))
    assert [trouble.code for trouble in found] == ["bad answer"]


def test_the_questions_name_only_what_is_wanted():
    """Each recording and root once."""
    questions = []

    async def respond(request: web.BaseRequest) -> web.StreamResponse:
        questions.append(HaveQuestion.read(await request.read()))
        return web.Response(body=HaveAnswer(recordings={}, roots={}).write())

    async def main():
        context = server_context(SERVER, unix_s=SystemClock().wall())
        async with answering(respond, context=context) as port, source_of(at(port)) as source:
            wants = [want(number, recording=RECORDING, root=ROOT, size=SIZE) for number in range(1, 5)]
            assert await search(source, *wants) == []

    run(main())
    assert questions == [HaveQuestion(recordings=(RECORDING,), roots=(ROOT,))]
    assert json.loads(questions[0].write()) == {"recordings": [RECORDING], "roots": [ROOT]}
