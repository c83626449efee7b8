"""A file that is not whole yet, and the journal of what of it is already right.

Owns: making, resuming and dropping part files. Never: writes a chunk (engine.partwriter), names a finished file
(library.publish) or judges a peer.

`<job>.<position>.<variant>.part` holds the bytes at their final offsets (`<variant>` is a digest of its id), the
`.journal` of the same name a header line that names the variant and one line for each chunk that the disk has taken:
`index sha256`. The journal is a hint: a chunk counts on resume only when its bytes on disk still hash to what the
journal says. A torn last line is ignored.
"""

import contextlib
import errno
import hashlib
import os
import re
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from reconciler.engine.events import Kept
from reconciler.errors import disk_refusal
from reconciler.ids import ChunkIndex, JobId, TrackPosition
from reconciler.library.room import require_room, require_writable
from reconciler.manifests.filesystem import file_system_of
from reconciler.overlay.merkle import chunk_count, chunk_hash, chunk_size

JOURNAL_VERSION = 1

# Memory has no place to reserve but by filling it with zeroes: a second write of every byte, for a quarter of a second
# a gigabyte. There it stays with looking whether there is room.
WRITES_TO_RESERVE = frozenset({"tmpfs", "ramfs"})

# A journal line is at most 7 digits (4 GiB in 256 KiB chunks are 16,384), a space, 64 hex digits and a line feed.
_LINE = re.compile(rb"(\d{1,7}) ([0-9a-f]{64})")


# Hex digits of a variant's id in a part's name: two of the few variants of one track will not share 48 bits; if they
# did, the journal's header would tell them apart.
_STEM_DIGITS = 12

# Of `st_blocks`, whatever the file system's own blocks are: inode(7).
_STAT_BLOCK_BYTES = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class PartName:
    """Which part: one variant of one track of one job."""

    job_id: JobId
    position: TrackPosition
    part_id: str
    """The id of the variant that it was made for; anything but a file name."""

    @property
    def track(self) -> str:
        """What the names of all parts of its track begin with."""
        return f"{self.job_id}.{self.position}."

    @property
    def stem(self) -> str:
        """The file name without its extension."""
        return self.track + self.digest

    @property
    def digest(self) -> str:
        """Its variant's id, short and fit for a file name."""
        return hashlib.sha256(self.part_id.encode()).hexdigest()[:_STEM_DIGITS]


class PartStore:
    """The part files of this daemon. Every method blocks on the disk; DiskError says what it refused."""

    def __init__(self, *, parts: Path, quarantine: Path) -> None:
        self._parts = parts
        self._quarantine = quarantine

    def folder_for(self, allowed_root: Path) -> Path:
        """Where parts of files below `allowed_root` lie: with the daemon's state if that is the same file system, else
        beside them.

        Publishing is then one rename, and a part counts against the disk that it will end up on.
        """
        with _disk("look at", allowed_root):
            self._parts.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._parts.stat().st_dev == allowed_root.stat().st_dev:
                return self._parts
            beside = allowed_root / ".reconciler-parts"
            beside.mkdir(mode=0o700, exist_ok=True)
            return beside

    def path_of(self, name: PartName, allowed_root: Path) -> Path:
        """Where the part called `name` lies."""
        return self.folder_for(allowed_root) / f"{name.stem}.part"

    def open(self, name: PartName, *, allowed_root: Path, variant_id: str, size: int) -> tuple[Path, Kept]:
        """Resume the part if it is of this very variant, else make it anew.

        Returns its path and the chunks that are on disk and match their journal line.
        """
        path = self.path_of(name, allowed_root)
        header = _header(variant_id, size)
        with _disk("open", path):
            require_room(path.parent, size - _reserved_bytes(path))
            require_writable(path.with_suffix(".trial"))
            kept = self._resume(path, header, size)
            if kept is None:
                self._make(path, size)
                kept = ()
            _write_journal(path.with_suffix(".journal"), header, kept)
        return path, kept

    def inherit(self, name: PartName, *, allowed_root: Path, unless_at: Collection[TrackPosition]) -> None:
        """Take over the part of this variant from a place in the job's list where it stood before an edit.

        Those at `unless_at` are in use, and an own part is better than any other.
        """
        path = self.path_of(name, allowed_root)
        if path.exists():
            return
        for old in sorted(path.parent.glob(f"{name.job_id}.*.{name.digest}.part")):
            position = old.name.split(".")[1]
            if position.isdecimal() and int(position) not in unless_at:
                with _disk("take over", old):
                    # A crash between the two leaves the journal at the new place; the part follows the next time.
                    with contextlib.suppress(FileNotFoundError):
                        old.with_suffix(".journal").rename(path.with_suffix(".journal"))
                    old.rename(path)
                return

    def begin_journal(self, name: PartName, *, allowed_root: Path, size: int, kept: Kept) -> None:
        """Start the journal of a part whose bytes come from elsewhere than a peer."""
        path = self.path_of(name, allowed_root)
        with _disk("write the journal of", path):
            _write_journal(path.with_suffix(".journal"), _header(name.part_id, size), kept)

    def discard(self, name: PartName, *, allowed_root: Path) -> None:
        """Remove a part and its journal; nothing happens where there is none."""
        path = self.path_of(name, allowed_root)
        with _disk("remove", path):
            path.with_suffix(".journal").unlink(missing_ok=True)
            path.unlink(missing_ok=True)

    def discard_all(self, name: PartName, *, allowed_root: Path) -> None:
        """Remove what is left of every part of a track that is published: its journals, and other variants."""
        folder = self.folder_for(allowed_root)
        with _disk("remove", folder):
            for left in folder.glob(f"{name.track}*"):
                left.unlink(missing_ok=True)

    def set_aside(self, name: PartName, *, allowed_root: Path, reason: str) -> Path:
        """Move a part into quarantine with a note that says why."""
        path = self.path_of(name, allowed_root)
        with _disk("move to quarantine", path):
            self._quarantine.mkdir(mode=0o700, parents=True, exist_ok=True)
            kept = self._quarantine / path.name
            kept.with_suffix(".why.txt").write_text(reason + "\n", encoding="utf-8", errors="backslashreplace")
            try:
                path.rename(kept)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                path.unlink(
                    missing_ok=True
                )  # on another file system: the reason is kept, the wrong bytes are not worth a copy
            path.with_suffix(".journal").unlink(missing_ok=True)
        return kept

    @staticmethod
    def _make(path: Path, size: int) -> None:
        path.unlink(missing_ok=True)
        part = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        try:
            _allocate(part, path, size)
        except OSError:
            path.unlink(missing_ok=True)
            raise
        finally:
            os.close(part)

    @staticmethod
    def _resume(path: Path, header: bytes, size: int) -> Kept | None:
        """The chunks that can be kept; None where there is no part of this variant."""
        try:
            journal = path.with_suffix(".journal").read_bytes()
            part = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            if not journal.startswith(header) or os.fstat(part).st_size != size:
                return None
            return tuple(_matching(part, _journaled(journal[len(header) :], size), size))
        finally:
            os.close(part)


