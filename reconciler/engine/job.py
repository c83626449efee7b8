"""The machine that fetches one job from a swarm; it has no hands.

Owns: every decision between an order and its end. Never: waits, sends, writes, logs or asks the time; `feed` tells it
what happened and when, `commands` says what to do next (engine.runner does it), `next_deadline` when to come back
though nothing happened.

After every step `check_invariants` holds: each chunk is in one state, what is requested somebody holds, no peer has
more requests than its etiquette allows, a job that is not finished waits for an answer, its turn or a deadline, and a
finished one for nothing.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import assert_never

from reconciler.engine.advance import Advance
from reconciler.engine.attempt import Attempt
from reconciler.engine.bandwidth import BandwidthCap
from reconciler.engine.commons import Commons
from reconciler.engine.dispatch import Dispatch
from reconciler.engine.events import (
    ChunkArrived,
    ChunkListArrived,
    ChunkListRefused,
    ClosePart,
    Command,
    DiskRefused,
    Event,
    Note,
    OrderChanged,
    PartClosed,
    PartOpened,
    PeerConnected,
    PeerJudged,
    PeerQueued,
    PeersFound,
    PublishAlbum,
    Published,
    SearchEnded,
    StopAsked,
    TimePassed,
    TrackEvent,
    TransferEnded,
    TransferFailed,
    TwinMoved,
    WholeRefused,
    WholeVerified,
)
from reconciler.engine.hold import refusal_of
from reconciler.engine.notes import chunk_note, rejection_note, trouble_note
from reconciler.engine.order import JobOrder, JobProgress, TrackOrder
from reconciler.engine.pace import Patience
from reconciler.engine.peers import Peer
from reconciler.engine.sharing import Sharing
from reconciler.engine.standing import Outcome, album_ready, error_of, held_up, outcome_of
from reconciler.engine.swarm import Swarm
from reconciler.engine.track import Phase, Rules, TrackMachine
from reconciler.engine.transfers import Transfer
from reconciler.sources.base import Etiquette, Found, PeerKey, PeerTrouble, Rejection
from reconciler.traces.model import EventType


class JobMachine:
    """One job. `etiquettes` names the sources that may be asked and what their peers bear; `commons` is what it shares
    with the other jobs.
    """

    def __init__(
        self, order: JobOrder, *, etiquettes: Mapping[str, Etiquette], patience: Patience, commons: Commons
    ) -> None:
        self.order = order
        self.outcome: Outcome | None = None
        self._out: list[Command] = []
        self._commons = commons
        self._swarm = Swarm(
            out=self._out, etiquettes=etiquettes, stall_timeout_s=patience.stall_timeout_s, commons=commons
        )
        self._now = float("-inf")
        self._origins = frozenset(name for name, etiquette in etiquettes.items() if etiquette.sequential)
        self._advance = Advance(swarm=self._swarm, origins=self._origins, out=self._out)
        cap = BandwidthCap(order.constraints.overlay_bandwidth_kbps * 1000 / 8)
        self._dispatch = Dispatch(
            self._swarm, cap=cap, out=self._out, waiting_bytes=self._waiting_bytes, commons=commons
        )
        self._sharing = Sharing(commons, self._out)
        self._rescue = patience.rescue
        self._tracks = {track.want.position: self._new_track(track) for track in order.tracks}
        self._out.append(
            Note(
                type=EventType.JOB_START,
                action="started",
                facts={"tracks": len(order.tracks), "generation": order.generation, "target_dir": order.target_dir},
            )
        )
        self._advance.seek(etiquettes, tuple(track.want for track in order.tracks))

    def _new_track(self, track: TrackOrder) -> TrackMachine:
        return TrackMachine(
            track,
            rules=self._rules,
            out=self._out,
            usable=self._swarm.usable,
            speed=self._swarm.speed,
            ban=self._ban,
            sharing=self._sharing,
        )

    @property
    def _rules(self) -> Rules:
        return Rules(
            constraints=self.order.constraints,
            origins=self._origins,
            rescue=self._rescue,
            album=self.order.album is not None,
        )

    # ---- the four things a runner does with it -----------------------------------------------------------------------

    def feed(self, event: Event, *, now: float) -> None:
        """Take note of what happened at monotonic time `now`, and decide what follows."""
        self.feed_all((event,), now=now)

    def feed_all(self, events: Iterable[Event], *, now: float) -> None:
        """Take note of all that has happened by `now`, in its order, and decide once what follows from it.

        Chunks come a thousand a second, several at a time; deciding costs more than taking note.
        """
        self._now = now
        for event in events:
            if self.outcome is not None:
                return
            self._take(event, now)
        if self.outcome is None:
            self._swarm.drop_late(now)
            self._advance.move(self._tracks.values(), self.order.constraints, now)
            self._publish_album()
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
        tracks = self._tracks.values()
        return JobProgress(
            job_id=self.order.job_id,
            generation=self.order.generation,
            outcome=self.outcome,
            retriable=any(track.retriable for track in tracks if track.phase is Phase.FAILED),
            error=error_of(tracks),
            tracks=tuple(track.progress() for track in tracks),
            peers=self._swarm.progress(),
            held=held_up(tracks, searching=self._advance.is_searching),
        )

    # ---- taking events -----------------------------------------------------------------------------------------------

    def _take(self, event: Event, now: float) -> None:  # noqa: C901, PLR0912 - one case an event
        match event:
            case PeersFound():
                for found in event.found:
                    self._found(found, now)
            case SearchEnded():
                self._advance.search_ended(event.source)
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
            case OrderChanged():
                self._order_changed(event.order, now)
            case StopAsked():
                self._end("stopped")
            case PartClosed():
                self._sharing.part_closed(event.position, event.part_id)
            case PeerJudged():
                self._peer_judged(event)
            case TimePassed():
                pass
            case _:
                # What concerns a track that the job does not have any more is nobody's.
                if (track := self._tracks.get(event.position)) is not None:
                    self._take_for(track, event)

    def _take_for(self, track: TrackMachine, event: TrackEvent) -> None:
        match event:
            case ChunkListArrived():
                track.list_arrived(event)
            case ChunkListRefused():
                track.list_refused(event)
            case PartOpened():
                track.part_opened(event)
            case TwinMoved():
                track.twin_moved(event)
            case DiskRefused():
                self._disk_refused(track, event)
            case WholeVerified():
                track.whole_verified(event)
            case WholeRefused():
                track.whole_refused(event)
            case Published():
                if event.generation == self.order.generation:
                    track.published(event)
                    self._swarm.cancel_track(event.position)
            case _:
                assert_never(event)

    def _found(self, found: Found, now: float) -> None:
        if isinstance(found, PeerTrouble):
            self._trouble(found)
        elif isinstance(found, Rejection):
            self._out.append(rejection_note(found))
        elif found.position in self._tracks and self._swarm.meet(found, now):
            self._tracks[found.position].add_offer(found, now)

    def _trouble(self, trouble: PeerTrouble) -> None:
        self._out.append(trouble_note(trouble))
        if trouble.code == "lied":
            self._ban(trouble.peer, trouble.message)

    def _ban(self, key: PeerKey, reason: str) -> None:
        """Never ask a peer again that broke its word, and let the other jobs know; one that gave none is only asked for
        nothing more in this job.
        """
        peer = self._swarm.peers.get(key)
        if peer is not None and not peer.etiquette.vouches:
            self._swarm.dismiss(key, "refused", reason)
            return
        self._swarm.ban(key, reason)
        self._commons.lied(key, reason, self._now)

    def _peer_judged(self, event: PeerJudged) -> None:
        if event.banned:
            self._swarm.ban(event.peer, event.banned)
        else:
            self._swarm.pardon(event.peer)

    def _chunk_arrived(self, event: ChunkArrived, now: float) -> None:
        came = self._swarm.came(event, now)
        if came is None:
            return
        transfer, peer = came
        track = self._tracks.get(transfer.position)
        attempt = None if track is None else track.attempt_of(transfer.plan)
        asked = [each for each in transfer.plan.holders(event.chunk) if each != transfer.id]
        matches = event.matches if attempt is None else attempt.judge(event.chunk, event.digest, event.matches)
        if matches is False:
            self._wrong_chunk(peer, transfer, event)
            if attempt is not None and event.matches is None:
                attempt.overwritten(event.chunk)
        elif self._counts(transfer, attempt, matches=matches) and attempt and self._take_chunk(attempt, event, peer):
            self._delivered(peer, transfer, event)
            self._out.append(chunk_note(peer, transfer, event, "verified" if matches else "received"))
            if track and track.rescue is not None and track.rescue.is_of_origin(transfer.offer):
                track.rescue.origin_brought(event.bytes_received, now)
            self._swarm.drop_overtaken(asked, now)
            attempt.check_whole()
        else:
            self._out.append(chunk_note(peer, transfer, event, "duplicate"))

    def _delivered(self, peer: Peer, transfer: Transfer, event: ChunkArrived) -> None:
        first = transfer.alone and event.chunk == transfer.first
        timed = not (first and transfer.was_queued)
        peer.delivered(bytes_received=event.bytes_received, duration_s=event.duration_s, first=first, timed=timed)
        duration_s = event.duration_s if timed else None
        self._commons.delivered(peer.key, bytes_received=event.bytes_received, duration_s=duration_s)

    @staticmethod
    def _take_chunk(attempt: Attempt, event: ChunkArrived, peer: Peer) -> bool:
        return attempt.chunk_came(event.chunk, event.digest, peer.key)

    def _wrong_chunk(self, peer: Peer, transfer: Transfer, event: ChunkArrived) -> None:
        """A chunk is not what it should be: whoever promised the very bytes has lied, another has other bytes."""
        transfer.plan.release(transfer.id, event.chunk)
        promised = peer.etiquette.vouches and bool(transfer.offer.variant.root or transfer.offer.variant.sha256)
        self._out.append(chunk_note(peer, transfer, event, "bad hash"))
        peer.refused()
        self._commons.refused(peer.key)
        if promised:
            self._ban(peer.key, f"chunk {event.chunk} does not match its hash")
        else:
            self._swarm.dismiss(peer.key, "refused", f"chunk {event.chunk} of its file is another than the overlay's")

    def _counts(self, transfer: Transfer, attempt: Attempt | None, *, matches: bool | None) -> bool:
        """Whether a chunk that came is of use: written to a part that is still tried, by a peer in good standing.

        A verified chunk of a request cancelled meanwhile still counts; a provisional one could differ from what
        replaced it.
        """
        peer = self._swarm.peers[transfer.offer.peer]
        return attempt is not None and not peer.banned and (not transfer.cancelled or matches is True)

    def _transfer_failed(self, event: TransferFailed, now: float) -> None:
        transfer = self._swarm.close(event.transfer)
        if transfer is None or transfer.cancelled or event.code == "cancelled":
            return
        track = self._tracks.get(transfer.position)
        if event.code == "disk" and track is not None:
            self._disk_refused(track, refusal_of(event, track.position, folder=self.order.target_dir))
        else:
            self._swarm.failed(event, transfer, now)

    def _order_changed(self, order: JobOrder, now: float) -> None:
        """Go on under another order: what was done for a track that is wanted as before is kept, with all of its
        requests.
        """
        before, kept = self._tracks, 0
        self.order = order
        self._dispatch.cap = BandwidthCap(order.constraints.overlay_bandwidth_kbps * 1000 / 8)
        self._commons.weigh(order.priority)
        self._tracks, fresh = {}, []
        for wanted in order.tracks:
            track = before.get(wanted.want.position)
            if track is not None and track.may_go_on_as(wanted):
                track.order_changed(wanted, self._rules)
                kept += 1
            else:
                track = self._new_track(wanted)
                fresh.append(wanted.want)
            self._tracks[track.position] = track
        dropped = [track for position, track in before.items() if self._tracks.get(position) is not track]
        for track in dropped:
            self._drop_track(track, now)
        facts = {"generation": order.generation, "kept": kept, "new": len(fresh), "dropped": len(dropped)}
        self._out.append(Note(type=EventType.JOB_START, action="changed", facts=dict(facts)))
        if fresh:
            self._advance.seek(self._swarm.sources, tuple(fresh))

    def _drop_track(self, track: TrackMachine, now: float) -> None:
        """Let go of a track that is not wanted any more; its parts stay for whoever wants the same."""
        if track.rescue is not None:
            track.rescue.ended(now, "not wanted any more")
        for attempt in track.attempts:
            self._swarm.cancel_plan(attempt.plan)
            if attempt.claim is None:
                self._out.append(ClosePart(position=track.position, part_id=attempt.part_id))
        track.let_go()

    def _disk_refused(self, track: TrackMachine, event: DiskRefused) -> None:
        if not track.is_done and track.phase is not Phase.HELD:
            track.disk_refused(event, self._now)
            self._swarm.cancel_track(track.position)

    # ---- scheduling --------------------------------------------------------------------------------------------------

    def _schedule(self, now: float) -> None:
        """Give every peer that may take a request the best one for it."""
        views = (attempt.fetching() for track in self._tracks.values() for attempt in track.attempts)
        self._dispatch.serve([view for view in views if view is not None], now=now)

    def _waiting_bytes(self) -> int:
        """What the tracks need that nothing is asked for yet; one of unknown size is taken to be like the others."""
        waiting = [track for track in self._tracks.values() if track.is_waiting]
        sizes = [track.variant.size if track.variant else track.order.want.size or 0 for track in waiting]
        begun = [track.variant.size for track in self._tracks.values() if track.variant and not track.is_waiting]
        known = [size for size in sizes if size] + begun
        return sum(sizes) + sizes.count(0) * (sum(known) // len(known) if known else 0)

    # ---- ending ------------------------------------------------------------------------------------------------------

    def _publish_album(self) -> None:
        if ready := album_ready(self._tracks.values()):
            self._out.append(PublishAlbum(files=tuple(track.publish() for track in ready)))

    def _finish_if_done(self) -> None:
        outcome = outcome_of(self._tracks.values())
        if outcome is not None:
            self._end(outcome)

    def _end(self, outcome: Outcome) -> None:
        for track in self._tracks.values():
            if track.rescue is not None:
                track.rescue.ended(self._now, "ended with its job")
        self._swarm.end()
        self.outcome = outcome

    def _deadlines(self) -> Iterator[float]:
        for track in self._tracks.values():
            if (deadline := self._advance.deadline(track, self._now)) is not None:
                yield deadline
        for each in (self._swarm.next_deadline(), self._dispatch.next_deadline()):
            if each is not None:
                yield each
        if (turn := self._commons.next_turn(self._now)) is not None:
            yield turn

    def check_invariants(self) -> None:
        """See the module docstring. Looks at every chunk: `check_step` is for after every event."""
        for track in self._tracks.values():
            track.check_invariants()
            for plan in (attempt.plan for attempt in track.attempts if attempt.plan is not None):
                for chunk in plan.requested():
                    for holder in plan.holders(chunk):
                        owed = self._swarm.transfers[holder].owed
                        assert chunk in owed, f"transfer {holder} does not owe chunk {chunk}"
        self.check_step()

    def check_step(self) -> None:
        """The part of the invariants that does not look at chunks: accounts, and that something can still happen."""
        self._swarm.check_invariants()
        if self.outcome is None:
            waits = (
                self._advance.is_searching
                or self._swarm.transfers
                or any(track.awaits_answer for track in self._tracks.values())
            )
            told = self._commons.is_waiting or self._out
            assert waits or told or self.next_deadline() is not None, "nothing will ever happen again"
        else:
            assert self.next_deadline() is None
