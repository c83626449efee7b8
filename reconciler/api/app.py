"""The application: every route, in one table, behind the door.

Owns: which routes there are, and how a mistake is answered. Never: answers a request itself.
"""

import asyncio
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Protocol

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from reconciler import __version__
from reconciler.api.carrying import CarryingRoutes
from reconciler.api.documented import AT_THE_DOOR, DESCRIPTION, PROBLEM_SCHEMA
from reconciler.api.guard import DoorRules, Guard
from reconciler.api.health import HealthRoutes
from reconciler.api.jobs import JobRoutes
from reconciler.api.means import ApiMeans
from reconciler.api.measured import Measured
from reconciler.api.peers import PeerRoutes
from reconciler.api.problems import PROBLEM_TYPE, RefusedError, document_of, headers_of, refusal_of
from reconciler.api.stream import StreamBounds
from reconciler.api.traces import TraceRoutes
from reconciler.errors import ReconcilerError
from reconciler.manifests.model import Problem

# A request has a handful of parameters, and each one problem.
_PROBLEMS_MAX = 20


class _Routes(Protocol):
    def add_to(self, app: FastAPI) -> None: ...


def make_app(means: ApiMeans, *, closing: asyncio.Event, streams: StreamBounds | None = None) -> FastAPI:
    """Make the application, without the door. Streams end when `closing` is set."""
    app = FastAPI(
        title="reconciler",
        version=__version__,
        description=DESCRIPTION,
        docs_url=None,  # their pages load scripts from elsewhere
        redoc_url=None,
        responses=AT_THE_DOOR,
        redirect_slashes=False,
        generate_unique_id_function=_name_of,
    )
    every: Sequence[_Routes] = (
        JobRoutes(means),
        CarryingRoutes(means),
        TraceRoutes(means, bounds=streams or StreamBounds(), closing=closing),
        PeerRoutes(means),
        HealthRoutes(means),
    )
    for routes in every:
        routes.add_to(app)
    app.add_exception_handler(ReconcilerError, _refused)
    app.add_exception_handler(RequestValidationError, _not_understood)
    app.add_exception_handler(HTTPException, _not_routed)
    app.add_exception_handler(Exception, _failed)
    app.openapi = lambda: _described(app)  # type: ignore[method-assign]  # the place that FastAPI gives for it
    return app


def behind_the_door(app: ASGIApp, means: ApiMeans, rules: DoorRules) -> ASGIApp:
    """The application as it may be served."""
    monotonic = means.clock.monotonic
    measured = Measured(app, figures=means.figures, monotonic=monotonic)
    return Guard(measured, rules=rules, refused=means.figures.refused, monotonic=monotonic)


def _name_of(route: APIRoute) -> str:
    method = min(route.methods or {"GET"}).lower()
    words = route.path_format.strip("/").replace("{job_id}", "job").replace("api/", "")
    return f"{method}_{words.replace('/', '_')}"


async def _refused(request: Request, error: Exception) -> JSONResponse:
    del request
    assert isinstance(error, ReconcilerError)
    return _answer(refusal_of(error))


async def _not_understood(request: Request, error: Exception) -> JSONResponse:
    """A parameter that cannot be what it is."""
    del request
    assert isinstance(error, RequestValidationError)
    problems = [
        Problem(line=0, column=0, pointer=".".join(map(str, found["loc"])), message=str(found["msg"]))
        for found in error.errors()[:_PROBLEMS_MAX]
    ]
    return _answer(RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "the request has mistakes", problems=problems))


async def _not_routed(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    found = {
        HTTPStatus.NOT_FOUND: "there is nothing here",
        HTTPStatus.METHOD_NOT_ALLOWED: f"{request.url.path} does not take this method",
    }
    status = HTTPStatus(error.status_code)
    hint = "GET /openapi.json describes every route"
    answer = _answer(RefusedError(status, found.get(status, status.description), hint=hint))
    for name, value in (error.headers or {}).items():
        answer.headers[name] = value
    return answer


async def _failed(request: Request, error: Exception) -> JSONResponse:
    """A mistake of this program; the server logs it, and the other side is told nothing of its inside."""
    del request, error
    refusal = RefusedError(HTTPStatus.INTERNAL_SERVER_ERROR, "a program error; the log of the daemon has it")
    return _answer(refusal)


def _answer(refusal: RefusedError) -> JSONResponse:
    return JSONResponse(document_of(refusal), refusal.status, headers_of(refusal), media_type=PROBLEM_TYPE)


def _described(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, with the token and the problem document in it."""
    if app.openapi_schema is not None:
        return app.openapi_schema
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    schemas["Problem"] = PROBLEM_SCHEMA
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    for operations in document["paths"].values():
        for method, operation in operations.items():
            operation["security"] = [{"token": []}] if method != "get" else [{}, {"token": []}]
            operation["responses"] = dict(sorted(operation["responses"].items()))
    _put_examples(document, app)
    app.openapi_schema = document
    return document


def _put_examples(document: dict[str, Any], app: FastAPI) -> None:
    """Write the examples as they are: FastAPI leaves out what is null in them."""
    for route in app.routes:
        if not isinstance(route, APIRoute):
            continue
        operation = document["paths"][route.path_format][min(route.methods or {"GET"}).lower()]
        for status, answer in route.responses.items():
            for kind, content in answer.get("content", {}).items():
                if "example" in content:
                    operation["responses"][str(status)]["content"][kind]["example"] = content["example"]
