"""The door of the API: what every request must show before anything reads it, and what every answer says.

Owns: Host, Origin, rate, token, size and type of a request, and the headers of an answer. Never: knows a route. It
stands outside the routing, so that no route can be forgotten.

Whatever changes something needs the token. So does everything as soon as anybody but this machine can reach us.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reconciler.api.allowance import READS, WRITES, WRONG_TOKENS, Allowance, Rate
from reconciler.api.hosts import is_own_page, names_us
from reconciler.api.problems import PROBLEM_TYPE, RefusedError, document_of, headers_of
from reconciler.api.token import is_token

# A manifest is at most 256 KiB; larger batches are sent in several requests.
BODY_BYTES_MAX = 1024 * 1024

# A line that brings a megabyte slower than this is not one that a person waits at.
BODY_S_MAX = 30.0

YAML_TYPES = ("application/yaml", "application/x-yaml", "text/yaml")
JSON_TYPE = "application/json"
_BODY_TYPES = frozenset({*YAML_TYPES, JSON_TYPE})

_READING = frozenset({"GET", "HEAD", "OPTIONS"})

# Nothing that is answered here is to be shown as a page, kept by anybody, or put into somebody's frame.
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorRules:
    """Who is let in."""

    token: str = field(repr=False)
    loopback: bool
    """Whether only this machine can reach us."""
    allowed_hosts: frozenset[str] = frozenset()
    """Other names by which we may be called, in lower case."""
    reads: Rate = READS
    writes: Rate = WRITES
    wrong_tokens: Rate = WRONG_TOKENS

    @property
    def open_to_read(self) -> bool:
        """Whether reading needs no token. A name of ours means that somebody passes on what comes from elsewhere."""
        return self.loopback and not self.allowed_hosts


class Guard:
    """ASGI middleware around the whole application."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        rules: DoorRules,
        refused: Callable[[int], None],
        monotonic: Callable[[], float],
    ) -> None:
        """`refused` is told the status of each request that is not let in."""
        self._app = app
        self._rules = rules
        self._refused = refused
        self._monotonic = monotonic
        self._reads = Allowance(rules.reads)
        self._writes = Allowance(rules.writes)
        self._wrong_tokens = Allowance(rules.wrong_tokens)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request in, or refuse it."""
        if scope["type"] != "http":
            return
        sending = _Sending(send)
        try:
            self._check(scope)
            reading = _Reading(receive, until_s=asyncio.get_running_loop().time() + BODY_S_MAX)
            await self._app(scope, reading.receive, sending.send)
        except RefusedError as refusal:
            if sending.started:
                raise
            self._refused(refusal.status)
            response = JSONResponse(document_of(refusal), refusal.status, headers_of(refusal), media_type=PROBLEM_TYPE)
            if refusal.status is HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
                response.headers["Connection"] = "close"  # the rest of the body is not read
            await response(scope, receive, sending.send)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        self._check_place(headers)
        reading = scope["method"] in _READING
        address = scope["client"][0] if scope.get("client") else ""
        again_s = (self._reads if reading else self._writes).take(address, self._monotonic())
        if again_s:
            raise _too_often(again_s)
        if not reading or not self._rules.open_to_read:
            self._check_token(headers.getlist("authorization"), address)
        _check_body(headers)

    def _check_place(self, headers: Headers) -> None:
        hosts = headers.getlist("host")
        rules = self._rules
        if len(hosts) != 1 or not names_us(hosts[0], allowed=rules.allowed_hosts, loopback=rules.loopback):
            raise RefusedError(
                HTTPStatus.MISDIRECTED_REQUEST,
                "the Host of this request is not one of ours",
                hint="ask by address or as localhost; other names are listed in api.allowed_hosts",
            )
        origins = headers.getlist("origin")
        origin = origins[0] if len(origins) == 1 else None
        if len(origins) > 1 or not is_own_page(origin, headers.get("sec-fetch-site"), hosts[0]):
            raise RefusedError(HTTPStatus.FORBIDDEN, "this request was made by a page of another site")

    def _check_token(self, said: list[str], address: str) -> None:
        scheme, _, token = said[0].partition(" ") if len(said) == 1 else ("", "", "")
        # Before the wrong ones are counted: a program with an old token must not lock out the others on its machine.
        if scheme.lower() == "bearer" and is_token(self._rules.token, token.strip()):
            return
        if said and (again_s := self._wrong_tokens.take(address, self._monotonic())):
            raise _too_often(again_s)
        raise RefusedError(
            HTTPStatus.UNAUTHORIZED,
            "this request needs the token" if not said else "this is not the token",
            hint="send `Authorization: Bearer ...` with what the file `token` in the state folder holds",
        )


def _check_body(headers: Headers) -> None:
    length = headers.get("content-length", "")
    if length.isdecimal() and int(length) > BODY_BYTES_MAX:
        raise _too_large()
    has_body = (length.isdecimal() and int(length) > 0) or "transfer-encoding" in headers
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if has_body and kind not in _BODY_TYPES:
        raise RefusedError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "a body of this type is not read here",
            hint=f"send {YAML_TYPES[0]} or {JSON_TYPE}, and say so in Content-Type",
        )
    if has_body and headers.get("content-encoding", "identity").lower() != "identity":
        raise RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "a packed body is not read here", hint="send it as it is")


class _Reading:
    """Passes a body on as long as it is within its bounds."""

    def __init__(self, receive: Receive, *, until_s: float) -> None:
        """`until_s` is the loop's time by which all of it must have come, however steadily it drips."""
        self._receive = receive
        self._until_s = until_s
        self._bytes = 0
        self._whole = False

    async def receive(self) -> Message:
        if self._whole:
            return await self._receive()  # only that the other side has gone can follow
        try:
            async with asyncio.timeout_at(self._until_s):
                message = await self._receive()
        except TimeoutError:
            raise RefusedError(HTTPStatus.REQUEST_TIMEOUT, "the body did not come") from None
        self._bytes += len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        if self._bytes > BODY_BYTES_MAX:
            raise _too_large()
        return message


class _Sending:
    """Adds what every answer says."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.started = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers[name] = value
        await self._send(message)


def _too_large() -> RefusedError:
    return RefusedError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"the body is larger than {BODY_BYTES_MAX // 1024} KiB",
        hint="send it in several requests",
    )


def _too_often(again_s: float) -> RefusedError:
    return RefusedError(HTTPStatus.TOO_MANY_REQUESTS, "too many requests", again_s=int(again_s) + 1)
