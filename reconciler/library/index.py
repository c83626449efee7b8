"""Which recordings and roots we hold and may share, and where the file of each lies.

Owns: the rows of `holdings` and `tagged_files`, and opening a held file only while it is still the one that was hashed.
Never: hashes (overlay.filehash), and reads no byte of a file: whether a file is the one that was indexed is a question
of its inode, size and modification time alone, because hashing at each request would cost more than sending.

Everything here blocks; callers with a loop use a thread.
"""

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from reconciler.config import LibrarySettings
from reconciler.errors import DiskError, NotFoundError, ReconcilerError, UnsafePathError
from reconciler.ids import Mbid, Root, Sha256, is_root
from reconciler.library.listing import Mark, is_same, mark_of
from reconciler.library.walk import GONE, holds_something, open_without_links
from reconciler.state.database import Database, damaged

# Files of one recording that are told of: a library with more copies has the best of them named.
HOLDINGS_PER_RECORDING_MAX = 32
# Files of one recording that are looked at for those: some may not be shared.
_COPIES_MAX = 1000

# Files that are told of at once: as many as a large library has; each is some 200 bytes.
FILES_TOLD_MAX = 100_000

_COLUMNS = """root, size, recording, path, codec, container, lossless, bitrate_bps, duration_ms, sha256,
    device, inode, mtime_ns, chunk_hashes, added_at"""
_PUT = f"INSERT OR REPLACE INTO holdings ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
_DROP = "DELETE FROM holdings WHERE root = ? AND path = ? AND device = ? AND inode = ? AND mtime_ns = ?"

Row = tuple[str | int | bytes | None, ...]

_HASH_BYTES = 32
_UNSIGNED_64 = 1 << 64


