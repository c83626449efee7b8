"""What could not be done now and is tried again, told to a person once.

Owns: what was told. Never: puts anything off, or says when it is tried again (reconcile.loop).

That somebody is writing a file, or has just taken it away, is every day's business and is for who debugs. That the disk
is full, a folder is read-only or a file leaves no place for what must be written stays so until somebody acts.
"""

from loguru import logger

from reconciler.errors import FileBusyError, ReconcilerError
from reconciler.manifests.document import one_line

# Reasons often name a file, and one disk holds many. Past this the first ones explain the rest.
TOLD_MAX = 100


class PutOff:
    """Reasons why something waits, by what waits."""

    def __init__(self) -> None:
        self._why: dict[str, str] = {}

    def say(self, what: str, error: ReconcilerError | OSError, *, again_s: float) -> None:
        """Something is put off; each reason is told once, for as long as anything waits because of it."""
        hint = error.hint if isinstance(error, ReconcilerError) else ""
        why = one_line(f"{error}; {hint}" if hint else str(error))
        line = logger.bind(path=what, why=why)
        if isinstance(error, FileBusyError | FileNotFoundError):
            line.bind(again_s=round(again_s, 2)).debug("put off")
            return
        if why not in self._why.values() and len(self._why) < TOLD_MAX:
            line.warning("cannot go on for now; it is tried again and again")
        if what in self._why or len(self._why) < TOLD_MAX:
            self._why[what] = why

    def over(self, what: str) -> None:
        """It was done, or is nobody's business any more."""
        self._why.pop(what, None)
