"""The server answers what the wire format says, and nothing else, to real connections."""

import asyncio
import json
import os
import time

import pytest
from loguru import logger
from overlay_world import (
    CLIENT,
    NOBODYS_RECORDING,
    OTHER,
    RECORDING,
    SERVER,
    RawClient,
    content,
    fresh_nonce,
    hold,
    open_files_named,
    serving,
    signature,
    turns_until,
    with_client,
)
from test_ranges import GARBAGE

from reconciler.clock import SystemClock
from reconciler.library.index import LibraryIndex
from reconciler.overlay.descriptor import read_descriptor
from reconciler.overlay.fairness import UploadLimits
from reconciler.overlay.merkle import hash_list_matches
from reconciler.overlay.messages import HaveAnswer, HaveQuestion, HeldRoot, blob_target, chunks_target
from reconciler.overlay.server import OverlayServer
from reconciler.state.database import Database

SIZE = 700_001
DATA = content(SIZE)


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


def test_it_says_who_it_is(index):
    """Anybody may ask, without a signature."""

    async def talk(client):
        answer = await client.get("/overlay/v1/hello", who=None)
        hello = json.loads(answer.body)
        assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
        assert (hello["v"], hello["id"], hello["addrs"]) == (1, SERVER.id, [])
        assert hello["limits"] == {"slots": 3, "slots_per_peer": 2, "bps_per_peer": 8_000_000}
        assert abs(hello["time"] - time.time()) < 5
        assert answer.headers["server"] == hello["agent"]
        assert {"recordings", "have", "blobs", "chunks", "bitfield"} <= set(hello["features"])

    with_client(index, talk, limits=UploadLimits(slots=3, slots_per_peer=2, bytes_per_s=1_000_000))


def test_it_describes_a_recording(index, holding):
    """The descriptor is signed by the server's key and names the file."""

    async def talk(client):
        answer = await client.get(f"/overlay/v1/recordings/{RECORDING}", who=None)
        found = read_descriptor(answer.body, recording=RECORDING, peer=SERVER.id, now_unix_s=time.time())
        (variant,) = found.variants
        assert (variant.root, variant.size, variant.sha256) == (holding.root, SIZE, holding.sha256)
        assert (variant.codec, variant.container, variant.lossless) == ("FLAC", "flac", True)
        missing = await client.get(f"/overlay/v1/recordings/{NOBODYS_RECORDING}", who=None)
        assert missing.status == 404

    with_client(index, talk)


def test_it_says_what_it_has(index, holding):
    """Of what was asked, what is held; the rest is left out."""

    async def talk(client):
        question = HaveQuestion(recordings=(RECORDING, NOBODYS_RECORDING), roots=(holding.root, "0" * 64))
        client.send("POST", "/overlay/v1/have", body=question.write())
        answer = HaveAnswer.read((await client.read()).body)
        assert answer.recordings == {RECORDING: (holding.root,)}
        assert answer.roots == {holding.root: HeldRoot(size=SIZE, complete=True)}

    with_client(index, talk)


@pytest.mark.parametrize(
    ("body", "status"), [(b"", 400), (b"[]", 400), (b'{"roots":["x"]}', 400), (b" " * 70_000, 413)]
)
def test_bad_questions_are_refused(index, body, status):
    """With a reason, before anything is looked up."""

    async def talk(client):
        client.send("POST", "/overlay/v1/have", body=body)
        answer = await client.read()
        assert answer.status == status
        assert json.loads(answer.body)["error"]

    with_client(index, talk)


def test_it_gives_the_chunk_list_and_bitfield(index, holding):
    """The list hashes to the root; a whole file has every chunk."""

    async def talk(client):
        chunks = await client.get(chunks_target(holding.root))
        assert hash_list_matches(holding.root, chunks.body, file_size=SIZE)
        bitfield = await client.get(f"{blob_target(holding.root)}/bitfield")
        assert bitfield.body == b"\xe0"
        for suffix in ("", "/chunks", "/bitfield"):
            assert (await client.get(blob_target("0" * 64) + suffix)).status == 404

    with_client(index, talk)


