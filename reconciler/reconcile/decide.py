"""What should change, given what is.

Owns: the judgement of a pass: from a file, a record and the engine's progress to actions, a status and an outcome.
Never: looks, does or waits; the time, the dice and everything seen are arguments.

Level-triggered: nothing here asks what happened, only what is. So a pass may be repeated, doubled or lost without
harm, and after a crash the same functions find the way from whatever was true last. Where a step must be durable
before the next may be considered, the pass ends there with `Again(0)`, and the next one sees it done.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import assert_never

from reconciler.engine.order import JobProgress
from reconciler.ids import JobId, TrackPosition
from reconciler.manifests.model import Condition, JobState, Manifest, Problem, Status
from reconciler.reconcile import conditions as say
from reconciler.reconcile.actions import (
    Action,
    AddIdentity,
    Again,
    AwaitSlot,
    CarryArtifacts,
    Decision,
    Done,
    ForgetEngine,
    Outcome,
    RecordSpec,
    StartEngine,
    Stop,
    StopEngine,
)
from reconciler.reconcile.backoff import backoff_s
from reconciler.reconcile.conditions import Reason
from reconciler.reconcile.observed import Gone, GoneJob, Invalid, Observed, Policy, Unreadable, Valid
from reconciler.reconcile.orders import Plan, order_of, plan_of, still_wanted
from reconciler.reconcile.status import status_of
from reconciler.state.records import JobRecord

# git, vim and Syncthing delete a file and make it anew; Syncthing may need up to a minute between the two while others
# change.
GONE_GRACE_S = 60.0

# An invalid file this young may be half of a save: saying so inside it would get in the editor's way.
INVALID_SETTLE_S = 2.0

# The engine says when a job has ended, at once; this is for the case that it was said while nobody could listen.
_STOPPING_LOOK_S = 1.0

# A library root that is not there is a disk that is not mounted yet; nothing tells when it is.
_LIBRARY_LOOK_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """When a pass judges, by which dice and which rules."""

    now_unix_s: float
    chance: float
    """In [0, 1): spreads retries."""
    policy: Policy


def decide(observed: Observed, moment: Moment) -> Decision:
    """Say what should change for one manifest file and the job in it."""
    match observed.file:
        case Gone():
            return Decision(outcome=Done())
        case Unreadable(message=message):
            return replace(_unusable(observed, moment, Reason.UNREADABLE, message), status=None)
        case Invalid(problems=problems):
            return _invalid(observed, moment, problems)
        case Valid(manifest=manifest, writable=writable):
            if manifest.job_id is None:
                return _without_identity(observed, manifest, writable=writable)
            return _identified(observed, moment, manifest, manifest.job_id)
        case _:
            assert_never(observed.file)


def rank_of(manifest: Manifest, job_id: JobId) -> tuple[str, str]:
    """Where a job stands in the line for the engine: the older wish first."""
    return manifest.created_at or "", job_id


def decide_gone(gone: GoneJob, moment: Moment) -> Decision:
    """Say what should change for a job whose manifest is not where it was."""
    if gone.completed_copy:
        record = replace(gone.record, path=gone.completed_copy)
        return _decision(gone.record, record, actions=_halted(gone.progress), outcome=_after_halt(gone.progress))
    if gone.record.state is JobState.COMPLETED:
        return Decision(actions=_halted(gone.progress), outcome=_after_halt(gone.progress))
    if gone.gone_for_s < GONE_GRACE_S:
        return Decision(outcome=Again(after_s=GONE_GRACE_S - gone.gone_for_s))
    record = _said(gone.record, moment, say.gone())
    return _decision(gone.record, record, actions=_halted(gone.progress), outcome=_after_halt(gone.progress))


def _without_identity(observed: Observed, manifest: Manifest, *, writable: bool) -> Decision:
    if not writable:
        message = "the manifest has no job_id, and a link is not written through; add one by hand"
        return Decision(outcome=Stop(reason=Reason.NO_JOB_ID, message=message))
    # git takes the id out again when it checks out the version from before; the same wish in the same file is the same
    # job.
    before = observed.record
    same = before is not None and before.spec_digest == manifest.spec_digest
    job_id = before.job_id if before is not None and same else None
    return Decision(actions=(AddIdentity(job_id=job_id),), outcome=Again(after_s=0.0))


def _identified(observed: Observed, moment: Moment, manifest: Manifest, job_id: JobId) -> Decision:
    record = observed.record
    known = record is not None and record.spec_digest == manifest.spec_digest
    if observed.completed_copy and not (known and record is not None and record.state is JobState.COMPLETED):
        message = f"{observed.completed_copy} has the same job_id and is done; remove this file or give it a new job_id"
        return _refused(observed, moment, Reason.ALREADY_COMPLETED, message)
    if observed.duplicate_of:
        message = f"{observed.duplicate_of} and {observed.path} have the same job_id; give one of them a new one"
        return _refused(observed, moment, Reason.DUPLICATE_JOB_ID, message)
    plan = plan_of(manifest.spec, moment.policy.places)
    if isinstance(plan, Problem):
        return _invalid(observed, moment, (plan,))
    if record is None or not known or record.path != observed.path:
        seen = RecordSpec(job_id=job_id, job_type=manifest.job_type, spec_digest=manifest.spec_digest)
        return Decision(actions=(seen,), outcome=Again(after_s=0.0))
    held = frozenset(artifact.position for artifact in observed.artifacts)
    carried = still_wanted(plan, observed.earlier_artifacts) - held
    if carried:
        return Decision(actions=(_carry(record, carried),), outcome=Again(after_s=0.0))
    return _judged(_Job(observed=observed, moment=moment, manifest=manifest, plan=plan, record=record, held=held))


def _invalid(observed: Observed, moment: Moment, problems: tuple[Problem, ...]) -> Decision:
    errors = [problem for problem in problems if problem.severity == "error"] or list(problems)
    message = str(errors[0]) if errors else "not a manifest"
    if len(errors) > 1:
        message += f" (and {len(errors) - 1} more: reconciler validate {observed.path})"
    decision = _unusable(observed, moment, Reason.INVALID_SPEC, message)
    age_s = moment.now_unix_s - observed.changed_at_unix_s
    if 0.0 <= age_s < INVALID_SETTLE_S and not isinstance(decision.outcome, Again):
        return replace(decision, status=None, outcome=Again(after_s=INVALID_SETTLE_S - age_s))
    return decision


def _unusable(observed: Observed, moment: Moment, reason: Reason, message: str) -> Decision:
    """The file cannot be acted on: the job in it, if one is known, goes on by what the engine was last told."""
    stop = Stop(reason=reason, message=message)
    record = observed.record
    if record is None:
        said = say.invalid(reason, message, running=False)
        return Decision(status=_orphan_status(observed, moment, message, said), outcome=stop)
    progress = observed.progress
    actions: tuple[Action, ...] = ()
    running = progress is not None and progress.outcome is None
    if progress is not None and progress.outcome is not None:
        actions = (ForgetEngine(job_id=record.job_id),)
    if progress is not None and progress.outcome == "completed":
        settled = replace(
            record, state=JobState.COMPLETED, completed_at=moment.now_unix_s, retry_at=None, error_message=""
        )
    elif progress is not None and progress.outcome == "failed":
        settled = _failed(record, moment, progress.error, retriable=progress.retriable)
    elif record.state is JobState.RUNNING and not running:
        settled = replace(record, state=JobState.PENDING)
    else:
        settled = record
    settled = _said(settled, moment, say.invalid(reason, message, running=running), previous=record.conditions)
    status = status_of(settled, plan=None, artifacts=observed.artifacts, progress=progress)
    return _decision(record, settled, actions=actions, status=status, outcome=stop)


def _refused(observed: Observed, moment: Moment, reason: Reason, message: str) -> Decision:
    """The file is valid and must not run: another one speaks for its job."""
    status = _orphan_status(observed, moment, message, say.stalled(reason, message))
    stop = Stop(reason=reason, message=message)
    # The engine works for the file that the record names. A duplicate of that one leaves it alone.
    ours = observed.record is not None and observed.record.path == observed.path
    if not ours or observed.progress is None:
        return Decision(status=status, outcome=stop)
    return Decision(
        actions=_halted(observed.progress), status=status, outcome=_after_halt(observed.progress, then=stop)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """A job that may run: its file is valid, its record fits the file."""

    observed: Observed
    moment: Moment
    manifest: Manifest
    plan: Plan
    record: JobRecord
    held: frozenset[TrackPosition]

    @property
    def whole(self) -> bool:
        return self.held >= frozenset(self.plan.positions)

    def decided(
        self,
        record: JobRecord,
        outcome: Outcome,
        *,
        said: tuple[Condition, ...] | None = None,
        actions: tuple[Action, ...] = (),
        archive: bool = False,
    ) -> Decision:
        """Close the judgement: `record` as it should be, with `said` of it."""
        if said is not None:
            record = _said(record, self.moment, said, previous=self.record.conditions)
        artifacts, progress = self.observed.artifacts, self.observed.progress
        status = status_of(record, plan=self.plan, artifacts=artifacts, progress=progress)
        return _decision(self.record, record, actions=actions, status=status, archive=archive, outcome=outcome)


def _judged(job: _Job) -> Decision:
    progress = job.observed.progress
    if progress is not None and progress.outcome is None:
        return _while_fetching(job, progress)
    forget = _halted(progress)
    if job.whole:
        return _completed(job, forget)
    if progress is not None:
        return _after_engine(job, progress, forget)
    retry_at = job.record.retry_at
    if job.record.state is JobState.FAILED and (retry_at is None or retry_at > job.moment.now_unix_s):
        return _after_failure(job, job.record)
    return _start(job)


def _while_fetching(job: _Job, progress: JobProgress) -> Decision:
    if progress.generation != job.record.generation:
        return _decision(
            job.record,
            job.record,
            actions=(StopEngine(job_id=job.record.job_id),),
            outcome=Again(after_s=_STOPPING_LOOK_S),
        )
    record = replace(job.record, state=JobState.RUNNING, retry_at=None)
    return job.decided(record, Done(), said=say.reconciling(Reason.FETCHING))


def _after_engine(job: _Job, progress: JobProgress, forget: tuple[Action, ...]) -> Decision:
    """The engine ended and something is still missing."""
    if progress.generation != job.record.generation or progress.outcome == "stopped":
        return _decision(job.record, job.record, actions=forget, outcome=Again(after_s=0.0))
    retriable = progress.retriable
    error = progress.error
    if progress.outcome == "completed":
        missing = ", ".join(str(position) for position in job.plan.positions if position not in job.held)
        retriable, error = True, f"the engine ended without a record of tracks {missing}"
    return _after_failure(job, _failed(job.record, job.moment, error, retriable=retriable), forget)


def _after_failure(job: _Job, record: JobRecord, forget: tuple[Action, ...] = ()) -> Decision:
    """A failed job is tried again in its time, or is stalled where it has none."""
    if record.retry_at is not None:
        wait_s = record.retry_at - job.moment.now_unix_s
        said = say.reconciling(Reason.RETRYING, record.error_message)
        return job.decided(record, Again(after_s=wait_s), said=said, actions=forget)
    why = record.error_message or "the last attempt failed and left no reason"
    if record.attempts >= job.moment.policy.retry_limit:
        stop = Stop(reason=Reason.RETRIES_EXHAUSTED, message=f"{why}; edit the spec to try again")
    else:
        stop = Stop(reason=Reason.NOT_RETRIABLE, message=why)
    return job.decided(record, stop, said=say.stalled(stop.reason, stop.message), actions=forget)


def _completed(job: _Job, forget: tuple[Action, ...]) -> Decision:
    record = replace(job.record, state=JobState.COMPLETED, retry_at=None, error_message="")
    if job.record.state is not JobState.COMPLETED or record.completed_at is None:
        now = job.moment.now_unix_s
        record = replace(record, started_at=record.started_at or now, completed_at=now)
    return job.decided(record, Done(), said=say.completed(), actions=forget, archive=True)


def _start(job: _Job) -> Decision:
    waiting = replace(job.record, state=JobState.PENDING, retry_at=None, completed_at=None)
    if str(job.plan.allowed_root) not in job.observed.library_roots_present:
        message = f"{job.plan.allowed_root} does not exist; make it, or mount the disk that it is on"
        said = say.reconciling(Reason.LIBRARY_MISSING, message)
        return job.decided(waiting, Again(after_s=_LIBRARY_LOOK_S), said=said)
    if not job.observed.slot_free:
        rank = rank_of(job.manifest, job.record.job_id)
        return job.decided(waiting, AwaitSlot(rank=rank), said=say.reconciling(Reason.WAITING_FOR_SLOT))
    order = order_of(job.plan, job.manifest, job_id=job.record.job_id, generation=job.record.generation, held=job.held)
    now = job.moment.now_unix_s
    running = replace(waiting, state=JobState.RUNNING, started_at=waiting.started_at or now, error_message="")
    return job.decided(running, Done(), said=say.reconciling(Reason.FETCHING), actions=(StartEngine(order=order),))


def _failed(record: JobRecord, moment: Moment, error: str, *, retriable: bool) -> JobRecord:
    policy = moment.policy
    attempts = record.attempts + 1
    retry_at: float | None = None
    if retriable and attempts < policy.retry_limit:
        retry_at = moment.now_unix_s + backoff_s(
            attempts, base_s=policy.retry_interval_s, max_s=policy.retry_interval_s_max, chance=moment.chance
        )
    return replace(record, state=JobState.FAILED, attempts=attempts, retry_at=retry_at, error_message=error)


def _carry(record: JobRecord, positions: Collection[TrackPosition]) -> CarryArtifacts:
    return CarryArtifacts(
        job_id=record.job_id,
        from_generation=record.generation - 1,
        to_generation=record.generation,
        positions=frozenset(positions),
    )


def _halted(progress: JobProgress | None) -> tuple[Action, ...]:
    """Stop the engine's job where it runs, drop it where it has ended."""
    if progress is None:
        return ()
    return (StopEngine(job_id=progress.job_id) if progress.outcome is None else ForgetEngine(job_id=progress.job_id),)


