"""What the loop need not look at: unchanged files after a start, its own writing; and what it finds all the same."""

import asyncio
import os

import pytest
from reconcile_builders import JOB, OTHER_JOB
from reconcile_world import START, Script, release

from reconciler.clock import rfc3339
from reconciler.reconcile import rescan
from reconciler.reconcile.listing import differences, mark_at
from reconciler.reconcile.passes import Passes

THIRD_JOB = "01HRQ4GSX9K47J7M5FK7VW8B14"


@pytest.fixture
def looked_at(monkeypatch):
    """The paths of every pass, in order."""
    seen = []
    work = Passes.work

    async def noted(self, path):
        seen.append(path)
        return await work(self, path)

    monkeypatch.setattr(Passes, "work", noted)
    return seen


# ---- a start ---------------------------------------------------------------------------------------------------------


def test_a_start_looks_only_at_what_has_changed(world, looked_at):
    """Of three that rest, one was edited and one renamed while the daemon was stopped."""
    for n, job_id in enumerate((JOB, OTHER_JOB, THIRD_JOB)):
        world.write(f"{n}.yml", release(job_id, extra="  suspend: true\n"))
    world.run_for(60)
    world.restart()
    looked_at.clear()
    world.run_for(60)
    assert looked_at == []
    world.restart()
    world.write("0.yml", release(JOB, title="Glider", extra="  suspend: true\n"))
    (world.folders.active / "1.yml").rename(world.folders.active / "9.yml")
    world.run_for(300)
    assert "jobs/active/2.yml" not in looked_at
    assert world.store.get(JOB).generation == 2
    assert world.store.get(OTHER_JOB).path == "jobs/active/9.yml"
    assert world.store.get(OTHER_JOB).gone_at is None


def test_what_waited_for_its_turn_goes_on_after_a_start(world, looked_at):
    """In line for the engine, in its old place, without having been read again."""
    world.engine.scripts = [Script(hangs=True)] * 4
    ids = [f"01HRQ4GSX9K47J7M5FK7VW8B{n:02}" for n in range(10)]
    for job_id in ids:
        world.write(f"{job_id}.yml", release(job_id))
    world.run_for(60)
    world.restart()
    looked_at.clear()
    world.run_for(0.05)
    # The four that ran, and those that are first in line, to see whether there is room for them, too.
    assert {f"jobs/active/{job_id}.yml" for job_id in ids[:4]} <= set(looked_at)
    assert not {f"jobs/active/{job_id}.yml" for job_id in ids[8:]} & set(looked_at)
    world.run_for(60)
    assert [order.job_id for order in world.engine.orders] == ids
    assert len(world.completed()) == 10


@pytest.mark.parametrize(
    ("extra", "waited_s"),
    [(f"  suspend: {{until: '{rfc3339(START + 500)}'}}\n", 500.0), (f"  depends_on: [{OTHER_JOB}]\n", 60.0)],
    ids=["time", "job"],
)
def test_what_waited_for_something_else_finds_it_after_a_start(world, extra, waited_s):
    """A time that passes later, a job that is done meanwhile elsewhere."""
    world.write("a.yml", release(JOB, extra=extra))
    world.run_for(60)
    world.restart()
    world.write("elsewhere.yml", release(OTHER_JOB), folder="completed")
    world.run_for(600)
    assert world.store.get(JOB).completed_at - START == pytest.approx(waited_s, abs=10.0)


def test_a_job_that_ran_is_looked_at_after_a_start(world):
    """The engine has forgotten it; the file has not changed."""
    world.engine.scripts = [Script(hangs=True)]
    world.write("a.yml", release(JOB))
    world.run_for(60)
    world.restart()
    world.run_for(60)
    assert world.completed() == ["a.yml"]


def test_another_configuration_is_a_reason_to_look_at_everything(world, looked_at):
    """What was refused may be allowed now."""
    world.write("a.yml", release(JOB, target_dir="/etc/music"))
    world.run_for(60)
    assert "InvalidSpec" in world.status("a.yml")
    world.policy = type(world.policy)(
        **{name: getattr(world.policy, name) for name in world.policy.__slots__ if name != "retry_limit"}, retry_limit=9
    )
    world.restart()
    looked_at.clear()
    world.run_for(60)
    assert looked_at[:1] == ["jobs/active/a.yml"]


def test_run_once_looks_at_everything(world, looked_at):
    """Its result names every manifest."""
    world.write("a.yml", release(JOB, extra="  suspend: true\n"))
    world.run_for(60)
    world.restart()
    looked_at.clear()
    assert [job.path for job in world.once().jobs] == ["jobs/active/a.yml"]
    assert looked_at


def test_a_status_that_waited_for_its_interval_is_written_after_a_crash(world):
    """The file was seen, and what was to be said of it was not."""
    world.engine.scripts = [Script(hangs=True)]
    world.write("a.yml", release(JOB))
    world.at(5, lambda: world.write("a.yml", release(JOB, extra="  suspend: true\n")))
    world.at(5, lambda: world.reconciler.on_path("jobs/active/a.yml"))

    def crash():
        raise KeyboardInterrupt

    world.at(8, crash)
    with pytest.raises(KeyboardInterrupt):
        world.run_for(100)
    world.restart()
    world.run_for(60)
    assert "Suspended" in world.status("a.yml")


