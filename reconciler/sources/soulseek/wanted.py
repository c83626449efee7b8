"""The release that is looked for, in the forms in which others may have written it.

Owns: what a title, an artist and an album may be called, and whether some stranger's words name them. Never: sees a
file.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from reconciler.ids import TrackPosition
from reconciler.sources.base import Want, Words
from reconciler.sources.soulseek.kinds import kinds_of
from reconciler.sources.soulseek.likeness import ALIKE, likeness
from reconciler.sources.soulseek.queries import is_somebody
from reconciler.sources.soulseek.wording import (
    NUMBER_OF_EDITION_MIN,
    bracketed,
    fold,
    is_edition_talk,
    is_latin,
    numbers_in,
    telling_words,
    without_edition,
    without_guests,
)

# A form that leaves something out is never as good as the whole.
_SHORTER = 0.95
_PART = 0.9
_MOVEMENT_CHARACTERS_MIN = 4
# A name of a person that stands for a longer credit: `Gould`, `Bach`.
_TELLING_CHARACTERS_MIN = 3

_CREDITS = re.compile(r"\s*[;,]\s*|\s+(?:/|feat\.?|ft\.?|featuring|with|vs\.?|x)\s+", re.IGNORECASE)
_QUOTED = re.compile('[\u201c\u201e\u00ab"]([^\u201c\u201d\u00bb"]{4,})[\u201c\u201d\u00bb"]')
_DASH = re.compile(r"\s+[-\u2013\u2014]\s+|\s*[\u2013\u2014]\s*")
# What may stand beside a title and names nobody: years, discs, `vol 2`, `side a`, a catalogue number.
_NEUTRAL = re.compile(r"(?:\d+|cd|disc|disk|side|volume|va|various|artists|ost|soundtrack|[a-z]{2,5}\d{2,}| )+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One track, prepared for comparing."""

    position: TrackPosition
    words: Words
    forms: tuple[tuple[str, float], ...]
    """Folded titles, each with the most that an equal one is worth."""
    kinds: frozenset[str]
    """What its own title says that it is."""
    latin: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """The tracks that are looked for together, and what their folder may be called."""

    tracks: tuple[Wanted, ...]
    """In order of their positions."""
    album_forms: tuple[str, ...]
    """Folded; the whole name first; empty = not known."""
    artists: tuple[str, ...]
    """Folded names of whoever the release or a track is credited to, without various artists."""
    kinds: frozenset[str]
    """What the release says of all its tracks."""
    known_words: frozenset[str]
    """Telling words of artists and album."""
    by_many: bool
    """Whether the release has no one artist: its tracks are on albums of their own artists too."""

    def names_artist(self, words: frozenset[str]) -> bool | None:
        """Tell whether folded `words` hold a whole artist's name; None = a part of one, or no artist is known."""
        if not self.artists:
            return None
        if any(set(telling_words(each)) <= words or each.replace(" ", "") in words for each in self.artists):
            return True
        telling = {word for artist in self.artists for word in telling_words(artist)}
        shared = {word for word in telling & words if len(word) >= _TELLING_CHARACTERS_MIN}
        return None if shared else False

    def album_likeness(self, name: str) -> float:
        """How well a folder's name, as written, names the album: from 0 to 1."""
        if not self.album_forms:
            return 0.0
        parts = [folded for part in _DASH.split(without_edition(name)) if (folded := fold(part))]
        plain = fold(bracketed(name)[0])
        texts = {*parts, plain, fold(name), *(_without_years(text) for text in (*parts, plain))} - {""}
        best = max((likeness(form, text) for form in self.album_forms for text in texts), default=0.0)
        if best >= ALIKE:
            return best
        words = frozenset(fold(name).split())
        held = any(
            set(telling_words(form)) <= words and numbers_in(form) >= _small_numbers(plain) for form in self.album_forms
        )
        return 0.8 if held else 0.0

    def stranger_in(self, name: str) -> str:
        """Whoever a folder's name puts before the album, when that is nobody of this release; empty = nobody."""
        parts = [part for part in _DASH.split(without_edition(name)) if fold(part)]
        for place, part in enumerate(parts):
            if place and any(likeness(form, fold(part)) >= ALIKE for form in self.album_forms):
                return next((other for other in parts[:place] if not self.explains(fold(other))), "")
        return ""

    def explains(self, beside: str) -> bool:
        """Tell whether folded words beside a title may stand there in a file of this release."""
        if not self.artists or _NEUTRAL.fullmatch(beside) or is_edition_talk(beside):
            return True
        if any(likeness(known, beside) >= ALIKE for known in (*self.artists, *self.album_forms)):
            return True
        if set(telling_words(beside)) & self.known_words:
            return True
        # A name in another script cannot be compared; it is nobody else's for that.
        script = is_latin(beside)
        return script is None or all(is_latin(artist) not in (script, None) for artist in self.artists)


