"""What an offer of a Soulseek user's file looks like.

Owns: how user and file are named in it, and what is believed of a file by its extension. Never: decides whether it is
made (sources.soulseek.source).

No user knows a hash. A file that a search found has none, and nothing can be verified before the whole is here: it is
known by a claim, its user's word. For one that a manifest names by user and path, the manifest says which bytes it is
to have: everybody whom it names may bring a part of the same file.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import replace

from reconciler.ids import TrackPosition
from reconciler.manifests.model import SoulseekSource
from reconciler.sources.base import Availability, Endpoint, Offer, PeerKey, Variant, Want
from reconciler.sources.soulseek.shared_file import SharedFile

SOULSEEK = "soulseek"

# By extension: codec as constraints name it, and whether it is lossless. ALAC hides in m4a and is not known by it.
CODECS = {
    "flac": ("FLAC", True),
    "wav": ("WAV", True),
    "aiff": ("AIFF", True),
    "aif": ("AIFF", True),
    "ape": ("APE", True),
    "wv": ("WAVPACK", True),
    "mp3": ("MP3", False),
    "m4a": ("AAC", False),
    "aac": ("AAC", False),
    "ogg": ("VORBIS", False),
    "opus": ("OPUS", False),
    "wma": ("WMA", False),
}


def peer_key(username: str) -> PeerKey:
    """A user across jobs."""
    return PeerKey(f"{SOULSEEK}:{username}")


def claim_of(username: str, path: str, size: int) -> str:
    """What one user calls one file, digested: the name of a variant of which nothing else is known."""
    return hashlib.sha256(f"{username}\0{path}\0{size}".encode(errors="surrogatepass")).hexdigest()


def found_offer(position: TrackPosition, file: SharedFile, *, matched: str) -> Offer:
    """The offer of a file that a search found, and why it is taken for what is wanted."""
    codec, lossless = CODECS.get(file.extension, ("", False))
    variant = Variant(
        root=None,
        claim=claim_of(file.username, file.path, file.size),
        size=file.size,
        codec=codec,
        container=file.extension,
        lossless=lossless,
        bitrate_bps=(file.bitrate_kbps or 0) * 1000,
        duration_ms=(file.duration_s or 0) * 1000,
    )
    said = Availability(
        free_slot=file.free_slot, queue_length=file.queue_length, speed_bytes_per_s=file.speed_bytes_per_s
    )
    offer = _offer(position, variant, username=file.username, path=file.path)
    return replace(offer, availability=said, matched=matched)


def named_offers(want: Want) -> Iterator[Offer]:
    """The offers of the users who have a file by what its manifest says."""
    if not want.size or not (want.root or want.sha256):
        return
    for source in want.sources:
        if isinstance(source, SoulseekSource):
            claim = claim_of(source.username, source.filename, want.size)
            variant = Variant(root=want.root, sha256=want.sha256, claim=claim, size=want.size)
            yield _offer(want.position, variant, username=source.username, path=source.filename)


def _offer(position: TrackPosition, variant: Variant, *, username: str, path: str) -> Offer:
    return Offer(
        position=position,
        peer=peer_key(username),
        source=SOULSEEK,
        variant=variant,
        endpoint=Endpoint(host=username, port=0, tls=False),
        target=path,
        folder="\\".join((username, path.rpartition("\\")[0])),
    )
