"""A daemon's end of Soulseek against a test server, and Nicotine+ as a peer.

Owns: starting and ending these, and waiting for what they tell. Never: checks anything.
"""

import asyncio
import contextlib
import fcntl
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from run_folder import run_folder

from reconciler.clock import SystemClock
from reconciler.engine.events import TransferEnded, TransferFailed, TransferId
from reconciler.engine.lane_orders import PartId, ReadRange, Tag
from reconciler.engine.partfile import PartName, PartStore
from reconciler.engine.soulseek_path import SoulseekPath
from reconciler.ids import ChunkIndex, JobId, TrackPosition
from reconciler.library.index import LibraryIndex
from reconciler.overlay.merkle import chunk_count
from reconciler.sources.base import ByteRequest, Endpoint
from reconciler.sources.soulseek.account import Account
from reconciler.sources.soulseek.ledger import Ledger
from reconciler.state.database import Database
from reconciler.state.soulseek import SoulseekStore

JOB = JobId("01JABCDEFGHJKMNPQRSTVWXYZ0")
NICOTINE = "nicotine-plus==3.3.11"

# Nicotine+ is up within five seconds on an idle machine.
PATIENCE_S = 240.0


def until(true, patience_s=PATIENCE_S):
    """Wait for something that another process does; looks, because nothing tells."""
    deadline = time.monotonic() + patience_s
    while not (found := true()):
        assert time.monotonic() < deadline, "it did not happen"
        threading.Event().wait(0.02)
    return found


