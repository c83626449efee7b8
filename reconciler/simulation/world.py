"""A swarm in virtual time: the job machine, its peers, a disk, and a clock that jumps from event to event.

Owns: the order of events, what survives a restart, and which promises are checked when. Never: bytes, sockets, waiting
or chance of its own: the same scene and dice give the same run.

Checked after every event: that something can still happen, that each account stands on both sides, and that no wrong
chunk was taken for a right one; after every request: that it asks for no chunk that is here, and for one that somebody
else owes only as a hand-over that the trace tells; and always that nobody is banned who sends nothing wrong. All
invariants of the machine, chunk by chunk, are checked at every `stride`th event and at the end.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from reconciler.engine.events import (
    CancelRead,
    ChunkArrived,
    ChunkListArrived,
    ChunkListRefused,
    ChunkPrint,
    ClosePart,
    Command,
    DiscardPart,
    DiskRefused,
    DiskTrouble,
    Event,
    FetchChunkList,
    Note,
    OpenPart,
    PartClosed,
    PartOpened,
    PeersFound,
    Publish,
    PublishAlbum,
    Published,
    Read,
    Search,
    SearchEnded,
    TimePassed,
    TransferEnded,
    TransferFailed,
    TransferId,
    VerifyWhole,
    WholeRefused,
    WholeVerified,
)
from reconciler.engine.job import JobMachine
from reconciler.engine.neighbours import Neighbours
from reconciler.engine.order import JobOrder
from reconciler.engine.pace import Patience, RescuePolicy
from reconciler.ids import ChunkIndex, Sha256, TrackPosition
from reconciler.simulation.behaviour import SimPeer
from reconciler.simulation.content import chunk_list, digest_of, order_of, variant_of
from reconciler.simulation.dice import Dice
from reconciler.simulation.pipe import Pipe
from reconciler.sources.base import Endpoint, Etiquette, Offer, PeerKey
from reconciler.traces.model import EventType

# How long a step on the disk takes: opening, verifying, publishing.
DISK_S = 0.01

# A disk that refuses does so in every second step, until it has refused as often as the scene says.
DISK_WORKS = 0.5
DISK_TROUBLES: tuple[DiskTrouble, ...] = ("full", "failing", "lost")

# Ten hours of virtual time: what is still going then has waited for every pause and every line several times over.
RUN_S_MAX = 36_000.0

Disk = dict[TrackPosition, dict[ChunkIndex, bytes]]


class BrokenPromiseError(AssertionError):
    """The machine did what it promises never to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What a simulation is about."""

    sizes: tuple[int, ...]
    """Bytes of each file."""
    peers: tuple[SimPeer, ...]
    rooted: bool = True
    """Whether the files' roots are known; without, only the SHA-256 of each whole."""
    in_flight_max: int = 4
    """Requests that one peer may have open."""
    stall_timeout_s: float = 15.0
    restarts_s: tuple[float, ...] = ()
    """When the daemon is ended and started again."""
    disk_refusals: int = 0
    """How many steps on our own disk it refuses in some way, each step by chance until then."""
    album: bool = False
    """Whether the files are published all at once."""
    order: JobOrder | None = None
    """The job, where it is not simply these files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A chunk that came whole."""

    at_s: float
    duration_s: float
    peer: str
    position: TrackPosition
    chunk: ChunkIndex
    size_bytes: int
    use: str
    """`verified`, `received`, `duplicate`, `bad hash`, or `late` for an answer to a request that was closed."""


@dataclass(slots=True, kw_only=True)
class Result:
    """What a run gave."""

    outcome: str | None = None
    seconds: float = 0.0
    events: int = 0
    notes: list[tuple[float, Note]] = field(default_factory=list)
    arrivals: list[Arrival] = field(default_factory=list)
    disk: Disk = field(default_factory=dict)
    published: list[TrackPosition] = field(default_factory=list)
    """In the order in which their files got their names."""


