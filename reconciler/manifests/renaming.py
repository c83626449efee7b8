"""Renames that Python does not wrap: swap two names, and never take one that is taken.

Owns: renameat2(2), and what stands in for it where a file system does not know its flags. Never: decides which name a
file should have, or looks into one.
"""

import ctypes
import errno
import os
from pathlib import Path

from reconciler.errors import DiskError

# Of renameat2(2): linux/fs.h and fcntl.h.
_RENAME_NOREPLACE = 1
_RENAME_EXCHANGE = 2
_AT_FDCWD = -100

# What a file system or kernel without the flag answers, and what one without hard links does.
_NO_SUCH_FLAG = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})
_NO_SUCH_LINK = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})

_libc = ctypes.CDLL(None, use_errno=True)

Name = Path | str
"""A path, or with an open folder beside it, a name in that folder."""


class NotSupportedHereError(DiskError):
    """The file system has no safe way to do this; another place must be used."""

    retriable = False


def exchange(one: Path, other: Path) -> None:
    """Swap two names in one step; raises NotSupportedHereError, or OSError (FileNotFoundError where one is missing)."""
    _renameat2(one, _AT_FDCWD, other, _AT_FDCWD, _RENAME_EXCHANGE)


def rename_new(source: Name, target: Name, *, source_folder: int = _AT_FDCWD, target_folder: int = _AT_FDCWD) -> None:
    """Rename, but never onto an existing file; raises FileExistsError, NotSupportedHereError, or another OSError.

    Where only hard links keep from replacing, both names are there for a moment: `source` is one that nobody else uses.
    """
    try:
        _renameat2(source, source_folder, target, target_folder, _RENAME_NOREPLACE)
    except NotSupportedHereError:
        _link_and_unlink(source, source_folder, target, target_folder)


def _link_and_unlink(source: Name, source_folder: int, target: Name, target_folder: int) -> None:
    at = source_folder if source_folder != _AT_FDCWD else None
    to = target_folder if target_folder != _AT_FDCWD else None
    try:
        os.link(source, target, src_dir_fd=at, dst_dir_fd=to, follow_symlinks=False)
    except OSError as refusal:
        if refusal.errno not in _NO_SUCH_LINK:
            raise
        raise NotSupportedHereError(
            f"{target}: this file system can neither rename without replacing nor make hard links",
            hint="use a folder on another file system",
        ) from refusal
    os.unlink(source, dir_fd=at)


def _renameat2(source: Name, source_folder: int, target: Name, target_folder: int, flags: int) -> None:
    call = getattr(_libc, "renameat2", None)
    if call is None:
        raise NotSupportedHereError("this C library has no renameat2")
    names = os.fsencode(source), os.fsencode(target)
    if call(source_folder, names[0], target_folder, names[1], ctypes.c_uint(flags)) == 0:
        return
    code = ctypes.get_errno()
    if code in _NO_SUCH_FLAG:
        raise NotSupportedHereError(f"renameat2 with flags {flags}: {os.strerror(code)}: {source}")
    raise OSError(code, os.strerror(code), str(source), None, str(target))
