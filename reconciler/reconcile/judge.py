"""What becomes of a job that may run.

Owns: the judgement of a job whose manifest is valid, ours and recorded: rest, wait, start, go on, retry, give up, be
done. Never: judges files (reconcile.decide), looks, does or waits.

Level-triggered, like all of it: see reconcile.decide.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from reconciler.engine.order import HeldUp, JobOrder, JobProgress
from reconciler.ids import JobId, TrackPosition
from reconciler.manifests.model import Condition, JobState, Manifest
from reconciler.reconcile import conditions as say
from reconciler.reconcile.actions import (
    Action,
    Again,
    AwaitJobs,
    AwaitSlot,
    Decision,
    Done,
    Outcome,
    StartEngine,
    Stop,
    StopEngine,
)
from reconciler.reconcile.conditions import Reason
from reconciler.reconcile.observed import Moment, Needed, Observed
from reconciler.reconcile.orders import Plan, order_of
from reconciler.reconcile.resolve import said_beside
from reconciler.reconcile.slots import Rank
from reconciler.reconcile.status import status_of
from reconciler.reconcile.verdict import (
    STOPPING_LOOK_S,
    TIMER_S_MAX,
    after_halt,
    attempts_max,
    decision,
    failed,
    halted,
    is_retry_due,
    ran_since_s,
    rest_of,
    rest_outcome,
    rest_text,
    said_of,
    signed,
    with_time_counted,
)
from reconciler.state.records import JobRecord

# A library root that is not there is a disk that is not mounted yet; nothing tells when it is.
_LIBRARY_LOOK_S = 30.0

# How much of a timeout a crash may forget.
_COUNT_TIME_S = 60.0

# Jobs named in one message.
_NEEDS_SHOWN_MAX = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job that may run: its file is valid and ours, its record fits the file."""

    observed: Observed
    moment: Moment
    manifest: Manifest
    plan: Plan
    record: JobRecord
    held: frozenset[TrackPosition]
    """What is published of it."""

    @property
    def is_whole(self) -> bool:
        """Whether everything that it asks for is published."""
        return self.held >= frozenset(self.plan.positions)

    @property
    def is_out_of_time(self) -> bool:
        """Whether it has run for as long as its manifest allows."""
        timeout_s = self.manifest.directives.timeout_s
        if timeout_s is None:
            return False
        return self.record.ran_s + ran_since_s(self.record, self.moment.now_unix_s) >= timeout_s

    def decided(
        self,
        record: JobRecord,
        outcome: Outcome,
        *,
        said: tuple[Condition, ...],
        actions: tuple[Action, ...] = (),
        archive: bool = False,
    ) -> Decision:
        """Close the judgement: `record` as it should be, with `said` of it."""
        if record.state is not JobState.RUNNING:
            record = with_time_counted(record, self.moment.now_unix_s, goes_on=False)
        said = said_beside(said, self.observed)
        record = said_of(replace(record, gone_at=None), self.moment, said, previous=self.record.conditions)
        artifacts, progress = self.observed.artifacts, self.observed.progress
        status = status_of(record, plan=self.plan, artifacts=artifacts, progress=progress)
        status = signed(status, record, self.moment)
        return decision(self.record, record, actions=actions, status=status, archive=archive, outcome=outcome)


def rank_of(manifest: Manifest, job_id: JobId) -> Rank:
    """Where a job stands in the line for the engine: the higher priority first, then the older wish."""
    return -manifest.directives.priority, manifest.created_at or "", job_id


def judged(job: Job) -> Decision:
    """Say what should change for a job that may run."""
    asked_at = job.manifest.reconcile_requested_at
    if asked_at and asked_at != job.record.last_handled_reconcile_at:
        return decision(job.record, _asked_again(job, asked_at), outcome=Again(after_s=0.0))
    done = job.is_whole and job.record.state is JobState.COMPLETED
    rest_s = rest_of(job.manifest.directives.suspend, job.moment.now_unix_s)
    if rest_s > 0.0 and not done:
        return _resting(job, rest_s)
    progress = job.observed.progress
    if progress is not None and progress.outcome is None:
        return _while_fetching(job, progress)
    return _not_fetching(job, progress)


def _not_fetching(job: Job, progress: JobProgress | None) -> Decision:
    """The engine does not work on it: done, ended otherwise, failed before, or not begun."""
    forget = halted(progress)
    if job.is_whole:
        return _completed(job, forget)
    if progress is not None:
        return _after_engine(job, progress, forget)
    retry_at, retry = job.record.retry_at, job.manifest.directives.retry
    if job.record.state is JobState.FAILED and (retry_at is None or not is_retry_due(retry_at, job.moment, retry)):
        return _after_failure(job, job.record)
    if job.is_out_of_time:
        return _after_failure(job, _out_of_time(job))
    return _start(job)


