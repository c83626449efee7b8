"""Which key the loop looks at next.

Owns: the order of work: one key once, by priority, not before its time, slower after failures. Never: what a key
means, the clock or the dice; `now` and `chance` are arguments, and `now` is monotonic.

The semantics are those of client-go's workqueue. A key that is added while somebody works on it is remembered and
comes back after `done`; so the same key is never worked on twice at once, and no addition is lost. An addition carries
no content, only "look again": adding a key that waits already merges the two, with the better priority and the earlier
time.
"""

import heapq
from dataclasses import dataclass
from enum import IntEnum

from reconciler.reconcile.backoff import backoff_s
from reconciler.reconcile.tally import Durations

# Half a million manifests; an entry and its heap tuples take about 400 bytes, so a full queue is 200 MB and a usual
# one a few kB. When full, a new key is refused; the next rescan offers it again.
KEYS_MAX = 500_000

# The first repetition comes soon, because most failures are a file that is being written; the cap keeps a broken one
# from costing more than two passes a minute.
_BACKOFF_BASE_S = 0.25
_BACKOFF_MAX_S = 30.0

# A moved entry leaves its old tuple in the heap until it surfaces. Beyond this many of them for each live key the
# heaps are rebuilt.
_STALE_TUPLES_PER_KEY = 4


# A job's own priority is -100 to 100; it counts within a class and never lifts a key into another.
_CLASS_WIDTH = 1000


class Priority(IntEnum):
    """Why a key is looked at; lower goes first."""

    EDIT = 0
    ENGINE = 1
    TIMER = 2
    SCAN = 3


@dataclass(frozen=True, slots=True)
class _Entry:
    rank: int
    """Class and the job's own priority in one number; lower goes first."""
    not_before: float
    order: int


class WorkQueue:
    """Keys that wait for the loop."""

    def __init__(self, *, keys_max: int = KEYS_MAX) -> None:
        self._keys_max = keys_max
        self._order = 0
        self._waiting: dict[str, _Entry] = {}
        self._dirty: dict[str, _Entry] = {}
        self._processing: set[str] = set()
        self._failures: dict[str, int] = {}
        # Two heaps over `_waiting`: by time for what is not due yet, by priority for what is. A tuple counts only
        # while the entry in `_waiting` still has its order number.
        self._later: list[tuple[float, int, str]] = []
        self._due: list[tuple[int, int, str]] = []
        # Figures for who watches.
        self.adds = 0
        self.retries = 0
        self.waited = Durations()
        """From when a key was due until it was taken."""

    def __len__(self) -> int:
        return len(self._waiting) + len(self._processing)

    def add(self, key: str, *, priority: Priority, not_before: float, weight: int = 0) -> bool:
        """Have `key` looked at, once, from `not_before` on; False where the queue is full and the key is not in it.

        Among keys of one priority the greater `weight`, from -100 to 100, goes first.
        """
        self.adds += 1
        rank = priority * _CLASS_WIDTH - weight
        if key in self._processing:
            self._dirty[key] = self._merged(self._dirty.get(key), rank, not_before)
            return True
        known = self._waiting.get(key)
        if known is None and len(self) >= self._keys_max:
            return False
        self._put(key, self._merged(known, rank, not_before))
        return True

    def take(self, now: float) -> str | None:
        """The most urgent key that is due; None where none is. `done` must follow."""
        while self._later and self._later[0][0] <= now:
            _, order, key = heapq.heappop(self._later)
            entry = self._waiting.get(key)
            if entry is not None and entry.order == order:
                heapq.heappush(self._due, (entry.rank, order, key))
        while self._due:
            _, order, key = heapq.heappop(self._due)
            entry = self._waiting.get(key)
            if entry is not None and entry.order == order:
                del self._waiting[key]
                self._processing.add(key)
                self.waited.add(max(0.0, now - entry.not_before))
                self._drop_stale()
                return key
        return None

    def done(self, key: str) -> None:
        """The work on `key` is over; it waits again if it was added meanwhile."""
        self._processing.remove(key)
        entry = self._dirty.pop(key, None)
        if entry is None:
            self._failures.pop(key, None)
        else:
            self._put(key, entry)

    def retry(self, key: str, *, now: float, chance: float) -> float:
        """Work on `key` failed: add it again after its backoff, and say how many seconds that is."""
        self.retries += 1
        failures = self._failures.get(key, 0) + 1
        delay_s = backoff_s(failures, base_s=_BACKOFF_BASE_S, max_s=_BACKOFF_MAX_S, chance=chance)
        if self.add(key, priority=Priority.TIMER, not_before=now + delay_s):
            self._failures[key] = failures
        return delay_s

    def forget(self, key: str) -> None:
        """Work on `key` succeeded: its next failure counts as the first."""
        self._failures.pop(key, None)

    def next_time(self) -> float | None:
        """The earliest moment at which `take` has something to give, maybe past; None where nothing waits."""
        while self._due:
            _, order, key = self._due[0]
            if self._is_live(key, order):
                return self._waiting[key].not_before
            heapq.heappop(self._due)
        while self._later:
            not_before, order, key = self._later[0]
            if self._is_live(key, order):
                return not_before
            heapq.heappop(self._later)
        return None

    def check_invariants(self) -> None:
        """Raise AssertionError where the parts contradict each other."""
        assert not self._waiting.keys() & self._processing, "a key waits and is worked on"
        assert self._dirty.keys() <= self._processing, "a key is dirty that nobody works on"
        assert self._failures.keys() <= self._waiting.keys() | self._processing, "failures of an unknown key are kept"
        assert len(self) <= self._keys_max, "more keys than allowed"
        live = [key for _, order, key in self._later if self._is_live(key, order)]
        live += [key for _, order, key in self._due if self._is_live(key, order)]
        assert sorted(live) == sorted(self._waiting), "a waiting key stands in no heap, or in two"
        assert len(self._later) + len(self._due) <= self._tuples_max(), "stale tuples pile up"

    def _merged(self, known: _Entry | None, rank: int, not_before: float) -> _Entry:
        """The better of both; it keeps its place among equals where nothing improves."""
        if known is not None and rank >= known.rank and not_before >= known.not_before:
            return known
        self._order += 1
        if known is None:
            return _Entry(rank, not_before, self._order)
        return _Entry(min(rank, known.rank), min(not_before, known.not_before), self._order)

    def _put(self, key: str, entry: _Entry) -> None:
        if self._waiting.get(key) is entry:
            return
        self._waiting[key] = entry
        heapq.heappush(self._later, (entry.not_before, entry.order, key))
        self._drop_stale()

    def _drop_stale(self) -> None:
        if len(self._later) + len(self._due) > self._tuples_max():
            self._later = [(entry.not_before, entry.order, key) for key, entry in self._waiting.items()]
            self._due = []
            heapq.heapify(self._later)

    def _is_live(self, key: str, order: int) -> bool:
        entry = self._waiting.get(key)
        return entry is not None and entry.order == order

    def _tuples_max(self) -> int:
        return _STALE_TUPLES_PER_KEY * (len(self._waiting) + 16)
