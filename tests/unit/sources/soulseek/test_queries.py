"""What the Soulseek network is asked for a list of wants."""

# ruff: noqa: RUF001 - names in several scripts

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.ids import TrackPosition
from reconciler.sources.base import Want, Words
from reconciler.sources.soulseek.queries import (
    QUERIES_MAX,
    QUERY_CHARACTERS_MAX,
    QUERY_CHARACTERS_MIN,
    QUERY_WORDS_MAX,
    queries_of,
    searches_of,
)

NOTHING = frozenset()


def wants(artist, album, *titles, albumartist=None):
    """Tracks of one release, by these titles."""
    return tuple(
        Want(
            position=TrackPosition(number),
            words=Words(
                title=title,
                artist=artist,
                album=album,
                albumartist=artist if albumartist is None else albumartist,
                track_number=number,
            ),
        )
        for number, title in enumerate(titles, start=1)
    )


def texts(*given, excluded=NOTHING):
    """The queries for such a release, in order."""
    return [query.text for query in queries_of(wants(*given), excluded_phrases=excluded)]


def test_the_release_comes_first_then_each_track():
    """One search may find a whole folder; each says why it is asked and which tracks it is for."""
    queries = queries_of(wants("Slowdive", "Souvlaki", "Alison", "Machine Gun"), excluded_phrases=NOTHING)
    assert [(query.text, query.positions) for query in queries] == [
        ("slowdive souvlaki", (1, 2)),
        ("slowdive alison", (1,)),
        ("slowdive machine gun", (2,)),
    ]
    assert [query.why for query in queries] == [
        "artist and album, as written",
        "track 1: artist and title, as written",
        "track 2: artist and title, as written",
    ]


@pytest.mark.parametrize(
    ("artist", "album", "title", "expected"),
    [
        pytest.param(
            "AC/DC",
            "Powerage",
            "Riff Raff",
            ["ac dc powerage", "acdc powerage", "ac dc riff raff", "acdc riff raff"],
            id="a slash is written in two ways",
        ),
        pytest.param(
            "P!nk",
            "Try This",
            "Don't Let Me",
            ["p nk try this", "pink try this", "p nk don t let me", "pink dont let me"],
            id="signs that stand for letters, and an apostrophe",
        ),
        pytest.param(
            "N.W.A",
            "Compton",
            "Dopeman",
            ["n w a compton", "n w compton", "nwa compton", "n w dopeman", "nwa dopeman"],
            id="an acronym",
        ),
        pytest.param(
            "Wire",
            "Pink Flag...",
            "…Reuters",
            ["wire pink flag", "wire reuters"],
            id="ellipses are no words",
        ),
        pytest.param(
            "Kate Bush",
            "The Kick Inside [Deluxe Edition]",
            "Them Heavy People (feat. Nobody) (Remastered 2011)",
            [
                "kate bush the kick inside deluxe edition",
                "kate bush kick inside",
                "kate bush them heavy people feat nobody remastered 2011",
                "kate bush them heavy people",
            ],
            id="brackets and guests go in a second, broader query",
        ),
        pytest.param(
            "Drake ft. Rihanna",
            "Views",
            "Too Good featuring Rihanna",
            ["drake ft rihanna views", "drake views", "drake too good featuring rihanna", "drake too good"],
            id="guests without brackets",
        ),
        pytest.param(
            "Björk",
            "Début",
            "Violently Happy",
            ["björk début", "bjork debut", "björk violently happy", "bjork violently happy"],
            id="accents as they are, and off",
        ),
        pytest.param(
            "椎名林檎",
            "無罪モラトリアム",
            "歌舞伎町の女王",
            ["椎名林檎 無罪モラトリアム", "椎名林檎 歌舞伎町の女王"],
            id="Japanese",
        ),
        pytest.param(
            "Ｐｅｒｆｕｍｅ", "ＪＰＮ", "レーザービーム", ["perfume jpn", "perfume レーザービーム"], id="full width"
        ),
        pytest.param("Кино", "Группа крови", "Война", ["кино группа крови", "кино война"], id="Cyrillic"),
        pytest.param(
            "Йорш",
            "Ёлка",
            "Ё",
            ["йорш ёлка", "йорш елка", "йорш ё"],
            id="a mark that makes another letter stays, but for one",
        ),
        pytest.param(
            "Rammstein",
            "Herzeleid",
            "Weißes Fleisch",
            ["rammstein herzeleid", "rammstein weißes fleisch", "rammstein weisses fleisch"],
            id="sharp s as files have it",
        ),
        pytest.param(
            "The Beatles",
            "The Beatles",
            "Glass Onion",
            ["the beatles", "beatles", "beatles glass onion"],
            id="called after its artist",
        ),
        pytest.param(
            "Sunn O)))",
            "-Flight -of *Behemoth",
            "*-*",
            ["sunn o flight of behemoth", "sunn flight behemoth"],
            id="no operator is sent",
        ),
    ],
)
def test_a_name_is_asked_for_as_people_write_it(artist, album, title, expected):
    """Words end at punctuation for whoever answers, accents count, and every word must be there."""
    assert texts(artist, album, title)[: len(expected)] == expected


