"""The judgement of a pass, case by case: what is seen, and what should change."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reconcile_builders import (
    JOB,
    MOMENT,
    NOW,
    OTHER_JOB,
    PATH,
    artifact,
    condition,
    manifest,
    observed,
    progress,
    reason,
    record,
    release_spec,
)

from reconciler.manifests.model import JobState, JobType, Problem
from reconciler.reconcile import conditions as say
from reconciler.reconcile.actions import (
    AddIdentity,
    Again,
    AwaitSlot,
    CarryArtifacts,
    Decision,
    Done,
    ForgetEngine,
    RecordSpec,
    StartEngine,
    Stop,
    StopEngine,
)
from reconciler.reconcile.conditions import Reason
from reconciler.reconcile.decide import decide
from reconciler.reconcile.observed import Gone, Invalid, Unreadable, Valid

PROBLEM = Problem(line=3, column=5, pointer="spec.tracks", message="is missing", hint="add it")
WHOLE = (artifact(1), artifact(2), artifact(3))


def judge(**changes):
    """What is decided for a valid manifest of three tracks, but for these changes."""
    return decide(observed(**changes), MOMENT)


def valid(**changes):
    """The file says this."""
    return Valid(manifest=manifest(**changes), writable=True)


# ---- a file that has just come ---------------------------------------------------------------------------------------


def test_a_manifest_without_id_is_given_one():
    """First the identity; everything else is for the next pass."""
    decision = judge(file=valid(job_id=None), record=None)
    assert decision == Decision(actions=(AddIdentity(job_id=None),), outcome=Again(after_s=0.0))


def test_a_manifest_that_lost_its_id_gets_the_same_again():
    """Git puts back the version from before the id was added: it is the same job while it asks for the same."""
    assert judge(file=valid(job_id=None)).actions == (AddIdentity(job_id=JOB),)
    assert judge(file=valid(job_id=None, digest="sha256:other")).actions == (AddIdentity(job_id=None),)


def test_a_link_without_id_is_left_alone():
    """What cannot be written cannot be given an id, and says so."""
    decision = judge(file=Valid(manifest=manifest(job_id=None), writable=False), record=None)
    assert decision.actions == ()
    assert decision.outcome == Stop(reason=Reason.NO_JOB_ID, message=decision.outcome.message)
    assert "job_id" in decision.outcome.message


def test_a_new_spec_is_recorded_before_anything_is_done():
    """The generation is durable before the engine hears of it."""
    decision = judge(record=None)
    seen = RecordSpec(job_id=JOB, job_type=JobType.MB_RELEASE, spec_digest="sha256:one", document=b"")
    assert decision == Decision(actions=(seen,), outcome=Again(after_s=0.0))


@pytest.mark.parametrize(
    "before", [record(spec_digest="sha256:zero"), record(path="jobs/active/old name.yml")], ids=["spec", "path"]
)
def test_a_changed_spec_or_name_is_recorded(before):
    """An edit and a rename are both news for the database."""
    [action] = judge(record=before).actions
    assert isinstance(action, RecordSpec)


def test_a_recorded_job_starts():
    """Pending becomes running, the engine gets all tracks, the file hears of it."""
    decision = judge()
    [start] = decision.actions
    assert isinstance(start, StartEngine)
    assert [track.want.position for track in start.order.tracks] == [1, 2, 3]
    assert decision.record.state is JobState.RUNNING
    assert decision.record.started_at == NOW
    assert decision.status.pending_tracks == (1, 2, 3)
    assert reason(decision) == Reason.FETCHING
    assert decision.outcome == Done()
    assert not decision.finished


def test_only_what_is_missing_is_fetched():
    """After a crash the order holds the tracks that have no artifact; the start stays that of the first time."""
    decision = judge(artifacts=(artifact(2),), record=record(state=JobState.RUNNING, started_at=NOW - 500))
    [start] = decision.actions
    assert [track.want.position for track in start.order.tracks] == [1, 3]
    assert decision.status.completed_tracks == (2,)
    assert decision.record.started_at == NOW - 500


def test_a_job_waits_in_line_while_the_engine_is_full():
    """Pending, and not stalled: it comes by itself."""
    decision = judge(slot_free=False)
    assert decision.actions == ()
    assert decision.outcome == AwaitSlot(rank=(0, "", JOB))
    assert decision.status.state is JobState.PENDING
    assert reason(decision) == Reason.WAITING_FOR_SLOT


def test_a_missing_library_is_waited_for():
    """A disk that is not mounted is no mistake in the manifest."""
    decision = judge(library_roots_present=frozenset())
    assert decision.actions == ()
    assert isinstance(decision.outcome, Again)
    assert reason(decision) == Reason.LIBRARY_MISSING
    assert "/srv/library" in condition(decision, "Ready").message
    assert condition(decision, "Stalled") is None


# ---- while the engine works ------------------------------------------------------------------------------------------


def test_progress_goes_into_the_status():
    """The engine's phases become the lists of tracks."""
    decision = judge(record=record(state=JobState.RUNNING), progress=progress(None, "fetching", "failed", "pending"))
    assert decision.actions == ()
    assert decision.outcome == Done()
    assert decision.status.in_progress_tracks == (1,)
    assert decision.status.failed_tracks == (2,)


