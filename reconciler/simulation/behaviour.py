"""How a simulated peer behaves.

Owns: every way in which one can be slow, absent, silent or wrong, and what the best downloader could have of it.
Never: what comes out of its connection when (simulation.pipe).
"""

from dataclasses import dataclass
from typing import Literal

from reconciler.sources.base import PeerKey

Source = Literal["overlay", "http", "soulseek"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SimPeer:
    """One peer. Moments are seconds since the job began."""

    name: str
    source: Source = "overlay"
    """A `soulseek` one sends one stream, from where it is asked to begin to the end of the file."""
    rate_bytes_per_s: float = 1e6
    rtt_s: float = 0.02
    holds: frozenset[int] | None = None
    """The chunks that it has of every file; None = all."""
    no_list: bool = False
    """It has no chunk list to give."""
    lying_list: bool = False
    """It gives one that does not hash to the root."""
    lies: frozenset[int] = frozenset()
    """Chunks that it sends wrong, in every file."""
    corrupts: float = 0.0
    """Chance that a chunk comes wrong."""
    loses: float = 0.0
    """Chance that a request is never answered."""
    resets: float = 0.0
    """Chance that the connection breaks within a chunk."""
    silent_from_s: float | None = None
    """From here on it accepts connections and sends nothing."""
    slow_from_s: float | None = None
    slow_bytes_per_s: float = 20_000.0
    """Its rate from `slow_from_s` on."""
    gone_from_s: float | None = None
    """From here on connections break and none can be made."""
    back_at_s: float | None = None
    """When it serves again after `gone_from_s`; None = never."""
    line_s: float = 0.0
    """How long each request waits in its line first."""

    @property
    def key(self) -> PeerKey:
        """What the engine calls it."""
        return PeerKey(f"{self.source}:{self.name}")

    @property
    def found_s(self) -> float:
        """When a search that begins with the job finds it: after a round trip."""
        return self.rtt_s

    def rate_at(self, now: float) -> float:
        """What it sends at, while it sends."""
        slow = self.slow_from_s is not None and now >= self.slow_from_s
        return self.slow_bytes_per_s if slow else self.rate_bytes_per_s

    def is_silent(self, now: float) -> bool:
        """Whether nothing comes from it."""
        return self.silent_from_s is not None and now >= self.silent_from_s

    def is_gone(self, now: float) -> bool:
        """Whether it cannot be reached."""
        if self.gone_from_s is None or now < self.gone_from_s:
            return False
        return self.back_at_s is None or now < self.back_at_s

    @property
    def is_wrong(self) -> bool:
        """Whether it sends anything, ever, that is not what it should be."""
        return bool(self.lies or self.corrupts or self.lying_list)

    @property
    def is_honest(self) -> bool:
        """Whether a complete copy can be had from it alone, however long that takes."""
        always_there = self.silent_from_s is None and self.gone_from_s is None and not (self.loses or self.resets)
        return not self.is_wrong and always_there and self.holds is None and self.source != "soulseek"

    def sends_bytes_per_s(self, now: float) -> float:
        """What can be had from it, right bytes or wrong: nothing before it is found, or while it is away or silent."""
        if now < self.found_s + self.line_s or self.is_silent(now) or self.is_gone(now):
            return 0.0
        return self.rate_at(now)

    def turns_s(self) -> tuple[float, ...]:
        """The moments at which its rate changes."""
        moments = (self.found_s + self.line_s, self.silent_from_s, self.slow_from_s, self.gone_from_s, self.back_at_s)
        return tuple(moment for moment in moments if moment is not None)


def fluid_bound_s(peers: tuple[SimPeer, ...], size_bytes: int) -> float:
    """How long `size_bytes` take if every byte per second of every peer is used from the moment it is found.

    No downloader can be faster: bytes have no chunks here, connections and requests no round trips, everybody has
    everything, and what a liar sends is right. Infinite where the peers never bring so much.
    """
    turns = sorted({0.0, *(turn for peer in peers for turn in peer.turns_s() if turn > 0)})
    left = float(size_bytes)
    for turn, until in zip(turns, [*turns[1:], float("inf")], strict=True):
        rate = sum(peer.sends_bytes_per_s(turn) for peer in peers)
        if rate > 0 and left / rate <= until - turn:
            return turn + left / rate
        left -= rate * (until - turn) if rate else 0.0
    return float("inf")
