"""Files that a command makes once and never touches again.

Owns: that rule, and what is said about a file that is there already. Never: what is in them.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.errors import DiskError


@dataclass(slots=True, kw_only=True)
class NewFiles:
    """What one command makes below a folder."""

    below: Path
    made: list[str] = field(default_factory=list)
    """Names relative to `below`; those of folders end in a slash."""
    notes: list[str] = field(default_factory=list)
    """What is left for the person to do, one sentence or block each."""

    def folder(self, name: str) -> None:
        """Make a folder where there is none; raises DiskError."""
        try:
            if not (self.below / name).is_dir():
                (self.below / name).mkdir(parents=True)
                self.made.append(f"{name}/")
        except OSError as error:
            raise _refused(error) from error

    def file(self, path: Path, text: str, *, executable: bool = False) -> bool:
        """Write a file where there is none; False where there is one, which stays as it is. Raises DiskError."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Less what the umask takes away.
            mode = 0o777 if executable else 0o666
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(path, flags, mode), "w", encoding="utf-8", newline="") as file:
                file.write(text)
        except FileExistsError:
            return False
        except OSError as error:
            raise _refused(error) from error
        self.made.append(self.name_of(path))
        return True

    def lines(self, path: Path, text: str) -> None:
        """Write a file of one rule a line, or say which of the rules the file that is there does not have."""
        if self.file(path, text):
            return
        there = set(_rules(self.text_of(path).splitlines()))
        missing = [rule for rule in _rules(text.splitlines()) if rule not in there]
        if missing:
            rules = "\n".join(f"    {rule}" for rule in missing)
            self.notes.append(f"{self.name_of(path)} is yours and stays as it is; add to it:\n{rules}")

    def text_of(self, path: Path) -> str:
        """What a file says that is there; raises DiskError."""
        try:
            return path.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise _refused(error) from error

    def name_of(self, path: Path) -> str:
        """A path as it is shown: relative to the folder where it lies below it."""
        return str(path.relative_to(self.below) if path.is_relative_to(self.below) else path)


def _rules(lines: Iterable[str]) -> list[str]:
    """The lines that are no comment; in Syncthing's files `#include` is a rule."""
    stripped = (line.strip() for line in lines)
    return [line for line in stripped if line.startswith("#include ") or (line and not line.startswith(("#", "//")))]


def _refused(error: OSError) -> DiskError:
    return DiskError(f"{error.filename}: {error.strerror}", hint="choose another --root, or mend its permissions")