def test_nothing_changes_when_nothing_changed():
    """A second pass over the same state stores nothing: doubled events are free."""
    first = judge(progress=progress(None, "fetching"))
    again = judge(record=first.record, progress=progress(None, "fetching"))
    assert again.record is None
    assert again.status == first.status


def test_an_edit_is_handed_to_the_job_that_runs_by_the_old_spec():
    """The engine is given the new order and goes on; what has stopped under the old one starts again."""
    decision = judge(record=record(generation=2, state=JobState.RUNNING), progress=progress(None, "fetching"))
    (start,) = decision.actions
    assert isinstance(start, StartEngine)
    assert start.order.generation == 2
    assert isinstance(decision.outcome, Again)
    stopped = judge(record=record(generation=2), progress=progress("stopped", "fetching"))
    assert stopped.actions == (ForgetEngine(job_id=JOB),)
    assert stopped.outcome == Again(after_s=0.0)
    assert stopped.record is None


def test_the_failure_of_an_old_generation_does_not_count():
    """What went wrong with the spec from before is no attempt of the new one."""
    decision = judge(record=record(generation=2), progress=progress("failed", "failed"))
    assert decision.record is None
    assert decision.actions == (ForgetEngine(job_id=JOB),)


def test_an_edit_carries_what_it_does_not_concern():
    """Artifacts of the generation before that are still asked for count for the new one."""
    earlier = (artifact(1), replace(artifact(2), recording=None), artifact(3))
    decision = judge(record=record(generation=2), earlier_artifacts=earlier, artifacts=(artifact(3),))
    carry = CarryArtifacts(job_id=JOB, from_generation=1, to_generation=2, positions=frozenset({1}))
    assert decision == Decision(actions=(carry,), outcome=Again(after_s=0.0))


# ---- the end ---------------------------------------------------------------------------------------------------------


def test_a_whole_job_is_completed_and_moves():
    """Fact, status, move: all of it from one look, and the trace is told."""
    decision = judge(
        record=record(state=JobState.RUNNING, started_at=NOW - 9, error_message="earlier trouble"),
        artifacts=WHOLE,
        progress=progress("completed", "completed", "completed", "completed"),
    )
    assert decision.record.state is JobState.COMPLETED
    assert decision.record.completed_at == NOW
    assert decision.record.error_message == ""
    assert decision.finished
    assert decision.actions == (ForgetEngine(job_id=JOB),)
    assert decision.status.completed_tracks == (1, 2, 3)
    assert condition(decision, "Ready").status == "True"
    assert decision.archive


