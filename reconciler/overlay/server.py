"""Be a peer: answer others about what we hold.

Owns: the routes of the wire format, who may ask what, and the server's life. Never: decides what is shared
(library.index), sends a blob (overlay.uploads).

Disk and database are only touched in the server's own few threads.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from loguru import logger

from reconciler.clock import Clock
from reconciler.errors import DiskError, FileBusyError, NotFoundError, PeerError
from reconciler.ids import Mbid, PeerId, Root, is_mbid, is_root
from reconciler.library.index import Holding, HoldingChangedError, LibraryIndex
from reconciler.overlay.answers import (
    RETRY_FULL_S,
    RefusedError,
    bytes_answer,
    json_answer,
    refusal,
)
from reconciler.overlay.descriptor import AUDIO_BYTES_MAX, DescribedVariant, make_descriptor
from reconciler.overlay.fairness import ReplayGuard, UploadLimits
from reconciler.overlay.identity import Identity, verify_authorization
from reconciler.overlay.listener import Listener
from reconciler.overlay.merkle import HASH_BYTES, chunk_count
from reconciler.overlay.messages import (
    AGENT,
    BITFIELD_SUFFIX,
    BLOBS_PREFIX,
    CHUNKS_SUFFIX,
    FEATURES,
    HAVE_BYTES_MAX,
    HAVE_TARGET,
    HELLO_TARGET,
    RECORDINGS_PREFIX,
    VERSION,
    HaveAnswer,
    HaveQuestion,
    HeldRoot,
    write_bitfield,
)
from reconciler.overlay.tls import server_context
from reconciler.overlay.uploads import Uploads

# Threads for disk and database: more than the two or three that a disk can keep busy only wait.
THREADS = 4

# A connection without a whole request for this long is closed; the first request counts from the connection.
IDLE_S_MAX = 30.0
# A question is a few kilobytes: whoever takes longer to send it holds a connection on purpose.
BODY_S_MAX = 10.0
# Answers under way when the server stops get this long to end.
GRACE_S = 1.0

# Between two lines of the log about a disk of ours that fails.
WARNING_EVERY_S = 60.0

# Our longest target has 89 bytes and our longest header, the signature, 190.
LINE_BYTES_MAX = 1024
FIELD_BYTES_MAX = 4096
HEADERS_MAX = 32

T = TypeVar("T")


class OverlayServer:
    """One listening peer."""

    def __init__(self, identity: Identity, index: LibraryIndex, limits: UploadLimits, clock: Clock) -> None:
        self._identity = identity
        self._index = index
        self._limits = limits
        self._clock = clock
        self._replays = ReplayGuard()
        self._running: _Running | None = None
        self._silent_until_s = 0.0

    async def start(self, host: str, port: int) -> int:
        """Listen at an address (0 = a free port) and return the port; raises OSError where it cannot be had."""
        if self._running is not None:
            raise RuntimeError("the overlay server is running already")
        protocols = web.Server(
            self._answer,
            handler_cancellation=True,
            access_log=None,
            logger=_quiet_log(),
            keepalive_timeout=IDLE_S_MAX,
            lingering_time=GRACE_S,
            max_line_size=LINE_BYTES_MAX,
            max_field_size=FIELD_BYTES_MAX,
            max_headers=HEADERS_MAX,
            auto_decompress=False,
        )
        context = server_context(self._identity, unix_s=self._clock.wall())
        listener = Listener(protocols, context, host=host, port=port)
        threads = ThreadPoolExecutor(THREADS, thread_name_prefix="overlay-server")
        self._running = _Running(
            protocols=protocols,
            listener=listener,
            threads=threads,
            uploads=Uploads(self._index, self._limits, clock=self._clock, threads=threads),
            accepting=asyncio.create_task(listener.run(), name="overlay-listener"),
        )
        logger.info("overlay server listens", peer=self._identity.id, host=host, port=listener.port)
        return listener.port

    async def stop(self) -> None:
        """Stop listening, give answers under way a moment, close everything. Stopped twice is as once."""
        running, self._running = self._running, None
        if running is None:
            return
        running.accepting.cancel()
        await asyncio.wait([running.accepting])
        running.listener.close()
        await running.protocols.shutdown(GRACE_S)
        await asyncio.to_thread(running.threads.shutdown)

    # ---- one request -------------------------------------------------------------------------------------------------

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; an error that is not named here is a bug and becomes a 500 with a log line."""
        running = self._running
        if running is None:
            return refusal(RefusedError(503, "this peer is stopping", {"Retry-After": str(RETRY_FULL_S)}))
        try:
            return await self._route(request, running)
        except RefusedError as error:
            return refusal(error)
        except NotFoundError:
            return refusal(RefusedError(404, "not held here"))
        except HoldingChangedError as error:
            logger.info("a held file has changed and is not shared any more", why=error.message)
            return refusal(RefusedError(410, "not held here any more"))
        except (DiskError, FileBusyError) as error:
            self._warn(error.message)
            return refusal(RefusedError(503, "the disk is busy", {"Retry-After": str(RETRY_FULL_S)}))

    def _warn(self, why: str) -> None:
        """Tell that our disk fails, now and then: a peer asks again every few seconds, and there may be many."""
        now_s = self._clock.monotonic()
        if now_s >= self._silent_until_s:
            self._silent_until_s = now_s + WARNING_EVERY_S
            logger.warning("a request for a held file failed", why=why)

    async def _route(self, request: web.BaseRequest, running: "_Running") -> web.StreamResponse:
        """Match the target as it was sent: no decoding, no query, one spelling only."""
        target = request.raw_path
        if target == HELLO_TARGET:
            _require(request, "GET")
            return json_answer(self._hello())
        if target == HAVE_TARGET:
            _require(request, "POST")
            self._caller(request)
            question = _question(await _body(request))
            return bytes_answer(
                (await running.in_thread(self._have, question)).write(), content_type="application/json"
            )
        if target.startswith(RECORDINGS_PREFIX) and is_mbid(recording := target.removeprefix(RECORDINGS_PREFIX)):
            _require(request, "GET")
            return bytes_answer(
                await running.in_thread(self._describe, Mbid(recording)), content_type="application/json"
            )
        root, suffix = target.removeprefix(BLOBS_PREFIX)[:64], target.removeprefix(BLOBS_PREFIX)[64:]
        if target.startswith(BLOBS_PREFIX) and is_root(root) and suffix in ("", CHUNKS_SUFFIX, BITFIELD_SUFFIX):
            _require(request, "GET")
            return await self._blob(request, running, Root(root), suffix)
        raise RefusedError(404, "there is nothing of this name")

    async def _blob(self, request: web.BaseRequest, running: "_Running", root: Root, suffix: str) -> web.StreamResponse:
        caller = self._caller(request)
        if not suffix:
            return await running.uploads.send(request, root, caller)
        holding = await running.in_thread(self._held, root)
        if suffix == BITFIELD_SUFFIX:
            body = write_bitfield(None, count=chunk_count(holding.size))
        else:
            body = holding.chunk_hashes
        return bytes_answer(body, content_type="application/octet-stream", headers={"ETag": f'"{root}{suffix}"'})

    def _caller(self, request: web.BaseRequest) -> PeerId:
        """Who asks, proven by the signature; raises RefusedError 401."""
        values = request.headers.getall("Authorization", [])
        now = self._clock.wall()
        if len(values) != 1:
            raise _unauthorized("a request for what is held here carries one signature")
        try:
            signed = verify_authorization(
                values[0], server=self._identity.id, method=request.method, target=request.raw_path, now_unix_s=now
            )
        except PeerError as error:
            raise _unauthorized(error.message) from error
        if not self._replays.admit(signed.peer, signed.nonce, signed_unix_s=signed.unix_s, now_unix_s=now):
            raise _unauthorized("this signature has been used before")
        return signed.peer

    # ---- what is answered; all but the first block -------------------------------------------------------------------

    def _hello(self) -> dict[str, object]:
        return {
            "v": VERSION,
            "id": self._identity.id,
            "agent": AGENT,
            "features": list(FEATURES),
            "limits": {
                "slots": self._limits.slots,
                "slots_per_peer": self._limits.slots_per_peer,
                "bps_per_peer": self._limits.bytes_per_s * 8,
            },
            "addrs": [],
            "time": int(self._clock.wall()),
        }

    def _held(self, root: Root) -> Holding:
        holding = self._index.by_root(root)
        if holding is None or len(holding.chunk_hashes) != chunk_count(holding.size) * HASH_BYTES:
            raise NotFoundError(f"no file with root {root} is held with its chunk list")
        return holding

    def _have(self, question: HaveQuestion) -> HaveAnswer:
        of_recordings = {recording: self._index.by_recording(recording) for recording in question.recordings}
        of_roots = {root: self._index.by_root(root) for root in question.roots}
        return HaveAnswer(
            recordings={
                recording: tuple(holding.root for holding in holdings)
                for recording, holdings in of_recordings.items()
                if holdings
            },
            roots={
                root: HeldRoot(size=holding.size, complete=True)
                for root, holding in of_roots.items()
                if holding is not None
            },
        )

    def _describe(self, recording: Mbid) -> bytes:
        holdings = self._index.by_recording(recording)
        variants = tuple(_variant(holding) for holding in holdings if holding.size <= AUDIO_BYTES_MAX)
        if not variants:
            raise NotFoundError(f"no file of recording {recording} is held")
        return make_descriptor(self._identity, recording, variants, now_unix_s=self._clock.wall())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Running:
    """What exists between start and stop."""

    protocols: web.Server
    listener: Listener
    threads: ThreadPoolExecutor
    uploads: Uploads
    accepting: asyncio.Task[None]

    async def in_thread(self, work: Callable[..., T], *arguments: object) -> T:
        """Run what blocks in one of the server's threads."""
        return await asyncio.get_running_loop().run_in_executor(self.threads, work, *arguments)


