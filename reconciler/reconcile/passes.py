"""One pass over one path: look, decide, do, write, remember.

Owns: the order of the steps of a pass over a manifest, and what is remembered of it. Never: chooses what is looked at
next (reconcile.loop), decides (reconcile.decide), and never waits for the engine.
"""

import asyncio
from dataclasses import replace
from typing import assert_never

from reconciler.ids import JobId
from reconciler.manifests.files import NotSupportedHereError
from reconciler.manifests.model import JobState
from reconciler.manifests.splice import SpliceRefusedError
from reconciler.reconcile.absent import Absent
from reconciler.reconcile.actions import Again, AwaitJobs, AwaitSlot, Decision, Done, LookUp, StartEngine, Stop
from reconciler.reconcile.archive import archive
from reconciler.reconcile.beside import Beside
from reconciler.reconcile.conditions import Reason
from reconciler.reconcile.decide import decide, decide_at_parting, rank_of
from reconciler.reconcile.means import Means
from reconciler.reconcile.names import original_name
from reconciler.reconcile.observed import Gone, Observed, Valid
from reconciler.reconcile.ownership import why_not_ours
from reconciler.reconcile.queue import Priority
from reconciler.reconcile.verdict import is_fetching
from reconciler.state.records import JobRecord
from reconciler.state.sightings import Sighting, WaitsFor

# Jobs fetched at once. A swarm gains nothing from more: four albums fill any line, and each costs connections and
# memory.
ENGINE_JOBS_MAX = 4

# Adding an id, recording a spec and carrying artifacts take one immediate pass each. More in a row is a mistake of
# this program, and must not become a busy loop.
_IMMEDIATE_PASSES_MAX = 10

# These end when another file does, and nothing in this one tells of it.
_REFUSED = frozenset({Reason.DUPLICATE_JOB_ID, Reason.ALREADY_COMPLETED})