def test_a_job_whose_tracks_are_all_there_never_starts():
    """A crash after the last artifact, or a file copied back: nothing is fetched."""
    decision = judge(artifacts=WHOLE, slot_free=False, library_roots_present=frozenset())
    assert decision.actions == ()
    assert decision.archive
    assert decision.finished


def test_a_completed_job_whose_file_is_still_there_moves():
    """After a crash between the fact and the move: the same end, told once."""
    done = judge(artifacts=WHOLE).record
    again = decide(observed(record=done, artifacts=WHOLE), replace(MOMENT, now_unix_s=NOW + 60))
    assert again.archive
    assert again.record is None
    assert not again.finished
    assert again.status.completed_at == "1970-01-12T13:46:40Z"


def test_a_whole_job_waits_for_the_engine_to_let_go():
    """While the engine is still closing files the manifest stays."""
    decision = judge(artifacts=WHOLE, progress=progress(None, "completed", "completed", "completed"))
    assert not decision.archive
    assert decision.outcome == Done()


def test_an_end_without_a_record_of_every_track_is_a_failure():
    """Completed is what the database says, not what the engine says."""
    decision = judge(
        record=record(state=JobState.RUNNING),
        artifacts=(artifact(1),),
        progress=progress("completed", "completed", "completed", "completed"),
    )
    assert decision.record.state is JobState.FAILED
    assert "2, 3" in decision.record.error_message
    assert isinstance(decision.outcome, Again)
    assert not decision.archive


# ---- failure ---------------------------------------------------------------------------------------------------------


def test_a_failure_that_may_pass_is_tried_again():
    """Attempt counted, next try planned, and the engine forgets."""
    decision = judge(record=record(state=JobState.RUNNING), progress=progress("failed", "failed"))
    assert decision.record.state is JobState.FAILED
    assert (decision.record.attempts, decision.record.retry_at) == (1, NOW + 30)
    assert decision.outcome == Again(after_s=30.0)
    assert decision.actions == (ForgetEngine(job_id=JOB),)
    assert reason(decision) == Reason.RETRYING
    assert decision.status.error_message == "no peer has it"
    assert not decision.finished


def test_each_failure_waits_twice_as_long():
    """The second attempt of three: a minute."""
    decision = judge(record=record(attempts=1), progress=progress("failed", "failed"))
    assert decision.record.retry_at == NOW + 60


def test_a_job_is_stalled_after_its_last_attempt():
    """The limit ends it, and the message says what to do."""
    decision = judge(record=record(attempts=2), progress=progress("failed", "failed"))
    assert (decision.record.attempts, decision.record.retry_at) == (3, None)
    assert decision.outcome.reason is Reason.RETRIES_EXHAUSTED
    assert condition(decision, "Stalled").reason == Reason.RETRIES_EXHAUSTED
    assert "edit" in condition(decision, "Stalled").message
    assert decision.finished


def test_a_failure_that_cannot_pass_is_not_tried_again():
    """One attempt, then a person."""
    decision = judge(record=record(), progress=progress("failed", "failed", retriable=False))
    assert decision.record.retry_at is None
    assert decision.outcome.reason is Reason.NOT_RETRIABLE
    assert decision.finished


def test_a_failed_job_waits_for_its_time():
    """Between failure and retry nothing starts, also after a restart."""
    failed = record(state=JobState.FAILED, attempts=1, retry_at=NOW + 12, error_message="no peer has it")
    decision = judge(record=failed)
    assert decision.actions == ()
    assert decision.outcome == Again(after_s=12.0)


def test_a_failed_job_starts_again_when_its_time_has_come():
    """The attempts stay counted, the error goes."""
    failed = record(state=JobState.FAILED, attempts=1, retry_at=NOW - 1, error_message="no peer has it")
    decision = judge(record=failed)
    assert isinstance(decision.actions[0], StartEngine)
    assert (decision.record.attempts, decision.record.retry_at, decision.record.error_message) == (1, None, "")


