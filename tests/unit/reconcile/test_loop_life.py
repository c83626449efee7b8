"""A job's life as its manifest directs it: rest, order, waiting, cancelling, other nodes, other versions."""

import pytest
from reconcile_builders import JOB, OTHER_JOB
from reconcile_world import START, Script, job_id_of, release

from reconciler.clock import rfc3339
from reconciler.errors import ExitCode
from reconciler.manifests.model import JobState
from reconciler.manifests.splice import without_status
from reconciler.reconcile.conditions import Reason
from reconciler.traces.model import EventType

THIRD_JOB = "01HRQ4GSX9K47J7M5FK7VW8B14"


def reasons(world, job_id=JOB):
    """Why a job is as it is, by its record."""
    return {condition.reason for condition in world.store.get(job_id).conditions}


def ordered(world):
    """Which jobs the engine was given, in order."""
    return [order.job_id for order in world.engine.orders]


# ---- rest ------------------------------------------------------------------------------------------------------------


def test_a_suspended_job_rests_until_the_field_is_taken_out(world):
    """It is told, and fetched once it may."""
    world.write("a.yml", release(JOB, extra="  suspend: {reason: not yet}\n"))
    world.at(100, lambda: world.write("a.yml", release(JOB)))
    world.run_for(90)
    assert world.engine.orders == []
    assert "reason: Suspended" in world.status("a.yml")
    assert "not yet" in world.status("a.yml")
    world.run_for(100)
    assert world.completed() == ["a.yml"]


def test_a_job_that_is_suspended_while_it_runs_keeps_what_it_has(world):
    """Track 1 is there; after the rest only the other two are fetched."""
    world.write("a.yml", release(JOB, tracks=3))
    world.at(1.2, lambda: world.write("a.yml", release(JOB, tracks=3, extra="  suspend: true\n")))
    world.at(1.2, lambda: world.reconciler.on_path("jobs/active/a.yml"))
    world.at(100, lambda: world.write("a.yml", release(JOB, tracks=3)))
    world.run_for(99)
    assert world.engine.progress(JOB) is None
    assert world.store.get(JOB).state is JobState.PENDING
    world.run_for(100)
    assert world.engine.fetched == [[1, 2, 3], [2, 3]]
    assert world.completed() == ["a.yml"]


def test_a_job_that_rests_until_a_time_goes_on_by_itself(world):
    """Also when the daemon was stopped in between."""
    world.write("a.yml", release(JOB, extra=f"  suspend: {{until: '{rfc3339(START + 500)}'}}\n"))
    world.run_for(100)
    world.restart()
    world.run_for(399)
    assert world.engine.orders == []
    world.run_for(20)
    assert world.completed() == ["a.yml"]


# ---- order -----------------------------------------------------------------------------------------------------------


def test_the_higher_priority_gets_the_engine_first(world):
    """Eight jobs, of which the last two matter; among equals the older goes first."""
    ids = [f"01HRQ4GSX9K47J7M5FK7VW8B{n:02}" for n in range(8)]
    for n, job_id in enumerate(ids):
        world.write(f"{n}.yml", release(job_id, extra=f"  priority: {100 if n > 5 else -n}\n"))
    world.once()
    assert ordered(world)[4:] == [ids[6], ids[7], ids[4], ids[5]]
    assert len(world.completed()) == 8


def test_a_job_waits_for_the_one_it_needs_and_starts_at_once_then(world):
    """No rescan is needed in between: the end of the one wakes the other."""
    world.write("a.yml", release(JOB, extra=f"  depends_on: [{OTHER_JOB}]\n"))
    world.write("b.yml", release(OTHER_JOB))
    started = []
    world.engine.on_start = lambda order: started.append((order.job_id, world.time.now))
    world.run_for(20)
    assert [job_id for job_id, _ in started] == [OTHER_JOB, JOB]
    assert started[1][1] == pytest.approx(2.5, abs=0.2)
    assert world.completed() == ["a.yml", "b.yml"]


