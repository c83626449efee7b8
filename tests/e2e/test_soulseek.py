"""Soulseek for real: our process, a server, Nicotine+ as uploader and as downloader."""

import asyncio
import hashlib
import os
import signal
import time

import pytest
from overlay_world import hold
from soulseek_rig import Nicotine, SoulseekRig, free_port, nicotine_folder, sockets_of, until
from soulseek_server import SoulseekServer

from reconciler.engine.events import ChunkArrived, PeerConnected, PeerQueued, TransferEnded, TransferFailed
from reconciler.library.index import LibraryIndex
from reconciler.overlay.merkle import chunk_count
from reconciler.state.database import Database

SIZE = 9_000_001
DATA = os.urandom(SIZE)
NAME = "Music\\An Artist\\Album\\01 testsong.flac"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Nicotine+, once."""
    return nicotine_folder(tmp_path_factory)


@pytest.fixture
def server():
    server = SoulseekServer()
    yield server
    server.close()


@pytest.fixture
def music(tmp_path):
    """A folder with an album of two files."""
    album = tmp_path / "music" / "An Artist" / "Album"
    album.mkdir(parents=True)
    (album / "01 testsong.flac").write_bytes(DATA)
    (album / "02 othersong.flac").write_bytes(DATA[:300_000])
    return tmp_path / "music"


@pytest.fixture
def make_rig(tmp_path, server):
    """Makes accounts of ours, and ends them."""
    made = []

    def make(username="us", **account):
        made.append(SoulseekRig(tmp_path / username, server, username=username, **account))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def make_nicotine(tmp_path, server, installed, music):
    """Makes Nicotine+ peers, and ends them."""
    made = []

    def make(name="uploader", **more):
        made.append(Nicotine(installed, tmp_path / name, server, name=name, port=free_port(), shared=music, **more))
        return made[-1].online()

    yield make
    for each in made:
        each.go_on()
        each.close()


def test_a_file_comes_from_nicotine_from_any_chunk_on(make_rig, make_nicotine):
    """Found, asked for, received and written: from the first chunk, and from one in the middle, byte for byte.

    Nicotine+ opens two connections for a file: afterwards neither is left, only those to the server and for messages.
    """
    make_nicotine()
    rig = make_rig().online()
    files = {each.path: each for each in rig.search("artist testsong")}
    assert files[NAME].size == SIZE
    part, path = rig.attach(SIZE)
    middle = chunk_count(SIZE) // 2
    rig.read("uploader", NAME, SIZE, part=part, transfer=1, first=middle)
    events = rig.until_ended()
    assert [type(each) for each in events[:2]] == [PeerConnected, ChunkArrived]
    assert isinstance(events[-1], TransferEnded)
    assert [each.chunk for each in events[1:-1]] == list(range(middle, chunk_count(SIZE)))
    rig.read("uploader", NAME, SIZE, part=part, transfer=2)
    assert isinstance(rig.until_ended()[-1], TransferEnded)
    rig.path.detach(part)
    assert hashlib.sha256(path.read_bytes()).digest() == hashlib.sha256(DATA).digest()
    assert rig.ledger.may_ask("uploader", NAME, SIZE)[0] == ""
    until(lambda: len(sockets_of(rig.path.process_id, "01")) <= 2, patience_s=20)


def test_a_cancelled_read_can_begin_again_at_once(make_rig, make_nicotine, tmp_path):
    """The uploader that has not noticed the end yet loses the second request: it is said again. The end is counted."""
    make_nicotine(limit_kib=1000)
    rig = make_rig().online()
    part, _ = rig.attach(SIZE)
    rig.read("uploader", NAME, SIZE, part=part, transfer=1)
    rig.until_event(ChunkArrived)
    rig.cancel(1)
    failed = rig.until_ended()[-1]
    assert isinstance(failed, TransferFailed)
    assert failed.code == "cancelled"
    rig.read("uploader", NAME, SIZE, part=part, transfer=2, first=chunk_count(SIZE) - 4)
    assert isinstance(rig.until_ended()[-1], TransferEnded)
    assert rig.ledger._standings.of("uploader").cancels == 1
    rig.path.detach(part)


def test_a_file_that_is_not_shared_is_refused_and_never_asked_for_again(make_rig, make_nicotine):
    """In the uploader's words; the second time nothing is sent."""
    make_nicotine()
    rig = make_rig().online()
    part, _ = rig.attach(SIZE)
    for transfer in (1, 2):
        rig.read("uploader", "Music\\nothing.flac", SIZE, part=part, transfer=transfer)
        failed = rig.until_ended()[-1]
        assert isinstance(failed, TransferFailed)
        assert failed.code == "refused"
        assert "File not shared" in failed.message
    assert "wrong before" in failed.message
    assert rig.ledger.may_ask("uploader", NAME, SIZE)[0] == ""


