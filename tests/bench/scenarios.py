"""The comparisons by name: which mirrors, what each side does, what is wanted.

Owns: the scenarios. Never: runs them (tests/bench/swarm.py).
"""

from dataclasses import dataclass
from typing import Literal

MB = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One comparison. `wanted` bounds ours over theirs, `ideal_within` ours over the ideal."""

    name: str
    size_mib: int = 1024
    disk: bool = False
    tls: bool = False
    delay_ms: float = 0.0
    """Of a round trip."""
    rates: tuple[float, ...] = ()
    """Bytes a second of each mirror; empty = nginx, as fast as it can."""
    fault: Literal["", "dies", "stalls"] = ""
    """What becomes of the last mirror when half of the file has come at full rate."""
    against: Literal["pieces", "whole", "ourselves"] = "pieces"
    """aria2c with SHA-256 of each piece, or of the whole; or our own engine without a busy control plane."""
    wanted: float | None = None
    ideal_within: float | None = None
    stall_timeout_s: float = 15.0

    def ideal_s(self) -> float | None:
        """All bytes over all rates, less the mirror that fails at half; None where no rate is known."""
        if not self.rates:
            return None
        size = self.size_mib << 20
        if not self.fault:
            return size / sum(self.rates)
        return size / 2 / sum(self.rates) + size / 2 / sum(self.rates[:-1])

    def fails_at_bytes(self) -> int:
        """How much the last mirror has sent when half of the file has come."""
        return int((self.size_mib << 20) / 2 * self.rates[-1] / sum(self.rates))


EVEN = (40 * MB,) * 4

SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario(name="plain-tmpfs", wanted=0.60),
        Scenario(name="plain-disk", disk=True, wanted=0.60),
        Scenario(name="checksum", against="whole", wanted=0.45),
        Scenario(name="checksum-disk", against="whole", disk=True, wanted=0.45),
        Scenario(name="tls", tls=True, wanted=0.85),
        Scenario(name="delay", delay_ms=50.0, wanted=0.80),
        Scenario(name="busy", against="ourselves", wanted=1.30),
        Scenario(
            name="unequal-8421", size_mib=320, rates=(8 * MB, 4 * MB, 2 * MB, 1 * MB), wanted=1.0, ideal_within=1 / 0.97
        ),
        Scenario(name="unequal-60", rates=(60 * MB, 60 * MB, 60 * MB, 1 * MB), wanted=1.0, ideal_within=1 / 0.97),
        Scenario(name="dies", size_mib=512, rates=EVEN, fault="dies", ideal_within=1.10, stall_timeout_s=5.0),
        Scenario(name="stalls", size_mib=512, rates=EVEN, fault="stalls", ideal_within=1.10, stall_timeout_s=5.0),
    )
}
