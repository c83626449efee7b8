"""How a judgement is put: records, conditions, status and outcome, fitted together.

Owns: what every judgement has in common. Never: judges (reconcile.decide of files, reconcile.judge of jobs).
"""

from dataclasses import replace
from datetime import datetime

from reconciler.engine.order import JobProgress
from reconciler.manifests.model import Condition, JobState, RetryDirective, Status, Suspend
from reconciler.reconcile import conditions as say
from reconciler.reconcile.actions import Action, Again, Decision, Done, ForgetEngine, Outcome, StopEngine
from reconciler.reconcile.backoff import backoff_s
from reconciler.reconcile.observed import Moment, Observed
from reconciler.state.records import JobRecord

# The engine says when a job has ended, at once; this is for the case that it was said while nobody could listen.
STOPPING_LOOK_S = 1.0

# A timeout counts what was seen to run. Between two looks more time passes only where the machine slept, or its clock
# was set.
RAN_BETWEEN_LOOKS_S_MAX = 120.0

# Timers run by a clock that cannot be set, times in manifests by one that can: so a far one is looked at in between.
TIMER_S_MAX = 3600.0

_ENDED = frozenset({JobState.COMPLETED, JobState.CANCELLED})


def decision(
    before: JobRecord,
    after: JobRecord,
    *,
    actions: tuple[Action, ...] = (),
    status: Status | None = None,
    archive: bool = False,
    outcome: Outcome,
) -> Decision:
    """What follows when a record should become another one."""
    if after == before:
        return Decision(actions=actions, status=status, archive=archive, outcome=outcome)
    # A failure that is tried again is not the end.
    ended = after.state in _ENDED or (after.state is JobState.FAILED and after.retry_at is None)
    return Decision(
        record=after,
        finished=ended and after.state is not before.state,
        actions=actions,
        status=status,
        archive=archive,
        outcome=outcome,
    )


def halted(progress: JobProgress | None) -> tuple[Action, ...]:
    """Stop the engine's job where it runs, drop it where it has ended."""
    if progress is None:
        return ()
    return (StopEngine(job_id=progress.job_id) if progress.outcome is None else ForgetEngine(job_id=progress.job_id),)


def after_halt(progress: JobProgress | None, *, then: Outcome | None = None) -> Outcome:
    """While the engine still ends the job: look again, to drop it when it has."""
    if is_fetching(progress):
        return Again(after_s=STOPPING_LOOK_S)
    return then or Done()


def is_fetching(progress: JobProgress | None) -> bool:
    """Tell whether the engine works on the job now."""
    return progress is not None and progress.outcome is None


def said_of(
    record: JobRecord,
    moment: Moment,
    said: tuple[Condition, ...],
    *,
    previous: tuple[Condition, ...] | None = None,
) -> JobRecord:
    """The record with these conditions, each since when it holds."""
    before = record.conditions if previous is None else previous
    return replace(record, conditions=say.since(said, previous=before, now_unix_s=moment.now_unix_s))


def rest_of(suspend: Suspend | None, now_unix_s: float) -> float:
    """For how many seconds a job is not to run; 0.0 = it may."""
    if suspend is None:
        return 0.0
    if not suspend.until:
        return float("inf")
    return max(0.0, datetime.fromisoformat(suspend.until.upper()).timestamp() - now_unix_s)


def rest_outcome(rest_s: float) -> Outcome:
    """When a job that rests is looked at again."""
    return Done() if rest_s == float("inf") else Again(after_s=min(rest_s, TIMER_S_MAX))


def rest_text(suspend: Suspend) -> str:
    """Why a job rests, and until when."""
    until = f"until {suspend.until}" if suspend.until else "until spec.suspend is taken out"
    return f"{suspend.reason}; {until}" if suspend.reason else until


def failed(
    record: JobRecord, moment: Moment, error: str, *, retriable: bool, retry: RetryDirective | None = None
) -> JobRecord:
    """The record after one more failure: with the time of the next attempt, if there is one."""
    attempts = record.attempts + 1
    retry_at: float | None = None
    if retriable and attempts < attempts_max(moment, retry):
        base_s, max_s = _retry_interval_s(moment, retry)
        retry_at = moment.now_unix_s + backoff_s(attempts, base_s=base_s, max_s=max_s, chance=moment.chance)
    stopped = with_time_counted(record, moment.now_unix_s, goes_on=False)
    return replace(stopped, state=JobState.FAILED, attempts=attempts, retry_at=retry_at, error_message=error)


def is_retry_due(retry_at: float, moment: Moment, retry: RetryDirective | None) -> bool:
    """Whether it is time to try again. What is further away than any wait was set by a clock that was wrong."""
    _, max_s = _retry_interval_s(moment, retry)
    return not 0.0 < retry_at - moment.now_unix_s <= max_s


def _retry_interval_s(moment: Moment, retry: RetryDirective | None) -> tuple[float, float]:
    """The first and the longest wait: what the manifest says goes before the configuration."""
    policy = moment.policy
    base_s = policy.retry_interval_s if retry is None or retry.interval_s is None else retry.interval_s
    max_s = policy.retry_interval_s_max if retry is None or retry.max_interval_s is None else retry.max_interval_s
    return base_s, max(base_s, max_s)


def attempts_max(moment: Moment, retry: RetryDirective | None) -> int:
    """After how many failures a job stays failed: what its manifest says goes before the configuration."""
    return moment.policy.retry_limit if retry is None or retry.limit is None else retry.limit


def with_time_counted(record: JobRecord, now_unix_s: float, *, goes_on: bool) -> JobRecord:
    """The record with its running time up to now; with `goes_on`, time runs on from here."""
    ran_s = record.ran_s + ran_since_s(record, now_unix_s)
    return replace(record, ran_s=ran_s, running_since=now_unix_s if goes_on else None)


def ran_since_s(record: JobRecord, now_unix_s: float) -> float:
    """Seconds that it ran and that `ran_s` does not have yet."""
    if record.running_since is None:
        return 0.0
    return max(0.0, min(now_unix_s - record.running_since, RAN_BETWEEN_LOOKS_S_MAX))


def signed(status: Status, record: JobRecord | None, moment: Moment) -> Status:
    """The status with who wrote it, and the last request that was answered."""
    handled = record.last_handled_reconcile_at if record is not None else ""
    return replace(status, node=moment.policy.node.name, last_handled_reconcile_at=handled)


def orphan_status(observed: Observed, moment: Moment, message: str, said: tuple[Condition, ...]) -> Status:
    """What a file says that speaks for no job. Its time is the file's own: a restart must not look like a change."""
    since_s = max(0.0, min(observed.changed_at_unix_s, moment.now_unix_s))
    timed = say.since(said, previous=observed.last_conditions, now_unix_s=since_s)
    return signed(Status(state=JobState.FAILED, error_message=message, conditions=timed), None, moment)
