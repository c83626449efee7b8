"""A YAML document as text: every scalar a string, every value with the place where it stands.

Owns: the tree, its marks, and their names in a message. Never: parses (manifests.read) or judges (manifests.schema).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from reconciler.manifests.model import Problem

Tree: TypeAlias = "dict[str, Tree] | list[Tree] | str | None"
"""A mapping, a list, the text of a scalar as written, or None for an empty value (nothing, `~` or `null`, unquoted)."""

Path = tuple[str | int, ...]
"""The keys and indices that lead from the root to a value."""

# A list of problems is for a person: past this many, the first ones explain the rest.
PROBLEMS_MAX = 100

# How much of a value is quoted in a message; enough to recognise it, too little to flood a terminal.
QUOTED_CHARS_MAX = 40

# A message with a path or two in it is some 200; it is told whole.
MESSAGE_CHARS_MAX = 500

# C0 and C1 control characters, DEL, the line and paragraph separators (YAML 1.1 breaks lines there, 1.2 does not), the
# byte order mark, lone surrogates and non-characters: what is shown, logged or stored must hold none of them.
_LINE_SPACE = r"\t\n\r"
_NEVER_IN_TEXT = (
    r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff"
    + "".join(f"\\U{plane:04x}fffe\\U{plane:04x}ffff" for plane in range(1, 17))
)
UNFIT_IN_TEXT = re.compile(f"[{_NEVER_IN_TEXT}]")
"""What a document may hold nowhere, neither as it is nor as an escape."""
UNFIT_IN_VALUE = re.compile(f"[{_LINE_SPACE}{_NEVER_IN_TEXT}]")
"""What a value that is acted on may not hold: the same, and tabs and line breaks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A position in the text, from 1, the column counted in characters; 0 and 0 = in no text."""

    line: int
    column: int


NOWHERE = Place(line=0, column=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Where a value stands, and the key (or list item) that leads to it."""

    key: Place
    value: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One key of the root mapping with its value, as lines of the text; what splice works with."""

    name: str
    place: Place
    """Of the key."""
    last_line: int
    """The last line that holds a part of the value; comments and blank lines after it excluded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One YAML document without anchors, tags or duplicate keys."""

    tree: Tree
    marks: Mapping[Path, Mark]
    sections: tuple[Section, ...] = ()
    """Of the root mapping, in the order of the file; empty where the root is none."""
    flow_root: bool = False
    """Whether the root is written in braces."""
    end_line: int = 0
    """The line of an explicit end of document (`...`); 0 = none."""

    def key_place(self, path: Path) -> Place:
        """Where the key of `path` stands; for what is not in the text, where its nearest parent does."""
        while path not in self.marks:
            if not path:
                return NOWHERE
            path = path[:-1]
        return self.marks[path].key

    def value_place(self, path: Path) -> Place:
        """Where the value of `path` starts; for what is not in the text, where its nearest parent's key stands."""
        mark = self.marks.get(path)
        return mark.value if mark else self.key_place(path)


def problem_at(place: Place, message: str, hint: str, pointer: str = "") -> Problem:
    """Say what is wrong at a place, and what to do about it."""
    return Problem(line=place.line, column=place.column, pointer=pointer, message=message, hint=hint)


def pointer_of(path: Path) -> str:
    """Write a path as `spec.tracks[0].title`, without characters that could disturb a terminal."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += ("." if text else "") + printable(step)
    return text


def printable(text: str) -> str:
    """Shorten a text of unknown origin to what is quoted of it, and escape what cannot be shown."""
    return _cut(text, QUOTED_CHARS_MAX)


def one_line(message: str) -> str:
    """A message for a log, which may quote strangers: whole, with what cannot be shown escaped."""
    return _cut(message, MESSAGE_CHARS_MAX)


def _cut(text: str, chars_max: int) -> str:
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[:chars_max])
    return shown + ("..." if len(text) > chars_max else "")


def in_order(problems: Sequence[Problem]) -> tuple[Problem, ...]:
    """Sort problems by position, without repeats, and cut the list at PROBLEMS_MAX with a word about the rest."""
    ordered = sorted(dict.fromkeys(problems), key=lambda problem: (problem.line, problem.column, problem.pointer))
    if len(ordered) <= PROBLEMS_MAX:
        return tuple(ordered)
    kept = ordered[:PROBLEMS_MAX]
    rest = ordered[PROBLEMS_MAX:]
    # The last word is an error if anything behind it is: a cut list must not look like mere warnings.
    grave = any(problem.severity == "error" for problem in rest)
    return (
        *kept,
        Problem(
            line=rest[0].line,
            column=rest[0].column,
            pointer="",
            message=f"{len(rest)} more problems from here on",
            hint="mend the first ones and look again",
            severity="error" if grave else "warning",
        ),
    )
