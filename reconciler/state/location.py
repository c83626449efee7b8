"""Where the daemon keeps what is its own, and that only one daemon does.

Owns: the state folder's place and its lock. Never: what lies in it.
"""

import fcntl
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from reconciler.errors import BadConfigurationError, DiskError, DiskFullError, OtherInstanceError, disk_refusal

_LOCKS = Path("/proc/locks")
_LOCK_FIELDS = 6


def state_folder(root: Path, environ: Mapping[str, str]) -> Path:
    """The state folder for `root`: `$STATE_DIRECTORY`, else a folder of its own below `$XDG_STATE_HOME`.

    Never inside the root by default: roots are synced, and a database must not be. The name is made from the root's
    real path, so that two roots never share one.
    """
    given = environ.get("STATE_DIRECTORY", "").partition(":")[0]  # systemd joins several with colons; the first is ours
    if given:
        return Path(given)
    home = environ.get("XDG_STATE_HOME", "")
    if not home:
        if not environ.get("HOME"):
            raise BadConfigurationError(
                "neither STATE_DIRECTORY nor XDG_STATE_HOME nor HOME is set", hint="set one of them"
            )
        home = str(Path(environ["HOME"]) / ".local" / "state")
    name = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:16]
    return Path(home) / "reconciler" / name


def holder_of(state: Path) -> int | None:
    """The process that works on a state folder; None where none does.

    The lock is looked at and never touched, so that a daemon that starts at this moment finds nobody in its way.
    """
    try:
        written = (state / "lock").read_text("ascii").strip()
        inode = (state / "lock").stat().st_ino
        locks = _LOCKS.read_text("ascii")
    except (OSError, UnicodeDecodeError):
        return None
    # `1: FLOCK  ADVISORY  WRITE 1234 08:01:5678 0 EOF`: proc_locks(5)
    found = [line.split() for line in locks.splitlines() if " FLOCK " in line]
    held = any(
        len(fields) >= _LOCK_FIELDS and fields[4] == written and fields[5].rpartition(":")[2] == str(inode)
        for fields in found
    )
    return int(written) if held else None


class InstanceLock:
    """Held while a daemon works on a state folder; the kernel drops it with the process, so it is never stale."""

    def __init__(self, state: Path) -> None:
        self._path = state / "lock"
        self._fd = -1

    def __enter__(self) -> Self:
        """Take the lock; raises OtherInstanceError, saying who holds it, or DiskError."""
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise _refusal(f"could not open {self._path}", error) from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(self._fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._fd)
            raise OtherInstanceError(
                f"process {holder} works on {self._path.parent} already", hint="stop it first, or use another --root"
            ) from error
        except OSError as error:
            os.close(self._fd)
            raise _refusal(f"could not lock {self._path}", error) from error
        try:
            # In this order: what was written there before has its place on a disk that is full by now.
            written = os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)
            os.ftruncate(self._fd, written)
        except OSError as error:
            os.close(self._fd)
            raise _refusal(f"could not write {self._path}", error) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let the lock go."""
        os.close(self._fd)


def _refusal(what: str, error: OSError) -> DiskError:
    kind = disk_refusal(error.errno)
    hint = "free some space on that disk" if kind is DiskFullError else "check who owns the state folder, and its disk"
    return kind(f"{what}: {error.strerror}", hint=hint)