@pytest.mark.parametrize(("attempts", "why"), [(3, Reason.RETRIES_EXHAUSTED), (1, Reason.NOT_RETRIABLE)])
def test_a_stalled_job_stays_so_after_a_restart(attempts, why):
    """Nothing starts, the reason is the same, and the end is not told again."""
    stuck = record(state=JobState.FAILED, attempts=attempts, error_message="no peer has it")
    decision = judge(record=stuck)
    assert decision.outcome.reason is why
    assert decision.actions == ()
    assert not decision.finished


# ---- always ----------------------------------------------------------------------------------------------------------

RECORDS = st.one_of(
    st.none(),
    st.builds(
        record,
        state=st.sampled_from(JobState),
        generation=st.integers(1, 2),
        attempts=st.integers(0, 4),
        retry_at=st.sampled_from([None, NOW - 5, NOW + 5]),
        completed_at=st.sampled_from([None, NOW - 5]),
        path=st.sampled_from([PATH, "jobs/active/other.yml", "jobs/completed/loveless.yml"]),
        spec_digest=st.sampled_from(["sha256:one", "sha256:zero"]),
        conditions=st.sampled_from([(), say.completed()]),
    ),
)
FILES = st.sampled_from(
    [
        valid(),
        valid(job_id=None),
        valid(job_id=OTHER_JOB),
        valid(spec=release_spec(target_dir="/etc")),
        Invalid(problems=(PROBLEM,)),
        Unreadable(message="the file is empty"),
        Gone(),
    ]
)
PROGRESS = st.one_of(
    st.none(),
    st.builds(
        progress,
        st.sampled_from([None, "completed", "failed", "stopped"]),
        st.sampled_from(["pending", "fetching", "completed", "failed"]),
        generation=st.integers(1, 2),
        retriable=st.booleans(),
    ),
)
ARTIFACTS = st.sampled_from([(), (artifact(1),), WHOLE])


@given(
    file=FILES,
    known=RECORDS,
    memory=PROGRESS,
    artifacts=ARTIFACTS,
    earlier=ARTIFACTS,
    slot_free=st.booleans(),
    duplicate=st.sampled_from(["", "jobs/active/other.yml"]),
    copy=st.sampled_from(["", "jobs/completed/loveless.yml"]),
)
def test_every_decision_keeps_the_promises(*, file, known, memory, artifacts, earlier, slot_free, duplicate, copy):
    """Whatever is seen: nothing runs twice, nothing moves unless it is whole, and a look again has a time."""
    decision = judge(
        file=file,
        record=known,
        progress=memory,
        artifacts=artifacts,
        earlier_artifacts=earlier,
        slot_free=slot_free,
        duplicate_of=duplicate,
        completed_copy=copy,
    )
    kinds = [type(action) for action in decision.actions]
    assert len(kinds) <= 1
    if StartEngine in kinds:
        # What runs already is only given the order of another generation, which may leave it nothing to do, and has its
        # slot.
        is_edit = memory is not None
        assert not is_edit or (memory.outcome is None and memory.generation != decision.actions[0].order.generation)
        assert slot_free or is_edit
        assert not duplicate
        held = {each.position for each in artifacts}
        asked = {each.want.position for each in decision.actions[0].order.tracks}
        assert asked or is_edit
        assert not asked & held
    if StopEngine in kinds:
        assert memory.outcome is None
    if ForgetEngine in kinds:
        assert memory.outcome is not None
    if decision.archive:
        assert artifacts == WHOLE
        assert (decision.record or known).state is JobState.COMPLETED
    if decision.finished:
        assert decision.record.state is not known.state
    if isinstance(decision.outcome, Again):
        assert decision.outcome.after_s >= 0.0
        assert decision.outcome.after_s > 0.0 or decision.actions
    if isinstance(decision.outcome, Stop):
        assert decision.outcome.message or decision.record is None
