"""What becomes of a job that may run, as its directives say: rest, wait, cancel, time out, try again."""

from dataclasses import replace

import pytest
from reconcile_builders import (
    JOB,
    MOMENT,
    NOW,
    OTHER_JOB,
    artifact,
    condition,
    manifest,
    observed,
    progress,
    reason,
    record,
)

from reconciler.clock import rfc3339
from reconciler.engine.order import HeldUp
from reconciler.manifests.model import Directives, JobState, NodeSelector, RetryDirective, Suspend
from reconciler.reconcile.actions import Again, AwaitJobs, AwaitSlot, Done, ForgetEngine, StartEngine, StopEngine
from reconciler.reconcile.conditions import Reason
from reconciler.reconcile.decide import decide, decide_at_parting
from reconciler.reconcile.observed import Needed, Valid

WHOLE = (artifact(1), artifact(2), artifact(3))
RUNNING = record(state=JobState.RUNNING, started_at=NOW - 10)


def judge(directives=None, *, requested_at="", now=NOW, **changes):
    """What is decided for a valid manifest of three tracks with these directives."""
    made = replace(manifest(), directives=directives or Directives(), reconcile_requested_at=requested_at)
    changes = {"file": Valid(manifest=made, writable=True), **changes}
    return decide(observed(**changes), replace(MOMENT, now_unix_s=now))


def starts(decision):
    """Whether the engine is given the job."""
    return any(isinstance(action, StartEngine) for action in decision.actions)


# ---- resting ---------------------------------------------------------------------------------------------------------

REST = Directives(suspend=Suspend(reason="the disk is full"))


def test_a_suspended_job_is_not_started():
    """It is pending, says why, and nobody has to act."""
    decision = judge(REST)
    assert decision.actions == ()
    assert decision.outcome == Done()
    assert decision.record.state is JobState.PENDING
    assert reason(decision) == Reason.SUSPENDED
    assert "the disk is full" in condition(decision, "Ready").message
    assert condition(decision, "Stalled") is None


def test_a_job_that_is_suspended_while_it_runs_is_stopped_and_then_forgotten():
    """Its files stay; the engine is asked until it has ended."""
    stopping = judge(REST, record=RUNNING, progress=progress(None, "fetching"))
    assert stopping.actions == (StopEngine(job_id=JOB),)
    assert isinstance(stopping.outcome, Again)
    ended = judge(REST, record=stopping.record, progress=progress("stopped"))
    assert ended.actions == (ForgetEngine(job_id=JOB),)
    assert ended.outcome == Done()


def test_a_job_that_rests_until_a_time_is_looked_at_then():
    """A far time is looked at in between, because clocks are set."""
    rest = Directives(suspend=Suspend(until=rfc3339(NOW + 100)))
    assert judge(rest).outcome == Again(after_s=100.0)
    assert judge(rest, now=NOW - 1_000_000).outcome == Again(after_s=3600.0)
    assert starts(judge(rest, now=NOW + 100))


@pytest.mark.parametrize("until", ["1970-01-12T13:46:41Z", "1970-01-12t13:46:41z", "1970-01-12T15:46:41+02:00"])
def test_a_time_may_be_written_as_rfc_3339_allows(until):
    """Small letters and offsets are the same moment: a second from now."""
    assert judge(Directives(suspend=Suspend(until=until))).outcome == Again(after_s=1.0)


def test_a_job_that_is_done_is_not_held_back():
    """Only its move is missing."""
    done = record(state=JobState.COMPLETED, completed_at=NOW - 1)
    assert judge(REST, record=done, artifacts=WHOLE).archive


def test_a_job_whose_last_track_came_while_it_was_suspended_rests():
    """It completes when it may go on."""
    assert not judge(REST, artifacts=WHOLE).archive
    assert judge(artifacts=WHOLE).archive


# ---- waiting for others ----------------------------------------------------------------------------------------------

