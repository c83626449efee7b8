"""Who takes part in a job, and what each of them was asked for.

Owns: the peers of one job, the requests that are under way, and what follows when either goes wrong. Never: chooses
what to ask for (engine.schedule), or what becomes of a track (engine.track).
"""

from collections.abc import Iterable, Mapping

from reconciler.engine.chunks import ChunkPlan, ChunkState
from reconciler.engine.commons import Commons
from reconciler.engine.events import (
    CancelRead,
    ChunkArrived,
    Command,
    FailureCode,
    PeerQueued,
    TransferFailed,
    TransferId,
)
from reconciler.engine.notes import failure_note, offered_note, peer_note, queued_note, request_note
from reconciler.engine.order import PeerProgress
from reconciler.engine.peers import INNOCENT, TIMED_OUT, Peer
from reconciler.engine.schedule import Lease
from reconciler.engine.transfers import Transfer
from reconciler.ids import ChunkIndex, TrackPosition
from reconciler.sources.base import Etiquette, Offer, PeerKey
from reconciler.traces.model import EventType

# Peers of one job. Each costs a connection; two hundred strangers are more than any album needs.
PEERS_MAX = 200


class Swarm:
    """Peers and transfers of one job. Commands go to `out`; `etiquettes` says what the peers of each source bear."""

    def __init__(
        self, *, out: list[Command], etiquettes: Mapping[str, Etiquette], stall_timeout_s: float, commons: Commons
    ) -> None:
        self.peers: dict[PeerKey, Peer] = {}
        self.transfers: dict[TransferId, Transfer] = {}
        self.stirred: set[PeerKey] = set()
        """Peers that might take another request: something of theirs has changed since they were looked at last."""
        self._out = out
        self._etiquettes = dict(etiquettes)
        self._stall_timeout_s = stall_timeout_s
        self._commons = commons
        self._next_transfer = 1
        self._live: dict[int, int] = {}
        """Requests under way for each plan that has any, by its identity: a transfer keeps its plan alive."""
        self._late_s = float("inf")
        """No request can be late before this moment."""

    @property
    def sources(self) -> frozenset[str]:
        """The sources whose peers may be asked."""
        return frozenset(self._etiquettes)

    # ---- peers -------------------------------------------------------------------------------------------------------

    def meet(self, offer: Offer, now: float) -> bool:
        """Know the peer of `offer`, as earlier jobs do; False where its source is barred or the swarm is full."""
        if offer.peer in self.peers:
            self.stirred.add(offer.peer)
            return True
        if offer.source not in self._etiquettes or len(self.peers) >= PEERS_MAX:
            return False
        prior = self._commons.prior(offer.peer, now)
        peer = Peer(
            key=offer.peer,
            name=offer.peer_name,
            source=offer.source,
            etiquette=self._etiquettes[offer.source],
            prior=prior,
            throughput_bytes_per_s=prior.throughput_bytes_per_s,
            error_rate=prior.error_rate,
            timeout_rate=prior.timeout_rate,
        )
        self.peers[offer.peer] = peer
        self.stirred.add(offer.peer)
        self._out.append(offered_note(peer, offer))
        if prior.banned:
            self.ban(offer.peer, prior.banned)
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

    def speed(self, key: PeerKey) -> float:
        """Bytes per second that a peer has shown; 0.0 before its first."""
        return self.peers[key].throughput_bytes_per_s

    def ban(self, key: PeerKey, reason: str) -> None:
        """Never ask this peer again in this job; what it owes is free for others at once."""
        peer = self.peers.get(key)
        if peer is not None and not peer.banned:
            peer.banned = reason
            self._let_go(peer, "banned", "lied", reason)

    def pardon(self, key: PeerKey) -> None:
        """Let a peer be asked again that was banned."""
        peer = self.peers.get(key)
        if peer is not None:
            peer.banned = ""
            self.stirred.add(key)

    def dismiss(self, key: PeerKey, code: FailureCode, message: str) -> None:
        """Ask a peer for nothing more in this job: it does not lie, it holds something else."""
        peer = self.peers[key]
        if peer.usable:
            peer.gone = message
            self._let_go(peer, "failed", code, message)

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
                in_line=bool(waiting := self._waiting_at(peer)),
                place=min((each.place for each in waiting if each.place is not None), default=None),
            )
            for peer in self.peers.values()
        )

    def _waiting_at(self, peer: Peer) -> list[Transfer]:
        return [each for key in peer.transfers if (each := self.transfers[key]).queued_since_s is not None]

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
            ahead=self._commons.owed_by(peer.key),
            now=now,
            grace_s=self._stall_timeout_s,
        )
        self._next_transfer += 1
        self.transfers[transfer.id] = transfer
        self._live[id(plan)] = self._live.get(id(plan), 0) + 1
        self._late_s = min(self._late_s, transfer.deadline_s)
        peer.moved_s = peer.moved_s if peer.transfers else now
        peer.transfers.add(transfer.id)
        plan.request(transfer.id, lease.first, lease.last)
        self._out.append(request_note(peer, transfer))
        return transfer

    def is_fetching(self, plan: ChunkPlan) -> bool:
        """Whether anything is under way for one attempt at a track."""
        return id(plan) in self._live

    def _one_less(self, plan: ChunkPlan) -> None:
        left = self._live.pop(id(plan)) - 1
        if left:
            self._live[id(plan)] = left

    def of_plan(self, plan: ChunkPlan | None) -> list[Transfer]:
        """What is under way for one attempt at a track."""
        if plan is None or not self.is_fetching(plan):
            return []
        return [each for each in self.transfers.values() if each.plan is plan and not each.cancelled]

    def cancel(self, transfer: Transfer) -> None:
        """End a request: its chunks are free now; its account closes when the lane answers."""
        if not transfer.cancelled:
            transfer.cancelled = True
            self._one_less(transfer.plan)
            transfer.release()
            self._out.append(CancelRead(transfer=transfer.id))

    def cancel_track(self, position: TrackPosition) -> None:
        """End every request for one track."""
        for transfer in list(self.transfers.values()):
            if transfer.position == position:
                self.cancel(transfer)

    def cancel_plan(self, plan: ChunkPlan | None) -> None:
        """End every request for one attempt."""
        for transfer in self.of_plan(plan):
            self.cancel(transfer)

    def came(self, event: ChunkArrived, now: float) -> tuple[Transfer, Peer] | None:
        """Count a chunk that came, right or wrong, in its request's account; None where that is closed."""
        transfer = self.transfers.get(event.transfer)
        if transfer is None:
            return None
        peer = self.peers[transfer.offer.peer]
        transfer.came(event.chunk, now=now)
        self._commons.came(transfer.id, bytes_owed=transfer.bytes_owed, now=now)
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

    def loosen(self, plan: ChunkPlan) -> None:
        """Let the chunks that streams are to bring be asked of others too; the streams go on until nothing that they
        owe is missing.
        """
        for transfer in self.of_plan(plan):
            if self.peers[transfer.offer.peer].etiquette.sequential:
                if not transfer.loose:
                    transfer.loose = True
                    transfer.release()
                if all(plan.state(ChunkIndex(chunk)) is ChunkState.HAD for chunk in transfer.owed):
                    self.cancel(transfer)

    def tighten(self, plan: ChunkPlan) -> None:
        """Count on the streams again for everything that nobody else has been asked for."""
        for transfer in self.of_plan(plan):
            if transfer.loose:
                transfer.loose = False
                for index in transfer.owed:
                    chunk = ChunkIndex(index)
                    if plan.state(chunk) is ChunkState.MISSING:
                        plan.request(transfer.id, chunk, chunk)

    def close(self, transfer_id: TransferId) -> Transfer | None:
        """Close an account; what it still owes is free."""
        transfer = self.transfers.pop(transfer_id, None)
        if transfer is not None:
            if not transfer.cancelled:
                self._one_less(transfer.plan)
                transfer.release()
            self.peers[transfer.offer.peer].transfers.discard(transfer_id)
            self.stirred.add(transfer.offer.peer)
            self._commons.ended(transfer_id)
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
        if event.code != "busy":
            self._commons.failed(peer.key, timed_out=event.code in TIMED_OUT)
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
            self._commons.failed(peer.key, timed_out=True)
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
        live: dict[int, int] = {}
        for transfer in self.transfers.values():
            peer = self.peers[transfer.offer.peer]
            assert transfer.id in peer.transfers, f"{peer.name} does not know of {transfer.id}"
            if not transfer.cancelled:
                live[id(transfer.plan)] = live.get(id(transfer.plan), 0) + 1
                assert transfer.deadline_s >= self._late_s, f"nobody will notice {transfer.id} late"
        total = 0
        for peer in self.peers.values():
            count = len(peer.transfers)
            total += count
            assert count <= peer.etiquette.requests_in_flight_max, f"{peer.name} was asked for too much"
        assert total == len(self.transfers), "a peer knows of a request that is closed"
        assert live == self._live, "requests under way do not add up"
