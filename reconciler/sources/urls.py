"""A URL from a manifest as an endpoint and a request target.

Owns: which URLs are accepted, and how they are sent. Never: resolves a name.

The target keeps the percent-encoding that it was written with: servers that sign their URLs compare bytes.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv6Address
from urllib.parse import SplitResult, quote, urlsplit

from yarl import URL

from reconciler.errors import InvalidInputError
from reconciler.sources.base import Endpoint

# Longer ones are refused by most servers (RFC 9110 section 4.1 asks for 8,000 at least).
URL_LENGTH_MAX = 8000

_PORTS = {"http": 80, "https": 443}
_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_][a-z0-9_-]{0,62}(\.[a-z0-9_-]{1,63})*\.?")
# Sent as they are: everything that RFC 3986 allows in a path or query, and the percent sign of what is encoded already.
_AS_WRITTEN = "/%:@!$&'()*+,;=-._~?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """Where a URL leads."""

    endpoint: Endpoint
    target: str
    """Path and query, in ASCII."""


def read_url(text: str) -> Location:
    """Take an `http` or `https` URL apart; raises InvalidInputError that says what is wrong with it."""
    if len(text) > URL_LENGTH_MAX:
        raise _unusable(text, f"has more than {URL_LENGTH_MAX} characters")
    # urlsplit drops line breaks and tabs without a word; here they are refused with every other control character.
    if not text.isprintable() or " " in text or "\\" in text:
        raise _unusable(text, "holds a space, a backslash or a character that cannot be seen")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise _unusable(text, "has no host, or no port between 1 and 65535") from error
    _check(text, parts)
    if port == 0:
        raise _unusable(text, "has port 0")
    target = quote(parts.path or "/", safe=_AS_WRITTEN.replace("?", ""))
    if parts.query:
        target += "?" + quote(parts.query, safe=_AS_WRITTEN)
    endpoint = Endpoint(host=_host(text, parts), port=port or _PORTS[parts.scheme], tls=parts.scheme == "https")
    return Location(endpoint=endpoint, target=target)


def sidecar(target: str) -> str:
    """The target of the chunk list that a plain server keeps beside a file: `<path>.chunks`, with the same query."""
    path, question_mark, query = target.partition("?")
    return f"{path}.chunks{question_mark}{query}"


def _check(text: str, parts: SplitResult) -> None:
    if parts.scheme not in _PORTS:
        raise _unusable(text, "does not begin with http:// or https://")
    if "@" in parts.netloc:
        raise _unusable(text, "names a user: passwords do not belong in a manifest")
    if "#" in text:
        raise _unusable(text, "has a fragment, which no server ever sees")


def _host(text: str, parts: SplitResult) -> str:
    """The host in ASCII (IDNA), an IPv6 address without its brackets."""
    host = parts.hostname or ""
    if not host.isascii():
        try:
            host = URL.build(scheme="http", host=host).raw_host or ""
        except ValueError as error:
            raise _unusable(text, "has a host that is no domain name") from error
    if _NAME.fullmatch(host) is None and not _is_ipv6(host):
        raise _unusable(text, "has no host, or one that is no domain name or address")
    return host


def _is_ipv6(host: str) -> bool:
    try:
        IPv6Address(host)
    except ValueError:
        return False
    return "%" not in host  # a zone is a name of this machine's own


def _unusable(text: str, why: str) -> InvalidInputError:
    return InvalidInputError(f"the URL {text[:200]!r} {why}", hint="write it as http(s)://host[:port]/path")