AFTER = Directives(depends_on=(OTHER_JOB,))


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (None, "is not known here"),
        (JobState.PENDING, "is not done yet"),
        (JobState.RUNNING, "is not done yet"),
        (JobState.FAILED, "has failed"),
        (JobState.CANCELLED, "was cancelled"),
    ],
)
def test_a_job_waits_for_those_it_needs_and_says_how_they_are(state, told):
    """It is on its way, not stalled; the message names the other."""
    decision = judge(AFTER, needs=(Needed(job_id=OTHER_JOB, state=state),))
    assert decision.outcome == AwaitJobs(job_ids=(OTHER_JOB,))
    assert reason(decision) == Reason.WAITING_FOR_DEPENDENCY
    assert condition(decision, "Reconciling").status == "True"
    assert condition(decision, "Ready").message == f"waits for {OTHER_JOB}, which {told}"


def test_a_job_starts_when_all_that_it_needs_are_done():
    """One that is not done is enough to wait."""
    done = Needed(job_id=OTHER_JOB, state=JobState.COMPLETED)
    assert starts(judge(AFTER, needs=(done,)))
    assert not starts(judge(AFTER, needs=(done, Needed(job_id=JOB, state=None))))


def test_a_job_in_a_cycle_is_stalled_and_names_it():
    """Waiting does not help; somebody has to take one out."""
    decision = judge(AFTER, needs=(Needed(job_id=OTHER_JOB, state=JobState.PENDING),), cycle=(JOB, OTHER_JOB, JOB))
    assert decision.outcome.reason is Reason.DEPENDENCY_CYCLE
    assert f"{JOB} -> {OTHER_JOB} -> {JOB}" in condition(decision, "Stalled").message


def test_a_long_list_of_needs_is_cut():
    """A condition stands in a person's file."""
    needs = tuple(Needed(job_id=f"job-{n}", state=None) for n in range(100))
    message = condition(judge(AFTER, needs=needs), "Ready").message
    assert "and for 95 more" in message
    assert len(message) < 500


def test_the_higher_priority_goes_first_in_line():
    """Then the older wish, then the older id."""
    ranks = [judge(Directives(priority=priority), slot_free=False).outcome for priority in (-5, 0, 100)]
    assert all(isinstance(outcome, AwaitSlot) for outcome in ranks)
    assert sorted(ranks, key=lambda outcome: outcome.rank) == ranks[::-1]


# ---- cancelled -------------------------------------------------------------------------------------------------------

CANCEL = Directives(desired_state="cancelled")


def test_a_cancelled_job_stops_first_and_ends_then():
    """The engine has let go of it before anybody is told that it is over."""
    stopping = judge(CANCEL, record=RUNNING, progress=progress(None, "fetching"))
    assert stopping.actions == (StopEngine(job_id=JOB),)
    assert stopping.record is None
    ended = judge(CANCEL, record=RUNNING, progress=progress("stopped"), artifacts=WHOLE[:1])
    assert ended.record.state is JobState.CANCELLED
    assert ended.finished
    assert ended.archive
    assert ended.actions == (ForgetEngine(job_id=JOB),)
    assert ended.status.state is JobState.CANCELLED
    assert ended.status.completed_tracks == (1,)
    assert reason(ended) == Reason.CANCELLED


def test_a_cancelled_job_that_comes_back_moves_again():
    """Nothing is told twice."""
    before = record(state=JobState.CANCELLED)
    decision = judge(CANCEL, record=before, completed_copy="jobs/completed/loveless.yml")
    assert decision.archive
    assert not decision.finished


def test_what_cannot_be_fetched_can_be_cancelled():
    """A target outside the library is no reason to stay for ever."""
    made = manifest()
    made = replace(made, spec=replace(made.spec, target_dir="/etc"), directives=CANCEL)
    decision = judge(file=Valid(manifest=made, writable=True))
    assert decision.record.state is JobState.CANCELLED
    assert decision.archive


