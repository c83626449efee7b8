"""What the OpenAPI document says beyond what the code says by itself: refusals, bodies, examples.

Owns: these texts. Never: decides anything.
"""

from http import HTTPStatus
from typing import Any

from reconciler.api.guard import JSON_TYPE, YAML_TYPES
from reconciler.api.problems import PROBLEM_TYPE

Responses = dict[int | str, dict[str, Any]]

JOB_ID = "01HRQ4GSX9K47J7M5FK7VW8B12"

MANIFEST = """\
manifest_version: "1.0"
job_type: mb_release
spec:
  mb_release_id: c0d0c0a4-4a26-4d74-9c02-67c9321b3b22
  title: Loveless
  artist: My Bloody Valentine
  target_dir: library
"""

MANIFEST_AS_JSON = {
    "manifest_version": "1.0",
    "job_type": "mb_release",
    "spec": {
        "mb_release_id": "c0d0c0a4-4a26-4d74-9c02-67c9321b3b22",
        "title": "Loveless",
        "artist": "My Bloody Valentine",
        "target_dir": "library",
    },
}

DESCRIPTION = """\
Jobs in and out, what happens in them, figures and health of one daemon.

Whatever changes something needs `Authorization: Bearer <token>`, with what the file `token` in the state folder holds.
Reading needs it too, unless the daemon listens on a loopback address and is called by no other name. Mistakes are
answered with problem documents (RFC 9457): `detail` says what happened, `hint` what to do, and `problems` each mistake
of a manifest with its line, column and field.
"""

PROBLEM_SCHEMA = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What happened."},
        "hint": {"type": "string", "description": "What to do."},
        "problems": {
            "type": "array",
            "description": "The mistakes of a manifest, or of the request's parameters.",
            "items": {
                "type": "object",
                "required": ["line", "column", "pointer", "message", "hint", "severity"],
                "properties": {
                    "line": {"type": "integer", "description": "From 1; 0 = it belongs to no line."},
                    "column": {"type": "integer", "description": "From 1, in characters; 0 = it belongs to none."},
                    "pointer": {"type": "string", "examples": ["spec.tracks[0].title"]},
                    "message": {"type": "string"},
                    "hint": {"type": "string"},
                    "severity": {"enum": ["error", "warning"]},
                },
            },
        },
    },
}

_WHY = {
    HTTPStatus.UNAUTHORIZED: "The token is missing or wrong.",
    HTTPStatus.FORBIDDEN: "A page of another site made the request.",
    HTTPStatus.NOT_FOUND: "There is no such job.",
    HTTPStatus.REQUEST_TIMEOUT: "The body did not come.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is larger than 1 MiB.",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The body is neither YAML nor JSON, or is packed.",
    HTTPStatus.MISDIRECTED_REQUEST: "The Host is not one of ours.",
    HTTPStatus.UNPROCESSABLE_ENTITY: "The request, or a manifest in it, has mistakes.",
    HTTPStatus.TOO_MANY_REQUESTS: "Too many requests from this address; Retry-After says when.",
    HTTPStatus.SERVICE_UNAVAILABLE: "A file is being written, or the disk refuses; Retry-After says when.",
    HTTPStatus.INSUFFICIENT_STORAGE: "The disk is full.",
}


def refusals(*statuses: HTTPStatus) -> Responses:
    """The problem documents that a route may answer with."""
    content = {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status.value: {"description": _WHY[status], "content": content} for status in statuses}


AT_THE_DOOR = refusals(
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.MISDIRECTED_REQUEST,
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.SERVICE_UNAVAILABLE,
)
OF_A_JOB = refusals(HTTPStatus.NOT_FOUND)
OF_A_WRITE = refusals(HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.INSUFFICIENT_STORAGE)


def answer(text: str, example: object, *, kind: str = JSON_TYPE, status: int = HTTPStatus.OK) -> Responses:
    """A good answer with an example of it."""
    return {int(status): {"description": text, "content": {kind: {"example": example}}}}


def manifest_body(*, many: bool) -> dict[str, Any]:
    """The body of a request that brings manifests."""
    text = {"schema": {"type": "string"}, "example": f"{MANIFEST}---\n{MANIFEST}" if many else MANIFEST}
    one: dict[str, Any] = {"type": "object", "required": ["manifest_version", "job_type", "spec"]}
    schema = {"oneOf": [one, {"type": "array", "items": one, "minItems": 1}]} if many else one
    json_body = {"schema": schema, "example": [MANIFEST_AS_JSON] if many else MANIFEST_AS_JSON}
    described = "Documents parted by `---`, or a JSON list." if many else "One manifest."
    content = {YAML_TYPES[0]: text, JSON_TYPE: json_body}
    return {"requestBody": {"required": True, "description": described, "content": content}}


SUSPEND_BODY: dict[str, Any] = {
    "requestBody": {
        "required": False,
        "description": "Why, and until when; both may be left out, and so may the body.",
        "content": {
            JSON_TYPE: {
                "schema": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {
                        "reason": {"type": "string", "maxLength": 1000},
                        "until": {"type": "string", "description": "2026-12-01T00:00:00Z, or how long from now: 3d."},
                    },
                },
                "example": {"reason": "the disk is full", "until": "3d"},
            }
        },
    }
}
