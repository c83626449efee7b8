"""A document of texts against a JSON Schema: typed values, and every disagreement in words for a person.

Owns: coercion and validation. Never: reads or chooses a schema (manifests.forms), words a problem (manifests.explain),
or compares one field with another (manifests.meaning).

The schemas are the authority, for editors as for this program. Keywords of our own in them: `x-unread` (not looked at),
`x-messages` and `x-hint` (said instead of the general words), `x-range` (for the reference).
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import cast

from jsonschema import ValidationError

from reconciler.manifests.document import (
    UNFIT_IN_VALUE,
    Document,
    Path,
    Place,
    Tree,
    in_order,
    pointer_of,
    problem_at,
)
from reconciler.manifests.explain import Failure, Schema, Severity, problems_of
from reconciler.manifests.formats import FormatError
from reconciler.manifests.forms import SchemaName, form_of
from reconciler.manifests.model import Problem

# Looked at before they are sorted: more than are shown, and few enough that finding and wording them (0.1 ms each)
# takes less than 50 ms.
FAILURES_MAX = 250

# 19 digits hold every 64-bit number; longer ones are left as text, where `int` would take quadratic time.
_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,18})")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,9})?")
_BOOLEANS = {"true": True, "false": False}
_SECRET = re.compile(
    r"(?:^|[^a-z0-9])(?:pass(?:word|wd|phrase)|token|secret|credential|(?:api|private)[^a-z0-9]?key)s?$"
)


def coerce(document: Document, name: SchemaName, *, unknown: Severity = "error") -> tuple[object, tuple[Problem, ...]]:
    """Give the document's values the types that the schema says, and every problem in the order of the file.

    A text that cannot be what the schema says stays text. `unknown` is how grave an unknown field is.
    """
    form = form_of(name, document.tree)
    coercion = _Coercion(document)
    value = coercion.typed(document.tree, form.schema, ())
    failures = islice(_failures(form.validator.iter_errors(value)), FAILURES_MAX)
    explained = (
        problem
        for failure in failures
        for problem in problems_of(failure, document, unknown=unknown)
        if problem.pointer not in coercion.refused
    )
    return value, in_order([*coercion.problems, *explained])


class _Coercion:
    """One walk over a document beside its schema."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self.problems: list[Problem] = []
        self.refused: set[str] = set()
        """Pointers of the fields that are reported already."""

    def typed(self, tree: Tree, schema: Schema, path: Path) -> object:
        if isinstance(tree, dict):
            return self._mapping(tree, schema, path)
        if isinstance(tree, list):
            items = schema.get("items", {})
            return [self.typed(item, items, (*path, index)) for index, item in enumerate(tree)]
        kinds = _kinds_of(schema)
        if tree is None:
            # What a person writes who means none of it: an empty block, an empty list.
            return {} if kinds[:1] == ("object",) else [] if kinds[:1] == ("array",) else None
        return self._scalar(tree, kinds, path)

    def _mapping(self, tree: dict[str, Tree], schema: Schema, path: Path) -> dict[str, object]:
        known, others = schema.get("properties", {}), schema.get("additionalProperties")
        typed: dict[str, object] = {}
        for key, below in tree.items():
            field: Schema = known.get(key) or (others if isinstance(others, dict) else {})
            if field.get("x-unread"):
                continue
            if key not in known:
                self._check_key(key, (*path, key))
            typed[key] = self.typed(below, field, (*path, key))
        return typed

    def _scalar(self, text: str, kinds: Sequence[str], path: Path) -> object:
        # All that is unfit is unprintable; the common case costs one look.
        unfit = None if text.isprintable() else UNFIT_IN_VALUE.search(text)
        if unfit:
            what = "a line break" if unfit[0] in "\r\n" else f"character U+{ord(unfit[0]):04X}"
            self._add(self._document.value_place(path), path, f"holds {what}", "write it on one line without it")
        # A field that may be text is text: the other kinds beside it are for editors, which guess.
        if "string" in kinds:
            return text
        if "integer" in kinds and _INTEGER.fullmatch(text):
            return int(text)
        if "number" in kinds and _NUMBER.fullmatch(text):
            return float(text)
        if "boolean" in kinds:
            return _BOOLEANS.get(text, text)
        return text

    def _check_key(self, key: str, path: Path) -> None:
        place = self._document.key_place(path)
        if not key.isprintable() and UNFIT_IN_VALUE.search(key):
            self._add(place, path, "a field name with control characters", "take them out")
        elif _SECRET.search(key.lower()):
            message = "a secret does not belong in this file"
            self._add(place, path, message, "keep it in a file of its own that only you can read")

    def _add(self, place: Place, path: Path, message: str, hint: str) -> None:
        pointer = pointer_of(path)
        self.refused.add(pointer)
        self.problems.append(problem_at(place, message, hint, pointer))


def _kinds_of(schema: Schema) -> tuple[str, ...]:
    """The types that a schema takes; none said = any."""
    kind = schema.get("type", ())
    return (kind,) if isinstance(kind, str) else tuple(kind)


def _failures(errors: Iterable[ValidationError]) -> Iterator[Failure]:
    for error in errors:
        yield Failure(
            path=tuple(error.absolute_path),
            keyword=str(error.validator),
            value=error.instance,
            limit=error.validator_value,
            schema=cast("Schema", error.schema),
            cause=error.cause if isinstance(error.cause, FormatError) else None,
        )
