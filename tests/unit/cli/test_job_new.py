"""`job new`: whole manifests from an id or address, against a web service like MusicBrainz's."""

import json

import pytest
from click.testing import CliRunner
from musicbrainz_server import ARTIST, LOVELESS, WITH_EXTRAS, Catalogue, mbid, serving_beside

from reconciler.cli.main import cli
from reconciler.cli.new_manifests import mbid_in
from reconciler.errors import InvalidInputError, NotFoundError
from reconciler.manifests.read import read_manifest
from reconciler.musicbrainz.answers import Answers
from reconciler.state.database import Database

LABEL = mbid(0xAB)


@pytest.fixture
def catalogue():
    return Catalogue(
        releases=[LOVELESS, WITH_EXTRAS],
        names={ARTIST: "My Bloody Valentine", LABEL: "Creation / Records"},
        merged={mbid(9): mbid(0x100)},
    )


@pytest.fixture
def root(tmp_path, catalogue):
    """A root folder whose configuration names the web service."""
    root = tmp_path / "root"
    (root / "jobs" / "active").mkdir(parents=True)
    with serving_beside(catalogue) as url:
        (root / "reconciler.yml").write_text(f"musicbrainz: {{url: '{url}', rate_per_second: 100}}\n")
        yield root


def new(root, *words, as_json=True):
    """Run `job new`; gives what it says, or raises what it ended with."""
    where = ["--root", str(root), "--state", str(root.parent / "state"), *(["--json"] if as_json else [])]
    result = CliRunner().invoke(cli, ["job", "new", *words, *where])
    if result.exception is not None:
        raise result.exception
    return json.loads(result.stdout) if as_json else result.stdout


def manifest_of(root, said):
    parsed = read_manifest((root / said["path"]).read_bytes())
    assert parsed.problems == ()
    assert parsed.manifest.job_id == said["job_id"]
    return parsed.manifest


def test_a_release_is_written_with_its_tracks(root):
    """A whole manifest: who reads it needs nothing else."""
    said = new(root, "mb-release", f"https://musicbrainz.org/release/{mbid(0x102)}/discids")
    assert said["path"] == "jobs/active/My Bloody Valentine - Hidden Things.yml"
    assert (said["tracks"], len(said["skipped"]), said["not_looked_up"]) == (3, 5, "")
    spec = manifest_of(root, said).spec
    assert (spec.mb_release_id, spec.title, spec.artist) == (mbid(0x102), "Hidden Things", "My Bloody Valentine")
    assert [(track.position, track.medium, track.medium_position, track.title) for track in spec.tracks] == [
        (1, 1, 1, "First"),
        (4, 1, 4, "Guest"),
        (6, 3, 1, "Last"),
    ]
    assert spec.tracks[1].artist == "My Bloody Valentine & Kevin"
    assert spec.tracks[0].duration_ms == 180_000


def test_it_says_what_it_chose_and_where_it_wrote_it(root):
    """For a person, with what was left out and why."""
    text = new(root, "mb-release", mbid(0x102), "--target-dir", "library/new", as_json=False)
    assert "wrote jobs/active/My Bloody Valentine - Hidden Things.yml" in text
    assert "3 tracks, into library/new" in text
    assert "left out: 1-2 A film: it is a video" in text
    assert "# constraints:" in (root / "jobs/active/My Bloody Valentine - Hidden Things.yml").read_text()


def test_a_merged_id_is_written_as_it_is_now(root):
    """And the old one is in a comment."""
    said = new(root, "mb-release", mbid(9))
    assert manifest_of(root, said).spec.mb_release_id == mbid(0x100)
    assert f"MusicBrainz has merged {mbid(9)}" in (root / said["path"]).read_text()


def test_artists_and_labels_are_written_with_their_name(root):
    """What is chosen for the person stands in the file, and may be given."""
    said = new(root, "discography", f"https://musicbrainz.org/artist/{ARTIST}")
    wish = manifest_of(root, said).spec
    assert (said["name"], wish.artist_name, wish.profile) == ("My Bloody Valentine", "My Bloody Valentine", "core")
    said = new(root, "label-crate", LABEL.upper(), "--limit", "5", "--order", "oldest")
    assert said["path"] == "jobs/active/Creation _ Records.yml"
    crate = manifest_of(root, said).spec
    assert (crate.label_name, crate.limit, crate.order) == ("Creation / Records", 5, "oldest")


@pytest.mark.parametrize(
    ("words", "has"),
    [
        (("mb-release", mbid(0x100)), "mb_release"),
        (("discography", ARTIST), "discography"),
        (("label-crate", LABEL), "label_crate"),
    ],
)
def test_it_works_offline(root, catalogue, words, has):
    """Without what MusicBrainz would have said; the daemon looks it up when it can."""
    configuration = root / "reconciler.yml"
    configuration.write_text(configuration.read_text().replace("rate_per", "offline: true, rate_per"))
    said = new(root, *words)
    assert "musicbrainz.offline is set" in said["not_looked_up"]
    manifest = manifest_of(root, said)
    assert (manifest.job_type.value, said["tracks"]) == (has, None)
    assert said["path"] == f"jobs/active/{said['job_id']}.yml"
    assert catalogue.asked == []


def test_what_is_not_there_is_not_written(root):
    """An id that nobody knows, a folder that is no root, a file that is there already."""
    with pytest.raises(NotFoundError, match="knows no release"):
        new(root, "mb-release", mbid(1))
    assert list((root / "jobs" / "active").iterdir()) == []
    new(root, "mb-release", mbid(0x100))
    with pytest.raises(InvalidInputError, match="is there already"):
        new(root, "mb-release", mbid(0x100))
    (root / "jobs" / "active").rename(root / "elsewhere")
    with pytest.raises(NotFoundError, match="has no jobs/active"):
        new(root, "mb-release", mbid(0x100))


def test_what_the_daemon_knows_is_not_asked_again(root, catalogue):
    """It uses the daemon's memory of answers, and adds to it."""
    Database.open(root.parent / "state" / "reconciler.db").close()
    new(root, "mb-release", mbid(0x100))
    database = Database.open_read_only(root.parent / "state" / "reconciler.db")
    asked = catalogue.asked[0].target
    url = (root / "reconciler.yml").read_text().partition("'")[2].partition("'")[0]
    assert Answers(database).get(url.removesuffix("/ws/2") + asked).status == 200
    database.close()
    (root / "jobs/active/My Bloody Valentine - Loveless.yml").unlink()
    new(root, "mb-release", mbid(0x100))
    assert len(catalogue.asked) == 1


@pytest.mark.parametrize(
    ("given", "kind", "why"),
    [
        (f"https://musicbrainz.org/release-group/{mbid(1)}", "release", "one of its editions"),
        (f"https://musicbrainz.org/label/{mbid(1)}", "artist", "page of the artist"),
        ("Loveless", "release", "copy the address"),
        (f"{mbid(1)} {mbid(2)}", "release", "copy the address"),
    ],
)
def test_an_address_of_something_else_is_refused(given, kind, why):
    """With what to open instead."""
    with pytest.raises(InvalidInputError) as refused:
        mbid_in(given, kind)
    assert why in refused.value.hint
