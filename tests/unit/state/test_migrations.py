"""The tables, and how an older file becomes a newer one."""

import sqlite3

import pytest

from reconciler.state import migrations
from reconciler.state.migrations import ForeignSchemaError, migrate, require_newest, version_of

# The contract of the table, in its order: other programs read it.
SWARM_EVENTS = """
event_id TEXT, timestamp INTEGER, type TEXT, job_id TEXT, track_id TEXT, variant_id TEXT, peer_id TEXT, action TEXT,
source TEXT, bytes_transferred INTEGER, duration_ms REAL, throughput_bytes_per_sec REAL, is_error BOOLEAN,
error_code TEXT, error_message TEXT, metadata_json TEXT
"""


@pytest.fixture
def connection(tmp_path):
    """A new, empty file."""
    opened = sqlite3.connect(tmp_path / "new.db", isolation_level=None)
    yield opened
    opened.close()


def tables(connection):
    """The names of the tables that are there."""
    return {row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}


def test_a_new_file_gets_every_table(connection):
    """And the version that says so."""
    migrate(connection)
    assert tables(connection) == {
        "acted_on",
        "artifacts",
        "children",
        "completed_manifests",
        "finishes",
        "holdings",
        "holds",
        "hook_deliveries",
        "jobs",
        "library_files",
        "musicbrainz_answers",
        "peer_pardons",
        "peers",
        "resolutions",
        "session_log",
        "sighting_rules",
        "sightings",
        "soulseek_report",
        "soulseek_searches",
        "soulseek_session",
        "soulseek_users",
        "soulseek_wrong_files",
        "SwarmEvents",
        "tagged_files",
    }
    assert version_of(connection) == len(migrations.MIGRATIONS)


def test_a_second_time_changes_nothing(connection):
    """Not even the schema's own counter."""
    migrate(connection)
    before = connection.execute("PRAGMA schema_version").fetchone()
    migrate(connection)
    assert connection.execute("PRAGMA schema_version").fetchone() == before


def test_the_event_table_is_as_promised(connection):
    """Names, types and order of its sixteen columns, its key, what may not be NULL, and three indexes."""
    migrate(connection)
    columns = connection.execute("PRAGMA table_info(SwarmEvents)").fetchall()
    assert [f"{name} {kind}" for _, name, kind, *_ in columns] == SWARM_EVENTS.replace("\n", " ").strip().split(", ")
    assert [name for _, name, _, _, _, key in columns if key] == ["event_id"]
    assert [name for _, name, _, required, *_ in columns if required] == ["timestamp", "type", "job_id"]
    indexed = {
        tuple(row[2] for row in connection.execute(f"PRAGMA index_info({name})"))
        for _, name, *_ in connection.execute("PRAGMA index_list(SwarmEvents)").fetchall()
    }
    assert indexed == {("event_id",), ("job_id", "timestamp"), ("type",), ("peer_id",)}


def test_a_step_that_fails_leaves_the_file_as_it_was(connection, monkeypatch):
    """All steps or none: no half-made schema to find next time."""
    fails = ("CREATE TABLE half (made)", "INSERT INTO half VALUES (1, 2)")
    monkeypatch.setattr(migrations, "MIGRATIONS", (*migrations.MIGRATIONS, fails))
    with pytest.raises(sqlite3.OperationalError, match="2 values"):
        migrate(connection)
    assert tables(connection) == set()
    assert connection.execute("PRAGMA user_version").fetchone() == (0,)


def test_only_the_missing_steps_are_taken(connection, monkeypatch):
    """A file of version 1 keeps its rows and gets step 2 alone."""
    migrate(connection)
    connection.execute("INSERT INTO session_log VALUES ('kept', 1, 2)")
    added = ("CREATE TABLE later (made)",)
    monkeypatch.setattr(migrations, "MIGRATIONS", (*migrations.MIGRATIONS, added))
    with pytest.raises(ForeignSchemaError, match="older"):
        require_newest(connection)
    migrate(connection)
    assert "later" in tables(connection)
    assert connection.execute("SELECT job_id FROM session_log").fetchall() == [("kept",)]
    require_newest(connection)


def test_two_that_start_at_once_migrate_once(connection, tmp_path):
    """The second waits for the lock, then finds nothing to do."""
    other = sqlite3.connect(tmp_path / "new.db", isolation_level=None, timeout=5)
    migrate(connection)
    migrate(other)
    assert version_of(other) == len(migrations.MIGRATIONS)
    other.close()


@pytest.mark.parametrize(
    "change",
    [
        "CREATE TABLE mine (made)",
        "DROP INDEX holdings_by_recording",
        "UPDATE sqlite_schema SET sql = replace(sql, 'spec_digest', 'spec_digesu')",
    ],
)
def test_tables_that_no_migration_made_are_refused(connection, change):
    """A hand that helped, or a flipped bit in the name of a column, which SQLite's own check does not see."""
    migrate(connection)
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute(change)
    assert connection.execute("PRAGMA quick_check").fetchall() == [("ok",)]
    with pytest.raises(ForeignSchemaError, match="did not make"):
        migrate(connection)