class World:
    """One run of one scene."""

    def __init__(self, scene: Scene, *, dice: Dice, kept: Disk | None = None, stride: int = 16) -> None:
        self.scene = scene
        self.order = scene.order or order_of(scene.sizes, rooted=scene.rooted, album=scene.album)
        self.result = Result(disk={position: dict(chunks) for position, chunks in (kept or {}).items()})
        self._dice = dice
        self._refusals_left = scene.disk_refusals
        self._stride = stride
        self._now = 0.0
        self._heap: list[tuple[float, int, PeerKey | None, Event | None]] = []
        self._ticket = 0
        self._variants = {n: variant_of(n, size, rooted=scene.rooted) for n, size in enumerate(scene.sizes, start=1)}
        self._pipes = {peer.key: Pipe(peer, dice=dice, stall_timeout_s=scene.stall_timeout_s) for peer in scene.peers}
        self._due: dict[PeerKey, float] = {}
        """When the next step of each pipe is in the heap."""
        self._reads: dict[TransferId, Read] = {}
        self._next: dict[TransferId, int] = {}
        """Which chunk each request that was not cancelled brings next."""
        self._detached: set[TransferId] = set()
        """Requests whose part was closed since."""
        self._told: set[tuple[object, object]] = set()
        """Of which peer the trace says that it relieved which."""
        self._restarts = sorted(scene.restarts_s, reverse=True)
        self.machine = self._start()

    def _start(self) -> JobMachine:
        etiquettes: dict[str, Etiquette] = {
            peer.source: Etiquette(
                requests_in_flight_max=1 if peer.source == "soulseek" else self.scene.in_flight_max,
                sequential=peer.source == "soulseek",
            )
            for peer in self.scene.peers
        }
        etiquettes.setdefault("overlay", Etiquette(requests_in_flight_max=self.scene.in_flight_max))
        return JobMachine(
            self.order,
            etiquettes=etiquettes,
            patience=Patience(stall_timeout_s=self.scene.stall_timeout_s, rescue=RescuePolicy()),
            commons=Neighbours(bandwidth_bytes_per_s=0.0).seat(self.order),
        )

    # ---- running -----------------------------------------------------------------------------------------------------

    def run(self, *, stop_at_s: float = RUN_S_MAX) -> Result:
        """Run until the job ends or `stop_at_s` comes; raises AssertionError for a broken promise or invariant."""
        self._obey()
        while self.machine.outcome is None:
            deadline = self.machine.next_deadline()
            at = min(self._heap[0][0] if self._heap else stop_at_s, stop_at_s if deadline is None else deadline)
            if self._restarts and at >= self._restarts[-1]:
                self._restart(self._restarts.pop())
                continue
            if at >= stop_at_s:
                self._now = stop_at_s
                break
            self._now = max(self._now, at)
            if self._heap and self._heap[0][0] <= at:
                self._happen()
            else:
                self._feed(TimePassed())
        self.machine.check_invariants()
        self.result.outcome = self.machine.outcome
        self.result.seconds = self._now
        return self.result

    def _happen(self) -> None:
        """Let the next thing happen: news for the machine, or a step of a peer's connection."""
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

    def _later(self, delay_s: float, event: Event) -> None:
        self._push(self._now + delay_s, None, event)

    def _push(self, at: float, key: PeerKey | None, event: Event | None) -> None:
        self._ticket += 1
        heapq.heappush(self._heap, (at, self._ticket, key, event))

    def _feed(self, event: Event) -> None:
        if self.machine.outcome is not None:
            return
        if isinstance(event, ChunkArrived):
            self._write(event)
        if isinstance(event, TransferEnded | TransferFailed):
            self._next.pop(event.transfer, None)
        self.result.events += 1
        self.machine.feed(event, now=self._now)
        self.machine.check_step()
        if self.result.events % self._stride == 0:
            self.machine.check_invariants()
        self._obey(event if isinstance(event, ChunkArrived) else None)
        if isinstance(event, TransferEnded | TransferFailed):
            self._reads.pop(event.transfer, None)
            self._detached.discard(event.transfer)

    def _restart(self, at: float) -> None:
        """End the daemon and start another: what is on disk stays, what was under way is lost."""
        self._now = max(self._now, at)
        for key, pipe in self._pipes.items():
            pipe.drop(self._now)
            self._await(key)
        self._heap.clear()
        self._reads.clear()
        self._next.clear()
        self._detached.clear()
        self.machine = self._start()
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
                self._told.add((command.facts["from"], command.facts["to"]))
            case Note(type=EventType.PEER_DISCONNECTED, action="banned"):
                self._check_banned(command)
            case Note():
                pass
            case Search():
                self._search(command)
            case FetchChunkList():
                self._send_list(command)
            case OpenPart():
                self._detach(command.part_id)
                self._later(DISK_S, self._refused(command.position) or self._open(command))
            case ClosePart():
                self._detach(command.part_id)
                self._later(DISK_S, PartClosed(position=command.position, part_id=command.part_id))
            case DiscardPart():
                self.result.disk[command.position] = {}
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
                self._check_album(command)
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
        self._check_read(read)
        self._reads[read.transfer] = read
        self._next[read.transfer] = read.first
        self._pipes[read.offer.peer].ask(read, self._now)
        self._await(read.offer.peer)

    def _cancel(self, transfer: TransferId) -> None:
        read = self._reads.get(transfer)
        if read is not None:
            self._next.pop(transfer, None)
            for event in self._pipes[read.offer.peer].cancel(transfer, self._now):
                self._later(0.0, event)
            self._await(read.offer.peer)

    # ---- the disk ----------------------------------------------------------------------------------------------------

    def _published(self, position: TrackPosition, how: Literal["published", "adopted"]) -> Published:
        generation = self.order.generation
        return Published(position=position, generation=generation, path=f"/music/{position}", how=how)

    def _publish(self, position: TrackPosition) -> None:
        refused = self._refused(position)
        if refused is None:
            self._check_published(position)
            self.result.published.append(position)
        self._later(DISK_S, refused or self._published(position, "published"))

    def _refused(self, position: TrackPosition) -> DiskRefused | None:
        """What our own disk answers instead, by chance; a part that it loses is empty the next time."""
        if not self._refusals_left or self._dice.random() < DISK_WORKS:
            return None
        self._refusals_left -= 1
        trouble = self._dice.choice(DISK_TROUBLES)
        if trouble == "lost":
            self.result.disk[position] = {}
        return DiskRefused(position=position, trouble=trouble, message=f"the disk is {trouble}")

    def _open(self, command: OpenPart) -> Event:
        position = command.position
        if position in self.result.published:
            return self._published(position, "adopted")
        on_disk = sorted(self.result.disk.setdefault(position, {}).items())
        kept = tuple((chunk, ChunkPrint(digest=digest, checksum=digest)) for chunk, digest in on_disk)
        return PartOpened(position=position, part_id=command.part_id, kept=kept)

    def _detach(self, part_id: str) -> None:
        """Close a part: what is under way for it may still come, and is not written any more."""
        self._detached |= {each for each, read in self._reads.items() if read.part_id == part_id}

    def _write(self, event: ChunkArrived) -> None:
        """A lane writes what is right or cannot be judged, into the part that it was asked for, and nothing else."""
        read = self._reads[event.transfer]
        if event.transfer in self._next:
            self._next[event.transfer] = event.chunk + 1
        if event.matches is not False and event.transfer not in self._detached:
            self.result.disk.setdefault(read.offer.position, {})[event.chunk] = event.print.digest

    def verify(self, command: VerifyWhole) -> Event:
        """Read a whole part again."""
        here = self.result.disk[command.position]
        right = chunk_list(command.position, command.variant.size)
        if [here.get(ChunkIndex(chunk)) for chunk in range(len(right))] != list(right):
            return WholeRefused(
                position=command.position,
                part_id=command.part_id,
                fault="content",
                message="other bytes",
                found=tuple(here.get(ChunkIndex(chunk), b"") for chunk in range(len(right))),
            )
        sha256 = command.variant.sha256 or Sha256("0" * 64)
        return WholeVerified(position=command.position, part_id=command.part_id, sha256=sha256)

    # ---- promises ----------------------------------------------------------------------------------------------------

    def _arrived(self, event: ChunkArrived, use: str) -> None:
        read = self._reads[event.transfer]
        position = read.offer.position
        if use == "verified" and event.print.digest != digest_of(position, event.chunk):
            raise BrokenPromiseError(f"chunk {event.chunk} of file {position} is wrong and counts as verified")
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

    def _check_published(self, position: TrackPosition) -> None:
        if position in self.result.published:
            raise BrokenPromiseError(f"file {position} is published a second time")
        right = chunk_list(position, self._variants[position].size)
        here = self.result.disk[position]
        wrong = [chunk for chunk, digest in enumerate(right) if here.get(ChunkIndex(chunk)) != digest]
        if wrong:
            raise BrokenPromiseError(f"file {position} is published with wrong chunks {wrong[:5]}")

    def _check_banned(self, note: Note) -> None:
        peer = next(each for each in self.scene.peers if each.name == note.peer)
        if not peer.is_wrong:
            raise BrokenPromiseError(f"{note.peer}, which sends nothing wrong, is banned: {note.error_message}")

    def _check_album(self, command: PublishAlbum) -> None:
        there = {*self.result.published, *(file.position for file in command.files)}
        if len(there) < len(self.order.tracks):
            raise BrokenPromiseError(f"an album is published with nothing but {sorted(there)} of it")

    def _check_read(self, read: Read) -> None:
        """No request for a chunk that is here, or that another owes and was not relieved of: a stream is exempt."""
        position = read.offer.position
        if position in self.result.published:
            raise BrokenPromiseError(f"file {position} is published and asked for again")
        if read.expected is None or read.offer.source == "soulseek":
            return
        asked = range(read.first, read.last + 1)
        here = self.result.disk[position]
        again = [chunk for chunk in asked if here.get(ChunkIndex(chunk)) == read.expected[chunk - read.first]]
        if again:
            raise BrokenPromiseError(f"chunks {again[:5]} of file {position} are here and asked for again")
        owners = [owner for chunk in (asked[0], asked[-1]) for owner in self._owners(chunk, position)]
        told = any((owner.name, read.offer.peer_name) in self._told for owner in owners)
        if not told and any(owner.source != "soulseek" for owner in owners):
            raise BrokenPromiseError(f"chunks {asked} of file {position} are asked for twice, and no note says why")

    def _owners(self, chunk: int, position: TrackPosition) -> Iterator[SimPeer]:
        """Whose requests under way will bring `chunk`."""
        for transfer, at in self._next.items():
            read = self._reads[transfer]
            if read.offer.position == position and at <= chunk <= read.last:
                yield self._pipes[read.offer.peer].peer
