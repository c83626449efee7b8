"""Choose which chunks to ask of which peer, now.

Owns: the order and the size of requests. Never: sends one (engine.runner), judges bytes (engine.lanes), or remembers
anything from one choice to the next (engine.dispatch).
A choice is a pure function of the plans, what the peers have shown, and `now`.
"""

import math
from collections.abc import Collection, Container, Iterable, Mapping
from dataclasses import dataclass

from reconciler.engine.chunk_pieces import ChunkPieces, pieces_in
from reconciler.engine.chunks import ChunkPlan
from reconciler.engine.events import TransferId
from reconciler.engine.peers import Peer
from reconciler.engine.transfers import Transfer
from reconciler.ids import ChunkIndex, TrackPosition
from reconciler.manifests.model import Pieces
from reconciler.sources.base import Offer, PeerKey

# One request is about one second of a peer's speed: shorter, and round trips show; longer, and a peer that turns slow
# sits on chunks that others could bring. 16 MiB bounds it for very fast ones.
LEASE_S = 1.0
LEASE_BYTES_MAX = 16 * 1024 * 1024

# A peer is asked for more while what it owes is less than this at its speed (or one chunk, whatever that takes), beside
# what its round trip needs: enough to keep its pipe full, little enough that a fast peer which falls idle finds
# something left to take.
QUEUE_AHEAD_S = 0.5

# What a chunk is taken to need from a stranger who might take over another's.
STRANGER_CHUNK_S = 1.0

# A chunk is asked for twice only if the second peer should bring it in well under the first one's time; with less than
# a third saved, the bytes are wasted as often as not.
ENDGAME_GAIN = 1.5

