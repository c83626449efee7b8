"""How names of music are read, whoever wrote them."""

# ruff: noqa: RUF001 - names in several scripts

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.sources.soulseek.kinds import kinds_of
from reconciler.sources.soulseek.likeness import ALIKE, SAME, VAGUE, likeness
from reconciler.sources.soulseek.wording import (
    TEXT_CHARACTERS_MAX,
    bracketed,
    fold,
    without_edition,
    without_guests,
)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Don't Stop", "Don’t stop"),
        ("Sinéad O'Connor", "SINEAD OCONNOR"),
        ("Sigur Rós", unicodedata.normalize("NFD", "Sigur Rós")),
        ("Mötley Crüe", "Motley Crue"),
        ("Sæglópur", "Saeglopur"),
        ("Ｐｅｒｆｕｍｅ", "Perfume"),
        ("ﾗｲﾌﾞ", "ライブ"),
        ("Ёлка", "Елка"),
        ("Όλα σε θυμίζουν", "ΟΛΑ ΣΕ ΘΥΜΙΖΟΥΝ"),
        ("Weiße Rosen", "weisse rosen"),
        ("N.W.A", "NWA"),
        ("Simon & Garfunkel", "Simon and Garfunkel"),
        ("Part II", "Pt. 2"),
        ("Parts I–V", "pts 1-5"),
        ("Symphony No. 5", "Symphony Nr 5"),
        ("Hells\u200b Bells", "Hells Bells"),
        ("a\u202eb", "ab"),
    ],
)
def test_one_name_has_one_spelling(one, other):
    """Case, width, accents, punctuation, ways to count, and what cannot be seen make no difference."""
    assert fold(one) == fold(other) != ""


@pytest.mark.parametrize(("one", "other"), [("が", "か"), ("й", "и"), ("Part 1", "Part 2"), ("( )", "!!!"), ("+", "÷")])
def test_what_differs_stays_different(one, other):
    """Marks that make another letter, numbers, and signs where there is nothing else."""
    assert fold(one) != fold(other)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Song (feat. Somebody)", "Song"),
        ("Song [ft. A & B] (Live)", "Song (Live)"),
        ("Song featuring A", "Song"),
        ("Song ft. A - Part 2", "Song - Part 2"),
        ("Song (feat. A", "Song"),
        ("Defeat", "Defeat"),
        ("The Left. Ft", "The Left. Ft"),
    ],
)
def test_guests_are_left_out(text, plain):
    """With and without a bracket of their own; never a part of a word."""
    assert without_guests(text) == plain


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Song (Remastered 2011)", "Song"),
        ("Song - 2011 Remaster", "Song"),
        ("Album [FLAC] {24-96}", "Album"),
        ("Album (Deluxe Edition)", "Album"),
        ("Song (Live)", "Song (Live)"),
        ("Untitled (2)", "Untitled (2)"),
        ("Song - Digital", "Song - Digital"),
        ("(1991)", "(1991)"),
    ],
)
def test_remarks_about_an_edition_are_left_out(text, plain):
    """What makes another recording stays, and so does a name that has nothing else."""
    assert without_edition(text) == plain


def test_brackets_are_parted_from_what_they_hold():
    """Nested ones go with the outer; what is not closed is a character."""
    assert bracketed("A (b (c)) d [e] (f") == ("A d (f", ("b (c)", "e"))


@pytest.mark.parametrize(
    ("one", "other", "least", "most"),
    [
        ("only shallow", "only shallow", 1.0, 1.0),
        ("ac dc", "acdc", 1.0, 1.0),
        ("to here knows when", "to here nows when", ALIKE, 0.98),
        ("blown a wish", "blown wish", ALIKE, SAME),
        ("only shallow", "only shalow", ALIKE, SAME),
        ("machine gun", "machine gum", VAGUE, 0.8),
        ("soon", "moon", 0, 0.8),
        ("black", "back", 0, 0.8),
        ("another brick in the wall part 1", "another brick in the wall part 2", 0, 0),
        ("another brick in the wall", "another brick in the wall part 2", VAGUE, 0.8),
        ("theme from x", "theme from y", 0, 0.8),
        ("alison", "souvlaki", 0, 0),
        ("", "", 0, 0),
    ],
)
def test_how_alike_two_names_are(one, other, least, most):
    """Misspelt is alike; another number, another short word or a longer name is not."""
    assert least <= likeness(one, other) <= most
    assert likeness(one, other) == likeness(other, one)


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("Song (Live at Wembley)", {"live"}),
        ("Alive", set()),
        ("Song (Original Mix)", set()),
        ("Song (2018 Mix)", set()),
        ("Song (Moby Mix)", {"remix"}),
        ("Song (Album Version)", set()),
        ("Song (Taylor's Version)", {"version"}),
        ("Song (Made Famous by X)", {"cover"}),
        ("Song (Karaoke Version)", {"karaoke", "version"}),
        ("Song (Instrumental)", {"instrumental"}),
        ("Song - Sped Up", {"altered"}),
        ("Remastered", set()),
        ("第一夜 カラオケ", {"karaoke"}),
        ("Концерт в Дубне", {"live"}),
    ],
)
def test_a_name_says_what_kind_of_performance_it_is(name, kinds):
    """By whole words in scripts that have them."""
    assert kinds_of(fold(name)) == kinds


@given(text=st.text(max_size=2 * TEXT_CHARACTERS_MAX))
def test_any_text_folds_within_a_bound(text):
    """Once folded nothing changes any more, and nothing invisible is left."""
    folded = fold(text)
    assert len(folded) <= 4 * TEXT_CHARACTERS_MAX
    assert folded.isprintable()
    assert without_guests(text) is not None
    assert bracketed(text) is not None
    assert likeness(folded, fold(text[::-1])) <= 1
