"""The byte path: sockets -> hash -> file, one blocking thread for each peer.

Owns: the threads, the parts that they write to, and the commands by which others talk to them. Never: chooses what to
read, or reads it (engine.lane).

Everything that crosses this interface is a value: an order names its part by an id and its peer by an endpoint, an
event names its order by a tag. Nothing here touches the event loop, so that the threads can live in a process of their
own.
"""

import contextlib
import threading

from reconciler.clock import Clock
from reconciler.engine.events import TransferFailed
from reconciler.engine.lane import Lane
from reconciler.engine.lane_orders import LaneEvent, PartId, Post, ReadRange, Tag
from reconciler.engine.partwriter import PartWriter
from reconciler.ids import ChunkIndex
from reconciler.overlay.merkle import chunk_size
from reconciler.sources.base import Endpoint

# Threads at once in one process. Each holds one chunk buffer (1 MiB at most) and a connection; more peers than this are
# told to come back later.
LANES_MAX = 32


class Lanes:
    """All lanes of this process. `post` is called from their threads."""

    def __init__(self, *, post: Post, clock: Clock, stall_timeout_s: float) -> None:
        self._post = post
        self._clock = clock
        self._stall_timeout_s = stall_timeout_s
        self._lock = threading.Lock()
        self._lanes: dict[Endpoint, Lane] = {}
        self._parts: dict[PartId, PartWriter] = {}
        self._closing = False

    def attach(self, part: PartId, path: str, size: int) -> None:
        """Open the part file at `path` for writing, under a number that was not used before; raises OSError."""
        writer = PartWriter(path, chunk_bytes=chunk_size(size))
        with self._lock:
            self._parts[part] = writer

    def detach(self, part: PartId) -> frozenset[ChunkIndex]:
        """Close a part: when this returns, no lane will write to it again, and the disk has what they wrote. Gives what
        was read again since it was written.

        Raises OSError where the disk has it not (engine.partwriter).
        """
        with self._lock:
            writer = self._parts.pop(part, None)
        return frozenset() if writer is None else writer.close()

    def read(self, order: ReadRange) -> None:
        """Queue an order at its peer's lane."""
        with self._lock:
            writer = self._parts.get(order.part)
            lane = self._lanes.get(order.request.endpoint)
            full = lane is None and (len(self._lanes) >= LANES_MAX or self._closing)
            if writer is not None and not full:
                if lane is None:
                    lane = Lane(
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
            with contextlib.suppress(OSError):  # what is lost has no line in its journal: the next start fetches it
                self.detach(part)

    def _run(self, lane: Lane) -> None:
        while True:
            lane.run()
            with self._lock:  # an order may have come between the lane's last look and here
                if lane.is_idle or self._closing:
                    del self._lanes[lane.endpoint]
                    return
