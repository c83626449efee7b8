"""Counts every answer, by its route.

Owns: that. Never: looks into a request. The label is the pattern of the route, never what was asked for.
"""

from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reconciler.api.figures import Figures

_NO_ROUTE = "none"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_STREAM = b"text/event-stream"


class Measured:
    """ASGI middleware around the routes."""

    def __init__(self, app: ASGIApp, *, figures: Figures, monotonic: Callable[[], float]) -> None:
        self._app = app
        self._figures = figures
        self._monotonic = monotonic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and count what is answered."""
        began = self._monotonic()
        status, stream = 500, False

        async def counting(message: Message) -> None:
            nonlocal status, stream
            if message["type"] == "http.response.start":
                status = message["status"]
                stream = any(value.startswith(_STREAM) for _, value in message["headers"])
            await send(message)

        try:
            await self._app(scope, receive, counting)
        finally:
            route = getattr(scope.get("route"), "path", _NO_ROUTE)
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._figures.answered(method, route, status, None if stream else self._monotonic() - began)
