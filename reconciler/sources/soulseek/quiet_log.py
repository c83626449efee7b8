"""What the protocol library says, made short and harmless.

Owns: the form and the rate of its log lines. Never: lets a line hold more of a message than the name of its type:
messages hold passwords, and whatever a stranger put into them.
"""

import logging
from collections.abc import Callable

from reconciler.sources.soulseek.limits import bounded

LIBRARY = "aioslsk"

# Lines passed on in a minute; the rest are counted. A peer that makes us complain must not fill a disk.
LINES_PER_MINUTE = 30
MINUTE_S = 60.0

ARGUMENT_CHARS_MAX = 80


class QuietLog(logging.Handler):
    """Hands `tell` short lines; `now` is monotonic seconds."""

    def __init__(self, tell: Callable[[str], None], now: Callable[[], float]) -> None:
        super().__init__(logging.WARNING)
        self._tell = tell
        self._now = now
        self._minute_s = now()
        self._told = 0
        self._kept_back = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Pass a line on, or count it."""
        now = self._now()
        if now - self._minute_s >= MINUTE_S:
            if self._kept_back:
                self._tell(f"{self._kept_back} more lines in the last minute")
            self._minute_s, self._told, self._kept_back = now, 0, 0
        if self._told >= LINES_PER_MINUTE:
            self._kept_back += 1
            return
        self._told += 1
        self._tell(line_of(record))


def line_of(record: logging.LogRecord) -> str:
    """One bounded line: the constant words, then what the arguments are."""
    arguments = record.args if isinstance(record.args, tuple) else ()
    words = bounded(str(record.msg), chars_max=200)
    failure = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else ""
    return " ".join([words, *(_shown(each) for each in arguments[:6]), failure]).strip()


def _shown(argument: object) -> str:
    if isinstance(argument, bool | int | float):
        return str(argument)
    if isinstance(argument, str):
        return repr(bounded(argument, chars_max=ARGUMENT_CHARS_MAX))
    return f"<{type(argument).__name__}>"


def quieten(handler: logging.Handler) -> None:
    """Send the library's lines to `handler` alone."""
    logger = logging.getLogger(LIBRARY)
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    logger.handlers[:] = [handler]
    # Where no other part of the process logs through the standard library, nothing else must reach standard error.
    logging.lastResort = None
