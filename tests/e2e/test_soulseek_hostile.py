"""Strangers who send what no client sends: nothing grows, halts or is written, and an honest download goes on."""

import asyncio
import contextlib
import os
import socket
import struct
import threading
import time
import zlib
from pathlib import Path

import pytest
from soulseek_rig import SoulseekRig, free_port, until
from soulseek_server import (
    CANNOT_CONNECT,
    CONNECT_TO_PEER,
    FILE_SEARCH,
    LOGIN,
    SET_PORT,
    Fields,
    SoulseekServer,
    frame,
    text,
    word,
)

from reconciler.engine.events import PeerConnected, TransferEnded, TransferFailed

MEGABYTE = 1 << 20
GROWTH_BYTES_MAX = 64 * MEGABYTE
BLOCKED_S_MAX = 0.2
DATA = os.urandom(30 * MEGABYTE)

NAMES = (
    "..\\..\\..\\etc\\passwd.flac",
    "/etc/passwd.flac",
    "C:\\autoexec.flac",
    "music\\nul\0byte.flac",
    "music\\" + "n" * 400 + ".flac",
    "music\\\u202egnp.flac",
    "music\\" + "x" * 5000 + ".flac",
    "music\\good song.flac",
)


@pytest.fixture
def server():
    server = SoulseekServer()
    yield server
    server.close()


@pytest.fixture
def rig(tmp_path, server):
    rig = SoulseekRig(tmp_path / "us", server, listen_host="127.0.0.1", listen_port=free_port()).online()
    yield rig
    rig.close()


@pytest.fixture
def honest(tmp_path, server):
    """Another account of ours, which shares one file."""
    music = tmp_path / "music"
    music.mkdir()
    (music / "honest song.flac").write_bytes(DATA)
    port = free_port()
    account = {"shared": (str(music),), "listen_host": "127.0.0.1", "listen_port": port}
    # Slow enough that it lasts while the others do their worst.
    rig = SoulseekRig(tmp_path / "honest", server, username="honest", upload_bytes_per_s=8 * MEGABYTE, **account)
    rig.online()
    until(lambda: server.shared_files.get("honest"))
    yield rig
    rig.close()