def _allocate(part: int, path: Path, size: int) -> None:
    """Reserve the space now, so that a full disk is met before the first byte is fetched."""
    if file_system_of(path) in WRITES_TO_RESERVE:
        os.ftruncate(part, size)
        return
    try:
        os.posix_fallocate(part, 0, size)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
            raise
        os.ftruncate(part, size)  # a file system without reservation: ENOSPC may then come later


def _reserved_bytes(path: Path) -> int:
    """What a part that is there takes up already: it needs no further room, or gives it back."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return 0
    return found.st_blocks * _STAT_BLOCK_BYTES if stat.S_ISREG(found.st_mode) else 0


def _header(variant_id: str, size: int) -> bytes:
    return f"reconciler part {JOURNAL_VERSION} {variant_id} {size}\n".encode("ascii")


def _journaled(lines: bytes, size: int) -> dict[ChunkIndex, bytes]:
    """What the journal says; the newest line of a chunk counts, a line that is not whole does not."""
    said: dict[ChunkIndex, bytes] = {}
    for line in lines.split(b"\n")[:-1]:
        match = _LINE.fullmatch(line)
        if match is not None and int(match[1]) < chunk_count(size):
            said[ChunkIndex(int(match[1]))] = bytes.fromhex(match[2].decode("ascii"))
    return said


def _matching(part: int, said: dict[ChunkIndex, bytes], size: int) -> Iterator[tuple[ChunkIndex, bytes]]:
    """Those chunks whose bytes on disk hash to what the journal says."""
    chunk_bytes = chunk_size(size)
    for chunk, digest in sorted(said.items()):
        try:
            data = os.pread(part, chunk_bytes, chunk * chunk_bytes)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            continue  # a bad sector: written anew, most disks replace it
        if chunk_hash(data, file_size=size) == digest:
            yield chunk, digest


def _write_journal(path: Path, header: bytes, kept: Kept) -> None:
    """Start the journal again with what is known to be right."""
    fresh = path.with_suffix(".journal.new")
    lines = b"".join(b"%d %s\n" % (chunk, digest.hex().encode()) for chunk, digest in kept)
    fresh.write_bytes(header + lines)
    fresh.replace(path)


@contextlib.contextmanager
def _disk(doing: str, path: Path) -> Iterator[None]:
    """Turn what the disk refuses into an error that says so and what to do."""
    try:
        yield
    except OSError as error:
        hint = (
            "free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "check the disk and its permissions"
        )
        raise disk_refusal(error.errno)(
            f"could not {doing} {path}: {error.strerror or error}", hint=f"{hint}; the job is tried again"
        ) from error
