"""Drives one job machine: hands its commands to sources, lanes and disk, and their answers back to it.

Owns: the tasks and timers of one running job. Never: decides anything (engine.job), touches bytes (engine.lanes,
engine.disk).
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, assert_never

from reconciler.clock import Clock
from reconciler.engine.disk import JobDisk, refused
from reconciler.engine.events import (
    CancelRead,
    ChunkListArrived,
    ChunkListRefused,
    ClosePart,
    Command,
    DiscardPart,
    Event,
    FetchChunkList,
    Note,
    OpenPart,
    OrderChanged,
    PartClosed,
    PartOpened,
    PeersFound,
    Publish,
    PublishAlbum,
    Published,
    Read,
    Search,
    SearchEnded,
    StopAsked,
    TimePassed,
    TransferFailed,
    TransferId,
    VerifyWhole,
)
from reconciler.engine.job import JobMachine
from reconciler.engine.lane_orders import BytePath, PartId, ReadRange, Tag
from reconciler.engine.order import JobOrder, JobProgress
from reconciler.errors import DiskError, PeerError
from reconciler.ids import ChunkIndex, JobId, TrackPosition, make_ulid
from reconciler.sources.base import Source, Want
from reconciler.traces.model import SwarmEvent
from reconciler.traces.reporter import Reporter

# Events waiting for one job. Lanes answer what was asked: 200 peers with 4 requests of 64 chunks each are 51,200 at the
# very most, and a job that is so far behind has stopped working; it ends with an error instead of eating memory.
INBOX_MAX = 65_536


DiskCommand = OpenPart | VerifyWhole | Publish | PublishAlbum | DiscardPart


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What every running job shares."""

    sources: Mapping[str, Source]
    lanes: BytePath
    new_part: Callable[[], PartId]
    """Numbers for attachments, each used once."""
    reporter: Reporter
    clock: Clock
    entropy: Callable[[int], bytes]
    """Random bytes of the asked length."""
    stepped: Callable[[JobId], None]
    """Called when a job has taken a step: others may have to be told of it."""


class EventStamp:
    """Turns notes of one job into events with an id and a time."""

    def __init__(self, job_id: JobId, *, clock: Clock, entropy: Callable[[int], bytes]) -> None:
        self._job_id = job_id
        self._clock = clock
        self._entropy = entropy

    def __call__(self, note: Note) -> SwarmEvent:
        """Stamp `note` with the present moment."""
        now_ms = int(self._clock.wall() * 1000)
        return SwarmEvent(
            event_id=make_ulid(unix_ms=now_ms, entropy=self._entropy(10)),
            timestamp_ms=now_ms,
            type=note.type,
            job_id=self._job_id,
            action=note.action,
            track_id="" if note.position is None else str(note.position),
            variant_id=note.variant_id,
            peer_id=note.peer,
            source=note.source,
            bytes_transferred=note.bytes_transferred,
            duration_ms=note.duration_s * 1000,
            is_error=note.is_error,
            error_code=note.error_code,
            error_message=note.error_message,
            metadata=dict(note.facts),
        )


