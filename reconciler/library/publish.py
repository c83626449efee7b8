"""Give a finished file its name, so that it is there whole or not at all.

Owns: the rename that never replaces, the number that a second file of one name gets, and what is made durable when.
Never: follows a symbolic link below the root (library.walk), replaces a file, or judges content (that is the caller's
`same_content`).

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
import unicodedata
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from reconciler.errors import DiskError, PartLostError
from reconciler.library.naming import SAME_NAME_MAX, numbered_names
from reconciler.library.walk import FOLDER, folder_below, open_regular, parts_below, told
from reconciler.manifests.renaming import rename_new

_COPY_BLOCK_BYTES = 1 << 20

_NEW_FILE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

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
    *folders, leaf = parts_below(allowed_root, target_dir, name)
    with told(target_dir / name), ExitStack() as held:
        folder_fd = held.enter_context(folder_below(allowed_root, folders, make=True))
        part_folder_fd = os.open(part.parent, FOLDER)
        held.callback(os.close, part_folder_fd)
        moving = Moving(part, part_folder_fd, folder_fd, same_content)
        held.callback(moving.close)
        moving.sync_part()
        for candidate in numbered_names(leaf):
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


def adopt_existing(*, allowed_root: Path, target_dir: Path, name: str, same_content: SameContent) -> Placed | None:
    """Find the wanted bytes under `target_dir`/`name`, or under a number of it, and make that name durable.

    So what a crash left between a rename and its record is found, and found to stay. None where there is no such file.
    Raises as `place` does.
    """
    *folders, leaf = parts_below(allowed_root, target_dir, name)
    with told(target_dir / name):
        try:
            with folder_below(allowed_root, folders, make=False) as folder_fd:
                taken = _found(leaf, folder_fd, same_content)
        except FileNotFoundError:
            return None
        if taken is None:
            return None
        with folder_below(allowed_root, folders, make=True) as folder_fd:
            os.fsync(folder_fd)
    return Placed(path=str(allowed_root.joinpath(*folders, taken)), how="adopted")


def _found(leaf: str, folder_fd: int, same_content: SameContent) -> str | None:
    """The name of the first of the files that are called `leaf` whose bytes are the wanted ones."""
    for candidate in numbered_names(leaf):
        taken = _taken_by(folder_fd, candidate)
        if taken is None:
            return None
        if _is_ours(taken, folder_fd, same_content):
            return taken
    return None


def _is_ours(name: str, folder_fd: int, same_content: SameContent) -> bool:
    """Whether the file `name` has the wanted bytes; they are durable then."""
    fd = open_regular(name, folder_fd)
    if fd is None:
        return False
    try:
        if not same_content(fd):
            return False
        os.fsync(fd)
    finally:
        os.close(fd)
    return True


class Moving:
    """A part on its way into a folder: from where it lies, or from a copy beside the target."""

    def __init__(self, part: Path, part_folder_fd: int, folder_fd: int, same_content: SameContent) -> None:
        """`part` lies in the folder behind `part_folder_fd`; neither folder is closed here."""
        fd = open_regular(part.name, part_folder_fd)
        if fd is None:
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
            raise PartLostError(
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
        if not _is_ours(name, self._folder_fd, self._same_content):
            return False
        os.fsync(self._folder_fd)
        self._remove_part()
        return True

    def close(self) -> None:
        """Let go of what is held, and remove a copy that did not get a name."""
        if self._copy:
            with suppress(OSError):
                os.unlink(self._copy, dir_fd=self._folder_fd)
        os.close(self._fd)

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
