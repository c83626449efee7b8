"""Where our key lies between two runs.

Owns: `overlay-key.pem` in a folder that only its owner may enter. Never: replaces a key that is there: a new key is a
new peer, and everybody who pinned the old one would refuse it.
"""

import os
import stat
from pathlib import Path

from reconciler.errors import BadConfigurationError, DiskError, StateDamagedError
from reconciler.overlay.identity import SEED_BYTES, Identity

KEY_NAME = "overlay-key.pem"

# An Ed25519 key in PKCS #8 PEM has 119 bytes.
_KEY_BYTES_MAX = 4096


def load_or_make(folder: Path) -> Identity:
    """Read the key in `folder`; the first time, make one that is whole and on the disk before it has its name.

    Raises StateDamagedError for a file that is no key, BadConfigurationError for one that others may read, DiskError.
    """
    path = folder / KEY_NAME
    try:
        if not path.exists():
            _make(path)
        return _load(path)
    except OSError as error:
        raise DiskError(
            f"the overlay key {path} cannot be read or made: {error.strerror}", hint="check the folder and its owner"
        ) from error


def _load(path: Path) -> Identity:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor, not a path
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _KEY_BYTES_MAX:
            raise StateDamagedError(f"{path} is not a key file", hint="put the key back from a backup")
        if status.st_mode & 0o077:
            raise BadConfigurationError(
                f"the overlay key {path} can be read by others (mode {stat.S_IMODE(status.st_mode):04o})",
                hint=f"chmod 600 {path}; if somebody may have read it, remove it and tell your peers the new id",
            )
        pem = file.read(_KEY_BYTES_MAX)
    try:
        return Identity.from_pem(pem)
    except ValueError as error:
        raise StateDamagedError(
            f"{path} does not hold an Ed25519 key",
            hint="put it back from a backup; without one, remove it and tell your peers the new id",
        ) from error


def _make(path: Path) -> None:
    """Make a key. Of two processes that do so at once, the first to link its file wins and both use that key."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # The seed comes straight from the system: an argument could be a test's.
    pem = Identity.generate(os.urandom(SEED_BYTES)).to_pem()
    temporary = path.with_name(f".{KEY_NAME}.{os.urandom(8).hex()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor, not a path
            file.write(pem)
            file.flush()
            os.fsync(descriptor)
        try:
            os.link(temporary, path)
        except FileExistsError:
            return
    finally:
        temporary.unlink()
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