# ---- our own writing -------------------------------------------------------------------------------------------------


def test_our_own_writing_is_no_reason_for_a_pass(world, looked_at):
    """The event of a status comes back; an edit that changes as little does lead to a pass."""
    world.engine.scripts = [Script(hangs=True)]
    path = world.write("a.yml", release(JOB))
    world.at(1, looked_at.clear)
    for second in (1, 1.01, 2):
        world.at(second, lambda: world.reconciler.on_path("jobs/active/a.yml"))

    def edit():
        assert "state: running" in world.status("a.yml")
        assert looked_at == []
        assert world.reconciler._sights.mark_of("jobs/active/a.yml") == mark_at(path)
        world.write("a.yml", path.read_text().replace("# my favourite", "# my favorite"))
        world.reconciler.on_path("jobs/active/a.yml")

    world.at(10, edit)
    world.run_for(12)
    assert looked_at == ["jobs/active/a.yml"]


def test_a_mark_that_changes_without_the_content_is_a_pass_that_does_nothing(world):
    """`touch`, a change of owner: nothing is written for it."""
    world.write("a.yml", release(JOB, extra="  suspend: true\n"))
    world.run_for(60)
    path = world.folders.active / "a.yml"
    os.utime(path, (1.0, 1.0))
    inode = path.stat().st_ino
    world.run_for(60)
    assert path.stat().st_ino == inode
    assert path.stat().st_mtime == 1.0


# ---- what is found all the same --------------------------------------------------------------------------------------


def test_files_made_while_the_daemon_was_stopped_are_all_found_in_one_look(world):
    """A thousand of them: when the first is acted on, all of them are known to be there."""
    for n in range(1000):
        (world.folders.active / f"{n}.yml").write_text("a: [")
    (world.folders.active / "0.yml").write_text(release(JOB))
    waiting = []

    def stop(order):
        waiting.append(len(world.reconciler._ledger.queue))
        world.reconciler.request_stop()

    world.engine.on_start = stop
    world.run_for(100)
    assert waiting == [1000]


def test_after_a_loss_the_folder_is_looked_through_at_once(world):
    """The kernel's queue overflowed: what it did not name is found long before the next usual look."""
    world.engine.scripts = [Script(hangs=True)]
    begun = []
    world.engine.on_start = lambda order: begun.append(world.time.now)
    world.at(5, lambda: world.write("a.yml", release(JOB)))
    world.at(5, world.reconciler.on_loss)
    world.run_for(20)
    assert begun == [5.0]


def test_a_folder_on_a_network_is_polled(world):
    """Where the kernel tells nothing, an edit is found within the shorter interval."""

    class DeafWatch:
        hears = False

        def __init__(self, root, folders, heard):
            pass

        def rearm(self):
            """Nothing to see to."""

        def stop(self):
            """Nothing to stop."""

    world.close()
    world.open(make_watch=DeafWatch)
    world.engine.scripts = [Script(hangs=True)]
    world.at(100, lambda: world.write("a.yml", release(JOB)))
    world.run_for(106)
    assert [order.job_id for order in world.engine.orders] == [JOB]


# ---- the end of the daemon -------------------------------------------------------------------------------------------


def test_at_its_end_the_daemon_lets_go_of_every_job_and_says_how_far_it_came(world):
    """The engine has stopped, the file has the tracks, the next start goes on with the rest."""
    world.write("a.yml", release(JOB, tracks=5))
    world.run_for(3.2)
    asyncio.run(world.reconciler.part())
    assert world.engine.progress(JOB).outcome == "stopped"
    assert "completed_tracks: [1, 2, 3]" in world.status("a.yml")
    assert "state: running" in world.status("a.yml")
    world.restart()
    assert world.once().exit_code == 0
    assert world.engine.fetched == [[4, 5]]


def test_a_job_that_does_not_let_go_does_not_hold_up_the_end(world, log_lines):
    """A disk hangs; the status is written all the same."""
    world.engine.scripts = [Script(hangs=True)]
    world.write("a.yml", release(JOB))
    world.run_for(10)

    async def hang(job_id):
        raise TimeoutError

    world.engine.stop = hang
    asyncio.run(world.reconciler.part())
    assert any("do not let go" in message for message, _ in log_lines)
    assert "state: running" in world.status("a.yml")


def test_a_storm_of_losses_does_not_make_it_look_all_the_time(world, monkeypatch):
    """Each look takes a second here, and somebody says every tenth of one that events were lost."""
    looks = []

    def slow(*arguments, **named):
        looks.append(world.time.now)
        world.time.now += 1.0
        return differences(*arguments, **named)

    monkeypatch.setattr(rescan, "differences", slow)
    for tenth in range(600):
        world.at(tenth / 10, world.reconciler.on_loss)
    world.run_for(60)
    assert 2 * 5 <= len(looks) <= 2 * 13
