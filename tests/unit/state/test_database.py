"""The one SQLite file: durability, one writer, several readers, and what its errors mean."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from reconciler.errors import DiskError, FileBusyError, NotFoundError, ReconcilerError, StateDamagedError
from reconciler.ids import JobId
from reconciler.manifests.model import JobType
from reconciler.state import database as database_module
from reconciler.state.database import READERS_MAX, WRITES_QUEUED_MAX, Database
from reconciler.state.jobs import JobRecord, JobStore
from reconciler.state.migrations import MIGRATIONS


@pytest.fixture
def path(tmp_path):
    """Where the file will be: in a folder that is not there yet."""
    return tmp_path / "state" / "reconciler.db"


@pytest.fixture
def database(path):
    """An open, empty database."""
    opened = Database.open(path)
    yield opened
    opened.close()


def put(database, number, text="x"):
    """Write one row by its number."""
    return database.write(lambda c: c.execute("INSERT INTO session_log VALUES (?, ?, 0)", (f"{text}{number}", number)))


def numbers(database):
    """The numbers of the rows that are there."""
    return [row[0] for row in database.read(lambda c: c.execute("SELECT last_rowid FROM session_log").fetchall())]


class TestOpening:
    """A file is made private, checked, and refused where it cannot be trusted."""

    def test_the_file_is_for_its_owner_only(self, database, path):
        """Listening habits and peers' addresses: 0600, in a folder of 0700."""
        put(database, 1).result()
        modes = {entry.name: entry.stat().st_mode & 0o777 for entry in path.parent.iterdir()}
        assert modes == dict.fromkeys(("reconciler.db", "reconciler.db-wal", "reconciler.db-shm"), 0o600)
        assert path.parent.stat().st_mode & 0o777 == 0o700

    def test_facts_survive_the_power(self, database):
        """WAL with synchronous=FULL (2) on the connection that writes; foreign keys are checked."""
        pragmas = ("journal_mode", "synchronous", "foreign_keys", "journal_size_limit")
        found = database.write(lambda c: [c.execute(f"PRAGMA {name}").fetchone()[0] for name in pragmas]).result()
        assert found == ["wal", 2, 1, 64 * 1024 * 1024]

    def test_what_was_written_is_there_again(self, path):
        """A second opening finds the rows of the first and migrates nothing."""
        first = Database.open(path)
        put(first, 7).result()
        first.close()
        second = Database.open(path)
        assert numbers(second) == [7]
        second.close()

    @pytest.mark.parametrize(
        "content",
        [b"not a database, but long enough to be one: " * 40, b"SQLite format 3\x00" + bytes(200)],
        ids=["text", "header only"],
    )
    def test_a_file_of_something_else_is_refused(self, path, content):
        """The error says which file and what to do; the file stays as it is."""
        path.parent.mkdir()
        path.write_bytes(content)
        with pytest.raises(StateDamagedError) as caught:
            Database.open(path)
        assert str(path) in caught.value.message
        assert "aside" in caught.value.hint
        assert path.read_bytes() == content

    def test_a_damaged_page_is_found_at_the_start(self, path):
        """quick_check looks at the structure of every page."""
        database = Database.open(path)
        for number in range(500):
            put(database, number)
        database.close()
        content = bytearray(path.read_bytes())
        content[-2 * 4096 : -4096] = b"\xff" * 4096
        path.write_bytes(content)
        with pytest.raises(StateDamagedError):
            Database.open(path)

    def test_a_newer_file_is_refused_and_left_alone(self, path):
        """A downgrade must not write into tables that it does not know."""
        Database.open(path).close()
        plain = sqlite3.connect(path)
        plain.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
        plain.close()
        with pytest.raises(StateDamagedError) as caught:
            Database.open(path)
        assert f"version {len(MIGRATIONS) + 1}" in caught.value.message
        assert "newer version" in caught.value.hint

    def test_a_database_of_another_program_is_refused(self, path):
        """Tables, but no version of ours."""
        path.parent.mkdir()
        plain = sqlite3.connect(path)
        plain.execute("CREATE TABLE photos (name)")
        plain.close()
        with pytest.raises(StateDamagedError, match="other program"):
            Database.open(path)

    def test_a_folder_that_cannot_be_made_is_a_disk_error(self, tmp_path):
        """A file stands where the folder should be."""
        (tmp_path / "state").write_text("")
        with pytest.raises(DiskError, match="cannot be made"):
            Database.open(tmp_path / "state" / "reconciler.db")

    def test_flipped_bytes_give_no_other_error_than_damage(self, path):
        """Of 120 files with flipped bits, in the header, the schema or anywhere, each is refused by name, or read."""
        database = Database.open(path)
        store = JobStore(database)
        for number in range(40):
            job_id = JobId(f"{number:08x}-0000-0000-0000-000000000000")
            store.put(JobRecord(job_id=job_id, path="jobs/a.yml", job_type=JobType.MB_RELEASE, spec_digest="d"))
        database.close()
        good = path.read_bytes()
        refused = 0
        for seed in range(120):
            dice = random.Random(seed)
            content = bytearray(good)
            end = (100, 4096, len(content))[seed % 3]
            for _ in range(dice.choice((1, 3, 20))):
                content[dice.randrange(end)] ^= 1 << dice.randrange(8)
            path.write_bytes(content)
            try:
                opened = Database.open(path)
                try:
                    JobStore(opened).all()
                finally:
                    opened.close()
            except ReconcilerError:
                refused += 1
        assert refused > 0


