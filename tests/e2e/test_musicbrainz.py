"""Releases looked up at MusicBrainz and fetched from an overlay peer: whole programs, real sockets, real audio."""

import json

import pytest
from e2e.rig import run
from e2e.shelf import Shelf
from musicbrainz_server import ARTIST, VARIOUS, credit, group, mbid

from reconciler import __version__

JOB = "01HRQ4GSX9K47J7M5FK7VW8B12"
OTHER_JOB = "01HRQ4GSX9K47J7M5FK7VW8B13"


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


FILE = """\
job_type: multi_source
spec:
  target_dir: library
  files: [{{path: one.flac, size: {size}, root: {root}}}]
"""
DISCOGRAPHY = """\
job_id: {job}
job_type: discography
spec: {{artist_id: {artist}, profile: {profile}, target_dir: library}}
"""
CRATE = """\
job_type: label_crate
spec: {{label_id: {label}, limit: 2, order: oldest, target_dir: library}}
"""


def test_all_four_kinds_of_jobs_complete(shelf):
    """From one peer, against one web service that is asked once a second at most, by name and address."""
    label = mbid(0xAB)
    listed = shelf.holds(1, "By Id")
    shelf.holds(2, "First Album", of=group(0x1002, "First Album", first="1988"))
    shelf.holds(3, "Concert", of=group(0x1003, "Concert", secondary=("Live",)), held=False)
    shelf.holds(4, "Best Of", of=group(0x1004, "Best Of", secondary=("Compilation",)), held=False)
    shelf.holds(5, "Taped", of=group(0x1005, "Taped"), status="Bootleg", held=False)
    other = credit(("Various", VARIOUS))
    for number, year in ((6, 1991), (7, 1985), (8, 1988)):
        of = group(0x1000 + number, f"Sampler {number}", first=str(year), artist=other)
        about = {"artist-credit": other, "labels": (label,)}
        shelf.holds(number, f"Sampler {number}", of=of, held=number != 6, **about)
    shelf.catalogue.names = {ARTIST: "My Bloody Valentine", label: "Creation"}
    size, root = shelf.file("loose")
    with shelf.open():
        shelf.write("release.yml", wish(listed))
        shelf.write("artist.yml", DISCOGRAPHY.format(job=OTHER_JOB, artist=ARTIST, profile="core"))
        shelf.write("label.yml", CRATE.format(label=label))
        shelf.write("file.yml", FILE.format(size=size, root=root))
        shelf.once()
    albums = {path.rpartition("/")[0] for path in shelf.library()}
    assert albums == {
        "",
        "My Bloody Valentine/By Id",
        "My Bloody Valentine/First Album",
        "Various/Sampler 7",
        "Various/Sampler 8",
    }
    assert list((shelf.root / "jobs" / "active").glob("*.yml")) == []
    assert min(shelf.catalogue.gaps_s) >= 1.0
    assert {asked.user_agent for asked in shelf.catalogue.asked} == {f"reconciler/{__version__} ( me@example.org )"}
    told = {each["metadata"].get("title"): each for each in shelf.events(OTHER_JOB) if each["action"] == "left out"}
    assert {title: event["metadata"]["reason"] for title, event in told.items()} == {
        "Concert": "its type is Album + Live",
        "Best Of": "its type is Album + Compilation",
    }


def test_a_profile_may_grow_and_shrink(shelf):
    """Core -> extended adds, back again cancels only what is not done; no byte is fetched twice."""
    shelf.holds(1, "Album")
    shelf.holds(2, "Single", of=group(0x1002, "Single", primary="Single"))
    shelf.holds(3, "Rare", of=group(0x1003, "Rare", primary="EP"), held=False)
    shelf.catalogue.names = {ARTIST: "My Bloody Valentine"}
    with shelf.open(rate_per_second=20):
        shelf.write("artist.yml", DISCOGRAPHY.format(job=OTHER_JOB, artist=ARTIST, profile="core"))
        shelf.once()
        assert len(shelf.library()) == 1
        active = shelf.root / "jobs" / "active" / "artist.yml"
        (shelf.root / "jobs" / "completed" / "artist.yml").rename(active)
        active.write_text(active.read_text().replace("profile: core", "profile: extended"))
        shelf.once(check=3)
        assert len(shelf.library()) == 2
        [rare] = [each for each in shelf.manifests("active").values() if each.owner == OTHER_JOB]
        assert rare.spec.title == "Rare"
        active.write_text(active.read_text().replace("profile: extended", "profile: core"))
        # A job that was cancelled is not one that completed.
        shelf.once(check=3)
    assert list((shelf.root / "jobs" / "active").glob("*.yml")) == []
    done = shelf.manifests("completed")
    assert {each.spec.title: each.directives.desired_state for each in done.values() if each.owner == OTHER_JOB} == {
        "Album": "present",
        "Single": "present",
        "Rare": "cancelled",
    }
    told = [each for job in done for each in shelf.events(job) if each["type"] == "TrackComplete"]
    # The rare one was looked for, and not found; of the others each was fetched once.
    assert len([each for each in told if not each["is_error"]]) == 2
    shown = run("job", "show", OTHER_JOB, *shelf.where, check=0).stdout
    assert "1/1 releases" in shown
