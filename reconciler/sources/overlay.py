"""Ask overlay peers what they hold.

Owns: who is asked about what, and requests signed with our identity. Never: reads the bytes of a file (engine.lanes),
trusts a size, a list or a descriptor further than its signature and its own words reach.

Static peers are asked about every want; a want's explicit overlay peers about that want alone. What one peer is asked
in one search is sources.overlay_search.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from typing import Literal

from reconciler.clock import Clock
from reconciler.ids import PeerId
from reconciler.manifests.model import OverlayPeerSource
from reconciler.overlay.identity import NONCE_BYTES, Identity
from reconciler.overlay.merkle import HASH_BYTES, chunk_count
from reconciler.overlay.messages import AGENT
from reconciler.overlay.tls import PinnedContext
from reconciler.sources.base import ByteRequest, Endpoint, Etiquette, Found, Offer, Want
from reconciler.sources.control import Answer, Control, NoAnswerError, place
from reconciler.sources.overlay_search import OVERLAY, PeerSearch

# Peers asked at once; the others wait their turn within the same deadline.
PEERS_ASKED_MAX = 32

# A TLS context costs 0.3 ms and some 100 kB; those of the peers asked last are kept, and with them their connections.
CONTEXTS_MAX = 256


class OverlaySource:
    """The overlay as a source."""

    def __init__(
        self,
        *,
        identity: Identity,
        peers: tuple[OverlayPeerSource, ...],
        clock: Clock,
        entropy: Callable[[int], bytes],
        timeout_s: float,
    ) -> None:
        """`entropy` gives random bytes for nonces; `timeout_s` bounds a search, and each request outside of one."""
        self._identity = identity
        self._peers = peers
        self._clock = clock
        self._entropy = entropy
        self._timeout_s = timeout_s
        self._control = Control(timeout_s=timeout_s)
        self._contexts: OrderedDict[PeerId, PinnedContext] = OrderedDict()
        self._turns = asyncio.Semaphore(PEERS_ASKED_MAX)

    @property
    def name(self) -> str:
        """How traces call it."""
        return OVERLAY

    @property
    def etiquette(self) -> Etiquette:
        """Overlay servers are made for ranges in any order; four in flight hide the round trips."""
        return Etiquette(requests_in_flight_max=4)

    async def search(self, wants: tuple[Want, ...]) -> AsyncIterator[Found]:
        """Ask every peer about every want that concerns it; see sources.base.Source."""
        # Bounded by construction: an offer for each peer, want and variant (32), one trouble for each peer.
        found: asyncio.Queue[Found | None] = asyncio.Queue()
        asking = asyncio.create_task(self._ask_all(self._plan(wants), found), name="overlay-search")
        try:
            while (one := await found.get()) is not None:
                yield one
            await asking
        finally:
            asking.cancel()
            await asyncio.wait([asking])

    async def chunk_hashes(self, offer: Offer) -> bytes:
        """Fetch the chunk list of an offer; see sources.base.Source."""
        count = chunk_count(offer.variant.size)
        if count == 1 and offer.variant.root is not None:
            return bytes.fromhex(offer.variant.root)  # BEP 52: the only chunk's hash is the root, there is no list
        answer = await self.ask(offer.endpoint, "GET", offer.chunk_list_target, bytes_max=count * HASH_BYTES)
        if not answer.ok or len(answer.body) != count * HASH_BYTES:
            raise NoAnswerError(
                "bad answer" if answer.ok else "refused",
                f"{place(offer.endpoint)} answered {answer.status} with {len(answer.body)} bytes"
                f" instead of a chunk list of {count * HASH_BYTES}",
            )
        return answer.body

    def request(self, offer: Offer) -> ByteRequest:
        """Sign one request for bytes of an offer; see sources.base.Source."""
        headers = (("User-Agent", AGENT), ("Authorization", self._signature(offer.endpoint, "GET", offer.target)))
        return ByteRequest(endpoint=offer.endpoint, target=offer.target, headers=headers)

    async def ask(
        self,
        endpoint: Endpoint,
        method: Literal["GET", "POST"],
        target: str,
        *,
        bytes_max: int,
        body: bytes | None = None,
    ) -> Answer:
        """Send one signed control request to a pinned peer; raises NoAnswerError."""
        return await self._control.ask(
            endpoint,
            method,
            target,
            bytes_max=bytes_max,
            headers={"Authorization": self._signature(endpoint, method, target)},
            body=body,
            context=self._context(_pin(endpoint)),
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._control.close()

    def _plan(self, wants: tuple[Want, ...]) -> dict[OverlayPeerSource, tuple[Want, ...]]:
        askable = tuple(want for want in wants if want.recording is not None or want.root is not None)
        named: dict[OverlayPeerSource, list[Want]] = {}
        for want in askable:
            for source in dict.fromkeys(want.sources):
                if isinstance(source, OverlayPeerSource):
                    named.setdefault(source, []).append(want)
        return {peer: tuple(asked) for peer, asked in named.items()} | dict.fromkeys(self._peers, askable)

    async def _ask_all(
        self, plan: dict[OverlayPeerSource, tuple[Want, ...]], found: asyncio.Queue[Found | None]
    ) -> None:
        deadline_s = asyncio.get_running_loop().time() + self._timeout_s
        try:
            async with asyncio.TaskGroup() as group:
                for peer, wants in plan.items():
                    search = PeerSearch(peer, wants, ask=self.ask, found=found.put_nowait, clock=self._clock)
                    group.create_task(self._ask_one(search, deadline_s))
        finally:
            found.put_nowait(None)

    async def _ask_one(self, search: PeerSearch, deadline_s: float) -> None:
        try:
            async with asyncio.timeout_at(deadline_s), self._turns:
                await search.run()
        except TimeoutError:
            search.trouble(NoAnswerError("unreachable", f"no answer within {self._timeout_s:g} s"))

    def _signature(self, endpoint: Endpoint, method: str, target: str) -> str:
        return self._identity.authorization(
            _pin(endpoint), method, target, unix_s=int(self._clock.wall()), nonce=self._entropy(NONCE_BYTES)
        )

    def _context(self, pin: PeerId) -> PinnedContext:
        context = self._contexts.pop(pin, None) or PinnedContext(pin)
        self._contexts[pin] = context
        if len(self._contexts) > CONTEXTS_MAX:
            self._contexts.popitem(last=False)
        return context


def _pin(endpoint: Endpoint) -> PeerId:
    assert endpoint.pin is not None, "an overlay peer is always pinned"
    return endpoint.pin
