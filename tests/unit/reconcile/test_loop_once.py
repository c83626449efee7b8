"""`run --once` while the manifests go away beneath it: it ends."""

import shutil

import pytest
from reconcile_world import World, release

JOB = "01HRQ4GSX9K47J7M5FK7VW8B12"
SECOND = "01HRQ4GSX9K47J7M5FK7VW8B13"

# Without an end of its own a run is stopped then.
PATIENCE_S = 3600


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    made.time.plan(PATIENCE_S, made.reconciler.request_stop)
    yield made
    made.close()


def test_a_folder_that_is_deleted_ends_it(world):
    """It cannot be listed, so nothing is stopped; what was begun comes to its end, and nothing is left to wait for."""
    world.write("a.yml", release(JOB))
    world.at(1.2, lambda: shutil.rmtree(world.folders.root / "jobs"))
    world.once()
    assert world.time.now < PATIENCE_S / 10
    assert [artifact.position for artifact in world.store.artifacts(JOB, 1)] == [1, 2]


def test_manifests_that_are_all_deleted_end_it(world):
    """So many at once are held back, which only a person ends; both jobs come to their end before."""
    world.write("a.yml", release(JOB))
    world.write("b.yml", release(SECOND))
    world.at(1.2, lambda: [path.unlink() for path in world.folders.active.glob("*.yml")])
    world.once()
    assert world.time.now < PATIENCE_S / 10
    assert [len(world.store.artifacts(job_id, 1)) for job_id in (JOB, SECOND)] == [2, 2]


def test_a_folder_that_comes_back_in_time_is_gone_on_with(world):
    """A disk that is away for a moment ends nothing."""
    world.write("a.yml", release(JOB))
    jobs, away = world.folders.root / "jobs", world.folders.root / "away"
    world.at(1.2, lambda: jobs.rename(away))
    world.at(20.0, lambda: away.rename(jobs))
    world.once()
    assert world.completed() == ["a.yml"]
