"""How often one address may ask.

Owns: a bucket of requests for each address. Never: reads a clock; `now` is monotonic and an argument.
"""

from collections import OrderedDict
from dataclasses import dataclass

# Addresses remembered; the one that asked longest ago makes room, and starts anew when it comes back.
ADDRESSES_MAX = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """So many requests at once, and so many a second for as long as one likes."""

    burst: int
    per_s: float


# A page that shows a list and follows it asks some ten times a second; a script that walks 5,000 jobs is done in a
# minute. An answer takes about 2 ms of the loop on which downloads are steered, so this is a tenth of it.
READS = Rate(burst=200, per_s=50.0)

# Each writes a file and waits for the disk. Batches have a route of their own.
WRITES = Rate(burst=50, per_s=5.0)

# A token has 256 random bits, so this is not what keeps it from being guessed: it tells a program that goes on asking
# with an old one to stop.
WRONG_TOKENS = Rate(burst=20, per_s=0.2)


class Allowance:
    """One rate, kept for each address apart."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """Requests left, and when that was."""

    def take(self, address: str, now: float) -> float:
        """Count one request; 0.0 where it may be answered, else after how many seconds the next one may."""
        known, since = self._left.get(address, (float(self._rate.burst), now))
        left = min(float(self._rate.burst), known + (now - since) * self._rate.per_s)
        allowed = left >= 1.0
        if address not in self._left and len(self._left) >= ADDRESSES_MAX:
            self._left.popitem(last=False)
        self._left[address] = (left - 1.0 if allowed else left, now)
        self._left.move_to_end(address)
        return 0.0 if allowed else (1.0 - left) / self._rate.per_s
