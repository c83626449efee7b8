"""Somebody who has write access to the library, and is fast.

Owns: the swapping. Never: the judgement of what came of it.
"""

import ctypes
import os
import threading
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def swapping(folder: Path, name: str, other: str):
    """Exchange two entries of `folder` for as long as the body runs, as fast as the kernel does it."""
    libc = ctypes.CDLL(None, use_errno=True)
    fd = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    done = threading.Event()

    def swap():
        while not done.is_set():
            libc.renameat2(fd, name.encode(), fd, other.encode(), 2)

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        yield
    finally:
        done.set()
        swapper.join()
        os.close(fd)
