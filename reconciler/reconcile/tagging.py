"""What is to be written into the file of a track.

Owns: which facts those are. Never: writes them (library.tags).
"""

from reconciler.library.tag_map import TrackTags
from reconciler.manifests.model import MbReleaseSpec, Track
from reconciler.musicbrainz.model import ReleaseFacts, ResolvedRelease, TrackFacts


def tags_of(track: Track, spec: MbReleaseSpec, resolved: ResolvedRelease | None, *, discs: int) -> TrackTags:
    """What the manifest says of a track, and what MusicBrainz said of its release, where that was looked up."""
    facts = ReleaseFacts() if resolved is None else resolved.facts
    nothing = TrackFacts(mbid=None, artists=(), media="", tracks=0)
    of_track = facts.tracks.get(track.position, nothing)
    year = "" if resolved is None or resolved.year is None else str(resolved.year)
    return TrackTags(
        title=track.title,
        artist=track.artist or spec.artist,
        album=spec.title,
        albumartist=spec.artist,
        track=track.medium_position or track.position,
        tracks=of_track.tracks,
        disc=track.medium or 1,
        discs=discs,
        date=facts.date,
        original_date=facts.original_date or year,
        media=of_track.media,
        types=facts.types,
        status=facts.status,
        country=facts.country,
        barcode=facts.barcode,
        labels=facts.labels,
        catalog_numbers=facts.catalog_numbers,
        isrcs=of_track.isrcs,
        recording_id=track.mb_recording_id,
        track_id=of_track.mbid or "",
        release_id=spec.mb_release_id if resolved is None else resolved.mbid,
        release_group_id=facts.group or "",
        artist_ids=of_track.artists,
        albumartist_ids=facts.artists,
    )