# ---- time ------------------------------------------------------------------------------------------------------------

HOUR = Directives(timeout_s=3600.0)


def test_running_time_is_counted_from_the_start():
    """The first pass after it plans the next look."""
    decision = judge(HOUR)
    assert starts(decision)
    assert decision.record.running_since == NOW
    assert decision.outcome == Again(after_s=0.0)
    later = judge(HOUR, record=decision.record, progress=progress(None, "fetching"))
    assert later.outcome == Again(after_s=60.0)


def test_counted_time_is_made_durable_every_minute():
    """A crash forgets no more than that."""
    before = replace(RUNNING, running_since=NOW - 61, ran_s=100.0)
    decision = judge(HOUR, record=before, progress=progress(None, "fetching"))
    assert (decision.record.ran_s, decision.record.running_since) == (161.0, NOW)
    assert judge(HOUR, record=replace(before, running_since=NOW - 59), progress=progress(None)).record.ran_s == 100.0


def test_time_in_which_the_machine_slept_is_not_counted():
    """Nor that by which its clock was set."""
    before = replace(RUNNING, running_since=NOW - 80_000)
    assert judge(HOUR, record=before, progress=progress(None, "fetching")).record.ran_s == 120.0
    before = replace(RUNNING, running_since=NOW + 80_000)
    assert judge(HOUR, record=before, progress=progress(None, "fetching")).record.ran_s == 0.0


def test_a_job_that_ran_for_its_time_is_stopped_and_fails_for_good():
    """First the engine lets go, then it is told; no attempt is left, whatever the limit is."""
    late = replace(RUNNING, running_since=NOW - 10, ran_s=3595.0)
    stopping = judge(HOUR, record=late, progress=progress(None, "fetching"))
    assert stopping.actions == (StopEngine(job_id=JOB),)
    assert stopping.record.state is JobState.RUNNING
    ended = judge(HOUR, record=stopping.record, progress=progress("stopped"))
    assert ended.record.state is JobState.FAILED
    assert ended.record.retry_at is None
    assert ended.finished
    assert ended.outcome.reason is Reason.TIMEOUT
    assert "3600 s" in ended.outcome.message
    again = judge(HOUR, record=ended.record)
    assert again.outcome.reason is Reason.TIMEOUT
    assert again.record is None


def test_a_job_that_ran_out_of_time_before_a_crash_is_not_started_again():
    """Its time is in the database."""
    decision = judge(HOUR, record=replace(RUNNING, ran_s=3600.0))
    assert decision.outcome.reason is Reason.TIMEOUT


def test_waiting_is_not_running():
    """A failed attempt stops the count, and the next goes on with it."""
    before = replace(RUNNING, running_since=NOW - 30, ran_s=10.0)
    failed = judge(HOUR, record=before, progress=progress("failed"))
    assert (failed.record.ran_s, failed.record.running_since) == (40.0, None)
    again = judge(HOUR, record=failed.record, now=NOW + 1000)
    assert starts(again)
    assert (again.record.ran_s, again.record.running_since) == (40.0, NOW + 1000)


def test_all_tracks_in_the_last_moment_are_success():
    """What is there is not thrown away for a second."""
    late = replace(RUNNING, ran_s=3600.0)
    assert judge(HOUR, record=late, progress=progress("completed"), artifacts=WHOLE).record.state is JobState.COMPLETED


# ---- our own disk ----------------------------------------------------------------------------------------------------

FULL = HeldUp(reason="DiskFull", message="/srv/library: 2 GB are needed and 1 GB free", entirely=True)


