"""A process that dies at a chosen step, and a disk that remembers what was not synced.

Owns: the seam where this package changes the disk (the functions of `os` that do, renameat2, and the two records), the
death, and the ledger. Never: changes what a call does.

Dead is dead: from the crash on, every further change raises as well, so that no `finally` and no context manager tidies
up what a killed process could not have.
"""

import errno
import os
import threading
from contextlib import contextmanager
from pathlib import Path

from reconciler.manifests import renaming


class Crash(BaseException):
    """The process is gone."""


# Whatever changes a name or a byte on the disk.
_CHANGES = (
    "mkdir",
    "rmdir",
    "unlink",
    "rename",
    "replace",
    "link",
    "write",
    "pwrite",
    "ftruncate",
    "posix_fallocate",
    "fsync",
    "fdatasync",
)


class Steps:
    """Counts the steps of a process, and ends it before the one numbered `crash_at`."""

    def __init__(self, crash_at=None):
        self.crash_at = crash_at
        self.count = 0
        self.names = []
        self.dead = False
        self._one = threading.Lock()

    def step(self, name):
        """One more step; raises Crash where it is the last, and for ever after."""
        with self._one:
            if not self.dead:
                self.count += 1
                self.names.append(name)
                self.dead = self.count == self.crash_at
        if self.dead:
            # The thread that syncs a part has nobody to raise to: to it, and to who waits for it, the disk is gone.
            raise Crash if threading.current_thread() is threading.main_thread() else OSError(errno.EIO, "dead")


class Ledger:
    """What the disk may still lose with the power: names in folders, bytes of files; by inode.

    It outlives the process: what a dead one did not sync, nobody has.
    """

    def __init__(self):
        self._folders = {}
        self._files = set()

    def named(self, folder_inode, name):
        """A name was made, changed or removed."""
        self._folders.setdefault(folder_inode, set()).add(name)

    def written(self, fd):
        """Bytes of a file were changed."""
        self._files.add(os.fstat(fd).st_ino)

    def synced(self, fd):
        """A file or folder was synced."""
        inode = os.fstat(fd).st_ino
        self._folders.pop(inode, None)
        self._files.discard(inode)

    def check(self, path):
        """Assert that a published file would be there, whole, after a power cut."""
        assert path.stat().st_ino not in self._files, f"{path} is recorded before its bytes are synced"
        folder, below = path.parent, path.name
        while below:
            loose = self._folders.get(folder.stat().st_ino, set())
            assert below not in loose, f"{path} is recorded before {folder} is synced"
            below, folder = folder.name, folder.parent


@contextmanager
def stepping(world, steps, ledger, monkeypatch, *, forgets=lambda fd: False):
    """Count every change of the disk while the block runs; `forgets` says which syncs do nothing."""
    with monkeypatch.context() as patch:
        for name in _CHANGES:
            patch.setattr(os, name, _stepped(name, getattr(os, name), steps, ledger, forgets))
        patch.setattr(renaming, "_renameat2", _renaming(renaming._renameat2, steps, ledger))
        for store, name in ((world.store, "record_artifact"), (world.index, "add")):
            patch.setattr(store, name, _recording(name, getattr(store, name), steps, ledger))
        yield


def _stepped(name, call, steps, ledger, forgets):
    def stepped(*args, **kwargs):
        steps.step(name)
        if name in ("fsync", "fdatasync"):
            if forgets(args[0]):
                return None
            call(*args, **kwargs)
            ledger.synced(args[0])
            return None
        result = call(*args, **kwargs)
        if name in ("write", "pwrite", "ftruncate", "posix_fallocate"):
            ledger.written(args[0])
        else:
            for path, folder in _named_by(name, args, kwargs):
                ledger.named(_inode_of(path, folder), Path(path).name)
        return result

    return stepped


def _named_by(name, args, kwargs):
    """Each path that a call names, and the open folder that it counts from."""
    if name in ("rename", "replace", "link"):
        return [(args[0], kwargs.get("src_dir_fd")), (args[1], kwargs.get("dst_dir_fd"))]
    return [(args[0], kwargs.get("dir_fd"))]


def _inode_of(path, folder):
    if folder is not None and not Path(path).is_absolute():
        return os.fstat(folder).st_ino
    return Path(path).parent.stat().st_ino


def _renaming(call, steps, ledger):
    def renamed(source, source_folder, target, target_folder, flags):
        steps.step("renameat2")
        call(source, source_folder, target, target_folder, flags)
        for path, folder in ((source, source_folder), (target, target_folder)):
            ledger.named(_inode_of(path, folder if folder >= 0 else None), Path(path).name)

    return renamed


def _recording(name, call, steps, ledger):
    def recorded(*args):
        steps.step(name)
        if name == "record_artifact":
            ledger.check(Path(args[0].path))
        return call(*args)

    return recorded
