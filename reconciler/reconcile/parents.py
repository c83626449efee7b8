"""What becomes of a job whose work is done by others that it owns.

Owns: the judgement of a discography or label crate once it is known which releases it asks for. Never: judges one of
those (they are jobs like any other), writes a file, or asks MusicBrainz.

Level-triggered: what is wanted is compared with what is known, a few files a pass, until nothing differs.
"""

from dataclasses import dataclass, replace

from reconciler.manifests.model import Children, Condition, JobState, Manifest
from reconciler.reconcile import conditions as say
from reconciler.reconcile.actions import Action, Again, AwaitJobs, Child, Decision, Done, Outcome, Stop
from reconciler.reconcile.conditions import Reason
from reconciler.reconcile.expand import changes, children_of, has_failed, is_completed, is_given_up
from reconciler.reconcile.judge import needs_text
from reconciler.reconcile.observed import Moment, Observed
from reconciler.reconcile.orders import Family
from reconciler.reconcile.resolve import said_beside
from reconciler.reconcile.status import status_of
from reconciler.reconcile.verdict import decision, rest_of, rest_outcome, rest_text, said_of, signed
from reconciler.state.records import JobRecord, KnownChild

# Each is a file made durable, some milliseconds; a pass must not take longer, or others wait.
FILES_PER_PASS_MAX = 10
NEXT_PASS_S = 0.05

# Named in one message.
_FAILED_SHOWN_MAX = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Parent:
    """A discography or label crate whose releases are known."""

    observed: Observed
    moment: Moment
    manifest: Manifest
    record: JobRecord
    wanted: tuple[Child, ...]

    @property
    def counted(self) -> tuple[KnownChild | None, ...]:
        """What is known of each wanted child; None = it was not written yet. Without those that a person cancelled."""
        known = {child.job_id: child for child in self.observed.children}
        found = (known.get(child.job_id) for child in self.wanted)
        return tuple(child for child in found if child is None or not is_given_up(child))

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
        said = said_beside(said, self.observed)
        record = said_of(replace(record, gone_at=None), self.moment, said, previous=self.record.conditions)
        status = status_of(record, plan=None, artifacts=(), progress=None)
        status = signed(replace(status, children=_count(self.counted)), record, self.moment)
        return decision(self.record, record, actions=actions, status=status, archive=archive, outcome=outcome)


def parent_of(observed: Observed, moment: Moment, manifest: Manifest, record: JobRecord, family: Family) -> Parent:
    """Fit together what is judged."""
    wanted = children_of(manifest, record.job_id, family)
    return Parent(observed=observed, moment=moment, manifest=manifest, record=record, wanted=wanted)


def parental(job: Parent) -> Decision:
    """Say what should change for a job that owns others."""
    asked_at = job.manifest.reconcile_requested_at
    if asked_at and asked_at != job.record.last_handled_reconcile_at:
        # The children are told by their own files.
        asked = replace(job.record, last_handled_reconcile_at=asked_at, attempts=0)
        return decision(job.record, asked, outcome=Again(after_s=0.0))
    if not job.observed.children and (waiting := _waiting(job)) is not None:
        return waiting
    steps = changes(job.record.job_id, job.wanted, job.observed.children)
    if steps:
        outcome = Again(after_s=NEXT_PASS_S)
        said = say.reconciling(Reason.WAITING_FOR_CHILDREN)
        return job.decided(_running(job), outcome, said=said, actions=steps[:FILES_PER_PASS_MAX])
    return _settled(job)


def children_to_cancel(observed: Observed, record: JobRecord) -> tuple[Action, ...]:
    """What ends the children of a job that is cancelled itself; nothing once they have."""
    return changes(record.job_id, (), observed.children)[:FILES_PER_PASS_MAX]


def _settled(job: Parent) -> Decision:
    """Every manifest is there: the rest is up to the children."""
    counted = [child for child in job.counted if child is not None]
    if all(is_completed(child) for child in counted):
        now = job.moment.now_unix_s
        record = replace(
            job.record, state=JobState.COMPLETED, retry_at=None, error_message="",
            started_at=job.record.started_at or now, completed_at=job.record.completed_at or now,
        )  # fmt: skip
        return job.decided(record, Done(), said=say.completed(), archive=True)
    suspend = job.manifest.directives.suspend
    rest_s = rest_of(suspend, job.moment.now_unix_s)
    if suspend is not None and rest_s > 0.0:
        record = replace(job.record, state=JobState.PENDING, completed_at=None)
        return job.decided(record, rest_outcome(rest_s), said=say.resting(Reason.SUSPENDED, rest_text(suspend)))
    failed = [child for child in counted if has_failed(child)]
    if failed and all(has_failed(child) or is_completed(child) for child in counted):
        message = f"{_named(failed)}; mend them, or ask for all with `reconciler job retry {job.record.job_id}`"
        record = replace(job.record, state=JobState.FAILED, error_message=message)
        stop = Stop(reason=Reason.CHILDREN_FAILED, message=message)
        return job.decided(record, stop, said=say.stalled(stop.reason, message))
    return job.decided(_running(job), Done(), said=say.reconciling(Reason.WAITING_FOR_CHILDREN))


def _waiting(job: Parent) -> Decision | None:
    """Why it may not begin to write others; None where it may."""
    suspend = job.manifest.directives.suspend
    rest_s = rest_of(suspend, job.moment.now_unix_s)
    record = replace(job.record, state=JobState.PENDING, completed_at=None)
    if suspend is not None and rest_s > 0.0:
        return job.decided(record, rest_outcome(rest_s), said=say.resting(Reason.SUSPENDED, rest_text(suspend)))
    if job.observed.cycle:
        message = f"the jobs wait for each other: {' -> '.join(job.observed.cycle)}; take one out of spec.depends_on"
        stop = Stop(reason=Reason.DEPENDENCY_CYCLE, message=message)
        return job.decided(record, stop, said=say.stalled(stop.reason, message))
    unmet = [each for each in job.observed.needs if each.state is not JobState.COMPLETED]
    if unmet:
        said = say.reconciling(Reason.WAITING_FOR_DEPENDENCY, needs_text(unmet))
        return job.decided(record, AwaitJobs(job_ids=tuple(each.job_id for each in unmet)), said=said)
    return None


def _running(job: Parent) -> JobRecord:
    started_at = job.record.started_at or job.moment.now_unix_s
    return replace(
        job.record, state=JobState.RUNNING, started_at=started_at, completed_at=None, retry_at=None, error_message=""
    )


def _count(counted: tuple[KnownChild | None, ...]) -> Children:
    there = [child for child in counted if child is not None]
    return Children(
        total=len(counted),
        completed=sum(1 for child in there if is_completed(child)),
        failed=sum(1 for child in there if has_failed(child)),
    )


def _named(failed: list[KnownChild]) -> str:
    named = ", ".join(child.job_id for child in failed[:_FAILED_SHOWN_MAX])
    more = f" and {len(failed) - _FAILED_SHOWN_MAX} more" if len(failed) > _FAILED_SHOWN_MAX else ""
    return f"of its releases these failed: {named}{more}"
