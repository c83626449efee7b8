"""JSON from strangers: read strictly, written in one way only.

Owns: the one spelling that signatures are made over, and reading with every number, text and list bounded. Never: knows
what a message means.

Whole numbers only, no name twice, no NaN: what two readers could understand in two ways is refused. A name that is not
asked for is ignored, so that later versions may say more.
"""

import json
from collections.abc import Mapping
from typing import NoReturn, TypeVar

from reconciler.errors import PeerError

Json = dict[str, object]

# Up to 2**53 every reader of JSON agrees about a number (RFC 8259 section 6).
INTEGER_MAX = 2**53 - 1
_INTEGER_DIGITS_MAX = len(str(INTEGER_MAX)) + 1

T = TypeVar("T", int, str)


def canonical(value: Mapping[str, object]) -> bytes:
    """Write an object with sorted names, without spaces, in UTF-8; raises ValueError for what has no such spelling."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8")


def read_object(data: bytes, *, bytes_max: int, what: str) -> Json:
    """Read one JSON object of at most `bytes_max` bytes; raises PeerError that begins with `what`."""
    if len(data) > bytes_max:
        raise PeerError(f"{what} has {len(data)} bytes, more than {bytes_max}")
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_once,
            parse_int=_whole,
            parse_float=_refuse,
            parse_constant=_refuse,
        )
    except (ValueError, RecursionError) as error:  # a nest of brackets ends in RecursionError, within the size bound
        raise PeerError(f"{what} is not strict JSON") from error
    if not isinstance(value, dict):
        raise PeerError(f"{what} is not a JSON object")
    return value


class Fields:
    """One object of a message, read field by field. Every method raises PeerError that names the field."""

    def __init__(self, value: object, *, what: str) -> None:
        if not isinstance(value, dict):
            raise PeerError(f"{what} is not an object")
        self._value: Json = value
        self._what = what

    def integer(self, name: str, *, low: int = 0, high: int = INTEGER_MAX, default: int | None = None) -> int:
        """Read a whole number within `low`..`high`."""
        value = self._read(name, int, default)
        if not low <= value <= high:
            raise PeerError(f"{self._what}: {name} is {value}, expected {low} to {high}")
        return value

    def text(self, name: str, *, length_max: int, default: str | None = None) -> str:
        """Read a text of at most `length_max` printable characters."""
        value = self._read(name, str, default)
        if len(value) > length_max or not value.isprintable():
            raise PeerError(f"{self._what}: {name} is not a text of at most {length_max} printable characters")
        return value

    def flag(self, name: str, *, default: bool) -> bool:
        """Read true or false."""
        value = self._value.get(name, default)
        if not isinstance(value, bool):
            raise PeerError(f"{self._what}: {name} is not true or false")
        return value

    def list(self, name: str, *, length_max: int) -> list[object]:
        """Read a list; one that is missing is empty."""
        value = self._value.get(name, [])
        if not isinstance(value, list) or len(value) > length_max:
            raise PeerError(f"{self._what}: {name} is not a list of at most {length_max}")
        return value

    def mapping(self, name: str, *, length_max: int) -> Json:
        """Read an object of names that are not known beforehand; one that is missing is empty."""
        value = self._value.get(name, {})
        if not isinstance(value, dict) or len(value) > length_max:
            raise PeerError(f"{self._what}: {name} is not an object of at most {length_max}")
        return value

    def _read(self, name: str, kind: type[T], default: T | None) -> T:
        value = self._value.get(name, default)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise PeerError(f"{self._what}: {name} is missing or of the wrong kind")
        return value


def _once(pairs: list[tuple[str, object]]) -> Json:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a name stands twice")
    return value


def _whole(text: str) -> int:
    if len(text) > _INTEGER_DIGITS_MAX or abs(int(text)) > INTEGER_MAX:
        raise ValueError("a number is too large")
    return int(text)


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text[:20]} is not a whole number")
