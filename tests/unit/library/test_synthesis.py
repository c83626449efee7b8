"""The synthesised album: real files that every check accepts, the same for the same seed."""

import hashlib

import pytest
import soundfile
from mutagen.flac import FLAC

from reconciler.ids import is_mbid
from reconciler.library.audio import check
from reconciler.library.synthesis import TRACKS_MAX, make_album

CHUNK_BYTES = 256 * 1024


@pytest.fixture(scope="module")
def album(tmp_path_factory):
    """An album of three tracks, as the demo makes one."""
    return make_album(tmp_path_factory.mktemp("album"), tracks=3, seconds=20, seed=1)


def test_every_track_is_proven_audio(album):
    """Each file decodes to its own MD5 and has the length that is said."""
    for track in album:
        verdict = check(track.path, container="flac", duration_ms=track.duration_ms, tolerance_ms=1)
        assert verdict.proven, verdict.reason
        assert (verdict.facts.bit_depth, verdict.facts.channels) == (16, 2)


def test_a_track_has_several_chunks_and_is_small(album):
    """Enough for three peers to share, not so much that anybody waits."""
    for track in album:
        assert 5 * CHUNK_BYTES < track.path.stat().st_size < 12 * CHUNK_BYTES


def test_a_track_is_neither_silent_nor_clipped(album):
    """There is music in it."""
    for track in album:
        samples, _ = soundfile.read(track.path)
        assert 0.1 < abs(samples).max() < 0.99


def test_the_tags_say_what_was_made(album):
    """Position, names and the recording's identifier, which is one of MusicBrainz's form and no other track's."""
    for position, track in enumerate(album, start=1):
        tags = FLAC(track.path)
        assert tags["musicbrainz_trackid"] == [track.recording]
        assert tags["tracknumber"] == [str(position)] == [str(track.position)]
        assert (tags["title"], tags["artist"], tags["album"]) == ([track.title], [track.artist], [track.album])
        assert is_mbid(track.recording)
    assert len({track.recording for track in album}) == len({track.title for track in album}) == 3


def test_a_seed_makes_the_same_album_again(tmp_path):
    """The same seed gives the same bytes; another gives other music and other identifiers."""
    one, again, other = (
        make_album(tmp_path / name, tracks=1, seconds=2, seed=seed)[0]
        for name, seed in (("one", 5), ("again", 5), ("other", 6))
    )
    digests = [hashlib.sha256(track.path.read_bytes()).digest() for track in (one, again, other)]
    assert digests[0] == digests[1] != digests[2]
    assert one.recording == again.recording != other.recording


@pytest.mark.parametrize("tracks", [0, TRACKS_MAX + 1])
def test_an_album_has_as_many_tracks_as_there_are_titles(tmp_path, tracks):
    """None, or more than there are titles for, is refused."""
    with pytest.raises(ValueError, match="1 to 20 tracks"):
        make_album(tmp_path, tracks=tracks, seconds=1, seed=1)
