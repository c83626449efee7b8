"""What is known of a track, and under which names the formats keep it.

Owns: the value, and MusicBrainz Picard's mapping of it. Never: writes (library.tags).

The mapping is that of https://picard-docs.musicbrainz.org/en/appendices/tag_mapping.html. Its trap: Vorbis and MP4 call
the *recording* "track id"; the track of a release has a name of its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackTags:
    """What is to be written into one file; what is empty or 0 is not known, and then what the file says stays."""

    title: str
    artist: str
    album: str
    albumartist: str
    track: int
    """On its medium."""
    tracks: int = 0
    """How many the medium has."""
    disc: int
    discs: int
    date: str = ""
    """Of this edition: `1991-11-04`, `1991-11`, `1991`."""
    original_date: str = ""
    """Of the first edition."""
    media: str = ""
    """`CD`, `Digital Media`."""
    types: tuple[str, ...] = ()
    """Of the release group: `Album`, `Live`; written in lower case, as Picard does."""
    status: str = ""
    """`Official`; written in lower case."""
    country: str = ""
    barcode: str = ""
    labels: tuple[str, ...] = ()
    catalog_numbers: tuple[str, ...] = ()
    isrcs: tuple[str, ...] = ()
    recording_id: str = ""
    track_id: str = ""
    release_id: str = ""
    release_group_id: str = ""
    artist_ids: tuple[str, ...] = ()
    albumartist_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Names:
    """Of one kind of fact."""

    vorbis: str
    id3: str
    """A text frame; with a colon, a TXXX of that description."""
    mp4: str
    """One of `_ATOMS`, or the name of an iTunes freeform."""


# fmt: off
_NAMES: dict[str, _Names] = {
    "title": _Names(vorbis="TITLE", id3="TIT2", mp4="\xa9nam"),
    "artist": _Names(vorbis="ARTIST", id3="TPE1", mp4="\xa9ART"),
    "album": _Names(vorbis="ALBUM", id3="TALB", mp4="\xa9alb"),
    "albumartist": _Names(vorbis="ALBUMARTIST", id3="TPE2", mp4="aART"),
    "date": _Names(vorbis="DATE", id3="TDRC", mp4="\xa9day"),
    "original_date": _Names(vorbis="ORIGINALDATE", id3="TDOR", mp4="ORIGINALDATE"),
    "media": _Names(vorbis="MEDIA", id3="TMED", mp4="MEDIA"),
    "types": _Names(vorbis="RELEASETYPE", id3="TXXX:MusicBrainz Album Type", mp4="MusicBrainz Album Type"),
    "status": _Names(vorbis="RELEASESTATUS", id3="TXXX:MusicBrainz Album Status", mp4="MusicBrainz Album Status"),
    "country": _Names(
        vorbis="RELEASECOUNTRY",
        id3="TXXX:MusicBrainz Album Release Country",
        mp4="MusicBrainz Album Release Country",
    ),
    "barcode": _Names(vorbis="BARCODE", id3="TXXX:BARCODE", mp4="BARCODE"),
    "labels": _Names(vorbis="LABEL", id3="TPUB", mp4="LABEL"),
    "catalog_numbers": _Names(vorbis="CATALOGNUMBER", id3="TXXX:CATALOGNUMBER", mp4="CATALOGNUMBER"),
    "isrcs": _Names(vorbis="ISRC", id3="TSRC", mp4="ISRC"),
    "recording_id": _Names(vorbis="MUSICBRAINZ_TRACKID", id3="UFID:http://musicbrainz.org", mp4="MusicBrainz Track Id"),
    "track_id": _Names(
        vorbis="MUSICBRAINZ_RELEASETRACKID",
        id3="TXXX:MusicBrainz Release Track Id",
        mp4="MusicBrainz Release Track Id",
    ),
    "release_id": _Names(vorbis="MUSICBRAINZ_ALBUMID", id3="TXXX:MusicBrainz Album Id", mp4="MusicBrainz Album Id"),
    "release_group_id": _Names(
        vorbis="MUSICBRAINZ_RELEASEGROUPID",
        id3="TXXX:MusicBrainz Release Group Id",
        mp4="MusicBrainz Release Group Id",
    ),
    "artist_ids": _Names(vorbis="MUSICBRAINZ_ARTISTID", id3="TXXX:MusicBrainz Artist Id", mp4="MusicBrainz Artist Id"),
    "albumartist_ids": _Names(
        vorbis="MUSICBRAINZ_ALBUMARTISTID",
        id3="TXXX:MusicBrainz Album Artist Id",
        mp4="MusicBrainz Album Artist Id",
    ),
}
# fmt: on

_LOWER = frozenset({"types", "status"})

_ATOMS = frozenset({"\xa9nam", "\xa9ART", "\xa9alb", "aART", "\xa9day"})


def vorbis_of(tags: TrackTags) -> dict[str, list[str]]:
    """Vorbis comments: FLAC, Ogg Vorbis, Opus."""
    texts = {_NAMES[fact].vorbis: values for fact, values in _known(tags)}
    numbers = {
        "TRACKNUMBER": tags.track,
        "TRACKTOTAL": tags.tracks,
        "TOTALTRACKS": tags.tracks,
        "DISCNUMBER": tags.disc,
        "DISCTOTAL": tags.discs,
        "TOTALDISCS": tags.discs,
    }
    return texts | {name: [str(number)] for name, number in numbers.items() if number}


def id3_of(tags: TrackTags) -> dict[str, list[str]]:
    """ID3v2.4 frames, by mutagen's keys: `TIT2`, `TXXX:<description>`, `UFID:<owner>`."""
    texts = {_NAMES[fact].id3: values for fact, values in _known(tags)}
    numbers = {"TRCK": _of(tags.track, tags.tracks), "TPOS": _of(tags.disc, tags.discs)}
    return texts | {name: [text] for name, text in numbers.items() if text}


def mp4_of(tags: TrackTags) -> dict[str, list[str]]:
    """MP4 atoms by mutagen's keys, without the two pairs of numbers (`trkn`, `disk`)."""
    texts = {_NAMES[fact].mp4: values for fact, values in _known(tags)}
    return {name if name in _ATOMS else f"----:com.apple.iTunes:{name}": values for name, values in texts.items()}


def _known(tags: TrackTags) -> Iterator[tuple[str, list[str]]]:
    """Each fact that is known, with its values."""
    for fact in _NAMES:
        value = getattr(tags, fact)
        values = [value] if isinstance(value, str) else list(value)
        if any(values):
            yield fact, [each.lower() if fact in _LOWER else each for each in values if each]


def _of(number: int, total: int) -> str:
    if not number:
        return ""
    return f"{number}/{total}" if total else str(number)
