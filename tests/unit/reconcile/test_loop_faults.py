"""The loop when things go wrong: crashes at every step, and jobs that fail."""

import asyncio
import contextlib
import itertools
from dataclasses import replace

from reconcile_builders import JOB
from reconcile_world import NoWatch, Script, World, job_id_of, release

from reconciler.engine.order import HeldUp
from reconciler.errors import DiskFullError, ExitCode
from reconciler.manifests.model import JobState
from reconciler.reconcile.conditions import Reason
from reconciler.traces.model import EventType


def reasons(world, job_id=JOB):
    """Why a job is as it is, by its record."""
    return {condition.reason for condition in world.store.get(job_id).conditions}


# ---- crashes ---------------------------------------------------------------------------------------------------------


def test_a_crash_in_the_middle_repeats_no_track(world):
    """After one of three tracks the process dies; the next asks for the other two."""
    world.write("a.yml", release(JOB, tracks=3))
    world.run_for(1.7)
    world.restart()
    assert world.once().exit_code is ExitCode.OK
    assert world.engine.fetched == [[2, 3]]
    assert len(world.events(JOB, EventType.TRACK_COMPLETE)) == 3


def test_a_crash_between_the_last_track_and_the_end_fetches_nothing(world):
    """All tracks are recorded, the job is not: the next process only finishes."""
    world.write("a.yml", release(JOB, tracks=1))
    world.run_for(1.4)
    assert world.store.get(JOB).state is JobState.RUNNING
    world.restart()
    assert world.once().exit_code is ExitCode.OK
    assert world.engine.fetched == []
    assert world.completed() == ["a.yml"]


def test_a_crash_between_the_fact_and_the_status_only_moves_on(world):
    """Completed in the database, the file as it was: status and move follow, the end is not told again."""
    path = world.write("a.yml", release(JOB))
    before = path.read_text()
    world.once()
    (world.folders.completed / "a.yml").unlink()
    record = world.store.get(JOB)
    world.store.put(replace(record, path="jobs/active/a.yml"))
    world.write("a.yml", before)
    world.restart().once()
    assert world.engine.fetched == []
    assert "state: completed" in world.status("a.yml", folder="completed")
    assert len(world.events(JOB, EventType.JOB_COMPLETE)) == 1


def test_a_crash_between_the_move_and_its_record_is_put_right(world):
    """The file lies in completed and the record still says active: the record follows."""
    world.write("a.yml", release(JOB))
    world.once()
    world.store.put(replace(world.store.get(JOB), path="jobs/active/a.yml"))
    world.restart().once()
    assert world.store.get(JOB).path == "jobs/completed/a.yml"


# ---- failures --------------------------------------------------------------------------------------------------------


def test_once_does_not_wait_for_a_retry(world):
    """What can be done now is done; the exit code says that it was not all."""
    world.engine.scripts = [Script(fails=True)]
    world.write("a.yml", release(JOB))
    result = world.once()
    assert result.exit_code is ExitCode.NOT_ALL_COMPLETED
    assert [(job.state, job.stalled, job.message) for job in result.jobs] == [
        (JobState.FAILED, False, "no peer has it")
    ]
    assert "state: failed" in world.status("a.yml")
    assert "failed_tracks: [1, 2]" in world.status("a.yml")
    assert world.active() == ["a.yml"]


def test_a_daemon_retries_until_it_succeeds(world):
    """Two failures, then success: at 30 s and 60 s after each failure."""
    world.engine.scripts = [Script(fails=True), Script(fails=True)]
    world.write("a.yml", release(JOB))
    world.run_for(150)
    assert len(world.engine.orders) == 3
    assert world.completed() == ["a.yml"]
    assert [event.action for event in world.events(JOB, EventType.JOB_COMPLETE)] == ["completed"]


def test_a_retry_survives_a_restart(world):
    """When and how often is in the database: the new process waits the rest."""
    world.engine.scripts = [Script(fails=True)]
    world.write("a.yml", release(JOB))
    world.run_for(10)
    world.restart()
    world.run_for(20)
    assert world.engine.orders == []
    world.restart()
    world.run_for(20)
    assert world.completed() == ["a.yml"]


