"""Releases looked up at MusicBrainz and fetched from an overlay peer: whole programs, real sockets, real audio."""

import json

import pytest
from e2e.rig import run
from e2e.shelf import Shelf
from musicbrainz_server import mbid

from reconciler import __version__

JOB = "01HRQ4GSX9K47J7M5FK7VW8B12"


@pytest.fixture
def shelf(tmp_path):
    return Shelf(tmp_path)


def wish(release, extra=""):
    return f"job_id: {JOB}\njob_type: mb_release\nspec:\n  mb_release_id: {release}\n  target_dir: library\n{extra}"


def test_a_release_is_fetched_without_a_track_list(shelf):
    """Two discs, from the id alone; the second start asks nobody, and the file says what was done."""
    wanted = shelf.holds(0x100, "Two Discs", tracks=2, discs=2)
    with shelf.open():
        shelf.write("a.yml", wish(wanted))
        ahead = json.loads(run("plan", "--json", *shelf.where, check=0).stdout)
        assert [each["does"] for each in ahead] == ["look up"]
        assert ahead[0]["message"].startswith(f"release {wanted} is looked up at http://127.0.0.1:")
        shelf.once()
        shelf.once()
    assert shelf.library() == [
        f"My Bloody Valentine/Two Discs/{disc}-0{place} Song {place} of Two Discs.flac"
        for disc in (1, 2)
        for place in (1, 2)
    ]
    [asked] = shelf.catalogue.asked
    assert asked.target.startswith(f"/ws/2/release/{wanted}?")
    assert asked.user_agent == f"reconciler/{__version__} ( me@example.org )"
    shown = run("job", "trace", JOB, *shelf.where, check=0).stdout
    assert "Looked up at MusicBrainz: My Bloody Valentine - Two Discs" in shown
    assert "completed_tracks: [1, 2, 3, 4]" in (shelf.root / "jobs" / "completed" / "a.yml").read_text()


def test_a_merged_id_is_followed_and_said(shelf):
    """The job completes; its condition names the id that holds now."""
    wanted = shelf.holds(0x100, "Album")
    shelf.catalogue.merged = {mbid(9): wanted}
    with shelf.open():
        shelf.write("a.yml", wish(mbid(9)))
        shelf.once()
    text = (shelf.root / "jobs" / "completed" / "a.yml").read_text()
    assert "reason: MergedID" in text
    assert wanted in text


def test_what_is_not_there_and_who_is_not_there_are_told_apart(shelf):
    """An unknown id is stalled, with what to do; a server that is down is waited for."""
    with shelf.open():
        shelf.write("a.yml", wish(mbid(1)))
        shelf.once(check=3)
    explained = run("job", "explain", JOB, *shelf.where, check=0).stdout
    assert "NotInMusicBrainz" in explained
    assert "copy the id from its page" in explained
    shelf.write("a.yml", wish(mbid(2)))
    # Nobody serves any more.
    shelf.once(check=3)
    explained = run("job", "explain", JOB, *shelf.where, check=0).stdout
    assert "Reconciling=True MusicBrainzUnreachable" in explained
    assert "it is asked again by itself" in explained


def test_offline_it_says_what_is_missing(shelf):
    """Nobody is asked."""
    wanted = shelf.holds(0x100, "Album")
    with shelf.open(extra=""):
        configuration = shelf.root / "reconciler.yml"
        text = configuration.read_text()
        configuration.write_text(text.replace("contact:", "offline: true, contact:"))
        shelf.write("a.yml", wish(wanted))
        shelf.once(check=3)
        assert "MusicBrainzOffline" in (shelf.root / "jobs" / "active" / "a.yml").read_text()
        assert shelf.catalogue.asked == []
        configuration.write_text(text)
        shelf.once()
    assert len(shelf.library()) == 1
