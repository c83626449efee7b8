"""What is known of a peer's speed and reliability, and whether it may be asked now.

Owns: the measurements of one peer in one job, its pauses and its ban. Never: chooses what it is asked for
(engine.schedule).
"""

from dataclasses import dataclass, field

from reconciler.engine.commons import STRANGER, Prior
from reconciler.engine.events import FailureCode, TransferId
from reconciler.sources.base import Etiquette, PeerKey

# What came this long ago counts half. Bytes and seconds are smoothed apart and divided then: a chunk that lay ready in
# a socket's buffer and is read in no time adds its bytes and hardly any seconds, where a mean of speeds would leap.
# Two seconds are some two requests: a change is followed within one.
HALF_LIFE_S = 2.0

# Weight of the newest request in the error and timeout rates: the last ten or so count (0.8^10 = 0.1).
NEWEST_WEIGHT = 0.2

# How fast the round trip is taken to grow; that it shrinks is believed at once.
LEAD_WEIGHT = 0.1

# cost = ALPHA_BYTES / throughput + BETA_S * error_rate + GAMMA_S * timeout_rate + queue time: seconds for a megabyte,
# as long again for a peer of 1 MB/s whose every request fails, and five times that where it fails by silence, because
# silence is noticed late.
ALPHA_BYTES = 1e6
BETA_S = 1.0
GAMMA_S = 5.0

# Pauses after failures in a row: 0.5, 1, 2, 4, 8 s. The sum (15.5 s) outlives a server's restart; after the last one
# the peer is let go.
FIRST_PAUSE_S = 0.5
FAILURES_MAX = 6

# A peer that asks for a pause gets it, up to this; longer, and the job goes on without it.
RETRY_AFTER_S_MAX = 60.0

# Never more is asked for at once than so many times what has come since the last failure: a first chunk may come in a
# burst that says little of the next. Sixteen chunks after one fill 100 Mbit/s over 320 ms; with less, fast peers far
# away spend a short job in slow start.
TRUST = 16

# A peer that earlier jobs know may be asked at first for what it brought then in this time. Longer, and one that has
# become slow sits on much.
KNOWN_S = 0.25

# A first chunk is taken to have come at most so many times faster than it looks with its round trip.
FIRST_GAIN_MAX = 8.0

# A chunk is not only late but not to be counted on after so many times its usual time, and half a second for what a
# busy machine or a lost packet takes.
SILENT_TIMES = 2.0
SILENT_S = 0.5

# What a chunk from a peer that has brought none yet is taken to need.
UNKNOWN_CHUNK_S = 0.25

# Failures that say nothing about the peer: we ended it, or the server closed a connection after serving it.
INNOCENT: frozenset[FailureCode] = frozenset({"cancelled", "closed"})

# Failures that asking again cannot cure.
FINAL: frozenset[FailureCode] = frozenset({"wrong identity", "no ranges"})

# Failures by silence.
TIMED_OUT: frozenset[FailureCode] = frozenset({"stalled", "timed out"})


