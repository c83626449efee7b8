"""The machine that fetches one job from a swarm; it has no hands.

Owns: every decision between an order and its end. Never: waits, sends, writes, logs or asks the time; `feed` tells it
what happened and when, `commands` says what to do next (engine.runner does it), `next_deadline` when to come back
though nothing happened.

After every step `check_invariants` holds: each chunk is in one state, what is requested somebody holds, no peer has
more requests than its etiquette allows, a job that is not finished waits for an answer or a deadline, and a finished
one for neither.
"""

from collections.abc import Iterator, Mapping
from typing import Literal, assert_never

from reconciler.engine.bandwidth import BandwidthCap
from reconciler.engine.dispatch import Dispatch
from reconciler.engine.events import (
    ChunkArrived,
    ChunkListArrived,
    ChunkListRefused,
    Command,
    DiskRefused,
    Event,
    Note,
    PartOpened,
    PeerConnected,
    PeerQueued,
    PeersFound,
    Published,
    Search,
    SearchEnded,
    StopAsked,
    TimePassed,
    TransferEnded,
    TransferFailed,
    WholeRefused,
    WholeVerified,
)
from reconciler.engine.notes import chunk_note, trouble_note
from reconciler.engine.order import JobOrder, JobProgress
from reconciler.engine.swarm import Swarm
from reconciler.engine.track import Phase, TrackMachine
from reconciler.engine.transfers import Transfer
from reconciler.sources.base import Etiquette, Found, PeerTrouble
from reconciler.traces.model import EventType

# Tracks fetched side by side: enough that a peer which lacks one track still has work, few enough that albums finish
# track by track.
TRACKS_OPEN_MAX = 4

Outcome = Literal["completed", "failed", "stopped"]


