"""From a spec to what the engine is asked for."""

from dataclasses import replace
from pathlib import PurePosixPath

import pytest
from reconcile_builders import (
    JOB,
    PLACES,
    artifact,
    files_spec,
    manifest,
    mbid,
    release_spec,
    resolved_release,
    resolved_releases,
    root,
    track,
)

from reconciler.manifests.model import (
    Constraints,
    Directives,
    DiscographySpec,
    LabelCrateSpec,
    MultiSourceSpec,
    OverlayPeerSource,
    Problem,
    SoulseekSource,
    UrlSource,
    WantedFile,
)
from reconciler.musicbrainz.model import Subject
from reconciler.reconcile.orders import (
    Family,
    Held,
    Places,
    Plan,
    RootRules,
    order_of,
    plan_of,
    renamed_of,
    still_wanted,
)
from reconciler.sources.base import Words


def stems(spec, places=PLACES):
    """Where the files of a spec go."""
    return [order.stem for order in plan_of(spec, places).tracks]


def test_tracks_of_a_release_are_named_by_the_template():
    """Artist, album, position and title make the path; the extension is left to the variant."""
    plan = plan_of(release_spec(2), PLACES)
    assert [order.stem for order in plan.tracks] == [
        "My Bloody Valentine/Loveless/01 Song 1",
        "My Bloody Valentine/Loveless/02 Song 2",
    ]
    assert [order.extension for order in plan.tracks] == [None, None]
    assert [(order.want.position, order.want.recording) for order in plan.tracks] == [(1, mbid(1)), (2, mbid(2))]
    assert [order.duration_ms for order in plan.tracks] == [1000, 1000]


def test_several_media_are_told_apart():
    """With two discs the number of the disc goes before the position on it."""
    spec = release_spec((track(1, medium=1, medium_position=1), track(2, medium=2, medium_position=1)))
    assert [stem.rsplit("/", 1)[1] for stem in stems(spec)] == ["1-01 Song 1", "2-01 Song 2"]


def test_a_track_is_searched_by_what_people_call_it():
    """Title, artists, album, number on its medium and length: as the manifest has them, not as the path does."""
    spec = release_spec(
        (track(1, medium=1, medium_position=1), track(2, medium=2, medium_position=1, artist="Slowdive", title="4:02"))
    )
    first, second = (order.want.words for order in plan_of(spec, PLACES).tracks)
    assert first == Words(
        title="Song 1",
        artist="My Bloody Valentine",
        album="Loveless",
        albumartist="My Bloody Valentine",
        track_number=1,
        medium=1,
        media=2,
        duration_ms=1000,
    )
    assert (second.title, second.artist, second.albumartist) == ("4:02", "Slowdive", "My Bloody Valentine")
    assert (second.track_number, second.medium, second.media) == (1, 2, 2)


def test_what_is_not_known_of_a_release_is_not_searched_for():
    """Neither the words for an unknown artist nor an id are what people call a record."""
    [order] = plan_of(release_spec(1, artist="", title=""), PLACES).tracks
    assert (order.want.words.artist, order.want.words.album, order.want.words.albumartist) == ("", "", "")


def test_a_file_known_by_its_bytes_is_not_searched_by_words():
    """Its path is what the person calls it, nobody else."""
    [order] = plan_of(files_spec("a.flac"), PLACES).tracks
    assert order.want.words is None


def test_a_release_without_artist_or_title_still_has_a_place():
    """The words for an unknown artist, and the release's id for its title."""
    assert stems(release_spec(1, artist="", title="")) == [f"Unknown Artist/{mbid(100)}/01 Song 1"]


def test_a_hostile_title_stays_in_its_folder():
    """Slashes and dots in a title are characters of a name."""
    [stem] = stems(release_spec((track(1, title="../../passwd"),), title="..", artist="/etc"))
    assert stem.count("/") == 2
    assert ".." not in stem.split("/")


