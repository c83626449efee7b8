"""Move every track of a job as far as it can go by itself.

Owns: which step of a track is due: choosing, opening, giving up, being helped, being ready. Never: takes events
(engine.job), or chooses chunks and peers (engine.schedule).
"""

from collections import Counter
from collections.abc import Collection
from typing import assert_never

from reconciler.engine.attempt import Attempt, AttemptPhase
from reconciler.engine.events import Command, Search
from reconciler.engine.offers import SearchState
from reconciler.engine.rescue import Rescue
from reconciler.engine.swarm import Swarm
from reconciler.engine.track import Phase, TrackMachine
from reconciler.engine.transfers import Transfer
from reconciler.manifests.model import Constraints
from reconciler.sources.base import Want

# Tracks fetched side by side: enough that a peer which lacks one track still has work, few enough that albums finish
# track by track.
TRACKS_OPEN_MAX = 4

# The source that helps others' tracks; the only one whose peers publish roots.
OVERLAY = "overlay"

_REASONS_SHOWN_MAX = 3

# In every other phase a track waits for its disk or its album, or for nothing.
_MOVES_BY_ITSELF = frozenset({Phase.SEEKING, Phase.FETCHING, Phase.HELD})


class Advance:
    """The steps of the tracks of one job, and the search that they wait for. Commands go to `out`."""

    def __init__(self, *, swarm: Swarm, origins: frozenset[str], out: list[Command]) -> None:
        self._swarm = swarm
        self._origins = origins
        self._out = out
        self._searching: set[str] = set()

    # ---- the search --------------------------------------------------------------------------------------------------

    @property
    def is_searching(self) -> bool:
        """Whether a source may still find somebody."""
        return bool(self._searching)

    @property
    def search(self) -> SearchState:
        """How far the search is."""
        return SearchState(over=not self._searching, origin_over=not self._searching & self._origins)

    def seek(self, sources: Collection[str], wants: tuple[Want, ...]) -> None:
        """Ask these sources for these wants."""
        self._searching.update(sources)
        self._out.append(Search(sources=tuple(sorted(sources)), wants=wants))

    def search_ended(self, source: str) -> None:
        """A source finds no more."""
        self._searching.discard(source)

    # ---- the steps ---------------------------------------------------------------------------------------------------

    def move(self, tracks: Collection[TrackMachine], constraints: Constraints, now: float) -> None:
        """Move every track as far as it can go by itself."""
        for track in tracks:
            if track.phase not in _MOVES_BY_ITSELF:
                continue
            before = None
            while track.state != before:  # each variant is tried at most once: this ends
                before = track.state
                self._step(track, tracks, _lossy_allowed(tracks, constraints), now)

    def _step(
        self,
        track: TrackMachine,
        tracks: Collection[TrackMachine],
        lossy_allowed: bool,  # noqa: FBT001 - what the album's cap leaves
        now: float,
    ) -> None:
        match track.phase:
            case Phase.SEEKING:
                may_open = sum(each.is_open for each in tracks) < TRACKS_OPEN_MAX
                track.seek(
                    now,
                    search=self.search,
                    may_open=may_open,
                    lossy_allowed=lossy_allowed,
                    coverage=Counter(folder for each in tracks for folder in each.offers.folders()),
                )
            case Phase.FETCHING:
                if track.rescue is not None and OVERLAY in self._swarm.sources:
                    self._help(track, track.rescue, lossy_allowed=lossy_allowed, now=now)
                for attempt in list(track.attempts):
                    if track.phase is Phase.FETCHING:
                        self._step_attempt(track, attempt, now)
            case Phase.HELD:
                if now >= track.hold.look_at_s:
                    track.look_again()
            case Phase.READY | Phase.PUBLISHING | Phase.COMPLETED | Phase.FAILED:
                pass
            case _:
                assert_never(track.phase)

    def _step_attempt(self, track: TrackMachine, attempt: Attempt, now: float) -> None:
        match attempt.phase:
            case AttemptPhase.SHARING:
                pass
            case AttemptPhase.OPENING:
                attempt.open(search_over=not self._searching)
            case AttemptPhase.FETCHING:
                if attempt.only is not None and not self._swarm.usable(attempt.only):
                    attempt.release_only()
                goes_on = self._can_go_on(track, attempt)
                if not goes_on and not (attempt.hear_anybody() and self._can_go_on(track, attempt)):
                    attempt.refuse(self._why_none_left(attempt))
            case AttemptPhase.VERIFYING:
                self._swarm.cancel_plan(attempt.plan)
            case AttemptPhase.WHOLE:
                self._swarm.cancel_track(track.position)
                track.finish(attempt, now)
            case AttemptPhase.REFUSED:
                self._swarm.cancel_plan(attempt.plan)
                track.drop(attempt)
            case _:
                assert_never(attempt.phase)

    def _can_go_on(self, track: TrackMachine, attempt: Attempt) -> bool:
        """Whether anybody is bringing a chunk of `attempt`, or could, or may yet be found."""
        plan = attempt.plan
        assert plan is not None
        if self._searching or self._swarm.is_fetching(plan):
            return True
        if track.rescue is not None and track.rescue.awaits_answer:
            return True
        return any(
            self._swarm.usable(peer) and plan.next_missing(offer.holds, 1) is not None
            for peer, offer in attempt.bringers().items()
        )

    def _why_none_left(self, attempt: Attempt) -> str:
        reasons = sorted(self._swarm.why_out(key) for key in attempt.offers())
        return f"no peer is left that holds the rest ({'; '.join(reasons[:_REASONS_SHOWN_MAX])})"

    # ---- rescue ------------------------------------------------------------------------------------------------------

    def _help(self, track: TrackMachine, rescue: Rescue, *, lossy_allowed: bool, now: float) -> None:
        """Let the overlay verify what the origin sends, and help it where it is behind."""
        plan = rescue.attempt.plan
        if plan is None or not rescue.concerns:
            return
        own = rescue.origin_offers()
        other = None
        if len(track.attempts) == 1 and rescue.joined is None:
            choice = track.offers.ranked(lossy_allowed=lossy_allowed)
            streams = any(self._swarm.peers[key].etiquette.sequential for key in own)
            rescue.consult(choice, track.offers.of, streams=streams)
            other = rescue.best_other(choice)
        reachable = any(self._swarm.usable(key) for key in own)
        match rescue.look(self._of_origin(rescue), reachable=reachable, other=other, now=now):
            case "help":
                self._swarm.loosen(plan)
            case "beside":
                assert other is not None
                chosen = "its origin is behind and no variant on offer has the same bytes"
                # Not shared: it rests while the origin keeps up, and a twin must not rest with it.
                track.attempt(other, chosen=chosen, claim=None)
            case "search" if OVERLAY not in self._searching:
                self.seek((OVERLAY,), (track.order.want,))
            case "search" | "nothing":
                pass
        if rescue.lag is None:
            self._swarm.tighten(plan)
        self._rest(track.attempts[1:], rest=rescue.lag is None)

    def _rest(self, beside: Collection[Attempt], *, rest: bool) -> None:
        """Ask nothing for what is tried beside an origin that keeps up again."""
        for attempt in beside:
            attempt.paused = rest
            if rest:
                self._swarm.cancel_plan(attempt.plan)

    def _of_origin(self, rescue: Rescue) -> list[Transfer]:
        return [each for each in self._swarm.of_plan(rescue.attempt.plan) if rescue.is_of_origin(each.offer)]

    def deadline(self, track: TrackMachine, now: float) -> float | None:
        """When a track should be looked at again though nothing happened."""
        if track.phase in (Phase.SEEKING, Phase.HELD):
            return track.next_deadline(self.search)
        if track.rescue is None or track.phase is not Phase.FETCHING or OVERLAY not in self._swarm.sources:
            return None
        if not track.rescue.concerns:  # said here, before every request under way is looked at
            return None
        return track.rescue.next_look_s(self._of_origin(track.rescue), now)


def _lossy_allowed(tracks: Collection[TrackMachine], constraints: Constraints) -> bool:
    cap = constraints.max_lossy_tracks_per_album
    return cap is None or sum(bool(track.variant and not track.variant.lossless) for track in tracks) < cap
