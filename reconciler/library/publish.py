"""Give a finished file its name, so that it is there whole or not at all.

Owns: the walk below an allowed root, the rename that never replaces, and what is made durable when. Never: follows a
symbolic link below the root, replaces a file, or judges content (that is the caller's `same_content`).

The order, and what a crash leaves behind:
1. fsync the part                  nothing under the name
2. rename without replacing        the name with the whole file, or (power loss) still nothing
3. fsync the folder                the name stays
A folder that is made on the way is made durable at once. From another file system the bytes are first copied into a
hidden file beside the target, synced and compared; the part goes last. A crash leaves that file or both names, and the
next try of the same part removes the one and adopts the other.
"""

import errno
import os
import stat
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from reconciler.errors import DiskError, UnsafePathError
from reconciler.manifests.renaming import rename_new

# ` (2)` to ` (99)`: more different files of one name are a mistake in the naming template.
SAME_NAME_MAX = 99
# Longer than the extension of any container (`.flac`, `.aiff`): what follows the last dot then belongs to the title.
_EXTENSION_CHARACTERS_MAX = 9
_COPY_BLOCK_BYTES = 1 << 20

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# O_NONBLOCK: a FIFO under the name must not hang the reader.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW_FILE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

# What opening answers where a link or a file stands in the place of a folder, or a name cannot be one.
_UNSAFE = frozenset({errno.ELOOP, errno.ENOTDIR, errno.ENAMETOOLONG})

SameContent = Callable[[int], bool]
"""Tells whether the file behind a descriptor, at offset 0, holds exactly the bytes that are wanted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """Where a file ended up."""

    path: str
    """Absolute."""
    how: Literal["placed", "adopted", "renamed"]
    """`adopted`: the same bytes were there already; `renamed`: other bytes were, and ` (2)` was added."""


def place(part: Path, *, allowed_root: Path, target_dir: Path, name: str, same_content: SameContent) -> Placed:
    """Publish `part` as `target_dir`/`name`, durable when this returns; the part is gone then.

    `target_dir` lies at or below `allowed_root`, which exists; `name` may hold folders, `/` between them; what is
    missing is made. Raises UnsafePathError where a component is a link or leaves the root, DiskError where the disk
    refuses. A part whose fsync fails is removed: what it holds is not known any more, and it must be fetched again.
    """
    *folders, leaf = _parts_below(allowed_root, target_dir, name)
    with _told(target_dir / name), ExitStack() as held:
        folder_fd = _descend(allowed_root, folders, make=True)
        held.callback(os.close, folder_fd)
        moving = _Moving(part, folder_fd, same_content)
        held.callback(moving.close)
        moving.sync_part()
        for candidate in _candidates(leaf):
            taken = _taken_by(folder_fd, candidate)
            if taken is None:
                if moving.rename_to(candidate):
                    how: Literal["placed", "renamed"] = "placed" if candidate == leaf else "renamed"
                    return Placed(path=str(allowed_root.joinpath(*folders, candidate)), how=how)
                taken = candidate
            if moving.adopt(taken):
                return Placed(path=str(allowed_root.joinpath(*folders, taken)), how="adopted")
    raise DiskError(
        f"{target_dir / name}: {SAME_NAME_MAX} other files have this name already",
        hint="remove some, or add a token to library.naming that tells them apart",
    )


def find_existing(*, allowed_root: Path, target_dir: Path, name: str) -> int | None:
    """Open the regular file `target_dir`/`name` for reading, through no link; None where there is none.

    The caller closes the descriptor. Raises UnsafePathError where a folder on the way is a link or leaves the root.
    """
    *folders, leaf = _parts_below(allowed_root, target_dir, name)
    with _told(target_dir / name):
        try:
            folder_fd = _descend(allowed_root, folders, make=False)
        except FileNotFoundError:
            return None
        try:
            return _open_regular(leaf, folder_fd)
        finally:
            os.close(folder_fd)


class _Moving:
    """A part on its way into a folder: from where it lies, or from a copy beside the target."""

    def __init__(self, part: Path, folder_fd: int, same_content: SameContent) -> None:
        part_folder_fd = os.open(part.parent, _FOLDER)
        fd = _open_regular(part.name, part_folder_fd)
        if fd is None:
            os.close(part_folder_fd)
            raise DiskError(f"{part}: the finished part is not there", hint="the file will be fetched again")
        self._part, self._fd, self._part_folder_fd = part, fd, part_folder_fd
        self._folder_fd = folder_fd
        self._same_content = same_content
        self._copy = ""

    def sync_part(self) -> None:
        """Give the part a published file's mode and make its bytes durable, or remove it."""
        # A file system without modes (vfat, cifs) refuses; then there is nothing to set either.
        with suppress(PermissionError):
            os.fchmod(self._fd, 0o666 & ~_umask())
        try:
            os.fsync(self._fd)
        except OSError as failure:
            # The kernel has dropped the pages that it could not write: a second fsync would say that all is well.
            os.unlink(self._part.name, dir_fd=self._part_folder_fd)
            raise DiskError(
                f"{self._part}: the disk failed to keep the finished part ({failure.strerror}); it was discarded",
                hint="it will be fetched again; look at the system log for disk errors",
            ) from failure

    def rename_to(self, name: str) -> bool:
        """Give the bytes their name; False where the name is taken."""
        source, source_fd = (self._copy, self._folder_fd) if self._copy else (self._part.name, self._part_folder_fd)
        try:
            rename_new(source, name, source_folder=source_fd, target_folder=self._folder_fd)
        except FileExistsError:
            return False
        except OSError as refusal:
            if refusal.errno != errno.EXDEV or self._copy:
                raise
            self._copy_beside()
            return self.rename_to(name)
        os.fsync(self._folder_fd)
        if self._copy:
            self._copy = ""
            self._remove_part()
        return True

    def adopt(self, name: str) -> bool:
        """Take the file that stands under `name` for ours if its bytes are; durable, and the part removed."""
        fd = _open_regular(name, self._folder_fd)
        if fd is None:
            return False
        try:
            if not self._same_content(fd):
                return False
            os.fsync(fd)
        finally:
            os.close(fd)
        os.fsync(self._folder_fd)
        self._remove_part()
        return True

    def close(self) -> None:
        """Let go of what is held, and remove a copy that did not get a name."""
        if self._copy:
            with suppress(OSError):
                os.unlink(self._copy, dir_fd=self._folder_fd)
        os.close(self._fd)
        os.close(self._part_folder_fd)

    def _copy_beside(self) -> None:
        status = os.fstat(self._fd)
        # Named by the part: its own earlier try is found and removed, two parts never meet.
        copy = f".{status.st_dev:x}-{status.st_ino:x}.part"
        with suppress(FileNotFoundError):
            os.unlink(copy, dir_fd=self._folder_fd)
        fd = os.open(copy, _NEW_FILE, 0o666, dir_fd=self._folder_fd)
        self._copy = copy
        try:
            _copy_bytes(self._fd, fd)
            os.fsync(fd)
            os.lseek(fd, 0, os.SEEK_SET)
            if not self._same_content(fd):
                raise DiskError(f"{self._part}: its copy came out different", hint="check the disk of the library")
        finally:
            os.close(fd)

    def _remove_part(self) -> None:
        with suppress(FileNotFoundError):
            os.unlink(self._part.name, dir_fd=self._part_folder_fd)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn what the system says into whose fault it is and where."""
    try:
        yield
    except OSError as refusal:
        if refusal.errno in _UNSAFE:
            raise UnsafePathError(
                f"{path}: a part of this path is a symbolic link, a file, or too long a name ({refusal.strerror})",
                hint="links are followed only up to the library root; move the link there, or rename the file",
            ) from refusal
        raise DiskError(f"{path}: cannot publish: {refusal.strerror}", hint="it is tried again later") from refusal


def _parts_below(allowed_root: Path, target_dir: Path, name: str) -> list[str]:
    """Split what lies below the root into components, none of them special."""
    whole = target_dir / name
    if not target_dir.is_absolute() or not whole.is_relative_to(allowed_root):
        raise UnsafePathError(f"{whole}: does not lie below {allowed_root}", hint="change target_dir or library.roots")
    parts = [*target_dir.relative_to(allowed_root).parts, *name.split("/")]
    if any(part in ("", ".", "..") or "\0" in part for part in parts):
        raise UnsafePathError(f"{whole!s}: has an empty part, `.`, `..` or a NUL", hint="write a plain relative path")
    return parts


def _descend(root: Path, folders: list[str], *, make: bool) -> int:
    """Open the folder `folders` below `root`; only `root` itself may lead through links, they are the operator's."""
    fd = os.open(root, _FOLDER)
    try:
        for folder in folders:
            below = _enter(folder, fd, make=make)
            os.close(fd)
            fd = below
    except BaseException:
        os.close(fd)
        raise
    return fd


