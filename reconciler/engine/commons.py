"""The port between one job and what all running jobs share.

Owns: the words in which a job asks and tells. Never: answers (engine.neighbours does).
"""

from dataclasses import dataclass
from typing import Protocol

from reconciler.engine.events import TransferId
from reconciler.engine.twins import Claimed, Place
from reconciler.ids import TrackPosition
from reconciler.sources.base import Offer, PeerKey, Variant


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A request that a job would send to a peer."""

    peer: PeerKey
    size_bytes: int
    chunk_bytes: int
    throughput_bytes_per_s: float
    """The peer's speed, as far as the job may use it."""
    requests_max: int
    """What the peer's etiquette bears, from all jobs together."""
    streams: bool
    """Whether it comes as one stream, whose rate nobody here can choose."""


class Commons(Protocol):
    """What a running job shares with the others. Called on the loop's thread; `now` is monotonic."""

    # ---- what is known of peers --------------------------------------------------------------------------------------

    def prior(self, peer: PeerKey, now: float) -> Prior:
        """What is known of a peer that the job meets."""
        ...

    def delivered(self, peer: PeerKey, *, bytes_received: int, duration_s: float | None) -> None:
        """A peer has brought a good chunk; None where the time that it took says nothing of the peer's speed."""
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

    # ---- whose turn it is --------------------------------------------------------------------------------------------

    @property
    def is_waiting(self) -> bool:
        """Whether the job waits for its turn somewhere: it is woken then, or comes at `next_turn`."""
        ...

    def weigh(self, priority: int) -> None:
        """Let the job's share follow another priority."""
        ...

    def take_calls(self, now: float) -> frozenset[PeerKey]:
        """The peers that the job should look at: its turn has come there. Each is told once."""
        ...

    def look(self, peer: PeerKey) -> None:
        """The job looks at a peer anew: it does not wait for it until it is refused again."""
        ...

    def bounded(self, peer: PeerKey, bytes_per_s: float) -> float:
        """A peer's speed, as far as the size of one request may follow it."""
        ...

    def is_shared(self, peer: PeerKey) -> bool:
        """Whether other jobs use this peer now, or would: `may_ask` then tells what is enough for it."""
        ...

    def may_ask(self, ask: Ask, now: float) -> bool:
        """Whether the request may be sent now; where it may not, the job waits for its turn."""
        ...

    def asked(self, transfer: TransferId, ask: Ask, now: float) -> None:
        """The request was sent."""
        ...

    def came(self, transfer: TransferId, *, bytes_owed: int, now: float) -> None:
        """Some of a request came; so much of it is still to come."""
        ...

    def ended(self, transfer: TransferId) -> None:
        """A request is over, whatever came of it."""
        ...

    def owed_by(self, peer: PeerKey) -> int:
        """Bytes that a peer owes all jobs together."""
        ...

    def next_turn(self, now: float) -> float | None:
        """When the job should ask again though nothing happens; None where it is told."""
        ...

    # ---- twins -------------------------------------------------------------------------------------------------------

    def claim(self, position: TrackPosition, variant: Variant) -> tuple[Place, Claimed] | None:
        """Claim a variant's bytes for a track of the job: its place, and what became of it; None where nothing names
        the bytes.
        """
        ...

    def leave(self, place: Place, *, published: str = "", whole: bool = False) -> None:
        """Fetch or wait no longer; `published` is the path of the file, if it came to that, `whole` tells that its part
        is whole, verified, and stays.
        """
        ...

    def lend(self, leader: Place, offers: tuple[Offer, ...]) -> None:
        """Let whoever fetches the same bytes ask these peers too."""
        ...
