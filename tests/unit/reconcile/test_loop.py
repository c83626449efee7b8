"""The loop over real files and a real database, with an engine that follows a script and time that is told."""

import asyncio
import re
from dataclasses import replace

import pytest
from reconcile_builders import JOB, OTHER_JOB
from reconcile_world import Script, job_id_of, release

from reconciler.clock import SystemClock
from reconciler.errors import ExitCode
from reconciler.manifests.files import read_file
from reconciler.manifests.model import JobState
from reconciler.manifests.read import read_manifest
from reconciler.manifests.splice import without_status
from reconciler.reconcile.conditions import Reason
from reconciler.reconcile.here import Here
from reconciler.reconcile.loop import ENGINE_JOBS_MAX
from reconciler.reconcile.wakeup import EventWakeup
from reconciler.reconcile.watch import FolderWatch
from reconciler.traces.model import EventType


def reasons(world, job_id=JOB):
    """Why a job is as it is, by its record."""
    return {condition.reason for condition in world.store.get(job_id).conditions}


def test_a_manifest_is_made_so(world):
    """From a file to a finished job: fetched, told, and moved with its status."""
    world.write("loveless.yml", release(JOB))
    result = world.once()
    assert result.exit_code is ExitCode.OK
    assert [(job.path, job.job_id, job.state) for job in result.jobs] == [
        ("jobs/active/loveless.yml", JOB, JobState.COMPLETED)
    ]
    assert world.active() == []
    assert world.completed() == ["loveless.yml"]
    assert "state: completed" in world.status("loveless.yml", folder="completed")
    assert "completed_tracks: [1, 2]" in world.status("loveless.yml", folder="completed")
    record = world.store.get(JOB)
    assert (record.state, record.path) == (JobState.COMPLETED, "jobs/completed/loveless.yml")


def test_only_the_status_of_the_file_changes(world):
    """Comments, order and spacing are the person's, also with other line ends."""
    text = release(JOB).replace("\n", "\r\n").replace("Loveless", "Loveless   # 1991")
    before = text.encode()
    (world.folders.active / "a.yml").write_bytes(before)
    world.once()
    after = (world.folders.completed / "a.yml").read_bytes()
    assert without_status(after) == before
    assert after != before


def test_the_end_of_a_job_is_told_once_in_table_and_log(world):
    """One JobComplete, after the tracks, also in the session log."""
    world.write("a.yml", release(JOB))
    world.once()
    world.restart().once()
    [event] = world.events(JOB, EventType.JOB_COMPLETE)
    assert (event.action, event.is_error) == ("completed", False)
    assert event.duration_ms == 2500.0
    assert len(world.events(JOB, EventType.TRACK_COMPLETE)) == 2
    [log] = (world.folders.root / "logs").rglob("*.log")
    assert log.read_text().count("JobComplete") == 1


def test_a_manifest_without_id_gets_one_and_is_then_an_ordinary_job(world):
    """Id and time of making are written once, above the spec."""
    world.write("new.yml", release())
    assert world.once().exit_code is ExitCode.OK
    done = world.folders.completed / "new.yml"
    job_id = job_id_of(done)
    assert world.store.get(job_id).state is JobState.COMPLETED
    assert "created_at: 2027-01-15T08:00:00Z" in done.read_text()


def test_an_empty_folder_is_all_done(world):
    """Nothing wanted, nothing missing."""
    result = world.once()
    assert (result.jobs, result.exit_code) == ((), ExitCode.OK)


def test_a_missing_folder_is_not_an_empty_one(world, log_lines):
    """A disk that is not mounted must not look like success."""
    world.folders.active.rmdir()
    assert world.once().exit_code is ExitCode.NOT_ALL_COMPLETED
    assert any("cannot be listed" in message for message, _ in log_lines)


# ---- edits -----------------------------------------------------------------------------------------------------------