def test_a_job_waits_for_one_that_is_not_known_until_it_comes(world):
    """It says so, and is stalled by nothing."""
    world.write("a.yml", release(JOB, extra=f"  depends_on: [{OTHER_JOB}]\n"))
    world.at(60, lambda: world.write("b.yml", release(OTHER_JOB)))
    world.run_for(50)
    assert f"{OTHER_JOB}, which is not known here" in world.status("a.yml")
    assert "Stalled" not in world.status("a.yml")
    world.run_for(100)
    assert world.completed() == ["a.yml", "b.yml"]


def test_a_job_that_needs_a_failed_one_says_so_and_goes_on_when_it_is_mended(world):
    """The failure is the other's; the edit that mends it wakes both."""
    world.engine.scripts = [Script(fails=True, retriable=False)]
    world.write("a.yml", release(JOB, extra=f"  depends_on: [{OTHER_JOB}]\n"))
    world.write("b.yml", release(OTHER_JOB))
    world.at(100, lambda: world.write("b.yml", release(OTHER_JOB, title="Glider")))
    world.run_for(90)
    assert "which has failed" in world.status("a.yml")
    world.run_for(100)
    assert world.completed() == ["a.yml", "b.yml"]


def test_jobs_that_wait_for_each_other_are_stalled_and_named(world):
    """All three; taking one out of the circle frees the others."""
    circle = {"a.yml": (JOB, OTHER_JOB), "b.yml": (OTHER_JOB, THIRD_JOB), "c.yml": (THIRD_JOB, JOB)}
    for name, (job_id, needed) in circle.items():
        world.write(name, release(job_id, extra=f"  depends_on: [{needed}]\n"))
    world.run_for(60)
    assert world.engine.orders == []
    for name, (job_id, needed) in circle.items():
        assert Reason.DEPENDENCY_CYCLE in reasons(world, job_id)
        assert f"{job_id} -> {needed}" in world.status(name)
    world.write("b.yml", release(OTHER_JOB))
    world.run_for(60)
    assert world.completed() == ["a.yml", "b.yml", "c.yml"]
    assert ordered(world) == [OTHER_JOB, JOB, THIRD_JOB]


def test_a_job_may_need_one_that_another_node_has_finished(world):
    """Its manifest came by sync: nothing of it stands in this database."""
    world.write("other name.yml", release(OTHER_JOB), folder="completed")
    world.write("a.yml", release(JOB, extra=f"  depends_on: [{OTHER_JOB}]\n"))
    world.run_for(60)
    assert world.completed() == ["a.yml", "other name.yml"]


# ---- the end ---------------------------------------------------------------------------------------------------------


def test_a_cancelled_job_stops_and_moves(world):
    """Whatever it was doing; the end is told once."""
    world.engine.scripts = [Script(hangs=True)]
    world.write("a.yml", release(JOB))
    world.at(10, lambda: world.write("a.yml", release(JOB, extra="  desired_state: cancelled\n")))
    world.run_for(100)
    assert world.engine.progress(JOB) is None
    assert world.completed() == ["a.yml"]
    assert "state: cancelled" in world.status("a.yml", folder="completed")
    assert [event.action for event in world.events(JOB, EventType.JOB_COMPLETE)] == ["cancelled"]
    record = world.store.get(JOB)
    assert (record.state, record.path) == (JobState.CANCELLED, "jobs/completed/a.yml")


def test_a_cancelled_job_was_not_completed(world):
    """A script that runs it once is told so."""
    world.write("a.yml", release(JOB, extra="  desired_state: cancelled\n"))
    assert world.once().exit_code is ExitCode.NOT_ALL_COMPLETED
    assert world.completed() == ["a.yml"]


def test_a_job_that_ran_for_its_timeout_fails_until_it_is_edited(world):
    """Ninety seconds of running, then nothing for an hour; the edit is a new try."""
    world.engine.scripts = [Script(hangs=True)]
    world.write("a.yml", release(JOB, extra="  timeout: 90s\n"))
    stopped = []
    world.engine.on_stop = lambda job_id: stopped.append(world.time.now)
    world.run_for(3600)
    assert stopped[0] == pytest.approx(90.0, abs=1.0)
    assert len(world.engine.orders) == 1
    assert "reason: Timeout" in world.status("a.yml")
    assert world.store.get(JOB).state is JobState.FAILED
    world.write("a.yml", release(JOB, extra="  timeout: 2h\n"))
    world.run_for(60)
    assert world.completed() == ["a.yml"]


