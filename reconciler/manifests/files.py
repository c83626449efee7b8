"""Manifests on a disk that editors, git and Syncthing write, too.

Owns: moving a finished manifest, putting right what a crash left, and the door to reading (manifests.snapshot) and
rewriting (manifests.exchange). Never: parses what it reads, but to tell whether two files differ only in their status.
"""

import errno
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from reconciler.errors import DiskError, FileBusyError, InvalidInputError
from reconciler.manifests.exchange import rewrite
from reconciler.manifests.kernel import (
    NotSupportedHereError,
    claim,
    exchange,
    rename_new,
    sync_folder,
    write_like,
)
from reconciler.manifests.snapshot import (
    DEFAULT_PAUSE,
    TEMPORARY_PREFIX,
    FileSnapshot,
    Fingerprint,
    Patience,
    Pause,
    Temporary,
    mark_of,
    read_file,
    temporary_for,
    temporary_of,
)
from reconciler.manifests.splice import SpliceRefusedError, without_status

__all__ = ["FileSnapshot", "Fingerprint", "move_into", "read_file", "recover_displaced", "rewrite"]

# Different finished manifests of one name; more than a few mean that something else is wrong.
SAME_NAME_MAX = 99


def move_into(path: Path, folder: Path, *, pause: Pause = DEFAULT_PAUSE) -> Path:
    """Move a file into a folder, never onto another one, and make the move durable; gives where it is now.

    Moved already = where it went. Where an equal file has the name, ours is removed; where another has it, ours becomes
    `name (2)`. Raises FileNotFoundError where it is in neither place, FileBusyError, InvalidInputError, DiskError.
    """
    try:
        for target in _names_in(folder, path.name):
            if _moved(path, target, Patience(path, pause)):
                sync_folder(folder)
                sync_folder(path.parent)
                return target
    except FileNotFoundError:
        there = _last_of(folder, path.name)
        if there is None or path.exists():
            raise
        return there
    except OSError as error:
        raise DiskError(f"{path} cannot be moved to {folder}: {error.strerror}", hint="look at the disk") from error
    raise InvalidInputError(f"{folder} has {SAME_NAME_MAX} files called {path.name}", hint="remove some of them")


def recover_displaced(folder: Path) -> list[Path]:
    """Look at the temporary files that a crash left in a folder; gives the manifests that got a person's bytes back.

    For the start, while no other daemon works on the folder. What a person saved goes back to its name, or where that
    has been saved again since, beside it as a conflict copy; what is ours is removed.
    """
    restored = []
    for path in sorted(folder.glob(f"{TEMPORARY_PREFIX}*.tmp")):
        left = temporary_of(path)
        if left is not None:
            # What cannot be read or moved now stays where it is, for the next start.
            with suppress(FileBusyError, InvalidInputError, DiskError, OSError):
                restored += [*_put_right(left)]
    if restored:
        sync_folder(folder)
    return restored


def _moved(path: Path, target: Path, patience: Patience) -> bool:
    """Give a file this very name, or find it there already; False where another file has it."""
    try:
        rename_new(path, target)
    except FileExistsError:
        return _removed_as_equal(path, target, patience)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        return _copied(path, target, patience)
    return True


def _copied(path: Path, target: Path, patience: Patience) -> bool:
    """The move to another file system: a durable copy under the new name, then the original is removed as equal."""
    draft = temporary_for(target)
    with suppress(FileExistsError), claim(draft) as file:
        write_like(file, _quiet(path, patience), like=path)
        rename_new(draft, target)
        sync_folder(target.parent)
    return _removed_as_equal(path, target, patience)


def _removed_as_equal(path: Path, target: Path, patience: Patience) -> bool:
    """Remove a file that another equals; False where they differ, with both as they were.

    It is moved aside before it is compared for good: what is saved at its name from then on is another file.
    """
    if not _equal(path, target, patience):
        return False
    aside = temporary_for(path, aside=True)
    rename_new(path, aside)
    if _equal(aside, target, patience):
        aside.unlink()
        return True
    rename_new(aside, path)
    return False


def _equal(path: Path, target: Path, patience: Patience) -> bool:
    """Whether two files have the same bytes; what cannot be read as a manifest equals nothing."""
    try:
        return _quiet(target, patience) == _quiet(path, patience)
    except InvalidInputError:
        return False


def _quiet(path: Path, patience: Patience) -> bytes:
    """The bytes of a file once nobody writes it."""
    while True:
        try:
            return read_file(path).data
        except FileBusyError:
            patience.wait()


def _names_in(folder: Path, name: str) -> Iterator[Path]:
    yield folder / name
    for number in range(2, SAME_NAME_MAX + 1):
        yield folder / f"{Path(name).stem} ({number}){Path(name).suffix}"


def _last_of(folder: Path, name: str) -> Path | None:
    """The last in the row of names that exist: a file that was moved there took the first free one."""
    last = None
    for target in _names_in(folder, name):
        if not target.exists():
            break
        last = target
    return last


def _put_right(left: Temporary) -> Iterator[Path]:
    """Decide about one temporary file; yields the manifest that it was turned into, if any."""
    if not left.new and not left.aside:
        left.path.unlink()
        return
    saved = read_file(left.path).data
    if mark_of(saved) in (left.old, left.new):
        # What was read before the exchange, or what we wrote: nothing of anybody else's.
        left.path.unlink()
        return
    with suppress(FileExistsError):
        rename_new(left.path, left.target)
        yield left.target
        return
    standing = read_file(left.target).data
    if mark_of(standing) == left.new and _swapped_back(left):
        yield left.target
    elif _same_but_status(saved, standing):
        left.path.unlink()
    else:
        copy = _conflict_name(left)
        rename_new(left.path, copy)
        yield copy


def _swapped_back(left: Temporary) -> bool:
    """Put a save back in place of what we published over it; False where something newer stood there after all."""
    try:
        exchange(left.path, left.target)
    except NotSupportedHereError:
        return False
    if mark_of(read_file(left.path).data) == left.new:
        left.path.unlink()
        return True
    exchange(left.path, left.target)
    return False


def _same_but_status(one: bytes, other: bytes) -> bool:
    try:
        return one == other or without_status(one) == without_status(other)
    except SpliceRefusedError:
        return False


def _conflict_name(left: Temporary) -> Path:
    """A name in Syncthing's manner, with the time of the save: the file is then treated as any other conflict copy."""
    saved_at = datetime.fromtimestamp(left.path.stat().st_mtime, tz=UTC)
    mark = f".sync-conflict-{saved_at:%Y%m%d-%H%M%S}-RECONCI"
    return left.target.with_name(f"{left.target.stem}{mark}{left.target.suffix}")