class TestReadingOnly:
    """What a command does beside a running daemon."""

    def test_it_reads_while_another_writes(self, database, path):
        """Each read sees what was committed before it."""
        beside = Database.open_read_only(path)
        put(database, 1).result()
        assert numbers(beside) == [1]
        put(database, 2).result()
        assert numbers(beside) == [1, 2]
        beside.close()

    def test_it_cannot_write(self, database, path):
        """Neither through `write` nor by a statement in a read."""
        beside = Database.open_read_only(path)
        with pytest.raises(RuntimeError, match="read only"):
            put(beside, 1)
        with pytest.raises(DiskError):
            beside.read(lambda c: c.execute("DELETE FROM jobs"))
        beside.close()

    def test_without_a_file_it_says_so(self, path):
        """No daemon has run here yet; nothing is made."""
        with pytest.raises(NotFoundError):
            Database.open_read_only(path)
        assert not path.parent.exists()

    def test_an_older_file_is_left_to_the_daemon(self, path):
        """Only the daemon migrates."""
        path.parent.mkdir()
        sqlite3.connect(path).close()
        with pytest.raises(StateDamagedError, match="older") as caught:
            Database.open_read_only(path)
        assert "start the daemon" in caught.value.hint


class TestWriting:
    """One transaction a call, in order; all of it or nothing."""

    def test_a_failed_write_raises_through_its_future_and_leaves_nothing(self, database):
        """The one before and the one after it stand."""

        def half(connection):
            connection.execute("INSERT INTO session_log VALUES ('half', 2, 0)")
            raise ValueError("in the middle")

        before, failed, after = put(database, 1), database.write(half), put(database, 3)
        with pytest.raises(ValueError, match="in the middle"):
            failed.result()
        before.result()
        after.result()
        assert sorted(numbers(database)) == [1, 3]

    def test_a_broken_rule_of_the_schema_passes_as_it_is(self, database):
        """That is a mistake of the program, not of the disk."""
        put(database, 1).result()
        with pytest.raises(sqlite3.IntegrityError):
            put(database, 1).result()

    def test_writes_of_many_threads_all_arrive(self, database):
        """Nobody waits for anybody's lock."""
        with ThreadPoolExecutor(8) as pool:
            futures = list(pool.map(lambda number: put(database, number), range(200)))
        for future in futures:
            future.result()
        assert sorted(numbers(database)) == list(range(200))

    def test_closing_finishes_what_is_queued(self, path):
        """Then the file alone holds everything: the WAL is gone."""
        database = Database.open(path)
        futures = [put(database, number) for number in range(100)]
        database.close()
        assert all(future.done() for future in futures)
        assert [entry.name for entry in path.parent.iterdir()] == ["reconciler.db"]
        again = Database.open(path)
        assert len(numbers(again)) == 100
        again.close()

    def test_after_closing_nothing_is_taken(self, path):
        """Closing twice is the same as once."""
        database = Database.open(path)
        database.close()
        database.close()
        with pytest.raises(RuntimeError, match="closed"):
            put(database, 1)
        with pytest.raises(RuntimeError, match="closed"):
            numbers(database)

    def test_a_write_within_a_write_is_refused(self, database):
        """It would wait for itself for ever."""
        with pytest.raises(RuntimeError, match="another write"):
            database.write(lambda _: put(database, 1).result()).result()

    def test_a_write_cancelled_before_its_turn_is_not_done(self, database):
        """Cancelled means as if not begun."""
        gate = threading.Event()
        database.write(lambda _: gate.wait())
        cancelled, kept = put(database, 1), put(database, 2)
        assert cancelled.cancel()
        gate.set()
        kept.result()
        assert numbers(database) == [2]

    def test_a_full_queue_makes_the_caller_wait(self, database):
        """A fact is never dropped: the writer goes on, then the caller does."""
        gate, started, done = threading.Event(), threading.Event(), threading.Event()
        database.write(lambda _: (started.set(), gate.wait()))
        started.wait()
        for number in range(WRITES_QUEUED_MAX):
            put(database, number)

        def one_more():
            put(database, WRITES_QUEUED_MAX).result()
            done.set()

        caller = threading.Thread(target=one_more)
        caller.start()
        assert not done.wait(0.05)
        gate.set()
        caller.join()
        assert len(numbers(database)) == WRITES_QUEUED_MAX + 1

    def test_a_full_disk_is_a_disk_error_and_passes(self, database):
        """Nothing of the write stays; when there is room again, the next one succeeds."""
        pages = database.write(lambda c: c.execute("PRAGMA page_count").fetchone()[0]).result()
        limit = lambda count: database.write(
            lambda c: c.execute(f"PRAGMA max_page_count = {count}").fetchone()
        ).result()
        limit(pages + 4)
        with pytest.raises(DiskError) as caught:
            put(database, 1, text="x" * 100_000).result()
        assert caught.value.retriable
        limit(pages + 1000)
        put(database, 2, text="x" * 100_000).result()
        assert numbers(database) == [2]

    def test_a_lock_of_another_process_is_tried_again_later(self, path, monkeypatch):
        """A backup that holds the lock for too long."""
        monkeypatch.setattr(database_module, "BUSY_TIMEOUT_S", 0.02)
        database = Database.open(path)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(FileBusyError):
            put(database, 1).result()
        other.execute("ROLLBACK")
        other.close()
        put(database, 1).result()
        database.close()

    def test_what_was_confirmed_survives_kill_9(self, path):
        """Every number that the process printed after its future had a result is in the file."""
        script = (
            "import sys, pathlib; from reconciler.state.database import Database\n"
            "database = Database.open(pathlib.Path(sys.argv[1]))\n"
            "for number in range(10**9):\n"
            "    database.write(lambda c: c.execute('INSERT INTO session_log VALUES (?, ?, 0)', (str(number), number))"
            ").result()\n"
            "    print(number, flush=True)\n"
        )
        with subprocess.Popen([sys.executable, "-c", script, path], stdout=subprocess.PIPE, text=True) as process:
            confirmed = [int(process.stdout.readline()) for _ in range(50)]
            os.kill(process.pid, signal.SIGKILL)
            confirmed += [int(line) for line in process.stdout.read().splitlines()]
        database = Database.open(path)
        found = numbers(database)
        database.close()
        assert set(confirmed) <= set(found)
        assert len(found) <= len(confirmed) + 1


