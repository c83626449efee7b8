"""What went wrong with a request, as a problem document (RFC 9457).

Owns: which status an error has, and the form of the document. Never: sends one, or words an error: its message and its
hint are the error's own.
"""

from collections.abc import Iterable
from http import HTTPStatus

from reconciler.errors import (
    DiskError,
    DiskFullError,
    FileBusyError,
    InvalidInputError,
    NotFoundError,
    ReconcilerError,
)
from reconciler.manifests.model import Problem

PROBLEM_TYPE = "application/problem+json"

# What a client waits for before it asks again: a save under way takes milliseconds, a full disk a person.
BUSY_AGAIN_S = 1
DISK_AGAIN_S = 60

# The first class that an error belongs to decides.
_STATUSES: tuple[tuple[type[ReconcilerError], HTTPStatus], ...] = (
    (NotFoundError, HTTPStatus.NOT_FOUND),
    (InvalidInputError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (FileBusyError, HTTPStatus.SERVICE_UNAVAILABLE),
    (DiskFullError, HTTPStatus.INSUFFICIENT_STORAGE),
    (DiskError, HTTPStatus.SERVICE_UNAVAILABLE),
)


class RefusedError(ReconcilerError):
    """A request was not carried out."""

    fault = "user"

    def __init__(
        self,
        status: HTTPStatus,
        message: str,
        *,
        hint: str = "",
        problems: Iterable[Problem] = (),
        again_s: int | None = None,
    ) -> None:
        """`problems` are those of a manifest; `again_s` is when the same request may succeed."""
        super().__init__(message, hint=hint)
        self.status = status
        self.problems = tuple(problems)
        self.again_s = again_s


def refusal_of(error: ReconcilerError) -> RefusedError:
    """The same as a request that was not carried out."""
    if isinstance(error, RefusedError):
        return error
    status = next((code for kind, code in _STATUSES if isinstance(error, kind)), HTTPStatus.INTERNAL_SERVER_ERROR)
    again_s = None
    if error.retriable:
        again_s = BUSY_AGAIN_S if isinstance(error, FileBusyError) else DISK_AGAIN_S
    return RefusedError(status, error.message, hint=error.hint, again_s=again_s)


def document_of(refusal: RefusedError) -> dict[str, object]:
    """The problem document: `detail` says what happened, `hint` what to do, `problems` each mistake with its place."""
    found: dict[str, object] = {
        "type": "about:blank",
        "title": refusal.status.phrase,
        "status": refusal.status.value,
        "detail": refusal.message,
    }
    if refusal.hint:
        found["hint"] = refusal.hint
    if refusal.problems:
        found["problems"] = [plain(problem) for problem in refusal.problems]
    return found


def headers_of(refusal: RefusedError) -> dict[str, str]:
    """What the answer says besides its document."""
    headers = {} if refusal.again_s is None else {"Retry-After": str(refusal.again_s)}
    if refusal.status is HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="reconciler"'
    return headers


def plain(problem: Problem) -> dict[str, str | int]:
    """One mistake of a manifest."""
    return {
        "line": problem.line,
        "column": problem.column,
        "pointer": problem.pointer,
        "message": problem.message,
        "hint": problem.hint,
        "severity": problem.severity,
    }
