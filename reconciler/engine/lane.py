"""One peer's thread: a queue of orders, and the connection that they share.

Owns: the order in which requests are sent and answers read, and what becomes of them when the connection gives out.
Never: knows of other peers (engine.lanes), or chooses what to read.
"""

import threading
from collections import deque

from reconciler.clock import Clock
from reconciler.engine.events import ChunkArrived, FailureCode, PeerConnected, TransferEnded, TransferFailed
from reconciler.engine.http_head import HeadRefusedError, read_head, request_head
from reconciler.engine.lane_orders import LaneEvent, Post, ReadRange, Tag
from reconciler.engine.partwriter import PartWriter, name_of
from reconciler.engine.pipeline import Pipeline
from reconciler.engine.wire import Wire, WireError
from reconciler.ids import ChunkIndex
from reconciler.overlay.merkle import chunk_hash, chunk_size
from reconciler.sources.base import Endpoint

# A lane without work keeps its connection this long: the next track of an album usually comes within it.
IDLE_S = 20.0


class Lane:
    """A peer's orders and its connection. `run` is the thread; everything else may be called from others."""

    def __init__(self, endpoint: Endpoint, *, post: Post, clock: Clock, timeout_s: float) -> None:
        self.endpoint = endpoint
        self._post = post
        self._clock = clock
        self._timeout_s = timeout_s
        self._changed = threading.Condition()
        self._waiting: deque[tuple[ReadRange, PartWriter]] = deque()
        self._sent: deque[tuple[ReadRange, PartWriter]] = deque()
        self._cancelled: set[Tag] = set()
        self._wire: Wire | None = None
        self._pipeline = Pipeline(round_trip_s=0.0)
        self._outstanding_bytes = 0
        """Sent for and not come yet; the thread's own."""
        self._buffer = bytearray()
        self._stopping = False

    # ---- called from other threads -----------------------------------------------------------------------------------

    @property
    def is_idle(self) -> bool:
        """Whether nothing is asked of it."""
        with self._changed:
            return not self._waiting and not self._sent

    def add(self, order: ReadRange, part: PartWriter) -> None:
        """Queue one order."""
        with self._changed:
            self._waiting.append((order, part))
            self._changed.notify()

    def cancel(self, tag: Tag) -> bool:
        """End one order; False when it is not here."""
        with self._changed:
            if any(order.tag == tag for order, _ in self._sent):
                self._cancelled.add(tag)  # behind another it ends when its turn comes: before that, so would the other
                if self._sent[0][0].tag == tag and self._wire is not None:
                    self._wire.abort()
                return True
            for entry in self._waiting:
                if entry[0].tag == tag:
                    self._waiting.remove(entry)
                    break
            else:
                return False
        self._fail(entry[0], "cancelled", "cancelled before it was sent")
        return True

    def stop(self) -> None:
        """End everything soon."""
        with self._changed:
            self._stopping = True
            if self._wire is not None:
                self._wire.abort()
            self._changed.notify()

    # ---- the thread --------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Work until nothing has been asked for a while."""
        while self._await_order():
            try:
                self._serve()
            except WireError as error:
                self._give_up(error)
            except HeadRefusedError as error:
                self._give_up(error)
            except OSError as error:
                self._give_up(WireError("disk", f"writing the part failed: {error}"), errno_name=name_of(error))
        self._hang_up()

    def _await_order(self) -> bool:
        with self._changed:
            if not self._waiting and not self._sent and not self._stopping:
                self._changed.wait(IDLE_S)
            return bool(self._waiting or self._sent) and not self._stopping

    def _serve(self) -> None:
        """Send what is waiting, then read one answer."""
        if self._wire is None:
            self._dial()
        self._send_ahead()
        with self._changed:
            if not self._sent:
                return
            order, part = self._sent[0]
            if order.tag in self._cancelled:
                raise WireError("cancelled", "cancelled before its answer began")
        keep_alive = self._read_answer(order, part)
        with self._changed:
            self._sent.popleft()
            cancelled = order.tag in self._cancelled
            self._cancelled.discard(order.tag)
        if cancelled:  # with its last byte already here: the connection was aborted all the same, by us and by no peer
            self._fail(order, "cancelled", "cancelled")
            self._hang_up()
            self._disown_sent("the connection ended with a request before this one that was cancelled")
            return
        self._tell(order, TransferEnded(transfer=order.tag.transfer))
        if not keep_alive:
            self._hang_up()
            self._disown_sent("the peer closes the connection after each answer")

    def _dial(self) -> None:
        began = self._clock.monotonic()
        wire = Wire.dial(self.endpoint, stall_timeout_s=self._timeout_s)
        self._pipeline = Pipeline(round_trip_s=self._clock.monotonic() - began)
        self._outstanding_bytes = 0
        with self._changed:
            self._wire = wire
            order = self._waiting[0][0] if self._waiting else None
        if order is not None:
            self._tell(order, PeerConnected(transfer=order.tag.transfer))

    def _send_ahead(self) -> None:
        """Keep the pipe filled: the next request leaves before the last byte of the present answer has come."""
        while True:
            with self._changed:
                if not self._waiting:
                    return
                order, part = self._waiting[0]
                if not self._pipeline.has_room(
                    outstanding_bytes=self._outstanding_bytes, chunk_bytes=chunk_size(order.size)
                ):
                    return
                self._waiting.popleft()
                self._sent.append((order, part))
                wire = self._wire
            assert wire is not None
            first, last = _span(order)
            self._outstanding_bytes += last - first + 1
            wire.send(
                request_head(
                    order.request.target,
                    host=_host_field(self.endpoint),
                    headers=order.request.headers,
                    first=first,
                    last=last,
                )
            )

    def _read_answer(self, order: ReadRange, part: PartWriter) -> bool:
        """Read one answer chunk by chunk; True when the connection stays open."""
        wire = self._wire
        assert wire is not None
        chunk_bytes = chunk_size(order.size)
        began = self._clock.monotonic()
        first, last = _span(order)
        head = read_head(wire.read_head(), first=first, last=last, size=order.size)
        if len(self._buffer) < chunk_bytes:
            self._buffer = bytearray(chunk_bytes)
        for index in range(order.first, order.last + 1):
            view = memoryview(self._buffer)[: min(chunk_bytes, order.size - index * chunk_bytes)]
            wire.read_exactly(view)
            ended = self._clock.monotonic()
            self._outstanding_bytes -= len(view)
            self._pipeline.came(bytes_received=len(view), duration_s=ended - began, chunk_bytes=chunk_bytes)
            self._send_ahead()
            self._keep(order, part, ChunkIndex(index), view, duration_s=ended - began)
            began = ended
        wire.answers += 1
        return head.keep_alive

    def _keep(
        self, order: ReadRange, part: PartWriter, chunk: ChunkIndex, view: memoryview, *, duration_s: float
    ) -> None:
        """Hash a chunk while it is warm, write it unless it is wrong, and tell."""
        found = chunk_hash(view, file_size=order.size)
        matches = None if order.expected is None else found == order.expected[chunk - order.first]
        if matches is None and order.pieces is not None and not order.pieces.are_in(chunk - order.first, view):
            matches = False
        if matches is not False and not part.write_chunk(chunk, view, found, verified=matches is True):
            raise WireError("cancelled", "the part was closed")
        self._tell(
            order,
            ChunkArrived(
                transfer=order.tag.transfer,
                chunk=chunk,
                digest=found,
                matches=matches,
                bytes_received=len(view),
                duration_s=duration_s,
            ),
        )

    def _give_up(self, error: WireError | HeadRefusedError, *, errno_name: str = "") -> None:
        """Drop the connection: the order in hand failed, those sent behind it never had their turn."""
        self._hang_up()
        with self._changed:
            unsent = not self._sent and bool(self._waiting)
            lost = [self._waiting.popleft()] if unsent else list(self._sent)
            self._sent.clear()
            cancelled = set(self._cancelled)
            self._cancelled.clear()
        retry_after_s = error.retry_after_s if isinstance(error, HeadRefusedError) else None
        for nth, (order, _) in enumerate(lost):
            if order.tag in cancelled:
                self._fail(order, "cancelled", "cancelled")
            elif nth == 0:
                failure = TransferFailed(
                    transfer=order.tag.transfer,
                    code=error.code,
                    message=error.message,
                    retry_after_s=retry_after_s,
                    errno_name=errno_name,
                )
                self._tell(order, failure)
            else:
                self._fail(order, "closed", "the connection ended before this request had its turn")

    def _disown_sent(self, message: str) -> None:
        """Hand back what was sent on a connection that is no more; a signed request is good for one use only."""
        with self._changed:
            lost = list(self._sent)
            self._sent.clear()
        for order, _ in lost:
            self._fail(order, "closed", message)

    def _hang_up(self) -> None:
        with self._changed:
            wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()

    def _fail(self, order: ReadRange, code: FailureCode, message: str) -> None:
        self._tell(order, TransferFailed(transfer=order.tag.transfer, code=code, message=message))

    def _tell(self, order: ReadRange, event: PeerConnected | ChunkArrived | TransferEnded | TransferFailed) -> None:
        self._post((LaneEvent(tag=order.tag, event=event),))


def _span(order: ReadRange) -> tuple[int, int]:
    """The first and the last byte that an order asks for."""
    chunk_bytes = chunk_size(order.size)
    return order.first * chunk_bytes, min((order.last + 1) * chunk_bytes, order.size) - 1


def _host_field(endpoint: Endpoint) -> str:
    host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
    return host if endpoint.port == (443 if endpoint.tls else 80) else f"{host}:{endpoint.port}"
