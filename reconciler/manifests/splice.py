"""The daemon's own fields, put into a person's file without touching another byte.

Owns: where the `status:` block begins and ends, and the proof that nothing else changed. Never: words the block
(manifests.block), or re-emits what a person wrote: what cannot be proven exact is refused with line and reason;
the job runs on, its status beside the file.

The block is the line of its key up to the last line of its value. Blank lines and comments after that are the person's;
comments within it are lost.
"""

import re
from dataclasses import dataclass

from reconciler.errors import InvalidInputError
from reconciler.ids import JobId
from reconciler.manifests.block import lines_of, status_fields, text_tree
from reconciler.manifests.document import Document, Section, Tree
from reconciler.manifests.model import Status
from reconciler.manifests.read import read_document

_BOM = "\ufeff"


class SpliceRefusedError(InvalidInputError):
    """A file is written in a way that leaves no exact place for the daemon's fields."""

    def __init__(self, reason: str, *, line: int = 0) -> None:
        """`line` counts from 1; 0 = the file as a whole."""
        where = f"line {line}: " if line else ""
        super().__init__(f"{where}{reason}", hint="the job runs on, and its status is kept outside the file")
        self.reason = reason
        self.line = line


def splice_status(data: bytes, status: Status) -> bytes:
    """Replace the `status:` block, or add one at the end; raises SpliceRefusedError where that cannot be exact."""
    layout = _layout(data)
    fields = status_fields(status)
    span = layout.status_span()
    new = layout.with_lines(*(span or layout.end_span()), lines_of({"status": fields}))
    after = _reread(layout, new, {"status": text_tree(fields)})
    # A block after a last line without a line end gives it one.
    added = b"" if span or layout.ends_a_line else layout.line_end.encode()
    if after.outside_status() != layout.outside_status() + added:
        raise SpliceRefusedError("the bounds of the status block are not exact", line=span[0] + 1 if span else 0)
    return new


def insert_identity(data: bytes, *, job_id: JobId | None, created_at: str | None) -> bytes:
    """Add `job_id:` and `created_at:` below `manifest_version:` where they are given and the file has none."""
    layout = _layout(data)
    given = {"job_id": job_id, "created_at": created_at}
    missing = {name: text for name, text in given.items() if text is not None and layout.section(name) is None}
    if not missing:
        return data
    version = layout.section("manifest_version")
    if version is None:
        raise SpliceRefusedError("manifest_version is missing")
    new = layout.with_lines(version.last_line, version.last_line, lines_of(dict(missing)))
    _reread(layout, new, dict(missing))
    kept = next((i for i, (old, now) in enumerate(zip(data, new, strict=False)) if old != now), len(data))
    if not new.endswith(data[kept:]):
        raise SpliceRefusedError("the lines do not fit in without a change", line=version.place.line)
    return new


def without_status(data: bytes) -> bytes:
    """The bytes outside the `status:` block; raises SpliceRefusedError where its bounds are not exact."""
    return _layout(data).outside_status()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """A file as lines with their ends, and where its root keys stand in them."""

    document: Document
    fields: dict[str, Tree]
    """What the file says."""
    bom: str
    lines: list[str]
    """Each with its line end; the last one may have none."""

    @property
    def line_end(self) -> str:
        """As the first line has it."""
        return "\r\n" if self.lines[0].endswith("\r\n") else "\n"

    @property
    def ends_a_line(self) -> bool:
        """Whether a block can begin where the file says nothing more."""
        return bool(self.document.end_line) or self.lines[-1].endswith("\n")

    def section(self, name: str) -> Section | None:
        return next((section for section in self.document.sections if section.name == name), None)

    def status_span(self) -> tuple[int, int] | None:
        """The lines of the block, counted from 0, the last one excluded."""
        status = self.section("status")
        if status is None:
            return None
        start = status.place.line - 1
        later = [section.place.line - 1 for section in self.document.sections if section.place.line > status.place.line]
        end = min(later, default=self.end_span()[0])
        end = min(end, max(status.last_line, start + 1))
        # A block scalar (`|`) counts the blank lines behind it.
        while end > start + 1 and not self.lines[end - 1].strip():
            end -= 1
        return start, end

    def end_span(self) -> tuple[int, int]:
        """Where a block is added: before an explicit end of the document, else after the last line."""
        end = self.document.end_line - 1 if self.document.end_line else len(self.lines)
        return end, end

    def with_lines(self, start: int, end: int, new: list[str]) -> bytes:
        """The file with the lines from `start` to before `end` replaced; a file without a last line end stays so."""
        before, after = self.lines[:start], self.lines[end:]
        open_ended = not after and not self.lines[-1].endswith("\n")
        if before and not before[-1].endswith("\n"):
            before = [*before[:-1], before[-1] + self.line_end]
        written = [line + self.line_end for line in new]
        if open_ended:
            written[-1] = new[-1]
        return self.bytes_of([*before, *written, *after])

    def outside_status(self) -> bytes:
        start, end = self.status_span() or self.end_span()
        return self.bytes_of([*self.lines[:start], *self.lines[end:]])

    def bytes_of(self, lines: list[str]) -> bytes:
        return (self.bom + "".join(lines)).encode()


def _layout(data: bytes) -> _Layout:
    """Look at a file as lines; raises SpliceRefusedError for what cannot be spliced."""
    document = read_document(data)
    if isinstance(document, tuple):
        raise SpliceRefusedError(document[0].message, line=document[0].line)
    text = data.decode()
    if "\r" in text.replace("\r\n", ""):
        raise SpliceRefusedError("a carriage return alone ends a line", line=text.count("\n", 0, text.index("\r")) + 1)
    if not isinstance(document.tree, dict):
        raise SpliceRefusedError("the file is not a mapping", line=1)
    if document.flow_root:
        raise SpliceRefusedError("the whole file stands in braces", line=document.marks[()].value.line)
    for section in document.sections:
        if section.place.column != 1:
            raise SpliceRefusedError(f"`{section.name}` does not begin in column 1", line=section.place.line)
    bom = _BOM if text.startswith(_BOM) else ""
    lines = re.findall(r"[^\n]*\n|[^\n]+", text.removeprefix(_BOM))
    return _Layout(document=document, fields=document.tree, bom=bom, lines=lines)


def _reread(layout: _Layout, new: bytes, wanted: dict[str, Tree]) -> _Layout:
    """Look at the new file: it says what the old one said, and `wanted`; raises SpliceRefusedError otherwise."""
    try:
        after = _layout(new)
    except SpliceRefusedError as refusal:
        raise SpliceRefusedError(f"with the daemon's fields, {refusal.reason}", line=refusal.line) from refusal
    if after.fields != {**layout.fields, **wanted}:
        raise SpliceRefusedError("the daemon's fields would change the meaning of others")
    return after
