"""Jobs of which only MusicBrainz knows what they ask for, through the loop."""

import textwrap

from reconcile_builders import JOB, mbid, resolved_release

from reconciler.errors import ExitCode
from reconciler.manifests.model import JobState
from reconciler.reconcile.observed import Failure

RELEASE = mbid(100)


def wish(*, extra=""):
    """A release without a track list."""
    return textwrap.dedent(f"""\
        manifest_version: "1.0"
        job_id: {JOB}
        job_type: mb_release
        spec:
          mb_release_id: {RELEASE}
          target_dir: library
        """) + textwrap.indent(extra, "  ")


def test_a_release_is_looked_up_fetched_and_done(world):
    """Without a person, and without a pass that waits."""
    world.lookups.answers = [resolved_release()]
    world.write("a.yml", wish())
    result = world.once()
    assert result.exit_code is ExitCode.OK
    assert world.completed() == ["a.yml"]
    assert world.engine.fetched == [[1, 2, 3]]
    assert "completed_tracks: [1, 2, 3]" in world.status("a.yml", folder="completed")
    assert len(world.lookups.looks) == 1


def test_a_restart_asks_nobody(world):
    """What was found is in the database; the job goes on by it."""
    world.lookups.answers = [resolved_release()]
    world.write("a.yml", wish())
    world.run_for(2.2)
    assert world.store.get(JOB).state is JobState.RUNNING
    world.restart()
    world.once()
    assert world.completed() == ["a.yml"]
    assert world.lookups.looks == []


def test_the_file_says_what_is_waited_for(world):
    """Resolving, then unreachable, then fetched: never stalled."""
    world.lookups.answers = [
        Failure(code="unreachable", message="nobody answers", retry_at=world.time.wall() + 50),
        resolved_release(),
    ]
    world.write("a.yml", wish())
    world.run_for(0.5)
    assert "reason: ResolvingRelease" in world.status("a.yml")
    world.run_for(40)
    assert "reason: MusicBrainzUnreachable" in world.status("a.yml")
    assert "Stalled" not in world.status("a.yml")
    world.run_for(60)
    assert world.completed() == ["a.yml"]
    assert len(world.lookups.looks) == 2


def test_an_unknown_release_is_stalled_until_somebody_acts(world):
    """A restart asks what is remembered; `job retry` asks for a fresh answer."""
    world.lookups.answers = [Failure(code="not found", message="no such release", retry_at=None)]
    world.write("a.yml", wish())
    assert world.once().exit_code is ExitCode.NOT_ALL_COMPLETED
    assert "reason: NotInMusicBrainz" in world.status("a.yml")
    world.restart()
    world.lookups.answers = [Failure(code="not found", message="no such release", retry_at=None)]
    world.once()
    assert "reason: NotInMusicBrainz" in world.status("a.yml")
    text = (world.folders.active / "a.yml").read_text()
    world.write("a.yml", text.replace("job_type", "reconcile_requested_at: now\njob_type"))
    world.restart()
    world.lookups.answers = [resolved_release()]
    world.once()
    assert [look.fresh for look in world.lookups.looks] == [True]
    assert world.completed() == ["a.yml"]


def test_an_edit_while_it_runs_keeps_what_is_there(world):
    """The other wish is looked up beside; a track that both ask for is not fetched again."""
    world.lookups.answers = [resolved_release()]
    world.write("a.yml", wish())
    world.run_for(2.2)
    assert world.engine.fetched == [[1, 2, 3]]
    world.write("a.yml", wish(extra="priority: 5\n"))
    world.reconciler.on_path("jobs/active/a.yml")
    world.run_for(30)
    assert [look.generation for look in world.lookups.looks] == [1, 2]
    assert world.completed() == ["a.yml"]
    assert all(1 not in positions for positions in world.engine.fetched[1:])
