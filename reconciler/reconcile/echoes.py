"""Which change of a file is our own.

Owns: the bytes that we put where, until they are seen there. Never: reads or writes a file.

Without this every status would be followed by a pass over the file that it was written into. A write counts as ours
only where it replaced exactly the bytes that the pass had judged: what a person saved in between is news.
"""

import hashlib


class Echoes:
    """What we wrote last into each file, until a pass has seen it there."""

    def __init__(self) -> None:
        self._judged = b""
        self._written: dict[str, bytes] = {}

    def judging(self, path: str, document: bytes) -> None:
        """A pass begins over the file at `path` with these bytes; passes do not overlap."""
        self._judged = _digest(document)
        self._written.pop(path, None)

    def wrote(self, path: str, *, over: bytes, now: bytes) -> None:
        """The file at `path` held `over` and holds `now`."""
        if _digest(over) != self._judged:
            self._written.pop(path, None)
        elif over != now:
            # A pass may write twice.
            self._judged = self._written[path] = _digest(now)

    def is_awaited(self, path: str) -> bool:
        """Tell whether a change of this file may be our own."""
        return path in self._written

    def is_echo(self, path: str, document: bytes) -> bool:
        """Tell whether these bytes at `path` are what we put there last."""
        return self._written.get(path) == _digest(document)

    def leave(self, path: str) -> None:
        """The file is not there any more."""
        self._written.pop(path, None)


def _digest(document: bytes) -> bytes:
    return hashlib.sha256(document).digest()
