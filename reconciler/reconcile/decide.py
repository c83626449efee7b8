"""What should change, given what is.

Owns: the judgement of a file: whose it is, whether it can be acted on, which of several speaks for a job, what became
of one that is gone. What becomes of a job that may run is judged in reconcile.judge. Never: looks, does or waits; the
time, the dice and everything seen are arguments.

Level-triggered: nothing here asks what happened, only what is. So a pass may be repeated, doubled or lost without
harm, and after a crash the same functions find the way from whatever was true last. Where a step must be durable
before the next may be considered, the pass ends there with `Again(0)`, and the next one sees it done.
"""

from collections.abc import Collection
from dataclasses import replace
from typing import assert_never

from reconciler.ids import JobId, TrackPosition
from reconciler.manifests.model import JobState, Manifest, Problem
from reconciler.musicbrainz.model import Subject
from reconciler.reconcile import conditions as say
from reconciler.reconcile.actions import (
    Action,
    AddIdentity,
    Again,
    CarryArtifacts,
    Decision,
    Done,
    ForgetEngine,
    RecordSpec,
    Stop,
)
from reconciler.reconcile.conditions import Reason
from reconciler.reconcile.judge import Job, at_parting, judged, rank_of
from reconciler.reconcile.observed import Gone, GoneJob, Invalid, Moment, Observed, Unreadable, Valid
from reconciler.reconcile.orders import Family, Held, Plan, plan_of, still_wanted
from reconciler.reconcile.ownership import why_not_ours
from reconciler.reconcile.parents import NEXT_PASS_S, children_to_cancel, parent_of, parental
from reconciler.reconcile.resolve import Unresolved, unresolved
from reconciler.reconcile.status import status_of
from reconciler.reconcile.verdict import (
    after_halt,
    decision,
    failed,
    halted,
    is_fetching,
    orphan_status,
    said_of,
    signed,
)
from reconciler.state.records import JobRecord

__all__ = ["GONE_GRACE_S", "Moment", "decide", "decide_at_parting", "decide_gone", "rank_of"]

# git, vim and Syncthing delete a file and make it anew; Syncthing may need up to a minute between the two while others
# change.
GONE_GRACE_S = 60.0

# An invalid file this young may be half of a save: saying so inside it would get in the editor's way.
INVALID_SETTLE_S = 2.0

# States from which a job of the same spec does not come back by itself.
_TERMINAL = frozenset({JobState.COMPLETED, JobState.CANCELLED})


def decide(observed: Observed, moment: Moment) -> Decision:
    """Say what should change for one manifest file and the job in it."""
    match observed.file:
        case Gone():
            return Decision(outcome=Done())
        case Unreadable(message=message):
            return replace(_unusable(observed, moment, Reason.UNREADABLE, message), status=None)
        case Invalid(problems=problems, half_merged=half_merged):
            return _invalid(observed, moment, problems, half_merged=half_merged)
        case Valid(manifest=manifest, writable=writable):
            if why := why_not_ours(manifest.directives.node, moment.policy.node):
                return _not_ours(observed, moment, why)
            if manifest.job_id is None:
                return _without_identity(observed, manifest, writable=writable)
            return _identified(observed, moment, manifest, manifest.job_id)
        case _:
            assert_never(observed.file)


def decide_gone(gone: GoneJob, moment: Moment) -> Decision:
    """Say what should change for a job whose manifest is not where it was."""
    if gone.completed_copy:
        record = replace(gone.record, path=gone.completed_copy)
        return decision(gone.record, record, actions=halted(gone.progress), outcome=after_halt(gone.progress))
    if gone.record.state in _TERMINAL:
        return Decision(actions=halted(gone.progress), outcome=after_halt(gone.progress))
    if gone.gone_for_s < GONE_GRACE_S:
        return Decision(outcome=Again(after_s=GONE_GRACE_S - gone.gone_for_s))
    record = said_of(gone.record, moment, say.gone())
    if record.gone_at is None:
        record = replace(record, gone_at=moment.now_unix_s)
    return decision(gone.record, record, actions=halted(gone.progress), outcome=after_halt(gone.progress))


