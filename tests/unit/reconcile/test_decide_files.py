"""The judgement of files that cannot be acted on, speak for no job, or went away."""

import pytest
from reconcile_builders import (
    JOB,
    MOMENT,
    NOW,
    PATH,
    artifact,
    condition,
    manifest,
    observed,
    progress,
    record,
    release_spec,
)

from reconciler.manifests.model import JobState, Problem
from reconciler.reconcile.actions import (
    Again,
    Decision,
    Done,
    ForgetEngine,
    Stop,
    StopEngine,
)
from reconciler.reconcile.conditions import Reason
from reconciler.reconcile.decide import GONE_GRACE_S, decide, decide_gone
from reconciler.reconcile.observed import Gone, GoneJob, Invalid, Unreadable, Valid

PROBLEM = Problem(line=3, column=5, pointer="spec.tracks", message="is missing", hint="add it")
WHOLE = (artifact(1), artifact(2), artifact(3))


def judge(**changes):
    """What is decided for a valid manifest of three tracks, but for these changes."""
    return decide(observed(**changes), MOMENT)


def valid(**changes):
    """The file says this."""
    return Valid(manifest=manifest(**changes), writable=True)


# ---- files that cannot be acted on -----------------------------------------------------------------------------------


def test_an_invalid_manifest_is_stalled_and_told_why():
    """The first problem with its line, and how to see the rest."""
    decision = judge(file=Invalid(problems=(PROBLEM, PROBLEM)), record=None)
    assert decision.outcome.reason is Reason.INVALID_SPEC
    assert decision.status.state is JobState.FAILED
    assert "3:5: spec.tracks: is missing" in decision.status.error_message
    assert f"reconciler validate {PATH}" in decision.status.error_message
    assert condition(decision, "Valid").status == "False"
    assert condition(decision, "Stalled").reason == Reason.INVALID_SPEC


def test_a_target_outside_the_library_is_an_invalid_spec():
    """Found by the daemon, which knows the library; the answer is the same as for any other problem."""
    decision = judge(file=valid(spec=release_spec(target_dir="/etc")), record=None)
    assert decision.outcome.reason is Reason.INVALID_SPEC
    assert "library.roots" in decision.status.error_message


def test_half_a_save_is_not_written_into():
    """An invalid file that has just changed is looked at again before anything is said in it."""
    decision = judge(file=Invalid(problems=(PROBLEM,)), record=None, changed_at_unix_s=NOW - 0.5)
    assert decision.status is None
    assert decision.outcome == Again(after_s=1.5)


@pytest.mark.parametrize("file", [Invalid(problems=(PROBLEM,)), Unreadable(message="the file is empty")])
def test_a_broken_edit_stops_nothing(file):
    """The job goes on by what the file last said."""
    decision = judge(file=file, record=record(state=JobState.RUNNING), progress=progress(None, "fetching"))
    assert decision.actions == ()
    assert decision.record.state is JobState.RUNNING
    assert decision.record.spec_digest == "sha256:one"


def test_an_unreadable_file_is_not_written():
    """There is nothing that a status could be put into."""
    decision = judge(file=Unreadable(message="the file is empty"), record=None)
    assert decision.status is None
    assert decision.outcome == Stop(reason=Reason.UNREADABLE, message="the file is empty")


def test_a_job_may_complete_while_its_file_is_broken_and_does_not_move():
    """The fact is stored; a person is at work on the file, so it stays."""
    decision = judge(
        file=Invalid(problems=(PROBLEM,)), record=record(state=JobState.RUNNING), progress=progress("completed")
    )
    assert decision.record.state is JobState.COMPLETED
    assert decision.finished
    assert not decision.archive
    repaired = judge(record=decision.record, artifacts=WHOLE)
    assert repaired.archive
    assert condition(repaired, "Ready").status == "True"


def test_a_repaired_file_says_again_why_its_job_had_failed():
    """What was said of the broken file is gone with it."""
    failed = record(state=JobState.RUNNING, attempts=2)
    broken = judge(file=Invalid(problems=(PROBLEM,)), record=failed, progress=progress("failed"))
    assert broken.record.state is JobState.FAILED
    repaired = judge(record=broken.record)
    assert condition(repaired, "Valid").status == "True"
    assert repaired.outcome.reason is Reason.RETRIES_EXHAUSTED


def test_after_a_restart_a_broken_file_has_a_pending_job():
    """Nobody knows any more what it asked for, so nothing runs."""
    decision = judge(file=Invalid(problems=(PROBLEM,)), record=record(state=JobState.RUNNING))
    assert decision.record.state is JobState.PENDING
    assert decision.actions == ()