def test_an_edit_while_it_runs_restarts_with_what_is_missing(world):
    """Track 1 is there when a third is added: it is carried over, and the new order has the rest."""
    world.write("a.yml", release(JOB, tracks=2))
    world.engine.scripts = [Script(), Script()]
    world.at(1.2, lambda: world.write("a.yml", release(JOB, tracks=3)))
    world.at(1.3, lambda: world.reconciler.on_path("jobs/active/a.yml"))
    world.run_for(20)
    assert world.engine.fetched == [[1, 2], [2, 3]]
    assert [order.generation for order in world.engine.orders] == [1, 2]
    assert world.completed() == ["a.yml"]
    assert len(world.store.artifacts(JOB, 2)) == 3


def test_an_edit_that_is_broken_stops_nothing_and_is_told(world):
    """The job runs on; the file says what is wrong; the repair finishes it."""
    world.engine.scripts = [Script(hangs=True)]
    good = release(JOB)
    path = world.write("a.yml", good)
    world.at(5, lambda: world.write("a.yml", good.replace("target_dir", "target_dri")))
    world.run_for(60)
    assert world.engine.progress(JOB).outcome is None
    assert "InvalidSpec" in world.status("a.yml")
    assert "reconciler validate jobs/active/a.yml" in world.status("a.yml")
    assert Reason.INVALID_SPEC in reasons(world)
    assert world.store.get(JOB).state is JobState.RUNNING
    assert "state: running" in world.status("a.yml")
    assert "target_dri" in path.read_text()


def test_an_edit_in_the_very_moment_of_completion_is_not_archived(world):
    """The person asks for one more track between the last one and the end: the file stays, the track is fetched."""
    world.write("a.yml", release(JOB, tracks=1))
    world.at(1.3, lambda: world.write("a.yml", release(JOB, tracks=2)))
    world.run_for(60)
    assert world.engine.fetched == [[1], [2]]
    assert world.completed() == ["a.yml"]
    assert "completed_tracks: [1, 2]" in world.status("a.yml", folder="completed")


def test_a_renamed_manifest_is_the_same_job(world):
    """The name is free; the job goes on and ends under the new one."""
    world.engine.scripts = [Script(hangs=True)]
    path = world.write("a.yml", release(JOB))
    world.at(5, lambda: path.rename(path.with_name("b.yml")))
    world.run_for(200)
    assert world.store.get(JOB).path == "jobs/active/b.yml"
    assert len(world.engine.orders) == 1
    assert world.engine.progress(JOB).outcome is None


def test_two_manifests_that_swap_names_keep_their_jobs(world):
    """Each job is where its id is."""
    world.engine.scripts = [Script(hangs=True), Script(hangs=True)]
    a, b = world.write("a.yml", release(JOB)), world.write("b.yml", release(OTHER_JOB))

    def swap():
        a.rename(a.with_name("c"))
        b.rename(a)
        a.with_name("c").rename(b)

    world.at(5, swap)
    world.run_for(200)
    assert world.store.get(JOB).path == "jobs/active/b.yml"
    assert world.store.get(OTHER_JOB).path == "jobs/active/a.yml"
    assert len(world.engine.orders) == 2
    assert {world.engine.progress(job).outcome for job in (JOB, OTHER_JOB)} == {None}


# ---- files that go ---------------------------------------------------------------------------------------------------


def test_a_vanished_manifest_stops_its_job_after_the_grace(world):
    """Seen at the rescan after 30 s, stopped 60 s later; the record stays."""
    world.engine.scripts = [Script(hangs=True)]
    path = world.write("a.yml", release(JOB))
    outcomes = []
    world.at(5, path.unlink)
    world.at(85, lambda: outcomes.append(world.engine.progress(JOB).outcome))
    world.run_for(100)
    assert outcomes == [None]
    assert world.engine.progress(JOB) is None
    assert reasons(world) == {Reason.MANIFEST_GONE}
    assert world.store.get(JOB).state is JobState.RUNNING


