"""How much room a disk has, and whether it takes what is written.

Owns: the reserve that is left to others, and how a lack is told. Never: frees anything, or decides what follows.
"""

import os
from pathlib import Path

from reconciler.errors import DiskFullError

# Left free of every disk that parts are made on, for whoever else writes there: not least the state database, which has
# to record that the disk is full. Its log is cut back to 64 MiB; a hundredth is plenty of a disk that is smaller.
RESERVE_BYTES_MAX = 64 * 1024 * 1024
RESERVE_SHARE = 100

_UNITS = ("bytes", "kB", "MB", "GB", "TB")
_DIGITS = 2


def require_room(folder: Path, needed_bytes: int) -> None:
    """Make sure that `needed_bytes` more can be written into `folder`.

    Raises DiskFullError, which says how much is missing, or OSError where the disk does not even answer.
    """
    if needed_bytes <= 0:
        return
    disk = os.statvfs(folder)
    reserve_bytes = min(RESERVE_BYTES_MAX, disk.f_blocks * disk.f_frsize // RESERVE_SHARE)
    free_bytes = max(0, disk.f_bavail * disk.f_frsize - reserve_bytes)
    if free_bytes < needed_bytes:
        missing_bytes = needed_bytes - free_bytes
        raise DiskFullError(
            f"{folder}: {told_bytes(needed_bytes)} are needed and {told_bytes(free_bytes)} free",
            hint=f"free {told_bytes(missing_bytes)} on that disk, or point spec.target_dir at another one",
        )


def require_writable(trial: Path) -> None:
    """Make sure that a disk takes and keeps a byte, with a file `trial` that nobody needs; raises what it answers."""
    file = os.open(trial, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.write(file, b"\n")
        os.fsync(file)
    finally:
        os.close(file)
        trial.unlink(missing_ok=True)


def told_bytes(size_bytes: int) -> str:
    """A size for a person, to two digits: a figure that moves with every write elsewhere would look like news."""
    if size_bytes >= 10**_DIGITS:
        factor = 10 ** (len(str(size_bytes)) - _DIGITS)
        size_bytes = round(size_bytes / factor) * factor
    power = min((len(str(size_bytes)) - 1) // 3, len(_UNITS) - 1)
    return f"{size_bytes / 1000**power:g} {_UNITS[power]}"
