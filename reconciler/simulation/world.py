"""A swarm in virtual time: the job machine, its peers, a disk, and a clock that jumps from event to event.

Owns: the order of events, what survives a restart, and when which promise is checked. Never: bytes, sockets, waiting or
chance of its own: the same scene and dice give the same run.

Checked after every event: that something can still happen, that each account stands on both sides, and that no wrong
chunk was taken for a right one; after every request: that it asks for no chunk that is here, and for one that somebody
else owes only as a hand-over that the trace tells; and always that nobody is banned who sends nothing wrong. All
invariants of the machine, chunk by chunk, are checked at every `stride`th event and at the end.
"""

import heapq
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from reconciler.engine.events import (
    CancelRead,
    ChunkArrived,
    ChunkListArrived,
    ChunkListRefused,
    ClosePart,
    Command,
    DiscardPart,
    DiskRefused,
    Event,
    FetchChunkList,
    Note,
    OpenPart,
    PartClosed,
    PeersFound,
    Publish,
    PublishAlbum,
    Read,
    Search,
    SearchEnded,
    TimePassed,
    TransferEnded,
    TransferFailed,
    TransferId,
    VerifyWhole,
)
from reconciler.engine.job import JobMachine
from reconciler.engine.neighbours import Neighbours
from reconciler.engine.order import JobOrder
from reconciler.engine.pace import Patience, RescuePolicy
from reconciler.ids import ChunkIndex, JobId, TrackPosition
from reconciler.simulation.behaviour import SimPeer
from reconciler.simulation.content import chunk_list, order_of, variant_of
from reconciler.simulation.dice import Dice
from reconciler.simulation.disk import Disk
from reconciler.simulation.pipe import Pipe, Uplink
from reconciler.simulation.promises import Promises
from reconciler.simulation.scene import Arrival, Result, Scene
from reconciler.sources.base import Endpoint, Etiquette, Offer, PeerKey
from reconciler.traces.model import EventType

# How long a step on the disk takes: opening, verifying, publishing.
DISK_S = 0.01