@dataclass(slots=True, kw_only=True)
class Peer:
    """One peer of one job. Mutable, owned by the job machine."""

    key: PeerKey
    name: str
    source: str
    etiquette: Etiquette
    prior: Prior = STRANGER
    """What earlier jobs have learned of it; its speed and its rates begin there."""
    throughput_bytes_per_s: float = 0.0
    """Smoothed over the last seconds of payload; 0.0 for a stranger before its first chunk."""
    lead_s: float = 0.0
    """What the first chunk of a request takes longer than the others, where nothing was owed before: a round trip."""
    error_rate: float = 0.0
    """Failed requests and refused chunks among the last requests, 0.0 to 1.0, other than by silence."""
    timeout_rate: float = 0.0
    """Requests that failed by silence, likewise."""
    bytes_accepted: int = 0
    chunks_refused: int = 0
    bytes_trusted: int = 0
    """Accepted since it was met or failed last."""
    failures_in_a_row: int = 0
    not_before_s: float = 0.0
    """Monotonic; no request before this moment."""
    moved_s: float = 0.0
    """Monotonic; when it last delivered a chunk, or was asked for one while it owed nothing."""
    connected: bool = False
    banned: str = ""
    """Why it is never asked again in this job; empty = it may be."""
    gone: str = ""
    """Why it was given up after failures; empty = it was not."""
    transfers: set[TransferId] = field(default_factory=set)
    _bytes: float = 0.0
    _seconds: float = 0.0
    """Smoothed over streaming chunks; 0.0 before the first."""

    @property
    def usable(self) -> bool:
        """Whether it may be asked at all, now or after its pause."""
        return not self.banned and not self.gone

    def requests_max(self) -> int:
        """How many requests it may have open: one stream, or one until its first good chunk, so a liar costs one
        chunk.
        """
        if self.etiquette.sequential or not self.bytes_trusted:
            return 1
        return self.etiquette.requests_in_flight_max

    def usable_bytes_per_s(self) -> float:
        """Its speed, as far as it has been shown (slow start), here or in earlier jobs."""
        shown = TRUST * self.bytes_trusted + KNOWN_S * self.prior.throughput_bytes_per_s
        return min(self.throughput_bytes_per_s, shown)

    def usual_chunk_s(self, chunk_bytes: int) -> float:
        """What a chunk from it usually takes, once it streams."""
        return chunk_bytes / self.throughput_bytes_per_s if self.throughput_bytes_per_s else UNKNOWN_CHUNK_S

    def is_silent(self, now: float, *, chunk_bytes: int) -> bool:
        """Whether it should long have brought the next chunk that it owes."""
        usual_s = self.lead_s + self.usual_chunk_s(chunk_bytes)
        return bool(self.transfers) and now - self.moved_s > SILENT_TIMES * usual_s + SILENT_S

    def bytes_per_s_at(self, now: float, *, chunk_bytes: int) -> float:
        """Its speed as it looks now: one that owes and is silent is slower with each moment of silence."""
        silent_s = now - self.moved_s - self.lead_s
        if not self.transfers or silent_s <= 0:
            return self.throughput_bytes_per_s
        return min(self.throughput_bytes_per_s, chunk_bytes / silent_s)

    def dialled(self, took_s: float, *, round_trips: int) -> None:
        """A connection was made: its round trips are the first that is known of the peer's distance."""
        if not self._seconds:
            self.lead_s = took_s / round_trips

    def delivered(self, *, bytes_received: int, duration_s: float, first: bool = False, timed: bool = True) -> None:
        """Count a good chunk.

        `first`: of a request to a peer that owed nothing, so that a round trip is in its time. Not `timed`: its time
        says nothing, since it waited in the peer's line.
        """
        self.bytes_accepted += bytes_received
        self.bytes_trusted += bytes_received
        self.failures_in_a_row = 0
        if not timed:
            return
        if first and not self._seconds:  # nothing but the time to connect shows what part of it is the round trip
            rate = bytes_received / max(duration_s - self.lead_s, duration_s / FIRST_GAIN_MAX, 1e-6)
            known = self.throughput_bytes_per_s
            self.throughput_bytes_per_s = (known + rate) / 2 if known else rate
            return
        if first:
            duration_s -= self._lead_of(duration_s - bytes_received / self.throughput_bytes_per_s)
        duration_s = max(duration_s, 1e-6)
        keep = 0.5 ** (duration_s / HALF_LIFE_S)
        self._bytes = keep * self._bytes + bytes_received
        self._seconds = keep * self._seconds + duration_s
        self.throughput_bytes_per_s = self._bytes / self._seconds

    def _lead_of(self, beyond_s: float) -> float:
        """Learn from what a first chunk took beyond its usual time: the least is the round trip, more is slowness."""
        beyond_s = max(beyond_s, 0.0)
        before_s = self.lead_s or beyond_s
        self.lead_s = min(beyond_s, before_s + LEAD_WEIGHT * (beyond_s - before_s))
        return min(before_s, beyond_s)

    def overtaken(self, now: float, *, chunk_bytes: int) -> None:
        """Others were faster: it is no faster than its silence shows, also where it has brought nothing yet."""
        shown = chunk_bytes / max(now - self.moved_s, 1e-6)
        self.throughput_bytes_per_s = min(self.throughput_bytes_per_s or shown, shown)

    def settled(self, *, error: bool = False, timed_out: bool = False) -> None:
        """Count how a request ended."""
        self.error_rate += NEWEST_WEIGHT * (error - self.error_rate)
        self.timeout_rate += NEWEST_WEIGHT * (timed_out - self.timeout_rate)

    def refused(self) -> None:
        """Count a chunk that is not what it should be."""
        self.chunks_refused += 1
        self.settled(error=True)

    def failed(self, code: FailureCode, *, now: float, retry_after_s: float | None) -> None:
        """Count a failed request: pause, or give the peer up."""
        if code in INNOCENT:
            return
        if code == "busy":
            self.not_before_s = now + min(retry_after_s if retry_after_s is not None else 1.0, RETRY_AFTER_S_MAX)
            return
        self.settled(error=code not in TIMED_OUT, timed_out=code in TIMED_OUT)
        self.bytes_trusted = 0
        self.failures_in_a_row += 1
        if code in FINAL or self.failures_in_a_row >= FAILURES_MAX:
            self.gone = code
            return
        self.not_before_s = now + FIRST_PAUSE_S * 2 ** (self.failures_in_a_row - 1)

    def cost(self, *, owed_bytes: int) -> float:
        """Lower is asked first; a stranger counts as one of 1 MB/s, between the fast and the slow."""
        seconds = (ALPHA_BYTES + owed_bytes) / self.throughput_bytes_per_s if self.throughput_bytes_per_s else 1.0
        return seconds + BETA_S * self.error_rate + GAMMA_S * self.timeout_rate
