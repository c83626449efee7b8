"""Which exact bytes to fetch for a track, out of everything that peers offer.

Owns: the filter by constraints and the ranking, each rejection with its reason. Never: asks a peer.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from reconciler.engine.order import TrackOrder
from reconciler.manifests.model import Constraints
from reconciler.sources.base import Offer, Variant


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A variant that was not taken, and why."""

    variant: Variant
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What counts beside the variants themselves."""

    lossy_allowed: bool
    """What the album's cap on lossy tracks leaves."""
    refused: Collection[str]
    """Ids of variants that were tried and found wanting."""
    origins: Collection[str]
    """Sources that come before others of equal quality."""
    coverage: Mapping[str, int] = field(default_factory=dict)
    """How many tracks of the job each folder has."""


@dataclass(slots=True)
class _Support:
    """Who stands behind a variant."""

    holders: set[str] = field(default_factory=set)
    of_origin: bool = False
    coverage: int = 0
    sooner: tuple[bool, int, int] = (True, 0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The variants that may be fetched, best first, and the others with reasons."""

    acceptable: tuple[Variant, ...]
    rejected: tuple[Rejected, ...]


def choose(order: TrackOrder, offers: Iterable[Offer], *, constraints: Constraints, standing: Standing) -> Choice:
    """Rank the offered variants of one track.

    Order: codec preference, then lossless, then origins, then what can be verified chunk by chunk, then the folder that
    has most of the album, then (with `prefer_canonical`) the number of distinct peers that hold it, then how soon it
    can be had, then size.
    """
    variants: dict[str, Variant] = {}
    support: defaultdict[str, _Support] = defaultdict(_Support)
    holders: defaultdict[str, set[str]] = defaultdict(set)
    for offer in offers:
        variants.setdefault(offer.variant.id, offer.variant)
        holders[likeness(offer.variant)].add(offer.peer)
        _count(support[offer.variant.id], offer, standing)
    acceptable: list[Variant] = []
    rejected: list[Rejected] = []
    for identity, variant in variants.items():
        reason = (
            "tried and found wanting"
            if identity in standing.refused
            else _unfit(order, variant, constraints, standing.lossy_allowed)
        )
        if reason:
            rejected.append(Rejected(variant=variant, reason=reason))
        else:
            acceptable.append(variant)

    def rank(variant: Variant) -> tuple[object, ...]:
        behind = support[variant.id]
        peers = len(holders[likeness(variant)]) if constraints.prefer_canonical else 0
        quality = _codec_rank(variant, constraints), not variant.lossless, not behind.of_origin, variant.root is None
        return *quality, -behind.coverage, -peers, behind.sooner, -variant.size, variant.id

    return Choice(acceptable=tuple(sorted(acceptable, key=rank)), rejected=tuple(rejected))


def likeness(variant: Variant) -> str:
    """What two variants have in common that are very probably the same bytes.

    A root or SHA-256 says so; of what peers only claim, the same size to the byte in the same codec does as a rule. The
    whole file then proves it or not.
    """
    if variant.root or variant.sha256:
        return variant.id
    return f"{variant.size} {variant.codec} {variant.container}"


def _count(support: _Support, offer: Offer, standing: Standing) -> None:
    said = offer.availability
    sooner = not said.free_slot, said.queue_length, -said.speed_bytes_per_s
    support.sooner = sooner if not support.holders else min(support.sooner, sooner)
    support.holders.add(offer.peer)
    support.of_origin |= offer.source in standing.origins
    support.coverage = max(support.coverage, standing.coverage.get(offer.folder, 0))


def _codec_rank(variant: Variant, constraints: Constraints) -> int:
    codecs = [codec.upper() for codec in constraints.preferred_codecs]
    return codecs.index(variant.codec.upper()) if variant.codec.upper() in codecs else len(codecs)


def _unfit(order: TrackOrder, variant: Variant, constraints: Constraints, lossy_allowed: bool) -> str:  # noqa: FBT001, PLR0911 - one reason a line reads best
    """Why `variant` may not be fetched for `order`; empty = it may."""
    want = order.want
    if want.root and variant.root and want.root != variant.root:
        return "another root than the manifest names"
    if want.sha256 and variant.sha256 and want.sha256 != variant.sha256:
        return "another SHA-256 than the manifest names"
    if want.size is not None and want.size != variant.size:
        return f"{variant.size} bytes, the manifest says {want.size}"
    if want.root or want.sha256:
        return ""  # the person named the very bytes: nothing else is up for choice
    if not variant.lossless and not constraints.allow_lossy:
        return "lossy, and the manifest allows none"
    if not variant.lossless and not lossy_allowed:
        return "lossy, and the album has as many lossy tracks as the manifest allows"
    if not variant.lossless and variant.bitrate_bps < constraints.min_bitrate_kbps * 1000:
        return f"{variant.bitrate_bps // 1000} kbit/s, the manifest asks for {constraints.min_bitrate_kbps} or more"
    if order.duration_ms and variant.duration_ms:
        off_ms = abs(variant.duration_ms - order.duration_ms)
        if off_ms > constraints.duration_tolerance_ms:
            return f"its duration is off by {off_ms} ms, the manifest tolerates {constraints.duration_tolerance_ms}"
    return ""