@pytest.mark.parametrize(
    ("target_dir", "wanted"),
    [
        ("library", "/srv/library"),
        ("library/new", "/srv/library/new"),
        ("/srv/library/new", "/srv/library/new"),
        ("/mnt/music/in", "/mnt/music/in"),
    ],
)
def test_a_target_below_an_allowed_root_is_taken(target_dir, wanted):
    """Relative counts from the root folder."""
    places = Places(
        root=PurePosixPath("/srv"),
        library_roots=(PurePosixPath("/srv/library"), PurePosixPath("/mnt/music")),
        naming=PLACES.naming,
        publish="album",
        soulseek=False,
    )
    assert str(plan_of(release_spec(target_dir=target_dir), places).target_dir) == wanted


@pytest.mark.parametrize("target_dir", ["/etc", ".", "/srv", "/srv/library2", "library/../../etc", "../srv/library"])
def test_a_target_elsewhere_is_a_problem(target_dir):
    """A manifest cannot have files put outside the library, and says what to do about it."""
    problem = plan_of(release_spec(target_dir=target_dir), PLACES)
    assert isinstance(problem, Problem)
    assert problem.pointer == "spec.target_dir"
    assert problem.hint


def test_the_deepest_allowed_root_is_chosen():
    """Where one root lies in another, the target belongs to the inner one."""
    outer, inner = PurePosixPath("/music"), PurePosixPath("/music/new")
    for roots in ((outer, inner), (inner, outer)):
        places = replace(PLACES, library_roots=roots)
        assert plan_of(release_spec(target_dir="/music/new/x"), places).allowed_root == inner


def test_a_root_may_have_rules_of_its_own():
    """Names and the moment of publishing follow the root that the target lies below, the deepest one."""
    outer, inner = PurePosixPath("/music"), PurePosixPath("/music/portable")
    rules = {inner: RootRules(naming="{artist} - {title}", publish="track")}
    places = replace(PLACES, library_roots=(outer, inner), root_rules=rules)
    plan = plan_of(release_spec(1, target_dir="/music/portable/car"), places)
    assert ([order.stem for order in plan.tracks], plan.album) == (["My Bloody Valentine - Song 1"], None)
    plan = plan_of(release_spec(1, target_dir="/music/x"), places)
    assert [order.stem for order in plan.tracks] == ["My Bloody Valentine/Loveless/01 Song 1"]
    assert plan.album == "My Bloody Valentine/Loveless"


def test_files_keep_the_names_that_they_are_given():
    """The path is whole, with its extension; root, size and sources are what is looked for."""
    sources = (UrlSource(url="https://example.org/a"), OverlayPeerSource(peer="p" * 43, host="h", port=1))
    file = WantedFile(
        path="disc 1/a.tar.gz", size=7, root=root(1), chunk_hashes="https://example.org/c", sources=sources
    )
    [order] = plan_of(MultiSourceSpec(target_dir="library", files=(file,)), PLACES).tracks
    assert (order.stem, order.extension) == ("disc 1/a.tar.gz", "")
    assert (order.want.position, order.want.root, order.want.size) == (1, root(1), 7)
    assert (order.want.sources, order.want.chunk_hashes_url) == (sources, "https://example.org/c")


@pytest.mark.parametrize("path", ["a:b.flac", "CON.flac", ".hidden", "x/../y", "x//y", "dots.", "a\u200bb.flac"])
def test_a_file_name_that_would_have_to_change_is_a_problem(path):
    """Publishing under another name than the one asked for would not be what was asked for."""
    problem = plan_of(files_spec("fine.flac", path), PLACES)
    assert isinstance(problem, Problem)
    assert problem.pointer == "spec.files[1].path"


def test_an_order_leaves_out_what_is_held():
    """Only what is missing is asked for, under its own position."""
    plan = plan_of(release_spec(3), PLACES)
    order = order_of(plan, manifest(), job_id=JOB, generation=4, held={2})
    assert [each.want.position for each in order.tracks] == [1, 3]
    assert (order.job_id, order.generation) == (JOB, 4)
    assert (order.target_dir, order.allowed_root) == ("/srv/library", "/srv/library")


