"""One job's side of sharing transfers with its twins: tracks, here or in other jobs, that want the same bytes.

Owns: claiming a content before its part is opened, letting it go once the part is closed, and lending peers to whoever
leads. Never: decides who leads (engine.twins).
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from reconciler.engine.commons import Commons
from reconciler.engine.events import ClosePart, Command, Note
from reconciler.engine.twins import NO_LEGACY, Legacy, Place
from reconciler.ids import TrackPosition
from reconciler.sources.base import Offer, Variant
from reconciler.traces.model import EventType


@dataclass(slots=True)
class Claim:
    """An attempt's claim to its content."""

    place: Place
    leader: Place | None
    """Who fetches it; None = the attempt itself."""
    legacy: Legacy = NO_LEGACY
    """What a twin has left that was here before."""

    @property
    def text(self) -> str:
        """What a person is told of it; empty for a leader."""
        if self.leader is None:
            return ""
        return f"shares the transfer of job {self.leader.job_id}, track {self.leader.position}"


class Sharing:
    """The claims of one job. Commands go to `out`."""

    def __init__(self, commons: Commons, out: list[Command]) -> None:
        self._commons = commons
        self._out = out
        self._closing: dict[tuple[TrackPosition, str], list[Place]] = {}

    def claim(self, position: TrackPosition, variant: Variant, offers: Iterable[Offer]) -> Claim | None:
        """Claim a variant's bytes for a track; None where nothing names them. `offers` help whoever leads."""
        if left := self._closing.pop((position, variant.id), None):
            return Claim(left[-1], None)  # the same track goes on with the same part, which nobody had yet
        claimed = self._commons.claim(position, variant)
        if claimed is None:
            return None
        place, found = claimed
        claim = Claim(place, found.leader, found.legacy)
        self.tell(claim, variant)
        self.lend(claim, offers)
        return claim

    def tell(self, claim: Claim, variant: Variant) -> None:
        """Tell the trace for whom a track waits."""
        if claim.leader is not None:
            self._out.append(
                Note(
                    type=EventType.TRACK_START,
                    action="shares",
                    position=claim.place.position,
                    variant_id=variant.id,
                    facts={"job": claim.leader.job_id, "track": int(claim.leader.position)},
                )
            )

    def lend(self, claim: Claim, offers: Iterable[Offer]) -> None:
        """Let whoever leads ask these peers too."""
        if claim.leader is not None:
            self._commons.lend(claim.leader, tuple(offers))

    def let_go(self, claims: Collection[Claim | None]) -> None:
        """These are not tried any more; who waits for one that was has it once its part is closed."""
        for claim in claims:
            if claim is None:
                continue
            if claim.leader is not None:
                self._commons.leave(claim.place)
                continue
            name = claim.place.position, claim.place.part_id
            self._closing.setdefault(name, []).append(claim.place)
            self._out.append(ClosePart(position=claim.place.position, part_id=claim.place.part_id))

    def part_closed(self, position: TrackPosition, part_id: str) -> None:
        """Nothing is written to a part any more."""
        for place in self._closing.pop((position, part_id), ()):
            self._commons.leave(place)

    def whole(self, claim: Claim | None) -> None:
        """The part is whole and waits for its name: who waited for it may copy it."""
        if claim is not None:
            self._commons.leave(claim.place, whole=claim.leader is None)

    def published(self, claim: Claim | None, path: str) -> None:
        """The file has its name: who waited for it may copy it."""
        if claim is not None:
            self._commons.leave(claim.place, published=path if claim.leader is None else "")
