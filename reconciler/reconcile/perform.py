"""Do what was decided.

Owns: each action's one deed. Never: chooses; whatever can fail here leaves a state from which the next pass decides
the same again.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol, assert_never

from reconciler.clock import Clock, rfc3339
from reconciler.engine.order import JobOrder, JobProgress
from reconciler.hooks.model import Ending
from reconciler.ids import ULID_ENTROPY_BYTES, JobId, make_ulid
from reconciler.manifests.files import rewrite
from reconciler.manifests.model import JobState
from reconciler.manifests.splice import SpliceRefusedError, insert_identity, without_status
from reconciler.reconcile.actions import (
    Action,
    AddIdentity,
    CancelChild,
    CarryArtifacts,
    ForgetEngine,
    LookUp,
    RecordSpec,
    StartEngine,
    StopEngine,
    WriteChild,
)
from reconciler.reconcile.observe import Folders
from reconciler.reconcile.observed import LookUpState
from reconciler.reconcile.offspring import cancel_child, write_child
from reconciler.reconcile.registry import Registry
from reconciler.state.jobs import JobStore
from reconciler.state.records import Delivery, JobRecord
from reconciler.traces.model import EventType, SwarmEvent
from reconciler.traces.rows import row_of


class EnginePort(Protocol):
    """What the loop asks of the engine, on the event loop's thread."""

    async def start(self, order: JobOrder) -> None:
        """Begin to fetch; returns once begun. An order for a job that it knows and that has ended begins anew."""
        ...

    async def stop(self, job_id: JobId) -> None:
        """Have a job end as `stopped`; nothing where it is not known."""
        ...

    def progress(self, job_id: JobId) -> JobProgress | None:
        """How far a job is; None where it is not known."""
        ...

    def forget(self, job_id: JobId) -> None:
        """Drop a job that has ended; nothing where it is not known."""
        ...


class LookUpPort(Protocol):
    """What the loop asks of look-ups, on the event loop's thread; everything returns at once."""

    @property
    def busy(self) -> bool:
        """Whether any is under way or waits for its turn."""
        ...

    def begin(self, look: LookUp) -> None:
        """Look something up for a job; its end is told as a change of the job."""
        ...

    def state(self, job_id: JobId) -> LookUpState | None:
        """How far the latest look-up for a job is; None = there is none, or it has succeeded."""
        ...


class HookPort(Protocol):
    """What the loop asks of hooks, on the event loop's thread; both return at once."""

    def deliveries(self, ending: Ending) -> tuple[Delivery, ...]:
        """What is to be stored together with the end of a job, for hooks that want to be told of it."""
        ...

    def wake(self) -> None:
        """Deliveries were stored."""
        ...


class TracePort(Protocol):
    """What the loop asks of the traces; both wait for the disk."""

    def flush_job(self, job_id: JobId) -> None:
        """Commit everything that was reported of a job so far."""
        ...

    def catch_up_log(self, job_id: JobId) -> None:
        """Write the lines of committed events that the job's session log does not have yet."""
        ...


