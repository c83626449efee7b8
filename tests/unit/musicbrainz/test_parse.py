"""Answers of the web service: the shapes that are taken, and why others are not."""

import json

import pytest
from musicbrainz_server import ARTIST, LOVELESS, WITH_EXTRAS, mbid

from reconciler.musicbrainz.model import Named, NoAnswerError, year_of
from reconciler.musicbrainz.parse import TITLE_MAX, named_of, release_of, release_page_of


def answered(value):
    return json.dumps(value).encode()


def refusal(reader, data):
    with pytest.raises(NoAnswerError) as refused:
        reader(data)
    assert refused.value.code == "odd answer"
    return refused.value.message


def test_a_release_is_read_with_its_media():
    """Names with hyphens, numbers that are numbers, and null for what is not known."""
    release = release_of(answered(LOVELESS))
    assert (release.mbid, release.title, release.artist) == (mbid(0x100), "Loveless", "My Bloody Valentine")
    assert (release.status, release.date, release.country) == ("Official", "2012-05-07", "GB")
    assert release.artists == (ARTIST,)
    assert release.barcode == "886919692921"
    assert release.group.primary_type == "Album"
    assert release.group.first_release_date == "1991-11-04"
    [medium] = release.media
    assert [(each.position, each.title, each.length_ms) for each in medium.tracks] == [
        (1, "Only Shallow", 257_000),
        (2, "Loomer", None),
    ]
    assert release.track_count == 2


def test_what_stands_outside_of_the_track_list_is_read_apart():
    """A pregap has position 0; data tracks are in a list of their own."""
    first, second, third = release_of(answered(WITH_EXTRAS)).media
    assert (first.pregap.position, first.pregap.title) == (0, "Before")
    assert [each.title for each in first.data_tracks] == ["readme.txt"]
    assert [each.is_video for each in first.tracks] == [False, True, False, False]
    assert first.tracks[3].artist == "My Bloody Valentine & Kevin"
    assert (second.format, third.format) == ("DVD-Video", "Digital Media")


def test_a_page_says_how_many_there_are():
    """Its releases have counts where no tracks were asked for."""
    media = [{"position": 1, "format": "CD", "track-count": 11}]
    page = release_page_of(answered({"release-count": 230, "releases": [{**LOVELESS, "media": media}]}))
    assert page.total == 230
    assert [release.track_count for release in page.releases] == [11]
    assert page.releases[0].media[0].tracks == ()


def test_an_artist_has_a_name():
    """And the id that it is known by now."""
    assert named_of(answered({"id": ARTIST, "name": "MBV"})) == Named(mbid=ARTIST, name="MBV")


def changed(*path, to):
    """The answer with one value changed."""
    value = json.loads(answered(LOVELESS))
    place = value
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = to
    return answered(value)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"<html>please log in</html>", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "the release is not an object"),
        (b'{"id": NaN}', "not JSON"),
        (changed("id", to="x"), "id is no MusicBrainz id"),
        (changed("id", to=mbid(1).upper().replace("0", "A")), "id is no MusicBrainz id"),
        (changed("title", to=""), "title is missing"),
        (changed("title", to=7), "title is no text"),
        (changed("title", to="x" * 20_000), "title is no text"),
        (changed("media", to={}), "media is no list"),
        (changed("media", 0, "tracks", to=[1]), "tracks[0] is not an object"),
        (changed("media", 0, "tracks", 0, "position", to="1"), "position is no whole number"),
        (changed("media", 0, "tracks", 0, "position", to=True), "position is no whole number"),
        (changed("media", 0, "tracks", 0, "position", to=None), "position is missing"),
        (changed("media", 0, "tracks", 0, "length", to=-1), "length is no whole number"),
        (changed("media", 0, "tracks", 0, "recording", to=None), "recording is missing"),
        (changed("media", 0, "tracks", 0, "recording", "video", to="no"), "video is neither true nor false"),
        (changed("media", 0, "track-count", to=3), "has 3 tracks, and 2 are listed"),
        (changed("artist-credit", to=[{}] * 1000), "artist-credit is no list of at most"),
        (changed("release-group", "secondary-types", to=[1]), "secondary-types holds something"),
        (changed("label-info", to=[{}] * 1000), "label-info is no list of at most"),
        (changed("label-info", to=[{"label": "Sire"}]), "label is not an object"),
        (changed("media", 0, "tracks", 0, "recording", "isrcs", to=["x" * 501]), "isrcs holds something"),
    ],
)
def test_an_odd_answer_is_refused_with_its_place(data, why):
    """Nothing is guessed; the message says what is odd."""
    assert why in refusal(release_of, data)


def test_a_list_without_a_count_is_refused():
    """Its end could not be told."""
    assert "release-count is missing" in refusal(release_page_of, b'{"releases": []}')


def test_titles_hold_nothing_that_cannot_be_seen():
    """They go into files and terminals; what is too long for a manifest is cut."""
    release = release_of(changed("title", to="Love\u202e\x1b[31m\nless" + "x" * 600))
    assert release.title.startswith("Love [31m less")
    assert len(release.title) <= TITLE_MAX


def test_a_length_of_weeks_is_none():
    """Nothing could be compared with it."""
    release = release_of(changed("media", 0, "tracks", 0, "length", to=10**9))
    assert release.media[0].tracks[0].length_ms is None


@pytest.mark.parametrize(
    ("date", "year"), [("1991-11-04", 1991), ("1991", 1991), ("", None), ("????-11", None), ("199", None)]
)
def test_a_year_is_the_head_of_a_date(date, year):
    """Dates are as long as they are known."""
    assert year_of(date) == year
