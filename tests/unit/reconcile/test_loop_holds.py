"""When the loop keeps its hands off: many manifests gone at once, and git at work."""

import shutil

import pytest
from reconcile_builders import JOB
from reconcile_world import Script, release

from reconciler.errors import ExitCode
from reconciler.reconcile.conditions import Reason
from reconciler.state.sightings import Hold

IDS = [f"01HRQ4GSX9K47J7M5FK7VW8B{n:02}" for n in range(12)]


def holds(world):
    """Why nothing is done, by the database."""
    return {Reason(hold.reason): hold.message for hold in world.sightings.holds()}


def gone(world):
    """The jobs that were given up."""
    return {record.job_id for record in world.store.all() if record.gone_at is not None}


def running(world):
    """How many jobs the engine has and has not ended."""
    found = [world.engine.progress(job_id) for job_id in IDS]
    return sum(progress is not None and progress.outcome is None for progress in found)


@pytest.fixture
def full(world):
    """Twelve manifests, of which four run and hang, after a minute."""
    world.engine.scripts = [Script(hangs=True)] * 100
    for job_id in IDS:
        world.write(f"{job_id}.yml", release(job_id))
    world.run_for(60)
    assert running(world) == 4
    return world


def empty(world):
    """`rm -rf jobs/active/*`"""
    for path in world.folders.active.iterdir():
        path.unlink()


# ---- many manifests gone at once -------------------------------------------------------------------------------------


def test_an_emptied_folder_stops_nothing_and_says_so(full, log_lines):
    """In the log and in the database, for as long as it lasts, however long that is."""
    empty(full)
    full.run_for(7200)
    assert running(full) == 4
    assert gone(full) == set()
    message = holds(full)[Reason.MASS_REMOVAL]
    assert "jobs/active/.confirm-removal" in message
    told = [pairs for text, pairs in log_lines if text == "nothing is done for now"]
    assert [pairs["reason"] for pairs in told] == ["MassRemoval"]


def test_manifests_that_come_back_end_the_hold(full):
    """Nothing has happened; no job was started twice."""
    texts = {path.name: path.read_text() for path in full.folders.active.iterdir()}
    empty(full)
    full.run_for(600)
    for name, text in texts.items():
        full.write(name, text)
    full.run_for(600)
    assert holds(full) == {}
    assert gone(full) == set()
    assert len(full.engine.orders) == 4


def test_some_that_come_back_leave_the_others_gone(full):
    """With seven of twelve there again, the other five are meant to be gone."""
    texts = {path.name: path.read_text() for path in full.folders.active.iterdir()}
    empty(full)
    full.run_for(600)
    for name in sorted(texts)[:7]:
        full.write(name, texts[name])
    full.run_for(600)
    assert holds(full) == {}
    assert gone(full) == set(IDS[7:])


def test_a_person_may_confirm_that_they_are_meant_to_be_gone(full):
    """By an empty file, which is then removed; everything stops at once."""
    empty(full)
    full.run_for(600)
    full.folders.removal_confirmed.touch()
    full.reconciler.on_path("jobs/active/.confirm-removal")
    full.run_for(10)
    assert running(full) == 0
    assert gone(full) == set(IDS)
    assert holds(full) == {}
    assert full.active() == []


def test_a_confirmation_that_comes_with_the_removal_counts_after_the_grace(full):
    """`rm jobs/active/*; touch jobs/active/.confirm-removal`, in one line."""
    empty(full)
    full.folders.removal_confirmed.touch()
    full.run_for(200)
    assert gone(full) == set(IDS)
    assert holds(full) == {}


def test_half_of_the_manifests_may_go(full):
    """Six of twelve: a person has tidied up."""
    for job_id in IDS[:6]:
        (full.folders.active / f"{job_id}.yml").unlink()
    full.run_for(200)
    assert gone(full) == set(IDS[:6])
    assert holds(full) == {}
    assert running(full) == 4


def test_one_after_the_other_may_all_go(full):
    """Each has its grace, and is done with before the next."""
    for job_id in IDS:
        (full.folders.active / f"{job_id}.yml").unlink()
        full.run_for(200)
    assert gone(full) == set(IDS)


def test_the_hold_outlasts_a_restart(full):
    """A new daemon finds the jobs in the database and no manifest; it is as careful, and gives up none."""
    empty(full)
    full.run_for(600)
    full.restart()
    assert Reason.MASS_REMOVAL in holds(full)
    full.run_for(3600)
    assert Reason.MASS_REMOVAL in holds(full)
    assert gone(full) == set()


def test_jobs_that_were_given_up_are_no_reason_to_hold_others(full):
    """Nine are gone for good; after a restart, of the three that are left one goes."""
    for job_id in IDS[:9]:
        (full.folders.active / f"{job_id}.yml").unlink()
    full.folders.removal_confirmed.touch()
    full.run_for(200)
    full.restart()
    full.engine.scripts = [Script(hangs=True)] * 100
    full.run_for(60)
    (full.folders.active / f"{IDS[9]}.yml").unlink()
    full.run_for(200)
    assert gone(full) == set(IDS[:10])
    assert holds(full) == {}


