"""Names: what a title becomes, and what no title can become."""

import random
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import InvalidInputError
from reconciler.library.naming import (
    COMPONENT_BYTES_MAX,
    DEFAULT_TEMPLATE,
    SAME_NAME_MAX,
    NameFields,
    is_numbered,
    numbered_names,
    render,
    safe_component,
)

FIELDS = NameFields(albumartist="My Bloody Valentine", album="Loveless", title="Only Shallow", track=1)

DEVICE = re.compile(r"(?i)(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³]) *(\.|$)")

# Every kind of trouble more often than chance would give it.
HOSTILE_TEXT = st.lists(
    st.one_of(
        st.characters(),
        st.sampled_from(list('/\\:*?"<>|.-~ \0\n\t\x1b\x7f\x85\u200b\u202e\u2066\u0301\u0338é\u3164\ud800')),
        st.sampled_from(["con", "NUL", "aux.", "..", "COM1", "한", "👩\u200d🎤"]),
    ),
    max_size=300,
).map("".join)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Only Shallow", "Only Shallow"),
        ("AC/DC", "AC_DC"),
        ("../../etc/passwd", "_._.._etc_passwd"),
        ("/etc/passwd", "_etc_passwd"),
        ("..", "__"),
        (".", "_"),
        ("", "_"),
        ("\u200b\u202e", "_"),
        ("...Baby One More Time", "_..Baby One More Time"),
        ("R.E.M.", "R.E.M_"),
        ("-rf *", "_rf _"),
        ("~root", "_root"),
        ("  spaced \t out\n", "spaced out"),
        ("evil\u202egpj.flac", "evilgpj.flac"),
        ("a\x00b\x1b[31mc", "ab[31mc"),
        ("e\u0301", "é"),
        ("e\u200b\u0301", "é"),
        ("AUX", "AUX_"),
        ("con.live", "con_.live"),
        ("Com1 .x", "Com1_ .x"),
        ("console", "console"),
        ("lpt¹", "lpt¹_"),
        ("\ud800x", "x"),
        ("Сырок 坂本龍一 👾", "Сырок 坂本龍一 👾"),
    ],
)
def test_a_title_becomes_a_component(text, name):
    """Each row is a trap, and the name that a person still recognises."""
    assert safe_component(text) == name


@given(HOSTILE_TEXT)
def test_a_component_is_safe_whatever_the_text(text):
    """No separator, nothing invisible, no reserved name or end, within the bytes, in NFC, and never empty."""
    name = safe_component(text)
    assert name
    assert name not in (".", "..")
    assert not set(name) & set('/\\:*?"<>|')
    assert all(character == " " or unicodedata.category(character)[0] != "C" for character in name)
    assert not name.startswith((".", "-", "~", " "))
    assert not name.endswith((".", " "))
    assert not DEVICE.match(name)
    assert len(name.encode()) <= COMPONENT_BYTES_MAX
    assert unicodedata.is_normalized("NFC", name)


@given(HOSTILE_TEXT)
def test_a_safe_component_stays_as_it_is(text):
    """Making a safe name safe again changes nothing."""
    name = safe_component(text)
    assert safe_component(name) == name


@pytest.mark.parametrize("letter", ["a", "é", "坂", "👾"])
def test_a_long_name_is_cut_between_letters(letter):
    """240 bytes at most, whole letters, and names that differ beyond the cut stay different."""
    one, other = safe_component(letter * 300 + "1"), safe_component(letter * 300 + "2")
    assert one != other
    assert re.fullmatch(f"{letter}+_[0-9a-f]{{8}}", one)
    assert COMPONENT_BYTES_MAX - 3 <= len(one.encode()) <= COMPONENT_BYTES_MAX


def test_a_cut_does_not_take_a_letters_marks():
    """A letter that does not fit with its marks goes as a whole."""
    name = safe_component("a" * 230 + "q\u0323\u0307" * 10)
    assert re.fullmatch("a+_[0-9a-f]{8}", name)