def test_after_its_limit_a_job_is_stalled_until_it_is_edited(world):
    """Three failures, then nothing for an hour; an edit is a new generation with fresh attempts."""
    world.engine.scripts = [Script(fails=True)] * 3
    world.write("a.yml", release(JOB))
    world.at(3600, lambda: world.write("a.yml", release(JOB, title="Isn't Anything")))
    world.run_for(3500)
    assert len(world.engine.orders) == 3
    assert Reason.RETRIES_EXHAUSTED in reasons(world)
    assert "reason: RetriesExhausted" in world.status("a.yml")
    assert [event.action for event in world.events(JOB, EventType.JOB_COMPLETE)] == ["failed"]
    world.restart()
    world.run_for(200)
    assert world.completed() == ["a.yml"]
    assert world.store.get(JOB).generation == 2


def test_a_failure_that_cannot_pass_is_not_retried(world):
    """One order, then it is for a person."""
    world.engine.scripts = [Script(fails=True, retriable=False)]
    world.write("a.yml", release(JOB))
    [job] = world.once().jobs
    assert job.stalled
    assert Reason.NOT_RETRIABLE in reasons(world)


class Crash(BaseException):
    """The process ends here."""


def test_a_crash_at_any_step_loses_nothing_and_repeats_nothing(tmp_path, monkeypatch):
    """Between every two steps that leave the loop the process dies once; the next finishes the same job, once."""
    in_a_thread = asyncio.to_thread
    steps_left = 0

    async def counted(work, *arguments, **named):
        nonlocal steps_left
        if steps_left == 0:
            raise Crash
        steps_left -= 1
        return await in_a_thread(work, *arguments, **named)

    monkeypatch.setattr(asyncio, "to_thread", counted)
    for step in itertools.count():
        world = World(tmp_path / str(step))
        world.write("a.yml", release(tracks=2))
        steps_left = step
        held = set()
        try:
            result = world.once()
            crashed = False
        except Crash:
            crashed = True
            steps_left = -1
            world.restart()
            held = {each.position for record in world.store.all() for each in world.store.artifacts(record.job_id, 1)}
            result = world.once()
        done = world.folders.completed / "a.yml"
        job_id = job_id_of(done)
        assert result.exit_code is ExitCode.OK
        assert (world.active(), world.completed()) == ([], ["a.yml"])
        assert done.read_text().count("job_id:") == 1
        assert "state: completed" in done.read_text()
        assert [(record.job_id, record.generation, record.path) for record in world.store.all()] == [
            (job_id, 1, "jobs/completed/a.yml")
        ]
        assert not held & {position for order in world.engine.fetched for position in order}
        assert len(world.events(job_id, EventType.TRACK_COMPLETE)) == 2
        assert len(world.events(job_id, EventType.JOB_COMPLETE)) == 1
        [log] = (world.folders.root / "logs").rglob("*.log")
        assert log.read_text().count("JobComplete") == 1
        world.close()
        if not crashed:
            break
    assert step >= 20


# ---- our own disk ----------------------------------------------------------------------------------------------------

FULL = HeldUp(reason="DiskFull", message="/music: 2 GB are needed and 1 GB free; free 1 GB", entirely=True)


def test_once_does_not_wait_for_a_disk(world):
    """Nothing more can be done now, with others still in line; each file says why, and no try is used up."""
    ids = [f"01HRQ4GSX9K47J7M5FK7VW8B{n:02}" for n in range(6)]
    world.engine.scripts = [Script(held=FULL)] * 6
    for number, job_id in enumerate(ids):
        world.write(f"{number}.yml", release(job_id))
    result = world.once()
    assert result.exit_code is ExitCode.NOT_ALL_COMPLETED
    assert (result.jobs[0].state, result.jobs[0].stalled, result.jobs[0].message) == (
        JobState.RUNNING,
        False,
        FULL.message,
    )
    assert "reason: DiskFull" in world.status("0.yml")
    assert {record.attempts for record in world.store.all()} == {0}


def test_once_waits_while_something_of_a_job_goes_on(world):
    """A track that is held up does not end the run for those that are not."""
    world.engine.scripts = [Script(held=replace(FULL, entirely=False)), Script()]
    world.write("a.yml", release(JOB))
    world.at(40, lambda: world.engine.let_go(JOB))
    assert world.once().exit_code is ExitCode.NOT_ALL_COMPLETED
    assert world.time.now >= 40


