"""A schema made ready to be held beside a document: references followed, one alternative chosen, a validator built.

Owns: the schema files, and which alternative a document means. Never: looks at a value beyond that (manifests.schema).

A manifest is validated against the one alternative that it names, not against all four: that is four times as fast, and
its failures are those that the person meant to avoid.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from jsonschema import Draft202012Validator, FormatChecker

from reconciler.manifests.document import Tree
from reconciler.manifests.explain import Schema, closest
from reconciler.manifests.formats import FORMATS, FormatError

SchemaName = Literal["job-manifest", "configuration"]

# The field that names the alternative, and the field whose form depends on it.
_KIND = "job_type"
_BODY = "spec"


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What a document is held against."""

    schema: Schema
    """Without `$ref` and `oneOf`."""
    validator: Draft202012Validator


@cache
def load_schema(name: SchemaName) -> Schema:
    """Read a schema: from the installed package, or from `schemas/` beside it in a checkout."""
    package = files("reconciler")
    file = package / "schemas" / f"{name}.schema.json"
    if not file.is_file():
        file = package / ".." / "schemas" / f"{name}.schema.json"
    schema: Schema = json.loads(file.read_text(encoding="utf-8"))
    return schema


def form_of(name: SchemaName, tree: Tree) -> Form:
    """The form that a document is meant to have."""
    return _form(name, _kind_meant(_alternatives(name), tree))


def _kind_meant(alternatives: Mapping[str, Schema], tree: Tree) -> str:
    """The kind that a document names or nearly names, else the only one that has such fields; empty = there is none.

    A misspelt kind is a problem of its own; the rest of the document is still held against what was meant.
    """
    if not alternatives or not isinstance(tree, dict):
        return ""
    said, body = tree.get(_KIND), tree.get(_BODY)
    if isinstance(said, str):
        named = said if said in alternatives else closest(said, alternatives)
        if named is not None:
            return named
    telling = [kind for kind in alternatives if isinstance(body, dict) and _own_fields(alternatives, kind) & set(body)]
    return telling[0] if len(telling) == 1 else ""


def _own_fields(alternatives: Mapping[str, Schema], kind: str) -> set[str]:
    others = {field for other, schema in alternatives.items() if other != kind for field in schema["properties"]}
    return set(alternatives[kind]["properties"]) - others


@cache
def _alternatives(name: SchemaName) -> Mapping[str, Schema]:
    """The schema of the body for each kind; empty for a schema that has only one form."""
    schema = load_schema(name)
    branches = [branch["properties"] for branch in schema.get("oneOf", ())]
    return {branch[_KIND]["const"]: _resolved(branch[_BODY], schema) for branch in branches}


@cache
def _form(name: SchemaName, kind: str) -> Form:
    schema = load_schema(name)
    whole = _resolved({key: value for key, value in schema.items() if key not in ("oneOf", "$defs")}, schema)
    if kind:
        body = {**whole["properties"][_BODY], **_alternatives(name)[kind]}
        whole = {**whole, "properties": {**whole["properties"], _BODY: body}}
    return Form(schema=whole, validator=Draft202012Validator(whole, format_checker=_format_checker()))


def _resolved(node: Any, schema: Schema) -> Any:
    """A part of a schema with every reference written out; what stands beside a reference comes before it."""
    if isinstance(node, list):
        return [_resolved(each, schema) for each in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        target = schema["$defs"][node["$ref"].removeprefix("#/$defs/")]
        return _resolved({**target, **{key: value for key, value in node.items() if key != "$ref"}}, schema)
    return {key: _resolved(value, schema) for key, value in node.items()}


@cache
def _format_checker() -> FormatChecker:
    checker = FormatChecker(formats=())
    for name, check in FORMATS.items():

        def fits(value: object, check: Any = check) -> bool:
            if isinstance(value, str):
                check(value)
            return True

        checker.checks(name, raises=FormatError)(fits)
    return checker
