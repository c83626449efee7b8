"""What becomes of a job until MusicBrainz has said what it asks for."""

from dataclasses import replace

import pytest
from reconcile_builders import (
    JOB,
    MOMENT,
    NOW,
    artifact,
    condition,
    manifest,
    mbid,
    observed,
    progress,
    reason,
    record,
    release_spec,
    resolved_release,
)

from reconciler.manifests.model import Directives, JobState, Suspend
from reconciler.musicbrainz.model import Subject
from reconciler.reconcile.actions import Again, Done, ForgetEngine, LookUp, RecordSpec, StartEngine, Stop, StopEngine
from reconciler.reconcile.conditions import Reason
from reconciler.reconcile.decide import decide
from reconciler.reconcile.foresee import foresee
from reconciler.reconcile.observed import Failure, LookUpState, Valid

LOOK = LookUp(job_id=JOB, generation=1, subject=Subject(kind="release", mbid=mbid(100)))


def unlisted(directives=None, **changes):
    """A pass that sees a release without a track list."""
    wish = replace(manifest(release_spec(None)), directives=directives or Directives())
    return observed(file=Valid(manifest=wish, writable=True), **changes)


def failed(code, retry_at=None):
    """A look-up that came to nothing."""
    return LookUpState(generation=1, failure=Failure(code=code, message="why; what to do", retry_at=retry_at))


def test_it_is_recorded_before_it_is_looked_up():
    """What is found belongs to a generation."""
    seen = unlisted(record=None)
    assert [type(action) for action in decide(seen, MOMENT).actions] == [RecordSpec]


def test_it_is_looked_up_once_and_waited_for():
    """The pass only begins the look-up; its end comes as another pass."""
    decided = decide(unlisted(), MOMENT)
    assert decided.actions == (LOOK,)
    assert decided.outcome == Done()
    assert (reason(decided), decided.status.state) == ("ResolvingRelease", JobState.PENDING)
    assert condition(decided, "Reconciling").message == (
        f"release {mbid(100)} is looked up at https://musicbrainz.org/ws/2"
    )
    under_way = decide(unlisted(looking_up=LookUpState(generation=1)), MOMENT)
    assert (under_way.actions, under_way.outcome) == ((), Done())
    assert under_way.status.conditions[0].reason == "ResolvingRelease"


def test_what_was_found_is_fetched():
    """As if it were listed in the manifest."""
    decided = decide(unlisted(resolved=resolved_release()), MOMENT)
    (start,) = decided.actions
    assert isinstance(start, StartEngine)
    assert [each.want.position for each in start.order.tracks] == [1, 2, 3]
    assert condition(decided, "Valid").reason == "Accepted"


def test_a_merged_id_is_said_and_followed():
    """Nothing is wrong with the manifest; the id that holds now is there to be copied."""
    decided = decide(unlisted(resolved=resolved_release(mbid=mbid(7))), MOMENT)
    assert isinstance(decided.actions[0], StartEngine)
    valid = condition(decided, "Valid")
    assert (valid.status, valid.reason) == ("True", "MergedID")
    assert mbid(7) in valid.message


@pytest.mark.parametrize(
    ("code", "reason_said"),
    [
        ("not found", Reason.NOT_IN_MUSICBRAINZ),
        ("nothing to fetch", Reason.NOTHING_TO_FETCH),
        ("offline", Reason.MUSICBRAINZ_OFFLINE),
        ("refused", Reason.MUSICBRAINZ_REFUSED),
    ],
)
def test_what_waiting_does_not_help_is_stalled(code, reason_said):
    """With what to do; the engine does not go on for an earlier wish."""
    decided = decide(unlisted(looking_up=failed(code), progress=progress(None, "fetching")), MOMENT)
    assert condition(decided, "Stalled").reason == reason_said
    assert decided.status.error_message == "why; what to do"
    assert decided.record.state is JobState.FAILED
    assert [type(action) for action in decided.actions] == [StopEngine]
    assert isinstance(decided.outcome, Again)
    assert decide(unlisted(looking_up=failed(code)), MOMENT).outcome == Stop(
        reason=reason_said, message="why; what to do"
    )


@pytest.mark.parametrize("code", ["unreachable", "odd answer"])
def test_what_passes_by_itself_is_waited_for(code):
    """Not stalled, and looked up again when its time comes."""
    waiting = decide(unlisted(looking_up=failed(code, retry_at=NOW + 30)), MOMENT)
    assert condition(waiting, "Stalled") is None
    assert condition(waiting, "Reconciling").reason == "MusicBrainzUnreachable"
    assert waiting.outcome == Again(after_s=30)
    assert waiting.actions == ()
    due = decide(unlisted(looking_up=failed(code, retry_at=NOW)), MOMENT)
    assert due.actions == (LOOK,)


def test_a_failure_of_an_earlier_wish_is_none_of_this_one():
    """Another generation is another question."""
    decided = decide(unlisted(looking_up=failed("not found"), record=record(generation=2)), MOMENT)
    assert decided.actions == (replace(LOOK, generation=2),)


def test_who_asks_again_is_not_answered_from_memory():
    """`job retry` after the release was entered at MusicBrainz."""
    wish = replace(manifest(release_spec(None)), reconcile_requested_at="now")
    stuck = record(state=JobState.FAILED, error_message="why")
    seen = observed(file=Valid(manifest=wish, writable=True), record=stuck, looking_up=failed("not found"))
    decided = decide(seen, MOMENT)
    assert decided.actions == (replace(LOOK, fresh=True),)
    assert (decided.record.state, decided.record.last_handled_reconcile_at) == (JobState.PENDING, "now")


def test_the_engine_goes_on_meanwhile():
    """An edit of the constraints needs no pause; what ended for the old wish is dropped."""
    edited = record(generation=2)
    running = decide(unlisted(record=edited, progress=progress(None, "fetching")), MOMENT)
    assert running.actions == (replace(LOOK, generation=2),)
    ended = decide(unlisted(record=edited, progress=progress("completed")), MOMENT)
    assert [type(action) for action in ended.actions] == [ForgetEngine, LookUp]


def test_a_suspended_job_asks_nobody():
    """Until it may run."""
    decided = decide(unlisted(Directives(suspend=Suspend(reason="later"))), MOMENT)
    assert (decided.actions, reason(decided)) == ((), "Suspended")
    assert condition(decided, "Ready").message == "later; until spec.suspend is taken out"


def test_a_cancelled_job_ends_without_an_answer():
    """Nobody needs to know any more."""
    decided = decide(unlisted(Directives(desired_state="cancelled")), MOMENT)
    assert (decided.archive, decided.record.state) == (True, JobState.CANCELLED)


def test_what_is_published_of_a_known_release_counts():
    """Nothing is asked for twice after an edit that was looked up anew."""
    seen = unlisted(
        record=record(generation=2),
        resolved=resolved_release(),
        earlier_artifacts=(artifact(1), artifact(2), artifact(3)),
    )
    assert foresee(seen, MOMENT).published == (1, 2, 3)


def test_a_plan_says_what_would_be_looked_up():
    """And stops there: what follows is not known."""
    foreseen = foresee(unlisted(record=None), MOMENT)
    assert [type(step) for step in foreseen.steps] == [RecordSpec]
    assert foreseen.decision.actions == (LOOK,)
    assert foreseen.plan is None
