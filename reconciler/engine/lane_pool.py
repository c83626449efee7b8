"""Several lane processes as one byte path.

Owns: which process a peer's lane lives in. Never: moves a byte.

Plain connections share the first process: receiving, hashing and writing leave the interpreter's lock alone. TLS does
not: Python's ssl hands over one record of 16 KiB a call, each of which takes the lock again. So peers with TLS are
dealt over all.
"""

import itertools
import threading

from reconciler.engine.lane_orders import BytePath, PartId, ReadRange, Tag
from reconciler.sources.base import Endpoint


class LanePool:
    """A byte path over others, at least one."""

    def __init__(self, paths: tuple[BytePath, ...]) -> None:
        self._paths = paths
        self._turns = itertools.cycle(paths)
        self._lock = threading.Lock()
        self._home: dict[Endpoint, BytePath] = {}

    def attach(self, part: PartId, path: str, size: int) -> None:
        """Open the part file in every process; raises OSError."""
        for each in self._paths:
            each.attach(part, path, size)

    def detach(self, part: PartId) -> None:
        """Close a part; when this returns, no process will write to it again."""
        for each in self._paths:
            each.detach(part)

    def read(self, order: ReadRange) -> None:
        """Hand an order to the process of its peer."""
        endpoint = order.request.endpoint
        with self._lock:
            home = self._home.get(endpoint)
            if home is None:
                home = self._home[endpoint] = next(self._turns) if endpoint.tls else self._paths[0]
        home.read(order)

    def cancel(self, tag: Tag) -> None:
        """End an order; only the process that has it answers."""
        for each in self._paths:
            each.cancel(tag)

    def close(self) -> None:
        """End every process."""
        for each in self._paths:
            each.close()
