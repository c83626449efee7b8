"""How many bytes may be asked for now under a cap.

Owns: one token bucket. Never: reads a clock; `now` is an argument.
"""

# A bucket holds what a second of the cap allows: enough for one request to be worth sending, too little to burst
# noticeably.
BURST_S = 1.0


class BandwidthCap:
    """A cap in bytes per second over requests that are paid for in advance; 0 = no cap."""

    def __init__(self, bytes_per_s: float, *, burst_s: float = BURST_S) -> None:
        self._rate = bytes_per_s
        self._tokens_max = bytes_per_s * burst_s
        self._tokens = self._tokens_max
        self._at_s: float | None = None

    def may_spend(self, now: float) -> bool:
        """Whether a request may be sent now. One may overdraw the bucket: it is paid back before the next."""
        self._refill(now)
        return not self._rate or self._tokens > 0

    def bounded(self, bytes_per_s: float) -> float:
        """A peer's speed as far as the cap lets it be used."""
        return min(bytes_per_s, self._rate) if self._rate else bytes_per_s

    def spend(self, size_bytes: int, now: float) -> None:
        """Pay for a request of `size_bytes`."""
        self._refill(now)
        if self._rate:
            self._tokens -= size_bytes

    def give_back(self, size_bytes: int) -> None:
        """Take back what was paid for bytes that will not come."""
        if self._rate:
            self._tokens = min(self._tokens_max, self._tokens + size_bytes)

    def free_at(self, now: float) -> float:
        """When the next request may be sent."""
        self._refill(now)
        if not self._rate or self._tokens > 0:
            return now
        return now + (1.0 - self._tokens) / self._rate

    def _refill(self, now: float) -> None:
        if self._at_s is not None and self._rate:
            self._tokens = min(self._tokens_max, self._tokens + (now - self._at_s) * self._rate)
        self._at_s = now
