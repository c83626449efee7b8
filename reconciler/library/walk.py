"""Folders below an allowed root, opened one by one so that no link leads out.

Owns: the walk, what makes a folder durable, and what the system's refusals mean. Never: names or moves a file
(library.publish), or replaces anything.
"""

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from reconciler.errors import DiskFullError, UnsafePathError, disk_refusal

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# O_NONBLOCK: a FIFO under the name must not hang the reader.
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

# What the system says where a name stands for nothing, or for something else than the folders and the file that were
# indexed. Anything else (no descriptors left, a failing disk) may pass and forgets nothing.
GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO})

# What opening answers where a link or a file stands in the place of a folder, or a name cannot be one.
_UNSAFE = frozenset({errno.ELOOP, errno.ENOTDIR, errno.ENAMETOOLONG})


def parts_below(allowed_root: Path, target_dir: Path, name: str) -> list[str]:
    """Split what lies below the root into components, none of them special; raises UnsafePathError."""
    whole = target_dir / name
    if not target_dir.is_absolute() or not whole.is_relative_to(allowed_root):
        raise UnsafePathError(f"{whole}: does not lie below {allowed_root}", hint="change target_dir or library.roots")
    parts = [*target_dir.relative_to(allowed_root).parts, *name.split("/")]
    if any(part in ("", ".", "..") or "\0" in part for part in parts):
        raise UnsafePathError(f"{whole!s}: has an empty part, `.`, `..` or a NUL", hint="write a plain relative path")
    return parts


@contextmanager
def folder_below(root: Path, folders: Sequence[str], *, make: bool) -> Iterator[int]:
    """Open the folder `folders` below `root`; only `root` itself may lead through links, they are the operator's.

    With `make`, what is missing is made, and every folder on the way is durable: also one that is there already,
    because whoever made it may have died before its parent was synced. Raises OSError.
    """
    fd = os.open(root, FOLDER)
    try:
        for folder in folders:
            below = _enter(folder, fd, make=make)
            os.close(fd)
            fd = below
        yield fd
    finally:
        os.close(fd)


def _enter(folder: str, parent_fd: int, *, make: bool) -> int:
    if make:
        with suppress(FileExistsError):
            os.mkdir(folder, dir_fd=parent_fd)
        os.fsync(parent_fd)
    return os.open(folder, FOLDER | os.O_NOFOLLOW, dir_fd=parent_fd)


def open_regular(name: str, folder_fd: int) -> int | None:
    """Open the regular file `name` to read; None where there is none, or something else."""
    try:
        fd = os.open(name, FILE, dir_fd=folder_fd)
    except OSError as refusal:
        if refusal.errno in (errno.ENOENT, errno.ELOOP, errno.ENXIO):  # nothing, a link, a socket
            return None
        raise
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    return None


def open_without_links(path: str) -> int:
    """Open a file for reading, stepping through no symbolic link on the way; a fifo or device never blocks."""
    *folders, name = path.split("/")[1:]
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    here = os.open("/", flags | os.O_DIRECTORY)
    try:
        for folder in folders:
            below = os.open(folder, flags | os.O_DIRECTORY, dir_fd=here)
            os.close(here)
            here = below
        return os.open(name, flags | os.O_NONBLOCK, dir_fd=here)
    finally:
        os.close(here)


def holds_something(folder: Path) -> bool:
    """Whether a folder is there with anything in it that is not hidden; else a disk may be mounted there at times."""
    try:
        with os.scandir(folder) as entries:
            return any(not each.name.startswith(".") for each in entries)
    except OSError:
        return False


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Turn what the system says while `path` is published into whose fault it is and where."""
    try:
        yield
    except OSError as refusal:
        if refusal.errno in _UNSAFE:
            raise UnsafePathError(
                f"{path}: a part of this path is a symbolic link, a file, or too long a name ({refusal.strerror})",
                hint="links are followed only up to the library root; move the link there, or rename the file",
            ) from refusal
        kind = disk_refusal(refusal.errno)
        hint = "free some space on that disk" if kind is DiskFullError else "it is tried again later"
        raise kind(f"{path}: cannot publish: {refusal.strerror}", hint=hint) from refusal