def test_a_range_is_exact(index, holding):
    """206 with the span, the size, the root as its tag, and those bytes."""

    async def talk(client):
        for first, last in ((0, 0), (262_144, 524_287), (SIZE - 1, SIZE - 1), (0, SIZE - 1), (1, 600_000)):
            answer = await client.get(blob_target(holding.root), range_=f"bytes={first}-{last}")
            assert answer.status == 206
            assert answer.headers["content-range"] == f"bytes {first}-{last}/{SIZE}"
            assert answer.headers["etag"] == f'"{holding.root}"'
            assert answer.headers["accept-ranges"] == "bytes"
            assert "content-encoding" not in answer.headers
            assert "transfer-encoding" not in answer.headers
            assert answer.body == DATA[first : last + 1]

    with_client(index, talk)


def test_without_a_range_the_whole_comes(index, holding):
    """For clients that know nothing of chunks."""

    async def talk(client):
        answer = await client.get(blob_target(holding.root), accept_encoding="gzip")
        assert (answer.status, answer.body) == (200, DATA)
        assert "content-range" not in answer.headers

    with_client(index, talk)


def test_range_garbage_never_gets_bytes(index, holding):
    """416 with the size for everything that is not one satisfiable range, on one connection that stays good."""

    async def talk(client):
        for text in GARBAGE:
            if not text.isascii() or not text.isprintable() or text.startswith("bytes=100-"):
                continue  # cannot be sent in a header, or is satisfiable in a longer file
            answer = await client.get(blob_target(holding.root), range_=text)
            assert (answer.status, answer.headers["content-range"]) == (416, f"bytes */{SIZE}"), text
        answer = await client.get(blob_target(holding.root), range_=f"bytes={SIZE}-")
        assert answer.status == 416
        answer = await client.get(blob_target(holding.root), range_="bytes=0-0\r\nRange: bytes=1-1")
        assert answer.status == 416
        answer = await client.get(blob_target(holding.root), range_="bytes=0-0")
        assert answer.body == DATA[:1]

    with_client(index, talk, limits=UploadLimits(slots=1, slots_per_peer=1))


def test_pipelined_requests_are_answered_in_order(index, holding):
    """Two ranges sent at once on one connection come one after the other."""

    async def talk(client):
        client.send("GET", blob_target(holding.root), range_="bytes=0-299999")
        client.send("GET", blob_target(holding.root), range_="bytes=300000-")
        client.send("GET", "/overlay/v1/hello", who=None)
        first, second, third = [await client.read() for _ in range(3)]
        assert first.body + second.body == DATA
        assert json.loads(third.body)["id"] == SERVER.id

    with_client(index, talk, limits=UploadLimits(slots=1, slots_per_peer=1))


def test_unsigned_requests_for_what_is_held_are_refused(index, holding):
    """401, with the scheme; what is public stays so."""

    async def talk(client):
        for target in (blob_target(holding.root), chunks_target(holding.root), blob_target(holding.root) + "/bitfield"):
            answer = await client.get(target, who=None)
            assert (answer.status, answer.headers["www-authenticate"]) == (401, "Overlay")
        client.send("POST", "/overlay/v1/have", who=None, body=b"{}")
        assert (await client.read()).status == 401
        assert (await client.get("/overlay/v1/hello", who=None)).status == 200

    with_client(index, talk)


def test_bad_signatures_are_refused(index, holding):
    """Another target, another server, an old clock, two headers, garbage."""
    target = blob_target(holding.root)
    now = int(SystemClock().wall())
    bad = [
        signature(CLIENT, "GET", chunks_target(holding.root)),
        signature(CLIENT, "POST", target),
        CLIENT.authorization(OTHER.id, "GET", target, unix_s=now, nonce=fresh_nonce()),
        CLIENT.authorization(SERVER.id, "GET", target, unix_s=now - 1000, nonce=fresh_nonce()),
        f"{signature(CLIENT, 'GET', target)}\r\nAuthorization: {signature(CLIENT, 'GET', target)}",
        "Basic YTpi",
    ]

    async def talk(client):
        for header in bad:
            answer = await client.get(target, who=None, authorization=header)
            assert answer.status == 401, header
        assert (await client.get(target)).status == 200

    with_client(index, talk)


