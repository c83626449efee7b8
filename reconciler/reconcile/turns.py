"""One at a time in a folder of manifests, in whichever process.

Owns: the lock for that. Never: keeps a person, git or Syncthing from the folder: who writes there without asking is
noticed file by file.

The lock is the kernel's, on the folder itself: it makes no file that would be synced, and is gone with its process.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reconciler.errors import FileBusyError
from reconciler.manifests.snapshot import DEFAULT_PAUSE, Pause

# Taking in a manifest takes some milliseconds. A folder of thousands takes longer than anybody wants to wait here.
PATIENCE_S = 10.0
_STEP_S = 0.05


@contextmanager
def turn_in(folder: Path, *, pause: Pause = DEFAULT_PAUSE) -> Iterator[None]:
    """Have the folder to oneself among those who ask; raises FileBusyError where others do not come to an end.

    Where there is no such folder, or its file system knows no such lock, nobody is kept out.
    """
    try:
        held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        yield
        return
    try:
        for _ in range(int(PATIENCE_S / _STEP_S)):
            if _taken(held):
                break
            pause(_STEP_S)
        else:
            raise FileBusyError(f"others take manifests into {folder}", hint="try again when they have ended")
        yield
    finally:
        os.close(held)


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # flock(2) on a network file system that has none
    return True