def test_a_letter_under_marks_alone_is_still_cut():
    """Hundreds of marks on one letter end within the bytes."""
    assert len(safe_component("q" + "\u0323" * 900).encode()) <= COMPONENT_BYTES_MAX


@pytest.mark.parametrize(
    ("template", "fields", "stem"),
    [
        (DEFAULT_TEMPLATE, FIELDS, "My Bloody Valentine/Loveless/01 Only Shallow"),
        ("{disc-}{track:02}", NameFields(track=1, disc=1, discs=2), "1-01"),
        ("{disc-}{track:02}", NameFields(track=1, disc=1, discs=1), "01"),
        ("{disc}.{track}", NameFields(track=7, disc=2, discs=2), "2.7"),
        ("{track:03}", NameFields(track=12), "012"),
        ("{artist} - {title}", NameFields(albumartist="VA", title="T"), "VA - T"),
        ("{albumartist}/{title}", NameFields(artist="A", title="T"), "A/T"),
        ("{album}/{title}", NameFields(title="T"), "_/T"),
        ("{album}/{title}", NameFields(album="../..", title="/etc/passwd"), "_._._/_etc_passwd"),
        ("{title}", NameFields(title="{album}", album="x"), "{album}"),
        ("Music/{title}.", NameFields(title="T"), "Music/T_"),
    ],
)
def test_a_template_is_filled(template, fields, stem):
    """Tokens are filled in, each part is made safe, and a field never adds a part or a token."""
    assert render(template, fields) == stem


@given(HOSTILE_TEXT, HOSTILE_TEXT)
def test_fields_never_change_the_number_of_parts(artist, title):
    """However hostile the titles, the path has the template's depth and no way up."""
    stem = render("{artist}/x/{track:02} {title}", NameFields(artist=artist, title=title, track=3))
    parts = stem.split("/")
    assert len(parts) == 3
    assert parts[1] == "x"
    assert not {"", ".", ".."} & set(parts)


@pytest.mark.parametrize(
    ("template", "message", "hint"),
    [
        ("{albumartist}/{titel}", "unknown token {titel}", "did you mean {title}?"),
        ("{tracknumber}", "unknown token {tracknumber}", "did you mean {track"),
        ("{title}.{ext}", "unknown token {ext}", "leave it out"),
        ("{qqqq}{title}", "unknown token {qqqq}", "the tokens are {albumartist}"),
        ("{Album Titel}{title}", "unknown token {Album Titel}", "did you mean {Album Title}?"),
        ("{Quality Full}{title}", "unknown token {Quality Full}", "Lidarr knows it"),
        ("{Album Type}{title}", "unknown token {Album Type}", "Lidarr knows it"),
        ("{Track Title:30}", "unknown token {Track Title:30}", "write {Track Title}"),
        ("{Track ArtistName}", "the same name", "add {track:02} or {title}"),
        ("{medium:00}", "the same name", "add {track:02} or {title}"),
        ("{ (track:00)}", "unknown token", "did you mean {track:02}?"),
        ("{track:2}", "unknown token {track:2}", "did you mean {track:02}?"),
        ("{}{title}", "unknown token {}", "the tokens are"),
        ("{title", "unmatched brace", "{title}"),
        ("{{title}}", "unmatched brace", "{title}"),
        ("/{title}", "empty part", "write it as"),
        ("{album}//{title}", "empty part", "write it as"),
        ("../{title}", "empty part, `.` or `..`", "write it as"),
        ("", "empty part", "write it as"),
        ("{title}/{album}", "the same name", "add {track:02} or {title}"),
        ("a/" * 8 + "{title}", "more than 8 folders", "use fewer"),
        ("x" * 1001, "longer than 1000", "shorten it"),
    ],
)
def test_a_bad_template_is_refused(template, message, hint):
    """The error quotes what is wrong and says what to write."""
    with pytest.raises(InvalidInputError) as refused:
        render(template, FIELDS)
    assert message in refused.value.message
    assert hint in refused.value.hint