@pytest.mark.parametrize("reason_of_it", ["DiskFull", "DiskFailing"])
def test_a_disk_that_stands_in_the_way_is_said_and_costs_no_try(reason_of_it):
    """The job is on its way, nobody has failed, and the engine looks again by itself."""
    held = replace(FULL, reason=reason_of_it)
    decision = judge(record=replace(RUNNING, attempts=2), progress=progress(None, "held", held=held))
    assert (decision.actions, decision.outcome) == ((), Done())
    assert (decision.record.state, decision.record.attempts) == (JobState.RUNNING, 2)
    assert reason(decision) == reason_of_it
    for kind in ("Ready", "Reconciling"):
        assert condition(decision, kind).message == FULL.message
    assert condition(decision, "Stalled") is None
    assert decision.status.error_message == FULL.message


def test_when_the_disk_works_again_nothing_is_left_of_it():
    """Condition and message go, the times of the others stay."""
    held = judge(record=RUNNING, progress=progress(None, "held", held=FULL))
    after = judge(record=held.record, progress=progress(None, "fetching"))
    assert reason(after) == Reason.FETCHING
    assert after.record.error_message == ""
    assert after.status.error_message == ""


def test_the_time_that_a_disk_costs_does_not_count():
    """A job's timeout is for fetching; it runs on when the disk does."""
    before = replace(RUNNING, running_since=NOW - 30, ran_s=10.0)
    held = judge(HOUR, record=before, progress=progress(None, "held", held=FULL))
    assert (held.record.ran_s, held.record.running_since) == (40.0, None)
    late = NOW + 10 * 3600
    still = judge(HOUR, record=held.record, progress=progress(None, "held", held=FULL), now=late)
    assert still.record in (None, held.record)
    after = judge(HOUR, record=held.record, progress=progress(None, "fetching"), now=late)
    assert (after.record.ran_s, after.record.running_since) == (40.0, late)


def test_at_the_end_of_the_daemon_the_disk_is_still_full():
    """What a person has to do stands in the file while nothing runs."""
    seen = observed(record=RUNNING, progress=progress("stopped", "held", held=FULL))
    decision = decide_at_parting(seen, MOMENT)
    assert reason(decision) == Reason.DISK_FULL
    assert decision.status.state is JobState.RUNNING


# ---- trying again ----------------------------------------------------------------------------------------------------


def test_a_manifest_may_say_how_often_it_is_tried():
    """Its own limit goes before the configuration's three."""
    failing = {"record": replace(RUNNING, attempts=3), "progress": progress("failed")}
    assert judge(**failing).record.retry_at is None
    assert judge(Directives(retry=RetryDirective(limit=9)), **failing).record.retry_at is not None
    never = judge(Directives(retry=RetryDirective(limit=0)), record=RUNNING, progress=progress("failed"))
    assert never.outcome.reason is Reason.RETRIES_EXHAUSTED


def test_a_manifest_may_say_how_long_is_waited_between():
    """First and longest, each on its own."""
    failing = {"record": RUNNING, "progress": progress("failed")}
    assert judge(Directives(retry=RetryDirective(interval_s=5.0)), **failing).record.retry_at == NOW + 5.0
    assert judge(Directives(retry=RetryDirective(max_interval_s=7.0)), **failing).record.retry_at == NOW + 30.0
    often = {"record": replace(RUNNING, attempts=1), "progress": progress("failed")}
    assert (
        judge(Directives(retry=RetryDirective(interval_s=5.0, max_interval_s=7.0)), **often).record.retry_at
        == NOW + 7.0
    )


def test_a_request_makes_a_stalled_job_try_again_at_once():
    """First the request is noted as answered, then the job starts as if it had never failed."""
    stalled = record(state=JobState.FAILED, attempts=3, error_message="no peer has it", ran_s=9.0)
    noted = judge(requested_at="now!", record=stalled)
    assert noted.outcome == Again(after_s=0.0)
    assert (noted.record.attempts, noted.record.ran_s, noted.record.retry_at) == (0, 0.0, NOW)
    assert not noted.finished
    begun = judge(requested_at="now!", record=noted.record)
    assert starts(begun)
    assert begun.status.last_handled_reconcile_at == "now!"


