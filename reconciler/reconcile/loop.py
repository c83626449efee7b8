"""The loop that makes it so: take a key, look, decide, do, write, again.

Owns: the order of passes, the two reasons to make one though nothing was heard (a timer, the rescan), and the slots of
the engine. Never: decides (reconcile.decide), and never waits for the engine: a pass takes milliseconds, and whatever
the engine does later comes back as the same key.

The key is the file's path relative to the root folder. It could have been the job's id, which does not change when a
file is renamed; but a file that cannot be read has no id, and it is files that change. So events of the engine and
timers are turned into the path where the job was last seen (`Registry`, from the path in each job's record), and a
pass over a path looks after the job that the file names now and after every job that was last seen in it. One pass
runs at a time. So nothing here is locked, and a job that is renamed, copied or swapped with another is never decided
on twice at once.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import assert_never

from loguru import logger

from reconciler.clock import Clock
from reconciler.errors import ReconcilerError
from reconciler.ids import JobId
from reconciler.manifests.document import printable
from reconciler.manifests.files import recover_displaced
from reconciler.manifests.splice import SpliceRefusedError
from reconciler.reconcile.actions import Again, AwaitSlot, Decision, Done, Stop
from reconciler.reconcile.archive import archive
from reconciler.reconcile.conditions import Reason
from reconciler.reconcile.decide import Moment, decide, decide_gone, rank_of
from reconciler.reconcile.finalise import Finaliser, RunResult
from reconciler.reconcile.observe import Folders, Observer
from reconciler.reconcile.observed import Gone, Observed, Policy, Valid
from reconciler.reconcile.perform import EnginePort, Performer, TracePort
from reconciler.reconcile.queue import Priority, WorkQueue
from reconciler.reconcile.registry import Registry
from reconciler.reconcile.slots import SlotLine
from reconciler.reconcile.wakeup import Wakeup
from reconciler.reconcile.watch import FileMark, Watch, scan
from reconciler.state.jobs import JobStore

# Jobs fetched at once. A swarm gains nothing from more: four albums fill any line, and each costs connections and
# memory.
ENGINE_JOBS_MAX = 4

# How long an event can have been lost before the change is seen all the same.
RESCAN_S = 30.0

# An editor's save is several events within some 20 ms, git's two writes lie 20 ms apart: one look, after the last of
# them.
EDIT_SETTLE_S = 0.3

# `run --once` waits for what comes by itself within this time (a save that settles, a file that is busy), and for
# nothing later.
ONCE_WAIT_S = 2.0

# Adding an id, recording a spec and carrying artifacts take one immediate pass each. More in a row is a mistake of
# this program, and must not become a busy loop.
_IMMEDIATE_PASSES_MAX = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the loop is given to work with."""

    folders: Folders
    store: JobStore
    engine: EnginePort
    traces: TracePort
    clock: Clock
    wakeup: Wakeup
    chance: Callable[[], float]
    """A random number in [0, 1)."""
    entropy: Callable[[int], bytes]
    """So many random bytes."""
    make_watch: Callable[[Path, Callable[[str], None]], Watch]
    """A watch of a folder, which calls back with names, from any thread: `FolderWatch`."""