def free_port():
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def sockets_of(process_id, state):
    """Local addresses of a process's TCP sockets in a state, as the kernel has both: 01 = connected, 0A = listening."""
    inodes = set()
    for each in Path(f"/proc/{process_id}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # it has closed this one meanwhile
            inodes.add(str(each.readlink()))
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [row[1] for row in rows if row[3] == state and f"socket:[{row[9]}]" in inodes]


class SoulseekRig:
    """One account of ours: process, ledger, database, one part."""

    def __init__(self, folder, server, *, username="us", stall_s=10.0, searches_max=30, published=None, **account):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.closed = False
        self.database = Database.open(folder / "state" / "reconciler.db")
        self.ledger = Ledger(SoulseekStore(self.database), SystemClock(), searches_max=searches_max)
        self.events = queue.Queue()
        given = {"password": "secret", "server_host": "127.0.0.1", "server_port": server.port}
        self.account = Account(username=username, **{**given, **account})
        self.path = SoulseekPath(
            account=self.account,
            ledger=self.ledger,
            published=published or LibraryIndex(self.database),
            clock=SystemClock(),
            stall_timeout_s=stall_s,
        )
        self.path.start(lambda events: [self.events.put(each) for each in events])
        self.store = PartStore(parts=folder / "parts", quarantine=folder / "quarantine")
        (folder / "library").mkdir(exist_ok=True)
        self.parts = 0

    def online(self):
        """Wait until logged in."""
        until(lambda: self.path.status.state == "online")
        return self

    def search(self, query):
        """What a query finds within ten seconds, from the first who answers."""

        async def first():
            async with self.path.search(query) as answers:
                return await asyncio.wait_for(answers.get(), 60)

        return asyncio.run(first())

    def attach(self, size):
        """A new part of this size, open for writing."""
        self.parts += 1
        name = PartName(job_id=JOB, position=TrackPosition(self.parts), part_id="claim:x")
        path, _ = self.store.open(name, allowed_root=self.folder / "library", variant_id="claim:x", size=size)
        self.path.attach(PartId(self.parts), str(path), size)
        return PartId(self.parts), path

    def read(self, username, path, size, *, part, transfer=1, first=0, last=None, expected=None):
        """Ask for a file from a chunk to the end."""
        self.path.read(
            ReadRange(
                tag=Tag(job_id=JOB, transfer=TransferId(transfer)),
                part=part,
                request=ByteRequest(endpoint=Endpoint(host=username, port=0, tls=False), target=path, headers=()),
                size=size,
                first=ChunkIndex(first),
                last=ChunkIndex(chunk_count(size) - 1 if last is None else last),
                expected=expected,
            )
        )

    def cancel(self, transfer=1):
        """End it."""
        self.path.cancel(Tag(job_id=JOB, transfer=TransferId(transfer)))

    def until_event(self, *kinds, patience_s=PATIENCE_S):
        """All events up to the first of these kinds."""
        seen = []
        while not seen or not isinstance(seen[-1], kinds):
            seen.append(self.events.get(timeout=patience_s).event)
        return seen

    def until_ended(self, transfers=1, patience_s=PATIENCE_S):
        """All events until so many transfers have ended."""
        seen = []
        while sum(isinstance(each, TransferEnded | TransferFailed) for each in seen) < transfers:
            seen.append(self.events.get(timeout=patience_s).event)
        return seen

    def close(self):
        """End the process and the database; once is enough."""
        if not self.closed:
            self.closed = True
            self.path.close()
            self.database.close()


def nicotine_folder(tmp_path_factory):
    """Where Nicotine+ is installed: given by RECONCILER_TEST_NICOTINE, else installed once for all tests of a run, also
    those of its other workers; skips where neither works.

    A plain installation would build its window toolkit, which a headless one does without.
    """
    if given := os.environ.get("RECONCILER_TEST_NICOTINE"):
        return Path(given)
    shared = run_folder(tmp_path_factory)
    folder, refusal = shared / "nicotine", shared / "nicotine refused"
    with (shared / "nicotine lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists() and not refusal.exists():
            _install(folder, refusal)
    if refusal.exists():
        pytest.skip(f"needs {NICOTINE}, which cannot be installed here: {refusal.read_text()}")
    return folder


def _install(folder, refusal):
    """Install Nicotine+ into a folder, which is there only when it is whole; or write down why not."""
    new = folder.with_name("nicotine new")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", new, NICOTINE]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        refusal.write_text(run.stderr.strip()[-200:])
    else:
        new.rename(folder)


CONFIG = """\
[server]
server = ('127.0.0.1', {server})
login = {name}
passw = secret of {name}
portrange = ({port}, {port})
upnp = False
auto_connect_startup = True
[transfers]
shared = [('Music', '{shared}')]
downloaddir = {folder}/downloads
useupslots = True
uploadslots = {slots}
use_upload_speed_limit = {limited}
uploadlimit = {limit_kib}
rescanonstartup = True
"""

SEEKING = """\
[plugins]
enable = True
enabled = ['seeking']
"""

# What a person does in the window: search when logged in, and download what is found.
SEEKER = """\
from pynicotine.events import events
from pynicotine.pluginsystem import BasePlugin


class Plugin(BasePlugin):
    def loaded_notification(self):
        events.connect("file-search-response", self.found)

    def server_connect_notification(self):
        self.core.search.do_search({words!r}, "global")

    def found(self, msg):
        if msg.token is not None:
            for _code, path, size, *_ in msg.list:
                self.core.downloads.enqueue_download(msg.username, path, size=size)
"""


class Nicotine:
    """A Nicotine+ without a window that shares a folder."""

    def __init__(self, installed, folder, server, *, name, port, shared, slots=2, limit_kib=0, wanted=(), seeks=""):
        """`wanted` is what it had not finished when it ended last; `seeks`, what it searches for and downloads."""
        folder.mkdir(parents=True)
        self.name = name
        config = folder / "config"
        limited = "primary" if limit_kib else "unlimited"
        config.write_text(
            CONFIG.format(
                server=server.port,
                name=name,
                port=port,
                shared=shared,
                folder=folder,
                slots=slots,
                limited=limited,
                limit_kib=limit_kib,
            )
        )
        (folder / "data").mkdir()
        if seeks:
            plugin = folder / "data" / "plugins" / "seeking"
            plugin.mkdir(parents=True)
            (plugin / "__init__.py").write_text(SEEKER.format(words=seeks))
            (plugin / "PLUGININFO").write_text('Version = "1"\nAuthors = []\nName = "seeking"\nDescription = ""\n')
            with config.open("a") as file:
                file.write(SEEKING)
        # What it had not finished when it ended last: it goes on by itself.
        (folder / "data" / "downloads.json").write_text(json.dumps(list(wanted)))
        command = [sys.executable, "-m", "pynicotine", "--headless", "-b", "127.0.0.1", "-c", config]
        self.log = (folder / "log").open("wb")
        self.process = subprocess.Popen(
            [*command, "-u", folder / "data"],
            env={**os.environ, "HOME": str(folder), "PYTHONPATH": str(installed)},
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=subprocess.STDOUT,
        )
        self.server = server

    def online(self):
        """Wait until it is logged in and has told the server what it shares."""
        until(lambda: self.name in self.server.online)
        until(lambda: self.server.shared_files.get(self.name, 0))
        return self

    def stop(self):
        """Hold it: it stops to send."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        """Let it run again."""
        self.process.send_signal(signal.SIGCONT)

    def close(self):
        """End it."""
        self.process.kill()
        self.process.wait()
        self.log.close()
