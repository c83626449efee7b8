"""The job machine with a real disk below it and peers that never fail, one step after another in one thread.

Owns: a root folder that outlives its runs, the state of a run, and what can be said of the disk afterwards. Never: a
socket, a thread of its own or waiting; time jumps to the next deadline. What is run here is JobMachine, JobDisk,
PartStore, LibraryIndex, JobStore and TraceStore as the daemon has them.
"""

import os
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from file_server import chunk_hashes, root_of_bytes

from reconciler.engine.disk import JobDisk, Shelves
from reconciler.engine.events import (
    CancelRead,
    ChunkArrived,
    ChunkListArrived,
    ClosePart,
    DiscardPart,
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
    VerifyWhole,
)
from reconciler.engine.job import JobMachine
from reconciler.engine.neighbours import Neighbours
from reconciler.engine.order import JobOrder, TrackOrder
from reconciler.engine.pace import Patience, RescuePolicy
from reconciler.engine.partfile import PartStore
from reconciler.engine.partwriter import PartWriter, name_of
from reconciler.engine.runner import EventStamp
from reconciler.ids import ChunkIndex, JobId, Root, TrackPosition
from reconciler.library.index import LibraryIndex
from reconciler.manifests.model import Constraints, JobType
from reconciler.overlay.merkle import chunk_count, chunk_hash, chunk_size
from reconciler.sources.base import Endpoint, Etiquette, Offer, PeerKey, Variant, Want
from reconciler.state.database import Database
from reconciler.state.jobs import JobStore
from reconciler.state.peers import PeerStore
from reconciler.traces.reading import TraceReader
from reconciler.traces.store import TraceStore

JOB = JobId("01HRQ4GSX9K47J7M5FK7VW8B12")
PEER = PeerKey("overlay:peer")
ALBUM = "The Loopbacks/Nine Kinds of Quiet"
CHUNK_BYTES = 256 * 1024


class ToldClock:
    """Time that passes only when it is told to."""

    now_s = 0.0

    def wall(self):
        return 1_800_000_000.0 + self.now_s

    def monotonic(self):
        return self.now_s


