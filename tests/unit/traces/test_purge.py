"""What is too old is deleted, and nothing else."""

import asyncio
from dataclasses import replace

import pytest
from trace_builders import JOB, NOON_MS, OTHER_JOB, event

from reconciler.config import SwarmEventSettings
from reconciler.errors import DiskError
from reconciler.manifests.model import JobState, JobType
from reconciler.state.database import Database
from reconciler.state.jobs import JobRecord, JobStore
from reconciler.traces import purge as purge_module
from reconciler.traces.reading import TraceReader
from reconciler.traces.store import TraceStore
from reconciler.traces.upkeep import purge_old

DAY_MS = 86_400_000
THIRD_JOB = "01HRQ4GSX9K47J7M5FK7VW8B13"


@pytest.fixture
def database(tmp_path):
    """An open, empty database."""
    opened = Database.open(tmp_path / "reconciler.db")
    yield opened
    opened.close()


@pytest.fixture
def store(database, tmp_path):
    """A trace that is kept for ten days."""
    return TraceStore(database, tmp_path / "logs", SwarmEventSettings(retention_days=10))


def days_old(days, number=1, job_id=JOB):
    """An event of that age, seen from noon."""
    return replace(
        event(number, job_id=job_id), timestamp_ms=NOON_MS - int(days * DAY_MS), event_id=f"{job_id}{number}"
    )


def keep(store, *events):
    """Store events, and one of today behind them."""
    for made in (*events, days_old(0, 99, THIRD_JOB)):
        store.report(made)
    store.flush()


def purge(store):
    """Delete what is too old at noon."""
    asyncio.run(purge_old(store, now_ms=NOON_MS))


def logs(tmp_path):
    """The jobs that have a log."""
    return {path.stem for path in (tmp_path / "logs").iterdir()}


def record(database, job_id=JOB, **changes):
    """Make a job known."""
    JobStore(database).put(
        JobRecord(job_id=job_id, path="a.yml", job_type=JobType.MB_RELEASE, spec_digest="d", **changes)
    )


def test_events_go_by_their_own_time(store, database):
    """Whenever they were stored: ten days and no more."""
    keep(store, days_old(10.01, 1), days_old(9.99, 2), days_old(40, 3))
    purge(store)
    assert TraceReader(database).events(JOB) == [days_old(9.99, 2)]


def test_a_log_goes_with_the_last_event_of_its_job(store, database, tmp_path):
    """One whose job has newer events stays as it is."""
    keep(store, days_old(20, 1), days_old(11, 2), days_old(20, 1, OTHER_JOB), days_old(1, 2, OTHER_JOB))
    before = (tmp_path / "logs" / f"{OTHER_JOB}.log").read_text()
    purge(store)
    assert logs(tmp_path) == {OTHER_JOB, THIRD_JOB}
    assert (tmp_path / "logs" / f"{OTHER_JOB}.log").read_text() == before
    left = database.read(lambda c: {row[0] for row in c.execute("SELECT job_id FROM session_log")})
    assert left == {OTHER_JOB, THIRD_JOB}


@pytest.mark.parametrize("runs", [{"state": JobState.RUNNING}, {"running_since": 1.0}])
def test_a_job_that_runs_keeps_everything(store, database, tmp_path, runs):
    """However old; when it has ended it is as the others."""
    record(database, **runs)
    keep(store, days_old(400, 1), days_old(1, 2))
    purge(store)
    assert store.purge(JOB, now_ms=NOON_MS) == 0
    assert (len(TraceReader(database).events(JOB)), logs(tmp_path)) == (2, {JOB, THIRD_JOB})
    record(database, state=JobState.COMPLETED)
    purge(store)
    assert len(TraceReader(database).events(JOB)) == 1


def test_the_newest_event_of_all_stays(store, database, tmp_path):
    """Its number would be given again, and a log would miss the event that gets it."""
    for number in (1, 2, 3):
        store.report(days_old(50, number))
    store.flush()
    purge(store)
    assert TraceReader(database).events(JOB) == [days_old(50, 3)]
    store.report(days_old(0, 4))
    store.flush()
    assert len((tmp_path / "logs" / f"{JOB}.log").read_text().splitlines()) == 4
    assert TraceReader(database).events(JOB) == [days_old(50, 3), days_old(0, 4)]


def test_more_than_one_transaction_takes_is_all_deleted(store, database, monkeypatch):
    """In steps, so that facts need not wait."""
    monkeypatch.setattr(purge_module, "EVENTS_PER_TRANSACTION", 3)
    keep(store, *(days_old(20, number) for number in range(10)))
    assert store.purge(JOB, now_ms=NOON_MS) == 10
    assert TraceReader(database).events(JOB) == []


def test_a_job_that_was_purged_begins_a_new_log(store, tmp_path):
    """And none is made where there is nothing to write."""
    keep(store, days_old(20, 1))
    purge(store)
    store.catch_up_log(JOB)
    assert logs(tmp_path) == {THIRD_JOB}
    store.report(days_old(0, 2))
    store.flush()
    assert len((tmp_path / "logs" / f"{JOB}.log").read_text().splitlines()) == 1


def test_a_log_that_cannot_be_removed_keeps_its_events(store, database, tmp_path):
    """A crash, or a refusal, leaves both; the next time both go."""
    keep(store, days_old(20, 1))
    log = tmp_path / "logs" / f"{JOB}.log"
    log.unlink()
    log.mkdir()
    with pytest.raises(DiskError, match="cannot be removed"):
        purge(store)
    assert len(TraceReader(database).events(JOB)) == 1
    log.rmdir()
    purge(store)
    assert TraceReader(database).events(JOB) == []


def test_what_no_job_can_be_called_has_no_log_to_remove(store, database, tmp_path):
    """The events go, and no file outside is touched."""
    precious = tmp_path / "precious.log"
    precious.write_text("mine")
    keep(store, days_old(20, 1, "../precious"))
    purge(store)
    assert TraceReader(database).events("../precious") == []
    assert precious.read_text() == "mine"
    assert logs(tmp_path) == {THIRD_JOB}
