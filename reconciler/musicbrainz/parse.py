"""Answers of MusicBrainz's web service (WS/2, JSON), read strictly.

Owns: which shapes are taken and the reason for which another one is refused. Never: fetches (musicbrainz.client).

Names have hyphens, numbers are numbers, and what is not known is null, empty or left out. What this program does not
use is not looked at. Lists and texts have bounds: what answers may be a mirror that somebody made.
https://musicbrainz.org/doc/MusicBrainz_API
"""

import json
from typing import NoReturn

from reconciler.ids import Mbid, is_mbid
from reconciler.musicbrainz.model import (
    ListedTrack,
    Medium,
    Named,
    NoAnswerError,
    Release,
    ReleaseGroup,
    ReleasePage,
)

# The longest title at MusicBrainz has some 1,300 characters; what is longer than a manifest's title is cut there.
_TEXT_MAX = 10_000
TITLE_MAX = 500

# The largest releases have some 100 media and 3,000 tracks; a manifest may ask for 5,000.
_MEDIA_MAX = 500
_TRACKS_MAX = 5000
# A page of a list; the service gives at most 100.
_RELEASES_MAX = 1000
_CREDITS_MAX = 500
_TYPES_MAX = 50
# A co-release has a handful; a recording of which each country made its own code some dozen.
_LABELS_MAX = 100
_ISRCS_MAX = 100
_COUNT_MAX = 10_000_000
# A day, as in the manifest.
_LENGTH_MS_MAX = 86_400_000

Json = dict[str, object]


def release_of(data: bytes) -> Release:
    """Read the answer to a look-up of a release; raises NoAnswerError."""
    release = _release(_Fields(_document(data), "the release"))
    if sum(len(medium.tracks) for medium in release.media) > _TRACKS_MAX:
        _refuse(f"the release has more than {_TRACKS_MAX} tracks")
    for medium in release.media:
        if len(medium.tracks) != medium.track_count:
            _refuse(f"medium {medium.position} has {medium.track_count} tracks, and {len(medium.tracks)} are listed")
    return release


def release_page_of(data: bytes) -> ReleasePage:
    """Read one page of a browsed list of releases; raises NoAnswerError."""
    fields = _Fields(_document(data), "the list of releases")
    total = fields.number("release-count", high=_COUNT_MAX)
    if total is None:
        fields.refuse("release-count", "is missing")
    return ReleasePage(total=total, releases=tuple(_release(each) for each in fields.each("releases", _RELEASES_MAX)))


def named_of(data: bytes) -> Named:
    """Read the answer to a look-up of an artist or a label; raises NoAnswerError."""
    fields = _Fields(_document(data), "the answer")
    return Named(mbid=fields.mbid("id"), name=fields.title("name"))


def _release(fields: "_Fields") -> Release:
    artist, artists = _credit(fields)
    group = fields.below("release-group")
    labels, catalog_numbers = _labels(fields)
    return Release(
        mbid=fields.mbid("id"),
        title=fields.title("title"),
        artist=artist,
        artists=artists,
        status=fields.text("status"),
        date=fields.text("date"),
        country=fields.text("country"),
        barcode=fields.text("barcode"),
        group=_group(group) if group is not None else None,
        media=tuple(_medium(each, number) for number, each in enumerate(fields.each("media", _MEDIA_MAX), start=1)),
        labels=labels,
        catalog_numbers=catalog_numbers,
    )