def at_parting(job: Job) -> Decision:
    """Say how the job stands when the daemon ends and the engine has let go of it: it goes on at the next start."""
    held = job.observed.progress.held if job.observed.progress is not None else None
    said = say.reconciling(Reason.FETCHING) if held is None else say.reconciling(Reason(held.reason), held.message)
    return job.decided(job.record, Done(), said=said)


# ---- asked, resting, cancelled ---------------------------------------------------------------------------------------


def _asked_again(job: Job, asked_at: str) -> JobRecord:
    """A person wants it looked at now: what has failed may try again as if it never had."""
    record = replace(job.record, last_handled_reconcile_at=asked_at)
    if record.state is not JobState.FAILED:
        return record
    return replace(record, attempts=0, ran_s=0.0, retry_at=job.moment.now_unix_s)


def _resting(job: Job, rest_s: float) -> Decision:
    suspend = job.manifest.directives.suspend
    assert suspend is not None
    progress = job.observed.progress
    record = replace(job.record, state=JobState.PENDING, retry_at=None, completed_at=None)
    return job.decided(
        record,
        after_halt(progress, then=rest_outcome(rest_s)),
        said=say.resting(Reason.SUSPENDED, rest_text(suspend)),
        actions=halted(progress),
    )


# ---- in the engine ---------------------------------------------------------------------------------------------------


def _while_fetching(job: Job, progress: JobProgress) -> Decision:
    stop = (StopEngine(job_id=job.record.job_id),)
    if progress.generation != job.record.generation:
        return _changed(job)
    if progress.held is not None:
        return _held_up(job, progress.held)
    now = job.moment.now_unix_s
    record = replace(job.record, state=JobState.RUNNING, retry_at=None, error_message="")
    said = say.reconciling(Reason.FETCHING)
    timeout_s = job.manifest.directives.timeout_s
    if timeout_s is None:
        return job.decided(record, Done(), said=said)
    if job.is_out_of_time:
        record = with_time_counted(record, now, goes_on=True)
        return job.decided(record, Again(after_s=STOPPING_LOOK_S), said=said, actions=stop)
    if record.running_since is None or now - record.running_since >= _COUNT_TIME_S:
        record = with_time_counted(record, now, goes_on=True)
    left_s = timeout_s - record.ran_s - ran_since_s(record, now)
    return job.decided(record, Again(after_s=min(left_s, _COUNT_TIME_S)), said=said)


def _changed(job: Job) -> Decision:
    """The spec is another than the engine works by: what both ask for goes on; a job that may not run any more lets go
    first.
    """
    if _barred(job, job.record) is not None:
        stop = StopEngine(job_id=job.record.job_id)
        return decision(job.record, job.record, actions=(stop,), outcome=Again(after_s=STOPPING_LOOK_S))
    record = replace(job.record, state=JobState.RUNNING, retry_at=None, error_message="")
    start = StartEngine(order=_order(job))
    return job.decided(record, Again(after_s=STOPPING_LOOK_S), said=say.reconciling(Reason.FETCHING), actions=(start,))


def _held_up(job: Job, held: HeldUp) -> Decision:
    """Our own disk stands in the way: that is nobody's failure, and costs neither an attempt nor the job's time."""
    record = with_time_counted(job.record, job.moment.now_unix_s, goes_on=False)
    record = replace(record, state=JobState.RUNNING, retry_at=None, error_message=held.message)
    return job.decided(record, Done(), said=say.reconciling(Reason(held.reason), held.message))


def _after_engine(job: Job, progress: JobProgress, forget: tuple[Action, ...]) -> Decision:
    """The engine ended and something is still missing."""
    if progress.generation == job.record.generation and job.is_out_of_time:
        return _after_failure(job, _out_of_time(job), forget)
    if progress.generation != job.record.generation or progress.outcome == "stopped":
        return decision(job.record, job.record, actions=forget, outcome=Again(after_s=0.0))
    retriable = progress.retriable
    error = progress.error
    if progress.outcome == "completed":
        missing = ", ".join(str(position) for position in job.plan.positions if position not in job.held)
        retriable, error = True, f"the engine ended without a record of tracks {missing}"
    retry = job.manifest.directives.retry
    return _after_failure(job, failed(job.record, job.moment, error, retriable=retriable, retry=retry), forget)


def _out_of_time(job: Job) -> JobRecord:
    timeout_s = job.manifest.directives.timeout_s
    return failed(job.record, job.moment, f"it ran for its timeout of {timeout_s:g} s", retriable=False)


