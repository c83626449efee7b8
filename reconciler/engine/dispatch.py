"""Hand out the work of one job: who is looked at after which event, and asked for what.

Owns: whose turn it is, the cap on what is asked for, and when idle peers are looked at again. Never: what the choice is
for one peer (engine.schedule), or what becomes of an answer (engine.job).

After an event only the peers that it concerns are looked at; all of them when chunks become free, a track begins, or a
moment comes for which an idle peer waits. So the work of an event does not grow with the swarm or with the file.
"""

from collections.abc import Callable, Iterable, Sequence

from reconciler.engine.bandwidth import BandwidthCap
from reconciler.engine.commons import Ask, Commons
from reconciler.engine.events import Command, Read, TransferId
from reconciler.engine.notes import handover_note
from reconciler.engine.peers import Peer
from reconciler.engine.schedule import (
    Fetching,
    Lease,
    Outlook,
    Overdue,
    bring_s,
    chunks_to_take,
    next_lease,
    overdue,
    request_bytes,
    silent_requests,
    wants_more,
)
from reconciler.engine.swarm import Swarm
from reconciler.engine.transfers import Transfer
from reconciler.ids import ChunkIndex, TrackPosition
from reconciler.overlay.merkle import CHUNK_BYTES

# When idle peers are looked at again while others are at work: what is late grows later with time alone. Where a look
# changed nothing, the next waits twice as long, up to two seconds, so that a swarm that waits for one slow peer rests.
IDLE_LOOK_S = 0.25
LOOKS_DOUBLED_MAX = 3

# How old the sums over all peers may be: they are for judging seconds.
OUTLOOK_AGE_S = 0.1