def test_who_is_offline_is_unreachable_at_once(make_rig, make_nicotine):
    """Known from the server: nobody waits for a connection that cannot come."""
    nicotine = make_nicotine(limit_kib=500)
    rig = make_rig().online()
    part, _ = rig.attach(SIZE)
    began = time.monotonic()
    rig.read("nobody", NAME, SIZE, part=part, transfer=1)
    failed = rig.until_ended()[-1]
    assert isinstance(failed, TransferFailed)
    assert failed.code == "unreachable"
    assert time.monotonic() - began < 15  # a connection that cannot come is given up after 20
    rig.read("uploader", NAME, SIZE, part=part, transfer=2)
    rig.until_event(PeerConnected)
    nicotine.process.send_signal(signal.SIGKILL)
    failed = rig.until_ended()[-1]
    assert isinstance(failed, TransferFailed)
    assert failed.code in ("cut short", "unreachable")


def test_a_peer_that_stops_is_stalled(make_rig, make_nicotine):
    """Nothing came for the stall timeout."""
    nicotine = make_nicotine(limit_kib=500)
    rig = make_rig(stall_s=1.5).online()
    part, _ = rig.attach(SIZE)
    rig.read("uploader", NAME, SIZE, part=part)
    rig.until_event(ChunkArrived)
    nicotine.stop()
    failed = rig.until_ended()[-1]
    assert isinstance(failed, TransferFailed)
    assert failed.code == "stalled"


def test_a_place_in_line_is_told(make_rig, make_nicotine):
    """With one slot taken, the second user waits and hears of it; then its turn comes."""
    # The first file takes nine seconds; our place is asked for after five.
    make_nicotine(slots=1, limit_kib=1000)
    first, second = make_rig("first").online(), make_rig("second").online()
    part, _ = first.attach(SIZE)
    first.read("uploader", NAME, SIZE, part=part)
    first.until_event(PeerConnected)
    waiting, path = second.attach(300_000)
    second.read("uploader", "Music\\An Artist\\Album\\02 othersong.flac", 300_000, part=waiting)
    queued = [each for each in second.until_event(PeerConnected) if isinstance(each, PeerQueued)]
    assert queued
    assert any(each.place for each in queued)
    assert isinstance(second.until_ended()[-1], TransferEnded)
    second.path.detach(waiting)
    assert path.read_bytes() == DATA[:300_000]
    assert second.ledger.may_ask("uploader", "x", 1)[1] < 10


def test_two_users_count_tickets_alike(make_rig, music, server):
    """Two clients of our own kind send at once: each file reaches its part, whatever their tickets are."""
    make_rig("one", shared=(str(music),), listen_host="127.0.0.1", listen_port=free_port()).online()
    make_rig("two", shared=(str(music),), listen_host="127.0.0.1", listen_port=free_port()).online()
    rig = make_rig().online()
    until(lambda: server.shared_files.get("one") == server.shared_files.get("two") == 2)

    async def both():
        found = {}
        async with rig.path.search("testsong") as answers:
            while len(found) < 2:
                for each in await asyncio.wait_for(answers.get(), 60):
                    found[each.username] = each
        return found

    found = asyncio.run(both())
    parts = []
    for transfer, each in enumerate(found.values(), start=1):
        part, path = rig.attach(SIZE)
        parts.append((part, path))
        rig.read(each.username, each.path, SIZE, part=part, transfer=transfer)
    assert all(
        isinstance(each, TransferEnded)
        for each in rig.until_ended(2)
        if not isinstance(each, ChunkArrived | PeerConnected)
    )
    for part, path in parts:
        rig.path.detach(part)
        assert path.read_bytes() == DATA