class HoldingChangedError(ReconcilerError):
    """A file is not the one that was indexed any more; its row has been dropped."""

    fault = "machine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """A whole file that we hold. Device, inode, size and mtime_ns are those of the file that was hashed."""

    root: Root
    size: int
    recording: Mbid | None
    path: str
    """Absolute."""
    codec: str
    """Upper case; empty = not known."""
    container: str
    """File name extension without the dot, lower case; empty = not known."""
    lossless: bool
    bitrate_bps: int
    """0 = not known."""
    duration_ms: int
    """0 = not known."""
    sha256: Sha256
    """Empty for a large file that its root names alone."""
    device: int
    inode: int
    mtime_ns: int
    chunk_hashes: bytes
    """32 bytes a chunk (BEP 52 piece layer); of a file of one chunk or less, its root."""
    added_at: float
    """Unix seconds; kept whole."""

    @property
    def mark(self) -> Mark:
        """By which the file is known to be unchanged."""
        return self.device, self.inode, self.size, self.mtime_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldFile:
    """Where a held file lies, and by what it is known to be the same one."""

    path: str
    """Absolute, without links."""
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TaggedFile:
    """A file that was tagged before it got its name, and what it was made of."""

    root: Root
    size: int
    original_root: Root
    original_sha256: Sha256
    """Empty for a large file."""
    original_size: int
    variant_id: str
    """By which the engine knew what was fetched."""


class LibraryIndex:
    """The files that we hold, by root and by recording."""

    def __init__(self, database: Database, *, shared: Mapping[str, bool] | None = None) -> None:
        """`shared` says of library roots whether others may have what lies below; the deepest decides, elsewhere they
        may.
        """
        self._database = database
        self._shared = {} if shared is None else dict(shared)

    def add(self, holding: Holding) -> None:
        """Record a holding, in place of an older one of the same root; returns when it is durable.

        Symbolic links on the way to the file are resolved now and not followed later. Raises UnsafePathError for a path
        that is not absolute Unicode, ValueError for hashes that are none, OSError where the folder is gone.
        """
        if not is_root(holding.root) or not (is_root(holding.sha256) or holding.sha256 == ""):
            raise ValueError(f"a holding is named by 64 hex digits, not {holding.root!r} and {holding.sha256!r}")
        if not holding.chunk_hashes or len(holding.chunk_hashes) % _HASH_BYTES:
            raise ValueError(f"a chunk list of {len(holding.chunk_hashes)} bytes")
        row = _row_of(replace(holding, path=_resolved(holding.path)))
        self._database.write(lambda connection: connection.execute(_PUT, row).rowcount).result()

    def is_shared(self, path: str) -> bool:
        """Whether others may have a file that lies there."""
        root = self._root_of(path)
        return root is None or self._shared[root]

    def held(self, root: Root) -> Holding | None:
        """The holding whose bytes `root` names, whether or not others may have it."""
        found = self._select("root = ?", (root,))
        return found[0] if found else None

    def by_root(self, root: Root) -> Holding | None:
        """The holding whose bytes `root` names, where others may have it."""
        holding = self.held(root)
        return holding if holding is not None and self.is_shared(holding.path) else None

    def by_recording(self, recording: Mbid) -> tuple[Holding, ...]:
        """What others may have of a recording: lossless first, then by bitrate; at most HOLDINGS_PER_RECORDING_MAX."""
        found = self._select(
            "recording = ? ORDER BY lossless DESC, bitrate_bps DESC, root LIMIT ?", (recording, _COPIES_MAX)
        )
        return tuple(each for each in found if self.is_shared(each.path))[:HOLDINGS_PER_RECORDING_MAX]

    def add_tagged(self, tagged: TaggedFile) -> None:
        """Remember what a tagged file was made of; durable when this returns, which must be before it has its name."""
        row = (
            tagged.root,
            tagged.size,
            tagged.original_root,
            tagged.original_sha256,
            tagged.original_size,
            tagged.variant_id,
        )
        query = "INSERT OR REPLACE INTO tagged_files VALUES (?, ?, ?, ?, ?, ?)"
        self._database.write(lambda connection: connection.execute(query, row).rowcount).result()

    def tagged_of(self, *, original_root: Root | None, variant_id: str) -> tuple[TaggedFile, ...]:
        """The tagged files that were made of these bytes, or of this variant."""
        query = "SELECT * FROM tagged_files WHERE original_root = ? OR variant_id = ? ORDER BY root"
        values = (original_root or "", variant_id)
        rows = self._database.read(lambda connection: connection.execute(query, values).fetchall())
        try:
            return tuple(_tagged_of(row) for row in rows)
        except (TypeError, ValueError) as error:
            raise damaged(self._database.path, f"holds an impossible tagged file: {error}") from error

    def by_path(self, path: str) -> tuple[Holding, ...]:
        """What was indexed at a path: the file that is there now, and perhaps others that were."""
        return self._select("path = ?", (path,))

    def forget_at(self, path: str, *, but: Root | None) -> None:
        """Drop what was indexed at `path`, but not the file that `but` names."""
        statement = "DELETE FROM holdings WHERE path = ? AND root IS NOT ?"
        self._database.write(lambda connection: connection.execute(statement, (path, but)).rowcount).result()

    def open(self, root: Root) -> tuple[int, Holding]:
        """Open the file that `root` names to read; the caller closes the descriptor.

        Raises NotFoundError where it is not held, HoldingChangedError where the file is gone or another one by
        now, DiskError where the disk refuses, or may not be mounted: then it stays held.
        """
        holding = self.by_root(root)
        if holding is None:
            raise NotFoundError(f"no file with root {root} is held")
        try:
            descriptor = open_without_links(holding.path)
        except OSError as error:
            library = self._root_of(holding.path)
            is_away = library is not None and _is_away(Path(library), holding)
            away = f"; the disk of {library} may not be mounted" if is_away else ""
            if away or error.errno not in GONE:
                raise DiskError(
                    f"{holding.path} cannot be opened: {error.strerror}{away}", hint="it is tried again"
                ) from error
            self._drop(holding)
            raise HoldingChangedError(
                f"{holding.path} cannot be opened any more: {error.strerror}",
                hint="it is held again once it is re-added",
            ) from error
        if not _is_unchanged(descriptor, holding):
            os.close(descriptor)
            self._drop(holding)
            raise HoldingChangedError(
                f"{holding.path} has changed since it was indexed", hint="it is held again once it is re-added"
            )
        return descriptor, holding

    @property
    def revision(self) -> str:
        """Another text whenever another file is held, whoever wrote it down."""
        # A row number is given again once the last row is gone; inode and time together are not.
        query = (
            "SELECT count(*), ifnull(max(rowid), 0), total(inode % 1000003), total(mtime_ns % 1000003) FROM holdings"
        )
        return ":".join(map(str, self._database.read(lambda connection: connection.execute(query).fetchone())))

    def files(self) -> Iterator[HeldFile]:
        """Every file that others may have, the newest first."""
        query = "SELECT path, size, mtime_ns FROM holdings ORDER BY rowid DESC LIMIT ?"
        rows = self._database.read(lambda connection: connection.execute(query, (FILES_TOLD_MAX,)).fetchall())
        try:
            for path, size, mtime_ns in rows:
                if self.is_shared(str(path)):
                    yield HeldFile(path=str(path), size=_whole(size), mtime_ns=_whole(mtime_ns))
        except (TypeError, ValueError) as error:
            raise damaged(self._database.path, f"holds a file that cannot have been indexed: {error}") from error

    def _root_of(self, path: str) -> str | None:
        """The deepest library root that a file lies in; None = none."""
        return max((root for root in self._shared if path.startswith(f"{root}/")), key=len, default=None)

    def _select(self, where: str, values: tuple[str | int, ...]) -> tuple[Holding, ...]:
        statement = f"SELECT {_COLUMNS} FROM holdings WHERE {where}"  # noqa: S608 - `where` is a constant of this class
        rows = self._database.read(lambda connection: connection.execute(statement, values).fetchall())
        try:
            return tuple(_holding_of(row) for row in rows)
        except (TypeError, ValueError) as error:
            raise damaged(self._database.path, f"holds a file that cannot have been indexed: {error}") from error

    def _drop(self, holding: Holding) -> None:
        """Forget a holding, unless the root has been added anew since it was read."""
        values = (holding.root, holding.path, _signed(holding.device), _signed(holding.inode), holding.mtime_ns)
        self._database.write(lambda connection: connection.execute(_DROP, values).rowcount).result()


def shared_folders(library: LibrarySettings, *, root: Path) -> dict[str, bool]:
    """Whether others may have what lies below each library root, as the configuration says.

    `root` is the root folder.
    """
    said = {own.path: own.share for own in library.root_rules}
    return {str(Path(each).resolve()): said.get(each, True) for each in library.roots or (str(root / "library"),)}


def _resolved(path: str) -> str:
    """The path without links, `.` or `..`; the file's own name is not followed."""
    given = Path(path)
    if not given.is_absolute() or given.name in ("", ".."):
        raise UnsafePathError(f"{path!r} is not the absolute path of a file", hint="give the whole path")
    resolved = str(given.parent.resolve(strict=True) / given.name)
    try:
        resolved.encode("utf-8")
    except UnicodeEncodeError as error:
        raise UnsafePathError(
            f"{resolved!r} is not Unicode", hint="rename it: the index keeps names as text"
        ) from error
    return resolved


