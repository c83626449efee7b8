"""The password of the Soulseek account, from where it may lie.

Owns: finding and reading it. Never: takes one from the configuration, the environment or a command line, where others
can see it.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from reconciler.errors import BadConfigurationError
from reconciler.state.secrets import read_secret

CREDENTIAL = "soulseek-password"
"""Name of the systemd credential: LoadCredential=soulseek-password:/path (systemd.exec(5))."""

_read = partial(read_secret, what="password", of="Soulseek ")


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