class Reconciler:
    """Reconciles the manifests of one root folder until asked to stop."""

    def __init__(self, surroundings: Surroundings, *, policy: Policy) -> None:
        self._folders = surroundings.folders
        self._store = surroundings.store
        self._engine = surroundings.engine
        self._clock = surroundings.clock
        self._wakeup = surroundings.wakeup
        self._chance = surroundings.chance
        self._make_watch = surroundings.make_watch
        self._policy = policy
        self._queue = WorkQueue()
        self._line = SlotLine()
        self._registry = Registry()
        self._observer = Observer(
            folders=surroundings.folders,
            store=surroundings.store,
            library_roots=[Path(root) for root in policy.places.library_roots],
        )
        self._performer = Performer(
            folders=surroundings.folders,
            store=surroundings.store,
            engine=surroundings.engine,
            traces=surroundings.traces,
            registry=self._registry,
            clock=surroundings.clock,
            entropy=surroundings.entropy,
        )
        self._finaliser = Finaliser(
            folders=surroundings.folders, clock=surroundings.clock, interval_s=policy.status_interval_s
        )
        self._marks: dict[str, FileMark] = {}
        self._gone_since: dict[JobId, float] = {}
        self._refused: set[str] = set()
        self._immediate: dict[str, int] = {}
        self._conflicts: tuple[str, ...] = ()
        self._listed = False
        self._rescan_at = float("-inf")
        self._stopping = False
        self._once = False

    def on_change(self, job_id: JobId) -> None:
        """The engine has news of a job; on the loop's thread."""
        path = self._registry.path_of(job_id)
        if path is not None:
            self._add(path, Priority.ENGINE)

    def request_stop(self) -> None:
        """End `run` after the pass that is under way; on the loop's thread."""
        self._stopping = True
        self._wakeup.set()

    async def run(self, *, once: bool) -> RunResult:
        """Reconcile until `request_stop`; with `once`, until nothing more can be done now."""
        self._once = once
        loop = asyncio.get_running_loop()

        def heard(name: str) -> None:
            loop.call_soon_threadsafe(self._on_name, name)

        watch = self._make_watch(self._folders.active, heard)
        await asyncio.to_thread(self._recall)
        await asyncio.to_thread(watch.start)
        try:
            while not self._stopping:
                now = self._clock.monotonic()
                if now >= self._rescan_at:
                    await self._rescan(watch, now)
                key = self._queue.take(now)
                if key is not None:
                    await self._work(key)
                elif once and self._is_settled(now):
                    break
                else:
                    await self._wakeup.wait(max(0.0, self._next_time() - now))
        finally:
            await asyncio.to_thread(watch.stop)
        await self._finaliser.flush()
        return self._finaliser.result(listed=self._listed)

    # ---- what is looked at, and when ---------------------------------------------------------------------------------

    def _recall(self) -> None:
        """Put right what a crash left in the folder, and remember which job was in which file."""
        if self._folders.active.is_dir():
            for found in recover_displaced(self._folders.active):
                logger.bind(path=printable(found.name)).warning("an edit that a crash had displaced was recovered")
        for record in self._store.all():
            if self._folders.is_active(record.path):
                self._registry.place(record.job_id, record.path)
            if self._once and record.retry_at is not None:
                # Who runs it once, by hand or from a timer of their own, wants a try now, not when the daemon would.
                self._store.put(replace(record, retry_at=self._clock.wall()))

    def _on_name(self, name: str) -> None:
        path = self._folders.relative(self._folders.active / name)
        self._add(path, Priority.EDIT, after_s=EDIT_SETTLE_S)

    def _add(self, path: str, priority: Priority, *, after_s: float = 0.0) -> bool:
        added = self._queue.add(path, priority=priority, not_before=self._clock.monotonic() + after_s)
        self._wakeup.set()
        return added

    async def _rescan(self, watch: Watch, now: float) -> None:
        """Compare the folder with what was last seen there; and look again at whatever depends on a lost event."""
        self._rescan_at = now + RESCAN_S
        try:
            listing = await asyncio.to_thread(scan, self._folders.active)
        except OSError as error:
            logger.bind(folder=str(self._folders.active), why=str(error.strerror)).error(
                "folder of manifests cannot be listed; nothing is stopped, make it with `reconciler init`"
            )
            return
        await asyncio.to_thread(watch.rearm)
        seen = {self._folders.relative(self._folders.active / name): mark for name, mark in listing.manifests.items()}
        vanished = {path for path in (*self._marks, *self._registry.paths()) if path not in seen}
        # By name: of two files with one id that appear together, the same one is the first on every machine.
        for path, mark in sorted(seen.items()):
            # What a full queue refuses is not remembered, so that the next rescan offers it again.
            if self._marks.get(path) != mark and self._add(path, Priority.SCAN):
                self._marks[path] = mark
        for path in vanished:
            self._marks.pop(path, None)
            self._add(path, Priority.SCAN)
        for path in self._refused:
            self._add(path, Priority.SCAN)
        for job_id in self._performer.started:
            self.on_change(job_id)
        self._say_conflicts(listing.conflict_copies)
        self._listed = True

    def _say_conflicts(self, names: tuple[str, ...]) -> None:
        for name in names:
            if name not in self._conflicts:
                logger.bind(name=printable(name)).warning(
                    "Syncthing kept two versions of a manifest; take what is right into the one, remove the other"
                )
        self._conflicts = names

    def _next_time(self) -> float:
        queued = self._queue.next_time()
        return self._rescan_at if queued is None else min(queued, self._rescan_at)

    def _is_settled(self, now: float) -> bool:
        """Whether nothing comes by itself soon: no job is fetched, none waits for room, no look is planned."""
        queued = self._queue.next_time()
        soon = queued is not None and queued <= now + ONCE_WAIT_S
        return not soon and not self._performer.started and not len(self._line)

    # ---- one pass ----------------------------------------------------------------------------------------------------

    async def _work(self, path: str) -> None:
        try:
            await self._pass(path)
        except (ReconcilerError, OSError) as error:
            again_s = self._queue.retry(path, now=self._clock.monotonic(), chance=self._chance())
            why = printable(str(error))
            logger.bind(path=path, why=why, again_s=round(again_s, 2)).debug("pass put off")
        except Exception as mistake:  # noqa: BLE001 - one of the outermost loops: a mistake in one job must not stop the others
            self._queue.retry(path, now=self._clock.monotonic(), chance=self._chance())
            logger.bind(path=path).opt(exception=mistake).error("pass ended by a program error")
        else:
            self._queue.forget(path)
        finally:
            self._queue.done(path)
        self._let_next_start()

    async def _pass(self, path: str) -> None:
        jobs = self._registry.jobs_at(path)
        observed = await asyncio.to_thread(
            self._observer.observe,
            path,
            last_job=jobs[-1] if jobs else None,
            last_conditions=self._finaliser.last_conditions(path),
        )
        for job_id in _absent(observed, jobs):
            await self._pass_gone(path, job_id)
        if isinstance(observed.file, Gone):
            self._leave(path)
            return
        record = observed.record
        if record is not None and record.path == path:
            self._registry.place(record.job_id, path)
            self._gone_since.pop(record.job_id, None)
        observed = self._with_engine(observed)
        await self._carry_out(observed, decide(observed, self._moment()))

    async def _pass_gone(self, path: str, job_id: JobId) -> None:
        """Look after a job that was in this file and is not any more."""
        now = self._clock.monotonic()
        since = self._gone_since.setdefault(job_id, now)
        gone = await asyncio.to_thread(self._observer.observe_gone, job_id, gone_for_s=now - since)
        if gone is None or gone.record.path != path:
            self._registry.drop(job_id)
            return
        decision = decide_gone(replace(gone, progress=self._engine.progress(job_id)), self._moment())
        await self._do(decision, path)
        if isinstance(decision.outcome, Again):
            self._add(path, Priority.TIMER, after_s=decision.outcome.after_s)
            return
        logger.bind(job=job_id, path=path).info("manifest is gone from jobs/active")
        self._registry.drop(job_id)
        self._gone_since.pop(job_id, None)

    def _with_engine(self, observed: Observed) -> Observed:
        if observed.record is None:
            return observed
        free = ENGINE_JOBS_MAX - self._performer.running()
        slot_free = free > 0
        if slot_free and isinstance(observed.file, Valid):
            rank = rank_of(observed.file.manifest, observed.record.job_id)
            slot_free = self._line.may_start(observed.path, rank, free=free)
        return replace(observed, progress=self._engine.progress(observed.record.job_id), slot_free=slot_free)

    def _moment(self) -> Moment:
        return Moment(now_unix_s=self._clock.wall(), chance=self._chance(), policy=self._policy)

    async def _do(self, decision: Decision, path: str) -> None:
        if decision.record is not None:
            await self._performer.store(decision.record, finished=decision.finished)
        for action in decision.actions:
            await self._performer.perform(action, path)

    async def _carry_out(self, observed: Observed, decision: Decision) -> None:
        path = observed.path
        try:
            await self._do(decision, path)
        except SpliceRefusedError as error:
            message = f"{error.message}; add a job_id by hand"
            decision = Decision(outcome=Stop(reason=Reason.NO_JOB_ID, message=message))
        record = decision.record or observed.record
        if record is not None and (decision.finished or decision.archive):
            await self._performer.log_end(record.job_id)
        if not isinstance(decision.outcome, AwaitSlot):
            self._line.leave(path)
        due_s = await self._finaliser.finish(observed, decision)
        if due_s is not None:
            self._add(path, Priority.TIMER, after_s=due_s)
        if decision.archive:
            await self._archive(observed)
            return
        self._go_on(path, decision)

    def _go_on(self, path: str, decision: Decision) -> None:
        outcome = decision.outcome
        self._refused.discard(path)
        hasty = isinstance(outcome, Again) and outcome.after_s <= 0.0
        passes = self._immediate[path] = self._immediate.pop(path, 0) + 1 if hasty else 0
        if not hasty:
            del self._immediate[path]
        if passes > _IMMEDIATE_PASSES_MAX:
            raise RuntimeError(f"{path} comes to no decision: {decision.actions} again and again")
        match outcome:
            case Done():
                return
            case Again(after_s=after_s):
                self._add(path, Priority.TIMER, after_s=after_s)
            case AwaitSlot(rank=rank):
                self._line.wait(path, rank)
            case Stop(reason=reason):
                # These two end when another file does, and nothing tells this one.
                if reason in (Reason.DUPLICATE_JOB_ID, Reason.ALREADY_COMPLETED):
                    self._refused.add(path)
            case _:
                assert_never(outcome)

    async def _archive(self, observed: Observed) -> None:
        """Move the file of a job that has ended, and record where it went."""
        assert isinstance(observed.file, Valid)
        assert observed.record is not None
        moved = await asyncio.to_thread(
            archive,
            self._folders.at(observed.path),
            self._folders.completed,
            job_id=observed.record.job_id,
            spec_digest=observed.file.manifest.spec_digest,
        )
        if moved is None:
            self._add(observed.path, Priority.EDIT)
            return
        record = await asyncio.to_thread(self._store.get, observed.record.job_id)
        if record is not None:
            await self._performer.store(replace(record, path=self._folders.relative(moved)), finished=False)
        self._registry.drop(observed.record.job_id)
        # A daemon that runs for months must not remember every job that it ever completed.
        self._leave(observed.path, keep_result=self._once)

    def _leave(self, path: str, *, keep_result: bool = False) -> None:
        """Forget a file that is not in `jobs/active`; what another file was refused for may be over with it."""
        self._line.leave(path)
        self._finaliser.leave(path, keep_result=keep_result)
        self._immediate.pop(path, None)
        self._refused.discard(path)
        for other in self._refused:
            self._add(other, Priority.SCAN)

    def _let_next_start(self) -> None:
        """Wake the jobs that are first in line for the engine, as many as it has room for."""
        free = ENGINE_JOBS_MAX - self._performer.running()
        for path in self._line.first(free) if free > 0 and len(self._line) else ():
            self._add(path, Priority.ENGINE)


def _absent(observed: Observed, jobs: tuple[JobId, ...]) -> tuple[JobId, ...]:
    """Which of the jobs that were last seen in a file are not in it now. An unreadable file still holds its last."""
    match observed.file:
        case Gone():
            return jobs
        case Valid(manifest=manifest) if manifest.job_id is not None:
            return tuple(job_id for job_id in jobs if job_id != manifest.job_id)
        case _:
            return jobs[:-1]