def test_a_request_is_answered_once():
    """The same word again asks for nothing."""
    handled = record(state=JobState.FAILED, attempts=3, last_handled_reconcile_at="now!")
    assert judge(requested_at="now!", record=handled).outcome.reason is Reason.RETRIES_EXHAUSTED


def test_a_request_disturbs_no_job_that_runs():
    """It is noted, and that is all."""
    noted = judge(requested_at="now!", record=RUNNING, progress=progress(None, "fetching"))
    assert noted.actions == ()
    assert noted.record == replace(RUNNING, last_handled_reconcile_at="now!")


# ---- whose it is -----------------------------------------------------------------------------------------------------

ELSEWHERE = Directives(node=NodeSelector(name="cellar"))


def test_the_job_of_another_node_is_left_alone():
    """No record, no id, no status: its file is that node's to write."""
    for job_id in (JOB, None):
        made = replace(manifest(job_id=job_id), directives=ELSEWHERE)
        decision = judge(file=Valid(manifest=made, writable=True), record=None)
        assert (decision.actions, decision.record, decision.status) == ((), None, None)
        assert decision.outcome == Done()


def test_a_job_that_was_given_to_another_node_is_let_go():
    """The engine stops; the database says why, the file nothing."""
    decision = judge(ELSEWHERE, record=RUNNING, progress=progress(None, "fetching"))
    assert decision.actions == (StopEngine(job_id=JOB),)
    assert decision.status is None
    assert decision.record.state is JobState.PENDING
    assert [each.reason for each in decision.record.conditions if each.type == "Ready"] == [Reason.OTHER_NODE]
    after = judge(ELSEWHERE, record=decision.record, progress=progress("stopped"))
    assert after.actions == (ForgetEngine(job_id=JOB),)
    assert judge(ELSEWHERE, record=decision.record).record is None


def test_a_status_says_which_node_wrote_it():
    """Also that of a file which speaks for no job."""
    assert judge().status.node == "attic"
    assert judge(record=None, completed_copy="jobs/completed/x.yml").status.node == "attic"


def test_other_versions_of_the_file_are_told_beside_everything_else():
    """The job goes on; somebody should look."""
    decision = judge(conflicts=("a: 1 here and 2 there", "b"))
    assert starts(decision)
    assert condition(decision, "Conflicted").message == "a: 1 here and 2 there; b"


# ---- the end of the daemon -------------------------------------------------------------------------------------------


def test_at_the_end_of_the_daemon_a_file_says_how_far_its_job_came():
    """It runs on at the next start, so it is called running; what is published is told."""
    seen = observed(record=RUNNING, progress=progress("stopped", "completed", "fetching"), artifacts=WHOLE[:1])
    decision = decide_at_parting(seen, MOMENT)
    assert decision.status.state is JobState.RUNNING
    assert decision.status.completed_tracks == (1,)
    assert decision.actions == ()
    assert decision.outcome == Done()


def test_at_the_end_of_the_daemon_nothing_is_said_of_other_files():
    """An edit that was not acted on is for the next start."""
    edited = Valid(manifest=manifest(digest="sha256:two"), writable=True)
    for changes in ({"file": edited, "record": RUNNING}, {"record": record()}, {"record": None}):
        assert decide_at_parting(observed(**changes), MOMENT).status is None


@pytest.mark.parametrize(("after_s", "due"), [(-1.0, True), (0.0, True), (1.0, False), (3600.0, False), (3601.0, True)])
def test_a_retry_that_is_further_away_than_any_wait_is_due(after_s, due):
    """The clock was wrong when the job failed, and is right again: nobody waits for that year."""
    failed = record(state=JobState.FAILED, attempts=1, retry_at=NOW + after_s, error_message="no peer has it")
    assert starts(judge(record=failed)) == due
    assert not starts(
        judge(Directives(retry=RetryDirective(max_interval_s=9999.0)), record=replace(failed, retry_at=NOW + 9999))
    )
