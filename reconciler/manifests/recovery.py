"""What a crash left of a write or a move, put right.

Owns: what each kind of temporary file means, by its name and its bytes. Never: makes one (manifests.exchange and
moving do), or throws away what a person saved.
"""

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from reconciler.errors import DiskError, FileBusyError, InvalidInputError
from reconciler.manifests.exchange import swap_in
from reconciler.manifests.kernel import sync_folder
from reconciler.manifests.renaming import rename_new
from reconciler.manifests.snapshot import (
    TEMPORARY_PREFIX,
    Temporary,
    mark_of,
    read_file,
    temporary_for,
    temporary_of,
)
from reconciler.manifests.splice import SpliceRefusedError, without_status


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
                restored += [*put_right(left)]
    if restored:
        sync_folder(folder)
    return restored


def put_right(left: Temporary) -> Iterator[Path]:
    """Decide about one temporary file; yields the manifest that it was turned into, if any."""
    if not left.new and not left.aside:
        left.path.unlink()
        return
    if left.aside:
        # It was taken from its name for a moment, and is the only one if nobody has given the name to another.
        with suppress(FileExistsError):
            rename_new(left.path, left.target)
            yield left.target
            return
    if left.path.is_symlink():
        # A link holds nothing that anybody saved in it.
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
    if left.new and mark_of(standing) == left.new and _swapped_back(left):
        yield left.target
    elif same_but_status(saved, standing):
        left.path.unlink()
    else:
        copy = _conflict_name(left)
        rename_new(left.path, copy)
        yield copy


def same_but_status(one: bytes, other: bytes) -> bool:
    """Whether two files say the same outside their `status:` blocks."""
    try:
        return one == other or without_status(one) == without_status(other)
    except SpliceRefusedError:
        return False


def _swapped_back(left: Temporary) -> bool:
    """Put a save back in place of what we published over it; False where something newer stood there after all."""
    spare = temporary_for(left.target, aside=True)
    taken = swap_in(left.path, left.target, spare)
    if mark_of(read_file(taken).data) == left.new:
        taken.unlink()
        return True
    swap_in(taken, left.target, left.path)
    return False


def _conflict_name(left: Temporary) -> Path:
    """A name in Syncthing's manner, with the time of the save: the file is then treated as any other conflict copy."""
    saved_at = datetime.fromtimestamp(left.path.stat().st_mtime, tz=UTC)
    mark = f".sync-conflict-{saved_at:%Y%m%d-%H%M%S}-RECONCI"
    return left.target.with_name(f"{left.target.stem}{mark}{left.target.suffix}")