@pytest.mark.parametrize("nobody", ["Various Artists", "VA", "V.A.", "various", "[unknown]", ""])
def test_a_release_by_many_is_asked_for_by_its_album_alone(nobody):
    """No folder is found by `Various Artists`; its tracks have artists of their own."""
    queries = queries_of(
        wants("Lush", "Rough Trade Shop", "Thoughtforms", albumartist=nobody), excluded_phrases=NOTHING
    )
    assert [query.text for query in queries] == ["rough trade shop", "lush thoughtforms"]


def test_one_common_word_is_not_asked_for_alone():
    """`Hits` by nobody in particular would be answered by everybody."""
    searches = searches_of(
        wants("Lush", "Hits", "Thoughtforms", albumartist="Various Artists"), excluded_phrases=NOTHING
    )
    assert [query.text for query in searches.queries] == ["lush thoughtforms"]
    assert [(each.what, each.why) for each in searches.left_out] == [
        ("hits", "one word without an artist is in too many names")
    ]


@pytest.mark.parametrize(
    ("title", "expected"), [("The", "low the album"), ("Intro", "low intro album"), ("Low", "low album")]
)
def test_a_title_that_tells_nothing_is_asked_for_with_its_album(title, expected):
    """Small words, common titles and the artist's own name find too much."""
    assert texts("Low", "Album", title)[-1] == expected


@pytest.mark.parametrize("title", ["The", "U", "!!", "", "\u202e\x00", "Intro"])
def test_what_cannot_be_found_is_left_out_with_a_reason(title):
    """With neither artist nor album such a title is not sent at all."""
    searches = searches_of(wants("", "", title), excluded_phrases=NOTHING)
    assert searches.queries == ()
    assert all(each.why for each in searches.left_out)
    assert searches.left_out


def test_a_phrase_that_the_server_excludes_is_worded_around():
    """Without it where enough is left, and left out where it is not; both say so."""
    searches = searches_of(
        wants("Prince", "Purple Rain Live", "Kiss", "When Doves Cry"),
        excluded_phrases=frozenset({"Purple  Rain", "Kiss"}),
    )
    assert [(query.text, query.why.partition(", as written, ")[2]) for query in searches.queries] == [
        ("prince live", "without 'purple rain', which the server excludes"),
        ("prince when doves cry", ""),
    ]
    assert [(each.what, each.why) for each in searches.left_out] == [
        ("prince kiss", "without 'kiss', which the server excludes: what is left is in too many names")
    ]


def test_an_excluded_phrase_is_words_not_letters():
    """`live` is not in `alive`; a phrase of punctuation alone excludes nothing."""
    excluded = frozenset({"live", "  ", "-"})
    assert texts("Pearl Jam", "Alive", "Alive", excluded=excluded)[0] == "pearl jam alive"


def test_a_long_name_is_asked_for_by_its_beginning():
    """Each further word is one more that a stranger must have written alike."""
    title = "Symphony No. 6 in F major, Op. 68 'Pastoral': II. Szene am Bach (Andante molto mosso)"
    query = queries_of(wants("Beethoven", "Symphonies", title), excluded_phrases=NOTHING)[1]
    assert query.text == "beethoven symphony no 6 in f major op 68 pastoral"
    assert query.why.endswith("its first 10 words")


def test_a_job_asks_so_many_queries_and_not_more():
    """No track's second spelling goes before another's first, and what is over is named."""
    titles = [f"Über Straße {number} (Live)" for number in range(1, 31)]
    searches = searches_of(wants("Wir sind Helden", "Von hier an blind", *titles), excluded_phrases=NOTHING)
    assert len(searches.queries) == QUERIES_MAX
    assert [query.positions for query in searches.queries[2:32]] == [(number,) for number in range(1, 31)]
    assert searches.left_out[-1].why == f"one job asks {QUERIES_MAX} queries at most"
    assert len(searches.left_out) <= QUERIES_MAX


def test_a_want_without_words_is_not_asked_for():
    """What is known by its bytes alone has no name that others would know."""
    assert queries_of([Want(position=TrackPosition(1))], excluded_phrases=NOTHING) == ()


NAMES = st.text(max_size=400)


@given(artist=NAMES, album=NAMES, titles=st.lists(NAMES, max_size=4), excluded=st.frozensets(NAMES, max_size=4))
def test_every_query_is_bounded_and_holds_words_only(artist, album, titles, excluded):
    """Whatever a manifest calls things: no operator, no punctuation, nothing twice, nothing excluded, nothing long."""
    searches = searches_of(wants(artist, album, *titles), excluded_phrases=excluded)
    sent = [query.text for query in searches.queries]
    assert len(sent) == len(set(sent)) <= QUERIES_MAX
    for text in sent:
        assert QUERY_CHARACTERS_MIN <= len(text) <= QUERY_CHARACTERS_MAX
        assert len(text.split()) <= QUERY_WORDS_MAX
        assert not any(sign in text for sign in "-*\"'\\/.\x00\n")
        assert text.encode()
    again = searches_of(reversed(wants(artist, album, *titles)), excluded_phrases=excluded)
    assert again == searches