def _after_failure(job: Job, record: JobRecord, forget: tuple[Action, ...] = ()) -> Decision:
    """A failed job is tried again in its time, or is stalled where it has none."""
    if record.retry_at is not None:
        wait_s = record.retry_at - job.moment.now_unix_s
        said = say.reconciling(Reason.RETRYING, record.error_message)
        return job.decided(record, Again(after_s=min(wait_s, TIMER_S_MAX)), said=said, actions=forget)
    why = record.error_message or "the last attempt failed and left no reason"
    if job.is_out_of_time:
        stop = Stop(reason=Reason.TIMEOUT, message=f"{why}; edit the spec or ask with `reconciler job retry`")
    elif record.attempts >= attempts_max(job.moment, job.manifest.directives.retry):
        stop = Stop(reason=Reason.RETRIES_EXHAUSTED, message=f"{why}; edit the spec to try again")
    else:
        stop = Stop(reason=Reason.NOT_RETRIABLE, message=why)
    return job.decided(record, stop, said=say.stalled(stop.reason, stop.message), actions=forget)


def _completed(job: Job, forget: tuple[Action, ...]) -> Decision:
    record = replace(job.record, state=JobState.COMPLETED, retry_at=None, error_message="")
    if job.record.state is not JobState.COMPLETED or record.completed_at is None:
        now = job.moment.now_unix_s
        record = replace(record, started_at=record.started_at or now, completed_at=now)
    return job.decided(record, Done(), said=say.completed(), actions=forget, archive=True)


# ---- on the way into it ----------------------------------------------------------------------------------------------


def _start(job: Job) -> Decision:
    waiting = replace(job.record, state=JobState.PENDING, retry_at=None, completed_at=None)
    blocked = _blocked(job, waiting)
    if blocked is not None:
        return blocked
    now = job.moment.now_unix_s
    running = replace(
        waiting,
        state=JobState.RUNNING,
        started_at=waiting.started_at or now,
        running_since=None if job.manifest.directives.timeout_s is None else now,
        error_message="",
    )
    then = Done() if running.running_since is None else Again(after_s=0.0)
    return job.decided(running, then, said=say.reconciling(Reason.FETCHING), actions=(StartEngine(order=_order(job)),))


def _order(job: Job) -> JobOrder:
    job_id, generation = job.record.job_id, job.record.generation
    return order_of(job.plan, job.manifest, job_id=job_id, generation=generation, held=job.held)


def _blocked(job: Job, waiting: JobRecord) -> Decision | None:
    """Why it cannot start now; None where it can."""
    barred = _barred(job, waiting)
    if barred is None and not job.observed.slot_free:
        rank = rank_of(job.manifest, job.record.job_id)
        return job.decided(waiting, AwaitSlot(rank=rank), said=say.reconciling(Reason.WAITING_FOR_SLOT))
    return barred


def _barred(job: Job, waiting: JobRecord) -> Decision | None:
    """Why it may not run, with room or without; None where it may."""
    if job.observed.cycle:
        way = " -> ".join(job.observed.cycle)
        message = f"the jobs wait for each other: {way}; take one of them out of spec.depends_on"
        said = say.stalled(Reason.DEPENDENCY_CYCLE, message)
        return job.decided(waiting, Stop(reason=Reason.DEPENDENCY_CYCLE, message=message), said=said)
    unmet = [each for each in job.observed.needs if each.state is not JobState.COMPLETED]
    if unmet:
        said = say.reconciling(Reason.WAITING_FOR_DEPENDENCY, needs_text(unmet))
        return job.decided(waiting, AwaitJobs(job_ids=tuple(each.job_id for each in unmet)), said=said)
    if str(job.plan.allowed_root) not in job.observed.library_roots_present:
        message = f"{job.plan.allowed_root} does not exist; make it, or mount the disk that it is on"
        said = say.reconciling(Reason.LIBRARY_MISSING, message)
        return job.decided(waiting, Again(after_s=_LIBRARY_LOOK_S), said=said)
    return None


def needs_text(unmet: Sequence[Needed]) -> str:
    """Say for which jobs one waits."""
    told = [f"{each.job_id}, which {_WORDS[each.state]}" for each in unmet[:_NEEDS_SHOWN_MAX]]
    more = f"; and for {len(unmet) - len(told)} more" if len(unmet) > len(told) else ""
    return "waits for " + "; for ".join(told) + more


# A job on its way is on its way, in whichever state: a message that changes is a write into a person's file.
_WORDS = {
    None: "is not known here",
    JobState.PENDING: "is not done yet",
    JobState.RUNNING: "is not done yet",
    JobState.FAILED: "has failed",
    JobState.CANCELLED: "was cancelled",
    JobState.COMPLETED: "is done",
}
