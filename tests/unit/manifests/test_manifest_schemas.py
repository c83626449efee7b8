"""The schemas as files that editors read, and how they agree with the code."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from odd_manifests import ALBUM, FILES, ODD, Odd

from reconciler.config import Settings
from reconciler.manifests.configuration import settings_of
from reconciler.manifests.document import Document
from reconciler.manifests.formats import FORMATS
from reconciler.manifests.forms import form_of, load_schema
from reconciler.manifests.model import Constraints, Directives, JobType, Status
from reconciler.manifests.read import read_document
from reconciler.manifests.schema import coerce
from reconciler.overlay.merkle import FILE_BYTES_MAX

NAMES = ("job-manifest", "configuration")


def schemas_within(schema: Any, pointer: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema in a schema, with where it stands."""
    if isinstance(schema, dict):
        yield pointer, schema
        for keyword in ("properties", "$defs"):
            for name, below in schema.get(keyword, {}).items():
                yield from schemas_within(below, f"{pointer}/{name}")
        yield from schemas_within(schema.get("items"), f"{pointer}[]")
        yield from schemas_within(schema.get("additionalProperties"), f"{pointer}/*")


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_one(name: str):
    """Both satisfy the 2020-12 meta-schema, so that editors can use them."""
    Draft202012Validator.check_schema(load_schema(name))


def test_every_format_is_checked_and_every_check_is_used():
    """A format without a check would accept anything."""
    used = {schema["format"] for name in NAMES for _, schema in schemas_within(load_schema(name)) if "format" in schema}
    assert used == set(FORMATS)


def test_no_file_is_larger_than_can_be_verified():
    """One byte more has no chunks; its job would end in an error of the program."""
    sizes = [
        within["properties"]["size"]["maximum"]
        for _, within in schemas_within(load_schema("job-manifest"))
        if "size" in within.get("properties", {})
    ]
    assert sizes == [FILE_BYTES_MAX]


@pytest.mark.parametrize("name", NAMES)
def test_every_block_is_closed_and_every_field_has_a_title(name: str):
    """Unknown fields are mistakes; an editor shows the title of each known one."""
    schema = load_schema(name)
    for pointer, within in schemas_within(schema):
        if "object" in within.get("type", ()) and "properties" in within:
            assert within["additionalProperties"] is False, pointer
            for field, below in within["properties"].items():
                meant = {**schema.get("$defs", {}).get(below.get("$ref", "").removeprefix("#/$defs/"), {}), **below}
                assert meant.get("title"), f"{pointer}/{field}"
                assert meant.get("description") or name == "configuration", f"{pointer}/{field}"


@pytest.mark.parametrize("name", NAMES)
def test_every_number_list_and_text_is_bounded(name: str):
    """What a file holds has a limit each, beside that of the whole file."""
    for pointer, within in schemas_within(load_schema(name)):
        match within.get("type"):
            case "integer" | "number":
                assert {"minimum", "maximum"} <= set(within), pointer
            case "array":
                assert "maxItems" in within, pointer
            case "string":
                assert {"format", "maxLength", "enum"} & set(within), pointer
            case _:
                pass


def test_the_defaults_in_the_manifest_schema_are_those_of_the_code():
    """What an editor shows as the default is what happens."""
    fields = load_schema("job-manifest")["$defs"]["constraints"]["properties"]
    in_code = {
        name: list(value) if isinstance(value, tuple) else value for name, value in asdict(Constraints()).items()
    }
    assert set(fields) == set(in_code)
    assert {name: field["default"] for name, field in fields.items() if "default" in field} == {
        name: value for name, value in in_code.items() if value is not None
    }


def test_the_defaults_in_the_configuration_schema_are_those_of_the_code():
    """Writing every default out changes nothing."""

    def defaults(schema: Any) -> Any:
        if "properties" in schema:
            below = {name: defaults(field) for name, field in schema["properties"].items()}
            return {name: value for name, value in below.items() if value is not None}
        return schema.get("default")

    written = defaults(load_schema("configuration"))
    assert written["retry"] == {"interval_seconds": 30, "max_interval_seconds": 3600, "limit": 10}
    assert settings_of(written) == Settings()


def test_the_job_types_and_the_status_are_those_of_the_code():
    """A type that the schema takes has a spec, and a status field that is written is described."""
    schema = load_schema("job-manifest")
    assert schema["properties"]["job_type"]["enum"] == [job_type.value for job_type in JobType]
    described = set(schema["properties"]["status"]["properties"])
    in_code = set(Status.__dataclass_fields__)
    assert described == in_code - {"retry_attempts", "retry_next_at"} | {"retry"}


