"""Where a daemon's API is, for commands on the same machine.

Owns: the file `api` in the state folder. Never: connects, and never names an address whose daemon has ended: a token
must not be sent to whoever has the port now.
"""

import os
from pathlib import Path
from typing import Any

ADDRESS_NAME = "api"
_LOCK_NAME = "lock"
_BYTES_MAX = 256
_LOCKS = Path("/proc/locks")


def keep_address(state: Path, bound: tuple[Any, ...]) -> None:
    """Write down where the API listens, as `getsockname` says it. An address that means any becomes the local one."""
    host, port = str(bound[0]), int(bound[1])
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - what is listened at, not bound here
    temporary = state / f".{ADDRESS_NAME}.new"
    temporary.write_text(f"{host} {port}\n", encoding="ascii")
    temporary.replace(state / ADDRESS_NAME)


def forget_address(state: Path) -> None:
    """Take it back."""
    (state / ADDRESS_NAME).unlink(missing_ok=True)


def address_of_running(state: Path) -> tuple[str, int] | None:
    """Host and port of the API of the daemon that holds this state folder; None where none does, or it has no API."""
    if not _is_held(state / _LOCK_NAME):
        return None
    try:
        descriptor = os.open(state / ADDRESS_NAME, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor, not a path
            host, port = file.read(_BYTES_MAX).decode("ascii").split()
            return host, int(port)
    except (OSError, ValueError):
        return None


def _is_held(lock: Path) -> bool:
    """Whether a living process has locked the file: seen from outside, because to try the lock is to hold it."""
    try:
        inode = lock.stat().st_ino
        held = _LOCKS.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return False
    # 1: FLOCK  ADVISORY  WRITE 4711 08:01:123456 0 EOF      (proc_locks(5); the device is not that of stat on btrfs)
    taken = [line.split() for line in held.splitlines()]
    named = [words[5].rpartition(":")[2] for words in taken if len(words) > 5 and words[1] == "FLOCK"]  # noqa: PLR2004 - the sixth word
    return str(inode) in named
