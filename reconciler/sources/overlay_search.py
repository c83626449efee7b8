"""What one overlay peer is asked in one search, and what its answers are worth.

Owns: the order of the questions, and holding each answer against what was asked. Never: opens a connection, signs.

First one question about all recordings and roots (`have`), then a descriptor for each recording that the peer holds.
Whatever a peer says beyond what it was asked is ignored; what contradicts a want's known size is a lie.
"""

import asyncio
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Literal, Protocol

from reconciler.clock import Clock
from reconciler.errors import PeerError, PeerLiedError
from reconciler.ids import Mbid, Root
from reconciler.manifests.model import OverlayPeerSource
from reconciler.overlay.descriptor import DESCRIPTOR_BYTES_MAX, DescribedVariant, read_descriptor
from reconciler.overlay.merkle import chunk_count
from reconciler.overlay.messages import (
    HAVE_ANSWER_BYTES_MAX,
    HAVE_IDS_MAX,
    HAVE_TARGET,
    HaveAnswer,
    HaveQuestion,
    bitfield_target,
    blob_target,
    chunks_target,
    read_bitfield,
    recording_target,
)
from reconciler.sources.base import Endpoint, Found, Offer, PeerKey, PeerTrouble, Variant, Want
from reconciler.sources.control import Answer, NoAnswerError, TroubleCode, place

OVERLAY = "overlay"

_NOT_HELD = frozenset({404, 410})
_REFUSALS = frozenset({401, 403, 429, 503})


class Ask(Protocol):
    """How a request is sent."""

    async def __call__(
        self,
        endpoint: Endpoint,
        method: Literal["GET", "POST"],
        target: str,
        *,
        bytes_max: int,
        body: bytes | None = None,
    ) -> Answer:
        """Send one signed request to a peer; raises NoAnswerError."""
        ...


