"""The manifest reference describes every field of the schema, in the schema's words, with examples that hold.

`RECONCILER_WRITE_REFERENCE=1 pytest tests/tidy/test_manifest_reference.py` writes the parts between the marks anew.
"""

import json
import os
import re
from collections.abc import Iterator
from typing import Any

import pytest
from house import REPOSITORY

from reconciler.manifests.forms import form_of, load_schema
from reconciler.manifests.model import JobType
from reconciler.manifests.read import read_manifest

PAGE = REPOSITORY / "docs" / "reference" / "JOB_MANIFEST_SPEC.md"
PART = re.compile(r"(?P<begin><!-- fields: (?P<name>\w+) -->\n)(?P<text>.*?)(?P<end><!-- end of fields -->)", re.DOTALL)

Schema = dict[str, Any]

# What every spec has; described once.
COMMON = ("target_dir", "suspend", "priority", "depends_on", "node", "retry", "desired_state", "timeout")

FORMATS = {
    "job-id": "a ULID, or a UUID in lower case",
    "other-job-id": "a ULID, or a UUID in lower case",
    "mbid": "a MusicBrainz id: a UUID in lower case",
    "hex-64": "64 hex digits in lower case",
    "date-time": "a time by RFC 3339",
    "target-dir": "a folder",
    "relative-path": "a path below the target folder",
    "http-url": "an address of http:// or https://",
    "peer-address": "`<peer id>@host:port`",
    "codec": "the short name of a codec",
    "country": "two capital letters",
    "duration": "a duration: seconds, or a number with s, m, h or d",
}
PATH_RANGE = "4,096 bytes, 255 a name"
FORMAT_RANGES = {"target-dir": PATH_RANGE, "relative-path": PATH_RANGE, "codec": "16 letters and digits"}
KINDS = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "`true` or `false`",
    "string": "text",
    "object": "a block of fields",
}


def forms() -> dict[str, Schema]:
    """The schema of each kind of spec, and of the whole document, references followed."""
    whole = {
        job_type.value: form_of("job-manifest", {"job_type": job_type.value}).schema["properties"]["spec"]
        for job_type in JobType
    }
    return {**whole, "document": form_of("job-manifest", {}).schema}


def parts() -> dict[str, list[tuple[str, Schema, bool]]]:
    """What each part of the page describes: fields by their path, in the schema's order."""
    every = forms()
    release, document = every["mb_release"], every["document"]
    found = {
        "document": list(fields_of(document, "", but=("spec", "status"))),
        "every_spec": list(fields_of(release, "spec.", only=COMMON)),
        "constraints": list(fields_of(release["properties"]["constraints"], "spec.constraints.")),
        "status": list(fields_of(document["properties"]["status"], "status.")),
    }
    for job_type in JobType:
        found[job_type.value] = list(fields_of(every[job_type.value], "spec.", but=(*COMMON, "constraints")))
    return found


def fields_of(
    schema: Schema, before: str, *, but: tuple[str, ...] = (), only: tuple[str, ...] = ()
) -> Iterator[tuple[str, Schema, bool]]:
    """Every field of a block and of the blocks in it: its path, its schema, whether it is required."""
    for name, field in schema["properties"].items():
        if name in but or (only and name not in only):
            continue
        path = before + name
        yield path, field, name in schema.get("required", ())
        within, below = (
            (field["items"], f"{path}[].") if "properties" in field.get("items", {}) else (field, f"{path}.")
        )
        if "properties" in within:
            yield from fields_of(within, below)


def part_of(fields: list[tuple[str, Schema, bool]]) -> str:
    """One part of the page."""
    return "".join(described(path, schema, required=required) for path, schema, required in fields)


def described(path: str, schema: Schema, *, required: bool) -> str:
    """A field: a heading, a sentence, its type, default, range and an example."""
    if path.startswith("status."):
        return f"### `{path}`\n\n{schema['description']}\n\n"
    default = "required" if required else as_yaml(schema["default"]) if "default" in schema else "none"
    name = path.rpartition(".")[2]
    cells = (kind_of(schema), default, range_of(schema), f"`{name}: {as_yaml(example_of(schema))}`")
    return (
        f"### `{path}`\n\n{schema['description']}\n\n"
        "| type | default | range | example |\n|---|---|---|---|\n"
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n\n"
    )


def kind_of(schema: Schema) -> str:
    """The type in words."""
    if "enum" in schema:
        return "one of " + ", ".join(f"`{word}`" for word in schema["enum"])
    if "format" in schema:
        return FORMATS[schema["format"]]
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if "array" in kinds:
        word = f", or `{schema['default']}`" if "string" in kinds else ""
        items = schema["items"]
        return ("a list of blocks" if "properties" in items else f"a list; each {kind_of(items)}") + word
    labels = "labels: `name: text`" if isinstance(schema.get("additionalProperties"), dict) else KINDS["object"]
    if "string" in kinds:
        return "text" + (f", or {labels}" if "object" in kinds else "")
    return ", or ".join(labels if kind == "object" else KINDS[kind] for kind in kinds)


