"""How much we give, and to whom: slots, bytes a second, and each signed request once.

Owns: the counts. Never: waits, sends, or knows a request.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Literal

from reconciler.ids import PeerId
from reconciler.overlay.identity import CLOCK_SKEW_S

# A bucket may run ahead of its rate by this much after a pause: the first chunk of a request then comes at once (0.25 s
# took the first 10 MiB from four capped peers in 0.18 s instead of 0.33 s).
BURST_S = 0.25

Turn = Literal["granted", "no slot for you", "full"]


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadLimits:
    """What this server gives at most."""

    slots: int = 8
    """Blobs being sent at once."""
    slots_per_peer: int = 2
    bytes_per_s: int = 0
    """Over all blobs; 0 = no cap."""


class Slots:
    """Who is being sent a blob now."""

    def __init__(self, limits: UploadLimits) -> None:
        self._limits = limits
        self._taken: dict[PeerId, int] = {}

    @property
    def taken(self) -> int:
        """Blobs being sent."""
        return sum(self._taken.values())

    def take(self, peer: PeerId) -> Turn:
        """Take a slot for `peer`, or say why not; what is granted is given back once."""
        if self._taken.get(peer, 0) >= self._limits.slots_per_peer:
            return "no slot for you"
        if self.taken >= self._limits.slots:
            return "full"
        self._taken[peer] = self._taken.get(peer, 0) + 1
        return "granted"

    def give_back(self, peer: PeerId) -> None:
        """End what `take` granted."""
        left = self._taken[peer] - 1
        if left:
            self._taken[peer] = left
        else:
            del self._taken[peer]


class TokenBucket:
    """Bytes a second over everything that takes from it, in the order of asking."""

    def __init__(self, *, bytes_per_s: int, now_s: float) -> None:
        """`bytes_per_s` = 0 means no cap; times are those of one monotonic clock."""
        self._rate = bytes_per_s
        self._tokens = bytes_per_s * BURST_S
        self._at_s = now_s

    def take(self, count: int, *, now_s: float) -> float:
        """Take `count` bytes now, on credit if need be, and say how many seconds to wait before sending them.

        Whoever asks later waits behind the debt, so the sum over all keeps the rate; senders are bounded by the slots
        and each asks for one block, which bounds the wait.
        """
        if not self._rate:
            return 0.0
        self._tokens = min(self._rate * BURST_S, self._tokens + (now_s - self._at_s) * self._rate)
        self._at_s = now_s
        self._tokens -= count
        return max(0.0, -self._tokens / self._rate)

    def give_back(self, count: int) -> None:
        """Undo a `take` of bytes that are not sent: who hangs up while waiting must not leave others its debt."""
        self._tokens += count


# Nonces remembered of one peer. More within the clock skew raise that peer's floor: what it signed up to that second
# is refused, which costs a client that signs in the order of its clock nothing.
NONCES_PER_PEER = 4096
# Nonces remembered over all peers, about 10 MB. Beyond, the peer heard of longest ago is forgotten whole; what that
# opens is small: requests travel inside TLS, so only their own sender could repeat them.
NONCES_MAX = 65_536


@dataclass(slots=True)
class _Seen:
    """What one peer has signed lately."""

    floor_unix_s: int = 0
    by_second: dict[int, set[str]] = field(default_factory=dict)
    count: int = 0


class ReplayGuard:
    """Lets each signed request pass once."""

    def __init__(self, *, per_peer: int = NONCES_PER_PEER, total: int = NONCES_MAX) -> None:
        self._per_peer = per_peer
        self._total = total
        self._count = 0
        self._peers: OrderedDict[PeerId, _Seen] = OrderedDict()

    def admit(self, peer: PeerId, nonce: str, *, signed_unix_s: int, now_unix_s: float) -> bool:
        """Tell whether this request is new; its signature and its time within the clock skew have been checked."""
        seen = self._peers.setdefault(peer, _Seen())
        self._peers.move_to_end(peer)
        # What is older than the skew fails the check of its time; there is nothing to remember of it.
        for second in [second for second in seen.by_second if second < now_unix_s - CLOCK_SKEW_S]:
            self._forget(seen, second)
        nonces = seen.by_second.setdefault(signed_unix_s, set())
        if signed_unix_s <= seen.floor_unix_s or nonce in nonces:
            if not nonces:
                del seen.by_second[signed_unix_s]
            return False
        nonces.add(nonce)
        seen.count += 1
        self._count += 1
        self._make_room(seen)
        return True

    def _make_room(self, seen: _Seen) -> None:
        if seen.count > self._per_peer:
            oldest = min(seen.by_second)
            self._forget(seen, oldest)
            seen.floor_unix_s = max(seen.floor_unix_s, oldest)
        while len(self._peers) > 1 and (self._count > self._total or len(self._peers) > self._total):
            _, forgotten = self._peers.popitem(last=False)
            self._count -= forgotten.count

    def _forget(self, seen: _Seen, second: int) -> None:
        gone = len(seen.by_second.pop(second))
        seen.count -= gone
        self._count -= gone
