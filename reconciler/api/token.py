"""The word that shows that a request may change something.

Owns: the file `token` in the state folder, and the comparison. Never: logs or shows it.
"""

import base64
import hmac
import os
import re
import stat
from pathlib import Path

from reconciler.errors import BadConfigurationError, DiskError, StateDamagedError

TOKEN_NAME = "token"  # noqa: S105 - the name of a file

# 256 bits: nobody guesses it, so nothing has to slow down who tries.
_RANDOM_BYTES = 32
_FORM = re.compile(r"[A-Za-z0-9_-]{43,512}")
_FILE_BYTES_MAX = 1024


def load_or_make_token(folder: Path) -> str:
    """The token of the state folder `folder`; the first time, one is made.

    Raises BadConfigurationError where others may read it, StateDamagedError for a file that holds none, DiskError.
    """
    path = folder / TOKEN_NAME
    try:
        if not path.exists():
            _make(path)
        return load_token(folder)
    except OSError as error:
        raise DiskError(f"the token {path} cannot be read or made: {error.strerror}", hint="check its owner") from error


def load_token(folder: Path) -> str:
    """The token that is there; raises FileNotFoundError, and otherwise as `load_or_make_token`."""
    path = folder / TOKEN_NAME
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor, not a path
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode) and status.st_mode & 0o077:
            raise BadConfigurationError(
                f"the token {path} can be read by others (mode {stat.S_IMODE(status.st_mode):04o})",
                hint=f"remove {path}, and the next start makes another one; then give that to your programs",
            )
        text = file.read(_FILE_BYTES_MAX).decode("ascii", "replace").strip()
    if not _FORM.fullmatch(text):
        raise StateDamagedError(f"{path} does not hold a token", hint="remove it, and the next start makes another one")
    return text


def is_token(token: str, said: str) -> bool:
    """Tell whether what a stranger says is the token, in a time that does not depend on how much of it is right."""
    return hmac.compare_digest(token.encode(), said.encode("utf-8", "replace"))


def _make(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    text = base64.urlsafe_b64encode(os.urandom(_RANDOM_BYTES)).decode().rstrip("=") + "\n"
    temporary = path.with_name(f".{TOKEN_NAME}.{os.urandom(8).hex()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "w", encoding="ascii") as file:  # noqa: PTH123 - a descriptor, not a path
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
