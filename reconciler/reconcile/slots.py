"""Who may use the engine next.

Owns: the line of jobs that wait for room, by priority, then older wishes first. Never: counts who uses it
(reconcile.passes asks the engine).
"""

import heapq

# Beyond so many left behind for each that waits, the heap is made anew.
_TUPLES_PER_KEY_MAX = 4

Rank = tuple[int, str, str]
"""The priority with its sign turned, when the manifest was made, the job's id, which sorts by time: in this order."""


class SlotLine:
    """Keys in the order of their rank; each once."""

    def __init__(self) -> None:
        self._ranks: dict[str, Rank] = {}
        # A key that leaves from the middle stays here until it comes to the front.
        self._heap: list[tuple[Rank, str]] = []

    def __len__(self) -> int:
        return len(self._ranks)

    def wait(self, key: str, rank: Rank) -> None:
        """Stand in line, or take the new place where the rank has changed."""
        if self._ranks.get(key) != rank:
            self._ranks[key] = rank
            heapq.heappush(self._heap, (rank, key))
            if len(self._heap) > _TUPLES_PER_KEY_MAX * (len(self._ranks) + 16):
                self._heap = [(place, waiting) for waiting, place in self._ranks.items()]
                heapq.heapify(self._heap)

    def leave(self, key: str) -> None:
        """Be no longer in line; nothing where it was not."""
        self._ranks.pop(key, None)

    def first(self, count: int) -> list[str]:
        """The first `count` keys, which stay in line."""
        front: list[tuple[Rank, str]] = []
        while self._heap and len(front) < count:
            rank, key = heapq.heappop(self._heap)
            if self._ranks.get(key) == rank and (rank, key) not in front:
                front.append((rank, key))
        for place in front:
            heapq.heappush(self._heap, place)
        return [key for _, key in front]

    def may_start(self, key: str, rank: Rank, *, free: int) -> bool:
        """Tell whether one of `free` slots is left for `key` once those before it in line have theirs."""
        before = [other for other in self.first(free + 1) if other != key and self._ranks[other] < rank]
        return len(before) < free
