"""Short requests to peers and servers: everything but the bytes of files.

Owns: the HTTP client, its bounds, and what its failures mean. Never: knows what is asked, or follows a redirect.
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import aiohttp
from yarl import URL

from reconciler.errors import PeerError
from reconciler.overlay.messages import AGENT
from reconciler.overlay.tls import WrongIdentityError
from reconciler.sources.base import Endpoint

# Over all peers of a source, and to one address; more wait.
CONNECTIONS_MAX = 64
CONNECTIONS_PER_PEER_MAX = 4

# A name that resolves to an address that swallows packets must leave time for the others of the same search.
_CONNECT_SHARE = 0.5

_OK = 200

TroubleCode = Literal["unreachable", "wrong identity", "refused", "bad answer", "lied"]


class NoAnswerError(PeerError):
    """A peer gave no usable answer; `code` says which kind of trouble it is (sources.base.PeerTrouble)."""

    def __init__(self, code: TroubleCode, message: str) -> None:
        super().__init__(message)
        self.code: TroubleCode = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole answer."""

    status: int
    body: bytes
    """Empty unless the status is 200: what else a stranger has to say is not read."""

    @property
    def ok(self) -> bool:
        """Whether it is what was asked for."""
        return self.status == _OK


class Control:
    """An HTTP client for control requests, with a deadline for each."""

    def __init__(self, *, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None

    async def ask(
        self,
        endpoint: Endpoint,
        method: Literal["GET", "POST"],
        target: str,
        *,
        bytes_max: int,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        context: ssl.SSLContext | None = None,
    ) -> Answer:
        """Send one request and read an answer of at most `bytes_max` bytes; raises NoAnswerError.

        `context` is how TLS is to be made; None = with the authorities of the system.
        """
        where = place(endpoint)
        url = URL(f"{'https' if endpoint.tls else 'http'}://{where}{target}", encoded=True)
        tls = context if context is not None else True
        try:
            async with self._client().request(
                method, url, headers=headers, data=body, ssl=tls, allow_redirects=False
            ) as response:
                body = await _read(response, bytes_max, where) if response.status == _OK else b""
                return Answer(status=response.status, body=body)
        except (aiohttp.ClientError, OSError, TimeoutError, UnicodeError) as error:
            raise _meaning(error, where, self._timeout_s) from error

    async def close(self) -> None:
        """Close every connection; a later request opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _client(self) -> aiohttp.ClientSession:
        """The session; made at the first request, because it belongs to the loop that runs then."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX, limit_per_host=CONNECTIONS_PER_PEER_MAX),
                cookie_jar=aiohttp.DummyCookieJar(),
                # What arrives is counted as it arrives; nothing inflates on the way.
                auto_decompress=False,
                headers={"User-Agent": AGENT, "Accept": "*/*", "Accept-Encoding": "identity"},
                timeout=aiohttp.ClientTimeout(total=self._timeout_s, sock_connect=self._timeout_s * _CONNECT_SHARE),
            )
        return self._session


def place(endpoint: Endpoint) -> str:
    """`host:port`, an IPv6 address in brackets."""
    host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
    return f"{host}:{endpoint.port}"


async def _read(response: aiohttp.ClientResponse, bytes_max: int, where: str) -> bytes:
    body = bytearray()
    while block := await response.content.read(bytes_max + 1 - len(body)):
        body += block
        if len(body) > bytes_max:
            response.close()
            raise NoAnswerError("bad answer", f"{where} sent more than the {bytes_max} bytes that the answer may have")
    return bytes(body)


def _meaning(error: Exception, where: str, timeout_s: float) -> NoAnswerError:
    """Say what a failure means in our words: the library's may hold text from the other side."""
    code: TroubleCode = "unreachable"
    match error:
        case TimeoutError():
            message = f"{where} did not answer within {timeout_s:g} s"
        case UnicodeError():
            message = f"{where} cannot be reached: this is no host name"
        case aiohttp.ClientConnectorSSLError(os_error=WrongIdentityError() as wrong):
            code, message = "wrong identity", f"{where}: {wrong.strerror}"
        case aiohttp.ClientConnectorCertificateError():
            code, message = "wrong identity", f"{where} shows a certificate that is not valid for its name"
        case aiohttp.ClientConnectorSSLError():
            code, message = "bad answer", f"{where} does not speak TLS as it should"
        case aiohttp.ClientConnectorError(os_error=cause):
            message = f"{where} cannot be reached: {cause.strerror or type(cause).__name__}"
        case aiohttp.ClientConnectionError() | OSError():
            message = f"{where} closed the connection"
        case _:
            code, message = "bad answer", f"{where} does not speak HTTP as it should: {type(error).__name__}"
    return NoAnswerError(code, message)
