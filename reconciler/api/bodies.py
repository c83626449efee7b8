"""Manifests out of the body of a request: one, or many.

Owns: where one manifest ends and the next begins, so that each is read by itself, with its own mistakes. Never: reads
YAML (manifests.scan does) or judges a manifest.

Many are a YAML stream, its documents parted by `---`, or a JSON list of objects. A line that begins with `---` parts
documents wherever it stands (YAML 1.2.2, 9.1.2), so this needs no parser.
"""

import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus

from reconciler.api.problems import RefusedError

# Each is written and brought to the disk by itself, some 5 ms on a hard disk; a request should end within seconds.
MANIFESTS_MAX = 500

_JSON_SPACE = re.compile(r"[ \t\r\n]*")
_SEPARATOR = re.compile(rb"^---(?:[ \t][^\r\n]*)?\r?(?:\n|\Z)", re.MULTILINE)
# What stands after `---` on its line belongs to the document, unless it is a comment.
_COMMENT = re.compile(rb"---[ \t]*(?:#[^\r\n]*)?\r?\n?")
_NOTHING = re.compile(rb"(?:\xef\xbb\xbf)?(?:[ \t]*(?:#[^\n]*)?\r?(?:\n|\Z))*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One manifest of a body."""

    data: bytes
    lines_before: int
    """Lines of the body above its first one."""


def pieces_of(body: bytes) -> list[Piece]:
    """Every manifest of a body, in order; raises RefusedError where there is none, or more than MANIFESTS_MAX."""
    is_list = body.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"[")
    pieces = _listed(body) if is_list else _documents(body)
    if not pieces:
        raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "the body holds no manifest", hint="send one, YAML or JSON")
    if len(pieces) > MANIFESTS_MAX:
        raise RefusedError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"the body holds {len(pieces)} manifests, more than {MANIFESTS_MAX}",
            hint="send them in several requests, or use `reconciler job import --directory`",
        )
    return pieces


def _documents(body: bytes) -> list[Piece]:
    """The documents of a YAML stream; a single one stays as it is, to the last byte."""
    marks = [mark for mark in _SEPARATOR.finditer(body) if _COMMENT.fullmatch(mark[0])]
    if not marks:
        return [] if _NOTHING.fullmatch(body) else [Piece(data=body, lines_before=0)]
    bounds = [(0, marks[0].start())]
    bounds += [(mark.end(), then.start()) for mark, then in itertools.pairwise(marks)]
    bounds.append((marks[-1].end(), len(body)))
    return [
        Piece(data=body[start:end], lines_before=body.count(b"\n", 0, start))
        for start, end in bounds
        if not _NOTHING.fullmatch(body, start, end)
    ]


def _listed(body: bytes) -> list[Piece]:
    """The objects of a JSON list, each with the text that it was written in."""
    try:
        text = body.decode("utf-8-sig")
        return [
            Piece(data=text[start:end].encode(), lines_before=text.count("\n", 0, start))
            for start, end in _items(text, _after_space(text, 0) + 1)
        ]
    except (ValueError, IndexError, RecursionError) as error:
        why = str(error) if isinstance(error, ValueError) else "it does not end"
        raise RefusedError(
            HTTPStatus.UNPROCESSABLE_ENTITY, f"the body is no JSON list: {why[:200]}", hint="send [{...}, {...}]"
        ) from error


def _items(text: str, begin: int) -> Iterator[tuple[int, int]]:
    """Where each item of a list stands that was opened before `begin`; raises ValueError, IndexError at its end."""
    decoder = json.JSONDecoder()
    at = _after_space(text, begin)
    while text[at] != "]":
        end = decoder.raw_decode(text, at)[1]
        yield at, end
        at = _after_space(text, end)
        if text[at] == ",":
            at = _after_space(text, at + 1)
            if text[at] == "]":
                raise ValueError("nothing follows its last comma")
        elif text[at] != "]":
            raise ValueError("no comma between two of its objects")
    if _after_space(text, at + 1) != len(text):
        raise ValueError("something follows the list")


def _after_space(text: str, at: int) -> int:
    found = _JSON_SPACE.match(text, at)
    return found.end() if found else at
