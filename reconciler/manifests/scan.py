"""The YAML door: a text to a document, event by event, within limits.

Owns: the limits on YAML and what is refused of it. Never: decodes bytes (manifests.read) or knows a field's name.

The events of libyaml need no stack; its composer overflows the C stack on 25 KB of brackets. Each scalar stays the text
that was written, so that `artist: Yes`, `title: 4:02` and `title: 010` are what they look like.
"""

from dataclasses import dataclass, field
from typing import NoReturn

import yaml

from reconciler.manifests.document import (
    NOWHERE,
    PROBLEMS_MAX,
    UNFIT_IN_TEXT,
    Document,
    Mark,
    Path,
    Place,
    Section,
    Tree,
    in_order,
    pointer_of,
    printable,
    problem_at,
)
from reconciler.manifests.model import Problem

# The deepest valid manifest has 6 levels.
DEPTH_MAX = 32
# From PyYAML 6.0.4 on libyaml refuses 1,000 levels itself, which it has read ahead of the first of them. No level is
# shorter than a character: with so much less of the text a hundred are left, and it is seen where it gets too deep.
_READ_AHEAD_CHARS = 900
# 1,000 tracks of 7 fields are 16,000 events.
EVENTS_MAX = 50_000
# The longest path that Linux takes (PATH_MAX), in bytes of UTF-8; no title comes near it.
SCALAR_BYTES_MAX = 4096

EventLoader = type[yaml.CBaseLoader] | type[yaml.BaseLoader]

# libyaml's parser; the pure one of the same library where PyYAML was built without it: slower, under the same limits.
EVENT_LOADER: EventLoader = yaml.CBaseLoader if yaml.__with_libyaml__ else yaml.BaseLoader

_EMPTY_WORDS = frozenset({"", "~", "null"})

_YAML_HINTS = (
    ("tab character", "indent with spaces"),
    ("mapping values are not allowed", "put a value that holds `: ` in quotes"),
    ("cannot start any token", "put the value in quotes; indent with spaces, not tabs"),
    ("unexpected end of stream", "close the quote"),
    ("could not find expected ':'", "write `key: value`; is a quote left open?"),
    ("did not find expected", "check brackets, quotes and indentation here and in the line above"),
    ("unknown escape character", "double the backslash, or use single quotes"),
)


def scan(text: str, *, loader: EventLoader = EVENT_LOADER) -> Document | tuple[Problem, ...]:
    """Build the document from YAML events under the limits above; nothing recurses."""
    building = _Building()
    try:
        for count, event in enumerate(yaml.parse(text, Loader=loader)):
            if count >= EVENTS_MAX:
                building.stop(event, f"more than {EVENTS_MAX:,} YAML events", "split it into several files")
            building.take(event)
    except _StopError:
        pass
    except yaml.YAMLError as error:
        if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark and "nesting depth" in (error.problem or ""):
            return scan(text[: error.problem_mark.index - _READ_AHEAD_CHARS], loader=loader)
        building.problems.append(_yaml_problem(error))
    if building.problems:
        return in_order(building.problems)
    sections = tuple(Section(name=s.name, place=s.place, last_line=s.last_line) for s in building.sections)
    return Document(
        tree=building.tree,
        marks=building.marks,
        sections=sections,
        flow_root=building.flow_root,
        end_line=building.end_line,
    )


class _StopError(Exception):
    """Nothing after this point is worth reading."""


@dataclass(slots=True)
class _Frame:
    """A mapping or list that is not closed yet."""

    path: Path
    node: dict[str, Tree] | list[Tree]
    key: str | None = None
    """Of the value that comes next; None = a key comes next."""
    key_place: Place = NOWHERE
    lines: dict[str, int] = field(default_factory=dict)
    """Where each key was first seen."""


@dataclass(slots=True)
class _OpenSection:
    name: str
    place: Place
    last_line: int