def test_a_manifest_that_comes_back_in_time_was_never_gone(world):
    """Git deletes and makes anew; the job does not notice."""
    world.engine.scripts = [Script(hangs=True)]
    path = world.write("a.yml", release(JOB))
    world.at(5, path.unlink)
    world.at(65, lambda: world.write("a.yml", release(JOB)))
    world.run_for(300)
    assert world.engine.progress(JOB).outcome is None
    assert len(world.engine.orders) == 1


def test_nothing_is_stopped_while_the_folder_is_away(world):
    """An unmounted disk takes all manifests at once, and no job."""
    world.engine.scripts = [Script(hangs=True)]
    world.write("a.yml", release(JOB))
    away = world.folders.root / "away"
    world.at(5, lambda: world.folders.active.rename(away))
    world.at(6, lambda: world.reconciler.on_path("jobs/active/a.yml"))
    world.at(290, lambda: away.rename(world.folders.active))
    world.run_for(600)
    assert world.engine.progress(JOB).outcome is None
    assert len(world.engine.orders) == 1


def test_an_id_that_was_edited_leaves_the_old_job_behind(world):
    """The file is another job now; the first stops after its grace."""
    world.engine.scripts = [Script(hangs=True), Script(hangs=True)]
    world.write("a.yml", release(JOB))
    world.at(5, lambda: world.write("a.yml", release(OTHER_JOB)))
    world.run_for(200)
    assert world.engine.progress(JOB) is None
    assert world.engine.progress(OTHER_JOB).outcome is None
    assert reasons(world) == {Reason.MANIFEST_GONE}


# ---- files that must not run -----------------------------------------------------------------------------------------


def test_the_same_id_twice_runs_once(world):
    """The first seen runs; the other is told both names, and runs when it is alone."""
    world.engine.scripts = [Script(hangs=True)]
    first = world.write("a.yml", release(JOB))
    world.write("b.yml", release(JOB, tracks=5))
    world.run_for(20)
    assert world.engine.fetched == [[1, 2]]
    told = world.status("b.yml")
    assert "DuplicateJobID" in told
    assert "jobs/active/a.yml" in told
    assert "jobs/active/b.yml" in told
    first.unlink()
    world.restart()
    assert world.once().exit_code is ExitCode.OK
    assert world.engine.fetched == [[1, 2, 3, 4, 5]]


def test_a_copy_in_completed_wins(world):
    """What is done elsewhere is not done again, and the file says where."""
    world.write("a.yml", release(JOB), folder="completed")
    world.write("a.yml", release(JOB, tracks=3))
    [job] = world.once().jobs
    assert job.stalled
    assert world.engine.orders == []
    assert "AlreadyCompleted" in world.status("a.yml")
    assert "jobs/completed/a.yml" in world.status("a.yml")


def test_a_completed_manifest_that_comes_back_moves_again(world):
    """Syncthing resurrects the file: nothing is fetched, an equal copy is merged into the one that is there."""
    world.write("a.yml", release(JOB))
    world.once()
    done = world.folders.completed / "a.yml"
    (world.folders.active / "a.yml").write_bytes(done.read_bytes())
    assert world.restart().once().exit_code is ExitCode.OK
    assert world.engine.orders == []
    assert (world.active(), world.completed()) == ([], ["a.yml"])


def test_a_target_outside_the_library_never_runs(world):
    """It is told what to change."""
    world.write("a.yml", release(JOB, target_dir="/etc"))
    assert world.once().exit_code is ExitCode.NOT_ALL_COMPLETED
    assert world.engine.orders == []
    assert "library.roots" in world.status("a.yml")


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff\xfe", b"a: [", b"{manifest_version: '1.0'}", b"<<<<<<< ours\n", b"- a\n- b\n", b"a: 1\n---\nb: 2\n"],
)
def test_what_is_no_manifest_is_told_and_left_alone(world, log_lines, data):
    """Whatever stands in a file, the others go on, and a file that leaves no place for a status stays as it is."""
    (world.folders.active / "odd.yml").write_bytes(data)
    world.write("fine.yml", release(JOB))
    world.time.now = 10_000_000.0
    result = world.once()
    assert {job.path: job.is_good for job in result.jobs} == {
        "jobs/active/fine.yml": True,
        "jobs/active/odd.yml": False,
    }
    assert (world.folders.active / "odd.yml").read_bytes() == data
    told = [pairs for message, pairs in log_lines if message == "job reconciled" and "odd" in pairs["path"]]
    assert len(told) == 1
    assert told[0]["message"]


