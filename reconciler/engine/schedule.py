"""Choose which chunks to ask of which peer, now.

Owns: the order and the size of requests. Never: sends one (engine.runner), judges bytes (engine.lanes).
A choice is a pure function of the plans, what the peers have shown, and `now`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from reconciler.engine.chunks import ChunkPlan
from reconciler.engine.events import TransferId
from reconciler.engine.peers import Peer
from reconciler.engine.transfers import Transfer
from reconciler.ids import ChunkIndex
from reconciler.sources.base import Offer, PeerKey

# One request is about one second of a peer's speed: shorter, and round trips show; longer, and a peer that turns slow
# sits on chunks that others could bring. 16 MiB bounds it for very fast ones.
LEASE_S = 1.0
LEASE_BYTES_MAX = 16 * 1024 * 1024

# A peer is asked for more while what it owes is less than this at its speed (or one chunk, whatever that takes): enough
# to keep its pipe full over a round trip, little enough that a fast peer which falls idle finds something left to take.
QUEUE_AHEAD_S = 0.5

# What a chunk from a peer that has brought none yet is taken to need.
UNKNOWN_CHUNK_S = 0.25

# In the end game a chunk is asked for twice only if the second peer should bring it in well under the first one's time;
# with less than a third saved, the bytes are wasted as often as not.
ENDGAME_GAIN = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetching:
    """A track whose chunks are being fetched, as the scheduler sees it."""

    plan: ChunkPlan
    offers: Mapping[PeerKey, Offer]
    """The offers of the chosen variant."""
    provisional: bool
    """No chunk hashes are known: two answers for one chunk could differ, so none is asked twice."""
    only: PeerKey | None = None
    """Set when the track may come from this peer alone, so that blame is certain."""

    def offer_of(self, peer: Peer) -> Offer | None:
        """What `peer` offers of this variant, where it may be asked."""
        if self.only is not None and peer.key != self.only:
            return None
        return self.offers.get(peer.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Neighbouring chunks to ask one peer for."""

    offer: Offer
    plan: ChunkPlan
    """The plan that they are of: a track may have two."""
    first: ChunkIndex
    last: ChunkIndex


def lease_chunks(throughput_bytes_per_s: float, chunk_bytes: int) -> int:
    """How many chunks one request should ask for: about one second's worth, at least one, at most 16 MiB."""
    wanted = min(throughput_bytes_per_s * LEASE_S, LEASE_BYTES_MAX)
    return max(1, int(wanted // chunk_bytes))


def wants_more(peer: Peer, *, owed_bytes: int, chunk_bytes: int) -> bool:
    """Whether `peer`, which owes `owed_bytes`, should be sent another request already."""
    return not owed_bytes or owed_bytes <= max(chunk_bytes, peer.usable_bytes_per_s() * QUEUE_AHEAD_S)


def by_cost(peers: Iterable[Peer]) -> list[Peer]:
    """The peers in the order in which they are given work: cheapest first, fewest requests first among equals."""
    return sorted(peers, key=lambda peer: (peer.cost(), len(peer.transfers), peer.key))


def next_lease(tracks: Iterable[Fetching], peer: Peer, *, usable_bytes_per_s: float) -> Lease | None:
    """The first missing chunks that `peer` holds, tracks in their order; None where nothing is missing that it has.

    `usable_bytes_per_s` is the peer's speed, or what a bandwidth cap leaves of it: it sizes the request.
    """
    for track in tracks:
        offer = track.offer_of(peer)
        if offer is None:
            continue
        run = track.plan.next_missing(offer.holds, lease_chunks(usable_bytes_per_s, track.plan.chunk_bytes))
        if run is not None:
            return Lease(offer=offer, plan=track.plan, first=run[0], last=run[1])
    return None


def endgame_lease(
    tracks: Iterable[Fetching],
    peer: Peer,
    *,
    transfers: Mapping[TransferId, Transfer],
    peers: Mapping[PeerKey, Peer],
    now: float,
) -> Lease | None:
    """The requested chunk that will come last and that idle `peer` would bring much sooner; None where there is none.

    Only verified variants, only chunks with one holder, never one that `peer` was asked for already.
    """
    if not peer.throughput_bytes_per_s:
        return None
    best: tuple[float, Lease] | None = None
    for track in tracks:
        offer = track.offer_of(peer)
        if offer is None or track.provisional:
            continue
        own_s = track.plan.chunk_bytes / peer.throughput_bytes_per_s
        for chunk in track.plan.requested():
            holders = track.plan.holders(chunk)
            if len(holders) != 1 or (offer.holds is not None and chunk not in offer.holds):
                continue
            holder = transfers[next(iter(holders))]
            if holder.offer.peer == peer.key:
                continue
            wait_s = expected_in_s(chunk, holder, peer=peers[holder.offer.peer], transfers=transfers, now=now)
            if wait_s > ENDGAME_GAIN * own_s and (best is None or wait_s > best[0]):
                best = wait_s, Lease(offer=offer, plan=track.plan, first=chunk, last=chunk)
    return best[1] if best else None


def expected_in_s(
    chunk: ChunkIndex, transfer: Transfer, *, peer: Peer, transfers: Mapping[TransferId, Transfer], now: float
) -> float:
    """Seconds until `transfer` should bring `chunk`: everything that its peer owes before it, at the peer's speed.

    A peer that is late is expected to stay late: the next chunk as long again as it is overdue, and each after it too.
    """
    before = sum(transfers[each].bytes_owed for each in peer.transfers if each < transfer.id)
    chunk_bytes = transfer.plan.chunk_bytes
    chunks = (before + transfer.bytes_before(chunk)) / chunk_bytes
    usual_s = chunk_bytes / peer.throughput_bytes_per_s if peer.throughput_bytes_per_s else UNKNOWN_CHUNK_S
    waited_s = max(now - peer.moved_s, 0.0)
    late_s = max(waited_s - usual_s, 0.0)
    return max(chunks * usual_s - waited_s, 0.0) + chunks * late_s
