"""Which of our own files are offered, and how one is opened.

Owns: the walk over shared folders, the safe open of a file in them, and the bounds of our line of uploads.
Never: follows a symbolic link, below a shared folder or on the way to a file; offers what is hidden, unfinished or in
quarantine.
"""

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

# Files offered at most. A library of a hundred thousand tracks is a large one; each costs some 500 bytes in the process
# that answers searches.
FILES_MAX = 100_000

# Uploads that one user, and all together, may have in our line; more are refused in Nicotine+'s words.
LINE_OF_ONE_MAX = 100
LINE_MAX = 1000
TOO_MANY = "Too many files"

# How our own unfinished files are called (engine.partfile); they normally lie elsewhere.
UNFINISHED = (".part", ".journal", ".new", ".tmp")

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


Mark = tuple[int, int]
"""By what a file is known to be the one that was published: its size, and its time of change in nanoseconds."""


def has_room(waiting: list[str], username: str) -> bool:
    """Whether one more upload for a user fits into our line; `waiting` names whom each upload in it is for."""
    return len(waiting) < LINE_MAX and waiting.count(username) < LINE_OF_ONE_MAX


def offered_files(root: Path, *, never: tuple[Path, ...]) -> Iterator[tuple[str, float]]:
    """Give the path below `root`, and the time of change, of each file that may be offered.

    A folder that cannot be read is passed over. `never` are folders that are not entered.
    """
    count = 0
    barred = {each.resolve() for each in never}
    top = root.resolve()
    if not barred.isdisjoint((top, *top.parents)):
        return
    for folder, folders, files in os.walk(top, followlinks=False):
        here = Path(folder)
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".")
            and _is_text(name)
            and not (here / name).is_symlink()
            and here / name not in barred
        )
        for name in sorted(files):
            found = _regular(here / name)
            if found is None or name.startswith(".") or name.endswith(UNFINISHED):
                continue
            count += 1
            if count > FILES_MAX:
                return
            yield str((here / name).relative_to(top)), found.st_mtime


def outermost(folders: Iterable[Path]) -> tuple[Path, ...]:
    """Those of the folders that lie in no other of them, in their order."""
    every = tuple(dict.fromkeys(folders))
    return tuple(each for each in every if not any(each != other and each.is_relative_to(other) for other in every))


def by_root(
    files: Iterable[tuple[str, Mark]], roots: tuple[Path, ...], *, but: tuple[Path, ...]
) -> dict[Path, dict[str, Mark]]:
    """Sort absolute paths into the `roots` that they lie in, each by its path below; what lies in `but` is left out."""
    sorted_in: dict[Path, dict[str, Mark]] = {root: {} for root in roots}
    for path, mark in files:
        at = Path(path)
        root = next((each for each in roots if at.is_relative_to(each)), None)
        if root is not None and not any(at.is_relative_to(each) for each in but):
            sorted_in[root][str(at.relative_to(root))] = mark
    return sorted_in


def published_files(root: Path, marks: Mapping[str, Mark], *, never: tuple[Path, ...]) -> Iterator[tuple[str, float]]:
    """Give, as `offered_files` does, the files in `marks` (by their path below `root`) that are still the same."""
    barred = {each.resolve() for each in never}
    for below, mark in sorted(marks.items())[:FILES_MAX]:
        path = root / below
        hidden = any(part.startswith(".") or not _is_text(part) for part in Path(below).parts)
        found = None if hidden or path.name.endswith(UNFINISHED) else _regular(path)
        if found is not None and mark_of(found) == mark and barred.isdisjoint(path.parents):
            yield below, found.st_mtime


def mark_of(found: os.stat_result) -> Mark:
    """Size and time of change."""
    return found.st_size, found.st_mtime_ns


def open_offered(root: Path, below: str) -> int:
    """Open the file at `below` in `root` for reading, meeting no symbolic link on the way; raises OSError.

    The caller closes the descriptor.
    """
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        *folders, name = Path(below).parts
        for each in folders:
            deeper = os.open(each, _FOLDER, dir_fd=folder)
            os.close(folder)
            folder = deeper
        opened = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    finally:
        os.close(folder)
    if not stat.S_ISREG(os.fstat(opened).st_mode):
        os.close(opened)
        raise OSError(f"{below} is no regular file")
    return opened


def _regular(path: Path) -> os.stat_result | None:
    try:
        found = path.lstat()
    except OSError:
        return None
    return found if stat.S_ISREG(found.st_mode) and _is_text(path.name) else None


def _is_text(name: str) -> bool:
    """Whether a name can be told to others: it is UTF-8, and holds no backslash, which is their separator."""
    return "\\" not in name and not any("\ud800" <= character <= "\udfff" for character in name)
