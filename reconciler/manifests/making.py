"""A manifest that was not there before.

Owns: making it whole, durable and never in place of another. Never: words one (manifests.compose), or changes one that
is there (manifests.exchange).
"""

import os
from pathlib import Path

from reconciler.manifests.kernel import refusal, sync_folder
from reconciler.manifests.renaming import rename_new
from reconciler.manifests.snapshot import temporary_for


def make_new(path: Path, data: bytes) -> bool:
    """Make a file with these bytes; False where one of that name is there, which stays as it is. Raises DiskError.

    It appears whole or not at all, with the permissions that the umask leaves. What a crash leaves beside it is a
    temporary file that every reader ignores, and that the next start removes.
    """
    temporary = temporary_for(path)
    try:
        temporary.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(temporary, flags, 0o666), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        try:
            rename_new(temporary, path)
        except FileExistsError:
            return False
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(path.parent)
    except OSError as error:
        raise refusal(f"{path} cannot be made", error, folder=path.parent) from error
    return True
