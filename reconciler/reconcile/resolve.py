"""What becomes of a job of which only MusicBrainz knows what it asks for.

Owns: the judgement of such a job until the answer is there: look it up, wait, or say what somebody has to change.
Never: asks (reconcile.lookups), or judges a job whose tracks are known (reconcile.judge).

A look-up takes seconds or, with a long list, minutes: it is begun here and goes on outside of the passes. Its end wakes
the job, and what it found stands in the database.
"""

from dataclasses import dataclass, replace

from reconciler.manifests.model import Condition, DiscographySpec, JobState, LabelCrateSpec, Manifest
from reconciler.musicbrainz.model import FailureCode, Subject
from reconciler.reconcile import conditions as say
from reconciler.reconcile.actions import Action, Again, Decision, Done, LookUp, Outcome, Stop
from reconciler.reconcile.conditions import Reason
from reconciler.reconcile.observed import Failure, Moment, Observed
from reconciler.reconcile.status import status_of
from reconciler.reconcile.verdict import (
    TIMER_S_MAX,
    after_halt,
    decision,
    halted,
    is_fetching,
    rest_of,
    rest_outcome,
    rest_text,
    said_of,
    signed,
)
from reconciler.state.records import JobRecord

_REASONS: dict[FailureCode, Reason] = {
    "not found": Reason.NOT_IN_MUSICBRAINZ,
    "nothing to fetch": Reason.NOTHING_TO_FETCH,
    "offline": Reason.MUSICBRAINZ_OFFLINE,
    "refused": Reason.MUSICBRAINZ_REFUSED,
    "unreachable": Reason.MUSICBRAINZ_UNREACHABLE,
    "odd answer": Reason.MUSICBRAINZ_UNREACHABLE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Unresolved:
    """A job that may run as soon as it is known what it asks for."""

    observed: Observed
    moment: Moment
    manifest: Manifest
    record: JobRecord
    subject: Subject

    def decided(
        self, record: JobRecord, outcome: Outcome, *, said: tuple[Condition, ...], actions: tuple[Action, ...] = ()
    ) -> Decision:
        """Close the judgement: `record` as it should be, with `said` of it."""
        said = (*said, *say.conflicted(self.observed.conflicts))
        record = said_of(replace(record, gone_at=None), self.moment, said, previous=self.record.conditions)
        artifacts, progress = self.observed.artifacts, self.observed.progress
        status = signed(status_of(record, plan=None, artifacts=artifacts, progress=progress), record, self.moment)
        return decision(self.record, record, actions=actions, status=status, outcome=outcome)


def unresolved(job: Unresolved) -> Decision:
    """Say what should change for a job that waits for MusicBrainz."""
    asked_at = job.manifest.reconcile_requested_at
    if asked_at and asked_at != job.record.last_handled_reconcile_at:
        record = replace(job.record, last_handled_reconcile_at=asked_at, attempts=0)
        return _look_up(job, record, fresh=True)
    suspend = job.manifest.directives.suspend
    rest_s = rest_of(suspend, job.moment.now_unix_s)
    # Who has written manifests already has to hand the rest on to them.
    if suspend is not None and rest_s > 0.0 and not job.observed.children:
        return _resting(job, rest_s, rest_text(suspend))
    look = job.observed.looking_up
    if look is None or look.generation != job.record.generation:
        return _look_up(job, job.record, fresh=False)
    if look.failure is None:
        return job.decided(_waiting(job.record), Done(), said=say.reconciling(_reason(job), _text(job)))
    return _after_failure(job, look.failure)


def said_beside(said: tuple[Condition, ...], observed: Observed) -> tuple[Condition, ...]:
    """The same, and what there is to say of any job: versions that Syncthing kept, an id that MusicBrainz gave up."""
    said, resolved = (*said, *say.conflicted(observed.conflicts)), observed.resolved
    if resolved is None or resolved.asked == resolved.mbid:
        return said
    text = f"MusicBrainz has merged {resolved.asked} into {resolved.mbid}; write that one to name it by its own id"
    return say.merged(said, text)


def _look_up(job: Unresolved, record: JobRecord, *, fresh: bool) -> Decision:
    """Begin. What the engine fetches for an earlier generation goes on: most edits keep most of it."""
    spec = job.manifest.spec
    wish = spec if isinstance(spec, DiscographySpec | LabelCrateSpec) else None
    job_id, generation = record.job_id, record.generation
    look = LookUp(job_id=job_id, generation=generation, subject=job.subject, wish=wish, fresh=fresh)
    progress = job.observed.progress
    forget = halted(progress) if not is_fetching(progress) else ()
    said = say.reconciling(_reason(job), _text(job))
    return job.decided(_waiting(record), Done(), said=said, actions=(*forget, look))


def _after_failure(job: Unresolved, failure: Failure) -> Decision:
    reason = _REASONS[failure.code]
    if failure.retry_at is None:
        progress = job.observed.progress
        record = replace(job.record, state=JobState.FAILED, retry_at=None, error_message=failure.message)
        stop = Stop(reason=reason, message=failure.message)
        said = say.stalled(reason, failure.message)
        return job.decided(record, after_halt(progress, then=stop), said=said, actions=halted(progress))
    wait_s = failure.retry_at - job.moment.now_unix_s
    if wait_s <= 0.0:
        return _look_up(job, job.record, fresh=False)
    said = say.reconciling(reason, failure.message)
    return job.decided(_waiting(job.record), Again(after_s=min(wait_s, TIMER_S_MAX)), said=said)


def _resting(job: Unresolved, rest_s: float, text: str) -> Decision:
    progress = job.observed.progress
    record = replace(job.record, state=JobState.PENDING, retry_at=None)
    outcome = after_halt(progress, then=rest_outcome(rest_s))
    return job.decided(record, outcome, said=say.resting(Reason.SUSPENDED, text), actions=halted(progress))


def _waiting(record: JobRecord) -> JobRecord:
    return replace(record, state=JobState.PENDING, retry_at=None, error_message="")


def _reason(job: Unresolved) -> Reason:
    return Reason.RESOLVING_RELEASE if job.subject.kind == "release" else Reason.RESOLVING_RELEASES


def _text(job: Unresolved) -> str:
    what = str(job.subject) if job.subject.kind == "release" else f"what {job.subject} has released"
    return f"{what} is looked up at {job.moment.policy.musicbrainz.url}"