def _is_away(library: Path, holding: Holding) -> bool:
    """Whether the disk that a file lies on is not there: its library root is gone, or empty and on another disk.

    One that is empty on its own disk was emptied: whoever takes in what is published moves it elsewhere.
    """
    try:
        return library.stat().st_dev != holding.device and not holds_something(library)
    except OSError:
        return True


def _is_unchanged(descriptor: int, holding: Holding) -> bool:
    """Whether the open file is the one that was indexed, by everything but its bytes."""
    now = os.fstat(descriptor)
    return stat.S_ISREG(now.st_mode) and is_same(mark_of(now), holding.mark)


def _row_of(holding: Holding) -> Row:
    return (
        holding.root,
        holding.size,
        holding.recording,
        holding.path,
        holding.codec,
        holding.container,
        int(holding.lossless),
        holding.bitrate_bps,
        holding.duration_ms,
        holding.sha256,
        _signed(holding.device),
        _signed(holding.inode),
        holding.mtime_ns,
        holding.chunk_hashes,
        int(holding.added_at),
    )


def _holding_of(row: Row) -> Holding:
    (
        root,
        size,
        recording,
        path,
        codec,
        container,
        lossless,
        bitrate,
        duration,
        sha256,
        device,
        inode,
        mtime,
        hashes,
        at,
    ) = row
    texts = (root, path, codec, container, sha256)
    if not all(isinstance(text, str) for text in texts) or not isinstance(hashes, bytes):
        raise TypeError("a column is not of its type")
    return Holding(
        root=Root(str(root)),
        size=_whole(size),
        recording=None if recording is None else Mbid(str(recording)),
        path=str(path),
        codec=str(codec),
        container=str(container),
        lossless=bool(lossless),
        bitrate_bps=_whole(bitrate),
        duration_ms=_whole(duration),
        sha256=Sha256(str(sha256)),
        device=_whole(device) % _UNSIGNED_64,
        inode=_whole(inode) % _UNSIGNED_64,
        mtime_ns=_whole(mtime),
        chunk_hashes=hashes,
        added_at=float(_whole(at)),
    )


def _tagged_of(row: Row) -> TaggedFile:
    root, size, original_root, original_sha256, original_size, variant_id = row
    if not is_root(str(root)) or not is_root(str(original_root)):
        raise ValueError(f"{root!r} of {original_root!r} is no file")
    return TaggedFile(
        root=Root(str(root)),
        size=_whole(size),
        original_root=Root(str(original_root)),
        original_sha256=Sha256(str(original_sha256)),
        original_size=_whole(original_size),
        variant_id=str(variant_id),
    )


def _whole(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError(f"{value!r} is not a whole number")
    return value


def _signed(value: int) -> int:
    """Fit an unsigned 64-bit device or inode number into SQLite's signed integers."""
    return value - _UNSIGNED_64 if value >= _UNSIGNED_64 >> 1 else value
