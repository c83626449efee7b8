"""Soulseek as a source: users whom a manifest names, queries within the budget, offers of what matches.

Owns: when a query is sent, how long its answers are waited for, and which files are never offered again. Never: words a
query or judges a file (both are given: sources.soulseek.queries, sources.soulseek.matching), says what an offer looks
like (sources.soulseek.offering), reads a byte, or speaks the protocol.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import Protocol
from weakref import WeakValueDictionary

from reconciler.clock import Clock
from reconciler.errors import PeerError
from reconciler.ids import TrackPosition
from reconciler.sources.base import ByteRequest, Etiquette, Found, Offer, PeerTrouble, Rejection, Variant, Want
from reconciler.sources.soulseek.ledger import Ledger
from reconciler.sources.soulseek.limits import bounded
from reconciler.sources.soulseek.network import SearchNetwork
from reconciler.sources.soulseek.offering import SOULSEEK, found_offer, named_offers, peer_key
from reconciler.sources.soulseek.search_budget import AnswerMemory
from reconciler.sources.soulseek.shared_file import SharedFile

# How long a session that is being made is waited for: a login takes a second, the first pause after a loss 5 s.
ONLINE_WITHIN_S = 30.0
ONLINE_LOOK_S = 0.25

# Answers come within a second or two from users that can be reached, later through the server. The collection ends
# when none came for a while, and in any case at the longest.
FIRST_ANSWER_WITHIN_S = 6.0
QUIET_S = 2.5
LONGEST_S = 15.0

# Queries that wait for answers at once: each brings a burst of connections from strangers.
SEARCHES_AT_ONCE = 4

# Files kept of one query.
RESULTS_MAX = 3000

# Offers and rejections told of one search: more peers than a job takes (200), and a screen of reasons.
OFFERS_MAX = 1000
REJECTIONS_MAX = 20

# Reasons of one match, told with its offer: six of them are some 150 characters.
REASONS_CHARACTERS_MAX = 400

# Claims remembered until a verdict may come: the offers of 64 jobs that run at once, and some.
CLAIMS_MAX = 100_000


class Match(Protocol):
    """A file that fits a want."""

    @property
    def position(self) -> TrackPosition:
        """Of the want."""
        ...

    @property
    def file(self) -> SharedFile:
        """What fits it."""
        ...

    @property
    def score(self) -> float:
        """Higher fits better."""
        ...

    @property
    def reasons(self) -> tuple[str, ...]:
        """What agreed and what was not known; may quote names from strangers."""
        ...


class Rejected(Protocol):
    """A folder that does not fit."""

    @property
    def username(self) -> str:
        """Whose."""
        ...

    @property
    def folder(self) -> str:
        """As its user names it."""
        ...

    @property
    def reason(self) -> str:
        """Why not."""
        ...


class Matches(Protocol):
    """What became of the files that a search found."""

    @property
    def matched(self) -> tuple[Match, ...]:
        """Files that fit."""
        ...

    @property
    def rejected(self) -> tuple[Rejected, ...]:
        """Folders that do not."""
        ...


class Query(Protocol):
    """Something to search for."""

    @property
    def text(self) -> str:
        """As it is sent."""
        ...

    @property
    def positions(self) -> tuple[TrackPosition, ...]:
        """The wants that it may find; once these are found it need not be asked."""
        ...


class QueriesOf(Protocol):
    """Words queries: for the release first, then for each track."""

    def __call__(self, wants: tuple[Want, ...], *, excluded_phrases: frozenset[str]) -> tuple[Query, ...]:
        """Give the queries in the order in which they are worth sending."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """How wants become queries, and files matches."""

    queries_of: QueriesOf
    match: Callable[[tuple[Want, ...], Iterable[SharedFile]], Matches]


class SoulseekSource:
    """Soulseek as a source; see sources.base.Source."""

    def __init__(self, network: SearchNetwork, ledger: Ledger, judgement: Judgement, *, clock: Clock) -> None:
        self._network = network
        self._ledger = ledger
        self._judgement = judgement
        self._clock = clock
        self._memory = AnswerMemory()
        self._given: OrderedDict[str, tuple[str, str, int]] = OrderedDict()
        """User, path and size of each claim that was offered."""
        self._turns = asyncio.Semaphore(SEARCHES_AT_ONCE)
        # The budget is shared by all jobs, in the order in which they came.
        self._budget = asyncio.Lock()
        self._asking: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        """Held while a query is under way, so that a second job waits for its answers instead of sending it again."""

    @property
    def name(self) -> str:
        """How traces call it."""
        return SOULSEEK

    @property
    def etiquette(self) -> Etiquette:
        """One upload at a time is what clients give a user, and each that is broken off counts as failed."""
        return Etiquette(requests_in_flight_max=1, sequential=True, vouches=False)

    async def search(self, wants: tuple[Want, ...]) -> AsyncIterator[Found]:
        """Take the users that a manifest names, then ask for the release and for the tracks that it did not bring; see
        sources.base.Source.
        """
        async for found in self._named(wants):
            yield found
        files: dict[tuple[str, str], SharedFile] = {}
        offered: set[tuple[TrackPosition, str, str]] = set()
        told: set[tuple[str, str]] = set()
        missing = {want.position for want in wants}
        for query in self._judgement.queries_of(wants, excluded_phrases=self._network.excluded_phrases):
            if missing.isdisjoint(query.positions):
                continue
            if trouble := await self._answers(query.text, files):
                yield trouble
                return
            # Thousands of names take longer to judge than the loop may stand still.
            matches = await asyncio.to_thread(self._judgement.match, wants, tuple(files.values()))
            for match in sorted(matches.matched, key=self._rank):
                offer = self._offer(match)
                key = (match.position, match.file.username, match.file.path)
                if offer is not None and key not in offered and len(offered) < OFFERS_MAX:
                    offered.add(key)
                    yield offer
            for rejected in matches.rejected:
                if len(told) < REJECTIONS_MAX and (rejected.username, rejected.folder) not in told:
                    told.add((rejected.username, rejected.folder))
                    yield _rejection(rejected.username, rejected.folder, rejected.reason)
            missing -= {position for position, _, _ in offered}

    async def chunk_hashes(self, offer: Offer) -> bytes:
        """No Soulseek user has any."""
        raise PeerError(f"{offer.peer_name} is a Soulseek user: the network knows no chunk hashes")

    def request(self, offer: Offer) -> ByteRequest:
        """Name the user and the file; see sources.base.Source."""
        return ByteRequest(endpoint=offer.endpoint, target=offer.target, headers=())

    def condemn(self, variant: Variant, reason: str) -> None:
        """Never offer again what turned out not to be what its user called it; called from any thread."""
        if (file := self._given.get(variant.claim)) is not None:
            self._ledger.condemn(*file, reason)

    async def _named(self, wants: tuple[Want, ...]) -> AsyncIterator[Found]:
        """Offer what a manifest says that users have; nobody is asked before the file itself is."""
        offers = [offer for want in wants for offer in named_offers(want)]
        if not offers:
            return
        if trouble := await self._session_trouble():
            yield trouble
            return
        # Who failed before comes later, as with what a search finds.
        for offer in sorted(offers, key=lambda offer: self._ledger.failures_of(offer.endpoint.host)):
            username, path = offer.endpoint.host, offer.target
            why_not, _ = self._ledger.may_ask(username, path, offer.variant.size)
            yield _rejection(username, path, why_not) if why_not else self._remembered(offer)

    # ---- asking ------------------------------------------------------------------------------------------------------

    async def _answers(self, query: str, files: dict[tuple[str, str], SharedFile]) -> PeerTrouble | None:
        """Add what `query` finds to `files`; gives what stands in the way."""
        asking = self._asking.setdefault(query, asyncio.Lock())
        async with asking, self._turns:
            known = self._memory.recall(query, self._clock.wall())
            if known is None:
                if trouble := await self._session_trouble():
                    return trouble
                async with self._budget:
                    await asyncio.sleep(self._ledger.search_wait_s())
                    self._ledger.search_sent()
                at = self._clock.wall()
                known = await self._collect(query)
                self._memory.keep(query, known, at)
        for each in known:
            files[each.username, each.path] = each
        return None

    async def _session_trouble(self) -> PeerTrouble | None:
        """Wait for a session that is on its way; one that will be long in coming is not waited for, but told."""
        deadline_s = self._clock.monotonic() + ONLINE_WITHIN_S
        while (status := self._network.status).state != "online":
            hopeless = status.state == "refused" or (status.retry_in_s or 0.0) > ONLINE_WITHIN_S
            if hopeless or self._clock.monotonic() >= deadline_s:
                message = bounded(f"the session is {status.state}: {status.reason}")
                return PeerTrouble(peer=peer_key("server"), source=SOULSEEK, code="unreachable", message=message)
            await asyncio.sleep(ONLINE_LOOK_S)
        return None

    async def _collect(self, query: str) -> tuple[SharedFile, ...]:
        """Send the query and take answers until they dry up."""
        found: list[SharedFile] = []
        began_s = self._clock.monotonic()
        quiet_at_s = began_s + FIRST_ANSWER_WITHIN_S
        async with self._network.search(query) as answers:
            while len(found) < RESULTS_MAX:
                until_s = min(quiet_at_s, began_s + LONGEST_S)
                try:
                    async with asyncio.timeout(until_s - self._clock.monotonic()):
                        found += await answers.get()
                except TimeoutError:
                    break
                quiet_at_s = max(self._clock.monotonic() + QUIET_S, began_s + QUIET_S)
        return tuple(found[:RESULTS_MAX])

    # ---- offering ----------------------------------------------------------------------------------------------------

    def _rank(self, match: Match) -> tuple[int, float, bool, int, int]:
        """Users that failed come later; then what fits better, can be had at once, and comes quickly."""
        file = match.file
        failures = self._ledger.failures_of(file.username)
        return failures, -match.score, not file.free_slot, file.queue_length, -file.speed_bytes_per_s

    def _offer(self, match: Match) -> Offer | None:
        file = match.file
        why_not, _ = self._ledger.may_ask(file.username, file.path, file.size)
        if why_not:
            return None
        matched = bounded(f"score {match.score:.2f}: {'; '.join(match.reasons)}", chars_max=REASONS_CHARACTERS_MAX)
        return self._remembered(found_offer(match.position, file, matched=matched))

    def _remembered(self, offer: Offer) -> Offer:
        """The same offer, once it is known which file a verdict on it is of."""
        self._given[offer.variant.claim] = (offer.endpoint.host, offer.target, offer.variant.size)
        if len(self._given) > CLAIMS_MAX:
            self._given.popitem(last=False)
        return offer


def _rejection(username: str, what: str, reason: str) -> Rejection:
    return Rejection(peer=peer_key(username), source=SOULSEEK, what=bounded(what), reason=bounded(reason))