class JobRunner:
    """One running job. `changed` is called whenever the job's or a track's phase is another than before."""

    def __init__(
        self,
        machine: JobMachine,
        *,
        disk: JobDisk,
        surroundings: Surroundings,
        stamp: EventStamp,
        changed: Callable[[], None],
    ) -> None:
        self._machine = machine
        self._disk = disk
        self._around = surroundings
        self._stamp = stamp
        self._changed = changed
        self._inbox: asyncio.Queue[Event] = asyncio.Queue(INBOX_MAX)
        self._parts: dict[tuple[TrackPosition, str], PartId] = {}
        self._disk_turn: defaultdict[TrackPosition, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._closing: set[asyncio.Task[None]] = set()
        self._seen: tuple[object, ...] = ()

    def deliver(self, event: Event) -> None:
        """Hand over what happened; called on the loop's thread."""
        self._inbox.put_nowait(event)

    def change(self, order: JobOrder) -> None:
        """Go on under another order of the same job."""
        self._disk = self._disk.under(order)
        self.deliver(OrderChanged(order=order))

    def wake(self) -> None:
        """Have the job look again; nothing where something waits for it anyway."""
        if self._inbox.empty():
            self.deliver(TimePassed())

    def stop(self) -> None:
        """Ask the job to let go; `run` ends soon after."""
        self.deliver(StopAsked())

    def progress(self) -> JobProgress:
        """How far the job is."""
        return self._machine.progress()

    async def run(self) -> None:
        """Fetch the job until it ends one way or another."""
        try:
            async with asyncio.TaskGroup() as tasks:
                asking: set[asyncio.Task[None]] = set()
                while True:
                    for command in self._machine.commands():
                        self._perform(command, tasks, asking)
                    self._tell()
                    self._around.stepped(self._machine.order.job_id)
                    if self._machine.outcome is not None:
                        break
                    await self._step()
                for task in asking:
                    task.cancel()
        finally:
            await asyncio.to_thread(self._let_go_of_all)

    async def _step(self) -> None:
        """Wait for something to happen or for the machine's deadline, and feed all that is there."""
        deadline = self._machine.next_deadline()
        wait_s = None if deadline is None else max(0.0, deadline - self._around.clock.monotonic())
        try:
            event = await asyncio.wait_for(self._inbox.get(), wait_s)
        except TimeoutError:
            event = TimePassed()
        events = [event]
        while not self._inbox.empty():
            events.append(self._inbox.get_nowait())
        self._machine.feed_all(events, now=self._around.clock.monotonic())

    def _tell(self) -> None:
        progress = self._machine.progress()
        seen = (progress.outcome, progress.held, *(track.phase for track in progress.tracks))
        if seen != self._seen:
            self._seen = seen
            self._changed()

    def _perform(self, command: Command, tasks: asyncio.TaskGroup, asking: set[asyncio.Task[None]]) -> None:
        match command:
            case Note():
                self._around.reporter.report(self._stamp(command))
            case Read():
                self._read(command)
            case CancelRead():
                self._around.lanes.cancel(self._tag(command.transfer))
            case Search():
                for name in command.sources:
                    self._ask(self._search(self._around.sources[name], command.wants), tasks, asking)
            case FetchChunkList():
                self._ask(self._fetch_list(command), tasks, asking)
            case OpenPart() | VerifyWhole() | Publish() | PublishAlbum() | DiscardPart():
                tasks.create_task(self._on_disk(command, self._disk))
            case ClosePart():
                self._ask(self._close(command), tasks, self._closing)
            case _:
                assert_never(command)

    @staticmethod
    def _ask(question: Coroutine[Any, Any, None], tasks: asyncio.TaskGroup, asking: set[asyncio.Task[None]]) -> None:
        task = tasks.create_task(question)
        asking.add(task)
        task.add_done_callback(asking.discard)

    def _tag(self, transfer: TransferId) -> Tag:
        return Tag(job_id=self._machine.order.job_id, transfer=transfer)

    def _read(self, command: Read) -> None:
        offer = command.offer
        part = self._parts.get((offer.position, command.part_id))
        if part is None:
            self.deliver(TransferFailed(transfer=command.transfer, code="cancelled", message="the part was closed"))
            return
        self._around.lanes.read(
            ReadRange(
                tag=self._tag(command.transfer),
                part=part,
                request=self._around.sources[offer.source].request(offer),
                size=offer.variant.size,
                first=command.first,
                last=command.last,
                expected=command.expected,
                pieces=command.pieces,
                source=offer.source,
            )
        )

    async def _search(self, source: Source, wants: tuple[Want, ...]) -> None:
        try:
            async for found in source.search(wants):
                self.deliver(PeersFound(found=(found,)))
        finally:
            self.deliver(SearchEnded(source=source.name))

    async def _fetch_list(self, command: FetchChunkList) -> None:
        offer = command.offer
        try:
            raw = await self._around.sources[offer.source].chunk_hashes(offer)
        except PeerError as error:
            refused = ChunkListRefused(
                position=offer.position, peer=offer.peer, variant_id=offer.variant.id, message=error.message
            )
            self.deliver(refused)
            return
        self.deliver(ChunkListArrived(position=offer.position, peer=offer.peer, variant_id=offer.variant.id, raw=raw))

    async def _close(self, command: ClosePart) -> None:
        async with self._disk_turn[command.position]:
            await asyncio.to_thread(self._let_go, command.position, command.part_id)
        self.deliver(PartClosed(position=command.position, part_id=command.part_id))

    async def _on_disk(self, command: DiskCommand, disk: JobDisk) -> None:
        """One step on the disk; the steps of a track keep their order, those of different tracks do not wait for each
        other. A part is opened once those that are being closed are: it may be one of them, at another place.
        """
        if self._closing and isinstance(command, OpenPart):
            await asyncio.wait(set(self._closing))
        async with contextlib.AsyncExitStack() as turns:
            for position in _positions_of(command):
                await turns.enter_async_context(self._disk_turn[position])
            answers = await asyncio.to_thread(self._disk_step, command, disk)
            while isinstance(command, OpenPart) and self._is_past(command, disk) and isinstance(answers[0], Published):
                # What was adopted meanwhile counts for an order that is past: nobody takes it for an answer.
                disk = self._disk
                answers = await asyncio.to_thread(self._disk_step, command, disk)
        for answer in answers:
            self.deliver(answer)

    def _is_past(self, command: OpenPart, disk: JobDisk) -> bool:
        """Whether the order has changed since, and the new one wants the same of the track."""
        return disk is not self._disk and disk.want_of(command.position) == self._disk.want_of(command.position)

    def _disk_step(self, command: DiskCommand, disk: JobDisk) -> tuple[Event, ...]:
        """The blocking part of it, in a thread."""
        match command:
            case OpenPart():
                self._let_go(command.position, command.part_id)
                answer = disk.open(command)
                return (self._attach(command, answer, disk) if isinstance(answer, PartOpened) else answer,)
            case VerifyWhole():
                try:
                    read_again = self._detach((command.position, command.part_id))
                except OSError as error:
                    return (refused(command.position, error, doing="the disk lost what was written: "),)
                return (disk.verify(command, read_again=frozenset() if command.overwritable else read_again),)
            case Publish():
                self._let_go(command.position)
                return (disk.publish(command),)
            case PublishAlbum():
                for file in command.files:
                    self._let_go(file.position)
                return disk.publish_album(command)
            case DiscardPart():
                self._let_go(command.position, command.part_id)
                failure = disk.discard(command)
                return () if failure is None else (failure,)
            case _:
                assert_never(command)

    def _attach(self, command: OpenPart, opened: PartOpened, disk: JobDisk) -> Event:
        """Let the lanes write to the part that was just opened."""
        try:
            part = self._around.new_part()
            path = disk.part_path(command.position, command.part_id)
            self._around.lanes.attach(part, path, command.variant.size)
            self._parts[command.position, command.part_id] = part
        except (DiskError, OSError) as error:  # the folder may be gone since it was opened
            return refused(command.position, error, doing="could not open the part: ")
        return opened

    def _detach(self, name: tuple[TrackPosition, str]) -> frozenset[ChunkIndex]:
        part = self._parts.pop(name, None)
        return frozenset() if part is None else self._around.lanes.detach(part)

    def _let_go(self, position: TrackPosition, part_id: str | None = None) -> None:
        """Close a part, or every part of a track, whatever becomes of what is still to be written: what the disk loses
        has no line in its journal, and is missing when the part is opened again.
        """
        opened = list(self._parts)  # in one go: other tracks' steps open and close theirs meanwhile, in other threads
        for name in [each for each in opened if each[0] == position and part_id in (None, each[1])]:
            with contextlib.suppress(OSError):
                self._detach(name)

    def _let_go_of_all(self) -> None:
        for position, part_id in list(self._parts):
            self._let_go(position, part_id)


def _positions_of(command: DiskCommand) -> tuple[TrackPosition, ...]:
    """The tracks whose turn a step on the disk takes; in one order, so that no two steps wait for each other."""
    if isinstance(command, PublishAlbum):
        return tuple(sorted(file.position for file in command.files))
    return (command.position,)