class Dispatch:
    """The scheduling of one job. Commands go to `out`; `waiting_bytes` says what tracks will need that are not yet
    being fetched.
    """

    def __init__(
        self,
        swarm: Swarm,
        *,
        cap: BandwidthCap,
        out: list[Command],
        waiting_bytes: Callable[[], int],
        commons: Commons,
    ) -> None:
        self._swarm = swarm
        self._commons = commons
        self.cap = cap
        """What may be asked of the overlay; replaced when the manifest says otherwise."""
        self._out = out
        self._waiting_bytes = waiting_bytes
        self._seen: list[tuple[object, ...]] = []
        self._look_at_s = float("inf")
        self._idle_looks = 0
        """Looks in a row that led to no request."""
        self._tracks: Sequence[Fetching] = ()
        self._ends_at_s = float("-inf")
        self._ends_seen: list[Overdue] = []
        self._silent: set[TransferId] = set()
        self._sums = (float("-inf"), 0, 0.0)
        """When they were added up, bytes of tracks that wait, and the speed of all peers."""

    def serve(self, tracks: Sequence[Fetching], *, now: float) -> None:
        """Ask every peer that may take a request, and that something has changed for, for the best there is."""
        stirred, self._swarm.stirred = self._swarm.stirred, set()
        for key in self._commons.take_calls(now):
            self._commons.look(key)
            stirred.add(key)
        seen: list[tuple[object, ...]] = [
            (track.plan, track.plan.freed, track.only, id(track.offers)) for track in tracks
        ]
        peers: Iterable[Peer] = (self._swarm.peers[key] for key in stirred)
        looks = now >= self._look_at_s
        if looks or seen != self._seen:
            peers = self._swarm.peers.values()
            self._look_at_s = float("inf")
            self._sums = (float("-inf"), 0, 0.0)
            self._ends_at_s = float("-inf")
        self._tracks = tracks
        if tracks:
            asked = False
            for peer in self._in_turn(peers):
                while self._ask(peer, now):
                    asked = True
            self._idle_looks = 0 if asked else self._idle_looks + looks
        self._seen = seen  # what has become free meanwhile is seen as news by the next event

    def next_deadline(self) -> float | None:
        """When `serve` is due though nothing happened."""
        return self._look_at_s if self._tracks and self._look_at_s < float("inf") else None

    def _in_turn(self, peers: Iterable[Peer]) -> list[Peer]:
        """The cheapest first: it gets the most urgent chunks."""
        usable = [(peer.cost(owed_bytes=self._swarm.owed_by(peer)), peer.key, peer) for peer in peers if peer.usable]
        usable.sort()
        return [peer for _, _, peer in usable]

    def _ask(self, peer: Peer, now: float) -> bool:
        """Send `peer` one more request; False where none is due, and it is known when to look again."""
        self._commons.look(peer.key)
        owed_bytes = self._swarm.owed_by(peer)
        if not self._may_take(peer, owed_bytes, now):
            return False
        lease = self._lease(peer, owed_bytes, now)
        if lease is None:
            if self._swarm.transfers or any(track.plan.bytes_missing for track in self._tracks):
                wait_s = IDLE_LOOK_S * 2 ** min(self._idle_looks, LOOKS_DOUBLED_MAX)
                self._look_at_s = min(self._look_at_s, now + wait_s)
            return False
        if not self._commons.may_ask(_ask_of(lease, peer), now):
            return False
        self._request(lease, peer, now)
        return True

    def _may_take(self, peer: Peer, owed_bytes: int, now: float) -> bool:
        """Whether `peer` should be sent one more request now, as far as this job is concerned."""
        if not peer.usable or len(peer.transfers) >= peer.requests_max():
            return False
        if now < peer.not_before_s:
            self._look_at_s = min(self._look_at_s, peer.not_before_s)
            return False
        if peer.source == "overlay" and not self.cap.may_spend(now):
            self._look_at_s = min(self._look_at_s, self.cap.free_at(now))
            return False
        more = wants_more(peer, owed_bytes=owed_bytes, chunk_bytes=self._tracks[0].plan.chunk_bytes)
        return more or self._commons.is_shared(peer.key)

    def _lease(self, peer: Peer, owed_bytes: int, now: float) -> Lease | None:
        """What to ask `peer` for: missing chunks, else some that others owe and will be late with."""
        usable = peer.usable_bytes_per_s()
        if peer.source == "overlay":
            usable = self.cap.bounded(usable)
        usable = self._commons.bounded(peer.key, usable)
        outlook = self._outlook(now)
        size = request_bytes(peer, owed_bytes=owed_bytes, usable_bytes_per_s=usable, outlook=outlook)
        streamed = self._streamed() if peer.etiquette.sequential else ()
        lease = next_lease(self._tracks, peer, bytes_max=size, streamed=streamed)
        if peer.etiquette.sequential:
            return lease
        if lease is None:
            return self._take_over(peer, owed_bytes, usable, now)
        return None if self._comes_sooner(lease, peer, owed_bytes, outlook, now) else lease

    def _streamed(self) -> set[TrackPosition]:
        """Tracks of which a stream is under way."""
        return {
            transfer.position
            for transfer in self._swarm.transfers.values()
            if not transfer.cancelled and self._swarm.peers[transfer.offer.peer].etiquette.sequential
        }

    # ---- the end of a job --------------------------------------------------------------------------------------------

    def _outlook(self, now: float) -> Outlook:
        """What is left of the job; the sums over the peers may be a moment old."""
        if now - self._sums[0] > OUTLOOK_AGE_S:
            chunk_bytes = self._tracks[0].plan.chunk_bytes
            capped = free = 0.0
            for peer in self._swarm.peers.values():
                if peer.usable and now >= peer.not_before_s:
                    speed = peer.bytes_per_s_at(now, chunk_bytes=chunk_bytes)
                    capped, free = (capped + speed, free) if peer.source == "overlay" else (capped, free + speed)
            self._sums = (now, self._waiting_bytes(), self.cap.bounded(capped) + free)
        _, waiting, speed = self._sums
        left = sum(track.plan.size - track.plan.bytes_had for track in self._tracks)
        return Outlook(left_bytes=waiting + left, bytes_per_s=speed)

    def _comes_sooner(self, lease: Lease, peer: Peer, owed_bytes: int, outlook: Outlook, now: float) -> bool:
        """Whether the others will have brought everything, this too, before `peer` brings the first chunk of it."""
        speed = peer.throughput_bytes_per_s
        others = outlook.bytes_per_s - speed
        if not speed or others <= 0:
            return False
        chunk_bytes = lease.track.plan.chunk_bytes
        own_s = bring_s(peer, owed_bytes=owed_bytes, chunk_bytes=chunk_bytes)
        if own_s <= (outlook.left_bytes - owed_bytes) / others:
            return False
        # Chunks are not cut: one that somebody else brings takes at least as long as the best of them needs for it.
        return any(
            bring_s(other, owed_bytes=self._swarm.owed_by(other), chunk_bytes=chunk_bytes) < own_s
            for other in self._swarm.peers.values()
            if other is not peer and self._could_bring(other, lease, now)
        )

    def _could_bring(self, other: Peer, lease: Lease, now: float) -> bool:
        if not other.usable or not other.throughput_bytes_per_s or now < other.not_before_s:
            return False
        if other.etiquette.sequential:
            return False
        offer = lease.track.offer_of(other)
        held = offer is not None and (offer.holds is None or lease.first in offer.holds)
        chunk_bytes = lease.track.plan.chunk_bytes
        return held and other.bytes_per_s_at(now, chunk_bytes=chunk_bytes) >= other.throughput_bytes_per_s / 2

    def _take_over(self, peer: Peer, owed_bytes: int, usable_bytes_per_s: float, now: float) -> Lease | None:
        """Nothing is missing that `peer` holds: let it bring what somebody else would bring much later."""
        ends = self._ends(now)
        least_s = bring_s(peer, owed_bytes=owed_bytes, chunk_bytes=CHUNK_BYTES)
        for nth, seen in enumerate(ends):
            if seen.last_s <= least_s:
                break
            if chunks_to_take(seen, peer, owed_bytes=owed_bytes) is None:
                continue
            late = self._overdue(seen.transfer, now)  # it was seen a moment ago
            chunks = chunks_to_take(late, peer, owed_bytes=owed_bytes) if late else None
            if late is None or chunks is None:
                continue
            count_max = max(1, int(usable_bytes_per_s // late.transfer.plan.chunk_bytes))
            chunks = chunks[:count_max] if late.track.chunk_hashes is None else chunks[-count_max:]
            first, last = ChunkIndex(chunks[0]), ChunkIndex(chunks[-1])
            lease = Lease(track=late.track, offer=late.track.offers[peer.key], first=first, last=last)
            if self._comes_sooner(lease, peer, owed_bytes, self._outlook(now), now):
                return None
            if not self._commons.may_ask(_ask_of(lease, peer), now):
                return None
            del ends[nth]
            self._hand_over(late, peer, len(chunks), now)
            return lease
        return None

    def _ends(self, now: float) -> list[Overdue]:
        """The requests whose end might come sooner from others, what comes last first; seen a moment ago."""
        if now - self._ends_at_s > OUTLOOK_AGE_S:
            self._ends_at_s = now
            self._silent = silent_requests(self._swarm.transfers, self._swarm.peers.values(), now)
            found = (self._overdue(transfer, now) for transfer in self._swarm.transfers.values())
            self._ends_seen = [each for each in found if each is not None]
            self._ends_seen.sort(key=lambda each: (-each.last_s, each.transfer.id))
        return self._ends_seen

    def _overdue(self, transfer: Transfer, now: float) -> Overdue | None:
        track = next((each for each in self._tracks if each.plan is transfer.plan), None)
        if track is None or transfer.id not in self._swarm.transfers:
            return None
        peer = self._swarm.peers[transfer.offer.peer]
        return overdue(transfer, track, transfers=self._swarm.transfers, peer=peer, silent=self._silent, now=now)

    def _hand_over(self, late: Overdue, peer: Peer, chunks: int, now: float) -> None:
        """Tell that `peer` brings `chunks` for another; end the other's request where both may not.

        Of a silent one every request ends: they share its connection.
        """
        giver = self._swarm.peers[late.transfer.offer.peer]
        if peer.key not in late.transfer.relieved_by:
            late.transfer.relieved_by.add(peer.key)
            self._out.append(handover_note(giver, peer, late, chunks, now=now))
        if late.track.chunk_hashes is None:
            chunk_bytes = late.transfer.plan.chunk_bytes
            silent = giver.is_silent(now, chunk_bytes=chunk_bytes)
            for each in sorted(giver.transfers) if silent else (late.transfer.id,):
                self._swarm.cancel(self._swarm.transfers[each])
            giver.overtaken(now, chunk_bytes=chunk_bytes)

    # ---- asking ------------------------------------------------------------------------------------------------------

    def _request(self, lease: Lease, peer: Peer, now: float) -> None:
        transfer = self._swarm.begin(lease, peer, now)
        self._commons.asked(transfer.id, _ask_of(lease, peer), now)
        if peer.source == "overlay":
            self.cap.spend(transfer.bytes_owed, now)
        self._out.append(
            Read(
                transfer=transfer.id,
                offer=lease.offer,
                part_id=lease.track.part_id,
                first=lease.first,
                last=lease.last,
                expected=lease.track.expected(lease.first, lease.last),
                pieces=lease.track.pieces_in(lease.first, lease.last),
            )
        )


def _ask_of(lease: Lease, peer: Peer) -> Ask:
    return Ask(
        peer=peer.key,
        size_bytes=lease.track.plan.span(lease.first, lease.last),
        chunk_bytes=lease.track.plan.chunk_bytes,
        throughput_bytes_per_s=peer.usable_bytes_per_s(),
        requests_max=peer.etiquette.requests_in_flight_max,
        streams=peer.etiquette.sequential,
    )
