"""Which tracks of a release are fetched."""

import json

from musicbrainz_server import LOVELESS, TWO_DISCS, WITH_EXTRAS, mbid

from reconciler.musicbrainz.parse import release_of
from reconciler.musicbrainz.tracklist import resolved_release


def resolved(value, asked=None):
    release = release_of(json.dumps(value).encode())
    return resolved_release(release, asked=asked or release.mbid)


def test_positions_count_across_media():
    """Each track keeps its place on its own disc as well."""
    found = resolved(TWO_DISCS)
    places = [(track.position, track.medium, track.medium_position, track.mb_recording_id) for track in found.tracks]
    assert places == [(1, 1, 1, mbid(0x11)), (2, 1, 2, mbid(0x12)), (3, 2, 1, mbid(0x21)), (4, 2, 2, mbid(0x22))]
    assert found.skipped == ()


def test_what_is_no_audio_is_left_out_and_counted():
    """Pregap, video, data and a film's disc have a reason each; the positions of the others do not shift."""
    found = resolved(WITH_EXTRAS)
    assert [(track.position, track.title) for track in found.tracks] == [(1, "First"), (4, "Guest"), (6, "Last")]
    assert [(each.medium, each.position, each.reason) for each in found.skipped] == [
        (1, 0, "it lies in the pregap, before track 1"),
        (1, 2, "it is a video"),
        (1, 3, "it is data, not audio"),
        (1, 5, "it is data, not audio"),
        (2, 1, "it is on a DVD-Video"),
    ]


def test_an_artist_is_named_where_it_is_another():
    """The release's own goes without saying."""
    found = resolved(WITH_EXTRAS)
    assert [track.artist for track in found.tracks] == ["", "My Bloody Valentine & Kevin", ""]


def test_the_year_is_that_of_the_first_edition():
    """The release group knows it; a release without one has its own."""
    assert resolved(LOVELESS).year == 1991
    assert resolved({**LOVELESS, "release-group": None}).year == 2012
    assert resolved({**LOVELESS, "release-group": None, "date": ""}).year is None


def test_a_merged_id_is_remembered():
    """What was asked for, and what answered."""
    found = resolved(LOVELESS, asked=mbid(0x999))
    assert (found.asked, found.mbid) == (mbid(0x999), mbid(0x100))
