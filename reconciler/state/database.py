"""The one SQLite file: a single writer, several readers.

Owns: the connections, the writer thread, durability, and what an SQLite error means. Never: knows a table
(state.migrations makes the tables; state.jobs, traces.store and library.index have the queries).

A write is one transaction and is on the disk when its future has a result (WAL with synchronous=FULL; NORMAL loses the
last commits with the power). There is one writer thread, so no two writes of this process wait for each other's lock.
"""

import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self, TypeVar

from reconciler.errors import (
    DiskError,
    DiskFailingError,
    DiskFullError,
    FileBusyError,
    NotFoundError,
    ReconcilerError,
    StateDamagedError,
    disk_refusal,
)
from reconciler.state.migrations import REBUILD_HINT, ForeignSchemaError, migrate, require_newest

T = TypeVar("T")

# Another process (a command, a backup) may hold the write lock for one transaction: some 10 ms with 1,000 events in it.
# Five seconds are a disk in trouble.
BUSY_TIMEOUT_S = 5.0

# SQLite cuts the WAL back to this after a checkpoint. Normally it stays near its 1,000 pages of 4 KiB = 4 MiB; a reader
# that does not end was seen to blow it up to 103 MB with 20,000 rows.
WAL_BYTES_KEPT_MAX = 64 * 1024 * 1024

# When the queue is full the caller waits: a fact is never dropped. 256 commits at 5 ms each (a hard disk) are 1.3 s.
WRITES_QUEUED_MAX = 256

# Reads take milliseconds; the next caller waits for one to end. Each connection may hold 2 MiB of pages (the default).
READERS_MAX = 8

# SQLITE_READONLY is also the answer where only the permissions are wrong.
_DISK_CODES: dict[int, type[DiskError]] = {
    sqlite3.SQLITE_FULL: DiskFullError,
    sqlite3.SQLITE_IOERR: DiskFailingError,
    sqlite3.SQLITE_READONLY: DiskError,
    sqlite3.SQLITE_CANTOPEN: DiskError,
    sqlite3.SQLITE_PERM: DiskError,
}
_DAMAGE_CODES = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT})
_BUSY_CODES = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})


def damaged(path: Path, what: str) -> StateDamagedError:
    """Say that the file, or something in it, cannot be what was written."""
    return StateDamagedError(f"the state database {path} {what}", hint=REBUILD_HINT)


