"""What peers are known for across jobs: how fast and reliable they were, and who lied.

Owns: how what is known fades, how a job's observations join it, what a new job begins with, and bans. Never: keeps it
on a disk (state.peers), or chooses a peer (engine.schedule). Times are seconds since 1970-01-01 UTC, always given.

A *known* peer begins a job with its speed: it is asked among the first, and for more than a stranger's one chunk. Like
a stranger it has one request open until its first good chunk of that job, and a wrong chunk ends all of them, so that
one which turns liar costs one chunk as well. A peer that was ever banned begins as a stranger, without its speed, until
STRIKES_KEPT_S after its last ban ended: a liar cannot earn its trust back by being fast.
"""

import math
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from reconciler.clock import rfc3339
from reconciler.engine.commons import STRANGER, Prior
from reconciler.sources.base import PeerKey
from reconciler.state.reputations import Reputation

# What was seen a week ago counts half: lines and machines change over weeks, evenings and weekends come round within
# one.
HALF_LIFE_S = 7 * 86_400

# Accepted chunks, faded, from which a peer is known: one good day with 4 MiB, or four weeks after one with 64 MiB.
KNOWN_CHUNKS = 4.0

# The first ban is for a day: long enough that a broken disk or cache is noticed by its owner. Each further one is twice
# as long, up to thirty days.
BAN_FIRST_S = 86_400.0
BAN_LONGEST_S = 30 * 86_400.0

# So long after its end a ban is counted by the next one, and keeps the peer a stranger.
STRIKES_KEPT_S = 90 * 86_400.0

# Peers remembered, some 300 bytes each; the one heard of longest ago goes first. A person's peers are hundreds.
PEERS_KEPT_MAX = 20_000

# A longer name is no peer that can be asked again: the longest are host names (253 characters) with a port.
PEER_CHARS_MAX = 400
REASON_CHARS_MAX = 400

# What a web server should hold is said by a manifest, never by the server itself. A wrong byte may be the manifest's
# mistake, or one stale file among a million good ones: such a server is banned in the job that saw it, not in others.
NAMED_BY_MANIFESTS = frozenset({"http"})


@dataclass(slots=True, kw_only=True)
class Sight:
    """What one job has seen of one peer since it was last asked."""

    bytes_timed: int = 0
    """Of good chunks whose time says something of its speed."""
    seconds: float = 0.0
    """In which those came."""
    chunks_good: int = 0
    chunks_refused: int = 0
    errors: int = 0
    timeouts: int = 0


def source_of(peer: str) -> str:
    """The source that a peer is of."""
    return peer.partition(":")[0]


def name_of(peer: str) -> str:
    """The name of a peer without its source's."""
    return peer.partition(":")[2]


def fade(elapsed_s: float) -> float:
    """How much of what was seen `elapsed_s` ago still counts; a clock that was set back fades nothing."""
    return math.pow(2.0, -max(0.0, elapsed_s) / HALF_LIFE_S)


def merged(before: Reputation | None, peer: str, sight: Sight, now: float) -> Reputation:
    """Let what a job saw of `peer` join what is known."""
    known = before or Reputation(peer=peer, last_seen=now)
    kept = fade(now - known.last_seen)
    return replace(
        known,
        last_seen=now,
        recent_bytes=known.recent_bytes * kept + sight.bytes_timed,
        recent_seconds=known.recent_seconds * kept + sight.seconds,
        recent_good=known.recent_good * kept + sight.chunks_good,
        recent_errors=known.recent_errors * kept + sight.errors + sight.chunks_refused,
        recent_timeouts=known.recent_timeouts * kept + sight.timeouts,
        chunks_good=known.chunks_good + sight.chunks_good,
        chunks_refused=known.chunks_refused + sight.chunks_refused,
    )


def throughput_bytes_per_s(known: Reputation) -> float:
    """Its smoothed speed; 0.0 where nothing ever came."""
    return known.recent_bytes / known.recent_seconds if known.recent_seconds else 0.0


def error_rate(known: Reputation) -> float:
    """Of its answers (chunks, and requests that failed), the part that was wrong or broken."""
    return known.recent_errors / max(1.0, known.recent_good + known.recent_errors + known.recent_timeouts)


def timeout_rate(known: Reputation) -> float:
    """Of its answers, the part that did not come in time."""
    return known.recent_timeouts / max(1.0, known.recent_good + known.recent_errors + known.recent_timeouts)


