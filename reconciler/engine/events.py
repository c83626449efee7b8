"""What can happen to a job, and what it asks to be done.

Owns: the two vocabularies of the job machine (engine.job): events in, commands out. Never: acts on either.
"""

from dataclasses import dataclass, field
from typing import Literal, NewType

from reconciler.engine.chunk_pieces import ChunkPieces
from reconciler.engine.order import JobOrder
from reconciler.engine.twins import NO_LEGACY, Legacy, Place
from reconciler.ids import ChunkIndex, Root, Sha256, TrackPosition
from reconciler.sources.base import Found, Offer, PeerKey, Variant, Want
from reconciler.traces.model import EventType

TransferId = NewType("TransferId", int)
"""One request to one peer for neighbouring chunks; unique within a job."""

FailureCode = Literal[
    "unreachable",  # no connection
    "wrong identity",  # another key than the pinned one answered
    "refused",  # an HTTP status that says no
    "busy",  # 429 or 503: later
    "no ranges",  # 200 to a Range request
    "bad answer",  # a head that breaks the rules
    "cut short",  # the connection ended inside the body
    "closed",  # the connection ended between answers: nobody's fault
    "stalled",  # no byte for the stall timeout
    "timed out",  # slower than the least rate allows
    "cancelled",  # by us
    "disk",  # our own disk refused the bytes
]