class TestReading:
    """Several readers, each at one moment, none of them writing."""

    def test_a_read_sees_one_moment(self, database):
        """What is committed while it runs is for the next one."""

        def twice(connection):
            count = "SELECT count(*) FROM session_log"
            first = connection.execute(count).fetchone()[0]
            put(database, 1).result()
            return first, connection.execute(count).fetchone()[0]

        assert database.read(twice) == (0, 0)
        assert numbers(database) == [1]

    def test_more_readers_than_connections_take_turns(self, database):
        """READERS_MAX connections serve any number of threads."""
        put(database, 1).result()
        with ThreadPoolExecutor(4 * READERS_MAX) as pool:
            assert list(pool.map(lambda _: numbers(database), range(200))) == [[1]] * 200
        assert 0 < len(database._idle_readers) <= READERS_MAX

    def test_a_failed_read_gives_its_connection_back(self, database):
        """As many failures as there are connections, and it still reads."""
        for _ in range(READERS_MAX + 1):
            with pytest.raises(sqlite3.OperationalError):
                database.read(lambda c: c.execute("SELECT * FROM nothing"))
        assert numbers(database) == []

    def test_text_that_is_not_utf_8_is_damage(self, database):
        """SQLite stores whatever bytes it finds; Python will not read them."""
        put(database, 1).result()
        database.write(lambda c: c.execute("UPDATE session_log SET job_id = CAST(x'ff41' AS TEXT)")).result()
        with pytest.raises(StateDamagedError, match="is damaged"):
            database.read(lambda c: c.execute("SELECT job_id FROM session_log").fetchall())
