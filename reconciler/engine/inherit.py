"""Take over on our own disk what a twin has left: the bytes of its published file, or its unfinished part.

Owns: the copy (a reflink where the file system makes one), the move, and hashing what was taken. Never: reads a
published file for anything else, links two files of the library to each other, or believes what it takes: each chunk
is hashed here, and the whole is read again before it is published, as with bytes from a peer.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from reconciler.engine.events import Kept
from reconciler.engine.partfile import PartName, PartStore
from reconciler.engine.twins import Legacy, Place
from reconciler.errors import DiskError
from reconciler.ids import ChunkIndex
from reconciler.library.room import require_room
from reconciler.overlay.merkle import chunk_count, chunk_hash, chunk_size, root_of
from reconciler.sources.base import Variant

# ioctl(2) FICLONE, _IOW(0x94, 9, int): share the extents of a whole file, copied only when one of the two is written.
# https://man7.org/linux/man-pages/man2/ioctl_ficlone.2.html
FICLONE = 0x4004_9409

# No reflinks here, or not between these two: then the bytes are copied.
_NO_REFLINK = frozenset({errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.EXDEV, errno.ENOSYS})

_BLOCK_BYTES = 1 << 20

# O_NONBLOCK: a FIFO under the name must not hang the reader.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_MAKE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def take_over(legacy: Legacy, parts: PartStore, part: PartName, *, allowed_root: Path, variant: Variant) -> Kept | None:
    """Make `part` of what a twin has left, where that is more than what is in it; gives what is in it then.

    None = nothing was taken, also where a disk refuses: it may be the twin's, and the part can be filled otherwise.
    """
    with contextlib.suppress(DiskError, OSError):
        source = _source(legacy, parts)
        if source is not None:
            kept = _copied(source, parts.path_of(part, allowed_root), variant)
            if kept is not None:
                parts.begin_journal(part, allowed_root=allowed_root, size=variant.size, kept=kept)
                return kept
        for place in legacy.parts:
            if parts.path_of(_name(place), Path(place.allowed_root)).exists():
                return _moved(parts, place, part, allowed_root=allowed_root, size=variant.size)
    return None


def _source(legacy: Legacy, parts: PartStore) -> Path | None:
    """The whole file, if there is one."""
    if legacy.whole is not None:
        return parts.path_of(_name(legacy.whole), Path(legacy.whole.allowed_root))
    return Path(legacy.published) if legacy.published else None


def _name(place: Place) -> PartName:
    return PartName(job_id=place.job_id, position=place.position, part_id=place.part_id)


def _copied(source: Path, path: Path, variant: Variant) -> Kept | None:
    """Copy a whole file to `path`; None, and nothing changed, where its bytes are not the variant's any more."""
    fresh = path.with_suffix(".copy")
    with contextlib.ExitStack() as held:
        source_fd = os.open(source, _READ)
        held.callback(os.close, source_fd)
        found = os.fstat(source_fd)
        if not stat.S_ISREG(found.st_mode) or found.st_size != variant.size:
            return None
        fresh.unlink(missing_ok=True)
        fresh_fd = os.open(fresh, _MAKE, 0o644)
        held.callback(fresh.unlink, missing_ok=True)
        held.callback(os.close, fresh_fd)
        copying = not _is_reflink(source_fd, fresh_fd)
        if copying:
            require_room(path.parent, variant.size)
        kept = tuple(_filled(source_fd, fresh_fd, variant, copying=copying))
        if not _is_right(kept, fresh_fd, variant):
            return None
        fresh.rename(path)
    return kept


def _is_reflink(source_fd: int, target_fd: int) -> bool:
    """Have the target share the bytes of the source, if the file system can."""
    try:
        fcntl.ioctl(target_fd, FICLONE, source_fd)
    except OSError as error:
        if error.errno not in _NO_REFLINK:
            raise
        return False
    return True


def _filled(source_fd: int, target_fd: int, variant: Variant, *, copying: bool) -> Iterator[tuple[ChunkIndex, bytes]]:
    """Copy each chunk, where that is still to be done, and hash it."""
    size = chunk_size(variant.size)
    for index in range(chunk_count(variant.size)):
        data = os.pread(source_fd if copying else target_fd, size, index * size)
        written = 0
        while copying and written < len(data):
            written += os.pwrite(target_fd, data[written:], index * size + written)
        yield ChunkIndex(index), chunk_hash(data, file_size=variant.size)


def _is_right(kept: Kept, fd: int, variant: Variant) -> bool:
    """Whether the bytes are the variant's: somebody may have edited the file since it was published."""
    if variant.root is not None:
        return root_of([digest for _, digest in kept], file_size=variant.size) == variant.root
    with os.fdopen(os.dup(fd), "rb") as copy:
        copy.seek(0)
        return hashlib.file_digest(copy, "sha256").hexdigest() == variant.sha256


def _moved(parts: PartStore, place: Place, part: PartName, *, allowed_root: Path, size: int) -> Kept | None:
    """Take over an unfinished part, where more of it is right than of our own."""
    old, old_root = _name(place), Path(place.allowed_root)
    if old == part:
        return None
    _, kept = parts.open(old, allowed_root=old_root, variant_id=old.part_id, size=size)
    path = parts.path_of(part, allowed_root)
    if path.exists():
        _, own = parts.open(part, allowed_root=allowed_root, variant_id=part.part_id, size=size)
        if len(own) >= len(kept):
            return own
    # The journal first: without its part it says nothing, while a part without its journal would be made anew.
    parts.begin_journal(part, allowed_root=allowed_root, size=size, kept=kept)
    _move(parts.path_of(old, old_root), path)
    parts.discard(old, allowed_root=old_root)
    return kept


def _move(source: Path, target: Path) -> None:
    """Rename; over the border of a file system, copy and rename."""
    try:
        source.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        fresh = target.with_suffix(".copy")
        with contextlib.ExitStack() as held:
            old = held.enter_context(source.open("rb"))
            held.callback(fresh.unlink, missing_ok=True)
            new = held.enter_context(fresh.open("wb"))
            while block := old.read(_BLOCK_BYTES):
                new.write(block)
            new.flush()
            fresh.rename(target)