# Ten hours of virtual time: what is still going then has waited for every pause and every line several times over.
RUN_S_MAX = 36_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a job has around it, alone or together with others."""

    disk: Disk
    neighbours: Neighbours = field(default_factory=lambda: Neighbours(bandwidth_bytes_per_s=0.0))
    uplinks: dict[PeerKey, Uplink] = field(default_factory=dict)


class World:
    """One run of one scene; `around` = what it has in common with the worlds of jobs that run beside it."""

    def __init__(
        self,
        scene: Scene,
        *,
        dice: Dice,
        kept: Mapping[TrackPosition, Mapping[ChunkIndex, bytes]] | None = None,
        stride: int = 16,
        around: Surroundings | None = None,
    ) -> None:
        self.scene = scene
        order = scene.order or order_of(scene.sizes, rooted=scene.rooted, album=scene.album)
        self._around = around or Surroundings(disk=Disk(dice=dice, refusals=scene.disk_refusals))
        self._disk = self._around.disk
        self._disk.keep(order.job_id, kept or {})
        self.result = Result(disk=self._disk.parts_of(order.job_id))
        self._promises = Promises(self.result)
        self._dice = dice
        self._stride = stride
        self._now = 0.0
        self._heap: list[tuple[float, int, PeerKey | None, Event | None]] = []
        self._ticket = 0
        self._variants = {n: variant_of(n, size, rooted=scene.rooted) for n, size in enumerate(scene.sizes, start=1)}
        self._pipes: dict[PeerKey, Pipe] = {}
        for peer in scene.peers:
            self.meet(peer)
        self._due: dict[PeerKey, float] = {}
        """When the next step of each pipe is in the heap."""
        self._reads: dict[TransferId, Read] = {}
        self._detached: set[TransferId] = set()
        """Requests whose part was closed since."""
        self._restarts = sorted(scene.restarts_s, reverse=True)
        self.machine = self._start(order)

    def meet(self, peer: SimPeer) -> None:
        """Let a peer be there to be asked; a search finds those of the scene alone."""
        uplink = self._around.uplinks.setdefault(peer.key, Uplink())
        pipe = Pipe(peer, dice=self._dice, stall_timeout_s=self.scene.stall_timeout_s, uplink=uplink)
        self._pipes.setdefault(peer.key, pipe)

    def _met(self, name: str) -> SimPeer:
        return next(pipe.peer for pipe in self._pipes.values() if pipe.peer.name == name)

    @property
    def _job_id(self) -> JobId:
        return self.machine.order.job_id

    def _start(self, order: JobOrder) -> JobMachine:
        etiquettes: dict[str, Etiquette] = {
            peer.source: Etiquette(
                requests_in_flight_max=1 if peer.source == "soulseek" else self.scene.in_flight_max,
                sequential=peer.source == "soulseek",
            )
            for peer in self.scene.peers
        }
        etiquettes.setdefault("overlay", Etiquette(requests_in_flight_max=self.scene.in_flight_max))
        return JobMachine(
            order,
            etiquettes=etiquettes,
            patience=Patience(stall_timeout_s=self.scene.stall_timeout_s, rescue=RescuePolicy()),
            commons=self._around.neighbours.seat(order),
        )

    # ---- running -----------------------------------------------------------------------------------------------------

    def run(self, *, stop_at_s: float = RUN_S_MAX) -> Result:
        """Run until the job ends or `stop_at_s` comes; raises AssertionError for a broken promise or invariant."""
        self._obey()
        while self.machine.outcome is None:
            at = self.next_at()
            if at is None or at >= stop_at_s:
                self._now = stop_at_s
                break
            self.step(at)
        self.machine.check_invariants()
        self.result.outcome = self.machine.outcome
        self.result.seconds = self._now
        return self.result

    def next_at(self) -> float | None:
        """When something will happen by itself; None = never."""
        moments = [self._heap[0][0]] if self._heap else []
        deadline = self.machine.next_deadline()
        if deadline is not None:
            moments.append(deadline)
        return min(moments + self._restarts[-1:], default=None)

    def step(self, now: float) -> None:
        """Let the next thing happen that is due at `now`; time alone passes where nothing is."""
        self._now = max(self._now, now)
        if self._restarts and now >= self._restarts[-1]:
            self._restarts.pop()
            self._restart()
        elif self._heap and self._heap[0][0] <= now:
            self._happen()
        else:
            self._feed(TimePassed())

    def _happen(self) -> None:
        """Take what is first in the heap: news for the machine, or a step of a peer's connection."""
        at, _, key, event = heapq.heappop(self._heap)
        if event is not None:
            self._feed(event)
        elif key is not None and self._due.get(key) == at:
            del self._due[key]
            pipe = self._pipes[key]
            for each in pipe.step(self._now):
                self._feed(each)
            self._await(key)

    def _await(self, key: PeerKey) -> None:
        """See to it that the next step of a connection happens when it is due."""
        due_s = self._pipes[key].due_s
        if due_s is None:
            self._due.pop(key, None)
        elif self._due.get(key) != due_s:
            self._due[key] = due_s
            self._push(due_s, key, None)

    def tell(self, event: Event, at_s: float) -> None:
        """Have the machine hear of something at that moment."""
        self._push(at_s, None, event)

    def _later(self, delay_s: float, event: Event) -> None:
        self.tell(event, self._now + delay_s)

    def _push(self, at: float, key: PeerKey | None, event: Event | None) -> None:
        self._ticket += 1
        heapq.heappush(self._heap, (at, self._ticket, key, event))

    def _feed(self, event: Event) -> None:
        if self.machine.outcome is not None:
            return
        if isinstance(event, ChunkArrived):
            self._write(event)
        if isinstance(event, TransferEnded | TransferFailed):
            self._promises.closed(event.transfer)
        self.result.events += 1
        self.machine.feed(event, now=self._now)
        self.machine.check_step()
        if self.result.events % self._stride == 0:
            self.machine.check_invariants()
        self._obey(event if isinstance(event, ChunkArrived) else None)
        if isinstance(event, TransferEnded | TransferFailed):
            self._reads.pop(event.transfer, None)
            self._detached.discard(event.transfer)

    def _restart(self) -> None:
        """End the daemon and start another: what is on disk stays, what was under way is lost."""
        for key, pipe in self._pipes.items():
            pipe.drop(self._now)
            self._await(key)
        self._heap.clear()
        self._reads.clear()
        self._promises.all_closed()
        self._detached.clear()
        self._around = replace(self._around, neighbours=Neighbours(bandwidth_bytes_per_s=0.0))
        self.machine = self._start(self.machine.order)
        self._obey()

    # ---- obeying -----------------------------------------------------------------------------------------------------

    def _obey(self, arrived: ChunkArrived | None = None) -> None:
        use = "late"
        commands = self.machine.commands()
        for command in commands:
            if isinstance(command, Note):
                self.result.notes.append((self._now, command))
                if command.type in (EventType.CHUNK_RECEIVED, EventType.CHUNK_FAILED) and "chunk" in command.facts:
                    use = command.action
        if arrived is not None:
            self._arrived(arrived, use)
        for command in commands:
            self._do(command)

    def _do(self, command: Command) -> None:  # noqa: C901, PLR0912 - one case a command
        match command:
            case Note(type=EventType.SWARM_REBALANCED):
                self._promises.relieved(command)
            case Note(type=EventType.PEER_DISCONNECTED, action="banned"):
                self._promises.bans(self._met(command.peer), command)
            case Note():
                pass
            case Search():
                self._search(command)
            case FetchChunkList():
                self._send_list(command)
            case OpenPart():
                self._detach(command.part_id)
                refused = self._refused(command.position)
                self._later(DISK_S, refused or self._disk.open(self.machine.order, command))
            case ClosePart():
                self._detach(command.part_id)
                self._later(DISK_S, PartClosed(position=command.position, part_id=command.part_id))
            case DiscardPart():
                self._disk.discard(self._job_id, command.position)
            case Read():
                self._read(command)
            case CancelRead():
                self._cancel(command.transfer)
            case VerifyWhole():
                self._detach(command.part_id)
                self._later(DISK_S, self._refused(command.position) or self.verify(command))
            case Publish():
                self._publish(command.position)
            case PublishAlbum():
                self._promises.publishes_album(command, self.machine.order.tracks)
                for file in command.files:
                    self._publish(file.position)

    def _search(self, command: Search) -> None:
        """Each peer answers after a round trip; a search ends with its last answer."""
        for source in command.sources:
            peers = [peer for peer in self.scene.peers if peer.source == source and not peer.is_gone(self._now)]
            for peer in peers:
                self._later(peer.found_s, PeersFound(found=tuple(self._offers(peer))))
            self._later(max((peer.found_s for peer in peers), default=0.0), SearchEnded(source=source))

    def _offers(self, peer: SimPeer) -> list[Offer]:
        return [
            Offer(
                position=TrackPosition(position),
                peer=peer.key,
                source=peer.source,
                variant=variant,
                endpoint=Endpoint(host="127.0.0.1", port=1, tls=False),
                target="/",
                holds=peer.holds,
                complete=peer.holds is None,
            )
            for position, variant in self._variants.items()
        ]

    def _send_list(self, command: FetchChunkList) -> None:
        offer = command.offer
        peer = self._pipes[offer.peer].peer
        if peer.no_list or peer.source != "overlay" or peer.is_gone(self._now):
            event: Event = ChunkListRefused(
                position=offer.position, peer=offer.peer, variant_id=offer.variant.id, message="has none"
            )
        else:
            raw = b"".join(chunk_list(offer.position, offer.variant.size, wrong=peer.lying_list))
            event = ChunkListArrived(position=offer.position, peer=offer.peer, variant_id=offer.variant.id, raw=raw)
        self._later(peer.rtt_s, event)

    def _read(self, read: Read) -> None:
        self._promises.asks(read)
        self._reads[read.transfer] = read
        self._pipes[read.offer.peer].ask(read, self._now)
        self._await(read.offer.peer)

    def _cancel(self, transfer: TransferId) -> None:
        read = self._reads.get(transfer)
        if read is not None:
            self._promises.closed(transfer)
            for event in self._pipes[read.offer.peer].cancel(transfer, self._now):
                self._later(0.0, event)
            self._await(read.offer.peer)

    # ---- the disk ----------------------------------------------------------------------------------------------------

    def _publish(self, position: TrackPosition) -> None:
        answer: Event | None = self._refused(position)
        if answer is None:
            self._promises.publishes(position, self._variants[position].size)
            answer = self._disk.publish(self.machine.order, position)
            self.result.published.append(position)
        self._later(DISK_S, answer)

    def _refused(self, position: TrackPosition) -> DiskRefused | None:
        return self._disk.refused(self._job_id, position)

    def verify(self, command: VerifyWhole) -> Event:
        """Read a whole part again."""
        return self._disk.verify(self._job_id, command)

    def _detach(self, part_id: str) -> None:
        """Close a part: what is under way for it may still come, and is not written any more."""
        self._detached |= {each for each, read in self._reads.items() if read.part_id == part_id}

    def _write(self, event: ChunkArrived) -> None:
        """A lane writes what is right or cannot be judged, into the part that it was asked for, and nothing else."""
        position = self._reads[event.transfer].offer.position
        self._promises.moved(event)
        if event.matches is not False and event.transfer not in self._detached:
            self._disk.write(self._job_id, position, event.chunk, event.digest)

    def _arrived(self, event: ChunkArrived, use: str) -> None:
        read = self._reads[event.transfer]
        position = read.offer.position
        if use == "verified":
            self._promises.accepts(position, event)
        self.result.arrivals.append(
            Arrival(
                at_s=self._now,
                duration_s=event.duration_s,
                peer=read.offer.peer_name,
                position=position,
                chunk=event.chunk,
                size_bytes=event.bytes_received,
                use=use,
            )
        )
