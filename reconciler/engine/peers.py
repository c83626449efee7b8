"""What is known of a peer's speed and reliability, and whether it may be asked now.

Owns: the measurements of one peer in one job, its pauses and its ban. Never: chooses what it is asked for
(engine.schedule).
"""

from dataclasses import dataclass, field

from reconciler.engine.commons import STRANGER, Prior
from reconciler.engine.events import FailureCode, TransferId
from reconciler.sources.base import Etiquette, PeerKey

# Weight of the newest chunk in the smoothed speed. 0.3 follows a change within about five chunks (0.7^5 = 0.17).
NEWEST_WEIGHT = 0.3

# A peer that earlier jobs know may be asked at first for what it brought then in this time; from there on for twice
# what has come, as everybody. Longer, and one that has become slow sits on much.
KNOWN_S = 0.25

# Pauses after failures in a row: 0.5, 1, 2, 4, 8 s. The sum (15.5 s) outlives a server's restart; after the last one
# the peer is let go.
FIRST_PAUSE_S = 0.5
FAILURES_MAX = 6

# A peer that asks for a pause gets it, up to this; longer, and the job goes on without it.
RETRY_AFTER_S_MAX = 60.0

# Failures that say nothing about the peer: we ended it, or the server closed a connection after serving it.
INNOCENT: frozenset[FailureCode] = frozenset({"cancelled", "closed"})

# Failures that asking again cannot cure.
FINAL: frozenset[FailureCode] = frozenset({"wrong identity", "no ranges"})


@dataclass(slots=True, kw_only=True)
class Peer:
    """One peer of one job. Mutable, owned by the job machine."""

    key: PeerKey
    name: str
    source: str
    etiquette: Etiquette
    prior: Prior = STRANGER
    """What earlier jobs have learned of it."""
    throughput_bytes_per_s: float = 0.0
    """Smoothed over chunks; before the first one what earlier jobs know, 0.0 for a stranger."""
    bytes_accepted: int = 0
    chunks_accepted: int = 0
    chunks_refused: int = 0
    failures_in_a_row: int = 0
    not_before_s: float = 0.0
    """Monotonic; no request before this moment."""
    moved_s: float = 0.0
    """Monotonic; when it last delivered a chunk, or was asked for one while it owed nothing."""
    connected: bool = False
    banned: str = ""
    """Why it is never asked again in this job; empty = it may be."""
    gone: str = ""
    """Why it was given up after failures; empty = it was not."""
    transfers: set[TransferId] = field(default_factory=set)

    @property
    def usable(self) -> bool:
        """Whether it may be asked at all, now or after its pause."""
        return not self.banned and not self.gone

    @property
    def error_rate(self) -> float:
        """Failed requests among the last ones, 0.0 to 1.0, by the failures in a row."""
        return min(1.0, self.failures_in_a_row / FAILURES_MAX)

    def requests_max(self) -> int:
        """How many requests it may have open: a stranger gets one until its first good chunk, so a liar costs one
        chunk.
        """
        return self.etiquette.requests_in_flight_max if self.chunks_accepted else 1

    def may_take(self, now: float) -> bool:
        """Whether one more request may be sent to it now."""
        return self.usable and now >= self.not_before_s and len(self.transfers) < self.requests_max()

    def usable_bytes_per_s(self) -> float:
        """Its speed, as far as it has been shown: a first chunk may come in a burst that says little of the next.

        So no more is ever asked for at once than twice what has come so far (slow start).
        """
        shown = 2.0 * self.bytes_accepted + KNOWN_S * self.prior.throughput_bytes_per_s
        return min(self.throughput_bytes_per_s, shown)

    def delivered(self, *, bytes_received: int, duration_s: float) -> None:
        """Count a good chunk."""
        self.bytes_accepted += bytes_received
        self.chunks_accepted += 1
        self.failures_in_a_row = 0
        rate = bytes_received / max(duration_s, 1e-6)
        before = self.throughput_bytes_per_s
        self.throughput_bytes_per_s = rate if not before else (1 - NEWEST_WEIGHT) * before + NEWEST_WEIGHT * rate

    def failed(self, code: FailureCode, *, now: float, retry_after_s: float | None) -> None:
        """Count a failed request: pause, or give the peer up."""
        if code in INNOCENT:
            return
        if code == "busy":
            self.not_before_s = now + min(retry_after_s if retry_after_s is not None else 1.0, RETRY_AFTER_S_MAX)
            return
        self.failures_in_a_row += 1
        if code in FINAL or self.failures_in_a_row >= FAILURES_MAX:
            self.gone = code
            return
        self.not_before_s = now + FIRST_PAUSE_S * 2 ** (self.failures_in_a_row - 1)

    def cost(self) -> float:
        """Lower is asked first: seconds for a megabyte, made worse by failures; strangers come between fast and slow
        peers.

        Source: the shape `alpha / throughput + beta * error_rate`; beta = 1 s makes a peer that fails each time rank
        with 1 MB/s.
        """
        unreliable = self.error_rate + self.prior.error_rate + self.prior.timeout_rate
        if not self.throughput_bytes_per_s:
            return 1.0 + unreliable
        return 1e6 / self.throughput_bytes_per_s + unreliable