def test_once_waits_for_a_look_up_though_the_disk_is_full(world):
    """What another manifest asks for may still become known."""
    world.engine.scripts = [Script(held=FULL)]
    world.write("a.yml", release(JOB))
    world.lookups.busy = True
    world.at(40, lambda: setattr(world.lookups, "busy", False))
    assert world.once().exit_code is ExitCode.NOT_ALL_COMPLETED
    assert world.time.now >= 40


def test_a_disk_that_is_mended_leaves_no_trace_in_the_file(world):
    """The job completes as if nothing had been."""
    world.engine.scripts = [Script(held=FULL)]
    world.write("a.yml", release(JOB))
    world.run_for(20)
    assert "reason: DiskFull" in world.status("a.yml")
    world.engine.scripts = [Script()]
    world.restart()
    assert world.once().exit_code is ExitCode.OK
    assert "DiskFull" not in world.folders.completed.joinpath("a.yml").read_text()


def fill(world):
    """Leave no room for another row in the state database: to SQLite, and so to us, the disk is full."""
    allow_pages(world, 1)
    row = "INSERT INTO musicbrainz_answers VALUES (hex(randomblob(20)), 200, zeroblob(?), 0)"
    for size in (4000, 400, 4):
        with contextlib.suppress(DiskFullError):
            while True:
                world.database.write(lambda connection, size=size: connection.execute(row, (size,))).result()


def allow_pages(world, count):
    """Let the state database have so many pages, or as many as it has."""
    query = f"PRAGMA max_page_count = {count}"
    world.database.write(lambda connection: connection.execute(query).fetchone()).result()


MANY = [f"01HRQ4GSX9K47J7M5FK7VW8{n:03}" for n in range(50)]


def test_a_state_disk_that_is_full_is_waited_for(world, log_lines):
    """Nothing can be noted for minutes; why is said once, the daemon goes on, and with room again all is noted."""
    world.run_for(5)
    fill(world)
    for job_id in MANY:
        world.write(f"{job_id}.yml", release(job_id, extra="  suspend: true\n"))
    world.run_for(40)
    assert len(world.store.all()) < len(MANY)
    [why] = [pairs["why"] for text, pairs in log_lines if text == "cannot go on for now; it is tried again and again"]
    assert "database or disk is full" in why
    assert "check free space" in why
    allow_pages(world, 1_000_000)
    world.run_for(60)
    assert len(world.store.all()) == len(MANY)


def test_with_a_full_state_disk_the_end_still_comes(world):
    """A daemon that is asked to stop does, and what it could not note waits for the next one."""
    world.run_for(5)
    fill(world)
    for job_id in MANY:
        world.write(f"{job_id}.yml", release(job_id, extra="  node: other\n"))
    world.run_for(60)
    seen = []
    world.sightings.each(seen.append)
    assert len(seen) < len(MANY)
    world.restart()
    world.run_for(60)
    world.sightings.each(seen.append)
    assert {each.job_id for each in seen} == set(MANY)


def test_what_is_lost_while_the_folder_is_looked_through_is_looked_for_at_once(world):
    """Whoever lists the files may have passed the one that changed: a second look comes before the usual time."""
    world.close()
    looks = []

    class LosingWatch(NoWatch):
        def __init__(self, root, folders, heard):
            self.heard = heard

        def rearm(self):
            looks.append(world.time.now)
            if len(looks) == 1:
                self.heard.lost()

    world.open(make_watch=LosingWatch)
    world.run_for(20)
    assert looks == [0.0, 0.0]


def test_a_clock_that_was_wrong_holds_up_no_retry(world):
    """A job failed a year ahead; with the clock right again and after a restart it is tried within the hour."""
    ahead_s = 365 * 86_400.0
    world.engine.scripts = [Script(fails=True)]
    world.write("a.yml", release(JOB))
    world.time.ahead_s = ahead_s
    world.run_for(10)
    world.time.ahead_s = 0.0
    world.restart()
    world.run_for(3700)
    assert world.completed() == ["a.yml"]