class Database:
    """The state file, open. Any thread may read and write."""

    def __init__(self, path: Path, writer: sqlite3.Connection | None) -> None:
        """Use `open`, `open_read_only` or `open_beside`."""
        self.path = path
        self._writer = writer
        self._writes: queue.Queue[Callable[[], None] | None] = queue.Queue(WRITES_QUEUED_MAX)
        self._closing = threading.Lock()
        self._closed = False
        self._idle_readers: list[sqlite3.Connection] = []
        self._reader_places = threading.BoundedSemaphore(READERS_MAX)
        self._thread = threading.Thread(target=self._write_all, name="state-writer", daemon=True)
        if writer is not None:
            self._thread.start()

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the file at `path`, made if missing (0600, its folder 0700), checked and migrated.

        Raises StateDamagedError where it is damaged or of a newer version, DiskError where the disk refuses.
        """
        _make_file(path)
        with _meaning(path):
            writer = _connect(path, read_only=False)
            try:
                _check(writer, path)
                _prepare(writer, path)
            except BaseException:
                writer.close()
                raise
        return cls(path, writer)

    @classmethod
    def open_read_only(cls, path: Path) -> Self:
        """Open an existing file to read, beside a running daemon: no check, no migration, no writer.

        Raises NotFoundError where there is none yet, StateDamagedError where its version is another.
        """
        if not path.exists():
            raise NotFoundError(f"there is no state database at {path}", hint="the first `reconciler run` makes it")
        database = cls(path, None)
        try:
            database.read(require_newest)
        except BaseException:
            database.close()
            raise
        return database

    @classmethod
    def open_beside(cls, path: Path) -> Self:
        """Open an existing file to read and write, beside a running daemon or without one: no check, no migration.

        Raises NotFoundError where there is none yet, StateDamagedError where its version is another.
        """
        cls.open_read_only(path).close()
        with _meaning(path):
            writer = _connect(path, read_only=False)
            writer.execute("PRAGMA synchronous = FULL")
        return cls(path, writer)

    def write(self, work: Callable[[sqlite3.Connection], T]) -> Future[T]:
        """Run `work` in a transaction of its own, after those queued before it; wait only while the queue is full.

        The future has the result once it is durable. If `work` or the commit fails, nothing of it stays and the future
        raises.
        """
        if threading.current_thread() is self._thread:
            raise RuntimeError("a write cannot wait for another write")
        future: Future[T] = Future()
        with self._closing:
            if self._closed or self._writer is None:
                raise RuntimeError("the database is closed, or open to read only")
            self._writes.put(lambda: self._perform(work, future))
        return future

    def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` on a read-only connection; all that it reads is of one moment. Short: it holds back the WAL."""
        with self._reader_places, _meaning(self.path):
            if self._closed:
                raise RuntimeError("the database is closed")
            connection = self._idle_readers.pop() if self._idle_readers else _connect(self.path, read_only=True)
            try:
                connection.execute("BEGIN")
                return work(connection)
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                self._idle_readers.append(connection)

    def check(self) -> None:
        """Look at the structure of the whole file, a second for each gigabyte; raises StateDamagedError."""
        self.read(lambda connection: _check(connection, self.path))

    def close(self) -> None:
        """Finish the queued writes, then close every connection; the last empties the WAL. Twice is as once."""
        with self._closing:
            if self._closed:
                return
            if self._writer is not None:
                self._writes.put(None)
                self._thread.join()
            self._closed = True
        for _ in range(READERS_MAX):
            self._reader_places.acquire()
        for connection in self._idle_readers:
            connection.close()
        self._idle_readers.clear()
        self._reader_places.release(READERS_MAX)
        if self._writer is not None:
            self._writer.close()

    def _write_all(self) -> None:
        while (perform := self._writes.get()) is not None:
            perform()

    def _perform(self, work: Callable[[sqlite3.Connection], T], future: Future[T]) -> None:
        assert self._writer is not None
        if not future.set_running_or_notify_cancel():
            return
        try:
            with _meaning(self.path):
                result = self._transact(self._writer, work)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it belongs to whoever waits for the future
            future.set_exception(error)
        else:
            future.set_result(result)

    @staticmethod
    def _transact(connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
        connection.execute("BEGIN IMMEDIATE")
        try:
            result = work(connection)
            connection.execute("COMMIT")
        finally:
            # After some errors (disk full, I/O) SQLite has rolled back by itself.
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        return result


def _make_file(path: Path) -> None:
    """Make an empty file that only its owner may read. SQLite gives its -wal and -shm the mode of the main file."""
    try:
        if not path.parent.is_dir():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _sync_folder(path.parent.parent)
        # O_EXCL: never open a file that a connection of this process may have locked, because closing any descriptor of
        # a file drops all POSIX locks that the process has on it.
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
            _sync_folder(path.parent)
    except OSError as error:
        raise disk_refusal(error.errno)(
            f"the state database {path} cannot be made: {error.strerror}", hint="check the folder and its owner"
        ) from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _connect(path: Path, *, read_only: bool) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rw'}",
        uri=True,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,  # transactions begin and end where this module says so
        check_same_thread=False,  # a reader is lent to one thread at a time; the writer is made here and closed here
    )
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise DiskError(
            f"the file system of {path} has no shared memory, which the state database needs",
            hint="put the state folder on a local disk",
        )
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES_KEPT_MAX}")
    migrate(connection)


def _check(connection: sqlite3.Connection, path: Path) -> None:
    """Look at the structure of the whole file. It finds a third of random damage; rows are checked when read."""
    try:
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:
            raise
        # The statement is right, so it is the header that is not: `unsupported file format`.
        found = str(error)
    if found != "ok":
        raise damaged(path, f"is damaged: {str(found)[:200]}")


@contextmanager
def _meaning(path: Path) -> Iterator[None]:
    """Turn what SQLite raises into an error that says whose fault it is; a wrong query passes as it is."""
    try:
        yield
    except ForeignSchemaError as error:
        raise StateDamagedError(f"the state database {path} {error.what}", hint=error.hint) from error
    except UnicodeDecodeError as error:  # Python reading SQLite's message, which quotes what is damaged
        raise damaged(path, f"is damaged: {error.object[:200]!r}") from error
    except sqlite3.Error as error:
        named = _named(path, error)
        if named is None:
            raise
        raise named from error


def _named(path: Path, error: sqlite3.Error) -> ReconcilerError | None:
    # The low byte is the primary result code; the extended ones tell which system call it was. https://sqlite.org/rescode.html
    code = getattr(error, "sqlite_errorcode", None)
    primary = code & 0xFF if isinstance(code, int) else None
    if primary in _DISK_CODES:
        return _DISK_CODES[primary](
            f"the state database {path} cannot be used: {error} ({error.sqlite_errorname})",
            hint="check free space, the owner and the health of the disk",
        )
    # Without a code the error comes from Python's own module: text in the file that is not UTF-8.
    if primary in _DAMAGE_CODES or (code is None and isinstance(error, sqlite3.OperationalError)):
        return damaged(path, f"is damaged: {error}")
    if primary in _BUSY_CODES:
        return FileBusyError(f"the state database {path} is locked by another process", hint="it is tried again")
    return None
