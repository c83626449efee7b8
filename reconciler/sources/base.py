"""The contract of a source, in prose and in types.

Owns: what the engine may ask of a network, and in which words the answer comes. Never: asks.

A source finds *offers*: a peer says that it holds a variant, one exact sequence of bytes. It fetches the chunk list of
a variant, unverified; the engine checks it against the root. It prepares the request by which a lane (engine.lanes)
reads a range; the bytes themselves never pass through a source.

What every source keeps to:
1. `search` yields offers as they are found and ends by itself, within the deadline that it was built with. A peer that
   cannot be reached is a `PeerTrouble`, not an exception: one dead peer never ends a search. What was found and does
   not fit is a `Rejection`, so that a trace can tell why.
2. Text in an offer comes from strangers. It is bounded by the source and never becomes a path.
3. `chunk_hashes` and `request` concern one offer and may raise PeerError; the engine then looks at the next.
4. Its etiquette is data: how many requests one peer may be sent at once, and whether it may be asked for ranges in any
   order or for one stream only, from where we are to the end.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import NewType, Protocol

from reconciler.ids import Mbid, PeerId, Root, Sha256, TrackPosition
from reconciler.manifests.model import ExplicitSource, Pieces

PeerKey = NewType("PeerKey", str)
"""`<source>:<name>`, as `overlay:<peer id>` or `http:<host>:<port>`: a peer across jobs, for statistics, bans and
traces.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Etiquette:
    """What a peer of this source is asked to bear."""

    requests_in_flight_max: int
    """Requests that one peer may have open at once."""
    sequential: bool = False
    """Bytes come as one stream in order: a request names where it begins and runs to the end of the file.

    Ending it early counts as a failure at the other side, so it is done only where somebody else brings the rest.
    """
    vouches: bool = True
    """Whether a peer is taken at its word that it has the very bytes: with others it has lied.

    False where its users share names alone: that these are the wanted bytes is said by a search or a manifest.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What people call a track: what a network without ids is searched by."""

    title: str
    artist: str = ""
    """Of the track, as credited; empty = not known."""
    album: str = ""
    """Title of the release; empty = not known."""
    albumartist: str = ""
    """Empty = not known."""
    track_number: int
    """On its medium, from 1."""
    medium: int = 1
    media: int = 1
    """How many media the release has."""
    duration_ms: int | None = None
    """None = not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """What a job looks for: one track or file."""

    position: TrackPosition
    recording: Mbid | None = None
    root: Root | None = None
    sha256: Sha256 | None = None
    size: int | None = None
    """Bytes; known where the manifest states it."""
    chunk_hashes_url: str | None = None
    pieces: Pieces | None = None
    sources: tuple[ExplicitSource, ...] = ()
    words: Words | None = None
    """None for a file that is known by its bytes alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a lane connects to, and what it must meet there before it sends a byte."""

    host: str
    port: int
    tls: bool
    pin: PeerId | None = None
    """With TLS: the Ed25519 key that must answer. None = the certificate must be valid for `host` by the system's
    authorities.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One exact sequence of bytes that may satisfy a want; known by its root, else by its whole-file SHA-256, else only
    as what one peer calls so.
    """

    root: Root | None
    sha256: Sha256 | None = None
    claim: str = ""
    """Who holds it and what they call it, digested to printable ASCII without spaces; where there is neither root nor
    SHA-256, all that is known of it. Empty where its source keeps no account of single files.
    """
    size: int
    codec: str = ""
    """Upper case (`FLAC`, `MP3`); empty = not said."""
    container: str = ""
    """File name extension without the dot, lower case; empty = not said."""
    lossless: bool = False
    bitrate_bps: int = 0
    duration_ms: int = 0
    """0 = not said."""

    @property
    def id(self) -> str:
        """What traces call it: the root, else `sha256:` and the digest, else `claim:` and what the peer calls it."""
        if self.root:
            return self.root
        return f"sha256:{self.sha256}" if self.sha256 else f"claim:{self.claim}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Availability:
    """What a peer says of how soon it could send."""

    free_slot: bool = True
    queue_length: int = 0
    """Requests of others before ours."""
    speed_bytes_per_s: int = 0
    """Its own word; 0 = it does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A peer says that it holds a variant of what is wanted at `position`."""

    position: TrackPosition
    peer: PeerKey
    source: str
    """The source's name: `overlay`, `http`."""
    variant: Variant
    endpoint: Endpoint
    target: str
    """Request target (origin form) of the variant's bytes."""
    chunk_list_target: str = ""
    """Request target of the chunk list at the same endpoint; empty = this peer has none."""
    signed: bool = False
    """Whether requests carry our identity's signature."""
    complete: bool = True
    holds: frozenset[int] | None = None
    """Chunks that a partial holder has; None = all."""
    folder: str = ""
    """Whose folder it lies in, where a peer shares whole albums: files of one folder are of one edition and encode."""
    availability: Availability = Availability()
    matched: str = ""
    """Why it is taken for what is wanted, with a score, where names had to be compared; for a trace."""

    @property
    def peer_name(self) -> str:
        """The peer's name without its source's: what a trace shows."""
        return self.peer.partition(":")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerTrouble:
    """A peer that was asked and did not give a usable answer."""

    peer: PeerKey
    source: str
    code: str
    """One of `unreachable`, `wrong identity`, `refused`, `bad answer`, `lied`."""
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """Something that a peer has and that is not asked for: a decision of ours, and no fault of the peer's."""

    peer: PeerKey
    source: str
    what: str
    """The folder or file, as its peer calls it."""
    reason: str


Found = Offer | PeerTrouble | Rejection


@dataclass(frozen=True, slots=True, kw_only=True)
class ByteRequest:
    """The head of a request for bytes, but for the Range, which the lane adds."""

    endpoint: Endpoint
    target: str
    headers: tuple[tuple[str, str], ...]


class Source(Protocol):
    """One network that recordings come from."""

    @property
    def name(self) -> str:
        """How traces call it."""
        ...

    @property
    def etiquette(self) -> Etiquette:
        """What one of its peers is asked to bear."""
        ...

    def search(self, wants: tuple[Want, ...]) -> AsyncIterator[Found]:
        """Look for every want, yield what is found as it is found, then end."""
        ...

    async def chunk_hashes(self, offer: Offer) -> bytes:
        """Fetch the raw chunk list that the peer of `offer` gives: 32 bytes a chunk, unverified.

        Raises PeerError where it cannot be had, or is not the length that the variant's size demands.
        """
        ...

    def request(self, offer: Offer) -> ByteRequest:
        """Prepare one request for bytes of `offer`; a signed one is good for this one use."""
        ...
