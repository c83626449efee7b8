"""Which files of the library roots are music of the person's, and which are not looked at.

Owns: the walk. Never: follows a symbolic link below a root, opens a file, or leaves a root.

Left out are names that begin with a dot (albums that are put together, versions that other programs keep), the
daemon's own folder wherever it lies (parts, quarantine), and what has not the name of audio. In memory is one folder
for each level that the walk is deep.
"""

import os
import stat
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from reconciler.library.audio import AUDIO_CONTAINERS

Mark = tuple[int, int, int, int]
"""Device, inode, size and mtime_ns; `is_same` tells by them whether a file is unchanged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A file that is to be looked at, as it was when the walk met it."""

    path: str
    """Absolute, without symbolic links."""
    mark: Mark

    @property
    def size(self) -> int:
        """In bytes."""
        return self.mark[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A folder or file that the walk had to pass over."""

    path: str
    reason: str


def files_below(roots: Sequence[Path], *, never: Collection[Path]) -> Iterator[Found | Unreadable]:
    """Give every audio file below the roots once, folder by folder in the order of names.

    A root may be reached through links and may not be there, which is told as Unreadable; `never` are folders that are
    not entered.
    """
    barred = {each.resolve() for each in never}
    for root in _outermost(roots):
        if not barred.isdisjoint((root, *root.parents)):
            continue
        if not root.is_dir():
            yield Unreadable(path=str(root), reason="it is not there; make it, or mount the disk that it is on")
            continue
        yield from _below(root, barred)


def container_of(path: str) -> str:
    """The extension of a path, lower case and without the dot."""
    return path.rpartition(".")[2].lower()


def mark_of(status: os.stat_result) -> Mark:
    """By what a file is known to be unchanged."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def is_same(one: Mark, other: Mark) -> bool:
    """Whether two looks at a path met the same, unchanged file.

    The device does not count: ZFS, btrfs, NFS and USB disks have another number after each start.
    """
    return one[1:] == other[1:]


def _outermost(roots: Sequence[Path]) -> list[Path]:
    """The roots without those that lie below another one."""
    resolved = dict.fromkeys(root.resolve() for root in roots)
    return [root for root in resolved if not any(above in resolved for above in root.parents)]


def _below(root: Path, barred: Collection[Path]) -> Iterator[Found | Unreadable]:
    refused: list[Unreadable] = []

    def refuse(error: OSError) -> None:
        refused.append(Unreadable(path=str(error.filename), reason=error.strerror or "it cannot be read"))

    # fwalk holds each folder open while it is in it, and enters none that a link has taken the place of.
    for folder, folders, files, folder_fd in os.fwalk(root, onerror=refuse, follow_symlinks=False):
        here = Path(folder)
        folders[:] = sorted(name for name in folders if not name.startswith(".") and here / name not in barred)
        for name in sorted(files):
            if name.startswith(".") or container_of(name) not in AUDIO_CONTAINERS:
                continue
            found = _found(name, folder_fd, str(here / name))
            if found is not None:
                yield found
        yield from refused
        refused.clear()
    yield from refused


def _found(name: str, folder_fd: int, path: str) -> Found | Unreadable | None:
    try:
        status = os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
    except FileNotFoundError:
        return None
    except OSError as error:
        return Unreadable(path=path, reason=error.strerror or "it cannot be read")
    if not stat.S_ISREG(status.st_mode):
        return None
    try:
        path.encode()
    except UnicodeEncodeError:
        return Unreadable(path=path, reason="its name is not Unicode; rename it")
    return Found(path=path, mark=mark_of(status))
