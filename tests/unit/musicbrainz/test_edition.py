"""Which releases of an artist or label are wanted, and which edition of each."""

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from musicbrainz_server import ARTIST, MBV, credit, group, mbid, medium, release

from reconciler.manifests.model import DiscographySpec, LabelCrateSpec
from reconciler.musicbrainz.edition import PRIMARY_TYPES, SECONDARY_TYPES, is_official_enough, of_artist, of_label
from reconciler.musicbrainz.parse import release_page_of

STATUSES = ("Official", "Promotion", "Bootleg", "Pseudo-Release", "Withdrawn", "Cancelled", None)


def read(*listed):
    """Releases as a page of a list gives them: with counts, without tracks."""
    page = {"release-count": len(listed), "releases": listed}
    return release_page_of(json.dumps(page).encode()).releases


def disc(count=10, kind="CD"):
    """A medium with so many tracks."""
    return {**medium(1, kind=kind), "track-count": count}


def album(number, title="Album", *, primary="Album", secondary=(), first="1991-11-04", artist=MBV, media=(), **about):
    """A release in a group of its own."""
    of = group(0x1000 + number, title, primary=primary, secondary=secondary, first=first, artist=artist)
    return release(number, title, *(media or (disc(),)), of=of, **about)


def spec(profile="core", **more):
    return DiscographySpec(artist_id=ARTIST, profile=profile, target_dir="library", **more)


def wanted(listed, wish):
    """The numbers of the releases that are chosen."""
    choices = of_artist(read(*listed), wish, ARTIST)
    return sorted(int(each.chosen.release[:8], 16) for each in choices if each.chosen is not None)


def why_not(listed, wish):
    [choice] = of_artist(read(*listed), wish, ARTIST)
    assert choice.chosen is None
    return choice.reason


KINDS = [
    album(1),
    album(2, primary="EP"),
    album(3, primary="Single"),
    album(4, secondary=("Live",)),
    album(5, secondary=("Compilation",)),
    album(6, secondary=("Soundtrack",)),
    album(7, primary="Broadcast"),
    album(8, status="Bootleg"),
    album(9, status="Promotion"),
    album(10, status="Pseudo-Release"),
    album(11, status=None),
    album(12, primary=None),
    album(13, primary="EP", secondary=("Live", "Remix")),
]


@pytest.mark.parametrize(
    ("wish", "numbers"),
    [
        (spec("core"), [1]),
        (spec("extended"), [1, 2, 3, 4, 5]),
        (spec("all"), [1, 2, 3, 4, 5, 6, 7, 11, 12, 13]),
        (spec("core", include_types=("Live",)), [1, 4]),
        (spec("core", include_types=("EP", "Bootleg")), [1, 2, 8]),
        (spec("extended", include_types=("Remix",)), [1, 2, 3, 4, 5, 13]),
        (spec("all", include_types=("Promotion", "Pseudo-Release")), [1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13]),
        (spec("core", exclude_release_groups=(mbid(0x1001),)), []),
    ],
)
def test_a_profile_lets_in_what_it_says(wish, numbers):
    """Types of the group and status of the edition; what the manifest adds is added."""
    assert wanted(KINDS, wish) == numbers


@given(
    st.lists(
        st.tuples(
            st.sampled_from([*sorted(PRIMARY_TYPES), None]),
            st.lists(st.sampled_from(sorted(SECONDARY_TYPES)), max_size=2, unique=True),
            st.sampled_from(STATUSES),
        ),
        max_size=12,
    )
)
def test_core_never_lets_in_live_compilations_or_bootlegs(kinds):
    """Whatever is listed: only official albums without a secondary type."""
    listed = [
        album(number, primary=primary, secondary=secondary, status=status)
        for number, (primary, secondary, status) in enumerate(kinds, start=1)
    ]
    for each in of_artist(read(*listed), spec("core"), ARTIST):
        if each.chosen is not None:
            primary, secondary, status = kinds[int(each.chosen.release[:8], 16) - 1]
            assert (primary, secondary, status) == ("Album", [], "Official")


@pytest.mark.parametrize(
    ("listed", "wish", "why"),
    [
        (album(1, secondary=("Live",)), spec(), "its type is Album + Live"),
        (album(1, primary="EP"), spec(), "its type is EP"),
        (album(1, primary=None), spec(), "its type is not known"),
        (album(1, status="Bootleg"), spec(), "of its editions its status is Bootleg"),
        (album(1, first="1987"), spec(min_year=1988), "it came out in 1987, before min_year"),
        (album(1, first="1999-01"), spec(max_year=1998), "it came out in 1999, after max_year"),
        (album(1, first=""), spec(max_year=1998), "the year in which it came out is not known"),
        (album(1, country="JP"), spec(countries=("GB", "XW")), "of its editions it came out in JP"),
        (album(1, media=(disc(0),)), spec(), "of its editions it lists no tracks"),
        (album(1, artist=credit(("Other", mbid(0xA2)))), spec(), "the artist is a guest on it"),
        (album(1), spec(exclude_release_groups=(mbid(0x1001),)), "exclude_release_groups names it"),
    ],
)
def test_what_is_left_out_has_its_reason(listed, wish, why):
    """For the trace."""
    assert why_not([listed], wish) == why


def editions(*differences):
    """Editions of one group, numbered from 1."""
    of = group(0x2000, "Album")
    found = []
    for number, about in enumerate(differences, start=1):
        media = about.pop("media", (disc(),))
        found.append(release(number, "Album", *media, of=of, **about))
    return found


