"""Make all files of an album visible in one step.

Owns: the hidden folder in which an album is put together, and what becomes of it after a crash. Never: looks into a
hidden folder of another job, or replaces anything (library.publish places each file).

Where the album's folder is not there yet, its files go into a hidden folder beside it, and that is renamed when it is
whole. A crash leaves each file in one of three places: still a part, in the hidden folder, or under its name. `reclaim`
makes a part again of what it finds in the second; `adopt_existing` (library.publish) finds the third. Where the folder
is there already, the files are placed one by one.
"""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from reconciler.errors import ReconcilerError
from reconciler.ids import JobId
from reconciler.library.publish import Moving, Placed, SameContent, place
from reconciler.library.walk import FOLDER, folder_below, parts_below, told
from reconciler.manifests.renaming import NotSupportedHereError, rename_new

# What a directory entry holds on every file system in use; the album's own name may take 240 of it.
_NAME_BYTES_MAX = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Album:
    """Where the files of one job become visible together."""

    allowed_root: Path
    target_dir: Path
    folder: str
    """The folder that they all lie in, relative to `target_dir`; empty = `target_dir` itself."""
    job_id: JobId

    @property
    def _folders(self) -> list[str]:
        """The album's folder, below the root."""
        below = list(self.target_dir.relative_to(self.allowed_root).parts)
        return below + (self.folder.split("/") if self.folder else [])

    @property
    def _hidden(self) -> str:
        """The name of the hidden folder beside it: nobody but this job uses it."""
        mark = f".reconciler-{self.job_id}"
        room = _NAME_BYTES_MAX - len(mark) - 1
        return f".{self._folders[-1].encode()[:room].decode(errors='ignore')}{mark}"

    def _within(self, name: str) -> str:
        """The path of a file below the album's folder."""
        return name[len(self.folder) + 1 :] if self.folder else name

    def reclaim(self, part: Path, name: str) -> None:
        """Make a part again of what an interrupted run of this job had put aside for `name`; nothing otherwise."""
        if not self._folders or os.path.lexists(part):
            return
        *folders, leaf = parts_below(self.allowed_root, self.target_dir, name)
        above = len(self._folders) - 1
        folders[above] = self._hidden
        with told(part), suppress(FileNotFoundError), ExitStack() as held:
            staged_fd = held.enter_context(folder_below(self.allowed_root, folders, make=False))
            os.stat(leaf, dir_fd=staged_fd, follow_symlinks=False)
            part_fd = os.open(part.parent, FOLDER)
            held.callback(os.close, part_fd)
            moving = Moving(Path(leaf), staged_fd, part_fd, lambda _: True)
            held.callback(moving.close)
            moving.rename_to(part.name)

    def place_all(self, files: Sequence["AlbumFile"]) -> Iterator[Placed]:
        """Publish every file, durable when its place is given; raises as `place` does.

        In a new folder they all appear together. In one that is there already, each does by itself, and those given
        before something is raised stay.
        """
        for file in files:
            self.reclaim(file.part, file.name)
        together = self._place_together(files) if self._folders else None
        yield from self._place_each(files) if together is None else together

    def _place_together(self, files: Sequence["AlbumFile"]) -> list[Placed] | None:
        """Show all files at once; None where the album's folder is there already."""
        *above, leaf = self._folders
        with told(self.target_dir / self.folder), folder_below(self.allowed_root, above, make=True) as above_fd:
            # What is wanted of an earlier try has become a part again; the rest is of another variant.
            with suppress(FileNotFoundError):
                shutil.rmtree(self._hidden, dir_fd=above_fd)
            return None if _is_there(leaf, above_fd) else self._stage(files, above_fd, leaf)

    def _stage(self, files: Sequence["AlbumFile"], above_fd: int, leaf: str) -> list[Placed] | None:
        """Put the album together out of sight, then show it; None where its name was taken meanwhile."""
        root = self.allowed_root
        hidden = root.joinpath(*self._folders[:-1], self._hidden)
        try:
            placed = [
                place(
                    file.part,
                    allowed_root=root,
                    target_dir=hidden,
                    name=self._within(file.name),
                    same_content=file.same_content,
                )
                for file in files
            ]
            is_shown = _rename_folder(self._hidden, leaf, above_fd)
        except (ReconcilerError, OSError):
            with suppress(ReconcilerError, OSError):  # what the disk refuses now, the next try does
                self._take_back(files, above_fd)
            raise
        if not is_shown:
            self._take_back(files, above_fd)
            return None
        os.fsync(above_fd)
        shown = root.joinpath(*self._folders)
        return [Placed(path=str(shown / Path(each.path).relative_to(hidden)), how=each.how) for each in placed]

    def _take_back(self, files: Sequence["AlbumFile"], above_fd: int) -> None:
        """Make parts again of all that was put aside, and leave nothing hidden."""
        for file in files:
            self.reclaim(file.part, file.name)
        shutil.rmtree(self._hidden, dir_fd=above_fd)

    def _place_each(self, files: Sequence["AlbumFile"]) -> Iterator[Placed]:
        for file in files:
            yield place(
                file.part,
                allowed_root=self.allowed_root,
                target_dir=self.target_dir,
                name=file.name,
                same_content=file.same_content,
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class AlbumFile:
    """One finished part on its way into the album."""

    part: Path
    name: str
    """Below `Album.target_dir`."""
    same_content: SameContent


def _is_there(name: str, folder_fd: int) -> bool:
    try:
        os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _rename_folder(source: str, target: str, folder_fd: int) -> bool:
    """Give a folder its name; False where that is taken."""
    try:
        rename_new(source, target, source_folder=folder_fd, target_folder=folder_fd)
    except FileExistsError:
        return False
    except NotSupportedHereError:
        # rename(2) itself never takes the place of a file, a link or a folder with something in it.
        try:
            os.rename(source, target, src_dir_fd=folder_fd, dst_dir_fd=folder_fd)
        except OSError as refusal:
            if _is_there(target, folder_fd):
                return False
            raise refusal from None
    return True