def test_a_job_that_was_given_up_goes_on_when_its_manifest_returns(full):
    """What it had is kept; it is the same job."""
    path = full.folders.active / f"{IDS[0]}.yml"
    text = path.read_text()
    path.unlink()
    full.run_for(200)
    assert gone(full) == {IDS[0]}
    full.write(path.name, text)
    full.run_for(100)
    assert gone(full) == set()
    assert full.store.get(IDS[0]).generation == 1


def test_a_folder_that_is_renamed_whole_is_no_removal(full):
    """Every file has another name: each job is found again."""
    for path in list(full.folders.active.iterdir()):
        path.rename(path.with_name(f"new {path.name}"))
    full.run_for(600)
    assert gone(full) == set()
    assert holds(full) == {}
    assert full.store.get(IDS[3]).path == f"jobs/active/new {IDS[3]}.yml"


# ---- git at work -----------------------------------------------------------------------------------------------------


@pytest.fixture
def git(world):
    """The git folder of a repository that the root folder is."""
    folder = world.folders.root / ".git"
    folder.mkdir()
    return folder


def test_nothing_is_acted_on_while_a_merge_is_unfinished(world, git, log_lines):
    """New files wait, and it is said where people look; when git is done, everything goes on at once."""
    (git / "MERGE_HEAD").touch()
    world.write("a.yml", release(JOB))
    world.run_for(300)
    assert world.engine.orders == []
    assert world.store.all() == []
    assert (world.folders.active / "a.yml").read_text() == release(JOB)
    assert "a merge is not finished" in holds(world)[Reason.MERGE_IN_PROGRESS]
    assert len([1 for text, _ in log_lines if text == "nothing is done for now"]) == 1
    (git / "MERGE_HEAD").unlink()
    world.run_for(10)
    assert world.completed() == ["a.yml"]
    assert holds(world) == {}


def test_what_the_engine_does_goes_on_and_is_told_later(world, git):
    """Tracks are published meanwhile; the manifest is not written and not moved."""
    path = world.write("a.yml", release(JOB))
    before = []

    def begin():
        (git / "rebase-merge").mkdir()
        before.append(path.read_text())

    world.at(0.5, begin)
    world.run_for(600)
    assert len(world.store.artifacts(JOB, 1)) == 2
    assert path.read_text() == before[0]
    (git / "rebase-merge").rmdir()
    world.run_for(10)
    assert world.completed() == ["a.yml"]


def test_a_lock_of_a_moment_is_waited_for_in_silence(world, git, log_lines):
    """`git status` takes it, too."""
    (git / "index.lock").touch()
    world.at(1, (git / "index.lock").unlink)
    world.write("a.yml", release(JOB))
    world.run_for(20)
    assert world.completed() == ["a.yml"]
    assert [text for text, _ in log_lines if text == "nothing is done for now"] == []


def test_files_that_git_takes_away_and_brings_back_were_never_gone(world, git):
    """A checkout of another branch in the middle of a rebase, for minutes."""
    world.engine.scripts = [Script(hangs=True)]
    path = world.write("a.yml", release(JOB))
    world.run_for(10)
    text = path.read_text()

    def take():
        (git / "rebase-merge").mkdir()
        path.unlink()

    world.at(5, take)
    world.at(305, (git / "rebase-merge").rmdir)
    world.at(350, lambda: world.write("a.yml", text))
    world.run_for(600)
    assert world.engine.progress(JOB).outcome is None
    assert len(world.engine.orders) == 1
    assert gone(world) == set()


def test_run_once_does_not_wait_for_git(world, git):
    """It says that not everything could be done."""
    (git / "BISECT_LOG").touch()
    world.write("a.yml", release(JOB))
    assert world.once().exit_code is ExitCode.NOT_ALL_COMPLETED
    assert world.time.now < 10


def test_a_file_with_the_marks_of_a_merge_is_not_acted_on(world):
    """Its job goes on by what the file said before, and why is said."""
    world.engine.scripts = [Script(hangs=True)]
    path = world.write("a.yml", release(JOB))
    world.run_for(10)
    text = path.read_text()
    world.write(
        "a.yml", text.replace("  title: Loveless\n", "<<<<<<< ours\n  title: A\n=======\n  title: B\n>>>>>>> theirs\n")
    )
    world.run_for(100)
    conditions = {each.type: each for each in world.store.get(JOB).conditions}
    assert conditions["Valid"].reason == Reason.MERGE_IN_PROGRESS
    assert world.engine.progress(JOB).outcome is None
    world.write("a.yml", text)
    world.run_for(100)
    assert len(world.engine.orders) == 1
    assert {each.reason for each in world.store.get(JOB).conditions} >= {Reason.FETCHING}


def test_a_folder_that_goes_and_comes_is_one_folder(full):
    """Removed and made anew with the same files, as git does with a folder that becomes empty."""
    away = full.folders.root / "away"
    shutil.copytree(full.folders.active, away)
    shutil.rmtree(full.folders.active)
    full.run_for(30)
    away.rename(full.folders.active)
    full.run_for(300)
    assert running(full) == 4
    assert len(full.engine.orders) == 4
    assert gone(full) == set()


def test_a_hold_of_another_version_is_over(world):
    """Its reason says nothing to this one."""
    world.sightings.hold(Hold(reason="TooManyMoons", since=1.0, message="there are five"))
    world.run_for(5)
    assert holds(world) == {}