def test_a_signature_is_good_once(index, holding):
    """The same request again, word for word, is a replay."""
    target = blob_target(holding.root)
    header = signature(CLIENT, "GET", target)

    async def talk(client):
        assert (await client.get(target, who=None, authorization=header, range_="bytes=0-0")).status == 206
        answer = await client.get(target, who=None, authorization=header, range_="bytes=0-0")
        assert (answer.status, json.loads(answer.body)["error"]) == (401, "this signature has been used before")

    with_client(index, talk)


def test_slots_are_held_while_bytes_are_sent(index, tmp_path):
    """While one answer is not yet taken, the same peer gets 429 and another 503; afterwards both are served."""
    large = hold(index, tmp_path / "large.flac", content(24 * 1024 * 1024))
    target = blob_target(large.root)

    async def main():
        async with (
            serving(index, limits=UploadLimits(slots=1, slots_per_peer=1)) as port,
            RawClient.connect(port) as first,
            RawClient.connect(port) as second,
        ):
            first.send("GET", target)
            await first.reader.readexactly(1)  # the head is on its way: the slot is taken
            refused = await second.get(target, range_="bytes=0-0")
            assert (refused.status, int(refused.headers["retry-after"])) == (429, 1)
            refused = await second.get(target, who=OTHER, range_="bytes=0-0")
            assert (refused.status, int(refused.headers["retry-after"])) == (503, 2)
            await first.reader.readuntil(b"\r\n\r\n")
            assert await first.reader.readexactly(large.size) == content(large.size)
            assert (await first.get(target, range_="bytes=5-5")).status == 206
            assert (await second.get(target, who=OTHER, range_="bytes=5-5")).status == 206

    asyncio.run(asyncio.wait_for(main(), 60))


def test_a_peer_that_leaves_gives_its_slot_back(index, tmp_path):
    """Cut off in the middle of an answer, the server serves the next."""
    large = hold(index, tmp_path / "large.flac", content(24 * 1024 * 1024))

    async def main():
        async with serving(index, limits=UploadLimits(slots=1, slots_per_peer=1)) as port:
            async with RawClient.connect(port) as leaving:
                leaving.send("GET", blob_target(large.root))
                await leaving.reader.readexactly(100)
            async with RawClient.connect(port) as client:
                for _ in range(1000):
                    answer = await client.get(blob_target(large.root), range_="bytes=0-0")
                    if answer.status == 206:
                        return
                    assert answer.status == 429

    asyncio.run(asyncio.wait_for(main(), 60))
    assert open_files_named("large.flac") == 0


def test_the_rate_is_kept(index, tmp_path):
    """One megabyte at 2 MB/s takes what is left after the burst: 0.25 s; never less."""
    holding = hold(index, tmp_path / "a.flac", content(1_000_000))

    async def talk(client):
        started = time.monotonic()
        assert (await client.get(blob_target(holding.root))).body == content(1_000_000)
        return time.monotonic() - started

    assert with_client(index, talk, limits=UploadLimits(bytes_per_s=2_000_000)) >= 0.24


def test_what_leavers_were_not_sent_is_not_owed_by_others(index, holding):
    """Whoever asks and hangs up again and again leaves the others no longer wait than one block makes."""
    clock = SystemClock()

    async def main():
        server = OverlayServer(SERVER, index, UploadLimits(bytes_per_s=2000), clock)
        port = await server.start("127.0.0.1", 0)
        uploads = server._running.uploads

        def owed_s():
            return uploads._bucket.take(0, now_s=clock.monotonic())

        for _ in range(4):
            after_a_block_s = owed_s() + 4  # a block of 16 KiB takes 8 s
            async with RawClient.connect(port) as leaving:
                leaving.send("GET", blob_target(holding.root))
                await turns_until(lambda: owed_s() >= after_a_block_s)  # noqa: B023 - awaited within its round
            await turns_until(lambda: not uploads.sending)
        assert owed_s() < 4
        await server.stop()

    asyncio.run(asyncio.wait_for(main(), 60))


def test_a_changed_file_is_gone(index, holding, tmp_path):
    """410 once, and 404 from then on: the row has been dropped."""
    os.utime(tmp_path / "a.flac", ns=(1, 1))

    async def talk(client):
        assert (await client.get(blob_target(holding.root), range_="bytes=0-0")).status == 410
        assert (await client.get(blob_target(holding.root), range_="bytes=0-0")).status == 404
        assert (await client.get(f"/overlay/v1/recordings/{RECORDING}")).status == 404

    with_client(index, talk)


