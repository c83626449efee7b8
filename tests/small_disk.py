"""A disk of eight mebibytes, and what fills it.

Owns: both. Never: the fixture (conftest.py).
"""

import os
import subprocess
from contextlib import contextmanager
from pathlib import Path

SIZE = "8m"


class NoMountError(Exception):
    """No small disk can be had here; the text says why."""


@contextmanager
def mounted(folder: Path):
    """Mount a file system of its own at `folder` while the block runs."""
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise NoMountError("there is no mount(8)") from error
    if done.returncode != 0:
        raise NoMountError(done.stderr.strip())
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path, *, leaving: int) -> Path:
    """Write a file that leaves so many bytes free; gives it."""
    filler = disk / "filler"
    free = os.statvfs(disk)
    filler.write_bytes(bytes(free.f_bavail * free.f_frsize - leaving))
    return filler
