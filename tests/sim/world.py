"""A swarm in virtual time: the job machine against peers that are numbers.

Owns: the peers' behaviour, a disk that keeps chunk digests, and the order of events. Never: real bytes, sockets or
waiting; the same seed gives the same run. After each event the machine's invariants are checked.
"""

import hashlib
import heapq
import itertools
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

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
    Event,
    FetchChunkList,
    Note,
    OpenPart,
    PartClosed,
    PartOpened,
    PeerConnected,
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
from reconciler.engine.order import JobOrder, TrackOrder
from reconciler.engine.pace import Patience, RescuePolicy
from reconciler.ids import ChunkIndex, JobId, Mbid, Root, Sha256, TrackPosition
from reconciler.manifests.model import Constraints
from reconciler.overlay.merkle import chunk_count, chunk_size, root_of
from reconciler.sources.base import Endpoint, Etiquette, Offer, PeerKey, Variant, Want

RECORDING = Mbid("e2f5e9b4-5852-4cd3-b1f9-29a7a4a234bc")
JOB = JobId("01HRQ4GSX9K47J7M5FK7VW8B12")


@dataclass(kw_only=True)
class SimPeer:
    """How one peer behaves."""

    name: str
    rate_bytes_per_s: float = 1e6
    rtt_s: float = 0.02
    lies: frozenset[int] = frozenset()
    """Chunks that it sends wrong, in every file."""
    lying_list: bool = False
    no_list: bool = False
    holds: frozenset[int] | None = None
    stalls_after: int | None = None
    """Chunks after which no more byte comes."""
    resets_after: int | None = None
    """Chunks after which each further request breaks once it has begun."""
    comes_back_after_s: float | None = None
    """With `resets_after`: when it serves again."""
    chunks_sent: int = 0
    free_at_s: float = 0.0
    broke_at_s: float | None = None


@dataclass(kw_only=True)
class Result:
    """What a run gave."""

    outcome: str | None
    seconds: float
    notes: list[Note]
    accepted_by: Counter[str]
    fetched: Counter[tuple[TrackPosition, ChunkIndex]]
    """How often each chunk came whole, from anybody."""
    disk: dict[TrackPosition, dict[ChunkIndex, bytes]]
    published: list[TrackPosition]


def digest_of(position: int, chunk: int, *, wrong: bool = False) -> bytes:
    """The hash of a chunk of the file at `position`; a wrong chunk has another."""
    return hashlib.sha256(f"{position}:{chunk}:{wrong}".encode()).digest()


def variant_of(position: int, size: int, *, rooted: bool = True) -> Variant:
    """The one right variant of the file at `position`."""
    hashes = [digest_of(position, chunk) for chunk in range(chunk_count(size))]
    root = Root(root_of(hashes, file_size=size))
    sha256 = Sha256(hashlib.sha256(root.encode()).hexdigest())
    return Variant(
        root=root if rooted else None, sha256=sha256, size=size, codec="FLAC", container="flac", lossless=True
    )


def order_of(sizes: list[int], *, rooted: bool = True, by_recording: bool = False, **constraints: object) -> JobOrder:
    """A job that wants one file of each size."""
    tracks = []
    for position, size in enumerate(sizes, start=1):
        variant = variant_of(position, size, rooted=rooted)
        want = Want(position=TrackPosition(position), recording=RECORDING)
        if not by_recording:
            want = Want(position=TrackPosition(position), root=variant.root, sha256=variant.sha256, size=size)
        tracks.append(TrackOrder(want=want, title=f"Track {position}", stem=f"{position:02}"))
    return JobOrder(
        job_id=JOB,
        generation=1,
        target_dir="/music/album",
        allowed_root="/music",
        constraints=Constraints(**constraints),  # type: ignore[arg-type]
        tracks=tuple(tracks),
    )