@pytest.mark.parametrize(
    ("found", "wanted", "whole", "numbered"),
    [
        ("C.flac", "C.flac", True, False),
        ("C (2).flac", "C.flac", True, True),
        ("C (99).flac", "C.flac", True, True),
        ("C (100).flac", "C.flac", True, False),
        ("C (2).mp3", "C.flac", True, False),
        ("C (2)", "C", True, True),
        ("C (2) (2).flac", "C (2).flac", True, True),
        ("C.flac", "C", False, False),
        ("C (2).flac", "C", False, True),
        ("C (2).flac", "C (2)", False, False),
        ("C (2) (3).flac", "C (2)", False, True),
        ("C (1).flac", "C", False, False),
        ("C (02).flac", "C", False, False),
        ("C (2) live.flac", "C", False, False),
        ("D (2).flac", "C", False, False),
        ("c (2).flac", "C", False, False),
    ],
)
def test_a_number_is_told_from_a_title_that_looks_like_one(found, wanted, whole, numbered):
    """What was wanted says where the title ends."""
    assert is_numbered(found, wanted, whole=whole) is numbered


def test_every_name_that_a_taken_one_is_given_is_known_for_one():
    """Making and knowing go together."""
    first, *others = numbered_names("Song (live).flac")
    assert first == "Song (live).flac"
    assert len(others) == SAME_NAME_MAX - 1
    assert all(is_numbered(name, first, whole=True) for name in others)
    assert all(is_numbered(name, "Song (live)", whole=False) for name in others)


# What titles are made of: words of several scripts, everything that some system forbids, and what cannot be seen.
PIECES = (
    *(
        "a",
        "I",
        "Love",
        "love",
        "ss",
        "ß",
        "İ",
        "Ünder",
        "U\u0308nder",
        "é",
        "e\u0301",
        "坂本龍一",
        "Сырок",
        "한",
        "한",
        "👾",
    ),
    *("/", "\\", ":", "*", "?", '"', "<", ">", "|", ".", "..", "-", "~", " ", "  ", "\0", "\n", "\x1b[2J", "\u202e"),
    *(
        "con",
        "NUL",
        "aux.",
        "COM1",
        "(2)",
        "[live]",
        "'",
        "&",
        "#1",
        "%s",
        "{title}",
        "$HOME",
        "`id`",
        "\ud800",
        "ﬁ",
        "\u0301",
    ),
    *("x" * 120, "長" * 50),
)
WEIGHTS = [1.0] * (len(PIECES) - 2) + [0.2] * 2
ALBUM_TRACKS = 100
FORBIDDEN = re.compile(r'[/\\:*?"<>|\x00-\x1f\x7f\u202e\ud800-\udfff]')
CUT = re.compile(r"_[0-9a-f]{8}$")


def plain(text):
    """What is left of a text when case, marks, spaces and what no name may hold are taken away."""
    return "".join(letter for letter in unicodedata.normalize("NFD", text).casefold() if letter.isalnum())


def test_twenty_thousand_titles_are_safe_distinct_and_can_be_read_back():
    """Random albums: each path stays below its folder on every system, no two meet, and each still says its title."""
    dice = random.Random(20_000)
    paths, lost = set(), []
    for number in range(20_000):
        title, artist = ("".join(dice.choices(PIECES, weights=WEIGHTS, k=dice.randrange(7))) for _ in range(2))
        track = number % ALBUM_TRACKS + 1
        fields = NameFields(albumartist=artist, album=f"Album {number // ALBUM_TRACKS}", title=title, track=track)
        parts = render("{album}/{albumartist}/{track:02} {title}", fields).split("/")
        assert len(parts) == 3
        for part in parts:
            assert part not in ("", ".", "..")
            assert not FORBIDDEN.search(part)
            assert part[-1] not in " ."
            assert not DEVICE.match(part)
            assert len(part.encode()) + len(" (99).flac") <= 255
        paths.add(unicodedata.normalize("NFD", "/".join(parts)).casefold())
        said = parts[-1].partition(" ")[2]
        if plain(said) != plain(title) and not CUT.search(said):
            lost.append((title, said))
    assert len(paths) == 20_000
    assert lost == []