class PeerSearch:
    """One peer's part of one search; what it finds goes to `found` at once."""

    def __init__(
        self,
        peer: OverlayPeerSource,
        wants: tuple[Want, ...],
        *,
        ask: Ask,
        found: Callable[[Found], None],
        clock: Clock,
    ) -> None:
        self._peer = peer
        self._of_recording: dict[Mbid, list[Want]] = {}
        self._of_root: dict[Root, list[Want]] = {}
        for want in wants:
            if want.recording is not None:
                self._of_recording.setdefault(want.recording, []).append(want)
            if want.root is not None:
                self._of_root.setdefault(want.root, []).append(want)
        self._ask = ask
        self._found = found
        self._clock = clock
        self._key = PeerKey(f"{OVERLAY}:{peer.peer}")
        self._endpoint = Endpoint(host=peer.host, port=peer.port, tls=True, pin=peer.peer)
        self._offered: set[tuple[int, Root]] = set()
        self._troubled = False

    async def run(self) -> None:
        """Ask everything; the first trouble is told, and ends what depends on it."""
        try:
            recordings, roots = await self._have()
            async with asyncio.TaskGroup() as group:
                for recording in recordings:
                    group.create_task(self._describe(recording))
            await self._offer_roots(roots)
        except PeerError as error:
            self.trouble(error)

    def trouble(self, error: PeerError) -> None:
        """Tell of this peer's first trouble; more of the same search would only repeat it."""
        if not self._troubled:
            self._troubled = True
            code: TroubleCode = "lied" if isinstance(error, PeerLiedError) else "bad answer"
            if isinstance(error, NoAnswerError):
                code = error.code
            self._found(PeerTrouble(peer=self._key, source=OVERLAY, code=code, message=error.message))

    async def _have(self) -> tuple[set[Mbid], dict[Root, tuple[int, bool]]]:
        """Ask which of the wanted recordings and roots the peer holds."""
        held_recordings: set[Mbid] = set()
        held_roots: dict[Root, tuple[int, bool]] = {}
        for batch in range(0, max(len(self._of_recording), len(self._of_root)), HAVE_IDS_MAX):
            question = HaveQuestion(
                recordings=tuple(islice(self._of_recording, batch, batch + HAVE_IDS_MAX)),
                roots=tuple(islice(self._of_root, batch, batch + HAVE_IDS_MAX)),
            )
            answer = await self._ask(
                self._endpoint, "POST", HAVE_TARGET, bytes_max=HAVE_ANSWER_BYTES_MAX, body=question.write()
            )
            have = HaveAnswer.read(self._good(answer))
            held_recordings.update(recording for recording in question.recordings if have.recordings.get(recording))
            for root in question.roots:
                if (held := have.roots.get(root)) is not None:
                    held_roots[root] = (held.size, held.complete)
        return held_recordings, held_roots

    async def _describe(self, recording: Mbid) -> None:
        """Fetch the descriptor of a recording and offer what is wanted of it."""
        try:
            answer = await self._ask(self._endpoint, "GET", recording_target(recording), bytes_max=DESCRIPTOR_BYTES_MAX)
            if answer.status in _NOT_HELD:
                return  # it has gone since the question before
            descriptor = read_descriptor(
                self._good(answer), recording=recording, peer=self._peer.peer, now_unix_s=self._clock.wall()
            )
            for variant in descriptor.variants:
                await self._offer(variant, self._of_recording[recording])
        except PeerError as error:
            self.trouble(error)

    async def _offer_roots(self, roots: dict[Root, tuple[int, bool]]) -> None:
        """Offer the roots that no descriptor has named; all that is known of them is their size."""
        for root, (size, complete) in roots.items():
            await self._offer(DescribedVariant(root=root, size=size, complete=complete), self._of_root[root])

    async def _offer(self, variant: DescribedVariant, wants: Iterable[Want]) -> None:
        wants = [
            want for want in wants if _is_wanted(variant, want) and (want.position, variant.root) not in self._offered
        ]
        if not wants:
            return
        holds = None if variant.complete else await self._holds(variant)
        for want in wants:
            self._offered.add((want.position, variant.root))
            self._found(self._offer_of(variant, want, holds))

    async def _holds(self, variant: DescribedVariant) -> frozenset[int]:
        """Ask a partial holder which chunks it has."""
        count = chunk_count(variant.size)
        answer = await self._ask(self._endpoint, "GET", bitfield_target(variant.root), bytes_max=-(-count // 8))
        return read_bitfield(self._good(answer), count=count)

    def _offer_of(self, variant: DescribedVariant, want: Want, holds: frozenset[int] | None) -> Offer:
        return Offer(
            position=want.position,
            peer=self._key,
            source=OVERLAY,
            variant=Variant(
                root=variant.root,
                # The root names the bytes. A SHA-256 that only a peer states proves nothing, and a wrong one would make
                # right bytes fail: the want's own counts alone.
                sha256=want.sha256,
                size=variant.size,
                codec=variant.codec,
                container=variant.container,
                lossless=variant.lossless,
                bitrate_bps=variant.bitrate_bps,
                duration_ms=variant.duration_ms,
            ),
            endpoint=self._endpoint,
            target=blob_target(variant.root),
            chunk_list_target=chunks_target(variant.root),
            signed=True,
            complete=variant.complete,
            holds=holds,
        )

    def _good(self, answer: Answer) -> bytes:
        """The body of a 200; raises NoAnswerError for any other status."""
        if answer.ok:
            return answer.body
        code: TroubleCode = "refused" if answer.status in _REFUSALS else "bad answer"
        raise NoAnswerError(code, f"{place(self._endpoint)} answered {answer.status}")


def _is_wanted(variant: DescribedVariant, want: Want) -> bool:
    """Whether these are the bytes that are wanted; raises PeerLiedError where their size is not the known one."""
    if want.root is not None and variant.root != want.root:
        return False
    if want.root is None and want.sha256 is not None and variant.sha256 != want.sha256:
        return False
    if want.size is None or want.size == variant.size:
        return True
    if want.root is None and want.sha256 is None:
        return False
    raise PeerLiedError(f"{variant.root} is said to have {variant.size} bytes; it has {want.size}")