@dataclass(kw_only=True)
class World:
    """One job, its peers, and a clock that jumps from event to event."""

    order: JobOrder
    sizes: list[int]
    peers: list[SimPeer]
    seed: int = 0
    rooted: bool = True
    in_flight_max: int = 2
    refusal: Callable[[TrackPosition], DiskRefused | None] = lambda _: None
    """What our own disk answers to a step for a track instead of doing it; None = it works."""
    stall_timeout_s: float = 15.0
    kept: dict[TrackPosition, dict[ChunkIndex, bytes]] = field(default_factory=dict)
    others: dict[JobId, "World"] = field(default_factory=dict)
    """The worlds of the jobs that run beside this one, by job."""
    neighbours: Neighbours = field(default_factory=lambda: Neighbours(bandwidth_bytes_per_s=0.0))

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._now = 0.0
        self._heap: list[tuple[float, int, TransferId | None, Event]] = []
        self._ticket = itertools.count()
        self._dead: set[TransferId] = set()
        self._position_of: dict[TransferId, TrackPosition] = {}
        self._by_name = {peer.name: peer for peer in self.peers}
        etiquette = Etiquette(requests_in_flight_max=self.in_flight_max)
        self.machine = JobMachine(
            self.order,
            etiquettes={"overlay": etiquette},
            patience=Patience(stall_timeout_s=self.stall_timeout_s, rescue=RescuePolicy()),
            commons=self.neighbours.seat(self.order),
        )
        self.result = Result(
            outcome=None,
            seconds=0.0,
            notes=[],
            accepted_by=Counter(),
            fetched=Counter(),
            disk={position: dict(chunks) for position, chunks in self.kept.items()},
            published=[],
        )

    # ---- running ---------------------------------------------------------------------------------------------------

    def run(self, *, until_s: float = 36_000.0, stop_at_s: float | None = None) -> Result:
        """Run until the job ends, nothing happens any more, or virtual time is up."""
        self._obey()
        while (at := self.next_at()) is not None and self.machine.outcome is None and self._now <= until_s:
            self._now = max(self._now, at)
            if stop_at_s is not None and self._now >= stop_at_s:
                break
            self.step(self._now)
        self.result.outcome = self.machine.outcome
        self.result.seconds = self._now
        return self.result

    def next_at(self) -> float | None:
        """When something will happen by itself; None = never."""
        while self._heap and self._heap[0][2] in self._dead:
            heapq.heappop(self._heap)
        deadline = self.machine.next_deadline()
        return min((at for at in (deadline, self._heap[0][0] if self._heap else None) if at is not None), default=None)

    def step(self, now: float) -> Event:
        """Have happen what is due at `now`; time alone, where nothing is."""
        self._now = now
        event: Event = heapq.heappop(self._heap)[3] if self._heap and self._heap[0][0] <= now else TimePassed()
        self._feed(event)
        return event

    def tell(self, event: Event, now: float) -> None:
        """Have something come from outside this world, as soon as it has time."""
        heapq.heappush(self._heap, (now, next(self._ticket), None, event))

    def _feed(self, event: Event) -> None:
        if isinstance(event, ChunkArrived):
            position = self._position_of[event.transfer]
            self.result.fetched[position, event.chunk] += 1
            if event.matches is not False:  # a lane writes what is right or cannot be judged, and nothing else
                self.result.disk[position][event.chunk] = event.print.digest
        self.machine.feed(event, now=self._now)
        self.machine.check_invariants()
        self._obey()

    def _obey(self) -> None:
        for command in self.machine.commands():
            self._do(command)

    def _later(self, delay_s: float, event: Event, transfer: TransferId | None = None) -> None:
        heapq.heappush(self._heap, (self._now + delay_s, next(self._ticket), transfer, event))

    # ---- obeying ---------------------------------------------------------------------------------------------------

    def _do(self, command: Command) -> None:  # noqa: C901, PLR0912 - one case a command
        match command:
            case Note():
                self._take_note(command)
            case Search():
                for number, peer in enumerate(self.peers):
                    self._later(0.01 * (number + 1), PeersFound(found=tuple(self._offers(peer))))
                self._later(0.01 * (len(self.peers) + 1), SearchEnded(source="overlay"))
            case FetchChunkList():
                self._send_list(command)
            case OpenPart():
                self._inherit(command)
                on_disk = sorted(self.result.disk.setdefault(command.position, {}).items())
                kept = tuple((chunk, ChunkPrint(digest=digest, checksum=digest)) for chunk, digest in on_disk)
                opened = PartOpened(position=command.position, part_id=command.part_id, kept=kept)
                self._later(0.001, self.refusal(command.position) or opened)
            case DiscardPart():
                self.result.disk[command.position] = {}
            case ClosePart():
                self._later(0.001, PartClosed(position=command.position, part_id=command.part_id))
            case Read():
                self._serve(command)
            case CancelRead():
                self._dead.add(command.transfer)
                ended = TransferFailed(transfer=command.transfer, code="cancelled", message="cancelled")
                self._later(0.0, ended)
            case VerifyWhole():
                self._later(0.01, self.refusal(command.position) or self._verify(command))
            case Publish():
                self._publish(command.position)
            case PublishAlbum():
                for file in command.files:
                    self._publish(file.position)

    def _publish(self, position: TrackPosition) -> None:
        answer: Event | None = self.refusal(position)
        if answer is None:
            self.result.published.append(position)
            generation = self.machine.order.generation
            answer = Published(
                position=position, generation=generation, path=f"/{self.order.job_id}/{position}", how="published"
            )
        self._later(0.01, answer)

    def _inherit(self, command: OpenPart) -> None:
        """Take what a twin has left: a copy of its published file, or its part itself."""
        legacy, own = command.legacy, self.result.disk.setdefault(command.position, {})
        if legacy.whole is not None:
            own.update(self.others[legacy.whole.job_id].result.disk[legacy.whole.position])
        elif legacy.published:
            _, job_id, position = legacy.published.split("/")
            own.update(self.others[JobId(job_id)].result.disk[TrackPosition(int(position))])
        else:
            for place in legacy.parts:
                theirs = self.others[place.job_id].result.disk
                if theirs is not self.result.disk or place.position != command.position:
                    own.update(theirs.pop(place.position, {}))

    def _take_note(self, note: Note) -> None:
        self.result.notes.append(note)
        if note.action in ("verified", "received"):
            self.result.accepted_by[note.peer] += note.bytes_transferred

    def _offers(self, peer: SimPeer) -> list[Offer]:
        return [
            Offer(
                position=TrackPosition(position),
                peer=PeerKey(f"overlay:{peer.name}"),
                source="overlay",
                variant=variant_of(position, size, rooted=self.rooted),
                endpoint=Endpoint(host="127.0.0.1", port=1, tls=False),
                target="/",
                holds=peer.holds,
                complete=peer.holds is None,
            )
            for position, size in enumerate(self.sizes, start=1)
        ]

    def _send_list(self, command: FetchChunkList) -> None:
        offer = command.offer
        peer = self._by_name[offer.peer_name]
        if peer.no_list:
            event: Event = ChunkListRefused(
                position=offer.position, peer=offer.peer, variant_id=offer.variant.id, message="has none"
            )
        else:
            count = chunk_count(offer.variant.size)
            raw = b"".join(digest_of(offer.position, chunk, wrong=peer.lying_list) for chunk in range(count))
            event = ChunkListArrived(position=offer.position, peer=offer.peer, variant_id=offer.variant.id, raw=raw)
        self._later(peer.rtt_s, event)

    def _serve(self, read: Read) -> None:
        """Send the chunks of one request after those that the peer owes already."""
        peer = self._by_name[read.offer.peer_name]
        size = read.offer.variant.size
        at = max(self._now + peer.rtt_s, peer.free_at_s)
        self._later(peer.rtt_s, PeerConnected(transfer=read.transfer), read.transfer)
        for index in range(read.first, read.last + 1):
            if peer.stalls_after is not None and peer.chunks_sent >= peer.stalls_after:
                self._fail(read, at + self.stall_timeout_s, "stalled")
                return
            if self._is_broken(peer, at):
                self._fail(read, at, "cut short")
                return
            length = min(chunk_size(size), size - index * chunk_size(size))
            duration = length / (peer.rate_bytes_per_s * self._random.uniform(0.9, 1.1))
            at += duration
            peer.chunks_sent += 1
            self._arrive(read, ChunkIndex(index), at, length, duration, wrong=index in peer.lies)
        peer.free_at_s = at
        heapq.heappush(self._heap, (at, next(self._ticket), read.transfer, TransferEnded(transfer=read.transfer)))

    def _is_broken(self, peer: SimPeer, at: float) -> bool:
        if peer.resets_after is None or peer.chunks_sent < peer.resets_after:
            return False
        if peer.broke_at_s is None:
            peer.broke_at_s = at
        if peer.comes_back_after_s is not None and at >= peer.broke_at_s + peer.comes_back_after_s:
            peer.resets_after = None
            return False
        return True

    def _fail(self, read: Read, at: float, code: str) -> None:
        failure = TransferFailed(transfer=read.transfer, code=code, message=code)  # type: ignore[arg-type]
        heapq.heappush(self._heap, (at, next(self._ticket), read.transfer, failure))

    def _arrive(self, read: Read, chunk: ChunkIndex, at: float, length: int, duration_s: float, *, wrong: bool) -> None:
        digest = digest_of(read.offer.position, chunk, wrong=wrong)
        matches = None if read.expected is None else digest == read.expected[chunk - read.first]
        event = ChunkArrived(
            transfer=read.transfer,
            chunk=chunk,
            print=ChunkPrint(digest=digest, checksum=digest),
            matches=matches,
            bytes_received=length,
            duration_s=duration_s,
        )
        self._position_of[read.transfer] = read.offer.position
        heapq.heappush(self._heap, (at, next(self._ticket), read.transfer, event))

    def _verify(self, command: VerifyWhole) -> Event:
        size = command.variant.size
        right = [digest_of(command.position, chunk) for chunk in range(chunk_count(size))]
        disk = self.result.disk[command.position]
        here = [digest for chunk in range(chunk_count(size)) if (digest := disk.get(ChunkIndex(chunk))) is not None]
        if here != right:
            return WholeRefused(
                position=command.position, part_id=command.part_id, fault="content", message="other bytes"
            )
        return WholeVerified(
            position=command.position, part_id=command.part_id, sha256=command.variant.sha256 or Sha256("0" * 64)
        )
