"""What Linux offers for files that several programs write: read leases, durable copies, exact times.

Owns: the system calls on one open file, and what their refusals mean. Never: renames (manifests.renaming), or decides
what a file should hold.
"""

import errno
import fcntl
import os
import signal
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from reconciler.errors import DiskError, DiskFullError, disk_refusal

# What mtimes move by: as little as the file system keeps. A microsecond on ext4 and the like; 10 ms on exFAT; a second
# on HFS+ and on ext4 with inodes of 128 bytes; two on FAT.
MTIME_STEPS_NS = (1_000, 10_000_000, 1_000_000_000, 2_000_000_000)


def refusal(what: str, error: OSError, *, folder: Path | str) -> DiskError:
    """Say that `what` the system did not let us do in a folder, why, and what to do about it."""
    kind = disk_refusal(error.errno)
    if error.errno in (errno.EACCES, errno.EPERM):
        hint = f"let the daemon's user write into {folder}"
    elif error.errno == errno.EROFS:
        hint = "mount it so that it can be written"
    else:
        hint = "free some space on that disk" if kind is DiskFullError else "look at the disk"
    return kind(f"{what}: {error.strerror}", hint=hint)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@dataclass(frozen=True, slots=True, kw_only=True)
class Undisturbed:
    """A file read while nobody wrote it."""

    content: bytes
    stat: os.stat_result
    leased: bool
    """False: nobody changed it during the read, but somebody may have had it open to write."""


def read_undisturbed(fd: int, *, bytes_max: int) -> Undisturbed | None:
    """Read a whole file that nobody has open for writing; None while somebody has, or where it changed meanwhile.

    A read lease is held for the time of the read: a writer who comes then is made to wait by the kernel. Where there
    are no leases (another owner, NFS), size and times before and after stand in for one.
    """
    leased = _lease(fd)
    if leased is None:
        return None
    try:
        before = os.fstat(fd)
        content = os.pread(fd, bytes_max + 1, 0)
        after = os.fstat(fd)
    finally:
        if leased:
            fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    same = (before.st_mtime_ns, before.st_ctime_ns) == (after.st_mtime_ns, after.st_ctime_ns)
    whole = len(content) == min(after.st_size, bytes_max + 1)
    return Undisturbed(content=content, stat=after, leased=leased) if same and whole else None


@contextmanager
def claim(path: Path) -> Iterator[int]:
    """Make a new file for the time of the block; its name is removed afterwards unless it was renamed to another.

    Raises FileExistsError, or another OSError.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, stat.S_IRUSR | stat.S_IWUSR)
    try:
        yield fd
    finally:
        os.close(fd)
        path.unlink(missing_ok=True)


def write_like(fd: int, data: bytes, *, like: Path) -> os.stat_result:
    """Write a new file durably, with the mode, owner and attributes of `like` as far as we may; gives what fstat says.

    Raises FileNotFoundError where `like` is gone, or another OSError.
    """
    model = os.lstat(like)
    with suppress(PermissionError):
        os.fchown(fd, model.st_uid, model.st_gid)
    os.fchmod(fd, stat.S_IMODE(model.st_mode))
    # Attributes hold the access list, where there is one; not every file system has any.
    with suppress(OSError):
        for name in os.listxattr(like, follow_symlinks=False):
            os.setxattr(fd, name, os.getxattr(like, name, follow_symlinks=False))
    written = 0
    while written < len(data):
        # A disk that fills up takes a part; the next call says why not the rest.
        written += os.pwrite(fd, data[written:], written)
    if os.pread(fd, len(data) + 1, 0) != data:
        raise OSError(errno.EIO, "what was written reads back differently")
    os.fsync(fd)
    return os.fstat(fd)


def step_mtime(path: Path, made: os.stat_result, *, after_ns: int) -> int:
    """Set the mtime of a file to just after `after_ns`; gives the step that the file system kept.

    0 where the file is not as `made` says any more, or somebody is writing it: then it is left alone.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        if _lease(fd) is None:
            return 0
        now = os.fstat(fd)
        if (now.st_ino, now.st_size, now.st_mtime_ns) != (made.st_ino, made.st_size, made.st_mtime_ns):
            return 0
        for step_ns in MTIME_STEPS_NS:
            os.utime(fd, ns=(now.st_atime_ns, after_ns + step_ns))
            if os.fstat(fd).st_mtime_ns > after_ns:
                return step_ns
    finally:
        # Closing gives the lease back.
        os.close(fd)
    return MTIME_STEPS_NS[-1]


def _lease(fd: int) -> bool | None:
    """Take a read lease: True, or False where there are none, or None while somebody writes."""
    try:
        # The notice of a waiting writer is SIGIO by default, and that kills a process which does not expect it. SIGURG
        # is ignored by default, in every thread and whatever the program around us does.
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return None if error.errno == errno.EAGAIN else False
    return True
