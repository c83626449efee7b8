"""What the engine is asked to fetch, and what it says of its progress.

Owns: the values between the reconcile loop and the engine. Never: decides or moves anything.
"""

from dataclasses import dataclass
from typing import Literal

from reconciler.ids import JobId, Mbid, TrackPosition
from reconciler.library.tag_map import TrackTags
from reconciler.manifests.model import Constraints
from reconciler.sources.base import Want


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackOrder:
    """One file to fetch and where it goes."""

    want: Want
    title: str
    """For people: progress and messages."""
    stem: str
    """Where it is published: a safe path relative to `JobOrder.target_dir`, `/` between parts, without extension if
    `extension` is None, else whole."""
    extension: str | None = None
    """None = the extension follows from the chosen variant's container (`.flac`)."""
    duration_ms: int | None = None
    """What MusicBrainz says; compared with the file's own within `Constraints.duration_tolerance_ms`."""
    tags: TrackTags | None = None
    """What is written into a copy of it that is published in its place; None = it is published as it came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CoverWish:
    """That the album is to have its front cover."""

    where: Literal["file", "embed"]
    """`file`: a picture in the album's folder; `embed`: in each file that is tagged and has none."""
    folder: str
    """The album's folder, relative to `target_dir`; empty = `target_dir` itself."""
    release: Mbid
    group: Mbid | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOrder:
    """A job as the engine runs it: one generation of one manifest."""

    job_id: JobId
    generation: int
    target_dir: str
    """Absolute path below `allowed_root`; made when the first file is published."""
    allowed_root: str
    """Absolute path of the library root that `target_dir` lies below; exists."""
    constraints: Constraints
    tracks: tuple[TrackOrder, ...]
    priority: int = 0
    """From -100 to 100: its share of the line and of peers among the jobs that run (engine.shares)."""
    album: str | None = None
    """The folder, relative to `target_dir`, whose files become visible all at once; empty = `target_dir` itself, None =
    each file as soon as it is verified."""
    cover: CoverWish | None = None


TrackPhase = Literal["pending", "searching", "fetching", "verifying", "held", "ready", "completed", "failed"]
"""`held`: our own disk stands in the way; `ready`: verified, and waiting for the rest of its album."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackProgress:
    """How far one track is."""

    position: TrackPosition
    title: str
    phase: TrackPhase
    bytes_done: int = 0
    """Verified (or, without chunk hashes, received) bytes on disk."""
    bytes_total: int = 0
    """0 until a variant is chosen."""
    rescued: bool = False
    """Whether its origin is behind and the overlay helps."""
    shares: str = ""
    """`shares the transfer of job ..., track ...` while that brings its bytes; empty otherwise."""
    error: str = ""
    """Why it failed, for a person; empty otherwise."""
    path: str = ""
    """Absolute path of the published file once completed."""


HeldReason = Literal["DiskFull", "DiskFailing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldUp:
    """Our own disk stands in the way of a job; it is looked at again by itself."""

    reason: HeldReason
    message: str
    """Which disk, what is missing, and what to do."""
    entirely: bool
    """Whether nothing else of the job goes on meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerProgress:
    """What one peer has given to one job."""

    name: str
    source: str
    bytes_received: int
    """Accepted bytes."""
    throughput_bytes_per_s: float
    chunks_refused: int
    """Chunks that did not match their hash."""
    banned: bool
    in_line: bool = False
    """Whether it lets us wait."""
    place: int | None = None
    """Where in its line, as far as it says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobProgress:
    """How far a job is; `outcome` is None while it runs."""

    job_id: JobId
    generation: int
    outcome: Literal["completed", "failed", "stopped"] | None
    retriable: bool
    """With `failed`: whether trying again later may help."""
    error: str
    tracks: tuple[TrackProgress, ...]
    peers: tuple[PeerProgress, ...]
    held: HeldUp | None = None

    @property
    def bytes_done(self) -> int:
        """Bytes of all tracks on disk."""
        return sum(track.bytes_done for track in self.tracks)

    @property
    def bytes_total(self) -> int:
        """Bytes of all tracks whose size is known."""
        return sum(track.bytes_total for track in self.tracks)