def _after_halt(progress: JobProgress | None, *, then: Outcome | None = None) -> Outcome:
    """While the engine still ends the job: look again, to drop it when it has."""
    if progress is not None and progress.outcome is None:
        return Again(after_s=_STOPPING_LOOK_S)
    return then or Done()


def _orphan_status(observed: Observed, moment: Moment, message: str, said: tuple[Condition, ...]) -> Status:
    """What a file says that speaks for no job. Its time is the file's own: a restart must not look like a change."""
    since_s = max(0.0, min(observed.changed_at_unix_s, moment.now_unix_s))
    timed = say.since(said, previous=observed.last_conditions, now_unix_s=since_s)
    return Status(state=JobState.FAILED, error_message=message, conditions=timed)


def _said(
    record: JobRecord,
    moment: Moment,
    said: tuple[Condition, ...],
    *,
    previous: tuple[Condition, ...] | None = None,
) -> JobRecord:
    before = record.conditions if previous is None else previous
    return replace(record, conditions=say.since(said, previous=before, now_unix_s=moment.now_unix_s))


def _decision(
    before: JobRecord,
    after: JobRecord,
    *,
    actions: tuple[Action, ...] = (),
    status: Status | None = None,
    archive: bool = False,
    outcome: Outcome,
) -> Decision:
    if after == before:
        return Decision(actions=actions, status=status, archive=archive, outcome=outcome)
    # A failure that is tried again is not the end.
    ended = after.state is JobState.COMPLETED or (after.state is JobState.FAILED and after.retry_at is None)
    return Decision(
        record=after,
        finished=ended and after.state is not before.state,
        actions=actions,
        status=status,
        archive=archive,
        outcome=outcome,
    )
