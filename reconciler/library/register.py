"""What the last scan saw of each file of the library.

Owns: the rows of `library_files`. Never: reads a file; what of it is shared is in library.index.

Every method waits for the disk; call from a thread that may wait.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from reconciler.ids import Mbid, Root
from reconciler.library.listing import Mark
from reconciler.state.database import Database, damaged

# Rows held in memory at once while all are read: some 200 kB.
_PAGE_ROWS = 500

_COLUMNS = "path, device, inode, size, mtime_ns, root, recording, release, audio, problem"
_PUT = "INSERT OR REPLACE INTO library_files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

# What jobs have published is known too, before any scan has seen it.
_EVERY = f"""
SELECT {_COLUMNS} FROM library_files WHERE path > :after
UNION ALL
SELECT path, device, inode, size, mtime_ns, root, recording, NULL, '', '' FROM (
    SELECT *, max(added_at) FROM holdings
        WHERE path > :after AND NOT EXISTS (SELECT 1 FROM library_files WHERE library_files.path = holdings.path)
        GROUP BY path ORDER BY path
        LIMIT {_PAGE_ROWS})
ORDER BY path LIMIT {_PAGE_ROWS}
"""  # noqa: S608 - both are constants of this module

_UNSIGNED_64 = 1 << 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A file as it was when it was read."""

    path: str
    """Absolute."""
    mark: Mark
    root: Root | None
    """None = it was not worth hashing."""
    recording: Mbid | None = None
    release: Mbid | None = None
    audio: str = ""
    """What library.audio_name calls its audio; empty = not known."""
    problem: str = ""
    """Why it is no good; empty = nothing speaks against it."""

    @property
    def size(self) -> int:
        """In bytes."""
        return self.mark[2]


class Register:
    """The files of the library in the state database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def at(self, path: str) -> Seen | None:
        """What was seen at a path."""
        found = self._select(f"SELECT {_COLUMNS} FROM library_files WHERE path = ?", (path,))  # noqa: S608
        return found[0] if found else None

    def with_root(self, root: Root) -> list[Seen]:
        """Every file that had exactly these bytes."""
        return self._select(f"SELECT {_COLUMNS} FROM library_files WHERE root = ?", (root,))  # noqa: S608

    def every(self) -> Iterator[Seen]:
        """Every file that is known, also those that a job has published and no scan has seen, in the order of paths.

        What changes meanwhile may or may not be among them.
        """
        after = ""
        while page := self._select(_EVERY, {"after": after}):
            yield from page
            after = page[-1].path

    def bytes_known(self) -> int:
        """The size of all files that are known."""
        return sum(each.size for each in self.every())

    def put(self, seen: Seen) -> None:
        """Remember a file, in place of what was seen at its path."""
        device, inode, size, mtime_ns = seen.mark
        row = (
            seen.path, _signed(device), _signed(inode), size, mtime_ns, seen.root or "", seen.recording, seen.release,
            seen.audio, seen.problem,
        )  # fmt: skip
        self._database.write(lambda connection: connection.execute(_PUT, row).rowcount).result()

    def forget(self, path: str) -> None:
        """Forget what was seen at a path."""
        statement = "DELETE FROM library_files WHERE path = ?"
        self._database.write(lambda connection: connection.execute(statement, (path,)).rowcount).result()

    def _select(self, statement: str, values: tuple[str, ...] | dict[str, str]) -> list[Seen]:
        rows = self._database.read(lambda connection: connection.execute(statement, values).fetchall())
        try:
            return [_seen_of(row) for row in rows]
        except (TypeError, ValueError) as error:
            raise damaged(self._database.path, f"holds a file that cannot have been seen: {error}") from error


def _seen_of(row: tuple[object, ...]) -> Seen:
    path, device, inode, size, mtime_ns, root, recording, release, audio, problem = row
    return Seen(
        path=str(path),
        mark=(_whole(device) % _UNSIGNED_64, _whole(inode) % _UNSIGNED_64, _whole(size), _whole(mtime_ns)),
        root=Root(str(root)) if root else None,
        recording=Mbid(str(recording)) if recording else None,
        release=Mbid(str(release)) if release else None,
        audio=str(audio),
        problem=str(problem),
    )


def _whole(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError(f"{value!r} is not a whole number")
    return value


def _signed(value: int) -> int:
    """Fit an unsigned 64-bit device or inode number into SQLite's signed integers."""
    return value - _UNSIGNED_64 if value >= _UNSIGNED_64 >> 1 else value
