"""The daemon's end of the Soulseek process: a byte path, and the network that the source asks.

Owns: the process (through engine.lane_link), what it tells of the session, the searches that wait for answers, and the
account that is kept of each user. Never: speaks the protocol, matches a file, or moves a byte.
"""

import asyncio
import contextlib
import itertools
import secrets
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from itertools import islice
from typing import Any, Protocol

from loguru import logger

from reconciler.clock import Clock
from reconciler.engine.events import TransferFailed
from reconciler.engine.lane_frames import BrokenFrameError, Fields
from reconciler.engine.lane_link import LaneLink, Program
from reconciler.engine.lane_orders import LaneEvent, PartId, Post, ReadRange, Tag
from reconciler.ids import ChunkIndex
from reconciler.library.index import HeldFile
from reconciler.sources.soulseek.account import Account, SessionStatus
from reconciler.sources.soulseek.ledger import Ledger
from reconciler.sources.soulseek.limits import bounded
from reconciler.sources.soulseek.pauses import Pauses
from reconciler.sources.soulseek.shared_file import SharedFile
from reconciler.sources.soulseek.standing import Happened

# Answers that wait to be taken by one search; each is a frame of at most 100 files. More are dropped: the search has
# enough by then.
ANSWERS_WAITING_MAX = 100

# Published files in one frame: 40 paths of at most 4 kB, each byte of which may take six, stay below its megabyte.
FILES_PER_FRAME = 40

_STATES = frozenset({"offline", "connecting", "online", "banned", "kicked", "refused"})
_WHAT = frozenset({"asked", "cancelled", "failed", "refused", "served"})


class Published(Protocol):
    """What was published (library.index)."""

    @property
    def revision(self) -> str:
        """Another text whenever another file is."""
        ...

    def files(self) -> Iterator[HeldFile]:
        """All of it."""
        ...


