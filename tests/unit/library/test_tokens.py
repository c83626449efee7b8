"""Tokens of naming templates: ours, and Lidarr's as Lidarr means them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.library.naming import check_template, render
from reconciler.library.tokens import NameFields, is_token, suggestion, value_of

FIELDS = NameFields(
    albumartist="The Boo & Radleys",
    album="Giant Steps (Deluxe)",
    artist="Énergie's End",
    title="Lazarus?",
    track=7,
    disc=2,
    discs=2,
    year=1993,
)


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("Artist Name", "The Boo & Radleys"),
        ("artist name", "the boo & radleys"),
        ("ARTIST NAME", "THE BOO & RADLEYS"),
        ("Artist.Name", "The.Boo.&.Radleys"),
        ("Artist_CleanName", "The_Boo_and_Radleys"),
        ("Artist NameThe", "Boo & Radleys, The"),
        ("Artist CleanNameThe", "Boo and Radleys, The"),
        ("Artist NameFirstCharacter", "B"),
        ("Album Title", "Giant Steps (Deluxe)"),
        ("Album CleanTitle", "Giant Steps Deluxe"),
        ("Release Year", "1993"),
        (" (Release Year)", " (1993)"),
        ("[Album Title] ", "[Giant Steps (Deluxe)] "),
        ("Track Title", "Lazarus"),
        ("Track ArtistName", "Énergie's End"),
        ("Track ArtistCleanName", "Énergies End"),
        ("track:00", "07"),
        ("track:0", "7"),
        ("medium:00", "02"),
        ("year", "1993"),
        (" - year", " - 1993"),
        ("disc-", "2-"),
    ],
)
def test_a_token_stands_for_its_value(word, value):
    """Words of either kind, with what stands around them in the braces."""
    assert is_token(word)
    assert value_of(word, FIELDS) == value


@pytest.mark.parametrize(
    ("word", "value"),
    [(" (year)", ""), ("Release Year", "Unknown"), ("[Album Title]", ""), ("Artist NameFirstCharacter", "_")],
)
def test_what_is_not_known(word, value):
    """What stands around it goes with it; Lidarr has a word for an unknown year."""
    assert value_of(word, NameFields(title="x")) == value


@pytest.mark.parametrize(
    ("title", "value"),
    [
        ("The Fall (live)", "Fall, The (live)"),
        ("A", "A"),
        ("an End", "End, an"),
        ("Theatre", "Theatre"),
        ("The Thing (a) (b)", "Thing, The (a) (b)"),
    ],
)
def test_an_article_goes_to_the_end(title, value):
    """Before what stands in brackets."""
    assert value_of("Album TitleThe", NameFields(album=title)) == value


def test_lidarrs_own_templates_are_taken_as_they_are():
    """Its two defaults but for the format of the medium, and one with folders."""
    both = "{Artist Name}/{Album Title} ({Release Year})/{Artist Name} - {Album Title} - {track:00} - {Track Title}"
    assert render(both, FIELDS) == (
        "The Boo & Radleys/Giant Steps (Deluxe) (1993)/The Boo & Radleys - Giant Steps (Deluxe) - 07 - Lazarus"
    )
    discs = "{Album Title} ({Release Year})/CD {medium:00}/{track:00} {Track Title}"
    assert render(discs, FIELDS) == "Giant Steps (Deluxe) (1993)/CD 02/07 Lazarus"


@given(st.text(max_size=60))
def test_any_word_is_a_token_or_has_a_suggestion(word):
    """Nothing raises, and nobody is left without a hint."""
    if is_token(word):
        value_of(word, FIELDS)
    else:
        assert suggestion(word)


@given(st.text(max_size=80))
def test_a_cleaned_title_never_grows_a_path(title):
    """Whatever Lidarr's cleaning makes of a title, it is one part."""
    template = "{Album CleanTitleThe}/{track:00} {Track CleanTitle}"
    check_template(template)
    assert len(render(template, NameFields(album=title, title=title, track=1)).split("/")) == 2
