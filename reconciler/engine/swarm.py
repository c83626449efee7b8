"""Who takes part in a job, and what each of them was asked for.

Owns: the peers of one job, the requests that are under way, and what follows when either goes wrong. Never: chooses
what to ask for (engine.schedule), or what becomes of a track (engine.track).
"""

from collections.abc import Iterator, Mapping

from reconciler.engine.chunks import ChunkPlan, ChunkState
from reconciler.engine.commons import Commons
from reconciler.engine.events import CancelRead, Command, FailureCode, PeerQueued, TransferFailed, TransferId
from reconciler.engine.notes import TIMED_OUT, failure_note, peer_note, queued_note, request_note
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

    def __init__(
        self, *, out: list[Command], etiquettes: Mapping[str, Etiquette], stall_timeout_s: float, commons: Commons
    ) -> None:
        self.peers: dict[PeerKey, Peer] = {}
        self.transfers: dict[TransferId, Transfer] = {}
        self._out = out
        self._etiquettes = dict(etiquettes)
        self._stall_timeout_s = stall_timeout_s
        self._commons = commons
        self._next_transfer = 1

    @property
    def sources(self) -> frozenset[str]:
        """The sources whose peers may be asked."""
        return frozenset(self._etiquettes)

    # ---- peers -------------------------------------------------------------------------------------------------------

    def meet(self, offer: Offer, now: float) -> bool:
        """Know the peer of `offer`, as earlier jobs do; False where its source is barred or the swarm is full."""
        if offer.peer in self.peers:
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
        )
        self.peers[offer.peer] = peer
        self._out.append(peer_note(peer, EventType.PEER_DISCOVERED, "offered"))
        if prior.banned:
            self.ban(offer.peer, prior.banned)
        return True

    def connected(self, transfer_id: TransferId) -> None:
        """A lane has reached the peer of a transfer."""
        transfer = self.transfers.get(transfer_id)
        peer = self.peers[transfer.offer.peer] if transfer else None
        if peer is not None and not peer.connected:
            peer.connected = True
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

    def pardon(self, key: PeerKey) -> None:
        """Let a peer be asked again that was banned."""
        peer = self.peers.get(key)
        if peer is not None:
            peer.banned = ""

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

    def begin(self, lease: Lease, plan: ChunkPlan, peer: Peer, now: float) -> Transfer:
        """Open the account of a request that is about to be sent."""
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
        peer.moved_s = peer.moved_s if peer.transfers else now
        peer.transfers.add(transfer.id)
        plan.request(transfer.id, lease.first, lease.last)
        self._out.append(request_note(peer, transfer))
        return transfer

    def of_plan(self, plan: ChunkPlan | None) -> list[Transfer]:
        """What is under way for one attempt at a track."""
        return [each for each in self.transfers.values() if each.plan is plan and not each.cancelled]

    def cancel(self, transfer: Transfer) -> None:
        """End a request: its chunks are free now; its account closes when the lane answers."""
        if not transfer.cancelled:
            transfer.cancelled = True
            _release(transfer)
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

    def drop_overtaken(self, plan: ChunkPlan) -> None:
        """Cancel requests whose every owed chunk somebody else has brought."""
        for transfer in self.of_plan(plan):
            if transfer.owed and all(plan.state(chunk) is ChunkState.HAD for chunk in transfer.owed):
                self.cancel(transfer)

    def loosen(self, plan: ChunkPlan) -> None:
        """Let the chunks that streams are to bring be asked of others too; the streams go on."""
        for transfer in self.of_plan(plan):
            if self.peers[transfer.offer.peer].etiquette.sequential and not transfer.loose:
                transfer.loose = True
                _release(transfer)

    def tighten(self, plan: ChunkPlan) -> None:
        """Count on the streams again for everything that nobody else has been asked for."""
        for transfer in self.of_plan(plan):
            if transfer.loose:
                transfer.loose = False
                for chunk in transfer.owed:
                    if plan.state(chunk) is ChunkState.MISSING:
                        plan.request(transfer.id, chunk, chunk)

    def dismiss(self, key: PeerKey, code: FailureCode, message: str) -> None:
        """Ask a peer for nothing more in this job: it does not lie, it holds something else."""
        peer = self.peers[key]
        if peer.usable:
            peer.gone = message
            self._let_go(peer, "failed", code, message)

    def close(self, transfer_id: TransferId) -> Transfer | None:
        """Close an account; what it still owes is free."""
        transfer = self.transfers.pop(transfer_id, None)
        if transfer is not None:
            _release(transfer)
            self.peers[transfer.offer.peer].transfers.discard(transfer_id)
        return transfer

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

    def end(self) -> None:
        """Let go of everything and everybody."""
        for transfer in list(self.transfers.values()):
            self.cancel(transfer)
        for peer in self.peers.values():
            if peer.connected and peer.usable:
                self._out.append(peer_note(peer, EventType.PEER_DISCONNECTED, "finished"))

    def deadlines(self) -> Iterator[float]:
        """When each request will have broken the least rate; one that waits in a peer's line cannot."""
        return (
            transfer.deadline_s
            for transfer in self.transfers.values()
            if not transfer.cancelled and transfer.queued_since_s is None
        )

    def check_invariants(self) -> None:
        """No peer has more requests than its etiquette allows, and each account stands on both sides."""
        for peer in self.peers.values():
            assert len(peer.transfers) <= peer.etiquette.requests_in_flight_max, f"{peer.name} was asked for too much"
            assert all(self.transfers[each].offer.peer == peer.key for each in peer.transfers)
        assert sum(len(peer.transfers) for peer in self.peers.values()) == len(self.transfers)


def _release(transfer: Transfer) -> None:
    for chunk in transfer.owed:
        transfer.plan.release(transfer.id, chunk)