# Where a chunk may not be asked for twice, taking it over ends the first request, and with it mostly a connection:
# worth it from about the time that a new one and its slow start take.
RECONNECT_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetching:
    """A track whose chunks are being fetched, as the scheduler sees it."""

    position: TrackPosition
    plan: ChunkPlan
    offers: Mapping[PeerKey, Offer]
    """The offers of the chosen variant."""
    chunk_hashes: tuple[bytes, ...] | None
    """None = chunks are provisional: two answers for one could differ, so none is asked twice."""
    part_id: str
    """Which part of the track its bytes go to."""
    pieces: Pieces | None = None
    """Hashes of the file's pieces, where the manifest lists them."""
    only: PeerKey | None = None
    """Set when the track may come from this peer alone, so that blame is certain."""

    def offer_of(self, peer: Peer) -> Offer | None:
        """What `peer` offers of this variant, where it may be asked."""
        if self.only is not None and peer.key != self.only:
            return None
        return self.offers.get(peer.key)

    def expected(self, first: ChunkIndex, last: ChunkIndex) -> tuple[bytes, ...] | None:
        """The hashes of `first`..`last`, where they are known."""
        return None if self.chunk_hashes is None else self.chunk_hashes[first : last + 1]

    def pieces_in(self, first: ChunkIndex, last: ChunkIndex) -> ChunkPieces | None:
        """What else tells that a chunk of `first`..`last` is wrong, where its own hash is not known."""
        return pieces_in(self.pieces, self.plan.size, first, last) if self.chunk_hashes is None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Neighbouring chunks to ask one peer for."""

    track: Fetching
    offer: Offer
    first: ChunkIndex
    last: ChunkIndex


@dataclass(frozen=True, slots=True, kw_only=True)
class Overdue:
    """A request whose end could come sooner from somebody else."""

    transfer: Transfer
    track: Fetching
    chunks: range
    """What nobody else was asked for, at its end."""
    first_s: float
    """When the first of them should come, from now."""
    chunk_s: float
    """What each further one should take."""

    @property
    def last_s(self) -> float:
        """When the last of them should come, from now."""
        return self.first_s + (len(self.chunks) - 1) * self.chunk_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """How much is left of a job, and how fast it is coming."""

    left_bytes: int
    """Everything that is not here yet."""
    bytes_per_s: float
    """All peers together, as they look now."""

    @property
    def left_s(self) -> float:
        """When all of it should be here, if every peer works to the end."""
        return self.left_bytes / self.bytes_per_s if self.bytes_per_s else math.inf


def request_bytes(peer: Peer, *, owed_bytes: int, usable_bytes_per_s: float, outlook: Outlook) -> float:
    """How much one request should ask for: about a second's worth, 16 MiB at most, and near the end no more than the
    peer's part of what is left, so that all peers finish together.
    """
    part = outlook.left_s * peer.throughput_bytes_per_s - owed_bytes
    return min(usable_bytes_per_s * LEASE_S, LEASE_BYTES_MAX, part)


def wants_more(peer: Peer, *, owed_bytes: int, chunk_bytes: int) -> bool:
    """Whether `peer`, which owes `owed_bytes`, should be sent another request already."""
    if not owed_bytes:
        return True
    ahead = peer.usable_bytes_per_s() * (QUEUE_AHEAD_S + peer.lead_s)
    return not peer.etiquette.sequential and owed_bytes <= max(chunk_bytes, ahead)


def next_lease(
    tracks: Iterable[Fetching], peer: Peer, *, bytes_max: float, streamed: Collection[TrackPosition] = ()
) -> Lease | None:
    """The next missing chunks that `peer` holds, tracks in their order; None where nothing is missing that it has.

    A peer that sends one stream is asked from the first missing chunk to the end, and only for a track of which no
    other such peer sends one (`streamed`).
    """
    for track in tracks:
        offer = track.offer_of(peer)
        if offer is None:
            continue
        if peer.etiquette.sequential:
            first = track.plan.first_missing()
            if first is not None and track.position not in streamed:
                return Lease(track=track, offer=offer, first=first, last=ChunkIndex(track.plan.count - 1))
            continue
        run = track.plan.next_missing(offer.holds, max(1, int(bytes_max // track.plan.chunk_bytes)))
        if run is not None:
            return Lease(track=track, offer=offer, first=run[0], last=run[1])
    return None


def bring_s(peer: Peer, *, owed_bytes: int, chunk_bytes: int) -> float:
    """When `peer` should bring one more chunk than it owes."""
    if not peer.throughput_bytes_per_s:
        return STRANGER_CHUNK_S
    lead_s = 0.0 if owed_bytes else peer.lead_s
    return lead_s + (owed_bytes + chunk_bytes) / peer.throughput_bytes_per_s


def silent_requests(transfers: Mapping[TransferId, Transfer], peers: Iterable[Peer], now: float) -> set[TransferId]:
    """The requests of peers that should long have brought something."""
    return {
        each
        for peer in peers
        if peer.transfers and peer.is_silent(now, chunk_bytes=transfers[min(peer.transfers)].plan.chunk_bytes)
        for each in peer.transfers
    }


def overdue(
    transfer: Transfer,
    track: Fetching,
    *,
    transfers: Mapping[TransferId, Transfer],
    peer: Peer,
    silent: Container[TransferId],
    now: float,
) -> Overdue | None:
    """When the end of one request should come; None where it owes nothing that only it, or `silent` ones, will bring.

    Everything that the peer owes before it comes first, at the peer's speed. A peer that is late is expected to stay
    late: the next chunk as long again as it is overdue, and each after it too. One that lets us wait in its line may
    take for ever.
    """
    size = transfer.plan.chunk_bytes
    chunks = transfer.untouched(LEASE_BYTES_MAX // size, silent=silent)
    if transfer.cancelled or not chunks:
        return None
    if transfer.queued_since_s is not None:
        return Overdue(transfer=transfer, track=track, chunks=chunks, first_s=math.inf, chunk_s=0.0)
    before = [transfers[each] for each in sorted(peer.transfers) if each < transfer.id]
    head = before[0] if before else transfer
    lead_s = peer.lead_s if head.alone and head.next == head.first else 0.0
    usual_s = peer.usual_chunk_s(size)
    silent_s = max(now - peer.moved_s, 0.0)
    late_s = max(silent_s - usual_s - lead_s, 0.0)
    owed = sum(each.bytes_owed for each in before) + transfer.plan.span(transfer.next, ChunkIndex(chunks.start))
    count = owed / size
    first_s = max(count * usual_s + lead_s - silent_s, 0.0) + count * late_s
    return Overdue(transfer=transfer, track=track, chunks=chunks, first_s=first_s, chunk_s=usual_s + late_s)


def chunks_to_take(late: Overdue, peer: Peer, *, owed_bytes: int) -> range | None:
    """Which of its last chunks `peer`, idle or nearly so, should be asked for; None where that would save too little.

    As many as it brings in the time in which the first peer gets to them; where chunks may not be asked for twice, all
    of the request or none.
    """
    size = late.transfer.plan.chunk_bytes
    offer = late.track.offer_of(peer)
    if offer is None or late.transfer.offer.peer == peer.key:
        return None
    own_s = bring_s(peer, owed_bytes=owed_bytes, chunk_bytes=size)
    each_s = size / peer.throughput_bytes_per_s if peer.throughput_bytes_per_s else STRANGER_CHUNK_S
    if late.track.chunk_hashes is None:
        all_s = own_s + (len(late.transfer.owed) - 1) * each_s
        return _held_end(late.chunks, offer.holds) if late.last_s > ENDGAME_GAIN * all_s + RECONNECT_S else None
    if late.last_s <= ENDGAME_GAIN * own_s:
        return None
    count = len(late.chunks)
    if peer.throughput_bytes_per_s == 0:
        count = 1
    elif math.isfinite(late.last_s):
        count = min(count, max(1, int((late.last_s - own_s) / (late.chunk_s + each_s)) + 1))
    return _held_end(late.chunks[-count:], offer.holds)


def _held_end(chunks: range, holds: frozenset[int] | None) -> range | None:
    """The last run of `chunks` that is held."""
    if holds is None:
        return chunks
    end = next((chunk for chunk in reversed(chunks) if chunk in holds), None)
    if end is None:
        return None
    begin = end
    while begin - 1 in chunks and begin - 1 in holds:
        begin -= 1
    return range(begin, end + 1)