# ---- what can happen ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class PeersFound:
    """A source found offers, what it does not take, or peers that gave trouble."""

    found: tuple[Found, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchEnded:
    """A source will find no more."""

    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkListArrived:
    """A peer gave a chunk list; nothing about it has been checked."""

    position: TrackPosition
    peer: PeerKey
    variant_id: str
    raw: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkListRefused:
    """A peer gave no usable chunk list."""

    position: TrackPosition
    peer: PeerKey
    variant_id: str
    message: str


Kept = tuple[tuple[ChunkIndex, bytes], ...]
"""Chunks that are in a part, each with its digest: its BEP 52 hash, as in a chunk list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartOpened:
    """The part file is ready; `kept` are the chunks on disk that still match their journal."""

    position: TrackPosition
    part_id: str
    """Which part of the track: the id of the variant that it was made for. The same below."""
    kept: Kept
    """Computed from the disk just now."""


DiskTrouble = Literal[
    "full",  # no room, or the quota is used up
    "failing",  # it cannot be read or written: I/O errors, gone, read-only
    "lost",  # it did not keep a finished part, which is discarded
    "refused",  # anything else: a path that is not safe, a permission
]
"""What is wrong with our own disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartClosed:
    """Nothing is written to a part any more."""

    position: TrackPosition
    part_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TwinMoved:
    """What an attempt waits for, whose bytes another one fetches, has changed."""

    position: TrackPosition
    place: Place
    """Which attempt."""
    leader: Place | None
    """Who fetches them now; None = nobody: go on with the legacy."""
    legacy: Legacy


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskRefused:
    """Opening, writing, verifying or publishing failed on our side; the bytes are not at fault."""

    position: TrackPosition
    trouble: DiskTrouble
    message: str
    """What happened, where, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerConnected:
    """A lane has a connection to the peer, and met the right key where one is pinned."""

    transfer: TransferId


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerQueued:
    """The peer has put a request into its own line; nothing comes before our turn."""

    transfer: TransferId
    place: int | None
    """Where in the line, as far as the peer says; many count in their own way. None = it does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkArrived:
    """All bytes of one chunk came; written to the part unless `matches` is False."""

    transfer: TransferId
    chunk: ChunkIndex
    digest: bytes
    """Its BEP 52 hash, computed from what came."""
    matches: bool | None
    """Whether the digest is the expected one; None where none was known."""
    bytes_received: int
    duration_s: float
    """Since the chunk before it on this connection, or since the request was sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferEnded:
    """Everything that the request asked for came."""

    transfer: TransferId


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferFailed:
    """The request ended before all of it came."""

    transfer: TransferId
    code: FailureCode
    message: str
    retry_after_s: float | None = None
    """What the peer asked for with Retry-After."""
    errno_name: str = ""
    """With `disk`: what the disk said, as ENOSPC, EDQUOT or EIO; empty where it gave no number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeVerified:
    """The whole part was read again and is what it should be, bytes and audio."""

    position: TrackPosition
    part_id: str
    sha256: Sha256 | None
    """None where nobody asked for it and the file is large (engine.disk)."""
    found: tuple[bytes, ...] = ()
    """What each chunk on the disk hashes to, where chunks were never verified; empty = not looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeRefused:
    """The whole part was read again and is not right."""

    position: TrackPosition
    part_id: str
    fault: Literal["content", "audio", "claim"]
    """`content`: not the bytes that root or SHA-256 name. `audio`: those bytes, but not the recording they claim to
    be. `claim`: every chunk or piece is what its hash says, and the whole is not what the SHA-256 names that was said
    to be the same.
    """
    message: str
    wrong: tuple[tuple[ChunkIndex, ChunkIndex], ...] = ()
    """With `content`: runs of chunks, first and last, each of which holds a wrong byte; empty = it is anywhere."""
    found: tuple[bytes, ...] = ()
    """With `content`: as in WholeVerified."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """The file has its name, and the fact is on record."""

    position: TrackPosition
    generation: int
    """Of the order under which it was recorded: an order changed meanwhile has the file adopted under its own."""
    path: str
    how: Literal["published", "adopted", "renamed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderChanged:
    """The manifest was edited: from now on `order` is what is asked for. Its sources are those of the order before."""

    order: JobOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class StopAsked:
    """Let go of everything; keep what is on disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerJudged:
    """Another job, or a person, has judged a peer."""

    peer: PeerKey
    banned: str
    """Why it may not be asked any more; empty = its ban is lifted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimePassed:
    """A deadline that the machine named has come."""


TrackEvent = (
    ChunkListArrived
    | ChunkListRefused
    | PartOpened
    | TwinMoved
    | DiskRefused
    | WholeVerified
    | WholeRefused
    | Published
)
"""What concerns one track."""

Event = (
    TrackEvent
    | PeersFound
    | SearchEnded
    | PeerConnected
    | PeerQueued
    | ChunkArrived
    | TransferEnded
    | TransferFailed
    | OrderChanged
    | StopAsked
    | PartClosed
    | PeerJudged
    | TimePassed
)


# ---- what to do -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Ask the sources for these; each answers PeersFound any number of times and SearchEnded once."""

    sources: tuple[str, ...]
    wants: tuple[Want, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchChunkList:
    """Ask the peer of `offer` for the variant's chunk list; answered by ChunkListArrived or ChunkListRefused."""

    offer: Offer


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenPart:
    """Make or resume the part file; answered by PartOpened, by Published where the very file is there already, or
    DiskRefused.
    """

    position: TrackPosition
    variant: Variant
    part_id: str
    legacy: Legacy = NO_LEGACY
    """What a twin has left that wanted the same bytes: taken over where it is more than what is here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscardPart:
    """Throw the part away: its bytes are wrong. With `quarantine`, keep it aside with the reason."""

    position: TrackPosition
    part_id: str
    quarantine: bool
    reason: str
    condemned: Variant | None = None
    """What turned out not to be what its peer calls it: its source never offers it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosePart:
    """Write no more to this part; it stays on disk, and another track may take it over. Answered by PartClosed."""

    position: TrackPosition
    part_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """Read chunks `first`..`last` of the offer's variant into a part of its track."""

    transfer: TransferId
    offer: Offer
    part_id: str
    first: ChunkIndex
    last: ChunkIndex
    expected: tuple[bytes, ...] | None
    """The hash of each chunk from `first` on; None = unknown, the bytes stay provisional."""
    pieces: ChunkPieces | None = None
    """By which a provisional chunk may be known to be wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRead:
    """End a transfer; it answers TransferFailed `cancelled`, unless it ended by itself just before."""

    transfer: TransferId


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyWhole:
    """Read the whole part again; answered by WholeVerified, WholeRefused or DiskRefused."""

    position: TrackPosition
    variant: Variant
    part_id: str
    digests: tuple[bytes, ...] | None
    """Of each chunk as it was verified; None = chunks were never verified, the whole must prove itself."""
    overwritable: bool = False
    """Whether peers may have written to it without knowing what was expected: then a chunk that was right when it was
    read again may have been overwritten since.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Publish:
    """Give the part its name, then record the fact; other parts of the track are removed. Answered by Published or
    DiskRefused.
    """

    position: TrackPosition
    variant: Variant
    part_id: str
    root: Root
    """The root of the bytes, computed from their chunk hashes where the variant states none."""
    chunk_hashes: tuple[bytes, ...]
    sha256: Sha256 | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishAlbum:
    """Give all of these their names, in one step where their folder is new; each is answered as by Publish."""

    files: tuple[Publish, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Tell the trace."""

    type: EventType
    action: str
    position: TrackPosition | None = None
    variant_id: str = ""
    peer: str = ""
    source: str = ""
    bytes_transferred: int = 0
    duration_s: float = 0.0
    is_error: bool = False
    error_code: str = ""
    error_message: str = ""
    facts: dict[str, str | int | float | bool] = field(default_factory=dict)


Command = (
    Search
    | FetchChunkList
    | OpenPart
    | ClosePart
    | DiscardPart
    | Read
    | CancelRead
    | VerifyWhole
    | Publish
    | PublishAlbum
    | Note
)
