"""A manifest from elsewhere, made one of ours.

Owns: what is changed of its bytes on the way in: JSON becomes YAML in lines, another daemon's status goes, and the
identity that the job has here is put in. Never: chooses that identity (reconcile.imports), touches another byte, or
takes a status for a wish: it only says where a job came from.
"""

import codecs
import json
import re
from dataclasses import dataclass
from typing import Any

from reconciler.ids import JobId
from reconciler.manifests.block import scalar
from reconciler.manifests.document import Document, printable
from reconciler.manifests.edit import set_field
from reconciler.manifests.model import JobState
from reconciler.manifests.read import MANIFEST_BYTES_MAX, read_document
from reconciler.manifests.splice import SpliceRefusedError, insert_identity, without_status

_STATES = frozenset(JobState)

# A pair of escapes that stands for one character beyond U+FFFF (RFC 8259, section 7); any other escape is passed over
# whole, so that `\\ud83c` is a backslash and text.
_ESCAPES = re.compile(r"\\(?:u(?P<high>[dD][89abAB][0-9a-fA-F]{2})\\u(?P<low>[dD][c-fC-F][0-9a-fA-F]{2})|.)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What the status of a manifest says of the job where it came from; it may be old, or made up."""

    state: JobState
    node: str
    """Empty = it does not say."""
    tracks_completed: int

    def __str__(self) -> str:
        """`completed on nas, 12 tracks`."""
        where = f" on {self.node}" if self.node else ""
        tracks = f", {self.tracks_completed} track{'' if self.tracks_completed == 1 else 's'}"
        return f"{self.state}{where}{tracks if self.tracks_completed else ''}"


def provenance_of(document: Document) -> Provenance | None:
    """Where a manifest came from, by its status; None where it has none, or none that says so."""
    status = document.tree.get("status") if isinstance(document.tree, dict) else None
    state = status.get("state") if isinstance(status, dict) else None
    if not isinstance(status, dict) or not isinstance(state, str) or state not in _STATES:
        return None
    node, completed = status.get("node"), status.get("completed_tracks")
    return Provenance(
        state=JobState(state),
        node=printable(node) if isinstance(node, str) else "",
        tracks_completed=len(completed) if isinstance(completed, list) else 0,
    )


def readable(data: bytes) -> bytes:
    """A manifest as the reader takes it: JSON without what YAML does not know of it, tabs and halved characters.

    Lines stay as they are, so that a problem is found where it is said to be. What is not JSON is given back as it is.
    """
    if _json_in(data) is None:
        return data
    # A tab within a text would be an escape in JSON, so these are all between values.
    text = data.removeprefix(codecs.BOM_UTF8).decode().replace("\t", " ")
    return _ESCAPES.sub(_one_character, text).encode()


def in_lines(data: bytes) -> bytes:
    """JSON as YAML with a line for each field, so that there is a place for a status; other bytes as they are."""
    found = _json_in(data)
    before = read_document(readable(data)) if found is not None else ()
    if found is None or isinstance(before, tuple):
        return data
    new = "".join(f"{line}\n" for line in _block(found)).encode()
    after = read_document(new)
    same = isinstance(after, Document) and after.tree == before.tree
    return new if same else data


def admitted(data: bytes, *, job_id: JobId, created_at: str) -> bytes:
    """The bytes without a status and with this id; where they have no id at all, with this time as well.

    Every other byte stays. Raises EditRefusedError or SpliceRefusedError where that cannot be exact.
    """
    try:
        bare = without_status(data)
    except SpliceRefusedError:
        # It is read by nobody, and the daemon says beside the file why it cannot write there.
        bare = data
    document = read_document(bare)
    if isinstance(document, Document) and ("job_id",) in document.marks:
        return set_field(bare, ("job_id",), job_id)
    return insert_identity(bare, job_id=job_id, created_at=created_at)


@dataclass(frozen=True, slots=True)
class _Number:
    """A number as it was written: `1.0` stays that."""

    text: str


def _json_in(data: bytes) -> dict[str, Any] | None:
    """The fields of a JSON object; None for anything else."""
    if len(data) > MANIFEST_BYTES_MAX or not data.removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"{"):
        return None
    try:
        text = data.removeprefix(codecs.BOM_UTF8).decode()
        found = json.loads(text, parse_int=_Number, parse_float=_Number, parse_constant=_refused)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _refused(word: str) -> None:
    raise ValueError(f"{word} is no JSON")


def _one_character(escape: re.Match[str]) -> str:
    if escape["high"] is None:
        return escape[0]
    return bytes.fromhex(escape["high"] + escape["low"]).decode("utf-16-be")


def _block(fields: dict[str, Any]) -> list[str]:
    lines: list[str] = []
    for name, value in fields.items():
        if isinstance(value, dict) and value:
            lines += [f"{scalar(name)}:", *(f"  {line}" for line in _block(value))]
        elif isinstance(value, list) and any(isinstance(entry, dict | list) for entry in value):
            lines += [f"{scalar(name)}:", *(f"  - {_flow(entry)}" for entry in value)]
        else:
            lines.append(f"{scalar(name)}: {scalar(value) if isinstance(value, str) else _flow(value)}")
    return lines


def _flow(value: Any) -> str:
    match value:
        case dict():
            return "{" + ", ".join(f"{scalar(name)}: {_flow(below)}" for name, below in value.items()) + "}"
        case list():
            return "[" + ", ".join(_flow(entry) for entry in value) + "]"
        case _Number(text=text):
            return text
        case _:
            # Words of JSON, and texts in quotes, which are those of YAML, too.
            return json.dumps(value, ensure_ascii=False)
