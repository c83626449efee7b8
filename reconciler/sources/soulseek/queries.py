"""What to ask the Soulseek network for a list of wants, most promising first.

Owns: the words of each query and why it is asked, and why something is not asked. Never: sends one, or decides how many
the server bears (that is a budget of who sends them).

A client answers with files whose path, folders included, holds every word of the query as a whole word; words end at
punctuation, case does not count, accents do (read in Nicotine+ 3.3.11, pynicotine/search.py and shares.py; others
differ in which signs end a word). A word that begins with `-` excludes and one that begins with `*` matches by its end:
punctuation never gets into a query, so that a title cannot be taken for either. So more words find less, and a broader
query has fewer of them.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import groupby

from reconciler.ids import TrackPosition
from reconciler.sources.base import Want, Words
from reconciler.sources.soulseek.wording import (
    APOSTROPHES,
    STOP_WORDS,
    bracketed,
    shortened,
    without_accents,
    without_guests,
)

# sldl keeps to 34 searches in 220 s so as not to be banned by the server; one job never asks for more than that.
QUERIES_MAX = 34
# Each further word is one more that a stranger must have written alike; artist and title rarely have more.
QUERY_WORDS_MAX = 10
QUERY_CHARACTERS_MAX = 120
# Nicotine+ answers nothing shorter (`min_search_chars`).
QUERY_CHARACTERS_MIN = 3
# A manifest may hold more; names in files have 255 bytes at most.
_TEXT_CHARACTERS_MAX = 300

NOBODY = frozenset({"", "various artists", "various", "va", "v a", "unknown artist", "unknown", "no artist"})
"""Artists, in words, that no folder is called by."""

# Titles that many records have: alone with an artist they find the wrong one.
_COMMON = "intro outro interlude prelude untitled overture introduction prologue epilogue bonus skit"
_COMMON_TITLES = frozenset(_COMMON.split())
# Signs that stand for a letter within a name: P!nk, Ke$ha, A$AP.
_LETTER_SIGNS = {"!": "i", "$": "s", "@": "a"}
_LETTER_SIGN = re.compile(r"(?<=\w)[!$@](?=\w)")
# Signs that some leave out without a space: N.W.A, AC/DC, Don't.
_GLUED = re.compile(rf"(?<=\b\w)\.(?=\w\b)|(?<=\b\w\w)/(?=\w\w\b)|(?<=\w)[{APOSTROPHES}](?=\w)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One search."""

    text: str
    """Words in lower case with one space between; no punctuation."""
    why: str
    positions: tuple[TrackPosition, ...]
    """The wants that it may find; once these are found it need not be asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A search that would have been asked, and why it is not."""

    what: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Searches:
    """What to ask, in this order, and what is left out."""

    queries: tuple[Query, ...]
    left_out: tuple[LeftOut, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spelling:
    """One of the ways in which a name is written: how its words come about."""

    why: str
    core: bool
    """Without brackets and guests."""
    accents: bool
    """As they are."""
    signs: bool
    """As they are; else `!` is read as a letter and `AC/DC` as one word."""


_SPELLINGS = (
    _Spelling(why="as written", core=False, accents=True, signs=True),
    _Spelling(why="without brackets and guests", core=True, accents=True, signs=True),
    _Spelling(why="without accents", core=True, accents=False, signs=True),
    _Spelling(why="with its signs read as letters or left out", core=True, accents=False, signs=False),
)


def queries_of(wants: Iterable[Want], *, excluded_phrases: frozenset[str]) -> tuple[Query, ...]:
    """What to ask for `wants`, the tracks still missing: their release first, then each by itself."""
    return searches_of(wants, excluded_phrases=excluded_phrases).queries


def searches_of(wants: Iterable[Want], *, excluded_phrases: frozenset[str]) -> Searches:
    """Work out `queries_of`, together with what is not asked.

    `excluded_phrases` are those that the server named after login: peers leave out every path that holds one.
    """
    named = sorted(((want.position, want.words) for want in wants if want.words), key=lambda pair: pair[0])
    asking = _Asking(excluded=sorted({" ".join(_words(phrase)) for phrase in excluded_phrases} - {""}))
    for (albumartist, album), tracks in groupby(named, key=lambda pair: (pair[1].albumartist, pair[1].album)):
        positions = tuple(position for position, _ in tracks)
        for spelling in _SPELLINGS:
            _ask_for_release(asking, albumartist, album, positions, spelling)
    # Round by round: no track's fourth spelling before another's first.
    for spelling in _SPELLINGS:
        for position, words in named:
            _ask_for_track(asking, words, position, spelling)
    return Searches(queries=tuple(asking.queries), left_out=tuple(asking.left_out))


def _ask_for_release(
    asking: "_Asking", albumartist: str, album: str, positions: tuple[TrackPosition, ...], spelling: _Spelling
) -> None:
    artist = _spelled(albumartist, spelling) if is_somebody(albumartist) else []
    title = _spelled(album, spelling)
    if spelling.core:
        artist, title = _telling(artist), _telling(title)
    if not title:
        asking.leave_out(album, "the album's name is unknown or has no words")
    elif artist:
        why = "the artist, after whom the album is called" if set(title) <= set(artist) else "artist and album"
        asking.add([*artist, *title], f"{why}, {spelling.why}", positions)
    elif len(title) == 1 and title[0].isascii():
        asking.leave_out(title[0], "one word without an artist is in too many names")
    else:
        asking.add(title, f"the album alone, as it has no one artist, {spelling.why}", positions)


def _ask_for_track(asking: "_Asking", words: Words, position: TrackPosition, spelling: _Spelling) -> None:
    who = words.artist if is_somebody(words.artist) else words.albumartist if is_somebody(words.albumartist) else ""
    # Articles and guests of an artist are what people differ in most, so they are never asked for here.
    broad = _Spelling(why="", core=True, accents=spelling.accents, signs=spelling.signs)
    artist = _telling(_spelled(who, broad))
    title = _spelled(words.title, spelling)
    what = "artist and title" if artist else "title and album, for want of an artist"
    if not artist or not set(title) - STOP_WORDS - _COMMON_TITLES - set(artist):
        title += _telling(_spelled(words.album, broad))
        what += " and album, for the title is a common one" if artist else ""
    asking.add([*artist, *title], f"track {position}: {what}, {spelling.why}", (position,))


def is_somebody(artist: str) -> bool:
    """Tell whether an artist's name is one that files are called by: not empty, not various artists."""
    return " ".join(_words(artist)) not in NOBODY


@dataclass(slots=True, kw_only=True)
class _Asking:
    """The list as it grows: each text once, within the bounds."""

    excluded: list[str]
    queries: list[Query] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    known: set[str] = field(default_factory=set)

    def add(self, words: list[str], why: str, positions: tuple[TrackPosition, ...]) -> None:
        """Take one query, reworded where the server excludes it, or note why it is left out."""
        text, cut = _joined(words)
        if text in self.known:
            return
        self.known.add(text)
        asked, dropped = self._without_excluded(text)
        notes = [f"its first {len(text.split())} words"] if cut else []
        notes += [f"without {phrase!r}, which the server excludes" for phrase in dropped]
        if dropped and asked in self.known:
            self.leave_out(text, f"the server excludes {dropped[0]!r}, and the rest is asked for already")
        elif fault := _unusable(asked, reworded=bool(dropped)):
            self.leave_out(text or " ".join(words), f"{notes[-1]}: {fault}" if dropped else fault)
        elif len(self.queries) >= QUERIES_MAX:
            self.leave_out(text, f"one job asks {QUERIES_MAX} queries at most")
        else:
            self.known.add(asked)
            self.queries.append(Query(text=asked, why=", ".join([why, *notes]), positions=positions))

    def _without_excluded(self, text: str) -> tuple[str, list[str]]:
        dropped: list[str] = []
        # Taking one phrase out may bring the words of another together; each turn shortens the text.
        while phrase := next((each for each in self.excluded if f" {each} " in f" {text} "), None):
            text = " ".join(f" {text} ".replace(f" {phrase} ", " ").split())
            dropped.append(phrase)
        return text, dropped

    def leave_out(self, what: str, why: str) -> None:
        """Note, once, what is not asked."""
        noted = LeftOut(what=shortened(what, QUERY_CHARACTERS_MAX), why=why)
        if len(self.left_out) < QUERIES_MAX and noted not in self.left_out:
            self.left_out.append(noted)


def _joined(words: list[str]) -> tuple[str, bool]:
    """Each word once, as many as the bounds allow; and whether some had to go."""
    kept: list[str] = []
    different = list(dict.fromkeys(words))
    for word in different:
        if len(kept) < QUERY_WORDS_MAX and len(" ".join([*kept, word])) <= QUERY_CHARACTERS_MAX:
            kept.append(word)
    return " ".join(kept), len(kept) < len(different)


def _unusable(text: str, *, reworded: bool) -> str:
    """Why `text` finds nothing or far too much; empty = it is fit to be asked."""
    if len(text) < QUERY_CHARACTERS_MIN:
        return f"clients do not answer fewer than {QUERY_CHARACTERS_MIN} characters"
    if not set(text.split()) - STOP_WORDS - _COMMON_TITLES or (reworded and " " not in text):
        return "what is left is in too many names" if reworded else "these words are in too many names"
    return ""


def _spelled(name: str, spelling: _Spelling) -> list[str]:
    name = unicodedata.normalize("NFKC", name[:_TEXT_CHARACTERS_MAX])
    if spelling.core:
        guestless = without_guests(name)
        # A name that is nothing but a bracket keeps it.
        name = bracketed(guestless)[0] or guestless
    if not spelling.signs:
        name = _GLUED.sub("", _LETTER_SIGN.sub(lambda found: _LETTER_SIGNS[found[0]], name))
    return _words(name if spelling.accents else without_accents(name.lower()))


def _telling(words: list[str]) -> list[str]:
    return [word for word in words if word not in STOP_WORDS] or words


def _words(text: str) -> list[str]:
    """The words as clients part them: at punctuation and signs of ASCII, and at all punctuation of Unicode.

    In lower case, not case-folded: clients compare with `ß` as it is.
    """
    seen = unicodedata.normalize("NFKC", text[:_TEXT_CHARACTERS_MAX]).lower()
    return "".join(map(_as_sent, seen)).split()


def _as_sent(character: str) -> str:
    if character.isalnum():
        return character
    category = unicodedata.category(character)
    if category in ("Cf", "Cs", "Co", "Cn"):
        return ""
    return " " if category[0] in "CPZ" or character.isascii() else character
