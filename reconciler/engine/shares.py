"""What running jobs share of the line and of each peer, and whose turn it is.

Owns: the cap over all jobs and sources, the requests that one peer may have open over all jobs, and the fair order at
both. Never: chooses what is asked for (engine.schedule), wakes anybody (engine.engine does, from `take_wakes`), or
reads a clock.

A job asks `may_ask` before each request. Where it is not its turn it waits, until it looks at that peer again:
`next_turn` is its deadline where time alone frees the cap, `take_wakes` names it where another job has freed something,
and `take_calls` tells it where. Whoever is called looks, and takes its turn or lets it go; then the next one is called.
So nobody waits for one that has lost interest.
"""

from dataclasses import dataclass, field

from reconciler.engine.bandwidth import BandwidthCap
from reconciler.engine.commons import Ask
from reconciler.engine.fair_line import FairLine
from reconciler.ids import JobId
from reconciler.sources.base import PeerKey

# 25 points of priority are twice the share: from the lowest (-100) to the highest (100) it is 256 to 1, and the lowest
# still gets its one in 257.
PRIORITY_DOUBLES = 25

# A request is at most so many seconds of the cap, and of a peer that several jobs use (one chunk at least): turns come
# often, and whoever comes late waits little. An idle line saves up so many seconds of the cap: over ten seconds the two
# together are 3.5 %.
REQUEST_S = 0.25
BURST_S = 0.1

# A peer that several jobs use is sent more while it owes all of them together less than this at its speed: its pipe
# stays full over a round trip, and whose turn comes next is decided late.
QUEUE_AHEAD_S = 0.5

# A stream cannot be asked for less: what it brings is counted against the cap, but up to this part of it, so that the
# rest is left to others.
STREAMS_MAX = 0.5


def weight_of(priority: int) -> float:
    """The share of a job, in proportion to those of others."""
    return float(2.0 ** (priority / PRIORITY_DOUBLES))


@dataclass(slots=True)
class _Account:
    """One peer, as all jobs together use it."""

    line: FairLine = field(default_factory=FairLine)
    asks: dict[JobId, Ask] = field(default_factory=dict)
    """What each job last wanted to ask."""
    requests: dict[JobId, int] = field(default_factory=dict)
    owed_bytes: dict[JobId, int] = field(default_factory=dict)
    is_proven: bool = False
    """Whether it has brought a good chunk to any of them."""

    def has_room(self, job: JobId) -> bool:
        """Whether one more request of `job` may be sent, whoever's turn it is."""
        ask = self.asks[job]
        if sum(self.requests.values()) >= (ask.requests_max if self.is_proven else 1):
            return False
        if not self.is_shared(job):
            return True
        fastest = max(each.throughput_bytes_per_s for each in self.asks.values())
        return sum(self.owed_bytes.values()) <= max(ask.chunk_bytes, fastest * QUEUE_AHEAD_S)

    def is_shared(self, job: JobId) -> bool:
        """Whether anybody beside `job` uses it now, or would."""
        return any(job != other for other in self.line.waiting) or any(
            count for other, count in self.requests.items() if other != job
        )

    def leave(self, job: JobId) -> None:
        """Forget a job."""
        self.line.leave(job)
        for had in (self.asks, self.requests, self.owed_bytes):
            had.pop(job, None)


