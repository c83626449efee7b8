"""The buffer in front of the event table."""

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from trace_builders import FULL_EVENT, JOB, OTHER_JOB, event

from reconciler.config import SwarmEventSettings
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
    """Room for seven events: three of them of chunks, two of peers."""
    monkeypatch.setattr(store_module, "BUFFER_EVENTS_MAX", 7)
    monkeypatch.setattr(store_module, "BUFFER_PEER_EVENTS_MAX", 5)
    monkeypatch.setattr(store_module, "BUFFER_CHUNK_EVENTS_MAX", 3)


def peer_event(number):
    """An event that a peer can cause."""
    return event(number, EventType.PEER_CONNECTED, "connected")


def key_event(number):
    """An event that a person would miss."""
    return event(number, EventType.RESCUE_MODE_ACTIVATED, "activated")


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

    def test_a_fact_waits_for_the_events_of_its_own_job_only(self, store, database, tmp_path):
        """They are stored, with their lines; those of others wait for the next flush, in their order."""
        for number in range(6):
            store.report(event(number, job_id=(JOB, OTHER_JOB)[number % 2]))
        store.flush_job(JOB)
        assert stored(database) == [event(number) for number in (0, 2, 4)]
        assert stored(database, OTHER_JOB) == []
        assert log(tmp_path) == 3
        store.flush()
        assert stored(database, OTHER_JOB) == [event(number, job_id=OTHER_JOB) for number in (1, 3, 5)]
        assert (log(tmp_path), log(tmp_path, OTHER_JOB)) == (3, 3)

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
        """Neither chunks nor peers can push them out."""
        for number in range(1, 5):
            store.report(event(number))
        for number in range(5, 8):
            store.report(peer_event(number))
        for number in range(8, 10):
            store.report(key_event(number))
        store.flush()
        found = stored(database)
        kept = [event(1), event(2), event(3), peer_event(5), peer_event(6), key_event(8), key_event(9)]
        assert found[:-1] == kept
        assert found[-1].metadata == {"count": 2}

    def test_only_too_many_of_themselves_are_counted(self, small_buffer, store, database):
        """Memory has an end, and what was dropped is said."""
        for number in range(1, 10):
            store.report(key_event(number))
        store.flush()
        assert [made.event_id for made in stored(database)[:-1]] == [event(number).event_id for number in range(1, 8)]
        assert stored(database)[-1].metadata == {"count": 2}

    def test_what_was_dropped_of_a_job_is_said_before_its_fact(self, small_buffer, store, database):
        """The other job's is said with the others."""
        for number in range(1, 6):
            store.report(event(number))
        store.report(event(6, job_id=OTHER_JOB))
        store.flush_job(JOB)
        assert [made.action for made in stored(database)] == [*["verified"] * 3, "events dropped"]
        assert stored(database, OTHER_JOB) == []
        store.flush()
        assert [made.metadata for made in stored(database, OTHER_JOB)] == [{"count": 1}]
        assert len(stored(database)) == 4

    def test_after_a_flush_there_is_room_again(self, small_buffer, store, database):
        """And the count begins anew."""
        for first in (10, 20):
            for number in range(first, first + 5):
                store.report(event(number))
            store.flush()
        counts = [made.metadata["count"] for made in stored(database) if made.type is EventType.ERROR]
        assert counts == [2, 2]

    def test_memory_is_bounded_when_the_disk_stalls(self, store):
        """Twice the buffer leaves it full and no fuller, and the key event behind it is there."""
        for number in range(2 * store_module.BUFFER_CHUNK_EVENTS_MAX):
            store.report(event(number))
        store.report(key_event(0))
        assert len(store._buffer) == store_module.BUFFER_CHUNK_EVENTS_MAX + 1
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


