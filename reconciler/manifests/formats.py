"""What a text of each kind must look like, and what to write instead when it does not.

Owns: the checks behind `format` in the schemas. Never: looks at more than one value (manifests.meaning).
"""

import ipaddress
import re
from collections.abc import Callable
from datetime import datetime
from urllib.parse import urlsplit

from reconciler.addresses import parse_host_port, parse_peer_address
from reconciler.ids import is_job_id, is_mbid, is_root

# PATH_MAX and NAME_MAX of Linux (limits.h), in bytes.
PATH_BYTES_MAX = 4096
NAME_BYTES_MAX = 255

# A part of a host's name between two dots (RFC 1035 section 2.3.4); Python raises UnicodeError for another one.
_LABEL_CHARS_MAX = 63

_MBID_WITHIN = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_RFC3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_COUNTRY = re.compile(r"[A-Z]{2}")
_DURATION = re.compile(r"(?P<number>(?:0|[1-9][0-9]{0,8})(?:\.[0-9]{1,3})?)(?P<unit>[smhd]?)")
_CODEC = re.compile(r"[A-Za-z0-9]{1,16}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


_UNIT_S = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
DURATION_S_MIN, DURATION_S_MAX = 1, 365 * 86_400


class FormatError(ValueError):
    """A text is not what its field holds."""

    def __init__(self, message: str, hint: str, *, quote: bool = True) -> None:
        """`message` follows the text in a sentence: `is not a MusicBrainz id`; without `quote` the text is a secret."""
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.quote = quote


def check_job_id(text: str) -> None:
    """A ULID, or a UUID in lower case."""
    _check_ulid(text, otherwise="take the line out: the daemon adds one")


def check_other_job_id(text: str) -> None:
    """The identity of another job."""
    _check_ulid(text, otherwise="copy the job_id of the other manifest")


def _check_ulid(text: str, *, otherwise: str) -> None:
    if is_job_id(text):
        return
    other = next((t for t in (text.upper(), text.lower()) if is_job_id(t)), None)
    raise FormatError("is not a ULID", f"write {other}" if other else otherwise)


def check_mbid(text: str) -> None:
    """A MusicBrainz identifier in lower case."""
    if is_mbid(text):
        return
    within = _MBID_WITHIN.search(text)
    hint = f"write {within[0].lower()}" if within else "copy the 36 characters at the end of its MusicBrainz address"
    raise FormatError("is not a MusicBrainz id", hint)


def check_hex_64(text: str) -> None:
    """A BEP 52 root or a SHA-256."""
    if is_root(text):
        return
    hint = "write it in lower case" if is_root(text.lower()) else "copy it whole"
    raise FormatError("is not 64 hex digits", hint)


def check_date_time(text: str) -> None:
    """A moment by RFC 3339, with its offset from UTC."""
    sample = "write 2025-12-10T15:30:00Z"
    if not _RFC3339.fullmatch(text):
        raise FormatError("is not an RFC 3339 time", sample)
    try:
        datetime.fromisoformat(text.upper())
    except ValueError:
        raise FormatError("is not a moment that exists", sample) from None


def parse_duration_s(text: str) -> float:
    """Seconds of `90`, `90s`, `1.5h` or `2d`; raises FormatError."""
    match = _DURATION.fullmatch(text)
    if match is None:
        tight = text.replace(" ", "").lower()
        hint = f"write {tight}" if _DURATION.fullmatch(tight) else "write a number with s, m, h or d: 90m"
        raise FormatError("is not a duration", hint)
    seconds = float(match["number"]) * _UNIT_S[match["unit"]]
    if not DURATION_S_MIN <= seconds <= DURATION_S_MAX:
        raise FormatError("is out of range", "write 1s to 365d")
    return seconds


def check_duration(text: str) -> None:
    """A number of seconds, or a number with its unit."""
    parse_duration_s(text)


def check_country(text: str) -> None:
    """A country as MusicBrainz writes it: ISO 3166-1 alpha-2, or one of its own codes, XE and XW among them."""
    if text.upper() == "UK":
        raise FormatError("is not the code of the United Kingdom", "write GB")
    if not _COUNTRY.fullmatch(text):
        upper = text.upper()
        raise FormatError(
            "is not a country code", f"write {upper}" if _COUNTRY.fullmatch(upper) else "write GB, JP, XW"
        )


def check_target_dir(text: str) -> None:
    """A folder, absolute or below the root folder."""
    _check_path(text)


def check_relative_path(text: str) -> None:
    """A file below the target folder."""
    if text.startswith("/"):
        raise FormatError("is an absolute path", "write it relative to target_dir")
    if "\\" in text:
        raise FormatError("holds a backslash", "put `/` between folders")
    if any(part in ("", ".") for part in text.split("/")):
        raise FormatError("has an empty part", "write folder/name with one `/` between")
    _check_path(text)


def check_absolute_path(text: str) -> None:
    """A folder of this machine."""
    if not text.startswith("/"):
        raise FormatError("is not an absolute path", "begin it with /")
    _check_path(text)


def check_optional_absolute_path(text: str) -> None:
    """A file of this machine, or empty for none."""
    if text:
        check_absolute_path(text)


def check_http_url(text: str) -> None:
    """An address of a plain HTTP server: no user, no fragment."""
    if not text.isascii() or not text.isprintable() or " " in text:
        raise FormatError("holds characters that no URL has", "percent-encode them")
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError as error:
        raise FormatError(f"is not a URL ({error})", "write https://host/path") from None
    if url.scheme not in ("http", "https") or not url.hostname or port == 0:
        raise FormatError("is not an http:// or https:// URL", "write https://host/path")
    if ":" not in url.hostname and not all(1 <= len(part) <= _LABEL_CHARS_MAX for part in _labels(url.hostname)):
        raise FormatError("names a host that cannot be", f"between dots stand 1 to {_LABEL_CHARS_MAX} characters")
    if "@" in url.netloc:
        raise FormatError("holds a user or password", "take the part before @ out", quote=False)
    if "#" in text:
        raise FormatError("has a fragment", "take # and what follows out")


def _labels(host: str) -> list[str]:
    return host.removesuffix(".").split(".")


def check_peer_address(text: str) -> None:
    """An overlay peer and where it listens."""
    try:
        parse_peer_address(text)
    except ValueError as error:
        raise FormatError(str(error), "write <peer id>@host:port") from None


def check_listen_address(text: str) -> None:
    """Where to listen, or empty for not at all."""
    try:
        if text:
            parse_host_port(text)
    except ValueError as error:
        raise FormatError(str(error), 'write "0.0.0.0:7443", or "" for none') from None


def check_api_address(text: str) -> None:
    """Where the HTTP API listens."""
    try:
        parse_host_port(text)
    except ValueError as error:
        raise FormatError(str(error), 'write "127.0.0.1:5031"') from None


def check_host_name(text: str) -> None:
    """The name of a machine, as it stands in an address."""
    try:
        parse_host_port(f"{text}:80")
    except ValueError:
        raise FormatError("is not a host name", "write music.example.org, without a port") from None


def check_server_address(text: str) -> None:
    """Where a server is, with its port."""
    try:
        where = parse_host_port(text)
    except ValueError as error:
        raise FormatError(str(error), "write host:port") from None
    if where.port == 0:
        raise FormatError("has port 0, which nobody listens on", "write host:port")


def check_ipv4_address(text: str) -> None:
    """An address of this machine to listen at."""
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        raise FormatError("is not an IPv4 address", "write 0.0.0.0 for all of this machine's") from None


def check_codec(text: str) -> None:
    """The short name of a codec."""
    if not _CODEC.fullmatch(text):
        raise FormatError("is not a codec name", "write FLAC, MP3, OPUS")


def check_variable_name(text: str) -> None:
    """The name of an environment variable."""
    if not _VARIABLE.fullmatch(text):
        raise FormatError("is not the name of an environment variable", "write it as BEETSDIR, without $ or =")


def _check_path(text: str) -> None:
    parts = text.split("/")
    if ".." in parts:
        raise FormatError("holds `..`", "write the path without it")
    if parts[0].startswith("~"):
        raise FormatError("begins with `~`, which is not replaced here", "write the whole path")
    if len(text.encode()) > PATH_BYTES_MAX or any(len(part.encode()) > NAME_BYTES_MAX for part in parts):
        raise FormatError("is too long for a path", f"at most {NAME_BYTES_MAX} bytes a name")


FORMATS: dict[str, Callable[[str], None]] = {
    "job-id": check_job_id,
    "other-job-id": check_other_job_id,
    "mbid": check_mbid,
    "hex-64": check_hex_64,
    "date-time": check_date_time,
    "duration": check_duration,
    "country": check_country,
    "target-dir": check_target_dir,
    "relative-path": check_relative_path,
    "absolute-path": check_absolute_path,
    "optional-absolute-path": check_optional_absolute_path,
    "http-url": check_http_url,
    "peer-address": check_peer_address,
    "listen-address": check_listen_address,
    "api-address": check_api_address,
    "host-name": check_host_name,
    "server-address": check_server_address,
    "ipv4-address": check_ipv4_address,
    "codec": check_codec,
    "variable-name": check_variable_name,
}
"""By the name that the schemas use."""