def test_an_order_has_the_priority_of_its_manifest():
    """It is the job's share among those that run."""
    urgent = replace(manifest(), directives=Directives(priority=50))
    assert order_of(plan_of(release_spec(1), PLACES), urgent, job_id=JOB, generation=1, held=()).priority == 50


def test_an_edit_keeps_the_tracks_that_it_does_not_concern():
    """A track is kept while its position asks for the same recording below the same folder."""
    plan = plan_of(release_spec(3), PLACES)
    artifacts = [
        artifact(1),
        artifact(2, recording=mbid(77)),
        artifact(3, path="/srv/elsewhere/song 3.flac"),
        artifact(4),
    ]
    assert still_wanted(plan, artifacts) == {1}


def test_an_edit_keeps_the_files_with_the_same_bytes_in_the_same_place():
    """A file is kept while its path and its root are those that are asked for."""
    plan = plan_of(files_spec("a", "b", "c"), PLACES)
    artifacts = [
        artifact(1, path="/srv/library/a"),
        artifact(2, path="/srv/library/b", root=root(9)),
        artifact(3, path="/srv/library/old c"),
    ]
    assert still_wanted(plan, artifacts) == {1}


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        (DiscographySpec(artist_id=mbid(1), profile="core", target_dir="library"), "artist"),
        (LabelCrateSpec(label_id=mbid(1), limit=3, order="newest", target_dir="library"), "label"),
    ],
)
def test_which_releases_there_are_has_to_be_looked_up(spec, kind):
    """Then the work is that of manifests of their own; what was found of another artist or label is not it."""
    subject = Subject(kind=kind, mbid=mbid(1))
    assert plan_of(spec, PLACES) == subject
    assert plan_of(spec, PLACES, resolved_releases(asked=2)) == subject
    found = resolved_releases(3, 4)
    assert plan_of(spec, PLACES, found) == Family(releases=found.releases)


def test_a_release_without_a_list_has_to_be_looked_up():
    """Then its tracks are those that were found, and the names that nobody has written come from there."""
    spec = release_spec(None, title="", artist="")
    assert plan_of(spec, PLACES) == Subject(kind="release", mbid=mbid(100))
    assert plan_of(spec, PLACES, resolved_release(asked=101)) == Subject(kind="release", mbid=mbid(100))
    plan = plan_of(spec, PLACES, resolved_release(track(1, medium=1), track(2, medium=2, medium_position=1)))
    assert [order.stem for order in plan.tracks] == [
        "My Bloody Valentine/Loveless/1-01 Song 1",
        "My Bloody Valentine/Loveless/2-01 Song 2",
    ]


def test_what_is_written_goes_before_what_was_found():
    """Title and artist of the manifest, and its own list of tracks."""
    wanted = release_spec(None, title="Mine", artist="Me")
    assert [order.stem for order in plan_of(wanted, PLACES, resolved_release(track(1))).tracks] == ["Me/Mine/01 Song 1"]
    assert plan_of(release_spec(2), PLACES, resolved_release()).positions == (1, 2)


def test_a_template_may_name_the_year():
    """Where it is known; a manifest's own list has none."""
    places = replace(PLACES, naming="{album}{ (year)}/{track} {title} {year}")
    assert stems(release_spec(1), places) == ["Loveless/1 Song 1"]
    [order] = plan_of(release_spec(None), places, resolved_release(track(1))).tracks
    assert order.stem == "Loveless (1991)/1 Song 1 1991"


SOULSEEK = SoulseekSource(username="a", filename="b.flac")
URL = UrlSource(url="https://example.org/b.flac")