class Shares:
    """The shares of all running jobs. `bandwidth_bytes_per_s` is the cap over all of them; 0 = none."""

    def __init__(self, *, bandwidth_bytes_per_s: float) -> None:
        self._rate = bandwidth_bytes_per_s
        self._cap = BandwidthCap(bandwidth_bytes_per_s, burst_s=BURST_S)
        self._streams = BandwidthCap(bandwidth_bytes_per_s * STREAMS_MAX, burst_s=BURST_S)
        self._line = FairLine()
        self._weights: dict[JobId, float] = {}
        # Bounded by jobs (engine.engine.JOBS_MAX) times peers of a job (engine.swarm.PEERS_MAX).
        self._accounts: dict[PeerKey, _Account] = {}
        self._waits: dict[JobId, set[PeerKey]] = {}
        """Peers that each job waits for."""
        self._capped: dict[JobId, set[PeerKey]] = {}
        """Peers that each job could ask if the cap were free."""
        self._calls: dict[JobId, set[PeerKey]] = {}
        """Where the turn of each job has come since it looked."""
        self._touched: set[PeerKey] = set()
        self._expecting: JobId | None = None
        """Who knows that it is first at the cap, and comes by itself when it is free."""

    # ---- jobs --------------------------------------------------------------------------------------------------------

    def join(self, job: JobId, *, priority: int) -> None:
        """A job begins."""
        self.weigh(job, priority=priority)
        self._waits[job], self._capped[job], self._calls[job] = set(), set(), set()

    def weigh(self, job: JobId, *, priority: int) -> None:
        """Let the share of a job follow its priority, from its next request on."""
        self._weights[job] = weight_of(priority)

    def leave(self, job: JobId) -> None:
        """A job has ended: all that it had is free."""
        for peer, account in list(self._accounts.items()):
            if job in account.asks:
                account.leave(job)
                self._touched.add(peer)
                if not account.asks:
                    del self._accounts[peer]
        self._line.leave(job)
        for had in (self._weights, self._waits, self._capped, self._calls):
            had.pop(job, None)

    # ---- asking ------------------------------------------------------------------------------------------------------

    def take_calls(self, job: JobId, now: float) -> frozenset[PeerKey]:
        """The peers that a job should look at: its turn has come there. Each is told once."""
        calls, self._calls[job] = self._calls[job], set()
        if self._line.first == job and self._cap.may_spend(now):
            calls |= self._capped[job]
        return frozenset(calls)

    def look(self, job: JobId, peer: PeerKey) -> None:
        """A job looks at a peer anew: it does not wait for it until it is refused again."""
        self._calls[job].discard(peer)
        if peer in self._waits[job]:
            self._waits[job].discard(peer)
            self._accounts[peer].line.step_out(job)
            self._touched.add(peer)
        if peer in self._capped[job]:
            self._capped[job].discard(peer)
            if not self._capped[job]:
                self._line.step_out(job)

    def bounded(self, job: JobId, peer: PeerKey, bytes_per_s: float) -> float:
        """A peer's speed, as far as the size of one request may follow it."""
        if self.is_shared(job, peer):
            bytes_per_s *= REQUEST_S
        return min(bytes_per_s, self._rate * REQUEST_S) if self._rate else bytes_per_s

    def is_shared(self, job: JobId, peer: PeerKey) -> bool:
        """Whether other jobs use this peer now, or would: then what is enough for it is decided here."""
        return peer in self._accounts and self._accounts[peer].is_shared(job)

    def may_ask(self, job: JobId, ask: Ask, now: float) -> bool:
        """Whether a request may be sent now; where it may not, the job waits for its turn."""
        account = self._accounts.setdefault(ask.peer, _Account())
        account.asks[job] = ask
        if not account.has_room(job) or not account.line.is_next(job):
            account.line.wait(job)
            self._waits[job].add(ask.peer)
            return False
        if not self._cap.may_spend(now) or not self._line.is_next(job):
            self._line.wait(job)
            self._capped[job].add(ask.peer)
            return False
        return True

    def asked(self, job: JobId, ask: Ask, now: float) -> None:
        """A request was sent."""
        account = self._accounts[ask.peer]
        account.requests[job] = account.requests.get(job, 0) + 1
        account.owed_bytes[job] = account.owed_bytes.get(job, 0) + ask.size_bytes
        if not ask.streams:
            self._cap.spend(ask.size_bytes, now)
            self._count(job, account, ask.size_bytes)

    def came(self, job: JobId, ask: Ask, size_bytes: int, now: float) -> None:
        """Bytes of a request came."""
        account = self._accounts[ask.peer]
        account.owed_bytes[job] -= size_bytes
        self._touched.add(ask.peer)
        if ask.streams:
            self._count(job, account, size_bytes)
            if self._streams.may_spend(now):
                self._streams.spend(size_bytes, now)
                self._cap.spend(size_bytes, now)

    def proved(self, peer: PeerKey) -> None:
        """A peer has brought a good chunk."""
        if (account := self._accounts.get(peer)) is not None:
            account.is_proven = True
            self._touched.add(peer)

    def ended(self, job: JobId, ask: Ask, owed_bytes: int) -> None:
        """A request is over; what it still owed will not come."""
        account = self._accounts[ask.peer]
        account.requests[job] -= 1
        account.owed_bytes[job] -= owed_bytes
        self._touched.add(ask.peer)
        if owed_bytes and not ask.streams:
            self._cap.give_back(owed_bytes)
            self._count(job, account, -owed_bytes)
            self._expecting = None  # the line may be free earlier than it was told

    def owed_by(self, peer: PeerKey) -> int:
        """Bytes that a peer owes all jobs together."""
        account = self._accounts.get(peer)
        return 0 if account is None else sum(account.owed_bytes.values())

    # ---- turns -------------------------------------------------------------------------------------------------------

    def is_waiting(self, job: JobId) -> bool:
        """Whether a job waits for its turn somewhere."""
        return bool(self._waits[job] or self._capped[job])

    def next_turn(self, job: JobId, now: float) -> float | None:
        """When a job should ask again though nothing happens; None where an event or a wake will tell."""
        if self._line.first != job:
            return None
        self._expecting = job
        return self._cap.free_at(now)

    def take_wakes(self, *, stepped: JobId | None = None) -> list[JobId]:
        """Who is to be woken, each once until it has taken its calls: its turn has come somewhere, or it has become
        first at the cap; `stepped` has just looked for itself and knows its deadline.
        """
        woken: dict[JobId, None] = {}
        for peer in sorted(self._touched):
            account = self._accounts.get(peer)
            first = None if account is None else account.line.first
            if account is not None and first is not None and account.has_room(first):
                if not self._calls[first]:
                    woken[first] = None
                self._calls[first].add(peer)
        self._touched.clear()
        first = self._line.first
        if first is not None and first != self._expecting:
            self._expecting = first
            if first != stepped and not self._calls[first]:
                woken[first] = None
        return list(woken)

    def check_invariants(self) -> None:
        """No peer has more requests than it bears, whatever jobs add up to; nothing is owed to nobody."""
        for peer, account in self._accounts.items():
            allowed = max(ask.requests_max for ask in account.asks.values())
            assert sum(account.requests.values()) <= allowed, f"{peer} was asked for too much"
            assert all(count >= 0 for count in (*account.requests.values(), *account.owed_bytes.values()))
            assert account.line.waiting <= set(self._weights), f"somebody who has gone waits at {peer}"

    def _count(self, job: JobId, account: _Account, size_bytes: int) -> None:
        cost = size_bytes / self._weights[job]
        for line in (account.line, self._line):
            if cost >= 0:
                line.served(job, cost)
            else:
                line.give_back(job, -cost)
