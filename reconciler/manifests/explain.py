"""What a disagreement with a schema means, in words for a person, and what to write instead.

Owns: the wording and the suggestions. Never: validates (manifests.schema).
"""

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from reconciler.manifests.document import Document, Path, Place, pointer_of, printable
from reconciler.manifests.formats import FormatError
from reconciler.manifests.model import Problem

Schema = Mapping[str, Any]
Severity = Literal["error", "warning"]

# Unknown fields named of one mapping, and the longest name that a suggestion is looked for: each costs a comparison
# with every known one.
UNKNOWN_NAMED_MAX = 50
SUGGEST_CHARS_MAX = 64

_WHOLE_NUMBER = re.compile(r"-?[1-9][0-9]{0,18}")
_BOOLEAN_WORDS = {"true": "true", "yes": "true", "on": "true", "false": "false", "no": "false", "off": "false"}
_KIND_WORDS = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a block of fields",
    "string": "text",
}
_KIND_HINTS = {
    "array": "begin each entry with `- `",
    "object": "write fields as `name: value`",
    "string": "write it on one line",
}
_GIVE_OR_TAKE_OUT = "give it a value or take the line out"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One keyword of a schema that a value does not satisfy."""

    path: Path
    keyword: str
    value: Any
    limit: Any
    """What the keyword asks for."""
    schema: Schema
    """The one that the keyword stands in."""
    cause: FormatError | None = None
    """With keyword `format`: what the check said."""


def problems_of(failure: Failure, document: Document, *, unknown: Severity) -> Iterator[Problem]:
    """Say where a failure stands, what is wrong and what to do; `unknown` is how grave an unknown field is."""
    match failure.keyword:
        case "required":
            yield from _missing(failure, document)
        case "additionalProperties":
            yield from _unknown_fields(failure, document, unknown)
        case _:
            message, hint = _WORDS.get(failure.keyword, _unfit)(failure)
            message = failure.schema.get("x-messages", {}).get(failure.keyword, message)
            place = document.value_place(failure.path)
            yield _problem(place, failure.path, message, failure.schema.get("x-hint", hint))


def _missing(failure: Failure, document: Document) -> Iterator[Problem]:
    for name in failure.limit:
        if name not in failure.value:
            field = failure.schema.get("properties", {}).get(name, {})
            message = field.get("x-messages", {}).get("required", "is missing")
            hint = field.get("x-hint", f"add `{name}:`")
            yield _problem(document.key_place(failure.path), (*failure.path, name), message, hint)


def _unknown_fields(failure: Failure, document: Document, unknown: Severity) -> Iterator[Problem]:
    known = failure.schema["properties"]
    extra = [key for key in failure.value if key not in known]
    for key in extra[:UNKNOWN_NAMED_MAX]:
        path = (*failure.path, key)
        place = document.key_place(path)
        yield _problem(place, path, "unknown field", _suggestion(key, known), unknown)


def _wrong_kind(failure: Failure) -> tuple[str, str]:
    value = failure.value
    kind = failure.limit if isinstance(failure.limit, str) else failure.limit[0]
    if value is None:
        return "is empty", _GIVE_OR_TAKE_OUT
    message = f"{_quoted(value)} is not {_KIND_WORDS[kind]}"
    if kind == "boolean":
        return message, f"write {_BOOLEAN_WORDS.get(str(value).lower(), 'true or false')}"
    if kind in ("integer", "number"):
        plain = re.sub(r"[_, ]", "", str(value)).lstrip("0")
        return message, f"write {plain}" if _WHOLE_NUMBER.fullmatch(plain) else "write digits only"
    return message, _KIND_HINTS.get(kind, "")


def _not_among(failure: Failure) -> tuple[str, str]:
    value, known = failure.value, failure.limit
    if value is None:
        return "is empty", f"write {' or '.join(known)}"
    return f"{_quoted(value)} is unknown", _suggestion(str(value), known)


def _wrong_form(failure: Failure) -> tuple[str, str]:
    if failure.cause is None:
        return _unfit(failure)
    subject = f"{_quoted(failure.value)} " if failure.cause.quote else ""
    return subject + failure.cause.message, failure.cause.hint


def _no_choice(failure: Failure) -> tuple[str, str]:
    names = [f"`{name}`" for choice in failure.limit for name in choice["required"]]
    return f"has neither {' nor '.join(names)}", f"give {' or '.join(names)}"


def _wrong_count(failure: Failure) -> tuple[str, str]:
    if "properties" in failure.schema:
        return (
            f"has {len(failure.value)} fields instead of one",
            f"give one of {', '.join(failure.schema['properties'])}",
        )
    return f"has more than {failure.limit:,} entries", "take some out"


def _unfit(failure: Failure) -> tuple[str, str]:
    return f"{_quoted(failure.value)} does not fit `{failure.keyword}` of the schema", ""


_WORDS: Mapping[str, Callable[[Failure], tuple[str, str]]] = {
    "type": _wrong_kind,
    "enum": _not_among,
    "format": _wrong_form,
    "anyOf": _no_choice,
    "minProperties": _wrong_count,
    "maxProperties": _wrong_count,
    "maxItems": _wrong_count,
    "minItems": lambda _: ("is empty", _GIVE_OR_TAKE_OUT),
    "minLength": lambda _: ("is empty", _GIVE_OR_TAKE_OUT),
    "maxLength": lambda failure: (f"is longer than {failure.limit} characters", "shorten it"),
    "minimum": lambda failure: (f"{failure.value} is too small", f"write {failure.limit} or more"),
    "maximum": lambda failure: (f"{failure.value} is too large", f"write {failure.limit} or less"),
    "uniqueItems": lambda _: ("names something twice", "keep one"),
}


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known name that `word` was probably meant to be, whatever its case and its dashes."""
    names = {_alike(name): name for name in known}
    close = difflib.get_close_matches(_alike(word), list(names), n=1)
    return names[close[0]] if close else None


def _alike(name: str) -> str:
    return name[:SUGGEST_CHARS_MAX].lower().replace("-", "_").replace(" ", "_")


def _suggestion(word: str, known: Iterable[str]) -> str:
    close = closest(word, known)
    return f"did you mean {close}?" if close else f"known here: {', '.join(known)}"


def _quoted(value: object) -> str:
    if isinstance(value, dict):
        return "a block of fields"
    return "a list" if isinstance(value, list) else f"`{printable(str(value))}`"


def _problem(place: Place, path: Path, message: str, hint: str, severity: Severity = "error") -> Problem:
    pointer = pointer_of(path)
    return Problem(line=place.line, column=place.column, pointer=pointer, message=message, hint=hint, severity=severity)
