"""A secret in a file of its own.

Owns: what such a file must be. Never: takes a secret from the configuration, the environment or a command line, where
others can see it; knows what it is for.
"""

import os
import stat
from pathlib import Path

from reconciler.errors import BadConfigurationError

# No password that a person set, and no key that a program made, is longer.
SECRET_BYTES_MAX = 1024


def read_secret(path: Path, *, private: bool, what: str, of: str = "") -> str:
    """Read the one secret that a file holds, without the end of its line; raises BadConfigurationError.

    `what` it is and whose it is (`of`) are for messages. With `private` the file must be ours alone (mode 0600 or
    less).
    """
    try:
        # O_NONBLOCK: a FIFO that nobody writes would hold up the start.
        opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            mode = os.fstat(opened).st_mode
            if not stat.S_ISREG(mode):
                raise BadConfigurationError(f"{path} is no regular file", hint=f"name a file that holds the {what}")
            if private and mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise BadConfigurationError(
                    f"{path} can be read by others (mode {stat.S_IMODE(mode):04o})", hint=f"run: chmod 600 {path}"
                )
            data = os.read(opened, SECRET_BYTES_MAX + 1)
        finally:
            os.close(opened)
        secret = data.decode().rstrip("\r\n")
    except OSError as error:
        raise BadConfigurationError(
            f"could not read the {of}{what} at {path}: {error.strerror}", hint="check that the file is there"
        ) from error
    except UnicodeDecodeError as error:
        raise BadConfigurationError(f"{path} is not UTF-8", hint=f"write the {what} as plain text") from error
    if not secret or len(data) > SECRET_BYTES_MAX:
        raise BadConfigurationError(
            f"{path} holds no {what}, or more than {SECRET_BYTES_MAX} bytes", hint=f"write the {what} alone into it"
        )
    return secret
