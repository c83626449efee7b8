"""Bytes to a manifest, or everything that is wrong with them, each with its line and column.

Owns: the byte checks, the version rule, the order of the steps. Never: opens a file (manifests.files), parses YAML
(manifests.scan), or says what a field means (manifests.schema, manifests.meaning).
"""

import codecs
import re
from itertools import islice

from reconciler.manifests.document import (
    NOWHERE,
    PROBLEMS_MAX,
    UNFIT_IN_TEXT,
    Document,
    Place,
    in_order,
    printable,
    problem_at,
)
from reconciler.manifests.meaning import manifest_of
from reconciler.manifests.model import Parsed, Problem
from reconciler.manifests.scan import scan
from reconciler.manifests.schema import coerce

# A manifest of 1,000 tracks is about 150 KB. Larger lists belong into several manifests.
MANIFEST_BYTES_MAX = 256 * 1024

_CONFLICT_MARKER = re.compile(r"^(?:<{7}|>{7}|\|{7})(?= |\r?$)", re.MULTILINE)
_CONFLICT_SIGNS = ("<" * 7, ">" * 7, "|" * 7)
_VERSION = re.compile(r"(0|[1-9][0-9]{0,5})\.(0|[1-9][0-9]{0,5})")
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_manifest(data: bytes) -> Parsed:
    """Read a manifest: a value where nothing is an error, and all problems in the order of the file."""
    document = read_document(data)
    if isinstance(document, tuple):
        return Parsed(manifest=None, problems=document)
    if document.tree is None:
        problem = problem_at(Place(line=1, column=1), "the file is empty", "write manifest_version, job_type and spec")
        return Parsed(manifest=None, problems=(problem,))
    version = _version_of(document)
    if isinstance(version, Problem):
        return Parsed(manifest=None, problems=(version,))
    value, problems = coerce(document, "job-manifest", unknown="warning" if version > 0 else "error")
    manifest, more = manifest_of(value, document, sound=not any(p.severity == "error" for p in problems))
    return Parsed(manifest=manifest, problems=in_order((*problems, *more)))


def read_document(data: bytes) -> Document | tuple[Problem, ...]:
    """Read one YAML document as text with marks, or say why it cannot be; a file without content has the tree None."""
    text = text_of(data)
    if isinstance(text, tuple):
        return text
    return scan(text)


def text_of(data: bytes) -> str | tuple[Problem, ...]:
    """Decode a file strictly and without its byte order mark, or say where it is not plain UTF-8 text."""
    if len(data) > MANIFEST_BYTES_MAX:
        message = f"the file is larger than {MANIFEST_BYTES_MAX // 1024} KiB"
        return (problem_at(NOWHERE, message, "split it into several files"),)
    if data.startswith(_UTF16_MARKS):
        return (problem_at(Place(line=1, column=1), "the file is UTF-16", "save it as UTF-8"),)
    try:
        text = data.removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode()
        message = f"byte 0x{error.object[error.start]:02x} is not UTF-8"
        return (problem_at(_place_in(before, len(before)), message, "save the file as UTF-8"),)
    problems = _conflict_markers(text) or _unfit_characters(text)
    return in_order(problems) if problems else text


def _conflict_markers(text: str) -> list[Problem]:
    # Looking for a fixed text is many times faster than for a pattern, and nearly every file has none.
    if not any(sign in text for sign in _CONFLICT_SIGNS):
        return []
    return [
        problem_at(_place_in(text, match.start()), "a git conflict marker", "resolve the merge, then save")
        for match in islice(_CONFLICT_MARKER.finditer(text), PROBLEMS_MAX)
    ]


def _unfit_characters(text: str) -> list[Problem]:
    zero = text.find("\0")
    if zero >= 0:
        # One word about all of them: a power cut leaves thousands, and UTF-16 has one in each letter.
        hint = "save it again as UTF-8; a file that a power cut has torn is brought back by git or Syncthing"
        return [problem_at(_place_in(text, zero), "zero bytes from here on", hint)]
    # All that is unfit is unprintable, and so are the line ends and tabs that a text may hold.
    if text.replace("\n", "").replace("\r", "").replace("\t", "").isprintable():
        return []
    return [
        problem_at(_place_in(text, match.start()), f"character U+{ord(match[0]):04X} is not allowed", "take it out")
        for match in islice(UNFIT_IN_TEXT.finditer(text), PROBLEMS_MAX)
    ]


def has_conflict_marker(data: bytes) -> bool:
    """Tell whether a merge has left its marks in a file."""
    return _CONFLICT_MARKER.search(data.decode("utf-8", "replace")) is not None


def _version_of(document: Document) -> int | Problem:
    """The minor version, or why this program cannot read the file at all; what has no version is left to the schema."""
    tree = document.tree
    text = tree.get("manifest_version") if isinstance(tree, dict) else None
    if not isinstance(text, str):
        return 0
    place = document.value_place(("manifest_version",))
    match = _VERSION.fullmatch(text)
    if match is None:
        message = f"`{printable(text)}` is not a version"
        return problem_at(place, message, 'write manifest_version: "1.0"', "manifest_version")
    if match[1] != "1":
        message = f"version {match[0]} is not one that this program reads (1.x)"
        newer = f"install reconciler {match[1]}.0 or newer"
        hint = newer if int(match[1]) > 1 else 'write manifest_version: "1.0"'
        return problem_at(place, message, hint, "manifest_version")
    return int(match[2])


def _place_in(text: str, index: int) -> Place:
    return Place(line=text.count("\n", 0, index) + 1, column=index - text.rfind("\n", 0, index))