def release_of(wants: Iterable[Want]) -> Release:
    """Prepare the wants that have words: the tracks of one release, or what is still missing of it."""
    named = sorted(((want.position, want.words) for want in wants if want.words), key=lambda pair: pair[0])
    tracks = tuple(_wanted(position, words) for position, words in dict(named).items())
    albums = dict.fromkeys(words.album for _, words in named if words.album)
    credited = dict.fromkeys(name for _, words in named for name in (words.albumartist, words.artist))
    artists = tuple(dict.fromkeys(folded for name in credited if is_somebody(name) for folded in _names_in(name)))
    forms = dict.fromkeys(form for album in albums for form in _album_forms(album))
    said = " ".join([*map(fold, albums), *artists])
    return Release(
        tracks=tracks,
        album_forms=tuple(forms),
        artists=artists,
        kinds=kinds_of(said),
        by_many=not any(is_somebody(words.albumartist) for _, words in named),
        known_words=frozenset(word for name in (*artists, *forms) for word in telling_words(name)),
    )


def _wanted(position: TrackPosition, words: Words) -> Wanted:
    title = without_edition(without_guests(words.title))
    whole = fold(title) or fold(words.title)
    forms = {whole: 1.0, fold(words.title): 1.0}
    outside, inside = bracketed(title)
    said = " ".join(map(fold, inside))
    # `Rhiannon (Will You Ever Win)` is `Rhiannon`; `Song (Live)` and `Song (Part 2)` are not `Song`.
    if outside and not kinds_of(said) and not numbers_in(said):
        forms.setdefault(fold(outside), _SHORTER)
    if quoted := _QUOTED.search(title):
        forms.setdefault(fold(quoted[1]), _PART)
    for mark in (": ", " / "):
        *_, last = title.split(mark)
        if last != title and len(fold(last)) >= _MOVEMENT_CHARACTERS_MIN:
            forms.setdefault(fold(last), _PART)
    forms.pop("", None)
    return Wanted(
        position=position,
        words=words,
        forms=tuple(forms.items()),
        kinds=kinds_of(fold(words.title)),
        latin=is_latin(whole),
    )


def _names_in(credit: str) -> list[str]:
    """A credit whole, and each of the names in it."""
    return [folded for part in (credit, *_CREDITS.split(credit)) if (folded := fold(part))]


def _album_forms(album: str) -> list[str]:
    plain = bracketed(album)[0]
    return [folded for form in (album, without_edition(album), plain) if (folded := fold(form))]


def _without_years(folded: str) -> str:
    return " ".join(word for word in folded.split() if not _is_year(word))


def _small_numbers(folded: str) -> frozenset[str]:
    return frozenset(number for number in numbers_in(folded) if int(number) < NUMBER_OF_EDITION_MIN)


def _is_year(word: str) -> bool:
    return word.isdecimal() and len(word) == 4 and word[:2] in ("19", "20")  # noqa: PLR2004 - digits of a year