@dataclass(slots=True)
class _Building:
    """The document so far."""

    tree: Tree = None
    marks: dict[Path, Mark] = field(default_factory=dict)
    sections: list[_OpenSection] = field(default_factory=list)
    flow_root: bool = False
    end_line: int = 0
    documents: int = 0
    problems: list[Problem] = field(default_factory=list)
    stack: list[_Frame] = field(default_factory=list)

    def take(self, event: yaml.Event) -> None:
        """Add one event."""
        match event:
            case yaml.ScalarEvent():
                self._scalar(event)
            case yaml.CollectionStartEvent():
                self._open(event)
            case yaml.CollectionEndEvent():
                self._close(event)
            case yaml.AliasEvent():
                self._add(event, f"alias `*{printable(event.anchor or '')}`", "write the value out")
                self._place_value(event, None)
            case yaml.DocumentStartEvent():
                self._start(event)
            case yaml.DocumentEndEvent() if event.explicit:
                self.end_line = _place_of(event).line
            case _:
                pass

    def stop(self, event: yaml.Event, message: str, hint: str) -> NoReturn:
        """Add a problem after which reading on makes no sense."""
        self._add(event, message, hint)
        raise _StopError

    def _start(self, event: yaml.DocumentStartEvent) -> None:
        self.documents += 1
        if self.documents > 1:
            self.stop(event, "a second document starts here", "keep one document in a file")
        if event.tags:
            self._add(event, "a %TAG directive", "take it out")

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        text = event.value
        self._check_node(event)
        # A character takes at most four bytes: a short text need not be encoded to be known as short.
        if len(text) * 4 > SCALAR_BYTES_MAX and len(text.encode(errors="surrogatepass")) > SCALAR_BYTES_MAX:
            self._add(event, f"a text of more than {SCALAR_BYTES_MAX} bytes", "shorten it")
        unfit = None if text.isprintable() else UNFIT_IN_TEXT.search(text)
        if unfit:
            self._add(event, f"character U+{ord(unfit[0]):04X} is not allowed, not even escaped", "take it out")
        plain = event.style in (None, "")
        if self._expects_key:
            self._key(event, text, plain=plain)
        else:
            self._place_value(event, None if plain and text in _EMPTY_WORDS else text)
        self._reach(event)

    def _key(self, event: yaml.ScalarEvent, key: str, *, plain: bool) -> None:
        frame, place = self.stack[-1], _place_of(event)
        if plain and key == "<<":
            self._add(event, "a merge key `<<`", "write the fields out")
        if key in frame.lines:
            self._add(event, f"`{printable(key)}` stands here twice, first in line {frame.lines[key]}", "keep one")
        frame.lines.setdefault(key, place.line)
        frame.key, frame.key_place = key, place
        if len(self.stack) == 1:
            self.sections.append(_OpenSection(key, place, place.line))

    def _open(self, event: yaml.CollectionStartEvent) -> None:
        self._check_node(event)
        if self._expects_key:
            self.stop(event, "a list or mapping as a key", "a key is plain text")
        if len(self.stack) >= DEPTH_MAX:
            self.stop(event, f"nested more than {DEPTH_MAX} levels deep", "flatten it")
        if not self.stack:
            self.flow_root = bool(event.flow_style)
        elif event.flow_style:
            self._reach(event)
        node: dict[str, Tree] | list[Tree] = {} if isinstance(event, yaml.MappingStartEvent) else []
        self.stack.append(_Frame(self._place_value(event, node), node))

    def _close(self, event: yaml.CollectionEndEvent) -> None:
        self.stack.pop()
        # A block collection ends where the next token stands, comments skipped; one in brackets ends at its bracket.
        if event.start_mark and event.end_mark and event.end_mark.column > event.start_mark.column:
            self._reach(event)

    @property
    def _expects_key(self) -> bool:
        return bool(self.stack) and isinstance(self.stack[-1].node, dict) and self.stack[-1].key is None

    def _place_value(self, event: yaml.Event, value: Tree) -> Path:
        """Put a value where it belongs; gives its path."""
        here = _place_of(event)
        if not self.stack:
            self.tree = value
            self.marks[()] = Mark(key=here, value=here)
            return ()
        frame = self.stack[-1]
        if isinstance(frame.node, list):
            path = (*frame.path, len(frame.node))
            frame.node.append(value)
            self.marks[path] = Mark(key=here, value=here)
            return path
        if frame.key is None:
            self.stop(event, "an alias as a key", "a key is plain text")
        path = (*frame.path, frame.key)
        frame.node[frame.key] = value
        self.marks[path] = Mark(key=frame.key_place, value=here)
        frame.key = None
        return path

    def _reach(self, event: yaml.Event) -> None:
        """Remember how far the value of the current root key extends."""
        end = event.end_mark
        if self.sections and end is not None:
            # Marks count from 0. A block scalar ends at the start of the line after it.
            line = end.line + 1 if end.column else end.line
            self.sections[-1].last_line = max(self.sections[-1].last_line, line)

    def _check_node(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> None:
        if event.anchor is not None:
            self._add(event, f"anchor `&{printable(event.anchor)}`", "take it out")
        if event.tag is not None:
            self._add(event, f"tag `{printable(event.tag)}`", "take it out: the field says what its value is")

    def _add(self, event: yaml.Event, message: str, hint: str) -> None:
        frame = self.stack[-1] if self.stack else None
        path: Path = () if frame is None else frame.path if frame.key is None else (*frame.path, frame.key)
        self.problems.append(problem_at(_place_of(event), message, hint, pointer_of(path)))
        if len(self.problems) > PROBLEMS_MAX:
            raise _StopError


def _place_of(event: yaml.Event) -> Place:
    assert event.start_mark is not None, "parsed events have marks"
    return Place(line=event.start_mark.line + 1, column=event.start_mark.column + 1)


def _yaml_problem(error: yaml.YAMLError) -> Problem:
    if not isinstance(error, yaml.MarkedYAMLError):
        return problem_at(NOWHERE, "not readable as YAML", "save it as plain UTF-8 text")
    said = error.problem or "unreadable"
    mark = error.problem_mark or error.context_mark
    place = Place(line=mark.line + 1, column=mark.column + 1) if mark else NOWHERE
    opened = f" (line {error.context_mark.line + 1})" if error.context_mark and "end of stream" in said else ""
    hint = next((hint for sign, hint in _YAML_HINTS if sign in said), "check the indentation and the quotes")
    return problem_at(place, f"not YAML: {said}", hint + opened)