class Passes:
    """Makes passes, one at a time."""

    def __init__(self, means: Means, absent: Absent, *, keep_results: bool) -> None:
        """`keep_results`: of jobs that are done, too."""
        self._means = means
        self._absent = absent
        self._beside = Beside(means)
        self._keep_results = keep_results
        self._immediate: dict[str, int] = {}

    async def work(self, path: str) -> str:
        """Make one pass; gives what git is in the middle of, in which case nothing was done."""
        folders = self._means.folders
        if folders.is_completed(path):
            return await self._beside.completed(path)
        if (original := original_name(folders.at(path).name)) is not None:
            return await self._beside.copy(path, folders.relative(folders.active / original))
        return await self._manifest(path)

    async def part(self, path: str) -> None:
        """Write how the job in a file stands, now that the engine has let go of it and the daemon ends."""
        observed = await self._observe(path)
        if not observed.git_work:
            decision = decide_at_parting(observed, self._means.moment())
            await self._means.do(decision, path)
            await self._means.finaliser.finish(observed, decision)

    # ---- a manifest --------------------------------------------------------------------------------------------------

    async def _manifest(self, path: str) -> str:
        means = self._means
        jobs = means.ledger.registry.jobs_at(path)
        observed = await self._observe(path)
        if observed.git_work:
            return observed.git_work
        for job_id in _absent(observed, jobs):
            if work := await self._absent.look_after(path, job_id):
                return work
        if isinstance(observed.file, Gone):
            self.leave(path)
            return ""
        record = observed.record
        if record is not None and record.path == path:
            means.ledger.registry.place(record.job_id, path)
            means.ledger.missing.found(record.job_id)
        if means.sights.mark_of(path) != observed.mark:
            # Perhaps somebody took what is right out of them.
            for copy in means.ledger.copies_of(path):
                means.ledger.add(copy, Priority.SCAN)
        means.echoes.judging(path, observed.document)
        observed = self._with_neighbours(observed)
        await self._carry_out(observed, decide(observed, self._means.moment()))
        return ""

    async def _observe(self, path: str) -> Observed:
        means = self._means
        jobs = means.ledger.registry.jobs_at(path)
        observed = await asyncio.to_thread(
            means.observer.observe,
            path,
            last_job=jobs[-1] if jobs else None,
            last_conditions=means.finaliser.last_conditions(path),
            now_unix_s=means.clock.wall(),
        )
        if observed.record is not None:
            job_id = observed.record.job_id
            progress, looking_up = means.engine.progress(job_id), means.lookups.state(job_id)
            observed = replace(observed, progress=progress, looking_up=looking_up)
        return observed

    def _with_neighbours(self, observed: Observed) -> Observed:
        """Add what the loop knows of others: who waits for whom, who is first in line, who has copies."""
        ledger = self._means.ledger
        observed = replace(observed, conflicts=ledger.conflicts_of(observed.path))
        if not isinstance(observed.file, Valid):
            return observed
        manifest = observed.file.manifest
        ledger.weigh(observed.path, manifest.directives.priority)
        record = observed.record
        if manifest.job_id is None or observed.duplicate_of:
            return observed
        ours = not why_not_ours(manifest.directives.node, self._means.policy.node)
        ledger.needs(manifest.job_id, manifest.directives.depends_on if ours else ())
        cycle = ledger.dependencies.cycle_through(manifest.job_id) if observed.needs else ()
        if record is None:
            return replace(observed, cycle=cycle)
        free = ENGINE_JOBS_MAX - self._means.performer.running()
        slot_free = free > 0 and ledger.line.may_start(observed.path, rank_of(manifest, record.job_id), free=free)
        return replace(observed, cycle=cycle, slot_free=slot_free)

    async def _carry_out(self, observed: Observed, decision: Decision) -> None:
        means, path = self._means, observed.path
        try:
            await self._means.do(decision, path, of=observed)
        except (SpliceRefusedError, NotSupportedHereError) as error:
            message = f"{error.message}; add a job_id by hand"
            decision = Decision(outcome=Stop(reason=Reason.NO_JOB_ID, message=message))
        record = decision.record or observed.record
        if record is not None and (decision.finished or decision.archive):
            await means.performer.log_end(record.job_id)
        if decision.record is not None and _standing(decision.record) != _standing(observed.record):
            means.ledger.wake_dependants(decision.record.job_id)
            if isinstance(observed.file, Valid) and (owner := observed.file.manifest.owner) is not None:
                means.ledger.wake(owner, Priority.ENGINE)
        if not isinstance(decision.outcome, AwaitSlot):
            means.ledger.line.leave(path)
        due_s = await means.finaliser.finish(observed, decision)
        if due_s is not None:
            means.ledger.add(path, Priority.TIMER, after_s=due_s)
        if decision.archive:
            await self._archive(observed)
            return
        self._go_on(observed, decision)
        self._remember(observed, decision, deferred=due_s is not None)

    def _go_on(self, observed: Observed, decision: Decision) -> None:
        ledger, path, outcome = self._means.ledger, observed.path, decision.outcome
        refused = isinstance(outcome, Stop) and outcome.reason in _REFUSED
        if refused and isinstance(observed.file, Valid) and observed.file.manifest.job_id is not None:
            ledger.refuse(path, observed.file.manifest.job_id)
        else:
            ledger.accept(path)
        hasty = isinstance(outcome, Again) and outcome.after_s <= 0.0
        before = self._immediate.pop(path, 0)
        passes = before + 1 if hasty else 0
        if passes > _IMMEDIATE_PASSES_MAX:
            did = ", ".join(type(action).__name__ for action in decision.actions)
            raise RuntimeError(f"{path} comes to no decision: {did} again and again")
        if hasty:
            self._immediate[path] = passes
        match outcome:
            case Done() | Stop() | AwaitJobs():
                return
            case Again(after_s=after_s):
                ledger.add(path, Priority.TIMER, after_s=after_s)
            case AwaitSlot(rank=rank):
                ledger.stand_in_line(path, rank)
            case _:
                assert_never(outcome)

    def _remember(self, observed: Observed, decision: Decision, *, deferred: bool) -> None:
        """Note what the pass saw, so that the file is not read again until it changes or its time comes."""
        outcome = decision.outcome
        if observed.mark is None or (isinstance(outcome, Again) and outcome.after_s <= 0.0):
            return
        manifest = observed.file.manifest if isinstance(observed.file, Valid) else None
        waits_for = "look" if deferred else _waits_for(observed, decision)
        self._means.sights.saw(
            Sighting(
                path=observed.path,
                mark=observed.mark,
                job_id=manifest.job_id if manifest is not None else None,
                waits_for=waits_for,
                at=self._means.clock.wall() + outcome.after_s if isinstance(outcome, Again) else None,
                priority=manifest.directives.priority if manifest is not None else 0,
                created_at=(manifest.created_at or "") if manifest is not None else "",
                depends_on=manifest.directives.depends_on if manifest is not None else (),
                spec_digest=manifest.spec_digest if manifest is not None else "",
            )
        )

    async def _archive(self, observed: Observed) -> None:
        """Move the file of a job that has ended, and record where it went."""
        means = self._means
        assert isinstance(observed.file, Valid)
        assert observed.record is not None
        moved = await asyncio.to_thread(
            archive,
            means.folders.at(observed.path),
            means.folders.completed,
            job_id=observed.record.job_id,
            spec_digest=observed.file.manifest.spec_digest,
        )
        if moved is None:
            means.ledger.add(observed.path, Priority.EDIT)
            return
        there = means.folders.relative(moved)
        record = await asyncio.to_thread(means.store.get, observed.record.job_id)
        if record is not None:
            await means.performer.store(replace(record, path=there), finished=False)
        means.ledger.drop(observed.record.job_id)
        means.ledger.add(there, Priority.SCAN)
        # A daemon that runs for months must not remember every job that it ever completed.
        self.leave(observed.path, keep_result=self._keep_results)

    def leave(self, path: str, *, keep_result: bool = False) -> None:
        """Forget a file that is not in `jobs/active` any more."""
        means = self._means
        means.ledger.leave(path)
        means.finaliser.leave(path, keep_result=keep_result)
        means.sights.forget(path)
        means.echoes.leave(path)
        self._immediate.pop(path, None)
        for copy in means.ledger.copies_of(path):
            means.ledger.add(copy, Priority.SCAN)