def test_every_spec_takes_every_directive_of_the_code():
    """A directive is in all four specs, and each in the code is in the schema."""
    named = {field.removesuffix("_s") for field in Directives.__dataclass_fields__}
    for job_type in JobType:
        spec = form_of("job-manifest", {"job_type": job_type.value}).schema["properties"]["spec"]
        assert named <= set(spec["properties"]), job_type


READABLE = [odd for odd in ODD if isinstance(read_document(odd.data), Document)]


@pytest.mark.parametrize("odd", READABLE, ids=[odd.name for odd in READABLE])
def test_the_schema_as_a_whole_and_the_form_chosen_from_it_agree(odd: Odd):
    """An editor asks all alternatives at once, the program one of them; they take and refuse the same."""
    document = read_document(odd.data)
    assert isinstance(document, Document)
    value, problems = coerce(document, "job-manifest")
    form = form_of("job-manifest", document.tree)
    whole = Draft202012Validator(load_schema("job-manifest"), format_checker=form.validator.format_checker)
    assert whole.is_valid(value) == form.validator.is_valid(value)
    assert form.validator.is_valid(value) or problems


class Guessing(yaml.CSafeLoader):
    """Reads as editors do, which guess the types of scalars; a date is text to them."""


Guessing.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if "timestamp" not in tag]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}

# An editor takes these for nothing at all, and says so; a person can quote them.
GUESSED_EMPTY = "a title that YAML takes for nothing"
ACCEPTED = [odd for odd in ODD if odd.said is None and odd.name != GUESSED_EMPTY]


@pytest.mark.parametrize("odd", ACCEPTED, ids=[odd.name for odd in ACCEPTED])
def test_an_editor_underlines_nothing_that_is_accepted(odd: Odd):
    """The schema bears with the numbers and truths that editors take titles for."""
    text = odd.data.decode("utf-8-sig").partition("status:")[0]
    errors = list(Draft202012Validator(load_schema("job-manifest")).iter_errors(yaml.load(text, Loader=Guessing)))
    assert errors == []


@pytest.mark.parametrize(
    ("data", "old", "new"),
    [(ALBUM, b"Loveless", b"[Loveless]"), (ALBUM, b"position: 1,", b"position: one,"), (FILES, b"path:", b"pfad:")],
)
def test_an_editor_underlines_what_is_wrong(data: bytes, old: bytes, new: bytes):
    """The same schema is strict enough to be of use there."""
    text = data.replace(old, new, 1).decode()
    assert list(Draft202012Validator(load_schema("job-manifest")).iter_errors(yaml.load(text, Loader=Guessing)))


def test_an_installed_package_brings_its_schemas(tmp_path: Path):
    """Without a checkout around it the package reads the copies inside it."""
    source = Path(__file__).parents[3]
    shutil.copytree(source / "reconciler", tmp_path / "reconciler", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(source / "schemas", tmp_path / "reconciler" / "schemas")
    program = "from reconciler.manifests.forms import load_schema; print(load_schema('configuration')['title'])"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env={}, capture_output=True, text=True, timeout=240, check=False
    )
    assert (done.returncode, done.stdout) == (0, "Configuration\n"), done.stderr


def test_the_example_of_a_value_is_one():
    """Examples that an editor offers pass the schema's own checks."""
    for name in NAMES:
        for pointer, within in schemas_within(load_schema(name)):
            for example in within.get("examples", ()):
                for value in example if isinstance(example, list) else [example]:
                    check = FORMATS.get(within.get("format") or within.get("items", {}).get("format", ""))
                    assert value is not None, pointer
                    if check and isinstance(value, str):  # a format says nothing of other kinds of values
                        check(value)


def test_the_schemas_are_written_in_one_way():
    """Two spaces, no escapes, a last line end: a change shows as the lines that it changes."""
    for name in NAMES:
        file = Path(__file__).parents[3] / "schemas" / f"{name}.schema.json"
        text = file.read_text(encoding="utf-8")
        assert json.loads(text) == load_schema(name)
        assert "\\u" not in text
        assert text.endswith("}\n")
        assert all((len(line) - len(line.lstrip(" "))) % 2 == 0 for line in text.split("\n"))
