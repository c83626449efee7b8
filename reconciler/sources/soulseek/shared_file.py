"""A file that a Soulseek user offers, as a search found it.

Owns: the shape of one search result. Never: judges it (sources.soulseek.matching) or makes a local path of its name.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedFile:
    """One file of one user. Everything in it is the user's word."""

    username: str
    path: str
    """As the peer names it, folders separated by backslashes; only ever sent back to that peer."""
    size: int
    """Bytes."""
    extension: str
    """Lower case, without the dot; empty = none."""
    duration_s: int | None
    bitrate_kbps: int | None
    sample_rate_hz: int | None
    bit_depth: int | None
    free_slot: bool
    queue_length: int
    speed_bytes_per_s: int
    """Of the user's uploads as the server averages them; 0 = none yet."""