def _standing(record: JobRecord | None) -> tuple[JobState, bool] | None:
    """What others go by: the state, and whether it goes on by itself."""
    return (record.state, record.retry_at is None) if record is not None else None


def _waits_for(observed: Observed, decision: Decision) -> WaitsFor:
    match decision.outcome:
        case Again():
            return "time"
        case AwaitSlot():
            return "slot"
        case AwaitJobs():
            return "jobs"
        case Stop(reason=reason):
            return "file" if reason in _REFUSED else "nothing"
        case Done():
            starts = any(isinstance(action, StartEngine | LookUp) for action in decision.actions)
            looks = observed.looking_up is not None and observed.looking_up.failure is None
            owns = bool(observed.children)
            return "look" if starts or looks or owns or is_fetching(observed.progress) else "nothing"
        case _:
            assert_never(decision.outcome)


def _absent(observed: Observed, jobs: tuple[JobId, ...]) -> tuple[JobId, ...]:
    """Which of the jobs that were last seen in a file are not in it now. An unreadable file still holds its last."""
    match observed.file:
        case Gone():
            return jobs
        case Valid(manifest=manifest) if manifest.job_id is not None:
            return tuple(job_id for job_id in jobs if job_id != manifest.job_id)
        case _:
            return jobs[:-1]