def test_a_request_makes_a_stalled_job_try_again(world):
    """A word in the manifest that was not there before; the status repeats it."""
    world.engine.scripts = [Script(fails=True, retriable=False)] * 2
    world.write("a.yml", release(JOB))
    world.run_for(20)
    assert len(world.engine.orders) == 1
    asked = f"{release(JOB)}reconcile_requested_at: 2026-11-22T08:00:00Z\n"
    world.write("a.yml", asked)
    world.run_for(60)
    assert len(world.engine.orders) == 2
    assert "last_handled_reconcile_at: 2026-11-22T08:00:00Z" in world.status("a.yml").replace("'", "").replace('"', "")
    assert world.store.get(JOB).generation == 1
    world.run_for(600)
    assert len(world.engine.orders) == 2


# ---- whose it is -----------------------------------------------------------------------------------------------------


def test_a_manifest_for_another_node_stays_as_it_is(world):
    """To the byte and to its times: nothing is written, not even an id; it is nobody's failure either."""
    text = release(extra="  node: cellar\n")
    path = world.write("a.yml", text)
    before = path.stat()
    world.run_for(600)
    after = path.stat()
    assert path.read_text() == text
    assert (before.st_mtime_ns, before.st_ino) == (after.st_mtime_ns, after.st_ino)
    assert world.store.all() == []
    assert world.once().jobs == ()


def test_a_job_that_is_given_to_another_node_is_let_go_and_may_come_back(world):
    """By an edit; what was fetched is kept for its return."""
    world.write("a.yml", release(JOB, tracks=3))
    world.at(1.2, lambda: world.write("a.yml", release(JOB, tracks=3, extra="  node: {disk: small}\n")))
    world.at(1.2, lambda: world.reconciler.on_path("jobs/active/a.yml"))
    world.run_for(50)
    assert world.engine.progress(JOB) is None
    assert Reason.OTHER_NODE in reasons(world)
    world.write("a.yml", release(JOB, tracks=3))
    world.run_for(60)
    assert world.engine.fetched == [[1, 2, 3], [2, 3]]
    assert world.completed() == ["a.yml"]


# ---- other versions --------------------------------------------------------------------------------------------------

COPY = "a.sync-conflict-20261122-061241-S5C2BGY.yml"


def test_an_edit_of_another_machine_is_merged_and_acted_on(world, log_lines):
    """Here a track was added, there the title was changed, both from the version that was acted on first."""
    world.engine.scripts = [Script(hangs=True)] * 3
    world.write("a.yml", release(JOB))
    world.at(10, lambda: world.write("a.yml", release(JOB, tracks=3)))
    world.at(60, lambda: world.write(COPY, release(JOB, title="Glider")))
    world.run_for(120)
    assert world.active() == ["a.yml"]
    text = (world.folders.active / "a.yml").read_text()
    assert without_status(text.encode()) == release(JOB, title="Glider", tracks=3).encode()
    assert "state: running" in text
    assert world.store.get(JOB).generation == 3
    assert any("merged" in message for message, _ in log_lines)


def test_edits_that_contradict_each_other_are_shown_until_somebody_chooses(world, log_lines):
    """Both values stand in the status of the manifest, which runs on as it is."""
    world.engine.scripts = [Script(hangs=True), Script(hangs=True)]
    world.write("a.yml", release(JOB))
    world.at(10, lambda: world.write("a.yml", release(JOB, title="Tremolo")))
    world.at(60, lambda: world.write(COPY, release(JOB, title="Glider")))
    world.run_for(120)
    told = world.status("a.yml")
    assert "type: Conflicted" in told
    assert "Tremolo" in told
    assert "Glider" in told
    assert world.engine.progress(JOB).outcome is None
    assert len([1 for message, _ in log_lines if "two versions" in message]) == 1
    (world.folders.active / COPY).unlink()
    world.run_for(120)
    assert "Conflicted" not in world.status("a.yml")


