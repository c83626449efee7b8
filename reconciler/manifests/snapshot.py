"""A file as it was at one moment, whole.

Owns: reading a manifest's bytes while others write it, and the names of our temporary files. Never: writes.
"""

import errno
import hashlib
import os
import re
import stat
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from reconciler.errors import DiskError, FileBusyError, InvalidInputError
from reconciler.manifests.kernel import read_undisturbed
from reconciler.manifests.read import MANIFEST_BYTES_MAX

Pause = Callable[[float], object]
"""Waits for so many seconds."""

# Waiting for what never happens: no clock is read.
DEFAULT_PAUSE: Pause = threading.Event().wait

# How long one call waits for others, all its waits together: an editor's save takes 20 ms (vim, with its fsync).
PATIENCE_S = 2.0
STEP_S = 0.005

# Syncthing never syncs this prefix and needs no .stignore for it. It removes such files when their mtime is a day old.
TEMPORARY_PREFIX = ".syncthing.reconciler."
# NAME_MAX less prefix, process id (7 digits), two digests of 16 characters, three dots, a hyphen and `.tmp`.
NAME_BYTES_MAX = 255 - len(TEMPORARY_PREFIX) - 7 - 2 * 16 - 4 - len(".tmp")
_TEMPORARY = re.compile(
    re.escape(TEMPORARY_PREFIX)
    + r"(?P<name>.+)\.[0-9]+(?:\.(?:(?P<old>[0-9a-f]{16})-(?P<new>[0-9a-f]{16})|(?P<aside>aside)))?\.tmp",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """By which a file is known to be unchanged without reading it; ext4 reuses inodes at once, so all five count."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSnapshot:
    """A file's bytes, read while nobody wrote."""

    path: Path
    data: bytes
    fingerprint: Fingerprint
    writable: bool
    """False for a file with several hard links: replacing it would split them."""
    leased: bool
    """Whether nobody had it open to write for certain; False where the file system or the owner allows no lease."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Temporary:
    """What the name of one of our temporary files says."""

    path: Path
    target: Path
    """The file that it was made for."""
    old: str = ""
    """`mark_of` what stood at the target; empty = the temporary never reached an exchange."""
    new: str = ""
    """`mark_of` what was to be put there."""
    aside: bool = False
    """Whether it is the target itself, moved aside to be compared."""


class Patience:
    """The time that one call may spend waiting for others."""

    def __init__(self, path: Path, pause: Pause) -> None:
        self._path = path
        self._pause = pause
        self._steps_left = int(PATIENCE_S / STEP_S)

    def wait(self) -> None:
        """Wait one step; raises FileBusyError when there is none left."""
        if self._steps_left <= 0:
            raise FileBusyError(f"{self._path} has been written by somebody else for {PATIENCE_S:g} s")
        self._steps_left -= 1
        self._pause(STEP_S)


def read_file(path: Path) -> FileSnapshot:
    """Read a regular file that nobody is writing.

    Raises FileNotFoundError; FileBusyError while a writer has it open; DiskError; InvalidInputError for what is not a
    file, is too large or may not be read.
    """
    try:
        if stat.S_ISLNK(os.lstat(path).st_mode):
            raise InvalidInputError(f"{path} is a symbolic link", hint="put the file itself there")
        if not stat.S_ISREG(os.lstat(path).st_mode):
            raise InvalidInputError(f"{path} is not a file", hint="move it elsewhere")
        # O_NONBLOCK: what has become a FIFO or a leased file since must not hold us up.
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _unreadable(path, error) from error
    try:
        return _read(path, fd)
    except OSError as error:
        raise DiskError(f"{path} cannot be read: {error.strerror}", hint="look at the disk") from error
    finally:
        os.close(fd)


def temporary_for(target: Path, *, old: bytes | None = None, new: bytes | None = None, aside: bool = False) -> Path:
    """Name a temporary file beside its target; raises InvalidInputError where the target's own name leaves no room."""
    if len(os.fsencode(target.name)) > NAME_BYTES_MAX:
        raise InvalidInputError(f"{target} has too long a name", hint=f"give it one of at most {NAME_BYTES_MAX} bytes")
    tag = f".{mark_of(old)}-{mark_of(new)}" if old is not None and new is not None else ".aside" if aside else ""
    return target.with_name(f"{TEMPORARY_PREFIX}{target.name}.{os.getpid()}{tag}.tmp")


def temporary_of(path: Path) -> Temporary | None:
    """Read the name of a temporary file; None for a name of another kind."""
    match = _TEMPORARY.fullmatch(path.name)
    if match is None:
        return None
    return Temporary(
        path=path,
        target=path.with_name(match["name"]),
        old=match["old"] or "",
        new=match["new"] or "",
        aside=match["aside"] is not None,
    )


def mark_of(data: bytes) -> str:
    """A short digest: 64 bits tell versions of one small file apart."""
    return hashlib.sha256(data).hexdigest()[:16]


def _read(path: Path, fd: int) -> FileSnapshot:
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        raise InvalidInputError(f"{path} is not a file", hint="move it elsewhere")
    read = read_undisturbed(fd, bytes_max=MANIFEST_BYTES_MAX)
    if read is None:
        raise FileBusyError(f"{path} is being written", hint="it is read again shortly")
    data, seen = read.content, read.stat
    if seen.st_nlink == 0:
        raise FileBusyError(f"{path} was replaced while it was read", hint="it is read again shortly")
    if len(data) > MANIFEST_BYTES_MAX:
        hint = "split it into several files"
        raise InvalidInputError(f"{path} is larger than {MANIFEST_BYTES_MAX // 1024} KiB", hint=hint)
    fingerprint = Fingerprint(
        device=seen.st_dev,
        inode=seen.st_ino,
        size=seen.st_size,
        mtime_ns=seen.st_mtime_ns,
        ctime_ns=seen.st_ctime_ns,
    )
    return FileSnapshot(path=path, data=data, fingerprint=fingerprint, writable=seen.st_nlink == 1, leased=read.leased)


def _unreadable(path: Path, error: OSError) -> FileBusyError | InvalidInputError | DiskError:
    match error.errno:
        case errno.EAGAIN:
            return FileBusyError(f"{path} is being written", hint="it is read again shortly")
        case errno.ELOOP | errno.ENXIO:
            return InvalidInputError(f"{path} is not a file", hint="move it elsewhere")
        case errno.EACCES | errno.EPERM:
            return InvalidInputError(f"{path} may not be read", hint="let the daemon's user read it")
        case _:
            return DiskError(f"{path} cannot be read: {error.strerror}", hint="look at the disk")