class TestLimit:
    """A job has so many events; from there on those of chunks are summed up."""

    @pytest.fixture
    def limited(self, database, tmp_path):
        """A trace of three events a job."""
        return TraceStore(database, tmp_path / "logs", SwarmEventSettings(max_events_per_job=3))

    def test_key_events_stay_and_chunk_events_are_summed_up(self, limited, database, tmp_path):
        """With a marker where it begins; each has its line in the log."""
        for number in range(1, 8):
            limited.report(event(number, bytes_transferred=10, peer_id="ann"))
        limited.report(key_event(8))
        limited.flush()
        found = stored(database)
        assert found[:3] == [event(number, bytes_transferred=10, peer_id="ann") for number in (1, 2, 3)]
        assert [(made.type, made.action) for made in found[3:]] == [
            (EventType.ERROR, "limit reached"),
            (EventType.RESCUE_MODE_ACTIVATED, "activated"),
            (EventType.CHUNK_RECEIVED, "summed up"),
        ]
        assert (found[-1].bytes_transferred, found[-1].metadata["count"]) == (40, 4)
        assert log(tmp_path) == 6

    def test_a_sum_goes_on_while_the_job_does(self, limited, database):
        """Writing what waits does not end it; a flush does."""
        for number in range(1, 8):
            limited.report(event(number, bytes_transferred=10))
            limited.write_waiting()
        assert len(stored(database)) == 4
        limited.flush()
        assert [made.metadata.get("count") for made in stored(database)[4:]] == [4]

    def test_a_new_process_knows_what_is_stored(self, limited, database, tmp_path):
        """The limit is that of the job, and it is marked once."""
        for number in range(1, 6):
            limited.report(event(number))
        limited.flush()
        later = TraceStore(database, tmp_path / "logs", SwarmEventSettings(max_events_per_job=3))
        for number in range(6, 9):
            later.report(event(number))
        later.flush()
        assert [made.action for made in stored(database)] == [*["verified"] * 3, "limit reached", *["summed up"] * 2]

    def test_other_jobs_have_their_own(self, limited, database):
        """One that is talkative costs the others nothing."""
        for number in range(1, 6):
            limited.report(event(number))
        limited.report(event(9, job_id=OTHER_JOB))
        limited.flush()
        assert stored(database, OTHER_JOB) == [event(9, job_id=OTHER_JOB)]

    def test_a_refusing_disk_counts_nothing_twice(self, limited, database, monkeypatch):
        """What could not be written is written later, as it was summed up."""
        for number in range(1, 8):
            limited.report(event(number, bytes_transferred=10))
        with monkeypatch.context() as patch:
            patch.setattr(store_module, "INSERT_EVENT", "INSERT INTO SwarmEvents VALUES (zeroblob(2000000000))")
            for _ in range(2):
                with pytest.raises(sqlite3.Error):
                    limited.flush()
            with pytest.raises(sqlite3.Error):
                limited.flush_job(JOB)
        limited.flush()
        assert sum(made.bytes_transferred for made in stored(database)) == 70
        assert len(stored(database)) == 5

    def test_what_another_thread_could_not_write_is_kept_beside_the_next_batch(self, limited, database, monkeypatch):
        """The disk refuses the events of one job in the moment between two batches of all jobs, and then takes them."""
        limited.report(event(1))
        limited.report(event(2, job_id=OTHER_JOB))
        taking = limited._take_markers

        def refused_meanwhile():
            with monkeypatch.context() as patch:
                patch.setattr(store_module, "INSERT_EVENT", "INSERT INTO SwarmEvents VALUES (zeroblob(2000000000))")
                with pytest.raises(sqlite3.Error):
                    limited.flush_job(JOB)
            return taking()

        monkeypatch.setattr(limited, "_take_markers", refused_meanwhile)
        limited.flush()
        assert stored(database) == [event(1)]
        assert stored(database, OTHER_JOB) == [event(2, job_id=OTHER_JOB)]

    def test_only_so_many_jobs_are_remembered(self, limited, database, monkeypatch):
        """The table knows of the others."""
        monkeypatch.setattr(store_module, "LIMITS_KEPT_MAX", 2)
        for number in range(1, 6):
            limited.report(event(number))
            limited.report(event(number + 10, job_id=OTHER_JOB))
            limited.report(event(number + 20, job_id=f"{number:026}"))
            limited.write_waiting()
        limited.flush()
        assert len(limited._limits) <= 2
        assert sum(made.metadata.get("count", 1) for made in stored(database) if not made.is_error) == 5
        assert [made.action for made in stored(database)].count("limit reached") == 1


class TestSettings:
    """What is kept can be chosen."""

    def test_without_events_nothing_is_kept(self, database, tmp_path):
        """Neither what is reported nor what goes with a fact; no log either."""
        silent = TraceStore(database, tmp_path / "logs", SwarmEventSettings(enabled=False))
        silent.report(event(1))
        silent.flush()
        silent.flush_job(JOB)
        jobs = JobStore(database, keep_events=False)
        record = JobRecord(job_id=JOB, path="a.yml", job_type=JobType.MB_RELEASE, spec_digest="d")
        assert jobs.record_finished(record, row_of(event(2, EventType.JOB_COMPLETE, "completed")))
        silent.catch_up_log(JOB)
        assert stored(database) == []
        assert not (tmp_path / "logs").exists()

    def test_without_logs_the_table_has_all(self, database, store, tmp_path):
        """Switched on later, a log begins with what happened before."""
        quiet = TraceStore(database, tmp_path / "logs", SwarmEventSettings(log_to_file=False))
        quiet.report(event(1))
        quiet.flush()
        quiet.catch_up_log(JOB)
        assert stored(database) == [event(1)]
        assert not (tmp_path / "logs").exists()
        store.flush()
        assert log(tmp_path) == 1