def content(position, size):
    """The right bytes of a file: others for each position and each chunk."""
    chunks = (bytes([position, chunk]) * (CHUNK_BYTES // 2) for chunk in range(chunk_count(size)))
    return b"".join(chunks)[:size]


@dataclass(kw_only=True)
class Outcome:
    """What one run came to."""

    outcome: str | None
    progress: object
    seconds: float
    fetched: list[tuple[int, int]] = field(default_factory=list)
    """Every chunk that came from the peer: track, chunk."""
    helds: list[tuple[float, str, str]] = field(default_factory=list)
    """Each time that something else stood in the way: second, reason, message."""


class DiskWorld:
    """One folder with a library and a state folder, for as many runs as are wanted."""

    def __init__(self, folder: Path, *, sizes=(300_000, 100_000), album=True, others=None, library=None):
        self.folder = folder
        self.library = library or folder / "library"
        self.state = folder / "state"
        self.sizes = sizes
        self.album = album
        self.others = others or {}
        """Files of somebody else that are in the library from the beginning."""
        self.clock = ToldClock()
        self.look = lambda progress: None
        """Called with the progress after each event."""
        self.before = lambda command: None
        """Called before a command is carried out."""
        self.library.mkdir(parents=True, exist_ok=True)
        for name, data in self.others.items():
            (self.library / name).parent.mkdir(parents=True, exist_ok=True)
            (self.library / name).write_bytes(data)

    # ---- what is wanted ----------------------------------------------------------------------------------------------

    def name(self, position):
        """The track's path below the library."""
        return f"{ALBUM}/{position:02}.bin"

    def variant(self, position):
        """The only variant of a track."""
        data = content(position, self.sizes[position - 1])
        return Variant(root=Root(root_of_bytes(data)), size=len(data), container="bin")

    def order(self):
        """The job: every track that is not recorded as published."""
        held = {artifact.position for artifact in self.store.artifacts(JOB, 1)}
        tracks = tuple(
            TrackOrder(
                want=Want(position=TrackPosition(position), root=self.variant(position).root),
                title=f"Track {position}",
                stem=self.name(position),
                extension="",
            )
            for position in range(1, len(self.sizes) + 1)
            if position not in held
        )
        return JobOrder(
            job_id=JOB,
            generation=1,
            target_dir=str(self.library),
            allowed_root=str(self.library),
            constraints=Constraints(),
            tracks=tracks,
            album=ALBUM if self.album else None,
        )

    # ---- a process ---------------------------------------------------------------------------------------------------

    def open(self):
        """Begin as a new process does: only the disk remembers."""
        self.database = Database.open(self.state / "reconciler.db")
        self.store = JobStore(self.database)
        self.store.observe_spec(
            JOB, path="jobs/active/x.yml", job_type=JobType.MULTI_SOURCE, spec_digest="sha256:one", now=0.0
        )
        self.traces = TraceStore(self.database, self.folder / "logs")
        self.index = LibraryIndex(self.database)

    def close(self):
        """End the process."""
        self.database.close()

    def run(self, *, until_s=7200.0):
        """Run the job until it ends or nothing more can happen in time."""
        order = self.order()
        if not order.tracks:
            return Outcome(outcome="completed", progress=None, seconds=0.0)
        return _Run(self, order).run(until_s)

    # ---- what is there -----------------------------------------------------------------------------------------------

    def files(self):
        """Every file below the library, hidden ones too, with its bytes."""
        return {str(p.relative_to(self.library)): p.read_bytes() for p in self.library.rglob("*") if p.is_file()}

    def wanted(self):
        """Every file as it should be in the end: a name that is taken gets a number."""
        ours = {self.name(n): content(n, size) for n, size in enumerate(self.sizes, start=1)}
        numbered = {name.replace(".bin", " (2).bin") if name in self.others else name: ours[name] for name in ours}
        return {**self.others, **numbered}

    def journaled(self):
        """The chunks that journals on the disk name: (track, chunk)."""
        found = set()
        for journal in (self.state / "parts").glob("*.journal"):
            position = int(journal.name.split(".")[1])
            found |= {(position, int(line.split()[0])) for line in journal.read_bytes().split(b"\n")[1:-1]}
        return found

    def left_over(self):
        """Everything that only a job under way should have on the disk."""
        hidden = [str(path.relative_to(self.library)) for path in self.library.rglob(".*")]
        parts = self.state / "parts"
        return hidden + [path.name for path in (parts.iterdir() if parts.is_dir() else ())]

    def completed_events(self):
        """The tracks of every TrackComplete event that is not a failure, in the order of the table."""
        events = TraceReader(self.database).events(JOB)
        return [int(event.track_id) for event in events if event.type == "TrackComplete" and not event.is_error]


class _Run:
    """One job machine from its start to its end."""

    def __init__(self, world, order):
        self._world = world
        self._clock = world.clock
        self._stamp = EventStamp(JOB, clock=self._clock, entropy=os.urandom)
        shelves = Shelves(
            parts=PartStore(parts=world.state / "parts", quarantine=world.state / "quarantine"),
            index=world.index,
            jobs=world.store,
            peers=PeerStore(world.database),
            flush_traces=world.traces.flush_job,
            clock=self._clock,
        )
        self._disk = JobDisk(order, shelves, stamp=self._stamp)
        self._machine = JobMachine(
            order,
            etiquettes={"overlay": Etiquette(requests_in_flight_max=2)},
            patience=Patience(stall_timeout_s=15.0, rescue=RescuePolicy()),
            commons=Neighbours(bandwidth_bytes_per_s=0.0).seat(order),
        )
        self._inbox = deque()
        self._begun_s = self._clock.now_s
        self._outcome = Outcome(outcome=None, progress=None, seconds=0.0)

    def run(self, until_s):
        self._obey()
        while self._machine.outcome is None and self._clock.now_s - self._begun_s < until_s:
            self._feed(self._next_event())
        self._world.traces.flush()
        self._outcome.outcome = self._machine.outcome
        self._outcome.progress = self._machine.progress()
        self._outcome.seconds = self._clock.now_s - self._begun_s
        return self._outcome

    def _next_event(self):
        if self._inbox:
            return self._inbox.popleft()
        deadline = self._machine.next_deadline()
        assert deadline is not None, "nothing will ever happen again"
        self._clock.now_s = deadline
        return TimePassed()

    def _feed(self, event: Event):
        self._machine.feed(event, now=self._clock.now_s)
        self._machine.check_invariants()
        progress = self._machine.progress()
        self._world.look(progress)
        held = progress.held
        told = (held.reason, held.message) if held is not None else ("", "")
        if not self._outcome.helds or self._outcome.helds[-1][1:] != told:
            self._outcome.helds.append((self._clock.now_s - self._begun_s, *told))
        self._obey()

    def _obey(self):
        for command in self._machine.commands():
            self._world.before(command)
            self._do(command)

    def _do(self, command):  # noqa: C901 - one case a command
        match command:
            case Note():
                self._world.traces.report(self._stamp(command))
            case Search():
                offers = tuple(self._offer(want.position) for want in command.wants)
                self._inbox += [PeersFound(found=offers), SearchEnded(source="overlay")]
            case FetchChunkList():
                self._inbox.append(self._chunk_list(command.offer))
            case OpenPart():
                self._inbox.append(self._disk.open(command))
            case ClosePart():
                self._inbox.append(PartClosed(position=command.position, part_id=command.part_id))
            case Read():
                self._read(command)
            case CancelRead():
                self._inbox.append(TransferFailed(transfer=command.transfer, code="cancelled", message="cancelled"))
            case VerifyWhole():
                self._inbox.append(self._disk.verify(command))
            case Publish():
                self._inbox.append(self._disk.publish(command))
            case PublishAlbum():
                self._inbox += self._disk.publish_album(command)
            case DiscardPart():
                if (refused := self._disk.discard(command)) is not None:
                    self._inbox.append(refused)

    def _offer(self, position):
        return Offer(
            position=position,
            peer=PEER,
            source="overlay",
            variant=self._world.variant(position),
            endpoint=Endpoint(host="127.0.0.1", port=1, tls=False),
            target="/",
        )

    def _chunk_list(self, offer):
        raw = b"".join(chunk_hashes(content(offer.position, offer.variant.size)))
        return ChunkListArrived(position=offer.position, peer=offer.peer, variant_id=offer.variant.id, raw=raw)

    def _read(self, command):
        """Write the chunks as a lane does, each to the part first and then the word of it, and wait for the journal."""
        position = command.offer.position
        data = memoryview(content(position, command.offer.variant.size))
        path = self._disk.part_path(position, command.part_id)
        try:
            writer = PartWriter(path, chunk_bytes=chunk_size(len(data)))
            try:
                arrived = [
                    self._write(writer, command, data, index) for index in range(command.first, command.last + 1)
                ]
            finally:
                writer.close()
        except OSError as error:
            failed = TransferFailed(
                transfer=command.transfer,
                code="disk",
                message=f"writing the part failed: {error}",
                errno_name=name_of(error),
            )
            self._inbox.append(failed)
            return
        self._outcome.fetched += [(int(position), int(event.chunk)) for event in arrived]
        self._inbox += [*arrived, TransferEnded(transfer=command.transfer)]

    @staticmethod
    def _write(writer, command, data, index):
        view = data[index * CHUNK_BYTES : (index + 1) * CHUNK_BYTES]
        found = chunk_hash(view, file_size=len(data))
        assert writer.write_chunk(ChunkIndex(index), view, found, verified=True)
        return ChunkArrived(
            transfer=command.transfer,
            chunk=ChunkIndex(index),
            digest=found,
            matches=True,
            bytes_received=len(view),
            duration_s=0.001,
        )
