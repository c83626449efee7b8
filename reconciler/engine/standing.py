"""How a job stands as a whole, from how its tracks stand.

Owns: when an album may be published, when a job has ended and how, what holds it up. Never: moves a track
(engine.track).
"""

from collections.abc import Collection
from typing import Literal

from reconciler.engine.order import HeldUp
from reconciler.engine.track import Phase, TrackMachine

Outcome = Literal["completed", "failed", "stopped"]

_ENDED = frozenset({Phase.COMPLETED, Phase.FAILED})


def album_ready(tracks: Collection[TrackMachine]) -> list[TrackMachine]:
    """The tracks that can be published now that every other one is; none while any is missing."""
    ready = [track for track in tracks if track.phase is Phase.READY]
    published = sum(track.phase is Phase.COMPLETED for track in tracks)
    return ready if len(ready) + published == len(tracks) else []


def outcome_of(tracks: Collection[TrackMachine]) -> Outcome | None:
    """How the job has ended; None while it goes on.

    What is ready does not go on once a track that it waits for has failed.
    """
    phases = {track.phase for track in tracks}
    if Phase.FAILED in phases and phases <= _ENDED | {Phase.READY}:
        return "failed"
    return "completed" if phases <= {Phase.COMPLETED} else None


def error_of(tracks: Collection[TrackMachine]) -> str:
    """Why tracks have failed, each reason once; empty where none has."""
    reasons: dict[str, list[TrackMachine]] = {}
    for track in tracks:
        if track.phase is Phase.FAILED:
            reasons.setdefault(track.error, []).append(track)
    told = [f"{_named(failed)}: {reason}" for reason, failed in reasons.items()]
    ready = sum(track.phase is Phase.READY for track in tracks)
    if reasons and ready:
        whole = (
            f"an album is published whole; library.publish: track would publish the {ready} of {len(tracks)} ready now"
        )
        told.append(whole)
    return "; ".join(told)


def _named(tracks: list[TrackMachine]) -> str:
    if len(tracks) == 1:
        return f"track {tracks[0].position} ({tracks[0].order.title})"
    return "tracks " + ", ".join(str(track.position) for track in tracks)


def held_up(tracks: Collection[TrackMachine], *, searching: bool) -> HeldUp | None:
    """What of our own disk stands in the way; None where nothing does."""
    held = [track.hold for track in tracks if track.hold.active and not track.is_done]
    if not held:
        return None
    # A disk that fails is worse news than one that is full. Of several the first: it must not look like news by turns.
    worst = next((hold for hold in held if hold.reason == "DiskFailing"), held[0])
    goes_on = any(track.phase in (Phase.FETCHING, Phase.PUBLISHING) and not track.hold.active for track in tracks)
    return HeldUp(reason=worst.reason, message=worst.message, entirely=not goes_on and not searching)
