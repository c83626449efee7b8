"""The buffer in front of the event table."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from trace_builders import FULL_EVENT, JOB, OTHER_JOB, event

from reconciler.errors import DiskError
from reconciler.manifests.model import JobType
from reconciler.state.database import Database
from reconciler.state.jobs import JobRecord, JobStore
from reconciler.traces import store as store_module
from reconciler.traces.model import EventType
from reconciler.traces.reading import TraceReader
from reconciler.traces.store import TraceStore, row_of


@pytest.fixture
def database(tmp_path):
    """An open, empty database."""
    opened = Database.open(tmp_path / "reconciler.db")
    yield opened
    opened.close()


@pytest.fixture
def store(database, tmp_path):
    """An empty trace."""
    return TraceStore(database, tmp_path / "logs")


@pytest.fixture
def small_buffer(monkeypatch):
    """Room for five events, three of them of chunks."""
    monkeypatch.setattr(store_module, "BUFFER_EVENTS_MAX", 5)
    monkeypatch.setattr(store_module, "BUFFER_CHUNK_EVENTS_MAX", 3)


def key_event(number, **changes):
    """An event that a person would miss."""
    return event(number, EventType.PEER_CONNECTED, "connected", **changes)


def stored(database, job_id=JOB):
    """The events of a job."""
    return TraceReader(database).events(job_id)


def log(tmp_path, job_id=JOB):
    """How many lines a session log has."""
    return len((tmp_path / "logs" / f"{job_id}.log").read_text().splitlines())


class TestStoring:
    """What was reported is stored by the next flush, in order, once."""

    def test_a_report_is_stored_by_the_next_flush(self, store, tmp_path, database):
        """Not before, so that reporting never waits; then with its line."""
        store.report(FULL_EVENT)
        assert stored(database) == []
        store.flush()
        assert stored(database) == [FULL_EVENT]
        assert log(tmp_path) == 1

    def test_events_come_in_the_order_in_which_they_were_reported(self, store, database):
        """Whatever their times; of one job only."""
        reported = [event(number) for number in (5, 3, 9)]
        for made in [*reported, event(1, job_id=OTHER_JOB)]:
            store.report(made)
        store.flush()
        assert stored(database) == reported

    def test_more_than_one_transaction_takes_are_all_stored(self, store, tmp_path, database):
        """A flush takes what was there when it began, in batches."""
        count = 2 * store_module.EVENTS_PER_TRANSACTION + 1
        for number in range(count):
            store.report(event(number))
        store.flush()
        assert [made.event_id for made in stored(database)] == [f"{number:026}" for number in range(count)]
        assert log(tmp_path) == count

    def test_an_event_that_is_there_already_is_not_stored_twice(self, store, tmp_path, database):
        """A commit whose confirmation was lost is repeated without harm."""
        for made in (event(1), event(1), event(2)):
            store.report(made)
        store.flush()
        store.report(event(2))
        store.flush()
        assert stored(database) == [event(1), event(2)]
        assert log(tmp_path) == 2

    def test_threads_report_and_flush_at_once(self, store, database):
        """Nothing is lost and nothing doubled."""
        stop = threading.Event()

        def flush_on():
            while not stop.is_set():
                store.flush()

        with ThreadPoolExecutor(6) as pool:
            flushers = [pool.submit(flush_on) for _ in range(2)]
            reporters = [
                pool.submit(lambda start: [store.report(event(number)) for number in range(start, start + 500)], start)
                for start in range(0, 2000, 500)
            ]
            for reporter in reporters:
                reporter.result()
            stop.set()
            for flusher in flushers:
                flusher.result()
        store.flush()
        assert sorted(made.event_id for made in stored(database)) == [f"{number:026}" for number in range(2000)]

    def test_an_event_stored_with_a_fact_gets_its_line_too(self, store, database, tmp_path):
        """`catch_up_log` for one job, or the next flush for all."""
        jobs = JobStore(database)
        completed = JobRecord(job_id=JOB, path="a.yml", job_type=JobType.MB_RELEASE, spec_digest="d")
        jobs.record_finished(completed, row_of(event(1, EventType.JOB_COMPLETE, "completed")))
        store.catch_up_log(JOB)
        assert log(tmp_path) == 1
        jobs.record_finished(replace(completed, generation=2), row_of(event(2, EventType.JOB_COMPLETE, "completed")))
        store.flush()
        assert log(tmp_path) == 2


class TestFullBuffer:
    """Full is a designed case: chunk events are counted, key events kept."""

    def test_chunk_events_are_counted_when_there_is_no_room(self, small_buffer, store, database):
        """A marker tells how many of which job, with the time of the last."""
        for number in range(1, 6):
            store.report(event(number))
        store.report(event(6, job_id=OTHER_JOB))
        store.flush()
        marker = stored(database)[-1]
        assert [made.event_id for made in stored(database)[:-1]] == [event(number).event_id for number in (1, 2, 3)]
        assert (marker.type, marker.action, marker.metadata) == (EventType.ERROR, "events dropped", {"count": 2})
        assert (marker.is_error, marker.timestamp_ms) == (True, event(5).timestamp_ms)
        assert [made.metadata for made in stored(database, OTHER_JOB)] == [{"count": 1}]

    def test_key_events_have_room_of_their_own(self, small_buffer, store, database):
        """Chunk events cannot push them out, and only too many of themselves are counted."""
        for number in range(1, 5):
            store.report(event(number))
        for number in range(5, 8):
            store.report(key_event(number))
        store.flush()
        found = stored(database)
        assert found[:-1] == [event(1), event(2), event(3), key_event(5), key_event(6)]
        assert found[-1].metadata == {"count": 2}

    def test_after_a_flush_there_is_room_again(self, small_buffer, store, database):
        """And the count begins anew."""
        for first in (10, 20):
            for number in range(first, first + 5):
                store.report(event(number))
            store.flush()
        counts = [made.metadata["count"] for made in stored(database) if made.type is EventType.ERROR]
        assert counts == [2, 2]

    def test_memory_is_bounded_when_the_disk_stalls(self, store):
        """Ten times the buffer leaves it full and no fuller."""
        for number in range(10 * store_module.BUFFER_EVENTS_MAX):
            store.report(event(number))
        assert len(store._buffer) == store_module.BUFFER_CHUNK_EVENTS_MAX
        assert len(store._dropped) == 1

    def test_a_refusing_disk_loses_nothing(self, store, database, tmp_path):
        """The flush says so, the events wait in the buffer, and follow in order."""
        limit = lambda count: database.write(
            lambda c: c.execute(f"PRAGMA max_page_count = {count}").fetchone()
        ).result()
        limit(database.write(lambda c: c.execute("PRAGMA page_count").fetchone()[0]).result())
        for number in range(300):
            store.report(event(number, error_message="x" * 900))
        with pytest.raises(DiskError):
            store.flush()
        assert stored(database) == []
        limit(100_000)
        store.report(event(300))
        store.flush()
        assert [made.event_id for made in stored(database)] == [f"{number:026}" for number in range(301)]
        assert log(tmp_path) == 301
