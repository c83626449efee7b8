"""Post the end of a job to a web address.

Owns: one request and what its answer means. Never: follows a redirect, keeps a cookie, or decides when it is sent again
(hooks.courier).
"""

import hashlib
import os
import re
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from reconciler import __version__
from reconciler.clock import Clock
from reconciler.config import WebhookSettings
from reconciler.hooks.model import Answer, Ending
from reconciler.hooks.signature import headers_of, key_of
from reconciler.state.records import Delivery
from reconciler.state.secrets import read_secret

# The receiver takes the document and answers; what follows from it is for afterwards.
TIMEOUT_S = 20.0

# Of what an answer says, for a person.
SAID_BYTES_MAX = 500

_OK, _REDIRECT, _REFUSED = 200, 300, 400
_GONE = 410


class WebhookHook:
    """One entry of `hooks.webhooks`."""

    def __init__(self, settings: WebhookSettings, *, clock: Clock) -> None:
        """Reads the secret; raises BadConfigurationError where that cannot be used."""
        self._settings = settings
        self._clock = clock
        secret = read_secret(Path(settings.secret_file), private=True, what="secret") if settings.secret_file else ""
        self._key = key_of(secret) if secret else None
        # The address itself may be a secret: some services have nothing else.
        digest = hashlib.sha256(settings.url.encode()).hexdigest()[:8]
        self.name = f"webhook:{urlsplit(settings.url).netloc}:{digest}"

    def wants(self, ending: Ending) -> bool:
        """What the configuration names."""
        return ending.event in self._settings.events

    async def tell(self, delivery: Delivery) -> Answer:
        """Post it once, and say what came of it."""
        body = delivery.body.encode()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"reconciler/{__version__}",
            **headers_of(delivery.delivery_id, body, now=self._clock.wall(), key=self._key),
        }
        try:
            async with (
                aiohttp.ClientSession(
                    cookie_jar=aiohttp.DummyCookieJar(), timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)
                ) as session,
                session.post(
                    URL(self._settings.url, encoded=True), data=body, headers=headers, allow_redirects=False
                ) as response,
            ):
                said = await response.content.read(SAID_BYTES_MAX)
                return _meaning(response, said, now=self._clock.wall)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            why = f"no answer within {TIMEOUT_S:g} s" if isinstance(error, TimeoutError) else _without_url(error)
            return Answer(delivered=False, result=why)


def _meaning(response: aiohttp.ClientResponse, said: bytes, *, now: Callable[[], float]) -> Answer:
    status = response.status
    if _OK <= status < _REDIRECT:
        return Answer(delivered=True, result=f"answered {status}")
    if _REDIRECT <= status < _REFUSED:
        return Answer(delivered=False, result=f"answered {status}: configure where it leads, no redirect is followed")
    text = said.decode(errors="replace").strip()
    result = f"answered {status}" + (f": {text}" if text else "")
    asked_s = _retry_after_s(response.headers.get("Retry-After", ""), now=now())
    return Answer(delivered=False, result=result, retry_after_s=asked_s, is_final=status == _GONE)


def _retry_after_s(text: str, *, now: float) -> float:
    """Seconds of a Retry-After, which is a number or a date (RFC 9110 section 10.2.3); 0.0 where it is neither."""
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, OverflowError):
        return 0.0


def _without_url(error: Exception) -> str:
    """What went wrong, without the library's own text: that may hold the address."""
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return "its certificate is not valid for its name"
        case aiohttp.ClientConnectorError(os_error=cause):
            # The library's text of a refused connection has the address in it; a name server's numbers are below zero.
            code = cause.errno or 0
            why = os.strerror(code) if code > 0 else cause.strerror or type(cause).__name__
            return f"it cannot be reached: {why}"
        case aiohttp.ClientConnectionError() | OSError():
            return "it closed the connection"
        case _:
            return f"it does not speak HTTP as it should: {type(error).__name__}"
