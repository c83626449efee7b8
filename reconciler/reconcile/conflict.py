"""Two versions of one manifest: what a person may be spared.

Owns: the three-way merge of two edits. Never: reads or writes a file.

The merge is done twice, and counts only where both agree: by lines, which keeps comments and layout, and by fields,
which knows what is said. Lines alone would join edits that contradict each other, fields alone would have to write YAML
anew. The base is a version that was acted on before either edit: of several, the one that both are nearest to, and the
oldest of those. From a later one, an edit that the other side never saw would look like its undoing.
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from reconciler.manifests.document import Path, Tree, pointer_of, printable
from reconciler.manifests.read import read_document

# Comparing lines takes time in proportion to this product, at worst several times over: 1,000 changed lines on each
# side take less than a second.
_LINE_PAIRS_MAX = 1_000_000

# Values named in one message; the rest is in the two files.
_OVERLAPS_SHOWN_MAX = 5

_Leaf = str | None
_Leaves = dict[Path, _Leaf]


@dataclass(frozen=True, slots=True, kw_only=True)
class Equal:
    """Both say the same, byte for byte."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """Both edits in one document."""

    document: bytes
    """Without a status."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Apart:
    """A person has to look."""

    why: str
    """For a person, with both values where the edits contradict each other."""


Verdict = Equal | Merged | Apart


@dataclass(frozen=True, slots=True)
class _Edit:
    """Lines `start` to before `end` of the base became these."""

    start: int
    end: int
    lines: tuple[str, ...]


def compare(ours: bytes, theirs: bytes, bases: Sequence[bytes]) -> Verdict:
    """Join two versions of a manifest, all without status; `bases` were acted on before, the newest first."""
    if ours == theirs:
        return Equal()
    our_leaves, their_leaves = _leaves_of(ours), _leaves_of(theirs)
    if our_leaves is None or their_leaves is None:
        return Apart(why="one of them cannot be read")
    base = _base_of(our_leaves, their_leaves, _older(bases, ours, theirs))
    if base is None:
        told = _told(_differing(our_leaves, their_leaves), our_leaves, their_leaves)
        return Apart(why=f"no version from before both edits is known; {told}")
    document, base_leaves = base
    wanted, overlaps = _joined(base_leaves, our_leaves, their_leaves)
    if overlaps:
        return Apart(why=_told(overlaps, our_leaves, their_leaves))
    joined = _joined_lines(document, ours, theirs)
    if joined is None or _leaves_of(joined) != wanted:
        return Apart(why="both were edited in the same lines")
    return Merged(document=joined)


def _older(bases: Sequence[bytes], ours: bytes, theirs: bytes) -> Sequence[bytes]:
    """Those of the `bases` that were acted on before both versions."""
    own = [index for index, document in enumerate(bases) if document in (ours, theirs)]
    return bases[max(own) + 1 :] if own else bases


def _base_of(ours: _Leaves, theirs: _Leaves, bases: Sequence[bytes]) -> tuple[bytes, _Leaves] | None:
    known = [(document, leaves) for document in reversed(bases) if (leaves := _leaves_of(document)) is not None]
    return min(
        known,
        key=lambda base: len(_differing(base[1], ours)) + len(_differing(base[1], theirs)),
        default=None,
    )


def _joined(base: _Leaves, ours: _Leaves, theirs: _Leaves) -> tuple[_Leaves, list[Path]]:
    """Field by field: what one side changed; and the fields that both did, differently."""
    wanted: _Leaves = {}
    overlaps: list[Path] = []
    for path in {**base, **ours, **theirs}:
        was, here, there = (_at(leaves, path) for leaves in (base, ours, theirs))
        if here not in (was, there) and there != was:
            overlaps.append(path)
        source = theirs if here == was else ours
        if path in source:
            wanted[path] = source[path]
    # One side made a text of what the other made a mapping of.
    inner = {path[:length] for path in wanted for length in range(len(path))}
    return wanted, [*overlaps, *(path for path in wanted if path in inner)]


def _differing(one: _Leaves, other: _Leaves) -> list[Path]:
    return [path for path in {**one, **other} if _at(one, path) != _at(other, path)]


def _at(leaves: _Leaves, path: Path) -> tuple[_Leaf, ...]:
    """The value of a field; an empty tuple where there is none."""
    return (leaves[path],) if path in leaves else ()


def _told(paths: list[Path], ours: _Leaves, theirs: _Leaves) -> str:
    if not paths:
        return "they differ in comments or layout"
    told = [f"{pointer_of(path)} is {_shown(ours, path)} here and {_shown(theirs, path)} there" for path in paths]
    more = f"; and {len(told) - _OVERLAPS_SHOWN_MAX} more" if len(told) > _OVERLAPS_SHOWN_MAX else ""
    return "; ".join(sorted(told)[:_OVERLAPS_SHOWN_MAX]) + more


def _shown(leaves: _Leaves, path: Path) -> str:
    if path not in leaves:
        return "not there"
    leaf = leaves[path]
    return "empty" if leaf is None else f"'{printable(leaf)}'"


def _leaves_of(document: bytes) -> _Leaves | None:
    read = read_document(document)
    if isinstance(read, tuple) or not isinstance(read.tree, dict):
        return None
    leaves: _Leaves = {}
    waiting: list[tuple[Path, Tree]] = [((), read.tree)]
    while waiting:
        path, tree = waiting.pop()
        if isinstance(tree, dict):
            waiting += [((*path, key), value) for key, value in tree.items()]
        elif isinstance(tree, list):
            waiting += [((*path, index), value) for index, value in enumerate(tree)]
        if not tree or isinstance(tree, str):
            leaves[path] = tree if isinstance(tree, str) else None
    return leaves


# ---- by lines --------------------------------------------------------------------------------------------------------


def _joined_lines(base: bytes, ours: bytes, theirs: bytes) -> bytes | None:
    """Both edits in the lines of the base; None where they meet."""
    lines = _lines(base)
    our_edits, their_edits = _edits(lines, _lines(ours)), _edits(lines, _lines(theirs))
    if our_edits is None or their_edits is None:
        return None
    edits = sorted({*our_edits, *their_edits}, key=lambda edit: (edit.start, edit.end))
    joined: list[str] = []
    done = 0
    for before, edit in zip([None, *edits], edits, strict=False):
        same_gap = before is not None and (before.start, before.end) == (edit.start, edit.end)
        if edit.start < done or same_gap:
            return None
        joined += [*lines[done : edit.start], *edit.lines]
        done = edit.end
    return "".join([*joined, *lines[done:]]).encode("utf-8", "surrogateescape")


def _edits(base: list[str], other: list[str]) -> list[_Edit] | None:
    """What became of the base; None where finding out would take too long."""
    head = 0
    while head < min(len(base), len(other)) and base[head] == other[head]:
        head += 1
    tail = 0
    while tail < min(len(base), len(other)) - head and base[-1 - tail] == other[-1 - tail]:
        tail += 1
    one, two = base[head : len(base) - tail], other[head : len(other) - tail]
    if len(one) * len(two) > _LINE_PAIRS_MAX:
        return None
    codes = difflib.SequenceMatcher(None, one, two, autojunk=False).get_opcodes()
    return [
        _Edit(head + start, head + end, tuple(two[to_start:to_end]))
        for tag, start, end, to_start, to_end in codes
        if tag != "equal"
    ]


def _lines(document: bytes) -> list[str]:
    return document.decode("utf-8", "surrogateescape").splitlines(keepends=True)
