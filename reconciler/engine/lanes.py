"""The byte path: sockets -> hash -> file, one blocking thread for each peer.

Owns: the threads, what each has been asked, and the commands and events by which others talk to them. Never: chooses
what to read.

Everything that crosses this interface is a value: an order names its part by an id and its peer by an endpoint, an
event names its order by a tag. Nothing here touches the event loop, so that the threads can live in a process of their
own.
"""

import threading
from collections import deque

from reconciler.clock import Clock
from reconciler.engine.events import ChunkArrived, FailureCode, PeerConnected, TransferEnded, TransferFailed
from reconciler.engine.http_head import HeadRefusedError, read_head, request_head
from reconciler.engine.lane_orders import LaneEvent, PartId, Post, ReadRange, Tag
from reconciler.engine.partfile import PartWriter, print_of
from reconciler.engine.wire import Wire, WireError
from reconciler.ids import ChunkIndex
from reconciler.overlay.merkle import chunk_size
from reconciler.sources.base import Endpoint

# Threads at once. Each holds one chunk buffer (1 MiB at most) and a connection; more peers than this are told to come
# back later.
LANES_MAX = 64

# Requests sent ahead of the answer that is being read: enough to hide a round trip, few enough to take back.
PIPELINE_MAX = 4

# A lane without work keeps its connection this long: the next track of an album usually comes within it.
IDLE_S = 20.0


class Lanes:
    """All lanes of this process. `post` is called from their threads."""

    def __init__(self, *, post: Post, clock: Clock, stall_timeout_s: float) -> None:
        self._post = post
        self._clock = clock
        self._stall_timeout_s = stall_timeout_s
        self._lock = threading.Lock()
        self._lanes: dict[Endpoint, _Lane] = {}
        self._parts: dict[PartId, PartWriter] = {}
        self._closing = False

    def attach(self, part: PartId, path: str, size: int) -> None:
        """Open the part file at `path` for writing, under a number that was not used before; raises OSError."""
        writer = PartWriter(path, chunk_bytes=chunk_size(size))
        with self._lock:
            self._parts[part] = writer

    def detach(self, part: PartId) -> None:
        """Close a part: when this returns, no lane will write to it again. Blocks for at most one chunk's write."""
        with self._lock:
            writer = self._parts.pop(part, None)
        if writer is not None:
            writer.close()

    def read(self, order: ReadRange) -> None:
        """Queue an order at its peer's lane."""
        with self._lock:
            writer = self._parts.get(order.part)
            lane = self._lanes.get(order.request.endpoint)
            full = lane is None and (len(self._lanes) >= LANES_MAX or self._closing)
            if writer is not None and not full:
                if lane is None:
                    lane = _Lane(
                        order.request.endpoint, post=self._post, clock=self._clock, timeout_s=self._stall_timeout_s
                    )
                    self._lanes[order.request.endpoint] = lane
                    threading.Thread(target=self._run, args=(lane,), name="lane", daemon=True).start()
                lane.add(order, writer)
                return
        failure = TransferFailed(transfer=order.tag.transfer, code="busy", message="no lane is free", retry_after_s=1.0)
        if writer is None:
            failure = TransferFailed(transfer=order.tag.transfer, code="cancelled", message="the part was closed")
        self._post((LaneEvent(tag=order.tag, event=failure),))

    def cancel(self, tag: Tag) -> None:
        """End an order wherever it is; it is answered by `cancelled` unless it ended just before."""
        with self._lock:
            lanes = list(self._lanes.values())
        for lane in lanes:
            if lane.cancel(tag):
                return

    def close(self) -> None:
        """End every order and every thread."""
        with self._lock:
            self._closing = True
            lanes = list(self._lanes.values())
            parts = list(self._parts)
        for lane in lanes:
            lane.stop()
        for part in parts:
            self.detach(part)

    def _run(self, lane: "_Lane") -> None:
        while True:
            lane.run()
            with self._lock:  # an order may have come between the lane's last look and here
                if lane.is_idle or self._closing:
                    del self._lanes[lane.endpoint]
                    return