def decide_at_parting(observed: Observed, moment: Moment) -> Decision:
    """Say what the file of a job should say when the daemon ends, once the engine has let go of it."""
    record = observed.record
    if isinstance(observed.file, Valid) and record is not None and record.state is JobState.RUNNING:
        manifest = observed.file.manifest
        plan = plan_of(manifest.spec, moment.policy.places, observed.resolved)
        if isinstance(plan, Plan) and record.spec_digest == manifest.spec_digest:
            return at_parting(_job(observed, moment, manifest, plan, record))
    return Decision(outcome=Done())


def _not_ours(observed: Observed, moment: Moment, why: str) -> Decision:
    """Leave the file alone. A job that was ours until its selector was edited goes to whom it is for."""
    record = observed.record
    if record is None or record.path != observed.path:
        return Decision(outcome=Done())
    state = JobState.PENDING if record.state is JobState.RUNNING else record.state
    left = replace(record, state=state, retry_at=None, running_since=None)
    left = said_of(left, moment, say.resting(Reason.OTHER_NODE, why), previous=record.conditions)
    return decision(record, left, actions=halted(observed.progress), outcome=after_halt(observed.progress))


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
    if observed.completed_copy and not (known and record is not None and record.state in _TERMINAL):
        message = f"{observed.completed_copy} has the same job_id and is done; remove this file or give it a new job_id"
        return _refused(observed, moment, Reason.ALREADY_COMPLETED, message)
    if observed.duplicate_of:
        message = f"{observed.duplicate_of} and {observed.path} have the same job_id; give one of them a new one"
        return _refused(observed, moment, Reason.DUPLICATE_JOB_ID, message)
    return _acted_on(observed, moment, manifest, job_id)


def _acted_on(observed: Observed, moment: Moment, manifest: Manifest, job_id: JobId) -> Decision:
    """The file speaks for its job: record what it says, then do it."""
    record = observed.record
    recorded = record is not None and (record.spec_digest, record.path) == (manifest.spec_digest, observed.path)
    # What was looked up belongs to the generation that is recorded.
    plan = plan_of(manifest.spec, moment.policy.places, observed.resolved if recorded else None)
    cancelled = manifest.directives.desired_state == "cancelled"
    if isinstance(plan, Held | Problem) and not cancelled:
        return _unplanned(observed, moment, plan)
    if record is None or not recorded:
        seen = RecordSpec(
            job_id=job_id, job_type=manifest.job_type, spec_digest=manifest.spec_digest, document=observed.document
        )
        return Decision(actions=(seen,), outcome=Again(after_s=0.0))
    if cancelled:
        return _to_be_cancelled(observed, moment, record, plan if isinstance(plan, Plan) else None)
    assert not isinstance(plan, Held | Problem), "refused above"
    return _planned(observed, moment, manifest, record, plan)


def _planned(
    observed: Observed, moment: Moment, manifest: Manifest, record: JobRecord, plan: Plan | Family | Subject
) -> Decision:
    """The job that is recorded, by what is known of what it asks for."""
    if isinstance(plan, Subject):
        return unresolved(Unresolved(observed=observed, moment=moment, manifest=manifest, record=record, subject=plan))
    if isinstance(plan, Family):
        return parental(parent_of(observed, moment, manifest, record, plan))
    job = _job(observed, moment, manifest, plan, record)
    carried = still_wanted(plan, observed.earlier_artifacts) - job.held
    if carried:
        return Decision(actions=(_carry(record, carried),), outcome=Again(after_s=0.0))
    return judged(job)


def _job(observed: Observed, moment: Moment, manifest: Manifest, plan: Plan, record: JobRecord) -> Job:
    held = frozenset(artifact.position for artifact in observed.artifacts)
    return Job(observed=observed, moment=moment, manifest=manifest, plan=plan, record=record, held=held)


def _to_be_cancelled(observed: Observed, moment: Moment, record: JobRecord, plan: Plan | None) -> Decision:
    """First what it owns, and what it has: who takes the line out again finds what was published."""
    if leave := children_to_cancel(observed, record):
        return Decision(actions=leave, outcome=Again(after_s=NEXT_PASS_S))
    held = {artifact.position for artifact in observed.artifacts}
    if carried := {artifact.position for artifact in observed.earlier_artifacts} - held:
        return Decision(actions=(_carry(record, carried),), outcome=Again(after_s=0.0))
    return _cancelled(observed, moment, record, plan)


