"""Numbers, times and foreign text as a person reads them in a terminal.

Owns: these forms. Never: where they are printed.
"""

from reconciler.manifests.model import Problem
from reconciler.traces.session_log import escape

_KILO, _MEGA = 1e3, 1e6
_MEGA_MIN = 0.095e6
"""From here a speed is written in MB/s: below, one decimal says next to nothing, and many users send no faster."""


def megabytes(size_bytes: float) -> str:
    """A size in MB (10^6 bytes) with one decimal."""
    return f"{size_bytes / _MEGA:.1f} MB"


def rate(bytes_per_s: float) -> str:
    """A speed in MB/s, in kB/s where that would be nothing; empty for a peer that has none yet."""
    if not bytes_per_s:
        return ""
    if bytes_per_s >= _MEGA_MIN:
        return f"{bytes_per_s / _MEGA:.1f} MB/s"
    return f"{bytes_per_s / _KILO:.0f} kB/s" if bytes_per_s >= _KILO else "<1 kB/s"


def shown(text: str, width: int) -> str:
    """Text of unknown origin, escaped and cut to `width` characters."""
    safe = escape(text)
    return safe if len(safe) <= width else safe[: width - 1] + "…"


def counted(number: int, noun: str) -> str:
    """`1 track`, `3 tracks`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def problem_line(file: str, problem: Problem) -> str:
    """`wish.yml:4:18: spec.title: what is wrong, what to do`; what is wrong with a file as such has no place in it."""
    warning = " (warning)" if problem.severity == "warning" else ""
    if not problem.line:
        where = "" if problem.message.startswith(file) else f"{shown(file, 400)}: "
        return f"{where}{shown(problem.message, 400)}; {problem.hint}{warning}"
    return f"{shown(file, 400)}:{problem}{warning}"
