"""What MusicBrainz says, and what is made of it for a job.

Owns: the values. Never: reads an answer (musicbrainz.parse), asks for one (musicbrainz.client), or chooses.

The words are those of MusicBrainz: https://musicbrainz.org/doc/MusicBrainz_Database/Schema
"""

from dataclasses import dataclass, field
from typing import Literal

from reconciler.errors import MusicBrainzError
from reconciler.ids import Mbid, TrackPosition
from reconciler.manifests.model import Track

SubjectKind = Literal["release", "artist", "label"]

FailureCode = Literal["not found", "offline", "unreachable", "refused", "odd answer", "nothing to fetch"]


class NoAnswerError(MusicBrainzError):
    """What was asked of MusicBrainz was not answered as it should be; `code` says which kind of trouble it is."""

    def __init__(self, code: FailureCode, message: str, *, hint: str = "", retry_after_s: float = 0.0) -> None:
        """`retry_after_s`: for how long the server wants to be left alone; 0.0 = it does not say."""
        super().__init__(message, hint=hint)
        self.code: FailureCode = code
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Something at MusicBrainz that a job needs to know more of."""

    kind: SubjectKind
    mbid: Mbid

    def __str__(self) -> str:
        """`release c0d0c0a4-...`"""
        return f"{self.kind} {self.mbid}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedTrack:
    """One track of a medium."""

    position: int
    """On its medium, from 1; 0 = a pregap."""
    title: str
    recording: Mbid
    length_ms: int | None
    artist: str
    """The names of its credit, joined."""
    is_video: bool
    mbid: Mbid | None = None
    """Of the track itself, which is not its recording; None where that was not said."""
    artists: tuple[Mbid, ...] = ()
    """Of its credit."""
    isrcs: tuple[str, ...] = ()
    """Of its recording: one recording may have several."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Medium:
    """One disc, side or file collection of a release."""

    position: int
    format: str
    """`CD`, `Digital Media`, `12" Vinyl`; empty = not known."""
    track_count: int
    tracks: tuple[ListedTrack, ...] = ()
    """Empty where only the count was asked for."""
    pregap: ListedTrack | None = None
    data_tracks: tuple[ListedTrack, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseGroup:
    """What people call an album: all its editions."""

    mbid: Mbid
    title: str
    primary_type: str
    """`Album`, `Single`, `EP`, `Broadcast`, `Other`; empty = not known."""
    secondary_types: tuple[str, ...]
    first_release_date: str
    """`1991-11-04`, `1991-11`, `1991`; empty = not known."""
    artists: tuple[Mbid, ...]
    """Of its credit; empty where that was not said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One edition."""

    mbid: Mbid
    title: str
    artist: str
    """The names of its credit, joined as they stand on the cover."""
    artists: tuple[Mbid, ...]
    status: str
    """`Official`, `Promotion`, `Bootleg`, `Pseudo-Release`, `Withdrawn`, `Expunged`, `Cancelled`; empty = not known."""
    date: str
    """As far as it is known: `1991-11-04`, `1991-11`, `1991`, empty."""
    country: str
    """ISO 3166-1, or XE, XW and the like; empty = not known."""
    barcode: str
    group: ReleaseGroup | None
    media: tuple[Medium, ...]
    labels: tuple[str, ...] = ()
    """Names; as the next, empty where that was not asked for."""
    catalog_numbers: tuple[str, ...] = ()

    @property
    def track_count(self) -> int:
        """Tracks on all media, without pregaps and data tracks."""
        return sum(medium.track_count for medium in self.media)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasePage:
    """A part of a list of releases."""

    total: int
    """How many there are in the whole list."""
    releases: tuple[Release, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A list of releases, as far as it was looked at."""

    total: int
    """How many there are."""
    releases: tuple[Release, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """An artist or a label."""

    mbid: Mbid
    """What it is known by now: another one than was asked for where the two were merged."""
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedTrack:
    """A track of a release that is not fetched."""

    medium: int
    position: int
    """On its medium; 0 = a pregap."""
    title: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackFacts:
    """What is known of a track besides what a manifest says of it."""

    mbid: Mbid | None
    artists: tuple[Mbid, ...]
    media: str
    """The format of its medium."""
    tracks: int
    """How many its medium has."""
    isrcs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseFacts:
    """What is known of a release besides what names it: for tags."""

    group: Mbid | None = None
    artists: tuple[Mbid, ...] = ()
    date: str = ""
    original_date: str = ""
    types: tuple[str, ...] = ()
    status: str = ""
    country: str = ""
    barcode: str = ""
    labels: tuple[str, ...] = ()
    catalog_numbers: tuple[str, ...] = ()
    tracks: dict[TrackPosition, TrackFacts] = field(default_factory=dict)
    """Of those that are fetched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedRelease:
    """What one generation of a job fetches of a release: it stays so, whatever is edited at MusicBrainz meanwhile."""

    asked: Mbid
    """What the manifest names."""
    mbid: Mbid
    """What that is now: another one where the two were merged."""
    title: str
    artist: str
    year: int | None
    tracks: tuple[Track, ...]
    skipped: tuple[SkippedTrack, ...]
    facts: ReleaseFacts = field(default_factory=ReleaseFacts)
    """Empty where it was looked up by a version that did not ask for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenRelease:
    """The edition that stands for a release group."""

    group: Mbid
    release: Mbid
    title: str
    """As it names the folder: two releases of one artist do not share one."""
    artist: str
    year: int | None
    """In which the group first came out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedReleases:
    """Which releases one generation of a discography or label crate asks for."""

    asked: Mbid
    """The artist or label that the manifest names."""
    mbid: Mbid
    """What that is now."""
    name: str
    listed: int
    """Releases that MusicBrainz lists, all editions."""
    groups: int
    """Release groups among those that were looked at."""
    releases: tuple[ChosenRelease, ...]


Resolved = ResolvedRelease | ResolvedReleases
"""What MusicBrainz said of what a job asks for."""


def year_of(date: str) -> int | None:
    """The year of a date as MusicBrainz writes it; None where it is not known."""
    head = date[:4]
    return int(head) if len(head) == 4 and head.isascii() and head.isdigit() else None  # noqa: PLR2004 - digits of a year
