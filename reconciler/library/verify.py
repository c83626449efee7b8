"""Is the library still as it was?

Owns: the comparison of each known file with the disk. Never: changes, moves or deletes a file, or what is recorded of
it: a scan takes a new state over.

Every known file is read again as a whole. What is not where it was is looked for among the files that are not known:
by its bytes, and a FLAC also by the MD5 of its audio.
"""

import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from reconciler.errors import FileBusyError
from reconciler.library import audio
from reconciler.library.audio_name import FLAC, audio_name
from reconciler.library.listing import Found, container_of, files_below, is_same, mark_of
from reconciler.library.register import Register, Seen
from reconciler.library.scan import Hasher
from reconciler.library.walk import GONE, holds_something, open_without_links

State = Literal["good", "moved", "retagged", "changed", "corrupt", "missing", "unreadable"]
"""`changed`: good audio, and not what was there; of a format whose audio has no name of its own, perhaps only
retagged."""

# Files that are not where they were and are looked for at once; what is beyond is looked for in another walk.
_SOUGHT_MAX = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What became of one known file."""

    path: str
    state: State
    size: int = 0
    """In bytes, as it was."""
    reason: str = ""
    """For a person; empty where it is good."""
    moved_to: str = ""


class Verification:
    """A comparison of everything that is known below the roots with what is there."""

    def __init__(self, *, register: Register, hash_file: Hasher) -> None:
        self._register = register
        self._hash_file = hash_file

    def run(self, roots: Sequence[Path], *, never: Collection[Path]) -> Iterator[Verified]:
        """Give what became of each known file below `roots`; those that are gone come last.

        `never` are folders that are not looked through for them.
        """
        resolved = [root.resolve() for root in roots]
        gone: list[Seen] = []
        for known in self._register.every():
            if not any(Path(known.path).is_relative_to(root) for root in resolved):
                continue
            found = self._compare(known)
            if found is not None:
                yield found
                continue
            gone.append(known)
            if len(gone) == _SOUGHT_MAX:
                yield from self._seek(gone, roots, never)
                gone.clear()
        if gone:
            yield from self._seek(gone, roots, never)

    def _compare(self, known: Seen) -> Verified | None:
        """Read a known file again; None where it is not there."""
        try:
            fd = open_without_links(known.path)
        except OSError as error:
            return None if error.errno in GONE else _unreadable(known, error)
        try:
            return self._read(known, fd)
        except (OSError, FileBusyError) as error:
            return _unreadable(known, error)
        finally:
            os.close(fd)

    def _read(self, known: Seen, fd: int) -> Verified:
        mark = mark_of(os.fstat(fd))
        size = mark[2]
        if known.root is not None and size == known.size and self._hash_file(fd, size).root == known.root:
            return Verified(path=known.path, state="good", size=known.size)
        container = container_of(known.path)
        verdict = audio.check(fd, container=container, duration_ms=None, tolerance_ms=0)
        if not verdict.ok:
            return Verified(path=known.path, state="corrupt", size=known.size, reason=verdict.reason)
        if known.root is None:
            return Verified(path=known.path, state="changed", size=size, reason=f"it was no good: {known.problem}")
        if is_same(mark, known.mark):
            reason = "its bytes are others, though neither size nor time says so: look at the disk"
            return Verified(path=known.path, state="corrupt", size=size, reason=reason)
        if known.audio and audio_name(fd, container) == known.audio:
            return Verified(path=known.path, state="retagged", size=size, reason="the same audio under other tags")
        reason = "it holds other audio" if known.audio else "it holds other bytes, whether in its tags or its audio"
        return Verified(path=known.path, state="changed", size=size, reason=reason)

    def _seek(self, gone: Sequence[Seen], roots: Sequence[Path], never: Collection[Path]) -> Iterator[Verified]:
        """Look for files that are not where they were among those that are not known where they are."""
        sought = _Sought(gone)
        for found in files_below(roots, never=never):
            if sought.left and isinstance(found, Found) and self._is_news(found):
                yield from self._recognise(found, sought)
        away = [root.resolve() for root in roots if not holds_something(root)]
        for known in sought.left.values():
            yield Verified(path=known.path, state="missing", size=known.size, reason=self._lack(known, away))

    def _lack(self, known: Seen, away: Sequence[Path]) -> str:
        """Why a file counts as missing; `away` are roots that are not there, or empty."""
        if (root := next((each for each in away if Path(known.path).is_relative_to(each)), None)) is not None:
            return f"{root} is empty or not there: mount the disk that it is on"
        others = self._register.with_root(known.root) if known.root else ()
        copy = next((each.path for each in others if each.path != known.path and os.path.lexists(each.path)), "")
        return f"it is gone; a copy is at {copy}" if copy else "it is gone, and nothing in the library has its bytes"

    def _is_news(self, found: Found) -> bool:
        known = self._register.at(found.path)
        return known is None or not is_same(known.mark, found.mark)

    def _recognise(self, found: Found, sought: "_Sought") -> Iterator[Verified]:
        try:
            fd = open_without_links(found.path)
        except OSError:
            return
        try:
            root = self._hash_file(fd, found.size).root if found.size in sought.sizes else None
            for known in sought.take(root or ""):
                yield _moved(known, found, "the same bytes")
            if sought.flacs and container_of(found.path) == "flac":
                for known in sought.take(audio_name(fd, "flac")):
                    yield _moved(known, found, "the same audio under other tags")
        except (OSError, FileBusyError):
            return
        finally:
            os.close(fd)


class _Sought:
    """Files that are not where they were, by what they can be known by."""

    def __init__(self, gone: Sequence[Seen]) -> None:
        self.left = {each.path: each for each in gone}
        self.sizes = {each.size for each in gone if each.root is not None}
        self._paths: dict[str, list[str]] = {}
        for each in gone:
            for name in (each.root, each.audio if each.audio.startswith(FLAC) else ""):
                if name:
                    self._paths.setdefault(name, []).append(each.path)

    @property
    def flacs(self) -> bool:
        """Whether one of them can be known by its audio from its headers alone."""
        return any(name.startswith(FLAC) for name in self._paths)

    def take(self, name: str) -> list[Seen]:
        """Those that a file with this root or audio is; they are sought no more."""
        return [self.left.pop(path) for path in self._paths.pop(name, ()) if path in self.left]


def _moved(known: Seen, found: Found, how: str) -> Verified:
    return Verified(path=known.path, state="moved", size=known.size, reason=how, moved_to=found.path)


def _unreadable(known: Seen, error: OSError | FileBusyError) -> Verified:
    reason = error.message if isinstance(error, FileBusyError) else error.strerror or "it cannot be read"
    return Verified(path=known.path, state="unreadable", size=known.size, reason=reason)