class JobMachine:
    """One job. `etiquettes` names the sources that may be asked and what their peers bear."""

    def __init__(self, order: JobOrder, *, etiquettes: Mapping[str, Etiquette], stall_timeout_s: float) -> None:
        self.order = order
        self.outcome: Outcome | None = None
        self._out: list[Command] = []
        self._swarm = Swarm(out=self._out, etiquettes=etiquettes, stall_timeout_s=stall_timeout_s)
        self._now = float("-inf")
        self._searching = set(etiquettes)
        cap = BandwidthCap(order.constraints.overlay_bandwidth_kbps * 1000 / 8)
        self._dispatch = Dispatch(self._swarm, cap=cap, out=self._out, waiting_bytes=self._waiting_bytes)
        self._tracks = {
            track.want.position: TrackMachine(
                track, constraints=order.constraints, out=self._out, usable=self._swarm.usable, ban=self._swarm.ban
            )
            for track in order.tracks
        }
        self._out.append(
            Note(
                type=EventType.JOB_START,
                action="started",
                facts={"tracks": len(order.tracks), "generation": order.generation, "target_dir": order.target_dir},
            )
        )
        self._out.append(Search(sources=tuple(sorted(etiquettes)), wants=tuple(track.want for track in order.tracks)))

    # ---- the four things a runner does with it -----------------------------------------------------------------------

    def feed(self, event: Event, *, now: float) -> None:
        """Take note of what happened at monotonic time `now`, and decide what follows."""
        if self.outcome is not None:
            return
        self._now = now
        self._take(event, now)
        if self.outcome is None:
            self._swarm.drop_late(now)
            self._advance(now)
            self._schedule(now)
            self._finish_if_done()

    def commands(self) -> list[Command]:
        """What to do, in order; each command is given out once."""
        out, self._out[:] = list(self._out), []
        return out

    def next_deadline(self) -> float | None:
        """The monotonic time by which TimePassed must be fed if nothing else was."""
        if self.outcome is not None:
            return None
        return min((deadline for deadline in self._deadlines() if deadline > self._now), default=None)

    def progress(self) -> JobProgress:
        """What a person sees."""
        failed = [track for track in self._tracks.values() if track.phase is Phase.FAILED]
        return JobProgress(
            job_id=self.order.job_id,
            generation=self.order.generation,
            outcome=self.outcome,
            retriable=any(track.retriable for track in failed),
            error="; ".join(f"track {track.position} ({track.order.title}): {track.error}" for track in failed),
            tracks=tuple(track.progress() for track in self._tracks.values()),
            peers=self._swarm.progress(),
        )

    # ---- taking events -----------------------------------------------------------------------------------------------

    def _take(self, event: Event, now: float) -> None:  # noqa: C901, PLR0912 - one case an event
        match event:
            case PeersFound():
                for found in event.found:
                    self._found(found, now)
            case SearchEnded():
                self._searching.discard(event.source)
            case ChunkListArrived():
                self._tracks[event.position].list_arrived(event)
            case ChunkListRefused():
                self._tracks[event.position].list_refused(event)
            case PartOpened():
                self._tracks[event.position].part_opened(event)
            case DiskRefused():
                self._disk_refused(event)
            case PeerConnected():
                self._swarm.connected(event.transfer, now)
            case PeerQueued():
                self._swarm.queued(event, now)
            case ChunkArrived():
                self._chunk_arrived(event, now)
            case TransferEnded():
                self._swarm.ended(event.transfer)
            case TransferFailed():
                self._transfer_failed(event, now)
            case WholeVerified():
                self._tracks[event.position].whole_verified(event)
            case WholeRefused():
                self._tracks[event.position].whole_refused(event)
            case Published():
                self._tracks[event.position].published(event)
            case StopAsked():
                self._end("stopped")
            case TimePassed():
                pass
            case _:
                assert_never(event)

    def _found(self, found: Found, now: float) -> None:
        if isinstance(found, PeerTrouble):
            self._trouble(found)
        elif found.position in self._tracks and self._swarm.meet(found):
            self._tracks[found.position].add_offer(found, now)

    def _trouble(self, trouble: PeerTrouble) -> None:
        self._out.append(trouble_note(trouble))
        if trouble.code == "lied":
            self._swarm.ban(trouble.peer, trouble.message)

    def _chunk_arrived(self, event: ChunkArrived, now: float) -> None:
        came = self._swarm.came(event, now)
        if came is None:
            return
        transfer, peer = came
        track = self._tracks[transfer.position]
        asked = [each for each in transfer.plan.holders(event.chunk) if each != transfer.id]
        if event.matches is False:
            peer.refused()
            transfer.plan.release(transfer.id, event.chunk)
            self._out.append(chunk_note(peer, transfer, event, "bad hash"))
            self._swarm.ban(peer.key, f"chunk {event.chunk} does not match its hash")
        elif self._counts(transfer, event) and track.chunk_came(event.chunk, event.print, peer.key):
            first = transfer.alone and event.chunk == transfer.first
            timed = not (first and transfer.was_queued)
            peer.delivered(bytes_received=event.bytes_received, duration_s=event.duration_s, first=first, timed=timed)
            self._out.append(chunk_note(peer, transfer, event, "verified" if event.matches else "received"))
            self._swarm.drop_overtaken(asked, now)
            track.check_whole()
        else:
            self._out.append(chunk_note(peer, transfer, event, "duplicate"))

    def _counts(self, transfer: Transfer, event: ChunkArrived) -> bool:
        """Whether a chunk that came is of use: written to the part that the track has now, by a peer in good standing.

        A verified chunk of a request cancelled meanwhile still counts; a provisional one could differ from what
        replaced it.
        """
        peer = self._swarm.peers[transfer.offer.peer]
        same_part = transfer.plan is self._tracks[transfer.position].plan
        return same_part and not peer.banned and (not transfer.cancelled or event.matches is True)

    def _transfer_failed(self, event: TransferFailed, now: float) -> None:
        transfer = self._swarm.close(event.transfer)
        if transfer is None or transfer.cancelled or event.code == "cancelled":
            return
        if event.code == "disk":
            self._disk_refused(DiskRefused(position=transfer.position, message=event.message))
        else:
            self._swarm.failed(event, transfer, now)

    def _disk_refused(self, event: DiskRefused) -> None:
        track = self._tracks[event.position]
        if not track.is_done:
            track.disk_refused(event)
            self._swarm.cancel_track(track.position)

    # ---- deciding ----------------------------------------------------------------------------------------------------

    def _advance(self, now: float) -> None:
        """Move every track as far as it can go by itself."""
        for track in self._tracks.values():
            before = None
            while track.phase is not before:  # each phase is entered at most once a variant: this ends
                before = track.phase
                self._advance_track(track, now)

    def _advance_track(self, track: TrackMachine, now: float) -> None:
        match track.phase:
            case Phase.SEEKING:
                track.seek(
                    now,
                    search_over=not self._searching,
                    may_open=sum(t.is_open for t in self._tracks.values()) < TRACKS_OPEN_MAX,
                    lossy_allowed=self._lossy_allowed(),
                )
            case Phase.OPENING:
                track.open(search_over=not self._searching)
            case Phase.FETCHING:
                if track.only is not None and not self._swarm.usable(track.only):
                    track.release_only()
                if not self._can_go_on(track):
                    track.give_up_variant(self._why_none_left(track))
            case Phase.VERIFYING:
                self._swarm.cancel_track(track.position)
            case Phase.PUBLISHING | Phase.COMPLETED | Phase.FAILED:
                pass
            case _:
                assert_never(track.phase)

    def _lossy_allowed(self) -> bool:
        cap = self.order.constraints.max_lossy_tracks_per_album
        lossy = sum(bool(track.variant and not track.variant.lossless) for track in self._tracks.values())
        return cap is None or lossy < cap

    def _can_go_on(self, track: TrackMachine) -> bool:
        """Whether anybody is bringing a chunk of `track`, or could, or may yet be found."""
        if self._searching or self._swarm.is_fetching(track.position):
            return True
        assert track.plan is not None
        return any(
            self._swarm.usable(peer) and track.plan.next_missing(offer.holds, 1) is not None
            for peer, offer in track.offers().items()
        )

    def _why_none_left(self, track: TrackMachine) -> str:
        reasons = [self._swarm.why_out(key) for key in track.offers()]
        return "no peer is left that holds the rest (" + "; ".join(sorted(reasons)[:3]) + ")"

    def _schedule(self, now: float) -> None:
        """Give every peer that may take a request the best one for it."""
        views = (track.fetching() for track in self._tracks.values())
        self._dispatch.serve([view for view in views if view is not None], now=now)

    def _waiting_bytes(self) -> int:
        """What the tracks need that nothing is asked for yet; one of unknown size is taken to be like the others."""
        waiting = [t for t in self._tracks.values() if not t.is_done and t.phase in (Phase.SEEKING, Phase.OPENING)]
        sizes = [track.variant.size if track.variant else track.order.want.size or 0 for track in waiting]
        known = [size for size in sizes if size] + [t.plan.size for t in self._tracks.values() if t.plan]
        return sum(sizes) + sizes.count(0) * (sum(known) // len(known) if known else 0)

    # ---- ending ------------------------------------------------------------------------------------------------------

    def _finish_if_done(self) -> None:
        if all(track.is_done for track in self._tracks.values()):
            failed = any(track.phase is Phase.FAILED for track in self._tracks.values())
            self._end("failed" if failed else "completed")

    def _end(self, outcome: Outcome) -> None:
        self._swarm.end()
        self.outcome = outcome

    def _deadlines(self) -> Iterator[float]:
        for track in self._tracks.values():
            if (deadline := track.next_deadline()) is not None:
                yield deadline
        for each in (self._swarm.next_deadline(), self._dispatch.next_deadline()):
            if each is not None:
                yield each

    def check_invariants(self) -> None:
        """See the module docstring. Looks at every chunk: `check_step` is for after every event."""
        for track in self._tracks.values():
            track.check_invariants()
            for chunk in track.plan.requested() if track.plan else ():
                for holder in track.plan.holders(chunk) if track.plan else ():
                    assert chunk in self._swarm.transfers[holder].owed, f"transfer {holder} does not owe chunk {chunk}"
        self.check_step()

    def check_step(self) -> None:
        """The part of the invariants that does not look at chunks: accounts, and that something can still happen."""
        self._swarm.check_invariants()
        if self.outcome is None:
            waits = (
                self._searching or self._swarm.transfers or any(track.awaits_answer for track in self._tracks.values())
            )
            assert waits or self._out or self.next_deadline() is not None, "nothing will ever happen again"
        else:
            assert self.next_deadline() is None
