"""What a stranger's file name may mean."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.sources.soulseek.names import read_name


@pytest.mark.parametrize(
    ("stem", "expected"),
    [
        ("01 - Only Shallow", (None, 1, "", "only shallow", ())),
        ("01. Only Shallow", (None, 1, "", "only shallow", ())),
        ("[03] Only Shallow", (None, 3, "", "only shallow", ())),
        ("(3) Only Shallow", (None, 3, "", "only shallow", ())),
        ("#3 Only Shallow", (None, 3, "", "only shallow", ())),
        ("Track 03 - Only Shallow", (None, 3, "", "only shallow", ())),
        ("1-01 Only Shallow", (1, 1, "", "only shallow", ())),
        ("2.03 Only Shallow", (2, 3, "", "only shallow", ())),
        ("1x02 Only Shallow", (1, 2, "", "only shallow", ())),
        ("CD2-11 - Only Shallow", (2, 11, "", "only shallow", ())),
        ("d1t05 Only Shallow", (1, 5, "", "only shallow", ())),
        ("101 - Only Shallow", (1, 1, "", "only shallow", ())),
        ("101 - Only Shallow", (None, 101, "", "only shallow", ())),
        ("0203 Only Shallow", (2, 3, "", "only shallow", ())),
        ("A1 Only Shallow", (None, 1, "a", "only shallow", ())),
        ("[B2] Only Shallow", (None, 2, "b", "only shallow", ())),
        ("d4. Only Shallow", (None, 4, "d", "only shallow", ())),
        ("Artist - 03 - Only Shallow", (None, 3, "", "only shallow", ("artist",))),
        ("Artist - Album - 03 Only Shallow", (None, 3, "", "only shallow", ("artist", "album"))),
        ("03 - Artist - Only Shallow", (None, 3, "", "only shallow", ("artist",))),
        ("03 Only Shallow - Artist", (None, 3, "", "only shallow", ("artist",))),
        ("01_-_only_shallow", (None, 1, "", "only shallow", ())),
        ("01-artist-only_shallow-grp", (None, 1, "", "only shallow", ("artist",))),
        ("01.Only.Shallow", (None, 1, "", "only shallow", ())),
        ("07 - 99 Luftballons", (None, 7, "", "99 luftballons", ())),
        ("99 Luftballons", (None, None, "", "99 luftballons", ())),
        ("10cc - I'm Not in Love", (None, None, "", "im not in love", ("10cc",))),
        ("1979", (None, None, "", "1979", ())),
        ("05 Song (feat. Somebody) [FLAC]", (None, 5, "", "song", ())),
        ("05 Song - Part 2 (Remastered 2011)", (None, 5, "", "song part 2", ())),
        ("01 桜並木", (None, 1, "", "桜並木", ())),
        ("01桜並木", (None, 1, "", "桜並木", ())),
        ("02　ライブ・ハウス", (None, 2, "", "ライブ ハウス", ())),
        ("3. Война", (None, 3, "", "война", ())),
    ],
)
def test_a_number_and_a_title_are_found_in_many_styles(stem, expected):
    """Disc, number, side, title and what stands beside it: one of the readings is the one that was meant."""
    readings = [
        (reading.disc, reading.number, reading.side, *found)
        for reading in read_name(stem).readings
        for found in reading.titles
    ]
    assert expected in readings


def test_a_number_alone_is_a_name_without_a_title():
    """`Track 05` says its number and nothing that could be compared."""
    numbered = [reading for reading in read_name("Track 05").readings if reading.number is not None]
    assert [(reading.number, reading.titles) for reading in numbered] == [(5, ())]


def test_kinds_are_read_from_the_whole_name():
    """Also from what is left out of the title."""
    assert read_name("01 Song (feat. X) [Live] - Instrumental").kinds == {"live", "instrumental"}


@given(stem=st.text(max_size=500))
def test_any_name_can_be_read(stem):
    """At least in one way, and in few."""
    name = read_name(stem)
    assert 1 <= len(name.readings) <= 12
    assert sum(len(reading.titles) for reading in name.readings) <= 12 * 15
