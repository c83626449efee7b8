"""A file as it was at one moment, whole.

Owns: reading a manifest's bytes while others write it, whether an editor has it open, and the names of our temporary
files. Never: writes.
"""

import errno
import hashlib
import os
import re
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from reconciler.errors import FileBusyError, InvalidInputError
from reconciler.manifests.kernel import read_undisturbed, refusal
from reconciler.manifests.read import MANIFEST_BYTES_MAX

Pause = Callable[[float], object]
"""Waits for so many seconds."""

# A folder is opened to go on from, not to be listed: permission to pass through it is enough.
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: what has become a FIFO or a leased file since the look must not hold us up.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

# Waiting for what never happens: no clock is read.
DEFAULT_PAUSE: Pause = threading.Event().wait

# How long one call waits for others, all its waits together: an editor's save takes 20 ms (vim, with its fsync).
PATIENCE_S = 2.0
STEP_S = 0.005
# Without a lease nobody says whether a file is still open in an editor; 0.1 s is five of vim's saves.
SETTLE_STEPS = 20

# Syncthing never syncs this prefix and needs no .stignore for it. It removes such files when their mtime is a day old.
TEMPORARY_PREFIX = ".syncthing.reconciler."
# NAME_MAX less prefix, process id (7 digits), two digests of 16 characters, three dots, a hyphen, `.aside` and `.tmp`.
NAME_BYTES_MAX = 255 - len(TEMPORARY_PREFIX) - 7 - 2 * 16 - 4 - len(".aside") - len(".tmp")
_TEMPORARY = re.compile(
    re.escape(TEMPORARY_PREFIX)
    + r"(?P<name>.+)\.[0-9]+(?:\.(?P<old>[0-9a-f]{16})-(?P<new>[0-9a-f]{16}))?(?P<aside>\.aside)?\.tmp",
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
    """False for a file with several hard links, which replacing it would split, and for one behind a symbolic link."""
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
    """Whether it is the target itself, moved aside to be looked at."""


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
    """Read a regular file that nobody is writing, through no link.

    Raises FileNotFoundError; FileBusyError while a writer has it open; DiskError; InvalidInputError for what is not a
    file, is too large or may not be read.
    """
    with _told(path):
        if stat.S_ISLNK(os.lstat(path).st_mode):
            raise InvalidInputError(f"{path} is a symbolic link", hint="put the file itself there")
        with _opened(path, shown=path) as fd:
            return _read(path, fd)


def read_input(path: Path) -> FileSnapshot:
    """Read a manifest as a person offers it: a regular file, or a symbolic link to one, which is never written.

    Raises what `read_through` raises; and InvalidInputError for a name that leaves no room for those of our temporary
    files: what can be read can then be written and moved as well.
    """
    temporary_for(path)
    return read_through(path)


def read_through(path: Path) -> FileSnapshot:
    """Read a regular file, through a symbolic link where there is one.

    The link is resolved once, and what it resolved to is opened folder by folder through no further link: one that is
    swapped in meanwhile leads nowhere. Raises what `read_file` raises; a link to nothing is InvalidInputError, since it
    is there, and only a disk may be missing.
    """
    with _told(path):
        if not stat.S_ISLNK(os.lstat(path).st_mode):
            return read_file(path)
        try:
            target = Path(os.path.realpath(path, strict=True))
            with _folder_of(target) as folder, _opened(target.name, shown=path, folder=folder) as fd:
                return replace(_read(path, fd), writable=False)
        except (FileNotFoundError, NotADirectoryError) as error:
            hint = "mount what it leads to, or put the file itself there"
            raise InvalidInputError(f"{path} is a link to nothing", hint=hint) from error


def read_settled(path: Path, patience: "Patience") -> FileSnapshot:
    """Read a file that nobody can open by this name any more, once those who have it open are done with it."""
    steps_left = SETTLE_STEPS
    while True:
        try:
            seen = read_file(path)
            if seen.leased or steps_left == 0:
                return seen
            steps_left -= 1
        except FileBusyError:
            steps_left = SETTLE_STEPS
        patience.wait()


def is_open_in_editor(path: Path) -> bool:
    """Tell whether vim's or nano's swap file, or the lock of emacs (a link to nothing), stands beside a file."""
    return any(os.path.lexists(path.with_name(name)) for name in (f".{path.name}.swp", f".#{path.name}"))


def temporary_for(target: Path, *, old: bytes | None = None, new: bytes | None = None, aside: bool = False) -> Path:
    """Name a temporary file beside its target; raises InvalidInputError where the target's own name leaves no room."""
    if len(os.fsencode(target.name)) > NAME_BYTES_MAX:
        raise InvalidInputError(f"{target} has too long a name", hint=f"give it one of at most {NAME_BYTES_MAX} bytes")
    tag = f".{mark_of(old)}-{mark_of(new)}" if old is not None and new is not None else ""
    tag += ".aside" if aside else ""
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


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn what the system says into whose fault it is; that there is no such file is said as it is."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        match error.errno:
            case errno.EAGAIN:
                raise FileBusyError(f"{path} is being written", hint="it is read again shortly") from error
            case errno.ELOOP | errno.ENXIO:
                raise InvalidInputError(f"{path} is not a file", hint="move it elsewhere") from error
            case errno.EACCES | errno.EPERM:
                raise InvalidInputError(f"{path} may not be read", hint="let the daemon's user read it") from error
            case _:
                raise refusal(f"{path} cannot be read", error, folder=path.parent) from error


@contextmanager
def _folder_of(path: Path) -> Iterator[int]:
    """Open the folder of an absolute path, each one on the way through no link."""
    fd = os.open(path.anchor, _FOLDER)
    try:
        for name in path.parts[1:-1]:
            below = os.open(name, _FOLDER, dir_fd=fd)
            os.close(fd)
            fd = below
        yield fd
    finally:
        os.close(fd)


@contextmanager
def _opened(name: Path | str, *, shown: Path, folder: int | None = None) -> Iterator[int]:
    """Open a regular file: the look before it keeps from opening a device, the one behind it counts."""
    fd = -1
    try:
        if stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            fd = os.open(name, _FILE, dir_fd=folder)
        if fd < 0 or not stat.S_ISREG(os.fstat(fd).st_mode):
            raise InvalidInputError(f"{shown} is not a file", hint="move it elsewhere")
        yield fd
    finally:
        if fd >= 0:
            os.close(fd)


def _read(path: Path, fd: int) -> FileSnapshot:
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
