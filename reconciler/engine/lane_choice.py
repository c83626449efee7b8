"""Byte paths of different networks as one.

Owns: which of them reads from the peers of which source. Never: moves a byte.
"""

from collections.abc import Mapping

from reconciler.engine.lane_orders import BytePath, PartId, ReadRange, Tag
from reconciler.ids import ChunkIndex


class LaneChoice:
    """A byte path over others: one for most sources, and one each for those that have their own."""

    def __init__(self, usual: BytePath, by_source: Mapping[str, BytePath]) -> None:
        self._usual = usual
        self._by_source = dict(by_source)
        self._all = (usual, *self._by_source.values())

    def attach(self, part: PartId, path: str, size: int) -> None:
        """Open the part file for every network; raises OSError, and then has it open for none."""
        for nth, each in enumerate(self._all):
            try:
                each.attach(part, path, size)
            except OSError:
                for before in self._all[:nth]:
                    before.detach(part)
                raise

    def detach(self, part: PartId) -> frozenset[ChunkIndex]:
        """Close a part; when this returns, nobody will write to it again."""
        return frozenset().union(*(each.detach(part) for each in self._all))

    def read(self, order: ReadRange) -> None:
        """Hand an order to the path of its source."""
        self._by_source.get(order.source, self._usual).read(order)

    def cancel(self, tag: Tag) -> None:
        """End an order; only the path that has it answers."""
        for each in self._all:
            each.cancel(tag)

    def close(self) -> None:
        """End every order of every network."""
        for each in self._all:
            each.close()
