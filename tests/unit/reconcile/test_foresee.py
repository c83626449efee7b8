"""What the passes over a manifest would come to, from values alone."""

from dataclasses import replace

import pytest
from reconcile_builders import JOB, MOMENT, NOW, artifact, manifest, observed, progress, record, release_spec, track

from reconciler.manifests.model import Directives, JobState, Suspend
from reconciler.reconcile.actions import (
    AddIdentity,
    Again,
    CarryArtifacts,
    Done,
    RecordSpec,
    StartEngine,
    Stop,
    StopEngine,
)
from reconciler.reconcile.foresee import NEW_JOB_ID, foresee
from reconciler.reconcile.observed import Gone, Invalid, Valid


def reasons(foreseen):
    return [each.reason for each in foreseen.conditions if each.type == "Ready"]


def test_a_new_manifest_is_followed_to_the_fetch():
    """An id, the record, the engine: each step is taken as done."""
    fresh = observed(file=Valid(manifest=manifest(job_id=None), writable=True), record=None)
    foreseen = foresee(fresh, MOMENT)
    assert [type(step) for step in foreseen.steps] == [AddIdentity, RecordSpec]
    (start,) = foreseen.decision.actions
    assert isinstance(start, StartEngine)
    assert foreseen.observed.record.job_id == NEW_JOB_ID
    assert (foreseen.news, foreseen.observed.record.generation) == ("new", 1)
    assert [each.want.position for each in foreseen.to_fetch] == [1, 2, 3]
    assert reasons(foreseen) == ["Fetching"]


def test_a_changed_spec_keeps_what_is_still_wanted():
    """The next generation begins with what the last one published; only the rest would be fetched."""
    wish = manifest(release_spec((track(1), track(2), track(4))), digest="sha256:two")
    published = (artifact(1), artifact(2), artifact(3))
    seen = observed(file=Valid(manifest=wish, writable=True), artifacts=published)
    foreseen = foresee(seen, MOMENT)
    assert [type(step) for step in foreseen.steps] == [RecordSpec, CarryArtifacts]
    assert (foreseen.news, foreseen.observed.record.generation) == ("changed", 2)
    assert foreseen.published == (1, 2)
    assert [each.want.position for each in foreseen.to_fetch] == [4]


def test_a_whole_job_would_be_completed_and_moved():
    """Nothing is left to fetch."""
    foreseen = foresee(observed(artifacts=(artifact(1), artifact(2), artifact(3))), MOMENT)
    assert (foreseen.news, foreseen.to_fetch, foreseen.decision.archive) == ("unchanged", (), True)
    assert reasons(foreseen) == ["Completed"]


@pytest.mark.parametrize(
    ("seen", "outcome", "reason"),
    [
        (observed(progress=progress(None, "fetching"), record=record(state=JobState.RUNNING)), Done, "Fetching"),
        (observed(record=record(state=JobState.FAILED, attempts=1, retry_at=NOW + 60)), Again, "Retrying"),
        (observed(record=record(state=JobState.FAILED, attempts=3)), Stop, "RetriesExhausted"),
        (observed(library_roots_present=frozenset()), Again, "LibraryMissing"),
        (observed(file=Invalid(problems=())), Stop, "InvalidSpec"),
    ],
)
def test_where_nothing_is_done_the_reason_is_foreseen(seen, outcome, reason):
    """The decision that would be made now is the last word."""
    foreseen = foresee(seen, MOMENT)
    assert foreseen.steps == ()
    assert isinstance(foreseen.decision.outcome, outcome)
    assert reasons(foreseen) == [reason]


def test_a_request_is_followed_to_the_next_try():
    """`reconcile_requested_at` makes a stalled job start; the step in between is not the last word."""
    wish = replace(manifest(), reconcile_requested_at="now")
    stalled = record(state=JobState.FAILED, attempts=3)
    foreseen = foresee(observed(file=Valid(manifest=wish, writable=True), record=stalled), MOMENT)
    assert reasons(foreseen) == ["Fetching"]


@pytest.mark.parametrize(
    ("directives", "step", "reason"),
    [
        (Directives(), StartEngine, "Fetching"),
        (Directives(suspend=Suspend()), StopEngine, "Suspended"),
        (Directives(desired_state="cancelled"), StopEngine, "Cancelled"),
    ],
)
def test_an_edit_under_a_running_job_changes_or_stops_it(directives, step, reason):
    """The engine goes on under the new order where the job may still run, and lets go where it may not."""
    digest = "sha256:two"
    wish = replace(manifest(digest=digest), directives=directives)
    running = record(state=JobState.RUNNING)
    seen = observed(file=Valid(manifest=wish, writable=True), record=running, progress=progress(None, "fetching"))
    foreseen = foresee(seen, MOMENT)
    assert [type(taken) for taken in (*foreseen.steps, *foreseen.decision.actions)] == [RecordSpec, step]
    assert reasons(foreseen) == [reason]


def test_a_job_that_rests_is_not_started():
    """A suspended manifest is recorded and no more."""
    wish = replace(manifest(), directives=Directives(suspend=Suspend(reason="later")))
    foreseen = foresee(observed(file=Valid(manifest=wish, writable=True), record=None), MOMENT)
    assert [type(step) for step in foreseen.steps] == [RecordSpec]
    assert (foreseen.decision.actions, reasons(foreseen)) == ((), ["Suspended"])


def test_a_target_that_is_not_allowed_is_a_problem():
    """The manifest is valid, and its configuration says no."""
    wish = manifest(release_spec(target_dir="/elsewhere"))
    foreseen = foresee(observed(file=Valid(manifest=wish, writable=True)), MOMENT)
    assert foreseen.plan is None
    assert foreseen.problem.pointer == "spec.target_dir"


def test_no_file_is_nothing():
    """There is nothing to foresee, and nothing is wrong."""
    foreseen = foresee(observed(file=Gone(), record=None), MOMENT)
    assert (foreseen.plan, foreseen.problem, foreseen.to_fetch, foreseen.conditions) == (None, None, (), ())
    assert JOB != NEW_JOB_ID
