"""Which tracks of a release are fetched, and by which positions they are known.

Owns: the count across media, and what is skipped and why. Never: fetches, or knows where a file goes.

Positions count every listed track of every medium, skipped ones too: so they do not shift when somebody at MusicBrainz
marks one as a video. Pregaps and data tracks stand outside of a medium's track list and have no position.
"""

from reconciler.ids import TrackPosition
from reconciler.manifests.model import Track
from reconciler.musicbrainz.model import (
    ListedTrack,
    Medium,
    Release,
    ReleaseFacts,
    ResolvedRelease,
    SkippedTrack,
    TrackFacts,
    year_of,
)

# Media whose every track is a picture with sound, whether or not somebody has marked the recordings as videos.
# https://musicbrainz.org/doc/Release/Format
_VIDEO_FORMATS = (
    "DVD-Video", "Blu-ray", "HD-DVD", "VHS", "Betamax", "LaserDisc", '8" LaserDisc', '12" LaserDisc', "VCD", "SVCD",
    "CDV", "UMD", "VHD", "CED",
)  # fmt: skip

# The title that MusicBrainz's style gives to data on a mixed-mode disc, where it is in the track list.
_DATA_TITLE = "[data track]"


def resolved_release(release: Release, *, asked: str) -> ResolvedRelease:
    """What is fetched of `release`, which was asked for as `asked`."""
    tracks: list[Track] = []
    facts: dict[TrackPosition, TrackFacts] = {}
    skipped: list[SkippedTrack] = []
    position = 0
    for medium in release.media:
        if medium.pregap is not None:
            skipped.append(_skipped(medium, medium.pregap, "it lies in the pregap, before track 1"))
        for listed in medium.tracks:
            position += 1
            if why := _why_not(medium, listed):
                skipped.append(_skipped(medium, listed, why))
            else:
                tracks.append(_track(release, medium, listed, position))
                facts[TrackPosition(position)] = TrackFacts(
                    mbid=listed.mbid,
                    artists=listed.artists,
                    media=medium.format,
                    tracks=medium.track_count,
                    isrcs=listed.isrcs,
                )
        skipped += [_skipped(medium, each, "it is data, not audio") for each in medium.data_tracks]
    date = release.group.first_release_date if release.group is not None else ""
    return ResolvedRelease(
        asked=type(release.mbid)(asked),
        mbid=release.mbid,
        title=release.title,
        artist=release.artist,
        year=year_of(date) or year_of(release.date),
        tracks=tuple(tracks),
        skipped=tuple(skipped),
        facts=_facts(release, facts),
    )


def _facts(release: Release, tracks: dict[TrackPosition, TrackFacts]) -> ReleaseFacts:
    group = release.group
    types = () if group is None else (*((group.primary_type,) if group.primary_type else ()), *group.secondary_types)
    return ReleaseFacts(
        group=None if group is None else group.mbid,
        artists=release.artists,
        date=release.date,
        original_date="" if group is None else group.first_release_date,
        types=types,
        status=release.status,
        country=release.country,
        barcode=release.barcode,
        labels=release.labels,
        catalog_numbers=release.catalog_numbers,
        tracks=tracks,
    )


def _why_not(medium: Medium, listed: ListedTrack) -> str:
    if listed.is_video:
        return "it is a video"
    if medium.format in _VIDEO_FORMATS:
        return f"it is on a {medium.format}"
    if listed.title.casefold() == _DATA_TITLE:
        return "it is data, not audio"
    return ""


def _track(release: Release, medium: Medium, listed: ListedTrack, position: int) -> Track:
    return Track(
        position=TrackPosition(position),
        title=listed.title,
        mb_recording_id=listed.recording,
        duration_ms=listed.length_ms,
        artist="" if listed.artist == release.artist else listed.artist,
        medium=medium.position,
        medium_position=listed.position,
    )


def _skipped(medium: Medium, listed: ListedTrack, reason: str) -> SkippedTrack:
    return SkippedTrack(medium=medium.position, position=listed.position, title=listed.title, reason=reason)
