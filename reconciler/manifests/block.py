"""A status as lines of YAML that every reader understands alike.

Owns: which fields are written, in which order, and how a value is quoted. Never: knows the file they go into
(manifests.splice).
"""

import json
import re
from collections.abc import Mapping
from typing import TypeAlias

from reconciler.manifests.document import UNFIT_IN_VALUE, Tree
from reconciler.manifests.model import Children, Condition, Status

Field: TypeAlias = "bool | int | str | list[Field] | Mapping[str, Field]"

# A status is glanced at; the whole story is in the trace.
TEXT_CHARS_MAX = 500

# Of texts in brackets, on one line.
LIST_CHARS_MAX = 100

# Letters, digits and what may stand between them without meaning something to YAML.
_PLAIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.:/+-]*[A-Za-z0-9])?")
# What YAML 1.1 or 1.2 takes for a number (decimal, hexadecimal, sexagesimal, with an exponent) or a date, and more.
_LIKE_A_NUMBER = re.compile(r"[0-9][-+.:_0-9a-fA-FxXoO]*")
_LIKE_A_WORD_OF_YAML = frozenset({"true", "false", "yes", "no", "y", "n", "on", "off", "null"})


def status_fields(status: Status) -> dict[str, Field]:
    """The fields of a status in the order of the manifest reference, the empty ones left out."""
    retry: dict[str, Field] = {"attempts": status.retry_attempts, "next_at": shown(status.retry_next_at)}
    return _without_empty(
        {
            "state": status.state.value,
            "started_at": shown(status.started_at),
            "completed_at": shown(status.completed_at),
            "completed_tracks": [int(position) for position in status.completed_tracks],
            "in_progress_tracks": [int(position) for position in status.in_progress_tracks],
            "pending_tracks": [int(position) for position in status.pending_tracks],
            "failed_tracks": [int(position) for position in status.failed_tracks],
            "renamed": [{"position": int(each.position), "path": shown(each.path)} for each in status.renamed],
            "bytes_total": status.bytes_total,
            "bytes_done": status.bytes_done,
            "error_message": shown(status.error_message),
            "observed_generation": status.observed_generation,
            "observed_spec_digest": shown(status.observed_spec_digest),
            "retry": _without_empty(retry),
            "last_handled_reconcile_at": shown(status.last_handled_reconcile_at),
            "node": shown(status.node),
            "children": _children_fields(status.children),
            "conditions": [_condition_fields(condition) for condition in status.conditions],
        }
    )


def shown(text: str) -> str:
    """A text that may come from a stranger: shortened, on one line, without what a document may not hold."""
    shortened = text if len(text) <= TEXT_CHARS_MAX else text[: TEXT_CHARS_MAX - 3] + "..."
    return UNFIT_IN_VALUE.sub(" ", shortened)


def lines_of(fields: Mapping[str, Field]) -> list[str]:
    """Write fields in block style, lists of numbers in brackets; without line ends."""
    lines: list[str] = []
    for name, field in fields.items():
        if isinstance(field, Mapping):
            lines += [f"{name}:", *(f"  {line}" for line in lines_of(field))]
        elif isinstance(field, list) and _is_long(field):
            lines.append(f"{name}:")
            for entry in field:
                first, *others = lines_of(entry) if isinstance(entry, Mapping) else [scalar(entry)]
                lines += [f"  - {first}", *(f"    {line}" for line in others)]
        else:
            lines.append(f"{name}: {scalar(field)}")
    return lines


def _is_long(entries: list[Field]) -> bool:
    """Whether a list has a line for each entry: blocks have, and texts that make no readable line together."""
    if any(isinstance(entry, Mapping) for entry in entries):
        return True
    return all(isinstance(entry, str) for entry in entries) and len(scalar(entries)) > LIST_CHARS_MAX


def scalar(field: Field) -> str:
    """Write a value on one line: plain where no reader can take it for something else, otherwise in double quotes."""
    if isinstance(field, list):
        return f"[{', '.join(scalar(entry) for entry in field)}]"
    if not isinstance(field, str):
        return str(field).lower() if isinstance(field, bool) else str(field)
    plain = _PLAIN.fullmatch(field) and not _LIKE_A_NUMBER.fullmatch(field)
    # A JSON string is a YAML one.
    return field if plain and field.lower() not in _LIKE_A_WORD_OF_YAML else json.dumps(field, ensure_ascii=False)


def text_tree(field: Field) -> Tree:
    """What the lines must read as: the same, every scalar as text."""
    if isinstance(field, Mapping):
        return {name: text_tree(below) for name, below in field.items()}
    if isinstance(field, list):
        return [text_tree(entry) for entry in field]
    return str(field).lower() if isinstance(field, bool) else str(field)


def _children_fields(children: Children | None) -> dict[str, Field]:
    if children is None:
        return {}
    # Noughts are shown: `failed: 0` is what one looks for.
    return {"total": children.total, "completed": children.completed, "failed": children.failed}


def _condition_fields(condition: Condition) -> dict[str, Field]:
    return _without_empty(
        {
            "type": condition.type,
            "status": condition.status,
            "reason": shown(condition.reason),
            "message": shown(condition.message),
            "last_transition_time": shown(condition.last_transition_time),
        }
    )


def _without_empty(fields: dict[str, Field]) -> dict[str, Field]:
    return {name: field for name, field in fields.items() if field}
