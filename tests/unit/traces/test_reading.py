"""What is stored of a trace, read."""

import pytest
from trace_builders import FULL_EVENT, JOB, OTHER_JOB, event

from reconciler.errors import InvalidInputError, NotFoundError
from reconciler.state.database import Database
from reconciler.state.event_tables import INSERT_EVENT
from reconciler.traces import reading
from reconciler.traces.model import EventType
from reconciler.traces.reading import TraceReader
from reconciler.traces.rows import row_of


@pytest.fixture
def database(tmp_path):
    """An open, empty database."""
    opened = Database.open(tmp_path / "reconciler.db")
    yield opened
    opened.close()


@pytest.fixture
def reader(database):
    """Reads it."""
    return TraceReader(database)


def store(database, *events):
    """Put events into the table."""
    rows = [row_of(made) for made in events]
    database.write(lambda c: c.executemany(INSERT_EVENT, rows)).result()


def test_pages_follow_each_other_in_the_order_of_storing(database, reader):
    """Whatever the times of the events; together they are the whole, and what comes later follows too."""
    made = [event(number) for number in (4, 1, 3, 2)]
    store(database, *made[:2], event(9, job_id=OTHER_JOB), made[2])
    first = reader.page(JOB, limit=2)
    assert (list(first.events), first.more) == (made[:2], True)
    second = reader.page(JOB, after=first.cursor, limit=2)
    assert (list(second.events), second.more) == (made[2:3], False)
    nothing_yet = reader.page(JOB, after=second.cursor)
    assert nothing_yet.events == ()
    store(database, made[3])
    assert list(reader.page(JOB, after=nothing_yet.cursor).events) == made[3:]
    assert reader.events(JOB) == made


def test_a_cursor_outlives_its_event(database, reader):
    """What was purged is not missed."""
    store(database, event(1), event(2), event(3))
    cursor = reader.page(JOB, limit=2).cursor
    database.write(lambda c: c.execute("DELETE FROM SwarmEvents WHERE rowid < 3")).result()
    assert list(reader.page(JOB, after=cursor).events) == [event(3)]


@pytest.mark.parametrize("cursor", ["x", "-1", "1.5", " 1", "1e3", "\u0661", "9" * 19, "0x1"])
def test_only_a_cursor_is_taken_as_one(reader, cursor):
    """Not a number in Arabic digits, nor one that no row can have."""
    with pytest.raises(InvalidInputError, match="cursor"):
        reader.page(JOB, after=cursor)


def test_a_page_has_a_bound(database, reader, monkeypatch):
    """Whatever is asked for, from one event to PAGE_EVENTS_MAX."""
    monkeypatch.setattr(reading, "PAGE_EVENTS_MAX", 3)
    store(database, *(event(number) for number in range(5)))
    assert [len(reader.page(JOB, limit=limit).events) for limit in (-7, 0, 1, 3, 4, 10**30)] == [1, 1, 1, 3, 3, 3]


def test_a_job_without_events_has_an_empty_page_and_no_summary(reader):
    """There is nothing to add up."""
    page = reader.page(JOB)
    assert page.to_json() == {"events": [], "cursor": "0", "more": False}
    with pytest.raises(NotFoundError, match="no events"):
        reader.summary(JOB)


def test_a_page_is_told_as_plain_values(database, reader):
    """Under the names of the table's columns; what is not known is null."""
    store(database, FULL_EVENT, event(1, EventType.JOB_START, "started"))
    told = reader.page(JOB).to_json()["events"]
    names = database.read(lambda c: [column[0] for column in c.execute("SELECT * FROM SwarmEvents").description])
    assert [set(each) for each in told] == [{*names[:-1], "metadata"}] * 2
    assert told[0]["throughput_bytes_per_sec"] == pytest.approx(65536 / 0.0125)
    assert (told[0]["timestamp"], told[0]["metadata"]["chunk"]) == (FULL_EVENT.timestamp_ms, 7)
    assert (told[1]["peer_id"], told[1]["duration_ms"], told[1]["metadata"]) == (None, None, {})


def test_no_question_looks_at_other_jobs(database):
    """SQLite would take the index on `type`, and count a million rows for ten."""
    questions = (reading._ROWS, reading._MOMENTS, reading._BEFORE, reading._TOLD, reading._CHUNKS)
    for question in questions:
        values = [JOB, 0, 10][: question.count("?")]
        plan = database.read(lambda c, q=question, v=values: c.execute(f"EXPLAIN QUERY PLAN {q}", v).fetchall())
        steps = [row[3] for row in plan if "SwarmEvents" in row[3]]
        assert all("SwarmEvents_by_job (job_id=?" in step or "rowid=?" in step for step in steps), steps
