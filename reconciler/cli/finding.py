"""What an examination found: one fact, whether it is a trouble, and what to do about it.

Owns: the value. Never: examines.
"""

from dataclasses import dataclass
from typing import Literal

Grade = Literal["ok", "warning", "problem"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of `reconciler doctor`."""

    subject: str
    """What was looked at, in a word or two."""
    grade: Grade
    """`problem`: something will not work; `warning`: it works, and could be better or is at risk."""
    said: str
    to_do: str = ""
    """Empty where nothing is to be done."""


def fine(subject: str, said: str) -> Finding:
    """Something that is as it should be."""
    return Finding(subject=subject, grade="ok", said=said)


def warning(subject: str, said: str, *, to_do: str) -> Finding:
    """Something that works, and could be better or is at risk."""
    return Finding(subject=subject, grade="warning", said=said, to_do=to_do)


def problem(subject: str, said: str, *, to_do: str) -> Finding:
    """Something that does not work."""
    return Finding(subject=subject, grade="problem", said=said, to_do=to_do)