class Performer:
    """Carries out actions for the files of one root folder."""

    def __init__(
        self,
        *,
        folders: Folders,
        store: JobStore,
        engine: EnginePort,
        lookups: LookUpPort,
        traces: TracePort,
        registry: Registry,
        clock: Clock,
        entropy: Callable[[int], bytes],
    ) -> None:
        self._folders = folders
        self._store = store
        self._engine = engine
        self._lookups = lookups
        self._traces = traces
        self._registry = registry
        self._clock = clock
        self._entropy = entropy
        self._started: set[JobId] = set()

    @property
    def started(self) -> frozenset[JobId]:
        """Jobs that the engine was given and that were not forgotten since."""
        return frozenset(self._started)

    def running(self) -> int:
        """How many jobs the engine fetches now."""
        reports = (self._engine.progress(job_id) for job_id in self._started)
        return sum(1 for progress in reports if progress is not None and progress.outcome is None)

    def is_stuck(self) -> bool:
        """Whether jobs are fetched and none of them gets on, because our own disk stands in their way."""
        reports = [self._engine.progress(job_id) for job_id in self._started]
        held = [progress.held for progress in reports if progress is not None and progress.outcome is None]
        return len(held) == len(reports) > 0 and all(each is not None and each.entirely for each in held)

    async def store(self, record: JobRecord, *, finished: bool, told: Sequence[Delivery] = ()) -> None:
        """Make a record durable; the end of a job together with its event and with what hooks are `told` of it."""
        if finished:
            await asyncio.to_thread(self._finish, record, told)
        else:
            await asyncio.to_thread(self._store.put, record)

    async def log_end(self, job_id: JobId) -> None:
        """See to it that the session log of a job has its end; after a crash, too."""
        await asyncio.to_thread(self._traces.catch_up_log, job_id)

    async def perform(self, action: Action, path: str) -> str:
        """Do one action for the manifest at `path`; gives the path of another manifest that it has changed, if any.

        Raises SpliceRefusedError where an identity cannot be written into the file, FileBusyError, DiskError, OSError.
        """
        match action:
            case AddIdentity(job_id=job_id):
                await asyncio.to_thread(self._add_identity, path, job_id)
            case RecordSpec(job_id=job_id):
                await asyncio.to_thread(self._record_spec, path, action)
                self._registry.place(job_id, path)
            case CarryArtifacts(job_id=job_id, from_generation=old, to_generation=new, positions=positions):
                await asyncio.to_thread(
                    self._store.carry_artifacts, job_id, from_generation=old, to_generation=new, positions=positions
                )
            case StartEngine(order=order):
                await self._engine.start(order)
                self._started.add(order.job_id)
            case StopEngine(job_id=job_id):
                await self._engine.stop(job_id)
            case ForgetEngine(job_id=job_id):
                # A job whose outcome is known may still be closing its files; only then can it be dropped.
                await self._engine.stop(job_id)
                self._engine.forget(job_id)
                self._started.discard(job_id)
            case LookUp():
                self._lookups.begin(action)
            case WriteChild():
                return await asyncio.to_thread(write_child, self._folders, self._store, action)
            case CancelChild():
                return await asyncio.to_thread(cancel_child, self._folders, self._store, action)
            case _:
                assert_never(action)
        return ""

    def _add_identity(self, path: str, job_id: JobId | None) -> None:
        now = self._clock.wall()
        made = job_id or JobId(make_ulid(unix_ms=int(now * 1000), entropy=self._entropy(ULID_ENTROPY_BYTES)))
        rewrite(self._folders.at(path), lambda data: insert_identity(data, job_id=made, created_at=rfc3339(now)))

    def _record_spec(self, path: str, seen: RecordSpec) -> None:
        try:
            document = without_status(seen.document)
        except SpliceRefusedError:
            document = b""  # where the status ends cannot be told, so nothing could be merged into it either
        self._store.observe_spec(
            seen.job_id,
            path=path,
            job_type=seen.job_type,
            spec_digest=seen.spec_digest,
            document=document,
            now=self._clock.wall(),
        )

    def _finish(self, record: JobRecord, told: Sequence[Delivery]) -> None:
        # The events that led here come first, in the table as in the log.
        self._traces.flush_job(record.job_id)
        self._store.record_finished(record, row_of(self._end_event(record)), told)

    def _end_event(self, record: JobRecord) -> SwarmEvent:
        now = self._clock.wall()
        failed = record.state is JobState.FAILED
        began = record.started_at if record.started_at is not None else now
        return SwarmEvent(
            event_id=make_ulid(unix_ms=int(now * 1000), entropy=self._entropy(ULID_ENTROPY_BYTES)),
            timestamp_ms=int(now * 1000),
            type=EventType.JOB_COMPLETE,
            job_id=record.job_id,
            action=record.state.value,
            duration_ms=max(0.0, now - began) * 1000,
            is_error=failed,
            error_code="job failed" if failed else "",
            error_message=record.error_message if failed else "",
            metadata={"generation": record.generation, "attempts": record.attempts},
        )
