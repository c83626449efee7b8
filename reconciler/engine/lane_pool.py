"""Several lane processes as one byte path.

Owns: which process a peer's lane lives in. Never: moves a byte.

Every leaf of the hash tree (16 KiB) and every record of TLS takes the interpreter's lock again, so that the threads of
one process hinder each other; peers are dealt over all processes in turn.
"""

import itertools
import threading

from reconciler.engine.lane_orders import BytePath, PartId, ReadRange, Tag
from reconciler.ids import ChunkIndex
from reconciler.sources.base import Endpoint

# Peers whose process is remembered. One that is forgotten may be given another: a second connection, no harm.
HOMES_MAX = 4096


class LanePool:
    """A byte path over others, at least one."""

    def __init__(self, paths: tuple[BytePath, ...]) -> None:
        self._paths = paths
        self._turns = itertools.cycle(paths)
        self._lock = threading.Lock()
        self._home: dict[Endpoint, BytePath] = {}

    def attach(self, part: PartId, path: str, size: int) -> None:
        """Open the part file in every process; raises OSError."""
        opened: list[BytePath] = []
        try:
            for each in self._paths:
                each.attach(part, path, size)
                opened.append(each)
        except OSError:
            for each in opened:
                each.detach(part)
            raise

    def detach(self, part: PartId) -> frozenset[ChunkIndex]:
        """Close a part in every process, whatever one of them says of its disk; see BytePath."""
        read_again: set[ChunkIndex] = set()
        refusal: OSError | None = None
        for each in self._paths:
            try:
                read_again |= each.detach(part)
            except OSError as error:
                refusal = refusal or error
        if refusal is not None:
            raise refusal
        return frozenset(read_again)

    def read(self, order: ReadRange) -> None:
        """Hand an order to the process of its peer."""
        endpoint = order.request.endpoint
        with self._lock:
            home = self._home.get(endpoint)
            if home is None:
                if len(self._home) >= HOMES_MAX:
                    del self._home[next(iter(self._home))]
                home = self._home[endpoint] = next(self._turns)
        home.read(order)

    def cancel(self, tag: Tag) -> None:
        """End an order; only the process that has it answers."""
        for each in self._paths:
            each.cancel(tag)

    def close(self) -> None:
        """End every process."""
        for each in self._paths:
            each.close()
