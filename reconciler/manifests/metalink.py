"""A Metalink 4 document (RFC 5854) as values: the XML door.

Owns: the limits on XML, what is refused of it, and which elements are read. Never: opens a file, or judges whether
what is listed can be had (cli.linked_files).

What a document type declaration can do to a parser (entities that grow, files and servers that are asked) needs one;
a document that holds one is refused before it is parsed. The parser keeps its own guards besides.
"""

import codecs
import re
from dataclasses import dataclass, field
from xml.parsers import expat

from reconciler.manifests.document import printable
from reconciler.manifests.model import Problem

# A DVD image in pieces of 256 KiB has 18,000 piece hashes, 1.6 MB as XML with SHA-256.
METALINK_BYTES_MAX = 4 * 1024 * 1024
# The deepest element that is read stands at 4: metalink, file, pieces, hash.
DEPTH_MAX = 16
ELEMENTS_MAX = 100_000
# As many files as a manifest takes.
FILES_MAX = 5000
# The longest URL that this program asks for (sources.urls) has 8,000 characters.
TEXT_CHARS_MAX = 8192

# RFC 5854 section 4.2.16.2: from 1, the first choice, to 999999, which is also meant where nothing is said.
PRIORITY_LAST = 999_999

_NAMESPACE = "urn:ietf:params:xml:ns:metalink"
_NAMESPACE_OF_VERSION_3 = "http://www.metalinker.org/"
_DIGITS = re.compile(r"[0-9]{1,15}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
# Some programs write the name without its hyphen, as Metalink 3 did.
_KINDS = {"sha256": "sha-256", "sha1": "sha-1", "sha512": "sha-512"}

_SIZE = ("metalink", "file", "size")
_HASH = ("metalink", "file", "hash")
_PIECE = ("metalink", "file", "pieces", "hash")
_URL = ("metalink", "file", "url")
_METAURL = ("metalink", "file", "metaurl")
_READ = frozenset({_SIZE, _HASH, _PIECE, _URL, _METAURL})


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirror:
    """Where a file can be had."""

    url: str
    """As written, of any scheme."""
    priority: int
    """From 1, the first choice, to PRIORITY_LAST."""
    location: str
    """ISO 3166-1 alpha-2 in lower case; empty = not said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PieceHashes:
    """What the pieces of a file hash to."""

    kind: str
    """`sha-256`, or another that is only named."""
    length_bytes: int
    """Of every piece but the last."""
    sha256: tuple[str, ...]
    """In lower case; empty for another kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedFile:
    """One file of a Metalink, as it describes it."""

    name: str
    """As written; may hold folders, and anything else."""
    size: int | None
    """Bytes; None = not said."""
    sha256: str
    """In lower case; empty = there is none."""
    other_kinds: tuple[str, ...]
    """Of whole-file hashes besides."""
    pieces: tuple[PieceHashes, ...]
    mirrors: tuple[Mirror, ...]
    metaurls: tuple[str, ...]
    """Addresses of torrents and the like."""


def read_metalink(data: bytes) -> tuple[LinkedFile, ...] | Problem:
    """Read a Metalink 4 document, or say where it is none."""
    if len(data) > METALINK_BYTES_MAX:
        return _problem(0, 0, f"is larger than {METALINK_BYTES_MAX // (1024 * 1024)} MiB", "split it into several")
    try:
        text = data.removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        line, column = _place_in(error.object[: error.start].decode())
        return _problem(line, column, "is not UTF-8", "save it as UTF-8")
    declared = text.find("<!DOCTYPE")
    if declared >= 0:
        line, column = _place_in(text[:declared])
        return _problem(line, column, "holds a document type declaration", "take it out: a Metalink needs none")
    reading = _Reading()
    try:
        reading.parser.Parse(text.encode(), True)
    except _RefusedError as refused:
        return refused.problem
    except expat.ExpatError as error:
        hint = "get the file again, or mend it"
        return _problem(error.lineno, error.offset + 1, f"is no XML: {expat.ErrorString(error.code)}", hint)
    return tuple(reading.files)


class _RefusedError(Exception):
    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


@dataclass(slots=True)
class _Draft:
    """A file whose end has not come yet."""

    name: str
    size: int | None = None
    sha256: str = ""
    other_kinds: list[str] = field(default_factory=list)
    pieces: list[PieceHashes] = field(default_factory=list)
    mirrors: list[Mirror] = field(default_factory=list)
    metaurls: list[str] = field(default_factory=list)

    def file(self) -> LinkedFile:
        return LinkedFile(
            name=self.name,
            size=self.size,
            sha256=self.sha256,
            other_kinds=tuple(dict.fromkeys(self.other_kinds)),
            pieces=tuple(self.pieces),
            mirrors=tuple(self.mirrors),
            metaurls=tuple(self.metaurls),
        )


class _Reading:
    """One walk over a document."""

    def __init__(self) -> None:
        # A name without the separator is in no namespace. The encoding given goes before the one declared.
        self.parser = expat.ParserCreate("utf-8", namespace_separator=" ")
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters
        self.files: list[LinkedFile] = []
        self._path: tuple[str, ...] = ()
        self._elements = 0
        self._attributes: dict[str, str] = {}
        """Of the element whose text is being read."""
        self._text = ""
        self._draft = _Draft("")
        self._piece_hashes: list[str] = []
        self._pieces_kind = ""
        self._piece_bytes = 0

    # ---- what the parser tells -----------------------------------------------------------------------------------

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._elements += 1
        if self._elements > ELEMENTS_MAX:
            raise self._refused(f"has more than {ELEMENTS_MAX:,} elements", "split it into several")
        if len(self._path) >= DEPTH_MAX:
            raise self._refused(f"has elements in more than {DEPTH_MAX} others", "take them out")
        if self._path in _READ:
            raise self._refused(f"has an element within <{self._path[-1]}>", "take it out: a text stands there")
        if not self._path:
            self._check_root(name)
        self._path = (*self._path, name.removeprefix(f"{_NAMESPACE} "))
        self._text, self._attributes = "", attributes
        match self._path:
            case ("metalink", "file"):
                if len(self.files) >= FILES_MAX:
                    raise self._refused(f"lists more than {FILES_MAX:,} files", "split it into several")
                self._draft = _Draft(self._attribute("name"))
            case ("metalink", "file", "pieces"):
                self._pieces_kind = self._kind()
                self._piece_bytes = self._number(self._attribute("length"), "length", 1, 2**50)
                self._piece_hashes = []
            case _:
                pass

    def _characters(self, text: str) -> None:
        if self._path not in _READ:
            return
        self._text += text
        if len(self._text) > TEXT_CHARS_MAX:
            raise self._refused(f"has a text of more than {TEXT_CHARS_MAX:,} characters", "shorten it")

    def _end(self, name: str) -> None:  # noqa: ARG002 - the parser's signature
        text, draft = self._text.strip(), self._draft
        match self._path:
            case ("metalink", "file"):
                self.files.append(draft.file())
            case ("metalink", "file", "size"):
                if draft.size is not None:
                    raise self._refused("says a size twice", "take one out")
                draft.size = self._number(text, "size", 0, 2**50)
            case ("metalink", "file", "hash"):
                self._whole_hash(text)
            case ("metalink", "file", "pieces", "hash") if self._pieces_kind == "sha-256":
                self._piece_hashes.append(self._sha256(text))
            case ("metalink", "file", "pieces"):
                hashes = tuple(self._piece_hashes)
                draft.pieces.append(PieceHashes(kind=self._pieces_kind, length_bytes=self._piece_bytes, sha256=hashes))
            case ("metalink", "file", "url"):
                draft.mirrors.append(self._mirror(text))
            case ("metalink", "file", "metaurl"):
                draft.metaurls.append(text)
            case _:
                pass
        self._path, self._text = self._path[:-1], ""

    # ---- what it means -------------------------------------------------------------------------------------------

    def _check_root(self, name: str) -> None:
        if name == f"{_NAMESPACE} metalink":
            return
        if name == f"{_NAMESPACE_OF_VERSION_3} metalink":
            raise self._refused("is a Metalink of version 3", "ask for version 4: most servers call it .meta4")
        raise self._refused("is no Metalink", f'its first element is <metalink xmlns="{_NAMESPACE}">')

    def _whole_hash(self, text: str) -> None:
        kind = self._kind()
        if kind != "sha-256":
            self._draft.other_kinds.append(kind)
            return
        digest = self._sha256(text)
        if self._draft.sha256 not in ("", digest):
            raise self._refused("says two different SHA-256 of one file", "get the file again")
        self._draft.sha256 = digest

    def _mirror(self, url: str) -> Mirror:
        priority = self._attributes.get("priority")
        return Mirror(
            url=url,
            priority=PRIORITY_LAST if priority is None else self._number(priority, "priority", 1, PRIORITY_LAST),
            location=self._attributes.get("location", "").strip().lower(),
        )

    def _kind(self) -> str:
        kind = self._attribute("type").strip().lower()
        return _KINDS.get(kind, kind)

    def _sha256(self, text: str) -> str:
        digest = text.lower()
        if not _SHA256.fullmatch(digest):
            raise self._refused(f"has a SHA-256 that is not 64 hex digits: `{printable(text)}`", "get the file again")
        return digest

    def _attribute(self, name: str) -> str:
        if name not in self._attributes:
            raise self._refused(f"has <{self._path[-1]}> without `{name}`", "get the file again, or mend it")
        return self._attributes[name]

    def _number(self, text: str, name: str, least: int, most: int) -> int:
        stripped = text.strip()
        if not _DIGITS.fullmatch(stripped) or not least <= int(stripped) <= most:
            raise self._refused(
                f"has a {name} that is no number from {least} to {most}: `{printable(text)}`", "mend it"
            )
        return int(stripped)

    def _refused(self, message: str, hint: str) -> _RefusedError:
        return _RefusedError(
            _problem(self.parser.CurrentLineNumber, self.parser.CurrentColumnNumber + 1, message, hint)
        )


def _problem(line: int, column: int, message: str, hint: str) -> Problem:
    return Problem(line=line, column=column, pointer="", message=message, hint=hint)


def _place_in(before: str) -> tuple[int, int]:
    return before.count("\n") + 1, len(before) - before.rfind("\n")
