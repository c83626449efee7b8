"""Which of other people's files are the tracks of a release."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shared_folders import release, shared

from reconciler.ids import TrackPosition
from reconciler.sources.base import Want
from reconciler.sources.soulseek.matching import match

SOUVLAKI = release("Slowdive", "Souvlaki", ("Alison", 231), ("Machine Gun", 268), ("40 Days", 195), ("Sing", 289))
FOLDER = "Music\\Slowdive - Souvlaki (1993)"


def folder(*names_and_lengths, path=FOLDER, username="someone"):
    """Files of one folder."""
    return [shared(f"{path}\\{name}", length, username=username) for name, length in names_and_lengths]


WHOLE = folder(("01 Alison.flac", 231), ("02 Machine Gun.flac", 268), ("03 40 Days.flac", 195), ("04 Sing.flac", 289))


def positions(matches):
    """Positions of what matched, in order."""
    return [found.position for found in matches.matched]


def test_a_match_says_what_agreed():
    """Each piece of evidence has its line, and what is not stated says so."""
    [found] = match(SOUVLAKI, folder(("01 Alison.flac", 231))).matched
    assert found.reasons == (
        "title: the same",
        "number: agrees",
        "duration: 0.0 s apart",
        "artist: named",
        "album: named",
        "folder: 1 of 4 wanted tracks in FLAC",
    )
    [bare] = match(SOUVLAKI, folder(("Alison.flac", None))).matched
    assert bare.reasons[1:3] == ("number: not stated", "duration: not stated")
    assert bare.score < found.score


def test_a_misspelt_title_is_quoted():
    """What was compared is shown where it is not the same."""
    files = [WHOLE[0], *folder(("02 Machine Gum.flac", 268)), *WHOLE[2:]]
    [found] = [each for each in match(SOUVLAKI, files).matched if each.position == 2]
    assert found.reasons[0] == "title: 0.70 alike, 'machine gum'"


def test_a_whole_album_goes_before_scattered_files():
    """One edition in one encoding is preferred; the others stay as a reserve."""
    loose = folder(("Slowdive - Alison.flac", 231), path="Downloads", username="aaron")
    matches = match(SOUVLAKI, [*loose, *WHOLE])
    first, second = (found for found in matches.matched if found.position == 1)
    assert (first.file.username, second.file.username) == ("someone", "aaron")
    assert first.score == 1.0
    assert second.score < 0.8


def test_two_encodings_in_one_folder_are_two_albums():
    """Each gives every track one file."""
    matches = match(SOUVLAKI, [*WHOLE, *folder(("01 Alison.mp3", 231), ("02 Machine Gun.mp3", 268))])
    assert positions(matches) == [1, 1, 2, 2, 3, 4]
    assert [found.file.extension for found in matches.matched[:2]] == ["flac", "mp3"]


def test_two_tracks_of_one_title_are_told_apart():
    """By number or length where there is one, else in their order; never the same file for both."""
    wants = release("Boards of Canada", "Twoism", ("Untitled", 100), ("Sixtyniner", 339), ("Untitled", 180))
    for names in (("01 Untitled.mp3", "03 Untitled.mp3"), ("Untitled!.mp3", "Untitled.mp3")):
        files = folder(*zip(names, (100, 180), strict=True), path="Boards of Canada\\Twoism")
        matches = match(wants, files)
        assert [(found.position, found.file.duration_s) for found in matches.matched] == [(1, 100), (3, 180)]


def test_a_file_is_given_where_all_tracks_get_one():
    """The better pair alone does not decide: two tracks share two files so that both have one."""
    wants = release("Low", "Trust", ("Canada", 200), ("Canada Song", 200))
    files = folder(("Canada.mp3", 200), ("02 Canada.mp3", 200), path="Low\\Trust")
    assert [(found.position, found.file.path[10:]) for found in match(wants, files).matched] == [
        (1, "Canada.mp3"),
        (2, "02 Canada.mp3"),
    ]


@pytest.mark.parametrize(
    ("path", "names", "reason"),
    [
        (
            FOLDER,
            [("01 Alison.mp3", 300), ("02 Machine Gun.mp3", 200)],
            "durations disagree: 2 of its files, as track 1",
        ),
        (
            FOLDER,
            [("01 Alison.mp3", 231), ("02 Machine Gun.mp3", 200), ("04 Sing.mp3", 240)],
            "another edition: 2 of 3 durations disagree, as track 2 'Machine Gun': 200 s instead of 268 s",
        ),
        (
            FOLDER,
            [("01 Alison.mp3", 231), ("02 Dagger.mp3", 200), ("03 Melon.mp3", 200), ("04 Altogether.mp3", 200)],
            "another edition or album: it has 1 of 4 titles",
        ),
        (
            "Slowdive\\Souvlaki (Karaoke)",
            [("01 Alison.mp3", 231)],
            "another kind of recording: the folder says karaoke",
        ),
        (
            FOLDER,
            [("01 Alison (Live).mp3", 231)],
            "another kind of recording: 1 of its files, as track 1 'Alison': the name says live",
        ),
        (
            "Slowdive\\Souvlaki (Live)",
            [("01 Alison.mp3", 231)],
            "another kind of recording: the folder says live, and durations do not prove that the release is",
        ),
        ("Mojave - Souvlaki", [("01 Alison.mp3", 231)], "wrong artist: the folder is by 'Mojave'"),
        (
            "Covers by friends\\2019",
            [("01 Mojave - Alison.mp3", 231)],
            "wrong artist: 1 of its files, as track 1 'Alison': by 'mojave'",
        ),
        ("Albums\\Souvlaki", [("01 Alison.mp3", 231)], "the artist is not named, and durations do not prove it"),
        (
            "Slowdive\\Best of",
            [("01 Alison.mp3", None)],
            "another album, and nothing proves that the recording is the same",
        ),
        (FOLDER, [("01.mp3", None)], "none of its 1 audio files has a wanted title"),
        (
            FOLDER,
            [("01.mp3", 231), ("02.mp3", 268)],
            "titles cannot be compared, and too few durations agree to prove that it is the release",
        ),
        (FOLDER, [("Machine Gum.mp3", None)], "titles are not alike enough: 1 of its files, as track 2 'Machine Gun'"),
    ],
)
def test_a_refused_folder_says_what_decided(path, names, reason):
    """The first thing that rules it out, with an example."""
    matches = match(SOUVLAKI, folder(*names, path=path))
    assert matches.matched == ()
    [rejected] = matches.rejected
    assert (rejected.username, rejected.folder) == ("someone", path)
    assert rejected.reason.startswith(reason)


def test_a_size_that_cannot_be_is_refused():
    """A file that was cut short is not the track, whatever it is called."""
    matches = match(SOUVLAKI, [shared(f"{FOLDER}\\01 Alison.flac", 231, size=200_000)])
    assert matches.rejected[0].reason.startswith("sizes are not plausible: 1 of its files, as track 1 'Alison': 200000")


def test_an_accepted_folder_says_what_it_lacks():
    """The one track that is another recording there is named; the rest is taken."""
    matches = match(SOUVLAKI, [*WHOLE[:3], shared(f"{FOLDER}\\04 Sing.flac", 400)])
    assert positions(matches) == [1, 2, 3]
    assert [rejected.reason for rejected in matches.rejected] == ["track 4 'Sing': 400 s instead of 289 s"]


def test_the_tolerance_is_that_of_the_manifest():
    """Seven seconds where nobody says otherwise, and a second for what whole seconds hide."""
    files = [*WHOLE[:3], shared(f"{FOLDER}\\04 Sing.flac", 296)]
    assert positions(match(SOUVLAKI, files)) == [1, 2, 3, 4]
    assert positions(match(SOUVLAKI, files, tolerance_ms=2000)) == [1, 2, 3]


def test_a_path_that_comes_twice_counts_once():
    """A user who answers two searches is one holder, whatever he says the second time."""
    twice = [*WHOLE, *[shared(file.path, file.duration_s, queue_length=9) for file in WHOLE]]
    assert positions(match(SOUVLAKI, twice)) == [1, 2, 3, 4]
    assert match(SOUVLAKI, twice) == match(SOUVLAKI, list(reversed(twice)))


def test_without_words_nothing_is_matched():
    """A want that is known by its bytes alone has no name to compare."""
    assert match([Want(position=TrackPosition(1))], WHOLE).matched == ()
    assert match([], WHOLE).matched == ()
    assert match(SOUVLAKI, []).rejected == ()


def test_an_unknown_album_is_known_by_artist_and_title():
    """A manifest without a title still finds its tracks."""
    wants = release("Slowdive", "", ("Alison", 231))
    assert positions(match(wants, WHOLE)) == [1]
    assert positions(match(wants, folder(("Ride - Alison.mp3", 231), path="Loose"))) == []


@pytest.mark.parametrize(
    "name",
    [
        "\x00" * 50,
        "\u202e3pm.nosilA 10",
        "..\\..\\..\\etc\\passwd.mp3",
        "\\\\server\\c$\\01 Alison.mp3",
        "/".join(["a"] * 5000) + ".mp3",
        "((((" * 100 + ".mp3",
        "01 " + "Alison " * 100 + ".mp3",
        "\ud800 Alison.mp3",
        "ﷺ" * 400 + ".mp3",
        "1" * 400 + ".mp3",
        "- - - - .mp3",
        ".mp3",
        "",
    ],
)
def test_a_hostile_name_is_only_text(name):
    """It is compared, cut to a bound where it is shown, and never more."""
    files = [shared(name, 231, extension="mp3"), *WHOLE]
    matches = match(SOUVLAKI, files)
    assert {found.file.path for found in matches.matched} >= {file.path for file in WHOLE}
    for rejected in matches.rejected:
        assert len(rejected.folder) <= 300
        assert len(rejected.reason) <= 300


def test_titles_of_strangers_are_shown_escaped():
    """A name that turns the direction of writing cannot rewrite the line it is quoted in."""
    matches = match(SOUVLAKI, folder(("02 Machine\u202e Gum.flac", 268), ("01 \x1b[31mAlison (Live).flac", 231)))
    said = [*(line for found in matches.matched for line in found.reasons), *(each.reason for each in matches.rejected)]
    assert all(line.isprintable() for line in said)


WORDS = [
    "Alison",
    "Machine Gun",
    "40 Days",
    "Sing",
    "Live",
    "Slowdive",
    "Souvlaki",
    "01",
    "02",
    "3",
    "CD1",
    "(Remix)",
    "A1",
]
NAMES = st.one_of(
    st.text(max_size=40),
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=5).flatmap(
        lambda words: st.sampled_from([" - ", " ", "_", ".", "-"]).map(lambda between: between.join(words))
    ),
)
FILES = st.lists(
    st.builds(
        lambda user, folders, name, extension, length, size: shared(
            "\\".join([*folders, f"{name}.{extension}"]), length, username=user, size=size
        ),
        st.sampled_from(["ann", "bob", ""]),
        st.lists(NAMES, max_size=4),
        NAMES,
        st.sampled_from(["flac", "mp3", "jpg", "m4a"]),
        st.one_of(st.none(), st.integers(-5, 10_000), st.sampled_from([231, 268, 195, 289])),
        st.sampled_from([0, 5_000_000, 30_000_000, 2**40]),
    ),
    max_size=12,
)


@given(files=FILES, order=st.randoms(use_true_random=False))
def test_one_file_for_a_track_and_one_track_for_a_file(files, order):
    """Whatever strangers share: no crash, one to one within a folder, scores in range, the same in any order."""
    matches = match(SOUVLAKI, files)
    taken = [(found.file.username, found.file.path) for found in matches.matched]
    assert len(taken) == len(set(taken))
    given_by = [(found.position, found.file.username, found.file.path.rpartition("\\")[0], found.file.extension)
                for found in matches.matched]  # fmt: skip
    assert len(given_by) == len(set(given_by))
    assert all(0 <= found.score <= 1 for found in matches.matched)
    assert {found.file for found in matches.matched} <= set(files)
    shuffled = list(files)
    order.shuffle(shuffled)
    assert match(tuple(reversed(SOUVLAKI)), shuffled) == matches
