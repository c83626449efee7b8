"""Take files from plain HTTP servers, by the URLs that a manifest names.

Owns: offers made of URLs, and where the chunk list of such a file may be. Never: contacts a server to make an offer:
size and root or SHA-256 stand in the manifest, and whether the server keeps to them shows with the first range.
"""

from collections import OrderedDict
from collections.abc import AsyncIterator

from reconciler.errors import InvalidInputError
from reconciler.manifests.model import UrlSource
from reconciler.overlay.merkle import HASH_BYTES, chunk_count
from reconciler.overlay.messages import AGENT
from reconciler.sources.base import ByteRequest, Endpoint, Etiquette, Found, Offer, PeerKey, PeerTrouble, Variant, Want
from reconciler.sources.control import Control, NoAnswerError, place
from reconciler.sources.urls import Location, read_url, sidecar

HTTP = "http"

# Variants whose chunk list has a URL of its own, the last ones searched for: a job of 10,000 files has room.
LISTS_REMEMBERED_MAX = 16_384


class HttpSource:
    """Plain HTTP servers as a source."""

    def __init__(self, *, timeout_s: float) -> None:
        """`timeout_s` bounds the request for a chunk list; a search takes no time."""
        self._control = Control(timeout_s=timeout_s)
        self._lists: OrderedDict[str, Location] = OrderedDict()

    @property
    def name(self) -> str:
        """How traces call it."""
        return HTTP

    @property
    def etiquette(self) -> Etiquette:
        """Somebody else's server: two at once, as a browser would, in any order."""
        return Etiquette(requests_in_flight_max=2)

    async def search(self, wants: tuple[Want, ...]) -> AsyncIterator[Found]:
        """Make an offer of each URL of each want; see sources.base.Source."""
        for want in wants:
            chunk_list = None
            if want.chunk_hashes_url is not None:
                try:
                    chunk_list = read_url(want.chunk_hashes_url)
                except InvalidInputError as error:
                    yield _trouble(want.chunk_hashes_url, error)
            for source in want.sources:
                if isinstance(source, UrlSource) and want.size and (want.root or want.sha256):
                    try:
                        yield self._offer(want, want.size, read_url(source.url), chunk_list)
                    except InvalidInputError as error:
                        yield _trouble(source.url, error)

    async def chunk_hashes(self, offer: Offer) -> bytes:
        """Fetch the chunk list from where the manifest says, else from beside the file; see sources.base.Source."""
        count = chunk_count(offer.variant.size)
        if count == 1 and offer.variant.root is not None:
            return bytes.fromhex(offer.variant.root)  # BEP 52: the only chunk's hash is the root, there is no list
        named = self._lists.get(offer.variant.id)
        beside = Location(endpoint=offer.endpoint, target=sidecar(offer.target))
        failures: list[str] = []
        for location in (beside,) if named is None else (named, beside):
            try:
                return await self._fetch(location, count * HASH_BYTES)
            except NoAnswerError as error:
                failures.append(error.message)
        raise NoAnswerError("refused", f"no chunk list for {offer.variant.id}: {'; '.join(failures)}")

    def request(self, offer: Offer) -> ByteRequest:
        """Prepare one request; see sources.base.Source."""
        return ByteRequest(endpoint=offer.endpoint, target=offer.target, headers=(("User-Agent", AGENT),))

    async def close(self) -> None:
        """Close every connection."""
        await self._control.close()

    def _offer(self, want: Want, size: int, location: Location, chunk_list: Location | None) -> Offer:
        variant = Variant(root=want.root, sha256=want.sha256, size=size)
        here = chunk_list is not None and chunk_list.endpoint == location.endpoint
        if chunk_list is not None:
            self._remember(variant.id, chunk_list)
        return Offer(
            position=want.position,
            peer=_key(location.endpoint),
            source=HTTP,
            variant=variant,
            endpoint=location.endpoint,
            target=location.target,
            chunk_list_target=chunk_list.target if chunk_list is not None and here else sidecar(location.target),
        )

    def _remember(self, variant_id: str, chunk_list: Location) -> None:
        self._lists[variant_id] = chunk_list
        self._lists.move_to_end(variant_id)
        if len(self._lists) > LISTS_REMEMBERED_MAX:
            self._lists.popitem(last=False)

    async def _fetch(self, location: Location, size: int) -> bytes:
        answer = await self._control.ask(location.endpoint, "GET", location.target, bytes_max=size)
        if not answer.ok or len(answer.body) != size:
            where = f"{place(location.endpoint)}{location.target[:100]}"
            raise NoAnswerError("refused", f"{where} answered {answer.status} with {len(answer.body)} of {size} bytes")
        return answer.body


def _key(endpoint: Endpoint) -> PeerKey:
    return PeerKey(f"{HTTP}:{place(endpoint)}")


def _trouble(url: str, error: InvalidInputError) -> PeerTrouble:
    key = PeerKey(f"{HTTP}:{url[:100]}")
    return PeerTrouble(peer=key, source=HTTP, code="refused", message=error.message)
