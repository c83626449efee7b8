"""What a peer vouches for: the variants of one recording that it holds, signed.

Owns: making a descriptor, and reading one with every bound checked before it is believed. Never: fetches it
(sources.overlay), decides which variant is wanted (engine.variants).

A descriptor carries its own signature, so caches and plain servers may pass it on. A bad signature, or a text that
contradicts itself, is a lie and raises PeerLiedError; what is only malformed or out of date raises PeerError.
"""

from dataclasses import dataclass

from reconciler.errors import PeerError, PeerLiedError
from reconciler.ids import Mbid, PeerId, Root, Sha256, is_mbid, is_peer_id, is_root
from reconciler.overlay.identity import CLOCK_SKEW_S, Identity, encode, verify
from reconciler.overlay.merkle import chunk_size
from reconciler.overlay.messages import ROOTS_PER_RECORDING_MAX, VERSION, blob_target
from reconciler.overlay.strictjson import Fields, Json, canonical, read_object

DESCRIPTOR_BYTES_MAX = 64 * 1024

# What is held changes slowly, and a descriptor that outlives a file costs one 410.
LIFETIME_S = 24 * 60 * 60
# A longer promise is not believed: nobody could take it back.
LIFETIME_S_MAX = 30 * LIFETIME_S

# A recording of music: 4 GiB are six hours of stereo at 24 bit and 32 kHz without compression.
AUDIO_BYTES_MAX = 4 * 1024 * 1024 * 1024
BITRATE_BPS_MAX = 100_000_000
DURATION_MS_MAX = 7 * 24 * 60 * 60 * 1000

_WORD_LENGTH_MAX = 16
_SIGNATURE_LENGTH = 86


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribedVariant:
    """One file of a recording."""

    root: Root
    size: int
    codec: str = ""
    """Upper case; empty = not said."""
    container: str = ""
    """File name extension without the dot, lower case; empty = not said."""
    lossless: bool = False
    bitrate_bps: int = 0
    """0 = not said."""
    duration_ms: int = 0
    """0 = not said."""
    sha256: Sha256 | None = None
    complete: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """What `peer` holds of `recording`."""

    recording: Mbid
    peer: PeerId
    seq: int
    """A higher one replaces a lower one of the same peer and recording."""
    issued_unix_s: int
    expires_unix_s: int
    variants: tuple[DescribedVariant, ...]


def make_descriptor(
    identity: Identity, recording: Mbid, variants: tuple[DescribedVariant, ...], *, now_unix_s: float
) -> bytes:
    """Write and sign a descriptor that is good for a day from now."""
    if len(variants) > ROOTS_PER_RECORDING_MAX:
        raise ValueError(f"{len(variants)} variants in a descriptor: at most {ROOTS_PER_RECORDING_MAX}")
    issued = int(now_unix_s)
    text: Json = {
        "v": VERSION,
        "recording": recording,
        "peer": identity.id,
        "seq": issued,
        "issued": issued,
        "expires": issued + LIFETIME_S,
        "variants": [_write_variant(variant) for variant in variants],
    }
    return canonical({**text, "sig": encode(identity.sign(canonical(text)))})


def read_descriptor(data: bytes, *, recording: Mbid, peer: PeerId, now_unix_s: float) -> Descriptor:
    """Read the descriptor that `peer` gave for `recording`; raises PeerLiedError or PeerError."""
    what = "the descriptor"
    text = read_object(data, bytes_max=DESCRIPTOR_BYTES_MAX, what=what)
    fields = Fields(text, what=what)
    fields.integer("v", low=VERSION, high=VERSION)
    signature = fields.text("sig", length_max=_SIGNATURE_LENGTH)
    descriptor = _read(fields)
    if descriptor.peer != peer:
        raise PeerLiedError(f"the descriptor is of peer {descriptor.peer}, not of {peer}")
    try:
        signed = canonical({name: value for name, value in text.items() if name != "sig"})
    except ValueError as error:  # half of a surrogate pair has no UTF-8
        raise PeerError("the descriptor holds text that is not Unicode") from error
    if not verify(peer, signed, signature):
        raise PeerLiedError("the signature of the descriptor is not the peer's")
    if descriptor.recording != recording:
        raise PeerLiedError(f"the descriptor is of recording {descriptor.recording}, asked for {recording}")
    _check_times(descriptor, now_unix_s)
    return descriptor