def test_a_person_who_takes_the_other_value_need_not_remove_the_copy(world):
    """Then both say the same, and the copy goes by itself."""
    world.engine.scripts = [Script(hangs=True)] * 3
    world.write("a.yml", release(JOB))
    world.at(10, lambda: world.write("a.yml", release(JOB, title="Tremolo")))
    world.at(60, lambda: world.write(COPY, release(JOB, title="Glider")))
    world.at(120, lambda: world.write("a.yml", release(JOB, title="Glider")))
    world.run_for(200)
    assert world.active() == ["a.yml"]
    assert "Conflicted" not in world.status("a.yml")


def test_a_copy_that_differs_in_its_status_is_removed_unread(world):
    """Two daemons wrote; nobody has to look."""
    world.engine.scripts = [Script(hangs=True)]
    world.write("a.yml", release(JOB))
    world.run_for(10)
    world.write(COPY, release(JOB) + "status:\n  state: failed\n")
    world.run_for(60)
    assert world.active() == ["a.yml"]
    assert len(world.engine.orders) == 1


# ---- one id in two files ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("second", ["b.yml", "A first by name.yml"])
def test_the_file_that_was_seen_first_keeps_the_job(world, second):
    """Whatever the names are, and after a restart, too."""
    world.engine.scripts = [Script(hangs=True)]
    world.write("a.yml", release(JOB))
    world.run_for(10)
    world.write(second, release(JOB, tracks=5))
    world.run_for(60)
    assert "DuplicateJobID" in world.status(second)
    assert "DuplicateJobID" not in world.status("a.yml")
    world.restart()
    world.engine.scripts = [Script(hangs=True)]
    world.run_for(60)
    assert world.engine.fetched == [[1, 2]]


def test_the_other_file_takes_over_when_the_first_gives_the_id_up(world):
    """By another id, or by going; the engine is never given the job twice at once."""
    world.engine.scripts = [Script(hangs=True)]
    world.write("a.yml", release(JOB))
    world.run_for(10)
    world.write("b.yml", release(JOB))
    world.run_for(40)
    world.write("a.yml", release(OTHER_JOB))
    world.run_for(200)
    assert world.store.get(JOB).path == "jobs/active/b.yml"
    assert [order.job_id for order in world.engine.orders] == [JOB, OTHER_JOB]


def test_a_job_that_another_node_finished_stops_here(world):
    """The manifest appears in completed under any name, the one here still lies in active: the finished one wins."""
    world.engine.scripts = [Script(hangs=True)]
    world.write("a.yml", release(JOB))
    world.at(10, lambda: world.write("by another name.yml", release(JOB), folder="completed"))
    world.run_for(100)
    assert world.engine.progress(JOB) is None
    assert "AlreadyCompleted" in world.status("a.yml")
    (world.folders.completed / "by another name.yml").unlink()
    world.engine.scripts = [Script(hangs=True)]
    world.run_for(100)
    assert world.engine.progress(JOB).outcome is None


def test_a_job_that_is_done_is_wanted_again_without_its_id(world):
    """With it the manifest only goes back to where it was: files that somebody has moved on are not fetched again."""
    world.write("a.yml", release(JOB))
    world.once()
    done, again = world.folders.completed / "a.yml", world.folders.active / "a.yml"
    world.restart()
    done.rename(again)
    assert world.once().exit_code is ExitCode.OK
    assert (world.completed(), world.engine.fetched) == (["a.yml"], [])
    world.restart()
    again.write_text(done.read_text().replace(f"job_id: {JOB}\n", ""))
    done.unlink()
    assert world.once().exit_code is ExitCode.OK
    assert (world.completed(), world.engine.fetched) == (["a.yml"], [[1, 2]])
    assert job_id_of(done) != JOB