def test_a_disk_that_is_away_is_told_of_now_and_then(tmp_path):
    """Whoever asks is told to come back, each time; the log has one line of it a minute."""
    music, lines = tmp_path / "music", []
    music.mkdir()
    database = Database.open(tmp_path / "state.db")
    index = LibraryIndex(database, shared={str(music): True})
    away = hold(index, music / "a.flac", DATA)
    music.rename(tmp_path / "disk")

    async def talk(client):
        for _ in range(5):
            answer = await client.get(blob_target(away.root))
            assert (answer.status, answer.headers["retry-after"]) == (503, "2")

    sink = logger.add(lambda message: lines.append(message.record["extra"].get("why", "")), level="WARNING")
    with_client(index, talk)
    logger.remove(sink)
    database.close()
    (line,) = lines
    assert "may not be mounted" in line


def test_what_is_on_the_disk_is_sent_unread(index, holding, tmp_path):
    """A file that lies under its old mark is sent as it is: the receiver verifies, and names the liar."""
    (tmp_path / "a.flac").write_bytes(content(SIZE, "lie"))
    os.utime(tmp_path / "a.flac", ns=(holding.mtime_ns, holding.mtime_ns))

    async def talk(client):
        assert (await client.get(blob_target(holding.root))).body == content(SIZE, "lie")

    with_client(index, talk)


def test_a_file_that_shrinks_while_it_is_sent_ends_the_connection(index, tmp_path):
    """The length was promised: nothing is padded, and the connection does not live on out of step."""
    path = tmp_path / "large.flac"
    large = hold(index, path, content(24 * 1024 * 1024))

    async def talk(client):
        client.send("GET", blob_target(large.root))
        await client.reader.readuntil(b"\r\n\r\n")
        os.truncate(path, 1024)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await client.reader.readexactly(large.size)

    with_client(index, talk)


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "*",
        "/overlay/v1",
        "/overlay/v1/",
        "/overlay/v1/hello/",
        "/overlay/v1/hello?x=1",
        "/overlay/v1/../v1/hello",
        "//overlay/v1/hello",
        "/overlay/v1/%68ello",
        "/overlay/v2/hello",
        "/overlay/v1/peers",
        "/overlay/v1/recordings/",
        "/overlay/v1/recordings/x",
        f"/overlay/v1/recordings/{RECORDING.upper()}",
        "/overlay/v1/blobs/",
        "/overlay/v1/blobs/../../../etc/passwd",
        "/overlay/v1/blobs/" + "0" * 63,
        "/overlay/v1/blobs/" + "0" * 65,
        "/overlay/v1/blobs/" + "A" * 64,
        "/overlay/v1/blobs/" + "0" * 64 + "/",
        "/overlay/v1/blobs/" + "0" * 64 + "/chunks/",
        "/overlay/v1/blobs/" + "0" * 64 + "/%2e%2e",
        "http://peer/overlay/v1/hello",
    ],
)
def test_other_targets_are_nothing(index, target):
    """One spelling of each target; the rest is 404 (or no request at all), and the server lives on."""

    async def talk(client):
        assert (await client.get(target)).status in (400, 404)

    with_client(index, talk)


@pytest.mark.parametrize(
    ("method", "target", "allowed"),
    [
        ("POST", "/overlay/v1/hello", "GET"),
        ("GET", "/overlay/v1/have", "POST"),
        ("HEAD", "/overlay/v1/hello", "GET"),
        ("PUT", "/overlay/v1/blobs/" + "0" * 64, "GET"),
        ("DELETE", "/overlay/v1/blobs/" + "0" * 64 + "/chunks", "GET"),
        ("OPTIONS", f"/overlay/v1/recordings/{RECORDING}", "GET"),
        ("PATCH", "/overlay/v1/hello", "GET"),
    ],
)
def test_other_methods_are_refused(index, method, target, allowed):
    """405 says which one is possible."""

    async def talk(client):
        client.send(method, target)
        head = (await client.reader.readuntil(b"\r\n\r\n")).decode()
        assert head.startswith("HTTP/1.1 405 ")
        assert f"Allow: {allowed}\r\n" in head

    with_client(index, talk)