@pytest.fixture
def giver(make_rig, music, server):
    """An account of ours that shares the music, and beside it what must not be shared."""
    secret = music.parent / "secret"
    secret.mkdir()
    (secret / "testsong key.flac").write_bytes(b"secret")
    (music / "testsong link").symlink_to(secret)
    (music / ".testsong hidden.flac").write_bytes(b"hidden")
    (music / "quarantine").mkdir()
    (music / "quarantine" / "testsong wrong.flac").write_bytes(b"wrong")
    rig = make_rig(
        "giver",
        shared=(str(music),),
        never_shared=(str(music / "quarantine"),),
        listen_host="127.0.0.1",
        listen_port=free_port(),
    ).online()
    until(lambda: server.shared_files.get("giver"))
    return rig


@pytest.fixture
def publisher(make_rig, music, server, tmp_path):
    """An account of ours that offers what was published: one file of the album, and not the one beside it."""
    database = Database.open(tmp_path / "published.db")
    index = LibraryIndex(database)
    hold(index, music / "An Artist" / "Album" / "01 testsong.flac", DATA)
    listening = {"listen_host": "127.0.0.1", "listen_port": free_port()}
    rig = make_rig("giver", published=index, published_roots=(str(music),), **listening).online()
    until(lambda: server.shared_files.get("giver"))
    yield rig
    rig.close()
    database.close()


def test_nicotine_downloads_what_we_published(make_rig, make_nicotine, publisher, server, tmp_path):
    """Found by a search, byte for byte; and nothing else of its folder was offered."""
    assert server.shared_files["giver"] == 1
    found = make_rig().online().search("testsong")
    assert [each.path.rpartition("\\")[2] for each in found] == ["01 testsong.flac"]
    make_nicotine("taker", wanted=[["giver", found[0].path, "", "User logged off", SIZE]])
    taken = tmp_path / "taker" / "downloads" / "01 testsong.flac"
    until(taken.exists)
    assert taken.read_bytes() == DATA


def test_nicotine_finds_and_downloads_what_we_published(make_nicotine, publisher, server, tmp_path):
    """By a search of its own, as its user makes one; only the published file is found."""
    assert server.shared_files["giver"] == 1
    make_nicotine("seeker", seeks="testsong")
    taken = tmp_path / "seeker" / "downloads" / "01 testsong.flac"
    until(taken.exists)
    assert taken.read_bytes() == DATA
    assert [each.name for each in taken.parent.iterdir() if each.is_file()] == ["01 testsong.flac"]


def test_another_file_in_the_place_of_a_published_one_is_not_sent(make_rig, publisher, music):
    """Only what was published is, whatever stands under its name by now."""
    rig = make_rig().online()
    (file,) = rig.search("testsong")
    (music / "An Artist" / "Album" / "01 testsong.flac").write_bytes(b"s" * SIZE)
    part, _ = rig.attach(SIZE)
    rig.read("giver", file.path, SIZE, part=part)
    events = rig.until_ended()
    assert isinstance(events[-1], TransferFailed)
    assert not [each for each in events if isinstance(each, ChunkArrived)]


def test_a_link_put_in_the_place_of_a_shared_file_gives_nothing(make_rig, giver, music, server):
    """The path leads elsewhere by then: no byte of that is sent. Only the album's two files were offered."""
    assert server.shared_files["giver"] == 2
    rig = make_rig().online()
    (file,) = rig.search("testsong")
    shared = music / "An Artist" / "Album" / "01 testsong.flac"
    other = music.parent / "other"
    other.write_bytes(b"s" * SIZE)
    shared.unlink()
    shared.symlink_to(other)
    part, path = rig.attach(SIZE)
    rig.read("giver", file.path, SIZE, part=part)
    events = rig.until_ended()
    assert isinstance(events[-1], TransferFailed)
    assert not [each for each in events if isinstance(each, ChunkArrived)]
    rig.path.detach(part)
    assert path.read_bytes() == bytes(SIZE)
