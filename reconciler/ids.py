"""The names things go by, as types that cannot be mixed up.

Owns: the identifier types and their syntax. Never: makes one from the clock or from chance; both are arguments.
"""

import hashlib
import re
from typing import NewType

from ulid import ULID

JobId = NewType("JobId", str)
"""A ULID (26 Crockford base32 characters, upper case) or a UUID in lower case; the identity of a job, whatever its file
is called.
"""

Mbid = NewType("Mbid", str)
"""A MusicBrainz identifier: a UUID in lower case with hyphens. https://musicbrainz.org/doc/MusicBrainz_Identifier"""

Root = NewType("Root", str)
"""A BEP 52 `pieces root`: 64 lower-case hex digits. Names exact bytes. https://www.bittorrent.org/beps/bep_0052.html"""

Sha256 = NewType("Sha256", str)
"""The SHA-256 of a whole file: 64 lower-case hex digits."""

PeerId = NewType("PeerId", str)
"""An overlay peer: base64url of its raw Ed25519 public key without padding, 43 characters."""

TrackPosition = NewType("TrackPosition", int)
"""Where a track (or file) stands in its job, counted from 1 across all media."""

ChunkIndex = NewType("ChunkIndex", int)
"""Which fixed range of a variant, counted from 0."""

_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_HEX_64 = re.compile(r"[0-9a-f]{64}")
_PEER_ID = re.compile(r"[A-Za-z0-9_-]{43}")

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_CROCKFORD_PAIRS = tuple(high + low for high in _CROCKFORD for low in _CROCKFORD)
"""Ten bits as two letters: https://www.crockford.com/base32.html"""

ULID_ENTROPY_BYTES = 10
_ULID_TIME_BITS = 48


def make_ulid(*, unix_ms: int, entropy: bytes) -> str:
    """Make a ULID from a time in milliseconds and `ULID_ENTROPY_BYTES` random bytes (https://github.com/ulid/spec)."""
    if not 0 <= unix_ms < 1 << _ULID_TIME_BITS or len(entropy) != ULID_ENTROPY_BYTES:
        raise ValueError(
            f"a ULID takes 48 bits of time and {ULID_ENTROPY_BYTES} bytes, not {unix_ms} and {len(entropy)} bytes"
        )
    # Every event has one: pairs of letters take half as long as the library.
    time, chance, pairs = unix_ms, int.from_bytes(entropy), _CROCKFORD_PAIRS
    return (
        f"{pairs[time >> 40]}{pairs[time >> 30 & 1023]}{pairs[time >> 20 & 1023]}{pairs[time >> 10 & 1023]}"
        f"{pairs[time & 1023]}{pairs[chance >> 70]}{pairs[chance >> 60 & 1023]}{pairs[chance >> 50 & 1023]}"
        f"{pairs[chance >> 40 & 1023]}{pairs[chance >> 30 & 1023]}{pairs[chance >> 20 & 1023]}"
        f"{pairs[chance >> 10 & 1023]}{pairs[chance & 1023]}"
    )


def derived_job_id(owner: JobId, name: str) -> JobId:
    """The ULID of a job that `owner` has others do: always the same for one name, and with the owner's time."""
    digest = hashlib.sha256(f"{owner}/{name}".encode()).digest()
    time = ULID.from_str(owner).bytes[:6] if _ULID.fullmatch(owner) else hashlib.sha256(owner.encode()).digest()[:6]
    return JobId(str(ULID(time + digest[:ULID_ENTROPY_BYTES])))


def is_job_id(text: str) -> bool:
    """Tell whether `text` can name a job: a ULID as written by the specification, or a UUID."""
    return _ULID.fullmatch(text) is not None or is_mbid(text)


def is_mbid(text: str) -> bool:
    """Tell whether `text` has the form of a MusicBrainz identifier in lower case."""
    return _UUID.fullmatch(text) is not None


def is_root(text: str) -> bool:
    """Tell whether `text` is 64 lower-case hex digits: a BEP 52 root, or a SHA-256."""
    return _HEX_64.fullmatch(text) is not None


def is_peer_id(text: str) -> bool:
    """Tell whether `text` has the form of an overlay peer id."""
    return _PEER_ID.fullmatch(text) is not None