def test_a_link_is_read_and_not_written(world):
    """A hard or a symbolic link is run and moved as a link; its status lies beside, the file itself is left alone."""
    ids = {"hard": JOB, "soft": OTHER_JOB}
    outside = {kind: world.folders.root / f"outside-{kind}.yml" for kind in ids}
    for kind, file in outside.items():
        file.write_text(release(ids[kind]))
    (world.folders.active / "hard.yml").hardlink_to(outside["hard"])
    (world.folders.active / "soft.yml").symlink_to("../../outside-soft.yml")
    result = world.once()
    assert result.exit_code is ExitCode.OK
    assert world.completed() == ["hard.yml", "soft.yml"]
    assert (world.folders.completed / "soft.yml").is_symlink()
    assert (world.folders.completed / "soft.yml").resolve() == outside["soft"]
    for kind, job_id in ids.items():
        assert outside[kind].read_text() == release(job_id)
        (sidecar,) = world.folders.status.glob(f"{job_id}.*.yml")
        assert "state: completed" in sidecar.read_text()


def test_progress_is_written_beside_while_a_job_runs(world):
    """Every ten seconds, though the job comes to nothing new; the manifest is left alone but for its identity."""
    world.close()
    world.policy = replace(world.policy, status_mode="sidecar")
    world.open()
    world.engine.scripts.append(Script(hangs=True))
    path = world.write("a.yml", release(JOB))
    seen = []
    for at_s in range(5, 50, 10):

        def look(at_s=at_s):
            world.engine.advance(JOB, bytes_done=at_s)
            (sidecar,) = world.folders.status.iterdir()
            seen.append(re.findall(r"^    bytes_done: (\d+)", sidecar.read_text(), re.MULTILINE)[:1])

        world.at(at_s, look)
    world.run_for(60)
    # The first was written when the engine had just been asked.
    assert seen == [[], ["5"], ["15"], ["25"], ["35"]]
    assert path.read_text() == release(JOB)


def test_a_link_to_nothing_is_no_missing_manifest(world):
    """The disk that it leads to may not be mounted: the job keeps what it was last told."""
    outside = world.folders.root / "outside.yml"
    outside.write_text(release(JOB))
    world.engine.scripts.append(Script(hangs=True))
    (world.folders.active / "soft.yml").symlink_to(outside)
    world.at(10, outside.unlink)
    seen = []
    world.at(190, lambda: seen.append((world.engine.progress(JOB).outcome, reasons(world))))
    world.run_for(200)
    assert seen == [(None, {"Unreadable", "Fetching"})]
    assert [order.job_id for order in world.engine.orders] == [JOB]


# ---- how often, and how many -----------------------------------------------------------------------------------------


def test_no_more_jobs_run_at_once_than_the_engine_bears(world):
    """Ten manifests, four at a time, the oldest first."""
    ids = [f"01HRQ4GSX9K47J7M5FK7VW8B{n:02}" for n in range(10)]
    for job_id in ids:
        world.write(f"{int(job_id[-2:]) * 7 % 10}.yml", release(job_id))
    assert world.once().exit_code is ExitCode.OK
    assert world.engine.running_most == ENGINE_JOBS_MAX
    assert len(world.completed()) == 10
    assert sorted(order.job_id for order in world.engine.orders) == ids
    waited = [order.job_id for order in world.engine.orders[ENGINE_JOBS_MAX:]]
    assert waited == sorted(waited)


