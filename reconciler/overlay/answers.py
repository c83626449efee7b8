"""How the server words its answers.

Owns: status, headers and bodies of everything but a blob. Never: decides which answer it is.
"""

from collections.abc import Mapping

from aiohttp import web

from reconciler.ids import Root
from reconciler.overlay.messages import AGENT
from reconciler.overlay.strictjson import canonical

# How soon to ask again. A slot of one's own comes free with the next answer; a full server needs some to end.
RETRY_NO_SLOT_S = 1
RETRY_FULL_S = 2


class RefusedError(Exception):
    """A request that is answered with an error status."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        """`message` is for the person at the other side; it holds nothing that a third peer said."""
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = dict(headers or {})


def json_answer(
    value: Mapping[str, object], *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Answer with an object."""
    return bytes_answer(canonical(value), content_type="application/json", status=status, headers=headers)


def bytes_answer(
    body: bytes, *, content_type: str, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Answer with a short body."""
    return web.Response(
        body=body, status=status, headers={"Server": AGENT, "Content-Type": content_type, **(headers or {})}
    )


def refusal(error: RefusedError) -> web.Response:
    """Answer with an error and its reason."""
    return json_answer({"error": error.message}, status=error.status, headers=error.headers)


def blob_headers(root: Root, *, length: int, content_range: str = "") -> dict[str, str]:
    """The headers of a blob, or of a part of it."""
    headers = {
        "Server": AGENT,
        "Content-Type": "application/octet-stream",
        "Content-Length": str(length),
        "Accept-Ranges": "bytes",
        "ETag": f'"{root}"',
    }
    return {**headers, "Content-Range": content_range} if content_range else headers