class _Lane:
    """One peer's thread: a queue of orders, and the connection they share."""

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
                self._cancelled.add(tag)
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
                self._give_up(WireError("disk", f"writing the part failed: {error}"))
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
        keep_alive = self._read_answer(order, part)
        with self._changed:
            self._sent.popleft()
            cancelled = order.tag in self._cancelled
            self._cancelled.discard(order.tag)
        if cancelled:
            self._fail(order, "cancelled", "cancelled")
        else:
            self._tell(order, TransferEnded(transfer=order.tag.transfer))
        if not keep_alive:
            self._hang_up()
            self._disown_sent()

    def _dial(self) -> None:
        wire = Wire.dial(self.endpoint, stall_timeout_s=self._timeout_s)
        with self._changed:
            self._wire = wire
            order = self._waiting[0][0] if self._waiting else None
        if order is not None:
            self._tell(order, PeerConnected(transfer=order.tag.transfer))

    def _send_ahead(self) -> None:
        """Keep the pipe filled: the next request leaves before the last byte of the present answer has come."""
        while True:
            with self._changed:
                if not self._waiting or len(self._sent) >= PIPELINE_MAX:
                    return
                order, part = self._waiting.popleft()
                self._sent.append((order, part))
                wire = self._wire
            assert wire is not None
            start = order.first * chunk_size(order.size)
            last = min((order.last + 1) * chunk_size(order.size), order.size) - 1
            wire.send(
                request_head(
                    order.request.target,
                    host=_host_field(self.endpoint),
                    headers=order.request.headers,
                    first=start,
                    last=last,
                )
            )

    def _read_answer(self, order: ReadRange, part: PartWriter) -> bool:
        """Read one answer chunk by chunk; True when the connection stays open."""
        wire = self._wire
        assert wire is not None
        chunk_bytes = chunk_size(order.size)
        began = self._clock.monotonic()
        head = read_head(
            wire.read_head(),
            first=order.first * chunk_bytes,
            last=min((order.last + 1) * chunk_bytes, order.size) - 1,
            size=order.size,
        )
        if len(self._buffer) < chunk_bytes:
            self._buffer = bytearray(chunk_bytes)
        for index in range(order.first, order.last + 1):
            view = memoryview(self._buffer)[: min(chunk_bytes, order.size - index * chunk_bytes)]
            wire.read_exactly(view)
            self._send_ahead()
            ended = self._clock.monotonic()
            self._keep(order, part, ChunkIndex(index), view, duration_s=ended - began)
            began = ended
        wire.answers += 1
        return head.keep_alive

    def _keep(
        self, order: ReadRange, part: PartWriter, chunk: ChunkIndex, view: memoryview, *, duration_s: float
    ) -> None:
        """Hash a chunk while it is warm, write it unless it is wrong, and tell."""
        found = print_of(view, order.size)
        matches = None if order.expected is None else found.digest == order.expected[chunk - order.first]
        if matches is not False and not part.write_chunk(chunk, view, found.digest):
            raise WireError("cancelled", "the part was closed")
        self._tell(
            order,
            ChunkArrived(
                transfer=order.tag.transfer,
                chunk=chunk,
                print=found,
                matches=matches,
                bytes_received=len(view),
                duration_s=duration_s,
            ),
        )

    def _give_up(self, error: WireError | HeadRefusedError) -> None:
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
                    transfer=order.tag.transfer, code=error.code, message=error.message, retry_after_s=retry_after_s
                )
                self._tell(order, failure)
            else:
                self._fail(order, "closed", "the connection ended before this request had its turn")

    def _disown_sent(self) -> None:
        """Hand back what was sent on a connection that is no more; a signed request is good for one use only."""
        with self._changed:
            lost = list(self._sent)
            self._sent.clear()
        for order, _ in lost:
            self._fail(order, "closed", "the peer closes the connection after each answer")

    def _hang_up(self) -> None:
        with self._changed:
            wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()

    def _fail(self, order: ReadRange, code: FailureCode, message: str) -> None:
        self._tell(order, TransferFailed(transfer=order.tag.transfer, code=code, message=message))

    def _tell(self, order: ReadRange, event: PeerConnected | ChunkArrived | TransferEnded | TransferFailed) -> None:
        self._post((LaneEvent(tag=order.tag, event=event),))


def _host_field(endpoint: Endpoint) -> str:
    host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
    return host if endpoint.port == (443 if endpoint.tls else 80) else f"{host}:{endpoint.port}"
