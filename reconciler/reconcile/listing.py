"""Look through the folders of manifests.

Owns: listing a folder, and comparing it with what was seen there before. Never: opens a file.

It runs in a thread, beside a loop that must answer an edit within a moment. So it takes the known marks as they are and
gives back only what differs.
"""

import hashlib
import os
import struct
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from reconciler.manifests.snapshot import Fingerprint
from reconciler.reconcile.names import REMOVAL_CONFIRMED, is_conflict_copy, is_manifest_name

FileMark = int
"""64 bits of a digest over device, inode, size, modification and change time; with equal marks the content is equal.

A number instead of five because 100,000 of them are kept in memory. Nobody can choose a ctime, so nobody can choose a
mark.
"""

_FIELDS = struct.Struct("<QQQqq")
_MARK_BYTES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Differences:
    """What a folder holds that was not seen there, and what was and is not there any more."""

    changed: tuple[str, ...]
    """Paths of manifests with another mark than the known one, by name."""
    vanished: tuple[str, ...]
    """Known paths, manifests and copies, that are not there."""
    copies: tuple[str, ...]
    """Paths under which Syncthing keeps versions that lost, and whose mark is another."""
    removal_confirmed: bool
    """Whether a person has left the word that what is gone is meant to be."""


def differences(folder: Path, prefix: str, marks: Mapping[str, FileMark], known: Collection[str]) -> Differences:
    """Compare `folder` with the `marks` of what was seen in it; paths begin with `prefix`.

    `known` are paths that are looked for besides. Raises OSError where the folder cannot be listed: that says nothing
    about its files, least of all that they are gone.
    """
    seen: set[str] = set()
    changed: list[str] = []
    copies: list[str] = []
    confirmed = False
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            is_copy = not is_manifest_name(name)
            if is_copy and not is_conflict_copy(name):
                confirmed = confirmed or name == REMOVAL_CONFIRMED
                continue
            path = prefix + name
            mark = mark_at(entry)
            # A file may go between the listing and the look at it; then it is not there.
            if mark is not None:
                seen.add(path)
                if marks.get(path) != mark:
                    (copies if is_copy else changed).append(path)
    # The marks are another thread's, which may add to them this moment; a list of them is taken in one step.
    vanished = {path for path in (*list(marks), *known) if path not in seen}
    return Differences(
        changed=tuple(sorted(changed)),
        vanished=tuple(sorted(vanished)),
        copies=tuple(sorted(copies)),
        removal_confirmed=confirmed,
    )


def mark_at(file: Path | os.DirEntry[str]) -> FileMark | None:
    """The mark of a file, or of what a link leads to; of the link itself where that is nothing. None = it is gone."""
    try:
        status = file.stat()
    except OSError:
        try:
            status = file.stat(follow_symlinks=False)
        except OSError:
            return None
    return _mark(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def mark_of_fingerprint(seen: Fingerprint) -> FileMark:
    """The mark of a file, from what was seen of it while it was read."""
    return _mark(seen.device, seen.inode, seen.size, seen.mtime_ns, seen.ctime_ns)


def _mark(device: int, inode: int, size: int, mtime_ns: int, ctime_ns: int) -> FileMark:
    packed = _FIELDS.pack(device, inode, size, mtime_ns, ctime_ns)
    return int.from_bytes(hashlib.blake2b(packed, digest_size=_MARK_BYTES).digest(), "little", signed=True)
