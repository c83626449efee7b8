"""A manifest as the rest of the program sees it.

Owns: the values. Never: reads or writes bytes (manifests.read, manifests.splice).
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from reconciler.ids import JobId, Mbid, PeerId, Root, Sha256, TrackPosition


class JobType(StrEnum):
    """What kind of wish a manifest states."""

    MB_RELEASE = "mb_release"
    DISCOGRAPHY = "discography"
    LABEL_CRATE = "label_crate"
    MULTI_SOURCE = "multi_source"


class JobState(StrEnum):
    """Where a job is in its life; the words of `status.state`."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraints:
    """Which variants of a recording are acceptable; the defaults are those of the manifest reference."""

    preferred_codecs: tuple[str, ...] = ("FLAC",)
    """In order of preference, upper case."""
    allow_lossy: bool = True
    prefer_canonical: bool = True
    use_overlay: bool = True
    use_soulseek: bool = True
    overlay_bandwidth_kbps: int = 0
    """Cap for this job's overlay traffic in kilobits per second; 0 = no cap."""
    max_lossy_tracks_per_album: int | None = None
    """None = no cap."""
    min_bitrate_kbps: int = 0
    duration_tolerance_ms: int = 7000


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """One wanted track of a release."""

    position: TrackPosition
    title: str
    mb_recording_id: Mbid
    duration_ms: int | None = None
    artist: str = ""
    """Where it differs from the release's; empty = the release's."""
    medium: int | None = None
    medium_position: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MbReleaseSpec:
    """A MusicBrainz release, with the tracks wanted of it."""

    mb_release_id: Mbid
    target_dir: str
    """As written: absolute, or relative to the root folder."""
    title: str = ""
    artist: str = ""
    tracks: tuple[Track, ...] | None
    """None = all of the release, to be looked up at MusicBrainz."""
    constraints: Constraints = field(default_factory=Constraints)


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscographySpec:
    """What an artist has released, one release of each release group."""

    artist_id: Mbid
    artist_name: str = ""
    profile: Literal["core", "extended", "all"]
    target_dir: str
    min_year: int | None = None
    max_year: int | None = None
    countries: tuple[str, ...] = ()
    """ISO 3166-1 alpha-2 in upper case, or MusicBrainz's XE, XW and the like; empty = any."""
    include_types: tuple[str, ...] = ()
    """Release group types and release statuses beyond the profile's, in MusicBrainz's spelling."""
    exclude_release_groups: tuple[Mbid, ...] = ()
    constraints: Constraints = field(default_factory=Constraints)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelCrateSpec:
    """A number of releases of a label."""

    label_id: Mbid
    label_name: str = ""
    limit: int
    """Releases."""
    order: Literal["popularity", "newest", "oldest"]
    target_dir: str
    constraints: Constraints = field(default_factory=Constraints)


@dataclass(frozen=True, slots=True, kw_only=True)
class UrlSource:
    """A plain HTTP server that holds the file: `http://` or `https://`, no user, no fragment."""

    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlayPeerSource:
    """An overlay peer that holds the file."""

    peer: PeerId
    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SoulseekSource:
    """A Soulseek user who shares the file."""

    username: str
    filename: str
    """As the user's client names it: the whole remote path, usually with backslashes."""


