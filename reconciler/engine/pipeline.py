"""How far ahead of the answers a connection is asked.

Owns: the measurement of one connection, and how many bytes may be asked for on it before they come. Never: sends
anything (engine.lanes), or chooses what to ask for (engine.schedule).

The next request must leave before the last byte of the present answer has come, or the pipe runs dry for a round trip;
but what has been sent cannot be taken back without ending the connection. So as much is sent as the peer brings within
a round trip and AHEAD_S, and a chunk more.
"""

# Beside the round trip: outlasts a server that is busy with others for a moment. Source: engine.md; measured there.
AHEAD_S = 0.25

# Of neighbouring chunks asked for at once, at most: 32 MiB fill 50 ms at 5 Gbit/s.
CHUNKS_AHEAD_MAX = 32

# Weight of the newest chunk in the smoothed speed, as in engine.peers.
NEWEST_WEIGHT = 0.3


class Pipeline:
    """One connection. `round_trip_s` is what dialling took: one round trip for TCP."""

    def __init__(self, *, round_trip_s: float) -> None:
        self._round_trip_s = round_trip_s
        self._bytes_per_s = 0.0
        self._chunks_allowed = 1

    def came(self, *, bytes_received: int, duration_s: float, chunk_bytes: int) -> None:
        """Count a chunk that came `duration_s` after the one before."""
        rate = bytes_received / max(duration_s, 1e-6)
        before = self._bytes_per_s
        self._bytes_per_s = rate if not before else (1 - NEWEST_WEIGHT) * before + NEWEST_WEIGHT * rate
        wanted = int(self._bytes_per_s * (AHEAD_S + self._round_trip_s) / chunk_bytes) + 1
        # At most doubled a chunk: one burst out of a buffer says little.
        self._chunks_allowed = max(1, min(wanted, 2 * self._chunks_allowed, CHUNKS_AHEAD_MAX))

    def has_room(self, *, outstanding_bytes: int, chunk_bytes: int) -> bool:
        """Whether another request may be sent while `outstanding_bytes` of the present ones have not come."""
        return not outstanding_bytes or outstanding_bytes <= self._chunks_allowed * chunk_bytes