def range_of(schema: Schema) -> str:
    """Which values are taken, in words."""
    said = [schema["x-range"]] if "x-range" in schema else [FORMAT_RANGES[schema["format"]]] if (
        schema.get("format") in FORMAT_RANGES) else []  # fmt: skip
    if not said and "minimum" in schema:
        said.append(f"{schema['minimum']:,} to {schema['maximum']:,}")
    if "maxLength" in schema:
        said.append(f"1 to {schema['maxLength']:,} characters")
    if "maxItems" in schema:
        said.append(f"{schema.get('minItems', 0)} to {schema['maxItems']:,} entries")
    if "maxProperties" in schema:
        said.append(f"at most {schema['maxProperties']} labels" if "type" in schema else "")
    return "; ".join(said) or "as the type says"


def example_of(schema: Schema) -> Any:
    """A value that the field takes."""
    if "examples" in schema:
        return schema["examples"][0]
    if schema.get("type") == "array" or isinstance(schema.get("items"), dict):
        return [example_of(schema["items"])]
    if "default" in schema:
        return schema["default"]
    wanted = schema.get("required") or list(schema["properties"])[:1]
    wanted = [*wanted, *(choice["required"][0] for choice in schema.get("anyOf", ())[:1])]
    return {name: example_of(schema["properties"][name]) for name in wanted}


def as_yaml(value: Any) -> str:
    """A value on one line, as a person would write it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {as_yaml(below)}" for name, below in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(as_yaml, value)) + "]"
    if isinstance(value, str) and (value[:1] in "@`*&!%[]{}#'\"" or re.search(r"[,{}\[\]]|: |: ?$", value)):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, str) and value == "1.0":
        return '"1.0"'
    return value if isinstance(value, str) else json.dumps(value)


def page_made_anew(text: str) -> str:
    """The page with each part as the schema has it."""
    made = {name: part_of(fields) for name, fields in parts().items()}
    return PART.sub(lambda found: f"{found['begin']}{made[found['name']]}{found['end']}", text)


def test_the_page_describes_each_field_as_the_schema_does():
    """A field that is new, gone or changed is noticed."""
    text = PAGE.read_text(encoding="utf-8")
    if os.environ.get("RECONCILER_WRITE_REFERENCE"):
        PAGE.write_text(page_made_anew(text), encoding="utf-8")
        text = PAGE.read_text(encoding="utf-8")
    assert text == page_made_anew(text)


def test_no_field_is_left_out():
    """Each part of the schema has its place in the page, once, and each field is in one part."""
    text = PAGE.read_text(encoding="utf-8")
    named = [found["name"] for found in PART.finditer(text)]
    assert sorted(named) == sorted(parts())
    schema = load_schema("job-manifest")
    blocks = ("mb_release", "discography", "label_crate", "multi_source", "track", "file", "source", "constraints")
    every = {name for block in blocks for name in schema["$defs"][block]["properties"]} | set(schema["properties"])
    headings = set(re.findall(r"^### `(?:\S+[.])?(\w+)`$", text, re.MULTILINE))
    assert every - headings == {"spec", "status", "constraints"}
    for chapter in ("spec", "status", "constraints"):
        assert re.search(rf"^## .*`(?:spec[.])?{chapter}`", text, re.MULTILINE), chapter


def spec_with(job_type: str, field: str) -> dict[str, Any]:
    """A spec of what is required, and one field more."""
    schema = forms()[job_type]
    return {name: example_of(schema["properties"][name]) for name in (*schema["required"], field)}


@pytest.mark.parametrize(
    ("job_type", "field"),
    [(job_type.value, field) for job_type in JobType for field in forms()[job_type.value]["properties"]],
)
def test_an_example_of_the_page_is_accepted(job_type: str, field: str):
    """Whoever copies it has a manifest in which nothing is wrong, blocks within blocks included."""
    schema = forms()[job_type]["properties"][field]
    values = schema.get("examples", [example_of(schema)])
    for value in values:
        spec = {**spec_with(job_type, field), field: value}
        text = f'manifest_version: "1.0"\njob_type: {job_type}\nspec: {as_yaml(spec)}\n'
        assert read_manifest(text.encode()).problems == (), text


def test_an_example_of_every_field_below_a_spec_is_accepted():
    """The fields of tracks, files, sources, constraints, suspend and retry, one at a time."""
    looked = 0
    for job_type, root in forms().items():
        for path, schema, _ in fields_of(root, "", but=("spec", "status")):
            if job_type == "document" or "." not in path:
                continue
            steps = path.replace("[]", "").split(".")
            spec = spec_with(job_type, steps[0])
            spec[steps[0]] = put_within(root["properties"][steps[0]], steps[1:], example_of(schema))
            text = f"manifest_version: 1.0\njob_type: {job_type}\nspec: {as_yaml(spec)}\n"
            assert read_manifest(text.encode()).problems == (), text
            looked += 1
    assert looked > 50


def put_within(schema: Schema, steps: list[str], value: Any) -> Any:
    """The least that a block must hold, with a value below it."""
    if not steps:
        return value
    if "properties" in schema.get("items", {}):
        return [put_within(schema["items"], steps, value)]
    wanted = [*schema.get("required", ()), *(choice["required"][0] for choice in schema.get("anyOf", ())[:1])]
    least = {name: example_of(schema["properties"][name]) for name in wanted}
    return {**least, steps[0]: put_within(schema["properties"][steps[0]], steps[1:], value)}