ExplicitSource = UrlSource | OverlayPeerSource | SoulseekSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Pieces:
    """What the pieces of a file hash to, as a Metalink says it."""

    length_bytes: int
    """Of every piece but the last."""
    sha256: tuple[Sha256, ...]
    """Of each piece, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedFile:
    """One file of a `multi_source` job, named by its bytes: `root` or `sha256` (or both) is given."""

    path: str
    """Relative to `target_dir`, `/` between parts, no `..`."""
    size: int
    root: Root | None = None
    sha256: Sha256 | None = None
    chunk_hashes: str | None = None
    """URL of the raw 32-byte chunk hashes (BEP 52 piece layer) for servers that hold only the file."""
    pieces: Pieces | None = None
    """By which a wrong part is found where there is no `root`."""
    mb_recording_id: Mbid | None = None
    sources: tuple[ExplicitSource, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MultiSourceSpec:
    """Files with explicit sources."""

    target_dir: str
    files: tuple[WantedFile, ...]
    constraints: Constraints = field(default_factory=Constraints)


Spec = MbReleaseSpec | MultiSourceSpec | DiscographySpec | LabelCrateSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspend:
    """The job rests."""

    reason: str = ""
    until: str = ""
    """RFC 3339; empty = until the field is taken out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSelector:
    """Which daemon the job is for: the one of this name, or one that has all the labels."""

    name: str = ""
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryDirective:
    """How a failed job is tried again; None = as the configuration says."""

    limit: int | None = None
    interval_s: float | None = None
    max_interval_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Directives:
    """What every spec may say about how its job is run."""

    suspend: Suspend | None = None
    priority: int = 0
    """From -100 to 100; the higher goes first."""
    depends_on: tuple[JobId, ...] = ()
    node: NodeSelector | None = None
    retry: RetryDirective | None = None
    desired_state: Literal["present", "cancelled"] = "present"
    timeout_s: float | None = None
    """Of running, all attempts of a generation together; None = no limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A valid manifest: what a person wants, without what the daemon wrote back."""

    version: str
    job_id: JobId | None
    """None until the daemon has added one."""
    job_type: JobType
    created_at: str | None
    labels: dict[str, str] = field(default_factory=dict)
    owner: JobId | None = None
    """The discography or label crate that wrote this manifest; None = a person did."""
    reconcile_requested_at: str = ""
    """Any text. One that differs from the record's last handled one makes a failed or stalled job try again at once."""
    spec: Spec
    directives: Directives = field(default_factory=Directives)
    spec_digest: str
    """`sha256:` and 64 hex digits over the document without `status`, `job_id` and `created_at`, comments and layout
    aside.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong with a manifest, where it stands and what to do about it."""

    line: int
    """From 1; 0 where the problem belongs to no line."""
    column: int
    """From 1, counted in characters; 0 where it belongs to none."""
    pointer: str
    """Dotted path of the value: `spec.tracks[0].title`; empty for the document."""
    message: str
    hint: str = ""
    """What to do: `did you mean allow_lossy?`"""
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        """`14:18: spec.constraints.alow_lossy: unknown field, did you mean allow_lossy?`"""
        where = f"{self.pointer}: " if self.pointer else ""
        return f"{self.line}:{self.column}: {where}{self.message}" + (f", {self.hint}" if self.hint else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """What reading gave: a manifest where no problem is an error, and every problem found."""

    manifest: Manifest | None
    problems: tuple[Problem, ...] = ()


ConditionType = Literal["Ready", "Reconciling", "Stalled", "Valid", "Conflicted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A fact about a job, in the manner of Kubernetes conditions; no counters in `message`, they would look like
    change.
    """

    type: ConditionType
    status: Literal["True", "False", "Unknown"]
    reason: str
    """CamelCase, one of a small set."""
    message: str = ""
    last_transition_time: str = ""
    """RFC 3339; when status, reason or message last changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Children:
    """How far the manifests that a discography or label crate owns have come."""

    total: int
    completed: int
    failed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Renamed:
    """A published file whose name another file had."""

    position: TrackPosition
    path: str
    """Where it is instead; absolute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The `status:` block: written by the daemon, never read back as input."""

    state: JobState
    started_at: str = ""
    completed_at: str = ""
    completed_tracks: tuple[TrackPosition, ...] = ()
    in_progress_tracks: tuple[TrackPosition, ...] = ()
    pending_tracks: tuple[TrackPosition, ...] = ()
    failed_tracks: tuple[TrackPosition, ...] = ()
    renamed: tuple[Renamed, ...] = ()
    bytes_total: int = 0
    bytes_done: int = 0
    error_message: str = ""
    observed_generation: int = 0
    observed_spec_digest: str = ""
    retry_attempts: int = 0
    retry_next_at: str = ""
    last_handled_reconcile_at: str = ""
    node: str = ""
    """Name of the daemon that wrote it."""
    children: Children | None = None
    """None for a job that owns none."""
    conditions: tuple[Condition, ...] = ()