class _QuietLog(logging.Handler):
    """Takes what aiohttp logs: a stranger's broken request is no error of ours, anything else is."""

    def emit(self, record: logging.LogRecord) -> None:
        """Pass a record on, without the text of a stranger's request."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, HttpProcessingError):
            logger.debug("a request was not HTTP", why=type(error).__name__)
        else:
            logger.opt(exception=error).error("the overlay server failed", why=record.getMessage())


def _quiet_log() -> logging.Logger:
    # Not getLogger: the registry is the process's, and each start would leave a handler in it.
    log = logging.Logger("overlay-server", logging.INFO)  # noqa: LOG001
    log.addHandler(_QuietLog())
    return log


def _unauthorized(message: str) -> RefusedError:
    return RefusedError(401, message, {"WWW-Authenticate": "Overlay"})


def _require(request: web.BaseRequest, method: str) -> None:
    if request.method != method:
        raise RefusedError(405, f"only {method} is possible here", {"Allow": method})


async def _body(request: web.BaseRequest) -> bytes:
    """Read a body of at most HAVE_BYTES_MAX bytes."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_S_MAX):
            while block := await request.content.read(HAVE_BYTES_MAX + 1 - len(body)):
                body += block
                if len(body) > HAVE_BYTES_MAX:
                    raise RefusedError(413, f"a question has at most {HAVE_BYTES_MAX} bytes", {"Connection": "close"})
    except TimeoutError as error:
        raise RefusedError(408, "the question did not arrive", {"Connection": "close"}) from error
    return bytes(body)


def _question(body: bytes) -> HaveQuestion:
    try:
        return HaveQuestion.read(body)
    except PeerError as error:
        raise RefusedError(400, error.message) from error


def _variant(holding: Holding) -> DescribedVariant:
    return DescribedVariant(
        root=holding.root,
        size=holding.size,
        codec=holding.codec,
        container=holding.container,
        lossless=holding.lossless,
        bitrate_bps=holding.bitrate_bps,
        duration_ms=holding.duration_ms,
        sha256=holding.sha256 or None,
    )