def test_a_file_is_written_at_most_once_in_the_interval(world):
    """Forty tracks in forty seconds: the start, one write every 15 s, the end."""
    path = world.write("a.yml", release(JOB, tracks=40))
    seen = []

    def look():
        if path.exists():
            seen.append(read_file(path).fingerprint.inode)

    for tenth in range(400):
        world.at(tenth / 10, look)
    world.run_for(60)
    assert world.completed() == ["a.yml"]
    assert len(set(seen)) - 1 <= 4


def test_a_stop_writes_what_waited_for_its_interval(world):
    """A daemon that ends leaves files that say how far it came."""
    world.write("a.yml", release(JOB, tracks=5))
    world.run_for(3.2)
    assert "completed_tracks: [1, 2, 3]" in world.status("a.yml")


def test_nothing_is_written_while_nothing_changes(world):
    """A stalled manifest is not touched for an hour, and not by a restart."""
    world.engine.scripts = [Script(fails=True, retriable=False)]
    path = world.write("a.yml", release(JOB))
    world.run_for(20)
    before = (path.read_bytes(), path.stat().st_mtime_ns)
    world.restart()
    world.run_for(3600)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


@pytest.mark.parametrize("mark", ["20261122-061241-S5C2BGY", "20150517-120000", "soon"])
def test_a_conflict_copy_is_told_once_and_not_run(world, log_lines, mark):
    """Two versions of one job, whichever version of Syncthing or person named the other: a person looks."""
    world.write(f"a.sync-conflict-{mark}.yml", release(JOB))
    world.run_for(100)
    assert world.engine.orders == []
    assert len([1 for message, _ in log_lines if "Syncthing" in message]) == 1


def test_a_mistake_in_one_pass_does_not_stop_the_others(world, log_lines):
    """The engine raises for one job; it is logged with its trace, tried again, and the other completes."""
    start = world.engine.start

    async def start_or_raise(order):
        if order.job_id == OTHER_JOB:
            raise ZeroDivisionError("a mistake")
        await start(order)

    world.engine.start = start_or_raise
    world.write("a.yml", release(OTHER_JOB))
    world.write("b.yml", release(JOB))
    world.run_for(30)
    assert world.completed() == ["b.yml"]
    mistakes = [pairs for message, pairs in log_lines if message == "pass ended by a program error"]
    assert 3 <= len(mistakes) <= 10


def test_the_kernel_tells_of_a_new_manifest(world):
    """With the real watch, the real clock and the real wake-up, a file is picked up long before the rescan."""
    world.close()

    async def play():
        loop, listed, begun = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()

        class TellingWatch(FolderWatch):
            def rearm(self):
                super().rearm()
                loop.call_soon_threadsafe(listed.set)

        world.open(make_watch=TellingWatch, wakeup=EventWakeup(), clock=SystemClock())
        start = world.engine.start

        async def start_and_say(order):
            await start(order)
            begun.set()

        world.engine.start = start_and_say
        world.engine.scripts = [Script(hangs=True)]
        run = asyncio.create_task(world.reconciler.run(once=False))
        await listed.wait()
        await asyncio.to_thread(world.write, "a.yml", release(JOB))
        await asyncio.wait_for(begun.wait(), timeout=60)
        world.reconciler.request_stop()
        await run

    asyncio.run(play())
    assert "state: running" in world.status("a.yml")


def test_a_wish_that_another_machine_runs_is_known_here(world):
    """Nor is one recorded that was finished there: what was seen of the files says what they ask for."""
    world.write("a.yml", release(JOB, extra="  node: other\n"))
    world.write("b.yml", release(OTHER_JOB), folder="completed")
    world.run_for(40)
    assert world.store.all() == []
    here = Here(world.folders, sightings=world.sightings)
    for text, path in (
        (release(extra="  node: other\n"), "jobs/active/a.yml"),
        (release(), "jobs/completed/b.yml"),
    ):
        digest = read_manifest(text.encode()).manifest.spec_digest
        assert [holder.path for holder in here.asking_for(digest)] == [path]
