"""The process that holds the Soulseek session: hostile frames, and what comes of them, stay out of the daemon.

Owns: reading commands from the daemon, keeping the session with pauses, telling what is found and read. Never: decides
what is searched for or read, or outlives its daemon.

`python -m reconciler.engine.soulseek_process FD STALL_TIMEOUT_S`: FD is a stream socket that it shares with its parent.
The first frame on it is the account; the password is nowhere else.
"""

import asyncio
import contextlib
import ctypes
import logging
import os
import random
import resource
import signal
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from itertools import islice

from reconciler.clock import SystemClock
from reconciler.engine.lane_frames import Fields, Unpacker, answer_fields, event_fields, order_of, pack
from reconciler.engine.lane_orders import LaneEvent, Tag
from reconciler.engine.soulseek_reads import Reads
from reconciler.sources.soulseek.account import Account
from reconciler.sources.soulseek.client import Client, SessionEndedError
from reconciler.sources.soulseek.pauses import Pauses
from reconciler.sources.soulseek.quiet_log import LIBRARY, QuietLog, quieten
from reconciler.sources.soulseek.search_reply import SearchReply
from reconciler.sources.soulseek.sharing import Mark
from reconciler.sources.soulseek.standing import Happened

# Address space; see docs/explanation/etiquette.md for what it holds. The limit ends this process long before a machine
# with a gigabyte of memory suffers; it is started again, and its account waits.
ADDRESS_SPACE_BYTES = 512 << 20

# Each thread has a stack and, in glibc, takes part in an arena of 64 MB of addresses: with the defaults, the threads of
# twenty parts would map more than the limit and touch nothing of it. mallopt(3).
THREAD_STACK_BYTES = 1 << 20
ARENAS_MAX = 2
_M_ARENA_MAX = -8

# Threads for hashing, writing and scanning.
THREADS = 4

# Searches listened for at once, and files passed on for one: the first thousands hold what the rest repeats.
SEARCHES_MAX = 64
FILES_PER_SEARCH_MAX = 3000
# Files in one frame: 100 of at most 6 kB (a path of 1,024 characters, each escaped) stay below its megabyte.
FILES_PER_FRAME = 100

# What waits for the daemon before reads and searches are held up or dropped.
WAITING_BYTES_MAX = 8 << 20

# Shared folders are looked through again this often, and the daemon is asked for what was published since.
RESCAN_S = 1800.0
PUBLISHED_S = 30.0

# How long closing connections may take at the end.
GOODBYE_S = 2.0

_RECEIVE_BYTES = 1 << 16


