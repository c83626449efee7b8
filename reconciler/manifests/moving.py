"""A finished manifest on its way into another folder.

Owns: the move, and every state that a crash can leave of it. Never: decides that a manifest is finished; what it must
still say is a function.
"""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from reconciler.errors import DiskError, FileBusyError, InvalidInputError
from reconciler.manifests.kernel import claim, refusal, sync_folder, write_like
from reconciler.manifests.recovery import put_right, same_but_status
from reconciler.manifests.renaming import rename_new
from reconciler.manifests.snapshot import (
    DEFAULT_PAUSE,
    Patience,
    Pause,
    read_input,
    read_settled,
    read_through,
    temporary_for,
    temporary_of,
)

# Different finished manifests of one name; more than a few mean that something else is wrong.
SAME_NAME_MAX = 99

IsWanted = Callable[[bytes], bool]
"""Whether a file with these bytes is the one that is meant."""


def move_into(path: Path, folder: Path, *, is_wanted: IsWanted, pause: Pause = DEFAULT_PAUSE) -> Path | None:
    """Move a file into a folder, never onto another one, and make the move durable; gives where it is now.

    It is first moved aside beside its name and looked at there for good: what anybody saves at the name from then on
    is another file. None where it is not wanted any more; then it stands at its name again. Where a file that is equal,
    or differs in nothing but its status, has the name in the folder, ours is removed; where another has it, ours
    becomes `name (2)`. A symbolic link is moved as one.

    A crash leaves the file at its name, aside (recover_displaced), in the folder, or at its name and in the folder;
    moving it again ends the same. Raises FileNotFoundError, FileBusyError, InvalidInputError, DiskError.
    """
    aside = temporary_for(path, aside=True)
    try:
        if os.path.lexists(aside):
            raise FileBusyError(f"{aside} exists: another move is under way")
        _make(folder)
        path.rename(aside)
        try:
            return _Moving(aside, Patience(path, pause)).into(folder, path.name, is_wanted)
        finally:
            if os.path.lexists(aside):
                _put_back(aside, path)
            sync_folder(path.parent)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise refusal(f"{path} cannot be moved to {folder}", error, folder=f"{path.parent} and {folder}") from error


def moved_earlier(path: Path, folder: Path, *, is_wanted: IsWanted) -> Path | None:
    """Where a file that is not at its name any more was moved to: the last of its names in the folder that is wanted.

    Raises FileBusyError, DiskError.
    """
    found = None
    for target in _names_in(folder, path.name):
        if not os.path.lexists(target):
            break
        with suppress(InvalidInputError):
            found = target if is_wanted(read_input(target).data) else found
    return found


class _Moving:
    """A file that was moved aside, on its way into a folder."""

    def __init__(self, held: Path, patience: Patience) -> None:
        self._held = held
        self._patience = patience
        self._is_link = held.is_symlink()
        self._data = b""

    def into(self, folder: Path, name: str, is_wanted: IsWanted) -> Path | None:
        try:
            self._data = self._quiet(self._held)
        except InvalidInputError:
            # What cannot be read as a manifest is not what was to be moved.
            return None
        if not is_wanted(self._data):
            return None
        for target in _names_in(folder, name):
            if self._takes(target):
                sync_folder(folder)
                return target
        raise InvalidInputError(f"{folder} has {SAME_NAME_MAX} files called {name}", hint="remove some of them")

    def _takes(self, target: Path) -> bool:
        """Give the file this very name, or find it there already; False where another file has it."""
        try:
            if not self._leads_elsewhere_from(target.parent):
                rename_new(self._held, target)
                return True
        except FileExistsError:
            return self._removed_as_equal(target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
        with suppress(FileExistsError):
            self._copy(target)
        return self._removed_as_equal(target)

    def _copy(self, target: Path) -> None:
        """The move to another file system, or of a link that must be written anew: a durable copy comes first."""
        draft = temporary_for(target)
        if os.path.lexists(draft):
            raise FileBusyError(f"{draft} exists: another move is under way")
        if self._is_link:
            draft.symlink_to(self._text_from(target.parent))
            try:
                rename_new(draft, target)
            finally:
                draft.unlink(missing_ok=True)
        else:
            seen = self._held.lstat()
            with claim(draft) as file:
                write_like(file, self._data, like=self._held)
                os.utime(file, ns=(seen.st_atime_ns, seen.st_mtime_ns))
                rename_new(draft, target)
        sync_folder(target.parent)

    def _removed_as_equal(self, target: Path) -> bool:
        if not self._equals(target):
            return False
        self._held.unlink()
        return True

    def _equals(self, target: Path) -> bool:
        """Whether a file has the same bytes, its status aside; a link equals one that leads to the same file."""
        if self._is_link or target.is_symlink():
            return self._is_link and target.is_symlink() and self._held.resolve() == target.resolve()
        try:
            return same_but_status(self._quiet(target), self._data)
        except InvalidInputError:
            return False

    def _leads_elsewhere_from(self, folder: Path) -> bool:
        """Whether a link would lead to another file from there, being relative."""
        if not self._is_link:
            return False
        return (folder / self._held.readlink()).resolve() != self._held.resolve()

    def _text_from(self, folder: Path) -> Path:
        """What a link must say to lead from another folder to where it leads from here."""
        # Joining keeps an absolute text as it is.
        return Path(os.path.relpath(self._held.parent.resolve(), folder.resolve()), self._held.readlink())

    def _quiet(self, path: Path) -> bytes:
        """The bytes of a file once nobody writes it."""
        if not path.is_symlink():
            return read_settled(path, self._patience).data
        while True:
            try:
                return read_through(path).data
            except FileBusyError:
                self._patience.wait()


def _put_back(aside: Path, path: Path) -> None:
    """Give a file its name again; where that was taken meanwhile, treat it as what a crash leaves."""
    left = temporary_of(aside)
    assert left is not None, "it has the name of an aside file"
    try:
        rename_new(aside, path)
    except FileExistsError:
        # What cannot be read now stays where it is, for the next start.
        with suppress(FileBusyError, InvalidInputError, DiskError):
            for _ in put_right(left):
                sync_folder(path.parent)


def _make(folder: Path) -> None:
    """See to it that a folder exists: git removes one that becomes empty."""
    if not folder.is_dir():
        folder.mkdir()
        sync_folder(folder.parent)


def _names_in(folder: Path, name: str) -> Iterator[Path]:
    yield folder / name
    for number in range(2, SAME_NAME_MAX + 1):
        yield folder / f"{Path(name).stem} ({number}){Path(name).suffix}"
