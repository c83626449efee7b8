"""The password of the Soulseek account, from where it may lie.

Owns: finding and reading it. Never: takes one from the configuration, the environment or a command line, where others
can see it.
"""

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from reconciler.errors import BadConfigurationError

CREDENTIAL = "soulseek-password"
"""Name of the systemd credential: LoadCredential=soulseek-password:/path (systemd.exec(5))."""

# The protocol has no limit; no password that a person set is longer.
BYTES_MAX = 1024


def read_password(password_file: str, environ: Mapping[str, str]) -> str:
    """Read the password file, else the systemd credential; raises BadConfigurationError.

    A file must be ours alone (mode 0600 or less). systemd guards its credentials itself.
    """
    if password_file:
        return _read(Path(password_file), private=True)
    folder = environ.get("CREDENTIALS_DIRECTORY")
    if folder:
        return _read(Path(folder) / CREDENTIAL, private=False)
    raise BadConfigurationError(
        "soulseek.password_file is not set",
        hint=f"write the password into a file of mode 0600 and name it, or give the systemd credential {CREDENTIAL}",
    )


def _read(path: Path, *, private: bool) -> str:
    try:
        opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            mode = os.fstat(opened).st_mode
            if not stat.S_ISREG(mode):
                raise BadConfigurationError(f"{path} is no regular file", hint="name a file that holds the password")
            if private and mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise BadConfigurationError(
                    f"{path} can be read by others (mode {stat.S_IMODE(mode):04o})", hint=f"run: chmod 600 {path}"
                )
            data = os.read(opened, BYTES_MAX + 1)
        finally:
            os.close(opened)
        password = data.decode().rstrip("\r\n")
    except OSError as error:
        raise BadConfigurationError(
            f"could not read the Soulseek password at {path}: {error.strerror}", hint="check that the file is there"
        ) from error
    except UnicodeDecodeError as error:
        raise BadConfigurationError(f"{path} is not UTF-8", hint="write the password as plain text") from error
    if not password or len(data) > BYTES_MAX:
        raise BadConfigurationError(
            f"{path} holds no password, or more than {BYTES_MAX} bytes", hint="write the password alone into it"
        )
    return password