@pytest.mark.parametrize(
    ("sources", "held"), [((SOULSEEK,), True), ((SOULSEEK, SOULSEEK), True), ((SOULSEEK, URL), False), ((), False)]
)
def test_a_file_that_only_soulseek_users_have_is_held_where_they_may_not_be_asked(sources, held):
    """With another source beside them, that one is asked; with Soulseek, they are."""
    files = (
        WantedFile(path="a.flac", size=1, root=root(1)),
        WantedFile(path="b", size=1, root=root(2), sources=sources),
    )
    spec = MultiSourceSpec(target_dir="library", files=files)
    taking_part = replace(PLACES, soulseek=True)
    assert isinstance(plan_of(spec, taking_part), Plan)
    without = replace(spec, constraints=Constraints(use_soulseek=False))
    told = {"soulseek.enabled is false": plan_of(spec, PLACES), "use_soulseek is false": plan_of(without, taking_part)}
    for why, plan in told.items():
        assert isinstance(plan, Held if held else Plan)
        if isinstance(plan, Held):
            assert plan.reason == "NeedsSoulseek"
            assert plan.message.startswith("b names Soulseek users only")
            assert why in plan.message


def test_where_a_held_job_would_go_is_checked_at_once():
    """A target outside the library is a mistake now, not only when the rest can be looked up."""
    spec = DiscographySpec(artist_id=mbid(1), profile="core", target_dir="/elsewhere")
    problem = plan_of(spec, PLACES)
    assert isinstance(problem, Problem)
    assert problem.pointer == "spec.target_dir"


@pytest.mark.parametrize(
    ("naming", "folder"),
    [
        ("{albumartist}/{album}/{disc-}{track:02} {title}", "My Bloody Valentine/Loveless"),
        ("{albumartist}/{album}/Disc {disc}/{track:02} {title}", "My Bloody Valentine/Loveless"),
        ("{albumartist} - {album}/{track:02} {title}", "My Bloody Valentine - Loveless"),
        ("{artist}/{track:02} {title}", ""),
        ("{track:02} {title}", ""),
    ],
)
def test_an_album_is_the_deepest_folder_that_its_files_have_in_common(naming, folder):
    """Discs in folders of their own appear together; files of several artists have no folder in common."""
    spec = release_spec((track(1, artist="A"), track(2, artist="B", medium=2, medium_position=1)))
    plan = plan_of(spec, replace(PLACES, naming=naming))
    assert plan.album == folder
    assert order_of(plan, manifest(), job_id=JOB, generation=1, held=()).album == folder


def test_the_folder_stays_the_same_however_few_tracks_are_missing():
    """Else a run after a crash would look for what was put aside in another place."""
    plan = plan_of(
        release_spec((track(1), track(2, medium=2, medium_position=1))),
        replace(PLACES, naming="{album}/Disc {disc}/{track:02} {title}"),
    )
    assert order_of(plan, manifest(), job_id=JOB, generation=1, held={1}).album == "Loveless"


@pytest.mark.parametrize(
    ("spec", "places"),
    [(files_spec("a/b", "a/c"), PLACES), (release_spec(2), replace(PLACES, publish="track"))],
    ids=["explicit files", "library.publish: track"],
)
def test_what_is_published_file_by_file_has_no_album(spec, places):
    """Files that a manifest names one by one are no album, whatever is configured."""
    assert plan_of(spec, places).album is None


def test_files_that_got_a_number_are_told():
    """In the place that was wanted, under the name that was wanted, with a number; nothing else counts."""
    plan = plan_of(release_spec(4), PLACES)
    folder = "/srv/library/My Bloody Valentine/Loveless"
    artifacts = [
        artifact(1, path=f"{folder}/01 Song 1.flac"),
        artifact(2, path=f"{folder}/02 Song 2 (2).flac"),
        artifact(3, path="/srv/library/elsewhere/03 Song 3 (2).flac"),
        artifact(9, path=f"{folder}/09 Song 9 (2).flac"),
    ]
    assert [(each.position, each.path) for each in renamed_of(plan, artifacts)] == [(2, f"{folder}/02 Song 2 (2).flac")]
    files = plan_of(files_spec("a.flac", "b.flac"), PLACES)
    there = [artifact(1, path="/srv/library/a (3).flac"), artifact(2, path="/srv/library/b.flac")]
    assert [each.position for each in renamed_of(files, there)] == [1]
