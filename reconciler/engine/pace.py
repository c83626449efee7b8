"""How fast the origin of a track brings it, and whether that is too slow.

Owns: the measure of one track's origin and the judgement `behind`. Never: says what is done about it (engine.rescue).

An origin is whoever the bytes were first asked of, without a chunk list that could prove them: a Soulseek user, a plain
server. It is behind when it lets us wait in its line for too long, when it brings too little, nothing at all, or when
it has gone.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from reconciler.engine.transfers import Transfer

LagReason = Literal["queued", "slow", "stalled", "offline"]

# Arrivals are added up in steps of a second: a window of five minutes is 300 numbers, however fast they come.
_STEP_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RescuePolicy:
    """When the overlay helps; `transfers.rescue_mode` in the configuration."""

    enabled: bool = True
    max_queue_time_s: float = 1800.0
    """Half an hour in a peer's line is what people of that network bear; longer, and they look elsewhere."""
    min_throughput_bytes_per_s: float = 1250.0
    """10 kbit/s: a song in an hour."""
    min_duration_s: float = 300.0
    """For how long it must be slower than that."""
    stall_timeout_s: float = 120.0
    """Without a byte: two minutes outlast a peer's own retry, and most drops of a line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a job waits for its peers."""

    stall_timeout_s: float
    """After so long without a byte a request is given up and its chunks are asked of others."""
    rescue: RescuePolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Lag:
    """How far behind an origin is."""

    reason: LagReason
    message: str
    figures: dict[str, str | int | float | bool]


class OriginPace:
    """The pace of one attempt's origin."""

    def __init__(self, policy: RescuePolicy) -> None:
        self._policy = policy
        self._begun_s: float | None = None
        """When bytes were first expected; None until then."""
        self._moved_s = 0.0
        self._arrivals: deque[tuple[float, int]] = deque()

    def arrived(self, size_bytes: int, now: float) -> None:
        """Count what the origin brought."""
        self._moved_s = now
        if self._arrivals and now - self._arrivals[-1][0] < _STEP_S:
            at, before = self._arrivals[-1]
            self._arrivals[-1] = at, before + size_bytes
        else:
            self._arrivals.append((now, size_bytes))
        self._trim(now)

    def begin_again(self) -> None:
        """Measure anew: what was before is forgiven."""
        self._begun_s = None
        self._arrivals.clear()

    def lag(self, transfers: Iterable[Transfer], *, reachable: bool, now: float) -> Lag | None:
        """How far behind it is; None = it keeps up.

        `transfers` are the requests that it has now; `reachable` is False once none of its peers may be asked again.
        """
        if self._begun_s is None:
            self._begun_s = self._moved_s = now
        open_now = list(transfers)
        queued = [each.queued_since_s for each in open_now if each.queued_since_s is not None]
        if not reachable and not open_now:
            return self._lag("offline", "none of its peers can be reached any more", now)
        if open_now and len(queued) == len(open_now):
            self._moved_s = now  # whoever stands in line is not stalled
            waited_s = now - min(queued)
            if waited_s < self._policy.max_queue_time_s:
                return None
            places = [each.place for each in open_now if each.place is not None]
            place = f", at place {min(places)}" if places else ""
            return self._lag("queued", f"in line for {waited_s:.0f} s{place}", now, queued_s=round(waited_s, 1))
        silent_s = now - self._moved_s
        if silent_s >= self._policy.stall_timeout_s:
            return self._lag("stalled", f"nothing came for {silent_s:.0f} s", now, silent_s=round(silent_s, 1))
        return self._slow(now)

    def next_look_s(self, transfers: Iterable[Transfer], now: float) -> float:
        """When it may have fallen behind though nothing happens."""
        queued = [each.queued_since_s for each in transfers if each.queued_since_s is not None]
        if self._begun_s is None:
            return now
        looks = [self._moved_s + self._policy.stall_timeout_s, self._begun_s + self._policy.min_duration_s]
        looks += [since + self._policy.max_queue_time_s for since in queued]
        return min((look for look in looks if look > now), default=now + self._policy.stall_timeout_s)

    def _slow(self, now: float) -> Lag | None:
        if now - self._since(now) < self._policy.min_duration_s:
            return None
        self._trim(now)
        rate = sum(size for _, size in self._arrivals) / self._policy.min_duration_s
        if rate >= self._policy.min_throughput_bytes_per_s:
            return None
        message = f"{rate * 8 / 1000:.1f} kbit/s over {self._policy.min_duration_s:.0f} s"
        return self._lag("slow", message, now, bytes_per_s=round(rate, 1))

    def _since(self, now: float) -> float:
        return now if self._begun_s is None else self._begun_s

    def _trim(self, now: float) -> None:
        while self._arrivals and self._arrivals[0][0] < now - self._policy.min_duration_s:
            self._arrivals.popleft()

    def _lag(self, reason: LagReason, message: str, now: float, **figures: float) -> Lag:
        return Lag(reason=reason, message=message, figures={"after_s": round(now - self._since(now), 1), **figures})