def _labels(fields: "_Fields") -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of the labels and the catalogue numbers, each once: two numbers of one label name it twice."""
    entries = fields.each("label-info", _LABELS_MAX)
    names = [label.text("name")[:TITLE_MAX] for each in entries if (label := each.below("label")) is not None]
    numbers = [each.text("catalog-number")[:TITLE_MAX] for each in entries]
    return tuple(dict.fromkeys(filter(None, names))), tuple(dict.fromkeys(filter(None, numbers)))


def _group(fields: "_Fields") -> ReleaseGroup:
    return ReleaseGroup(
        mbid=fields.mbid("id"),
        title=fields.text("title"),
        primary_type=fields.text("primary-type"),
        secondary_types=fields.texts("secondary-types", _TYPES_MAX),
        first_release_date=fields.text("first-release-date"),
        artists=_credit(fields)[1],
    )


def _medium(fields: "_Fields", number: int) -> Medium:
    pregap = fields.below("pregap")
    count = fields.number("track-count", high=_COUNT_MAX)
    tracks = tuple(_track(each) for each in fields.each("tracks", _TRACKS_MAX))
    return Medium(
        position=fields.number("position", low=1, high=_COUNT_MAX) or number,
        format=fields.text("format"),
        track_count=len(tracks) if count is None else count,
        tracks=tracks,
        pregap=_track(pregap) if pregap is not None else None,
        data_tracks=tuple(_track(each) for each in fields.each("data-tracks", _TRACKS_MAX)),
    )


def _track(fields: "_Fields") -> ListedTrack:
    recording = fields.below("recording")
    if recording is None:
        fields.refuse("recording", "is missing")
    position = fields.number("position", high=_COUNT_MAX)
    if position is None:
        fields.refuse("position", "is missing")
    length = fields.number("length", high=_COUNT_MAX * 1000)
    artist, artists = _credit(fields)
    if not artist:
        artist, artists = _credit(recording)
    return ListedTrack(
        position=position,
        title=fields.title("title", otherwise=recording.text("title")),
        recording=recording.mbid("id"),
        # MusicBrainz has lengths of weeks; a track that long has none that could be compared.
        length_ms=length if length and length <= _LENGTH_MS_MAX else None,
        artist=artist,
        is_video=recording.flag("video"),
        mbid=fields.mbid("id") if fields.raw("id") else None,
        artists=artists,
        isrcs=recording.texts("isrcs", _ISRCS_MAX),
    )


def _credit(fields: "_Fields") -> tuple[str, tuple[Mbid, ...]]:
    """The names of an artist credit as they are joined on the cover, and who they are."""
    text, artists = "", []
    for part in fields.each("artist-credit", _CREDITS_MAX):
        artist = part.below("artist")
        text += (part.text("name") or (artist.text("name") if artist is not None else "")) + part.raw("joinphrase")
        if artist is not None:
            artists.append(artist.mbid("id"))
    return _shown(text)[:TITLE_MAX], tuple(artists)


class _Fields:
    """One object of an answer, read field by field; null is the same as missing."""

    def __init__(self, value: object, what: str) -> None:
        if not isinstance(value, dict):
            _refuse(f"{what} is not an object")
        self._value: Json = value
        self._what = what

    def refuse(self, name: str, why: str) -> NoReturn:
        """Say what is odd, and where."""
        _refuse(f"{self._what}: {name} {why}")

    def raw(self, name: str) -> str:
        """A text with the spaces around it; empty where there is none."""
        value = self._value.get(name)
        if value is None:
            return ""
        if not isinstance(value, str) or len(value) > _TEXT_MAX:
            self.refuse(name, f"is no text of at most {_TEXT_MAX} characters")
        return value

    def text(self, name: str) -> str:
        """A text on one line; empty where there is none."""
        return _shown(self.raw(name))

    def title(self, name: str, *, otherwise: str = "") -> str:
        """A text that must be there, cut to what a manifest may hold."""
        text = self.text(name) or otherwise
        if not text:
            self.refuse(name, "is missing")
        return text[:TITLE_MAX].rstrip()

    def mbid(self, name: str) -> Mbid:
        """A MusicBrainz identifier that must be there."""
        value = self._value.get(name)
        if not isinstance(value, str) or not is_mbid(value):
            self.refuse(name, "is no MusicBrainz id")
        return Mbid(value)

    def number(self, name: str, *, low: int = 0, high: int) -> int | None:
        """A whole number that is written as one; None where there is none."""
        value = self._value.get(name)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            self.refuse(name, f"is no whole number from {low} to {high}")
        return value

    def flag(self, name: str) -> bool:
        """True or false; false where it is not said."""
        value = self._value.get(name)
        if value is not None and not isinstance(value, bool):
            self.refuse(name, "is neither true nor false")
        return value is True

    def below(self, name: str) -> "_Fields | None":
        """An object; None where there is none."""
        value = self._value.get(name)
        return None if value is None else _Fields(value, f"{self._what}.{name}")

    def each(self, name: str, length_max: int) -> "list[_Fields]":
        """A list of objects; empty where there is none."""
        return [_Fields(each, f"{self._what}.{name}[{n}]") for n, each in enumerate(self._list(name, length_max))]

    def texts(self, name: str, length_max: int) -> tuple[str, ...]:
        """A list of texts; empty where there is none."""
        found = self._list(name, length_max)
        if not all(isinstance(each, str) and len(each) <= TITLE_MAX for each in found):
            self.refuse(name, "holds something that is no short text")
        return tuple(_shown(str(each)) for each in found)

    def _list(self, name: str, length_max: int) -> list[object]:
        value = self._value.get(name)
        if value is None:
            return []
        if not isinstance(value, list) or len(value) > length_max:
            self.refuse(name, f"is no list of at most {length_max}")
        return value


def _document(data: bytes) -> object:
    try:
        return json.loads(data.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise NoAnswerError("odd answer", "the answer is not JSON", hint=_HINT) from error


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


def _shown(text: str) -> str:
    """Without what cannot be seen: a title goes into manifests, messages and names of files."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


_HINT = "check musicbrainz.url in reconciler.yml: it ends in /ws/2"


def _refuse(why: str) -> NoReturn:
    raise NoAnswerError("odd answer", why, hint=_HINT)