class SoulseekPath:
    """A byte path whose peers are Soulseek users; also the network of the source (sources.soulseek.network)."""

    def __init__(
        self, *, account: Account, ledger: Ledger, published: Published, clock: Clock, stall_timeout_s: float
    ) -> None:
        self._account = account
        self._ledger = ledger
        self._published = published
        self._clock = clock
        self._stall_timeout_s = stall_timeout_s
        self._status = SessionStatus(state="offline", reason="not started")
        self._pauses = ledger.pauses()
        self._excluded: frozenset[str] = frozenset()
        self._lock = threading.Lock()
        self._searches: dict[int, Callable[[tuple[SharedFile, ...]], None]] = {}
        self._tickets = itertools.count(secrets.randbits(30))
        self._link: LaneLink | None = None

    def start(self, post: Post) -> None:
        """Start the process, and with it the session."""
        program = Program(module="reconciler.engine.soulseek_process", greeting=self._greeting, told=self._told)
        self._link = LaneLink(post=post, clock=self._clock, stall_timeout_s=self._stall_timeout_s, program=program)
        self._post = post

    # ---- the network of the source -----------------------------------------------------------------------------------

    @property
    def status(self) -> SessionStatus:
        """How the session stands."""
        return self._status

    @property
    def excluded_phrases(self) -> frozenset[str]:
        """Phrases that the server does not search for."""
        return self._excluded

    @asynccontextmanager
    async def search(self, query: str) -> AsyncIterator["asyncio.Queue[tuple[SharedFile, ...]]"]:
        """Send a search; answers come into the queue while the block runs."""
        loop = asyncio.get_running_loop()
        answers: asyncio.Queue[tuple[SharedFile, ...]] = asyncio.Queue(ANSWERS_WAITING_MAX)

        def put(files: tuple[SharedFile, ...]) -> None:
            with contextlib.suppress(asyncio.QueueFull):
                answers.put_nowait(files)

        def take(files: tuple[SharedFile, ...]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(put, files)

        ticket = next(self._tickets)
        with self._lock:
            self._searches[ticket] = take
        try:
            self._say({"do": "search", "ticket": ticket, "query": query})
            yield answers
        finally:
            with self._lock:
                del self._searches[ticket]
            self._say({"do": "search over", "ticket": ticket})

    # ---- BytePath ----------------------------------------------------------------------------------------------------

    def attach(self, part: PartId, path: str, size: int) -> None:
        """Open the part file at `path` for writing; raises OSError."""
        self._running().attach(part, path, size)

    def detach(self, part: PartId) -> frozenset[ChunkIndex]:
        """Close a part; when this returns, nothing will be written to it again."""
        return self._running().detach(part)

    def read(self, order: ReadRange) -> None:
        """Hand an order over, unless its user is to be left alone or its file is known to be of no use."""
        username, path = order.request.endpoint.host, order.request.target
        why_not, questions = self._ledger.may_ask(username, path, order.size)
        if why_not:
            refused = TransferFailed(transfer=order.tag.transfer, code="refused", message=why_not)
            self._post((LaneEvent(tag=order.tag, event=refused),))
            return
        self._running().read(order, {"questions": questions})

    def cancel(self, tag: Tag) -> None:
        """End an order."""
        self._running().cancel(tag)

    def close(self) -> None:
        """End the session and the process."""
        self._running().close()
        self._stand(SessionStatus(state="offline", reason="the daemon has ended"))

    @property
    def process_id(self) -> int:
        """The process that holds the session now."""
        return self._running().process_id

    # ---- the process -------------------------------------------------------------------------------------------------

    def _running(self) -> LaneLink:
        assert self._link is not None, "start comes first"
        return self._link

    def _say(self, fields: Fields) -> None:
        self._running().say(fields)

    def _greeting(self) -> Fields:
        """The account, and how long to wait; a process that died while it was online counts as a lost session."""
        if self._status.state in ("online", "connecting"):
            now = self._clock.wall()
            self._pauses = self._pauses.ended("lost", now=now, lasted_s=0.0, chance=lambda: 0.0)
        self._stand(SessionStatus(state="offline", reason="starting"))
        return {"do": "begin", "account": asdict(self._account), "pauses": asdict(self._pauses)}

    def _told(self, fields: Fields) -> None:
        try:
            self._take(fields)
        except (KeyError, TypeError, ValueError) as error:
            raise BrokenFrameError(f"a frame without {error}") from error

    def _take(self, fields: Fields) -> None:
        match fields["tell"]:
            case "status":
                self._take_status(fields)
            case "found":
                with self._lock:
                    take = self._searches.get(int(fields["ticket"]))
                if take is not None:
                    take(tuple(SharedFile(**each) for each in fields["files"]))
            case "published?":
                self._tell_published(str(fields["revision"]))
            case "excluded":
                self._excluded = frozenset(str(each) for each in fields["phrases"])
            case "happened":
                if fields["what"] not in _WHAT:
                    raise ValueError(fields["what"])
                happened = Happened(what=fields["what"], reason=bounded(str(fields["reason"])))
                self._ledger.happened(str(fields["user"]), str(fields["path"]), int(fields["size"]), happened)
            case "log":
                logger.bind(line=bounded(str(fields["line"]), chars_max=1000)).debug("soulseek process says")
            case other:
                raise ValueError(other)

    def _tell_published(self, known: str) -> None:
        """Tell the process what is published, unless it knows; in pieces that fit into frames."""
        revision = self._published.revision
        if revision == known:
            return
        files = ((each.path, each.size, each.mtime_ns) for each in self._published.files())
        piece = tuple(islice(files, FILES_PER_FRAME))
        while True:
            following = tuple(islice(files, FILES_PER_FRAME))
            self._say({"do": "published", "revision": revision, "files": piece, "last": not following})
            if not following:
                return
            piece = following

    def _stand(self, status: SessionStatus) -> None:
        self._status = status
        self._ledger.tell(status)

    def _take_status(self, fields: dict[str, Any]) -> None:
        if fields["state"] not in _STATES:
            raise ValueError(fields["state"])
        retry = fields["retry_in_s"]
        status = SessionStatus(
            state=fields["state"],
            reason=bounded(str(fields["reason"])),
            retry_in_s=None if retry is None else float(retry),
            listen_port=int(fields["listen_port"]),
        )
        self._stand(status)
        self._pauses = Pauses(**fields["pauses"])
        self._ledger.keep_pauses(self._pauses)
        tell = logger.bind(reason=status.reason, retry_in_s=retry if retry is None else round(retry))
        if status.state in ("banned", "kicked", "refused"):
            tell.error(f"soulseek session is {status.state}")
        else:
            tell.info(f"soulseek session is {status.state}")
