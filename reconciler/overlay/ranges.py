"""Which bytes a request asks for.

Owns: reading a Range header (RFC 9110 section 14). Never: reads a byte.

One range only, and never the whole for what is not understood: a client that asked for a part and got the whole would
have to throw it away, so everything that is not one satisfiable byte range is refused alike.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_RANGE = re.compile(r"bytes=[ \t]*(?:([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18}))[ \t]*", re.IGNORECASE)


class RangeRefusedError(Exception):
    """The Range header asks for no bytes of this file, for several ranges, or in words that are not of RFC 9110."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Bytes `first` to `last`, both included."""

    first: int
    last: int

    @property
    def length(self) -> int:
        """How many bytes."""
        return self.last - self.first + 1


def read_range(values: Sequence[str], *, size: int) -> Span | None:
    """Read the Range headers of a request for a file of `size` bytes; None = there is none.

    Raises RangeRefusedError.
    """
    if not values:
        return None
    match = _RANGE.fullmatch(values[0])
    if len(values) > 1 or match is None:
        raise RangeRefusedError
    first, last, suffix = match.groups()
    if suffix is not None:
        span = Span(first=max(0, size - int(suffix)), last=size - 1)
    else:
        span = Span(first=int(first), last=min(int(last), size - 1) if last else size - 1)
        if last and int(last) < int(first):
            raise RangeRefusedError
    if span.length < 1:
        raise RangeRefusedError
    return span
