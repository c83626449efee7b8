"""A document of texts against a JSON Schema: typed values, and every disagreement in words for a person.

Owns: coercion and validation; jsonschema is used nowhere else. Never: words a problem (manifests.explain), or compares
one field with another (manifests.meaning).

The schemas are the authority, for editors as for this program. Keywords of our own in them: `x-unread` (not looked at),
`x-later` (names that are known and not obeyed yet), `x-messages` and `x-hint` (said instead of the general words).
"""

import json
import re
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.resources import files
from itertools import islice
from typing import Any, Literal, cast

from jsonschema import Draft202012Validator, FormatChecker, ValidationError

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
from reconciler.manifests.formats import FORMATS, FormatError
from reconciler.manifests.model import Problem

# Looked at before they are sorted; a file that has more is not read to its end by anybody.
FAILURES_MAX = 2000

# 19 digits hold every 64-bit number; longer ones are left as text, where `int` would take quadratic time.
_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,18})")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,9})?")
_BOOLEANS = {"true": True, "false": False}
_SECRET = re.compile(
    r"(?:^|[^a-z0-9])(?:pass(?:word|wd|phrase)|token|secret|credential|(?:api|private)[^a-z0-9]?key)s?$"
)


@cache
def load_schema(name: Literal["job-manifest", "configuration"]) -> Schema:
    """Read a schema: from the installed package, or from `schemas/` beside it in a checkout."""
    package = files("reconciler")
    file = package / "schemas" / f"{name}.schema.json"
    if not file.is_file():
        file = package / ".." / "schemas" / f"{name}.schema.json"
    schema: Schema = json.loads(file.read_text(encoding="utf-8"))
    return schema


def coerce(document: Document, schema: Schema, *, unknown: Severity = "error") -> tuple[object, tuple[Problem, ...]]:
    """Give the document's values the types that the schema says, and every problem in the order of the file.

    A text that cannot be what the schema says stays text. `unknown` is how grave an unknown field is.
    """
    coercion = _Coercion(document, schema)
    value = coercion.typed(document.tree, schema, ())
    validator = Draft202012Validator(schema, format_checker=_FORMAT_CHECKER)
    failures = islice(_failures(validator.iter_errors(value)), FAILURES_MAX)
    explained = (
        problem
        for failure in failures
        for problem in problems_of(failure, document, unknown=unknown)
        if problem.pointer not in coercion.refused
    )
    return value, in_order([*coercion.problems, *explained])


class _Coercion:
    """One walk over a document beside its schema."""

    def __init__(self, document: Document, schema: Schema) -> None:
        self._document = document
        self._definitions: Schema = schema.get("$defs", {})
        self.problems: list[Problem] = []
        self.refused: set[str] = set()
        """Pointers of the fields that are reported already."""

    def typed(self, tree: Tree, schema: Schema, path: Path) -> object:
        schema = self._resolved(schema)
        if isinstance(tree, dict):
            below = {key: self._below(schema, tree, key) for key in tree}
            read = [key for key in tree if not below[key].get("x-unread")]
            for key in read:
                self._check_key(key, (*path, key))
            return {key: self.typed(tree[key], below[key], (*path, key)) for key in read}
        if isinstance(tree, list):
            items = schema.get("items", {})
            return [self.typed(item, items, (*path, index)) for index, item in enumerate(tree)]
        kind = schema.get("type")
        if tree is None:
            return {} if kind == "object" else [] if kind == "array" else None
        return self._scalar(tree, kind, path)

    def _scalar(self, text: str, kind: object, path: Path) -> object:
        unfit = UNFIT_IN_VALUE.search(text)
        if unfit:
            what = "a line break" if unfit[0] in "\r\n" else f"character U+{ord(unfit[0]):04X}"
            self._add(self._document.value_place(path), path, f"holds {what}", "write it on one line without it")
        if kind == "integer" and _INTEGER.fullmatch(text):
            return int(text)
        if kind == "number" and _NUMBER.fullmatch(text):
            return float(text)
        if kind == "boolean":
            return _BOOLEANS.get(text, text)
        return text

    def _check_key(self, key: str, path: Path) -> None:
        place = self._document.key_place(path)
        if UNFIT_IN_VALUE.search(key):
            self._add(place, path, "a field name with control characters", "take them out")
        elif _SECRET.search(key.lower()):
            message = "a secret does not belong in this file"
            self._add(place, path, message, "keep it in a file of its own that only you can read")

    def _add(self, place: Place, path: Path, message: str, hint: str) -> None:
        pointer = pointer_of(path)
        self.refused.add(pointer)
        self.problems.append(problem_at(place, message, hint, pointer))

    def _resolved(self, schema: Schema) -> Schema:
        while "$ref" in schema:
            target = self._definitions[schema["$ref"].removeprefix("#/$defs/")]
            schema = {**target, **{key: value for key, value in schema.items() if key != "$ref"}}
        return schema

    @staticmethod
    def _below(schema: Schema, tree: dict[str, Tree], key: str) -> Schema:
        """The schema of a field: of the alternative whose constants the mapping has, else the general one."""
        for branch in schema.get("oneOf", ()):
            fields: Schema = branch["properties"]
            constants = {name: field["const"] for name, field in fields.items() if "const" in field}
            if key in fields and key not in constants and all(tree.get(n) == c for n, c in constants.items()):
                chosen: Schema = fields[key]
                return chosen
        others = schema.get("additionalProperties")
        named: Schema = schema.get("properties", {}).get(key, others if isinstance(others, dict) else {})
        return named


def _failures(errors: Iterable[ValidationError]) -> Iterator[Failure]:
    """What each error says, those of the alternative that was meant in place of "none of them fits"."""
    for error in errors:
        if error.validator == "oneOf":
            yield from _failures(_of_the_alternative_meant(error))
        else:
            yield Failure(
                path=tuple(error.absolute_path),
                keyword=str(error.validator),
                value=error.instance,
                limit=error.validator_value,
                schema=cast("Schema", error.schema),
                cause=error.cause if isinstance(error.cause, FormatError) else None,
            )


def _of_the_alternative_meant(error: ValidationError) -> list[ValidationError]:
    """The errors of the one alternative whose constant the document has; none where the constant itself is wrong."""
    branches: dict[object, list[ValidationError]] = {}
    for below in error.context or ():
        branches.setdefault(below.relative_schema_path[0], []).append(below)
    meant = [errors for errors in branches.values() if all(e.validator != "const" for e in errors)]
    return meant[0] if len(meant) == 1 else []


def _format_checker() -> FormatChecker:
    checker = FormatChecker(formats=())
    for name, check in FORMATS.items():

        def fits(value: object, check: Any = check) -> bool:
            if isinstance(value, str):
                check(value)
            return True

        checker.checks(name, raises=FormatError)(fits)
    return checker


_FORMAT_CHECKER = _format_checker()
