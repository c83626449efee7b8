"""Who takes part in a job, and what each of them was asked for.

Owns: the peers of one job, the requests that are under way, and what follows when either goes wrong. Never: chooses
what to ask for (engine.schedule), or what becomes of a track (engine.track).
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from reconciler.engine.events import CancelRead, ChunkArrived, Command, PeerQueued, TransferFailed, TransferId
from reconciler.engine.notes import failure_note, peer_note, queued_note, request_note
from reconciler.engine.order import PeerProgress
from reconciler.engine.peers import INNOCENT, Peer
from reconciler.engine.schedule import Lease
from reconciler.engine.transfers import Transfer
from reconciler.ids import TrackPosition
from reconciler.sources.base import Etiquette, Offer, PeerKey
from reconciler.traces.model import EventType

# Peers of one job. Each costs a connection; two hundred strangers are more than any album needs.
PEERS_MAX = 200


class Swarm:
    """Peers and transfers of one job. Commands go to `out`; `etiquettes` says what the peers of each source bear."""

    def __init__(self, *, out: list[Command], etiquettes: Mapping[str, Etiquette], stall_timeout_s: float) -> None:
        self.peers: dict[PeerKey, Peer] = {}
        self.transfers: dict[TransferId, Transfer] = {}
        self.stirred: set[PeerKey] = set()
        """Peers that might take another request: something of theirs has changed since they were looked at last."""
        self._out = out
        self._etiquettes = dict(etiquettes)
        self._stall_timeout_s = stall_timeout_s
        self._next_transfer = 1
        self._live: Counter[TrackPosition] = Counter()
        self._late_s = float("inf")
        """No request can be late before this moment."""

    # ---- peers -------------------------------------------------------------------------------------------------------

    def meet(self, offer: Offer) -> bool:
        """Know the peer of `offer`; False where its source is barred or the swarm is full."""
        if offer.peer in self.peers:
            self.stirred.add(offer.peer)
            return True
        if offer.source not in self._etiquettes or len(self.peers) >= PEERS_MAX:
            return False
        peer = Peer(key=offer.peer, name=offer.peer_name, source=offer.source, etiquette=self._etiquettes[offer.source])
        self.peers[offer.peer] = peer
        self.stirred.add(offer.peer)
        self._out.append(peer_note(peer, EventType.PEER_DISCOVERED, "offered"))
        return True

    def connected(self, transfer_id: TransferId, now: float) -> None:
        """A lane has reached the peer of a transfer."""
        transfer = self.transfers.get(transfer_id)
        peer = self.peers[transfer.offer.peer] if transfer else None
        if peer is not None and not peer.connected:
            peer.connected = True
            assert transfer is not None
            peer.dialled(now - transfer.started_s, round_trips=2 if transfer.offer.endpoint.tls else 1)
            self._out.append(peer_note(peer, EventType.PEER_CONNECTED, "connected"))

    def queued(self, event: PeerQueued, now: float) -> None:
        """A peer lets a request wait in its line: it is not late while it stands there."""
        transfer = self.transfers.get(event.transfer)
        if transfer is not None and not transfer.cancelled and transfer.in_line(event.place, now=now):
            self._out.append(queued_note(self.peers[transfer.offer.peer], transfer))

    def usable(self, key: PeerKey) -> bool:
        """Whether a peer may be asked, now or after its pause."""
        return self.peers[key].usable

    def ban(self, key: PeerKey, reason: str) -> None:
        """Never ask this peer again in this job; what it owes is free for others at once."""
        peer = self.peers.get(key)
        if peer is not None and not peer.banned:
            peer.banned = reason
            self._let_go(peer, "banned", "lied", reason)

    def why_out(self, key: PeerKey) -> str:
        """`name: reason` for a peer that is not asked any more, or has not what is missing."""
        peer = self.peers[key]
        return f"{peer.name}: {peer.banned or peer.gone or 'does not have it'}"

    def owed_by(self, peer: Peer) -> int:
        """Bytes that a peer was asked for and that have not come."""
        return sum(self.transfers[each].bytes_owed for each in peer.transfers)

    def progress(self) -> tuple[PeerProgress, ...]:
        """What a person sees of the peers."""
        return tuple(
            PeerProgress(
                name=peer.name,
                source=peer.source,
                bytes_received=peer.bytes_accepted,
                throughput_bytes_per_s=peer.throughput_bytes_per_s,
                chunks_refused=peer.chunks_refused,
                banned=bool(peer.banned),
            )
            for peer in self.peers.values()
        )

    def _let_go(self, peer: Peer, action: str, code: str, message: str) -> None:
        for transfer_id in sorted(peer.transfers):
            self.cancel(self.transfers[transfer_id])
        self._out.append(peer_note(peer, EventType.PEER_DISCONNECTED, action, code=code, message=message))

    # ---- transfers ---------------------------------------------------------------------------------------------------

    def begin(self, lease: Lease, peer: Peer, now: float) -> Transfer:
        """Open the account of a request that is about to be sent."""
        plan = lease.track.plan
        transfer = Transfer.begin(
            TransferId(self._next_transfer),
            lease.offer,
            plan=plan,
            first=lease.first,
            last=lease.last,
            ahead=self.owed_by(peer),
            now=now,
            grace_s=self._stall_timeout_s,
        )
        self._next_transfer += 1
        self.transfers[transfer.id] = transfer
        self._live[transfer.position] += 1
        self._late_s = min(self._late_s, transfer.deadline_s)
        peer.moved_s = peer.moved_s if peer.transfers else now
        peer.transfers.add(transfer.id)
        plan.request(transfer.id, lease.first, lease.last)
        self._out.append(request_note(peer, transfer))
        return transfer

    def is_fetching(self, position: TrackPosition) -> bool:
        """Whether anything is under way for one track."""
        return self._live[position] > 0

    def cancel(self, transfer: Transfer) -> None:
        """End a request: its chunks are free now; its account closes when the lane answers."""
        if not transfer.cancelled:
            transfer.cancelled = True
            self._live[transfer.position] -= 1
            transfer.release()
            self._out.append(CancelRead(transfer=transfer.id))

    def cancel_track(self, position: TrackPosition) -> None:
        """End every request for one track."""
        if self.is_fetching(position):
            for transfer in list(self.transfers.values()):
                if transfer.position == position:
                    self.cancel(transfer)

    def came(self, event: ChunkArrived, now: float) -> tuple[Transfer, Peer] | None:
        """Count a chunk that came, right or wrong, in its request's account; None where that is closed."""
        transfer = self.transfers.get(event.transfer)
        if transfer is None:
            return None
        peer = self.peers[transfer.offer.peer]
        transfer.came(event.chunk, now=now)
        self._late_s = min(self._late_s, transfer.deadline_s)
        peer.moved_s = now
        self.stirred.add(peer.key)
        return transfer, peer

    def drop_overtaken(self, asked: Iterable[TransferId], now: float) -> None:
        """Cancel those requests whose every owed chunk somebody else has brought."""
        for transfer_id in asked:
            transfer = self.transfers[transfer_id]
            if transfer.owed and not transfer.is_wanted():
                self.peers[transfer.offer.peer].overtaken(now, chunk_bytes=transfer.plan.chunk_bytes)
                self.cancel(transfer)

    def close(self, transfer_id: TransferId) -> Transfer | None:
        """Close an account; what it still owes is free."""
        transfer = self.transfers.pop(transfer_id, None)
        if transfer is not None:
            if not transfer.cancelled:
                self._live[transfer.position] -= 1
                transfer.release()
            self.peers[transfer.offer.peer].transfers.discard(transfer_id)
            self.stirred.add(transfer.offer.peer)
        return transfer

    def ended(self, transfer_id: TransferId) -> None:
        """Close the account of a request that was answered in full."""
        transfer = self.close(transfer_id)
        if transfer is not None and not transfer.cancelled:
            self.peers[transfer.offer.peer].settled()

    def failed(self, event: TransferFailed, transfer: Transfer, now: float) -> None:
        """Count a failed request, whose account is closed, against its peer."""
        peer = self.peers[transfer.offer.peer]
        peer.connected = False
        if event.code in INNOCENT:
            return
        peer.failed(event.code, now=now, retry_after_s=event.retry_after_s)
        self._out.append(failure_note(peer, transfer, event.code, event.message))
        if peer.gone:
            self._let_go(peer, "failed", event.code, event.message)

    def drop_late(self, now: float) -> None:
        """Cancel what has broken the least rate, and count it against its peer."""
        if now < self._late_s:
            return
        for transfer in list(self.transfers.values()):
            if transfer.cancelled or now < transfer.deadline_s:
                continue
            peer = self.peers[transfer.offer.peer]
            peer.failed("timed out", now=now, retry_after_s=None)
            message = f"{transfer.bytes_owed} bytes were still to come after {now - transfer.started_s:.0f} s"
            self._out.append(failure_note(peer, transfer, "timed out", message))
            self.cancel(transfer)
            if peer.gone:
                self._let_go(peer, "failed", "timed out", message)
        self._late_s = min(
            (each.deadline_s for each in self.transfers.values() if not each.cancelled), default=float("inf")
        )

    def end(self) -> None:
        """Let go of everything and everybody."""
        for transfer in list(self.transfers.values()):
            self.cancel(transfer)
        for peer in self.peers.values():
            if peer.connected and peer.usable:
                self._out.append(peer_note(peer, EventType.PEER_DISCONNECTED, "finished"))

    def next_deadline(self) -> float | None:
        """When `drop_late` is due, or a little earlier; a request that waits in a peer's line cannot be late."""
        return self._late_s if self._late_s < float("inf") else None

    def check_invariants(self) -> None:
        """No peer has more requests than its etiquette allows, and each account stands on both sides."""
        live: dict[TrackPosition, int] = {}
        for transfer in self.transfers.values():
            peer = self.peers[transfer.offer.peer]
            assert transfer.id in peer.transfers, f"{peer.name} does not know of {transfer.id}"
            if not transfer.cancelled:
                live[transfer.position] = live.get(transfer.position, 0) + 1
                assert transfer.deadline_s >= self._late_s, f"nobody will notice {transfer.id} late"
        total = 0
        for peer in self.peers.values():
            count = len(peer.transfers)
            total += count
            assert count <= peer.etiquette.requests_in_flight_max, f"{peer.name} was asked for too much"
        assert total == len(self.transfers), "a peer knows of a request that is closed"
        for position, count in self._live.items():
            assert count == live.get(position, 0), f"{count} requests of {position} are said to be under way"
