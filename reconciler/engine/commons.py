"""The port between one job and what all running jobs share.

Owns: the words in which a job asks and tells. Never: answers (engine.neighbours does).
"""

from dataclasses import dataclass
from typing import Protocol

from reconciler.sources.base import PeerKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Prior:
    """What earlier jobs have learned of a peer, as a job begins with it."""

    throughput_bytes_per_s: float = 0.0
    """0.0 = a stranger, or one that has to show anew what it is worth."""
    error_rate: float = 0.0
    """0.0 to 1.0: of its answers, the part that was wrong or broken."""
    timeout_rate: float = 0.0
    """0.0 to 1.0: of its answers, the part that did not come in time."""
    banned: str = ""
    """Why it may not be asked now; empty = it may."""


STRANGER = Prior()


class Commons(Protocol):
    """What a running job shares with the others. Called on the loop's thread; `now` is monotonic."""

    def prior(self, peer: PeerKey, now: float) -> Prior:
        """What is known of a peer that the job meets."""
        ...

    def delivered(self, peer: PeerKey, *, bytes_received: int, duration_s: float) -> None:
        """A peer has brought a good chunk."""
        ...

    def refused(self, peer: PeerKey) -> None:
        """A peer has brought a wrong chunk."""
        ...

    def failed(self, peer: PeerKey, *, timed_out: bool) -> None:
        """A request to a peer has failed by its fault."""
        ...

    def lied(self, peer: PeerKey, reason: str, now: float) -> None:
        """A peer has broken its own word: no job may ask it until its ban ends."""
        ...