def _check_times(descriptor: Descriptor, now_unix_s: float) -> None:
    lifetime_s = descriptor.expires_unix_s - descriptor.issued_unix_s
    if not 0 < lifetime_s <= LIFETIME_S_MAX:
        raise PeerError(f"the descriptor is made for {lifetime_s} s, expected 1 to {LIFETIME_S_MAX}")
    if descriptor.expires_unix_s <= now_unix_s:
        raise PeerError(f"the descriptor has been out of date for {now_unix_s - descriptor.expires_unix_s:.0f} s")
    if descriptor.issued_unix_s > now_unix_s + CLOCK_SKEW_S:
        raise PeerError(f"the descriptor was issued {descriptor.issued_unix_s - now_unix_s:.0f} s ahead of our clock")


def _read(fields: Fields) -> Descriptor:
    recording = fields.text("recording", length_max=36)
    peer = fields.text("peer", length_max=43)
    if not is_mbid(recording) or not is_peer_id(peer):
        raise PeerError("the descriptor names no recording or no peer")
    variants = tuple(_read_variant(value) for value in fields.list("variants", length_max=ROOTS_PER_RECORDING_MAX))
    if len({variant.root for variant in variants}) != len(variants):
        raise PeerLiedError("the descriptor names a root twice")
    return Descriptor(
        recording=Mbid(recording),
        peer=PeerId(peer),
        seq=fields.integer("seq"),
        issued_unix_s=fields.integer("issued"),
        expires_unix_s=fields.integer("expires"),
        variants=variants,
    )


def _read_variant(value: object) -> DescribedVariant:
    fields = Fields(value, what="a variant of the descriptor")
    root = fields.text("root", length_max=64)
    sha256 = fields.text("sha256", length_max=64, default="")
    if not is_root(root) or (sha256 and not is_root(sha256)):
        raise PeerError("a variant of the descriptor has no root of 64 hex digits, or a SHA-256 that is none")
    size = fields.integer("size", low=1, high=AUDIO_BYTES_MAX)
    if fields.integer("chunk") != chunk_size(size):
        raise PeerLiedError(f"a variant of {size} bytes is said to have chunks of another size than {chunk_size(size)}")
    return DescribedVariant(
        root=Root(root),
        size=size,
        codec=fields.text("codec", length_max=_WORD_LENGTH_MAX, default="").upper(),
        container=fields.text("container", length_max=_WORD_LENGTH_MAX, default="").lower(),
        lossless=fields.flag("lossless", default=False),
        bitrate_bps=fields.integer("bitrate", high=BITRATE_BPS_MAX, default=0),
        duration_ms=fields.integer("duration_ms", high=DURATION_MS_MAX, default=0),
        sha256=Sha256(sha256) if sha256 else None,
        complete=fields.flag("complete", default=True),
    )


def _write_variant(variant: DescribedVariant) -> Json:
    said: Json = {
        "codec": variant.codec.lower(),
        "container": variant.container,
        "bitrate": variant.bitrate_bps,
        "duration_ms": variant.duration_ms,
        "sha256": variant.sha256,
    }
    return {
        "root": variant.root,
        "size": variant.size,
        "chunk": chunk_size(variant.size),
        "lossless": variant.lossless,
        "complete": variant.complete,
        "origin": "library" if variant.complete else "partial",
        "href": blob_target(variant.root),
        **{name: value for name, value in said.items() if value},
    }