@pytest.mark.parametrize(
    ("differences", "countries", "reason", "loses"),
    [
        (
            [{"country": "US"}, {"country": "GB"}],
            ("GB", "US"),
            "it came out in GB",
            "it came out in US; of the chosen one it came out in GB",
        ),
        (
            [{"media": (disc(kind='12" Vinyl'),)}, {"media": (disc(kind="CD"),)}],
            (),
            "it is on CD",
            'it is on 12" Vinyl; of the chosen one it is on CD',
        ),
        (
            [{"media": (disc(kind="CD"),)}, {"media": (disc(kind="Digital Media"),)}],
            (),
            "it is on Digital Media",
            "it is on CD; of the chosen one it is on Digital Media",
        ),
        (
            [{"date": "2012"}, {"date": "1991-11-04"}],
            (),
            "it came out on 1991-11-04",
            "its date is 2012; of the chosen one it came out on 1991-11-04",
        ),
        (
            [{}, {"barcode": "5017556201206"}],
            (),
            "it has a barcode",
            "it has no barcode; of the chosen one it has a barcode",
        ),
    ],
)
def test_the_second_of_two_editions_wins(differences, countries, reason, loses):
    """By one criterion each, said of the winner and of the loser, in whichever order they are listed."""
    for listed in (editions(*map(dict, differences)), editions(*map(dict, differences))[::-1]):
        [choice] = of_artist(read(*listed), spec(countries=countries), ARTIST)
        assert choice.chosen.release == mbid(2)
        assert choice.reason == reason
        assert [(loser.release, loser.reason) for loser in choice.losers] == [(mbid(1), loses)]


def test_most_editions_say_how_many_tracks_it_has():
    """A bonus disc does not win, though it came out first; of two equals the smaller id does."""
    listed = editions({"media": (disc(17),), "date": "1990-01-01"}, {"media": (disc(11),)}, {"media": (disc(11),)})
    [choice] = of_artist(read(*listed), spec(), ARTIST)
    assert choice.chosen.release == mbid(2)
    assert choice.reason == f"its id is {mbid(2)}"
    assert [loser.reason.partition(";")[0] for loser in choice.losers] == [
        f"its id is {mbid(3)}",
        "it has 17 tracks, where most have 11",
    ]


def test_a_choice_does_not_depend_on_the_order_of_the_list():
    """The same wish finds the same, however the service sorts."""
    listed = [*KINDS, *editions({}, {"country": "US"}, {"date": ""}, {"media": (disc(4, "Cassette"),)})]
    first = {each.group: each for each in of_artist(read(*listed), spec("all"), ARTIST)}
    for seed in range(5):
        random.Random(seed).shuffle(listed)
        again = {each.group: each for each in of_artist(read(*listed), spec("all"), ARTIST)}
        assert {name: each.chosen for name, each in again.items()} == {n: each.chosen for n, each in first.items()}


def test_releases_of_one_name_have_folders_of_their_own():
    """By the year, or by the beginning of the id where that is the same, too."""
    listed = [
        album(1, "Weezer", first="1994-05-10"),
        album(2, "Weezer", first="2001-05-15"),
        album(3, "Live", first="2001"),
        album(4, "LIVE", first="2001"),
        album(5, "Alone"),
    ]
    titles = {each.chosen.title for each in of_artist(read(*listed), spec(), ARTIST)}
    assert titles == {"Weezer (1994)", "Weezer (2001)", "Live [00000003]", "LIVE [00000004]", "Alone"}


def test_only_what_can_be_wanted_is_listed():
    """Bootlegs are not asked for where no manifest can want them."""
    assert is_official_enough(spec("core"))
    assert not is_official_enough(spec("extended", include_types=("Bootleg",)))
    assert not is_official_enough(spec("all"))
    assert is_official_enough(spec("core", include_types=("Live",)))


LABELLED = [
    album(1, "A", first="1990"),
    album(2, "B", first="1988"),
    album(3, "C", first="1995"),
    album(4, "D", first="", date=""),
    album(5, "E", first="1989", status="Bootleg"),
]


def crate(order, limit=10):
    return LabelCrateSpec(label_id=mbid(0xAB), limit=limit, order=order, target_dir="library")


@pytest.mark.parametrize(
    ("order", "numbers"), [("oldest", [2, 1, 3, 4]), ("newest", [3, 1, 2, 4]), ("popularity", [4, 2, 1, 3])]
)
def test_a_label_is_in_its_order(order, numbers):
    """By year, what has none last; or by who is known to have it, then by age. Bootlegs are never in it."""
    choices = of_label(read(*LABELLED), crate(order), {mbid(4): 3})
    assert [int(each.chosen.release[:8], 16) for each in choices if each.chosen is not None] == numbers


def test_a_label_has_a_limit():
    """What comes after it is told."""
    choices = of_label(read(*LABELLED), crate("oldest", limit=2), {})
    assert [each.title for each in choices if each.chosen is not None] == ["B", "A"]
    left = {each.title: each.reason for each in choices if each.chosen is None}
    assert left["C"] == "it comes after the first 2"
    assert left["E"] == "of its editions its status is Bootleg"


def test_popularity_says_what_it_counted():
    """Holders known here, then editions on the label."""
    more = release(50, "C", disc(), of=LABELLED[2]["release-group"])
    choices = of_label(read(*LABELLED, more), crate("popularity"), {mbid(1): 2})
    assert [each.title for each in choices[:2]] == ["A", "C"]
    assert choices[0].reason.startswith("2 known here to have it, 1 editions on the label; ")
