"""The session log: each event exactly one line, whatever happens to the process or the file."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from trace_builders import JOB, OTHER_JOB, event

from reconciler.errors import DiskError, UnsafePathError
from reconciler.state.database import Database
from reconciler.state.event_tables import INSERT_EVENT
from reconciler.traces import outbox
from reconciler.traces.outbox import SessionLogs
from reconciler.traces.rows import row_of
from reconciler.traces.session_log import line_of


@pytest.fixture
def database(tmp_path):
    """An open, empty database."""
    opened = Database.open(tmp_path / "reconciler.db")
    yield opened
    opened.close()


@pytest.fixture
def folder(tmp_path):
    """Where the logs will be; not there yet."""
    return tmp_path / "logs" / "sessions"


@pytest.fixture
def logs(database, folder):
    """The logs of this database."""
    return SessionLogs(database, folder)


def store(database, *events):
    """Put events into the table, past the buffer."""
    rows = [row_of(made) for made in events]
    database.write(lambda c: c.executemany(INSERT_EVENT, rows)).result()


def catch_up(logs):
    """Write the lines of every event that has none yet."""
    logs.catch_up(logs.behind())


def lines(folder, job_id=JOB):
    """The lines of a log."""
    return (folder / f"{job_id}.log").read_text("utf-8").splitlines(keepends=True)


def expected(*numbers):
    """The lines of the events with these numbers."""
    return [line_of(event(number)) for number in numbers]


def test_each_event_has_a_line_in_the_order_of_the_table(database, logs, folder):
    """Stored order, not the order of their times."""
    store(database, event(2), event(1))
    catch_up(logs)
    store(database, event(3))
    catch_up(logs)
    assert lines(folder) == expected(2, 1, 3)


def test_nothing_new_writes_nothing(database, logs, folder):
    """Neither to the file nor to the database."""
    store(database, event(1))
    catch_up(logs)
    before = (folder / f"{JOB}.log").stat().st_mtime_ns, database.path.with_name("reconciler.db-wal").stat().st_size
    catch_up(logs)
    after = (folder / f"{JOB}.log").stat().st_mtime_ns, database.path.with_name("reconciler.db-wal").stat().st_size
    assert after == before


def test_each_job_has_its_own_file(database, logs, folder):
    """Only its owner may read it; a job that others catch up with first is not forgotten."""
    store(database, event(1), event(2, job_id=OTHER_JOB), event(3))
    logs.catch_up([OTHER_JOB])
    catch_up(logs)
    assert lines(folder) == expected(1, 3)
    assert lines(folder, OTHER_JOB) == expected(2)
    assert {entry.stat().st_mode & 0o777 for entry in folder.iterdir()} == {0o600}


def test_more_events_than_one_write_takes_all_arrive(database, logs, folder):
    """A backlog is written in parts, in order."""
    count = 2 * outbox.LINES_PER_WRITE + 1
    store(database, *(event(number) for number in range(count)))
    catch_up(logs)
    assert lines(folder) == expected(*range(count))


@pytest.mark.parametrize("known", [False, True], ids=["from the beginning", "the newest"])
def test_whatever_a_peer_is_called_its_line_is_that_of_the_event(database, logs, folder, known):
    """Text goes through the table and comes out as it went in."""
    names = ("a|b", "\0", "\n\r", '"\\u0041', "\x1b[2J", "\u202e", "\U0001f4a9", "\ufeff", "x" * 900)
    made = [event(number, peer_id=name, error_message=name, action=name) for number, name in enumerate(names)]
    if known:
        store(database, event(99))
        catch_up(logs)
    store(database, *made)
    catch_up(logs)
    assert lines(folder)[known:] == [line_of(each) for each in made]


def test_after_a_restart_what_is_missing_follows(database, logs, folder):
    """A new process looks at every job once, those without any new event too."""
    store(database, event(1), event(2, job_id=OTHER_JOB))
    logs.catch_up([JOB])
    catch_up(SessionLogs(database, folder))
    assert lines(folder) == expected(1)
    assert lines(folder, OTHER_JOB) == expected(2)


def test_a_crash_after_the_lines_and_before_the_record_doubles_none(database, logs, folder, monkeypatch):
    """The disk refuses to confirm; what may be there is cut off and written again."""
    store(database, event(1))
    catch_up(logs)
    store(database, event(2))

    def refuses(_):
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", refuses)
        with pytest.raises(DiskError, match="Input/output error"):
            catch_up(logs)
    assert lines(folder) == expected(1, 2)
    store(database, event(3))
    catch_up(SessionLogs(database, folder))
    assert lines(folder) == expected(1, 2, 3)


@pytest.mark.parametrize("torn_at", [1, 40, 79])
def test_a_torn_line_is_replaced_by_the_whole_one(database, logs, folder, torn_at):
    """The process died within a write."""
    store(database, event(1))
    catch_up(logs)
    with (folder / f"{JOB}.log").open("a") as log:
        log.write(line_of(event(2))[:torn_at])
    store(database, event(2))
    catch_up(logs)
    assert lines(folder) == expected(1, 2)


@pytest.mark.parametrize("kept_bytes", [None, 0, 10, 100])
def test_a_log_that_lost_its_end_is_written_anew(database, logs, folder, kept_bytes):
    """Removed (None), or shorter than recorded: the power went before the data was on the disk."""
    store(database, event(1), event(2), event(3))
    catch_up(logs)
    log = folder / f"{JOB}.log"
    if kept_bytes is None:
        log.unlink()
    else:
        os.truncate(log, kept_bytes)
    store(database, event(4))
    catch_up(logs)
    assert lines(folder) == expected(1, 2, 3, 4)


def test_a_folder_that_cannot_be_made_is_a_disk_error_and_passes(database, logs, folder):
    """The events are safe; the lines follow."""
    folder.parent.parent.joinpath("logs").write_text("in the way")
    store(database, event(1))
    with pytest.raises(DiskError) as caught:
        catch_up(logs)
    assert "safe" in caught.value.hint
    folder.parent.unlink()
    catch_up(logs)
    assert lines(folder) == expected(1)


@pytest.mark.parametrize("job_id", ["", "..", "../../etc/cron.d/x", "a/b", "01HRQ4GSX9K47J7M5FK7VW8B12\n", "NUL"])
def test_only_a_job_id_becomes_a_file_name(database, logs, folder, job_id):
    """Asked for by name it is refused; found in the table it has no file."""
    with pytest.raises(UnsafePathError):
        logs.catch_up([job_id])
    store(database, event(1, job_id=job_id), event(2))
    catch_up(logs)
    assert [entry.name for entry in folder.iterdir()] == [f"{JOB}.log"]


def test_a_symbolic_link_is_not_followed(database, logs, folder, tmp_path):
    """A log must not grow into another file."""
    folder.mkdir(parents=True)
    target = tmp_path / "precious"
    target.write_text("mine")
    (folder / f"{JOB}.log").symlink_to(target)
    store(database, event(1))
    with pytest.raises(DiskError):
        catch_up(logs)
    assert target.read_text() == "mine"


def test_a_fifo_does_not_stop_it(database, logs, folder):
    """Opening a pipe that nobody reads would wait for ever; the other jobs get their lines, this one later."""
    folder.mkdir(parents=True)
    os.mkfifo(folder / f"{JOB}.log")
    store(database, event(1), event(2, job_id=OTHER_JOB))
    for _ in range(2):
        with pytest.raises(DiskError):
            catch_up(logs)
    assert lines(folder, OTHER_JOB) == expected(2)
    (folder / f"{JOB}.log").unlink()
    catch_up(logs)
    assert lines(folder) == expected(1)


def test_a_pipe_that_somebody_reads_is_no_log_and_ends_nothing(database, logs, folder):
    """It can be opened and written, and is refused as a disk would: the daemon goes on, and the lines follow."""
    folder.mkdir(parents=True)
    path = folder / f"{JOB}.log"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    store(database, event(1))
    with pytest.raises(DiskError, match="not a regular file"):
        catch_up(logs)
    os.close(reader)
    path.unlink()
    catch_up(logs)
    assert lines(folder) == expected(1)


def test_a_device_is_not_a_log(database, logs, folder):
    """It could be opened and written, but never compared with what was recorded."""
    folder.mkdir(parents=True)
    store(database, event(1))
    reader, writer = os.openpty()
    with pytest.raises(DiskError, match="not a regular file"):
        logs._append_to(writer, outbox.LogPosition(job_id=JOB), folder / f"{JOB}.log")
    os.close(reader)
    os.close(writer)


WRITER = """
import pathlib, sys
sys.path.insert(0, sys.argv[2])
from trace_builders import event
from reconciler.state.database import Database
from reconciler.traces.store import TraceStore
state = pathlib.Path(sys.argv[1])
store = TraceStore(Database.open(state / "reconciler.db"), state / "logs")
print("ready", flush=True)
for number in range(int(sys.argv[3]), int(sys.argv[3]) + 100_000):
    store.report(event(number, peer_id=f"peer|{number}"))
    if number % 7 == 0:
        store.flush()
        print(number, flush=True)
"""


def test_kill_9_at_any_moment_leaves_each_event_with_one_line(tmp_path):
    """Six processes die one after the other; then every event in the table has its line, once, in order."""
    dice = random.Random(20251210)
    flushed = set()
    for run in range(6):
        first = run * 100_000
        arguments = [sys.executable, "-c", WRITER, tmp_path, Path(__file__).parent, str(first)]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout.readline() == "ready\n"
            confirmed = [int(process.stdout.readline()) for _ in range(dice.randrange(1, 40))]
            os.kill(process.pid, signal.SIGKILL)
            confirmed += [int(number) for number in process.stdout.read().splitlines()]
        flushed |= set(range(first, max(confirmed) + 1))
    database = Database.open(tmp_path / "reconciler.db")
    catch_up(SessionLogs(database, tmp_path / "logs"))
    query = "SELECT event_id FROM SwarmEvents ORDER BY rowid"
    ids = [int(row[0]) for row in database.read(lambda c: c.execute(query).fetchall())]
    database.close()
    assert flushed <= set(ids)
    assert len(ids) == len(set(ids))
    assert lines(tmp_path / "logs") == [line_of(event(number, peer_id=f"peer|{number}")) for number in ids]