def is_banned(known: Reputation, now: float) -> bool:
    """Whether its ban has not ended. An end that lies further off than any ban was set under a wrong clock."""
    return known.banned_until is not None and now < known.banned_until <= now + BAN_LONGEST_S


def has_strikes(known: Reputation, now: float) -> bool:
    """Whether its bans still count against it."""
    return known.banned_until is not None and now < known.banned_until + STRIKES_KEPT_S


def banned(before: Reputation | None, peer: str, reason: str, now: float) -> Reputation:
    """Ban `peer` for a lie. Jobs that see the same lie at once make one strike: who is banned stays so until then."""
    known = merged(before, peer, Sight(), now)
    if is_banned(known, now):
        return known
    strikes = known.strikes + 1 if has_strikes(known, now) else 1
    # Not 2 ** strikes: a float has no room for what thousands of strikes would make of it.
    length_s = min(BAN_LONGEST_S, BAN_FIRST_S * 2 ** min(strikes - 1, 10))
    return replace(known, strikes=strikes, banned_until=now + length_s, ban_reason=_writable(reason)[:REASON_CHARS_MAX])


def prior(known: Reputation | None, now: float) -> Prior:
    """What a job begins with that meets the peer at `now`."""
    if known is None:
        return STRANGER
    if known.banned_until is not None and is_banned(known, now):
        return Prior(banned=f"banned until {rfc3339(known.banned_until)}: {known.ban_reason}")
    if has_strikes(known, now) or known.recent_good * fade(now - known.last_seen) < KNOWN_CHUNKS:
        return Prior(error_rate=error_rate(known), timeout_rate=timeout_rate(known))
    return Prior(
        throughput_bytes_per_s=throughput_bytes_per_s(known),
        error_rate=error_rate(known),
        timeout_rate=timeout_rate(known),
    )


class Book:
    """The reputations of all peers, and which of them the disk does not have yet."""

    def __init__(self, known: Iterable[Reputation] = ()) -> None:
        """`known` come in the order in which they were last seen."""
        self._known: OrderedDict[str, Reputation] = OrderedDict((each.peer, each) for each in known)
        self._changed: set[str] = set()
        self._gone: set[str] = set()
        self._bound()

    def __len__(self) -> int:
        return len(self._known)

    def get(self, peer: PeerKey) -> Reputation | None:
        """What is known of a peer."""
        return self._known.get(peer)

    def prior(self, peer: PeerKey, now: float) -> Prior:
        """What a job begins with that meets the peer at `now`."""
        return prior(self._known.get(peer), now)

    def merge(self, seen: Mapping[PeerKey, Sight], now: float) -> None:
        """Let what a job saw join what is known."""
        for peer, sight in seen.items():
            self._put(merged(self._known.get(peer), peer, sight, now))

    def ban(self, peer: PeerKey, reason: str, now: float) -> bool:
        """Ban a peer in all jobs; False where it is banned already, or only a manifest speaks for it."""
        before = self._known.get(peer)
        if source_of(peer) in NAMED_BY_MANIFESTS or (before is not None and is_banned(before, now)):
            return False
        self._put(banned(before, peer, reason, now))
        return True

    def forget(self, peers: Iterable[str]) -> None:
        """Know nothing of these any more; the disk has dropped them already."""
        for peer in peers:
            self._known.pop(peer, None)
            self._changed.discard(peer)

    def take_changes(self) -> tuple[tuple[Reputation, ...], frozenset[str]]:
        """What the disk does not have yet, and whom it has without need; given out once, or again by `keep_changes`."""
        changed, gone = tuple(self._known[peer] for peer in sorted(self._changed)), frozenset(self._gone)
        self._changed.clear()
        self._gone.clear()
        return changed, gone

    def keep_changes(self, changed: Iterable[Reputation], gone: Iterable[str]) -> None:
        """Have these changes given out again: the disk did not take them."""
        self._changed |= {each.peer for each in changed if each.peer in self._known}
        self._gone |= {peer for peer in gone if peer not in self._known}

    def _put(self, reputation: Reputation) -> None:
        peer = reputation.peer
        if len(peer) > PEER_CHARS_MAX or _writable(peer) != peer:
            return
        self._known[peer] = reputation
        self._known.move_to_end(peer)
        self._changed.add(peer)
        self._gone.discard(peer)
        self._bound()

    def _bound(self) -> None:
        while len(self._known) > PEERS_KEPT_MAX:
            oldest, _ = self._known.popitem(last=False)
            self._changed.discard(oldest)
            self._gone.add(oldest)


def _writable(text: str) -> str:
    """Text without lone surrogates, which UTF-8 does not know."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