def _enter(folder: str, parent_fd: int, *, make: bool) -> int:
    try:
        return os.open(folder, _FOLDER | os.O_NOFOLLOW, dir_fd=parent_fd)
    except FileNotFoundError:
        if not make:
            raise
    with suppress(FileExistsError):
        os.mkdir(folder, dir_fd=parent_fd)
    os.fsync(parent_fd)
    return os.open(folder, _FOLDER | os.O_NOFOLLOW, dir_fd=parent_fd)


def _open_regular(name: str, folder_fd: int) -> int | None:
    try:
        fd = os.open(name, _FILE, dir_fd=folder_fd)
    except OSError as refusal:
        if refusal.errno in (errno.ENOENT, errno.ELOOP, errno.ENXIO):  # nothing, a link, a socket
            return None
        raise
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    return None


def _candidates(leaf: str) -> Iterator[str]:
    stem, dot, extension = leaf.rpartition(".")
    if not stem or len(extension) > _EXTENSION_CHARACTERS_MAX:
        stem, dot, extension = leaf, "", ""
    yield leaf
    for number in range(2, SAME_NAME_MAX + 1):
        yield f"{stem} ({number}){dot}{extension}"


def _taken_by(folder_fd: int, name: str) -> str | None:
    """Find the entry that is `name`, or would be on a disk that knows no case or stores another normal form."""
    wanted = _folded(name)
    found = [entry for entry in os.listdir(folder_fd) if _folded(entry) == wanted]
    return name if name in found else min(found, default=None)


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _copy_bytes(source_fd: int, target_fd: int) -> None:
    offset = 0
    while block := os.pread(source_fd, _COPY_BLOCK_BYTES, offset):
        view = memoryview(block)
        while view:
            view = view[os.write(target_fd, view) :]
        offset += len(block)


def _umask() -> int:
    """Read the mask from the kernel: os.umask can only be read by setting it, which other threads would feel."""
    with suppress(OSError), Path("/proc/self/status").open(encoding="ascii", errors="replace") as status:
        for line in status:
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    return 0o022
