"""For how long something was going on.

Owns: the time that pieces cover together, each moment counted once. Never: a clock; times are arguments.
"""

# Pieces with a gap between them that are remembered apart. A chunk that is told later can close gaps only as far back
# as it took: a thousand pauses are far more than that. What is older is kept as a sum.
APART_MAX = 1000


class Spans:
    """Pieces of time, told in the order of their ends."""

    def __init__(self) -> None:
        self._apart: list[tuple[float, float]] = []
        self._settled_ms = 0.0

    @property
    def total_ms(self) -> float:
        """All moments covered."""
        return self._settled_ms + sum(end_ms - start_ms for start_ms, end_ms in self._apart)

    def add(self, *, end_ms: float, duration_ms: float) -> None:
        """Cover the `duration_ms` before `end_ms`."""
        start_ms = end_ms - duration_ms
        apart = self._apart
        while apart and apart[-1][1] >= start_ms:
            start_ms = min(start_ms, apart.pop()[0])
        apart.append((start_ms, end_ms))
        if len(apart) > APART_MAX:
            old = apart[: APART_MAX // 2]
            self._settled_ms += sum(end - start for start, end in old)
            del apart[: len(old)]

    def bytes_per_s(self, transferred: int) -> float:
        """`transferred` over the time covered; 0.0 where that is nothing."""
        total_ms = self.total_ms
        return transferred / (total_ms / 1000) if total_ms > 0 else 0.0