class _Process:
    """Everything that runs here."""

    def __init__(self, link: asyncio.StreamWriter, tasks: asyncio.TaskGroup, *, stall_s: float) -> None:
        self._link = link
        self._tasks = tasks
        self._stall_s = stall_s
        self._clock = SystemClock()
        self._searches: dict[int, int] = {}
        self._listen_port = 0
        self._published: list[tuple[str, Mark]] = []
        self._revision = ""
        """Of the published files that are offered; empty = none are yet."""
        self._scan_now = asyncio.Event()
        self._client: Client | None = None
        self._reads: Reads | None = None

    def tell(self, fields: Fields) -> None:
        self._link.write(pack(fields))

    # ---- commands ----------------------------------------------------------------------------------------------------

    async def obey(self, fields: Fields) -> None:
        match fields["do"]:
            case "begin":
                await self._begin(fields)
            case "search":
                await self._search(int(fields["ticket"]), str(fields["query"]))
            case "published":
                self._take_published(fields)
            case "search over":
                self._searches.pop(int(fields["ticket"]), None)
            case _:
                assert self._reads is not None
                self._obey_reads(fields, self._reads)

    def _obey_reads(self, fields: Fields, reads: Reads) -> None:
        match fields["do"]:
            case "hello":
                self.tell(answer_fields(fields["question"]))
            case "attach":
                refused = None
                try:
                    reads.attach(fields["part"], fields["path"], fields["size"])
                except OSError as error:
                    refused = error
                self.tell(answer_fields(fields["question"], refused))
            case "detach":
                self._tasks.create_task(self._detach(reads, fields), name="detach")
            case "read":
                reads.read(order_of(fields), questions=int(fields["questions"]))
            case "cancel":
                reads.cancel(Tag(job_id=fields["job"], transfer=fields["transfer"]))
            case other:
                raise ValueError(f"no such command: {other!r}")

    async def _detach(self, reads: Reads, fields: Fields) -> None:
        try:
            read_again = await asyncio.to_thread(reads.detach, fields["part"])
        except OSError as refused:
            self.tell(answer_fields(fields["question"], refused))
        else:
            self.tell(answer_fields(fields["question"], read_again=read_again))

    async def _search(self, ticket: int, query: str) -> None:
        if self._client is not None and len(self._searches) < SEARCHES_MAX:
            self._searches[ticket] = FILES_PER_SEARCH_MAX
            await self._client.search(ticket, query)

    async def close(self) -> None:
        """Give what was written its journal lines, and say goodbye to the server, so that it knows at once."""
        if self._reads is not None:
            await asyncio.to_thread(self._reads.detach_all)
        if self._client is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GOODBYE_S):
                    await self._client.stop()

    # ---- the session -------------------------------------------------------------------------------------------------

    async def _begin(self, fields: Fields) -> None:
        given = fields["account"]
        folders = {name: tuple(given[name]) for name in ("shared", "never_shared", "published_roots")}
        account = Account(**{**given, **folders})
        client = self._client = Client(account, found=self._found, excluded=self._excluded)
        self._reads = Reads(
            client,
            tasks=self._tasks,
            tell=self._event,
            happened=self._happened,
            clock=self._clock,
            stall_s=self._stall_s,
        )
        # The process is started again after a crash: its account must not come back quicker than after a lost session.
        self._tasks.create_task(self._keep_session(client, Pauses(**fields["pauses"])), name="session")

    async def _keep_session(self, client: Client, pauses: Pauses) -> None:
        wrong = await client.begin()
        self._listen_port = 0 if wrong else client.account.listen_port
        if wrong:
            self.tell({"tell": "log", "line": f"{wrong}; peers that cannot be reached cannot send"})
        if client.account.gives:
            self._tasks.create_task(self._keep_scanning(client), name="scan")
        if client.account.published_roots:
            self._tasks.create_task(self._keep_asking(), name="published")
        reason = ""
        while True:
            wait_s = pauses.wait_s(self._clock.wall())
            if wait_s is None:
                self._status("refused", reason, None, pauses)
                return
            if wait_s:
                self._status(_waiting_as(reason), reason, wait_s, pauses)
                await asyncio.sleep(wait_s)
            self._status("connecting", reason, None, pauses)
            pauses, reason = await self._one_session(client, pauses)

    async def _one_session(self, client: Client, pauses: Pauses) -> tuple[Pauses, str]:
        began_s: list[float] = []

        def online() -> None:
            began_s.append(self._clock.monotonic())
            self._status("online", "", None, replace(pauses, unanswered_in_a_row=0))

        try:
            await client.hold_session(online)
        except SessionEndedError as ended:
            lasted_s = self._clock.monotonic() - began_s[0] if began_s else 0.0
            now = self._clock.wall()
            after = pauses.ended(ended.how, now=now, lasted_s=lasted_s, chance=random.random)
            return after, f"{ended.how}: {ended.reason}"
        raise AssertionError("a session always ends")

    async def _keep_scanning(self, client: Client) -> None:
        while True:
            self._scan_now.clear()
            await client.rescan()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RESCAN_S):
                    await self._scan_now.wait()

    async def _keep_asking(self) -> None:
        while True:
            self.tell({"tell": "published?", "revision": self._revision})
            await asyncio.sleep(PUBLISHED_S)

    def _take_published(self, fields: Fields) -> None:
        """Collect what is published, in pieces of one answer; offer it once all of it is here."""
        self._published += [(path, (size, mtime_ns)) for path, size, mtime_ns in fields["files"]]
        if fields["last"] and self._client is not None:
            self._client.publish(self._published)
            self._published, self._revision = [], fields["revision"]
            self._scan_now.set()

    # ---- telling -----------------------------------------------------------------------------------------------------

    def _status(self, state: str, reason: str, retry_in_s: float | None, pauses: Pauses) -> None:
        told = {"state": state, "reason": reason, "retry_in_s": retry_in_s, "listen_port": self._listen_port}
        self.tell({"tell": "status", **told, "pauses": asdict(pauses)})

    def _event(self, event: LaneEvent) -> None:
        self.tell(event_fields(event))

    def _happened(self, username: str, path: str, size: int, happened: Happened) -> None:
        self.tell({"tell": "happened", "user": username, "path": path, "size": size, **asdict(happened)})

    def _excluded(self, phrases: tuple[str, ...]) -> None:
        self.tell({"tell": "excluded", "phrases": phrases})

    def _found(self, reply: SearchReply) -> None:
        """Pass an answer on, unless nobody waits for it, enough came, or the daemon does not keep up."""
        left = self._searches.get(reply.ticket, 0)
        if self._link.transport.get_write_buffer_size() > WAITING_BYTES_MAX:
            return
        files = iter(reply.files[:left])
        while batch := [asdict(each) for each in islice(files, FILES_PER_FRAME)]:
            self._searches[reply.ticket] -= len(batch)
            self.tell({"tell": "found", "ticket": reply.ticket, "files": batch})


def _waiting_as(reason: str) -> str:
    how = reason.partition(":")[0]
    return how if how in ("banned", "kicked") else "offline"


def _quiet(process: _Process, loop: asyncio.AbstractEventLoop) -> None:
    """Bound what is logged: by the library, and about tasks of the library that nobody waits for."""
    clock = SystemClock()
    told = QuietLog(lambda line: process.tell({"tell": "log", "line": line}), clock.monotonic)
    quieten(told)

    def unheard(_: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        error = context.get("exception")
        words = f"{context.get('message', '')} {type(error).__name__ if error else ''}"
        told.handle(logging.LogRecord(LIBRARY, logging.WARNING, "", 0, words, None, None))

    loop.set_exception_handler(unheard)


async def _serve(link: socket.socket, stall_s: float) -> None:
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(THREADS, thread_name_prefix="soulseek"))
    reader, writer = await asyncio.open_connection(sock=link)
    unpacker = Unpacker()
    async with asyncio.TaskGroup() as tasks:
        process = _Process(writer, tasks, stall_s=stall_s)
        _quiet(process, loop)
        while data := await reader.read(_RECEIVE_BYTES):
            for fields in unpacker.feed(data):
                await process.obey(fields)
        await process.close()
        # Nobody is left to tell: what still runs ends with the process.
        os._exit(0)


def main() -> None:
    """Obey until the daemon closes its end."""
    # Ctrl-C reaches the whole group; the daemon ends this process in order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.stack_size(THREAD_STACK_BYTES)
    if hasattr(libc := ctypes.CDLL(None), "mallopt"):  # musl has neither arenas nor this
        libc.mallopt(_M_ARENA_MAX, ARENAS_MAX)
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    asyncio.run(_serve(socket.socket(fileno=int(sys.argv[1])), float(sys.argv[2])))


if __name__ == "__main__":
    main()
