"""The HTTP reference is what the OpenAPI document says.

`RECONCILER_WRITE_REFERENCE=1 pytest tests/tidy/test_http_reference.py` writes the reference anew.
"""

import json
import os

import pytest
from api_world import served
from house import REPOSITORY

PAGE = REPOSITORY / "docs" / "reference" / "http.md"
GOOD = 300
HEAD = "<!-- Generated from the OpenAPI document by tests/tidy/test_http_reference.py; edit there. -->\n"
GENERAL = """\
# HTTP API

Every route of a running daemon, as it describes itself at `/openapi.json`. [How to use it](../howto/api.md) goes
through them with examples. Routes that are not read from (all but GET) need `Authorization: Bearer <token>`; the others
do where more than this machine can reach the daemon.

Any route may answer with one of these, as a [problem document](https://www.rfc-editor.org/rfc/rfc9457): `detail` says
what happened, `hint` what to do, `problems` each mistake of a manifest or parameter.
"""


# Its answer says whether, in one word.
NOT_SHOWN = frozenset({"/readyz"})


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    """An API above an empty root folder."""
    with served(tmp_path_factory.mktemp("api")) as found:
        yield found


def page_of(document):
    """The whole page."""
    parts = [HEAD, GENERAL, "| status | when |", "|---|---|"]
    everywhere = common(document)
    parts += [f"| {status} | {said} |" for status, said in sorted(everywhere.items())]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            parts += ["", *route(method, path, operation, document)]
    return "\n".join(parts) + "\n"


def common(document):
    """What every route may answer: statuses with their description, where all say the same."""
    every = [operation["responses"] for paths in document["paths"].values() for operation in paths.values()]
    return {
        status: answer["description"]
        for status, answer in every[0].items()
        if int(status) >= 400 and all(status in each for each in every)
    }


def route(method, path, operation, document):
    """One route: what it does, its parameters, its body, its answers."""
    everywhere, schemas = common(document), document["components"]["schemas"]
    yield f"## `{method.upper()} {path}`\n"
    yield f"{operation['summary']}.\n"
    yield operation["description"].strip()
    if parameters := operation.get("parameters", []):
        yield "\n| parameter | where | what | values |\n|---|---|---|---|"
        for each in parameters:
            kind = values(each["schema"], schemas)
            yield f"| `{each['name']}` | {each['in']} | {each.get('description', '')} | {kind} |"
    if body := operation.get("requestBody"):
        kinds = ", ".join(f"`{kind}`" for kind in body["content"])
        needed = "" if body.get("required") else " (may be left out)"
        yield f"\nBody{needed}: {kinds}. {body['description']}"
    yield "\n| answer | |\n|---|---|"
    examples = []
    for status, answer in operation["responses"].items():
        if status in everywhere and answer["description"] == everywhere[status]:
            continue
        kinds = ", ".join(f"`{kind}`" for kind in answer.get("content", {}))
        yield f"| {status} | {answer['description']} {kinds} |"
        if int(status) < GOOD:
            examples += [found["example"] for found in answer.get("content", {}).values() if "example" in found]
    for example in examples[-1:]:
        if isinstance(example, str):
            yield f"\n```text\n{example.strip()}\n```"
        else:
            yield f"\n```json\n{json.dumps(example, indent=2)}\n```"


def values(schema, schemas):
    """What a parameter may be, in a few words."""
    options = [each for each in schema.get("anyOf", [schema]) if each.get("type") != "null"]
    found = options[0]
    item = found.get("items", found)
    named = schemas.get(item.get("$ref", "").rpartition("/")[2], item)
    kind = ", ".join(f"`{value}`" for value in named.get("enum", ())) or named.get("type", "")
    if "items" in found:
        kind += "; may stand several times"
    if "minimum" in found:
        kind += f", {found['minimum']} to {found['maximum']}"
    if schema.get("default") not in (None, ""):
        kind += f"; default {json.dumps(schema['default'])}"
    return kind


def test_the_reference_is_what_the_openapi_document_says(api):
    """A changed route without its page is noticed."""
    document = json.loads(api.get("/openapi.json").body)
    if os.environ.get("RECONCILER_WRITE_REFERENCE"):
        PAGE.write_text(page_of(document), encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == page_of(document)


def test_every_route_has_words_and_an_example(api):
    """A summary, a description, what it may refuse, and an answer that one can look at."""
    document = json.loads(api.get("/openapi.json").body)
    assert document["openapi"].startswith("3.1")
    assert document["components"]["securitySchemes"] == {"token": {"type": "http", "scheme": "bearer"}}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation["summary"], path
            assert operation["description"], path
            good = [answer for status, answer in operation["responses"].items() if int(status) < 400]
            named = [found for answer in good for found in answer.get("content", {}).values()]
            assert path in NOT_SHOWN or any("example" in found for found in named), (method, path)
            assert "422" in operation["responses"]
