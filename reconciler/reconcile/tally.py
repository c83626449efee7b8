"""Figures of the loop, for who watches it: how many passes, how they ended, how long they took and waited.

Owns: counting. Never: reads a clock, or decides anything by a figure.
"""

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Literal

PassResult = Literal["success", "git", "error", "mistake"]
"""`git`: nothing was done because git is in the middle of something; `error`: put off, and tried again; `mistake`: a
program error.
"""

# A pass takes milliseconds, and a key that waits longer than a minute is one that nobody gets to. Powers of four cover
# both ends with few numbers.
BOUNDS_S = (0.001, 0.004, 0.016, 0.064, 0.25, 1.0, 4.0, 16.0, 64.0)


@dataclass(slots=True, kw_only=True)
class Durations:
    """How often something took how long."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_S) + 1))
    """At most BOUNDS_S[n], and in the last place the longer ones."""
    sum_s: float = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect_left(BOUNDS_S, seconds)] += 1
        self.sum_s += seconds

    def at_most(self) -> list[tuple[str, int]]:
        """Each bound with how many were not longer, as Prometheus wants it: the last one is `+Inf`."""
        total = 0
        found = []
        for bound, count in zip((*map(str, BOUNDS_S), "+Inf"), self.counts, strict=True):
            total += count
            found.append((bound, total))
        return found


@dataclass(slots=True, kw_only=True)
class LoopTally:
    """Since the daemon started."""

    results: dict[PassResult, int] = field(
        default_factory=lambda: {"success": 0, "git": 0, "error": 0, "mistake": 0},
    )
    worked: Durations = field(default_factory=Durations)

    def ended(self, result: PassResult, seconds: float) -> None:
        """Count a pass."""
        self.results[result] += 1
        self.worked.add(seconds)