def _cancelled(observed: Observed, moment: Moment, record: JobRecord, plan: Plan | None) -> Decision:
    """The end, once the engine has let go of it: what was published stays, and the manifest moves."""
    progress = observed.progress
    if is_fetching(progress):
        return decision(record, record, actions=halted(progress), outcome=after_halt(progress))
    state = record.state if record.state is JobState.COMPLETED else JobState.CANCELLED
    ended = replace(record, state=state, retry_at=None, error_message="", running_since=None, gone_at=None)
    ended = said_of(ended, moment, say.cancelled(), previous=record.conditions)
    status = signed(status_of(ended, plan=plan, artifacts=observed.artifacts, progress=progress), ended, moment)
    return decision(record, ended, actions=halted(progress), status=status, archive=True, outcome=Done())


def _unplanned(observed: Observed, moment: Moment, why: Held | Problem) -> Decision:
    if isinstance(why, Problem):
        return _invalid(observed, moment, (why,), half_merged=False)
    return _refused(observed, moment, Reason(why.reason), why.message)


def _invalid(observed: Observed, moment: Moment, problems: tuple[Problem, ...], *, half_merged: bool) -> Decision:
    errors = [problem for problem in problems if problem.severity == "error"] or list(problems)
    message = str(errors[0]) if errors else "not a manifest"
    if len(errors) > 1:
        message += f" (and {len(errors) - 1} more: reconciler validate {observed.path})"
    reason = Reason.MERGE_IN_PROGRESS if half_merged else Reason.INVALID_SPEC
    decided = _unusable(observed, moment, reason, message)
    age_s = moment.now_unix_s - observed.changed_at_unix_s
    if 0.0 <= age_s < INVALID_SETTLE_S and not isinstance(decided.outcome, Again):
        return replace(decided, status=None, outcome=Again(after_s=INVALID_SETTLE_S - age_s))
    return decided


def _unusable(observed: Observed, moment: Moment, reason: Reason, message: str) -> Decision:
    """The file cannot be acted on: the job in it, if one is known, goes on by what the engine was last told."""
    stop = Stop(reason=reason, message=message)
    record = observed.record
    if record is None:
        said = say.invalid(reason, message, running=False)
        return Decision(status=orphan_status(observed, moment, message, said), outcome=stop)
    progress = observed.progress
    actions: tuple[Action, ...] = ()
    running = is_fetching(progress)
    if progress is not None and progress.outcome is not None:
        actions = (ForgetEngine(job_id=record.job_id),)
    if progress is not None and progress.outcome == "completed":
        settled = replace(
            record, state=JobState.COMPLETED, completed_at=moment.now_unix_s, retry_at=None, error_message=""
        )
    elif progress is not None and progress.outcome == "failed":
        settled = failed(record, moment, progress.error, retriable=progress.retriable)
    elif record.state is JobState.RUNNING and not running:
        settled = replace(record, state=JobState.PENDING)
    else:
        settled = record
    settled = replace(settled, gone_at=None)
    settled = said_of(settled, moment, say.invalid(reason, message, running=running), previous=record.conditions)
    status = signed(status_of(settled, plan=None, artifacts=observed.artifacts, progress=progress), settled, moment)
    return decision(record, settled, actions=actions, status=status, outcome=stop)


def _refused(observed: Observed, moment: Moment, reason: Reason, message: str) -> Decision:
    """The file is valid and must not run: another one speaks for its job, or what it asks for cannot be done."""
    status = orphan_status(observed, moment, message, say.stalled(reason, message))
    stop = Stop(reason=reason, message=message)
    # The engine works for the file that the record names. A duplicate of that one leaves it alone.
    ours = observed.record is not None and observed.record.path == observed.path
    if not ours or observed.progress is None:
        return Decision(status=status, outcome=stop)
    return Decision(actions=halted(observed.progress), status=status, outcome=after_halt(observed.progress, then=stop))


def _carry(record: JobRecord, positions: Collection[TrackPosition]) -> CarryArtifacts:
    return CarryArtifacts(
        job_id=record.job_id,
        from_generation=record.generation - 1,
        to_generation=record.generation,
        positions=frozenset(positions),
    )
