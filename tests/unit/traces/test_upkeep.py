"""What goes on beside the jobs: writing and purging."""

import asyncio
import sqlite3
from contextlib import suppress

import pytest
from trace_builders import JOB, NOON_MS, OTHER_JOB, event

from reconciler.config import SwarmEventSettings
from reconciler.errors import DiskError
from reconciler.state.database import Database
from reconciler.traces.reading import TraceReader
from reconciler.traces.store import TraceStore
from reconciler.traces.upkeep import PURGE_EVERY_S, WRITE_EVERY_S, keep_purging, keep_writing, purge_old


@pytest.fixture
def database(tmp_path):
    """An open, empty database."""
    opened = Database.open(tmp_path / "reconciler.db")
    yield opened
    opened.close()


@pytest.fixture
def store(database, tmp_path):
    """A trace that is kept for one day."""
    return TraceStore(database, tmp_path / "logs", SwarmEventSettings(retention_days=1))


class WallClock:
    """Noon of a day, and on from there with the virtual loop."""

    def wall(self):
        """Seconds since 1970."""
        return NOON_MS / 1000 + asyncio.get_running_loop().time()


async def beside(work, seconds):
    """Let `work` go on for so long."""
    task = asyncio.create_task(work)
    await asyncio.sleep(seconds)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def test_events_are_brought_to_the_disk_by_themselves(virtual_loop, store, database):
    """Those that come later too."""

    async def report():
        for number in range(3):
            store.report(event(number))
            await asyncio.sleep(WRITE_EVERY_S)

    async def both():
        await asyncio.gather(beside(keep_writing(store), 5 * WRITE_EVERY_S), report())

    virtual_loop.run(both())
    assert TraceReader(database).events(JOB) == [event(number) for number in range(3)]


def test_a_database_that_another_holds_is_waited_for(virtual_loop, store, database):
    """A backup has it locked for longer than a write waits; the events are written when it is over."""
    holder = sqlite3.connect(database.path, isolation_level=None, check_same_thread=False)
    database.write(lambda connection: connection.execute("PRAGMA busy_timeout = 1").fetchone()).result()
    holder.execute("BEGIN IMMEDIATE")

    async def let_go():
        store.report(event(1))
        await asyncio.sleep(3 * WRITE_EVERY_S)
        holder.close()

    async def both():
        await asyncio.gather(beside(keep_writing(store), 5 * WRITE_EVERY_S), let_go())

    virtual_loop.run(both())
    assert [each.job_id for each in TraceReader(database).events(JOB)] == [JOB]


def test_a_disk_that_refuses_is_tried_again(virtual_loop, store, database, tmp_path):
    """The log cannot be written; when it can, it is whole."""
    in_the_way = tmp_path / "logs"
    in_the_way.write_text("a file")

    async def clear():
        store.report(event(1))
        await asyncio.sleep(3 * WRITE_EVERY_S)
        in_the_way.unlink()

    async def both():
        await asyncio.gather(beside(keep_writing(store), 5 * WRITE_EVERY_S), clear())

    virtual_loop.run(both())
    assert len((in_the_way / f"{JOB}.log").read_text().splitlines()) == 1


def test_old_events_go_at_the_start_and_once_a_day(virtual_loop, store, database):
    """What was young at the start is old the day after tomorrow."""
    for made in (event(1), event(2, job_id=OTHER_JOB)):
        store.report(made)
    store.flush()
    left = []

    async def look():
        for _ in range(3):
            await asyncio.sleep(PURGE_EVERY_S)
            left.append(len(TraceReader(database).events(JOB)))

    async def both():
        await asyncio.gather(beside(keep_purging(store, WallClock()), 3.5 * PURGE_EVERY_S), look())

    virtual_loop.run(both())
    assert (left[0], left[-1]) == (1, 0)


def test_a_log_that_cannot_be_removed_holds_up_no_other_job(virtual_loop, store, database, tmp_path):
    """Its own events wait for the next day; those of the others, before and behind it, go today."""
    jobs = [f"{number:026}" for number in range(3)]
    for number, job_id in enumerate(jobs):
        store.report(event(number, job_id=job_id))
    store.report(event(3, timestamp_ms=NOON_MS + 2 * 86_400_000))
    store.flush()
    stuck = tmp_path / "logs" / f"{jobs[1]}.log"
    stuck.unlink()
    stuck.mkdir()
    with pytest.raises(DiskError, match="cannot be removed"):
        virtual_loop.run(purge_old(store, now_ms=NOON_MS + 2 * 86_400_000))
    assert [len(TraceReader(database).events(job_id)) for job_id in jobs] == [0, 1, 0]