def memory(process_id, field):
    """Bytes of a process: VmRSS now, VmHWM at its highest."""
    lines = Path(f"/proc/{process_id}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) * 1024


def row(name, size=1000):
    """A file of a search answer."""
    return b"\1" + text(name) + struct.pack("<Q", size) + text("") + word(0)


def answer(user, ticket, rows, count=None):
    """A FileSearchResponse."""
    body = text(user) + word(ticket) + word(len(rows) if count is None else count) + b"".join(rows)
    return frame(9, zlib.compress(body + b"\1" + word(0) * 3))


class Stranger:
    """A peer by its own hand."""

    def __init__(self, rig, *, kind="P"):
        self.socket = socket.create_connection(("127.0.0.1", rig.account.listen_port), 10)
        self.socket.settimeout(60)
        body = b"\1" + text("evil") + text(kind) + word(0)
        self.send(word(len(body)) + body)

    def send(self, data):
        """Send, and do not mind being hung up on."""
        try:
            self.socket.sendall(data)
        except OSError:
            return False
        return True

    def wait_for_the_end(self):
        """Until we are hung up on."""
        try:
            while self.socket.recv(4096):
                pass
        except OSError:
            pass
        self.socket.close()


def oversized(rig):
    """A frame that says four gigabytes, of a kind that is read, and one of a kind that is passed over."""
    for code in (9, 5):
        stranger = Stranger(rig)
        stranger.send(struct.pack("<II", 0xFFFF_FFF0, code))
        for _ in range(64):
            if not stranger.send(bytes(MEGABYTE)):
                break
        stranger.wait_for_the_end()


def bombs(rig):
    """Answers that inflate to a gigabyte, and that count more files than they have."""
    deflating = zlib.compressobj(9)
    packed = b"".join(deflating.compress(bytes(MEGABYTE)) for _ in range(200)) + deflating.flush()
    for _ in range(20):
        for data in (frame(9, packed), answer("evil", 1, [], count=0xFFFF_FFFF), answer("evil", 1, [], count=400)):
            stranger = Stranger(rig)
            stranger.send(data)
            stranger.wait_for_the_end()


def talk(rig):
    """Frames that cannot be read, each as long as one may be: what the library would write into a log, whole."""
    stranger = Stranger(rig)
    for _ in range(200):
        if not stranger.send(frame(43, b"\xff" * 200_000)):
            break
    stranger.socket.close()


def silent(rig):
    """Connections that say nothing, and some for files that nobody waits for."""
    sockets = []
    for _ in range(300):
        try:
            sockets.append(socket.create_connection(("127.0.0.1", rig.account.listen_port), 10))
        except OSError:
            break
    files = [Stranger(rig, kind="F") for _ in range(20)]
    for each in files:
        each.send(word(2))
    for each in sockets:
        each.close()
    for each in files:
        each.socket.close()


def others_ran_s():
    """How long this thread could have run and the machine ran others instead: not ours to answer for. proc(5)"""
    return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9


async def watched(rig, work, seen):
    """Do `work` in threads while the loop's longest halt and the memory of both processes are measured."""
    tasks = [asyncio.create_task(asyncio.to_thread(each)) for each in work]
    before = {pid: memory(pid, "VmRSS") for pid in (rig.path.process_id, os.getpid())}
    at, others = time.monotonic(), others_ran_s()
    while not all(task.done() for task in tasks):
        await asyncio.sleep(0.01)
        now, others_now = time.monotonic(), others_ran_s()
        seen["blocked_s"] = max(seen.get("blocked_s", 0.0), now - at - 0.01 - (others_now - others))
        at, others = now, others_now
    for task in tasks:
        await task
    seen["process_id"] = rig.path.process_id
    seen["child"] = memory(rig.path.process_id, "VmHWM") - before[rig.path.process_id]
    seen["parent"] = memory(os.getpid(), "VmRSS") - before[os.getpid()]


def test_hostile_peers_cost_nothing_and_an_honest_download_goes_on(rig, honest, tmp_path):
    """Oversized frames, bombs, endless noise and silence at once: below 64 MB, no halt over 200 ms, no process lost."""
    process_id = rig.path.process_id
    part, path = rig.attach(len(DATA))
    (file,) = rig.search("honest song")
    rig.read(file.username, file.path, file.size, part=part)
    rig.until_event(PeerConnected)
    seen = {}
    attacks = [lambda attack=attack: attack(rig) for attack in (oversized, bombs, talk, silent)]
    asyncio.run(watched(rig, attacks, seen))
    assert isinstance(rig.until_ended()[-1], TransferEnded)
    rig.path.detach(part)
    assert path.read_bytes() == DATA
    assert seen["process_id"] == process_id, "the process was lost"
    assert seen["child"] < GROWTH_BYTES_MAX
    assert seen["parent"] < GROWTH_BYTES_MAX
    assert seen["blocked_s"] < BLOCKED_S_MAX
    assert rig.path.status.state == "online"
    grown = {side: f"{seen[side] / MEGABYTE:.0f} MB" for side in ("child", "parent")}
    print(f"grown: {grown}, longest halt: {seen['blocked_s'] * 1000:.0f} ms")


def test_our_list_is_not_packed_again_and_again(honest):
    """Who asks ten times gets it once; the question after these is answered."""
    stranger = Stranger(honest)
    stranger.send(frame(4) * 10 + frame(15))
    codes = []
    with stranger.socket.makefile("rb") as stream:
        while 16 not in codes:
            length, code = struct.unpack("<II", stream.read(8))
            stream.read(length - 4)
            codes.append(code)
    stranger.socket.close()
    assert codes == [5, 16]


def test_names_of_strangers_never_become_paths(rig, server, tmp_path):
    """What they offer is found as it is named or left out; fetching it writes into the part and nowhere else."""
    ready = threading.Event()
    threading.Thread(target=hostile_user, args=(rig, server.port, ready), daemon=True).start()
    assert ready.wait(60)
    names = {each.path for each in rig.search("good song")}
    assert names == {name for name in NAMES if "\0" not in name and len(name) <= 1024}
    before = files_below(tmp_path)
    part, path = rig.attach(1000)
    for transfer, name in enumerate(sorted(names), start=1):
        rig.read("evil", name, 1000, part=part, transfer=transfer)
        failed = rig.until_ended()[-1]
        assert isinstance(failed, TransferFailed)
    rig.path.detach(part)
    new = files_below(tmp_path) - before
    assert {each.name for each in new} <= {path.name, path.with_suffix(".journal").name, "reconciler.db-journal"}


def files_below(folder):
    """Every file there."""
    return {each for each in folder.rglob("*") if each.is_file() and "reconciler.db" not in each.name}


def hostile_user(rig, server_port, ready):
    """Logs in, answers one search with names, and refuses every upload by hanging up."""
    listening = socket.create_server(("127.0.0.1", 0))
    with (
        contextlib.suppress(OSError),
        socket.create_connection(("127.0.0.1", server_port)) as link,
        link.makefile("rb") as stream,
    ):
        link.sendall(frame(LOGIN, text("evil") + text("x") + word(160) + text("") + word(1)))
        link.sendall(frame(SET_PORT, word(listening.getsockname()[1]) + word(0) + word(0)))
        while head := stream.read(8):
            length, code = struct.unpack("<II", head)
            body = stream.read(length - 4)
            if code == LOGIN:
                ready.set()
            elif code == FILE_SEARCH:
                fields = Fields(body)
                fields.text()
                stranger = Stranger(rig)
                stranger.send(answer("evil", fields.word(), [row(name) for name in NAMES]))
                stranger.wait_for_the_end()
                listening.close()
            elif code == CONNECT_TO_PEER:
                fields = Fields(body)
                asking, _ = fields.text(), fields.text()
                fields.at += 8  # address and port
                link.sendall(frame(CANNOT_CONNECT, word(fields.word()) + text(asking)))


def test_a_process_that_dies_is_started_again_and_waits_before_it_logs_in(rig, server):
    """The server does not see it come back at once."""
    logins = len(server.logins)
    died = time.monotonic()
    os.kill(rig.path.process_id, 9)
    until(lambda: len(server.logins) > logins)
    assert server.logins[-1][0] - died > 4.5
    rig.online()
