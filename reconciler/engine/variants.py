"""Which exact bytes to fetch for a track, out of everything that peers offer.

Owns: the filter by constraints and the ranking, each rejection with its reason. Never: asks a peer.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from reconciler.engine.order import TrackOrder
from reconciler.manifests.model import Constraints
from reconciler.sources.base import Offer, Variant


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A variant that was not taken, and why."""

    variant: Variant
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The variants that may be fetched, best first, and the others with reasons."""

    acceptable: tuple[Variant, ...]
    rejected: tuple[Rejected, ...]


def choose(
    order: TrackOrder,
    offers: Iterable[Offer],
    *,
    constraints: Constraints,
    lossy_allowed: bool,
    refused: Collection[str],
    origins: Collection[str],
) -> Choice:
    """Rank the offered variants of one track.

    `lossy_allowed` is what the album's cap on lossy tracks leaves; `refused` are ids that were tried and found wanting;
    `origins` are the sources that come before others of equal quality.
    Order: codec preference, then lossless, then origins, then what can be verified chunk by chunk, then (with
    `prefer_canonical`) the number of distinct peers that hold it, then size.
    """
    holders: dict[str, set[str]] = {}
    of_origin: set[str] = set()
    variants: dict[str, Variant] = {}
    for offer in offers:
        variants.setdefault(offer.variant.id, offer.variant)
        holders.setdefault(offer.variant.id, set()).add(offer.peer)
        if offer.source in origins:
            of_origin.add(offer.variant.id)
    acceptable: list[Variant] = []
    rejected: list[Rejected] = []
    for identity, variant in variants.items():
        reason = (
            "tried and found wanting" if identity in refused else _unfit(order, variant, constraints, lossy_allowed)
        )
        if reason:
            rejected.append(Rejected(variant=variant, reason=reason))
        else:
            acceptable.append(variant)

    def rank(variant: Variant) -> tuple[int, bool, bool, bool, int, int, str]:
        peers = len(holders[variant.id]) if constraints.prefer_canonical else 0
        quality = _codec_rank(variant, constraints), not variant.lossless
        return *quality, variant.id not in of_origin, variant.root is None, -peers, -variant.size, variant.id

    return Choice(acceptable=tuple(sorted(acceptable, key=rank)), rejected=tuple(rejected))


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
