"""One field of a manifest, set or taken out as a person would in an editor, without touching another byte.

Owns: where the field stands in its lines, and the proof that nothing else changed. Never: words a status
(manifests.splice), knows what a field means, or re-emits what a person wrote: what cannot be proven exact is refused,
and the refusal says what to write by hand.

A field that is there is replaced where it stands; a new one becomes the first line below `spec:`, or stands below the
identity of the job. What is taken out goes with the comments on its own lines.
"""

import codecs
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from reconciler.errors import InvalidInputError
from reconciler.manifests.block import scalar
from reconciler.manifests.document import Document, Path, Place, Tree, pointer_of
from reconciler.manifests.read import read_document

FieldPath = tuple[str] | tuple[str, str]
"""A key of the document, or a key below one: `("spec", "suspend")`."""

FieldValue = Literal[True] | str | Mapping[str, str]
"""`true`, a word that is written plain where it can be, or a small mapping that fits on one line."""

# Below which root key a new one is put: the first of these that the file has.
_ANCHORS = ("created_at", "job_id", "manifest_version")

# What may follow `key:` on its line where the whole value stands there: nothing, a text in quotes, a mapping in braces
# without another in it, or plain text; then perhaps a comment, which begins behind a space.
_QUOTED = r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^']|'')*')"""
_PLAIN = r"""[^\s"'{\[|>#&*!](?:[^#]|(?<!\s)\#)*?"""
_ONE_LINE = re.compile(
    rf"""[ ]*?(?:{_QUOTED}|\{{(?:[^{{}}"'\#]|{_QUOTED})*\}}|{_PLAIN}|)(?P<after>[ \t]*|[ \t]+\#.*)"""
)


class EditRefusedError(InvalidInputError):
    """A file is written in a way that leaves no exact place for the field."""

    def __init__(self, reason: str, *, line: int, by_hand: str) -> None:
        """`line` counts from 1, 0 = the file as a whole; `by_hand` is what a person can do in an editor."""
        where = f"line {line}: " if line else ""
        super().__init__(f"{where}{reason}", hint=by_hand)
        self.reason = reason
        self.line = line


def set_field(data: bytes, path: FieldPath, value: FieldValue) -> bytes:
    """Give the field at `path` this value; the same bytes where it has it. Raises EditRefusedError."""
    by_hand = f"write `{path[-1]}: {_written(value)}`{_below(path)} by hand"
    text = _Lines.of(data, by_hand)
    wanted: Tree = "true" if value is True else value if isinstance(value, str) else dict(value)
    if path in text.document.marks and _value_at(text.document, path) == wanted:
        return data
    new = _replaced(text, path, value) if path in text.document.marks else _added(text, path, value)
    return _proven(text, new, path, wanted)


def remove_field(data: bytes, path: FieldPath) -> bytes:
    """Take the field at `path` out; the same bytes where there is none. Raises EditRefusedError."""
    text = _Lines.of(data, f"take `{path[-1]}`{_below(path)} out by hand")
    if path not in text.document.marks:
        return data
    first, last = _span(text, path)
    new = [*text.lines[:first], *text.lines[last:]]
    return _proven(text, new, path, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lines:
    """A file as lines that can be edited."""

    document: Document
    bom: bytes
    lines: list[str]
    """Each with its line end; the last one may have none."""
    by_hand: str

    @classmethod
    def of(cls, data: bytes, by_hand: str) -> "_Lines":
        document = read_document(data)
        if isinstance(document, tuple):
            raise EditRefusedError(document[0].message, line=document[0].line, by_hand=by_hand)
        bom = codecs.BOM_UTF8 if data.startswith(codecs.BOM_UTF8) else b""
        text = data.removeprefix(bom).decode()
        lone = re.search(r"\r(?!\n)", text)
        if lone:
            line = text.count("\n", 0, lone.start()) + 1
            raise EditRefusedError("a carriage return alone ends a line", line=line, by_hand=by_hand)
        if not isinstance(document.tree, dict) or document.flow_root:
            raise EditRefusedError("the file is not a mapping in block style", line=1, by_hand=by_hand)
        lines = re.findall(r"[^\n]*\n|[^\n]+", text)
        return cls(document=document, bom=bom, lines=lines, by_hand=by_hand)

    @property
    def line_end(self) -> str:
        """As the first line has it."""
        return "\r\n" if self.lines[0].endswith("\r\n") else "\n"

    def refusal(self, reason: str, line: int) -> EditRefusedError:
        return EditRefusedError(reason, line=line, by_hand=self.by_hand)

    def data_of(self, lines: list[str]) -> bytes:
        return self.bom + "".join(lines).encode()


def _added(text: _Lines, path: FieldPath, value: FieldValue) -> list[str]:
    """The lines with a new field in them."""
    if len(path) == 1:
        indent, after = "", _below_identity(text)
    else:
        indent, after = _first_below(text, path[0])
    line = f"{indent}{path[-1]}: {_written(value)}"
    before = text.lines[:after]
    if before and not before[-1].endswith("\n"):
        # It becomes the last line, and like the one before it has no end.
        return [*before[:-1], before[-1] + text.line_end, line]
    return [*before, line + text.line_end, *text.lines[after:]]


def _below_identity(text: _Lines) -> int:
    sections = {section.name: section for section in text.document.sections}
    anchor = next((sections[name] for name in _ANCHORS if name in sections), None)
    if anchor is None:
        raise text.refusal("manifest_version is missing", 0)
    if anchor.place.column != 1:
        raise text.refusal(f"`{anchor.name}` does not begin in column 1", anchor.place.line)
    return anchor.last_line


def _first_below(text: _Lines, parent: str) -> tuple[str, int]:
    """The indentation of what stands below a root key, and the line count up to that key."""
    marks = text.document.marks
    children = [mark.key for found, mark in marks.items() if len(found) == 2 and found[0] == parent]  # noqa: PLR2004 - a key below a root key
    if (parent,) not in marks or not children or not isinstance(_value_at(text.document, (parent,)), dict):
        raise text.refusal(f"`{parent}` has no fields", marks[(parent,)].key.line if (parent,) in marks else 0)
    key, first = marks[(parent,)].key, min(children, key=lambda place: place.line)
    indent = text.lines[first.line - 1][: first.column - 1]
    if first.line == key.line or indent.strip(" "):
        raise text.refusal(f"`{parent}` stands in braces", key.line)
    if _head(text.lines[key.line - 1], key, parent) is None:
        raise text.refusal(f"`{parent}` is written in an unusual way", key.line)
    return indent, key.line


def _replaced(text: _Lines, path: FieldPath, value: FieldValue) -> list[str]:
    """The lines with another value for a field that is there; a comment behind a value of one line stays."""
    first, last = _span(text, path)
    line = text.lines[first]
    content = line.rstrip("\r\n")
    key = text.document.marks[path].key
    head = _head(line, key, path[-1])
    rest = _ONE_LINE.fullmatch(content, len(head)) if head is not None else None
    if head is None or rest is None:
        raise text.refusal(f"`{pointer_of(path)}` is written in an unusual way", first + 1)
    comment = rest["after"] if rest["after"].strip() else ""
    written = f"{head} {_written(value)}{comment}{line[len(content) :]}"
    return [*text.lines[:first], written, *text.lines[last:]]


def _span(text: _Lines, path: FieldPath) -> tuple[int, int]:
    """The lines of a field and its value, counted from 0, the last one excluded.

    The end of a text over several lines is not marked; what is left over of one makes the proof fail.
    """
    marks = text.document.marks
    key = marks[path].key
    before = text.lines[key.line - 1][: key.column - 1]
    if before.strip(" "):
        raise text.refusal(f"`{pointer_of(path)}` does not begin its line", key.line)
    last = max(mark.value.line for found, mark in marks.items() if found[: len(path)] == path)
    apart = [mark for found, mark in marks.items() if found[: len(path)] != path and found != path[: len(found)]]
    if any(key.line <= mark.key.line <= last for mark in apart):
        raise text.refusal(f"`{pointer_of(path)}` shares its lines", key.line)
    return key.line - 1, last


def _head(line: str, key: Place, name: str) -> str | None:
    """The line up to the colon behind its key, quoted or not; None where it is written in another way."""
    found = re.compile(rf"(?:{re.escape(name)}|\"{re.escape(name)}\"|'{re.escape(name)}'):").match(line, key.column - 1)
    return line[: found.end()] if found else None


def _proven(text: _Lines, lines: list[str], path: FieldPath, wanted: Tree) -> bytes:
    """The new bytes, once they say what the old ones said, the field aside, and of the field what is wanted."""
    data = text.data_of(lines)
    after = read_document(data)
    place = text.document.key_place(path)
    if isinstance(after, tuple):
        raise text.refusal(f"`{pointer_of(path)}` reaches over lines that cannot be told apart", place.line)
    if after.tree != _expected(text.document.tree, path, wanted):
        raise text.refusal(f"another value for `{pointer_of(path)}` would change the meaning of others", place.line)
    return data


def _expected(tree: Tree, path: Path, wanted: Tree) -> Tree:
    assert isinstance(tree, dict), "checked when the lines were made"
    name = str(path[0])
    if len(path) > 1:
        return {**tree, name: _expected(tree[name], path[1:], wanted)}
    rest = {key: value for key, value in tree.items() if key != name}
    return rest if wanted is None else {**rest, name: wanted}


def _value_at(document: Document, path: Path) -> Tree:
    value = document.tree
    for step in path:
        value = value[step] if isinstance(value, dict) and isinstance(step, str) else None
    return value


def _written(value: FieldValue) -> str:
    if value is True:
        return "true"
    if isinstance(value, str):
        return scalar(value)
    # Inside braces every text is quoted: there a comma or a colon means something to YAML. A JSON string is a YAML one.
    return "{" + ", ".join(f"{name}: {json.dumps(text, ensure_ascii=False)}" for name, text in value.items()) + "}"


def _below(path: FieldPath) -> str:
    return f" below `{path[0]}:`" if len(path) > 1 else ""