def test_the_second_file_of_a_job_is_stalled():
    """Both paths are named, and the job of the first goes on untouched."""
    first = "jobs/active/first.yml"
    decision = judge(
        record=record(path=first, state=JobState.RUNNING), duplicate_of=first, progress=progress(None, "fetching")
    )
    assert decision.outcome.reason is Reason.DUPLICATE_JOB_ID
    assert decision.record is None
    assert decision.actions == ()
    assert first in decision.status.error_message
    assert PATH in decision.status.error_message
    assert decision.status.completed_tracks == ()


def test_a_completed_copy_wins():
    """A file with the id of a manifest in jobs/completed does not run."""
    decision = judge(completed_copy="jobs/completed/loveless.yml", record=None)
    assert decision.outcome.reason is Reason.ALREADY_COMPLETED
    assert decision.actions == ()
    assert "jobs/completed/loveless.yml" in decision.status.error_message


def test_a_completed_copy_ends_the_job_that_runs():
    """Another machine finished it first: this one stops, then forgets."""
    running = record(state=JobState.RUNNING)
    decision = judge(completed_copy="jobs/completed/x.yml", record=running, progress=progress(None, "fetching"))
    assert decision.actions == (StopEngine(job_id=JOB),)
    assert isinstance(decision.outcome, Again)
    after = judge(completed_copy="jobs/completed/x.yml", record=running, progress=progress("stopped"))
    assert after.actions == (ForgetEngine(job_id=JOB),)
    assert after.outcome.reason is Reason.ALREADY_COMPLETED


def test_the_file_of_a_completed_job_that_came_back_moves_again():
    """Syncthing may resurrect a file that was moved; it asks for nothing new."""
    done = record(state=JobState.COMPLETED, completed_at=NOW - 9)
    decision = judge(completed_copy="jobs/completed/loveless.yml", record=done, artifacts=WHOLE)
    assert decision.archive


def test_a_file_that_speaks_for_no_job_has_the_time_of_its_last_change():
    """A restart of the daemon must not look like a change in a file that stayed as it was."""
    changes = {"file": Invalid(problems=(PROBLEM,)), "record": None, "changed_at_unix_s": 60.0}
    assert condition(judge(**changes), "Ready").last_transition_time == "1970-01-01T00:01:00Z"
    said = judge(**changes).status.conditions
    later = judge(**{**changes, "changed_at_unix_s": 3600.0, "last_conditions": said})
    assert later.status.conditions == said


def test_nothing_is_done_for_a_file_that_is_not_there():
    """Its job is judged apart."""
    assert judge(file=Gone()) == Decision(outcome=Done())


# ---- a manifest that went away ---------------------------------------------------------------------------------------


def gone(for_s, **changes):
    """What is decided for a running job whose file is gone."""
    changes = {"record": record(state=JobState.RUNNING), "progress": progress(None, "fetching"), **changes}
    return decide_gone(GoneJob(gone_for_s=for_s, **changes), MOMENT)


def test_a_vanished_file_has_a_grace():
    """git, vim and Syncthing delete and make anew."""
    assert gone(20.0) == Decision(outcome=Again(after_s=GONE_GRACE_S - 20.0))


def test_after_the_grace_the_job_stops_and_its_record_stays():
    """Stopped first, then forgotten; the record says why."""
    stopping = gone(60.0)
    assert stopping.actions == (StopEngine(job_id=JOB),)
    assert stopping.record.state is JobState.RUNNING
    assert [each.reason for each in stopping.record.conditions] == [Reason.MANIFEST_GONE]
    ended = gone(61.0, record=stopping.record, progress=progress("stopped"))
    assert ended == Decision(actions=(ForgetEngine(job_id=JOB),), outcome=Done())
    assert gone(62.0, record=stopping.record, progress=None) == Decision(outcome=Done())


def test_a_file_that_was_moved_to_completed_is_found_there():
    """A crash after the move and before its record: the record follows, nothing is said to be gone."""
    decision = gone(0.0, completed_copy="jobs/completed/x.yml", progress=None, record=record(state=JobState.COMPLETED))
    assert decision.record.path == "jobs/completed/x.yml"
    assert decision.outcome == Done()


def test_a_completed_job_whose_file_was_taken_away_is_left_as_it_is():
    """Whoever removes the file of a finished job wants no more of it."""
    assert gone(99.0, progress=None, record=record(state=JobState.COMPLETED)) == Decision(outcome=Done())
