"""What may stand between braces in a naming template, and what it stands for.

Owns: our tokens, those of Lidarr that have a counterpart here, and what is said of the others. Never: makes a name
safe, or looks at a template as a whole (library.naming).

A token may carry what stands around its value inside its braces: `{ (year)}` is ` (1991)`, and nothing where no year is
known. Lidarr's are meant as Lidarr means them: `{Artist.Name}` has dots for spaces, `{artist name}` is in lower case.
https://wiki.servarr.com/lidarr/settings#track-naming
"""

import difflib
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class NameFields:
    """What a template may speak of, as the manifest gives it."""

    albumartist: str = ""
    """Empty = `artist`."""
    album: str = ""
    artist: str = ""
    """Empty = `albumartist`."""
    title: str = ""
    track: int = 0
    """Position on its medium."""
    disc: int = 1
    discs: int = 1
    """How many media the release has."""
    year: int | None = None
    """In which it first came out; None = not known."""


_AROUND = re.compile(r"([- ._(\[]*)(.*?)([- ._)\]]*)")
_NUMBER = re.compile(r"(track|disc)(?::0([1-9]))?")
_LIDARR_NUMBER = re.compile(r"(track|medium):(0{1,9})", re.IGNORECASE)
_LIDARR_WORDS = re.compile(r"([a-z]+)([- ._]+)([a-z]+)", re.IGNORECASE)


def _albumartist(fields: NameFields) -> str:
    return fields.albumartist or fields.artist


def _artist(fields: NameFields) -> str:
    return fields.artist or fields.albumartist


def _lidarr_title(fields: NameFields) -> str:
    return fields.title.rstrip(" .?")


_TEXTS: dict[str, Callable[[NameFields], str]] = {
    "albumartist": _albumartist,
    "artist": _artist,
    "album": lambda fields: fields.album,
    "title": lambda fields: fields.title,
    "year": lambda fields: str(fields.year or ""),
}

_LIDARR: dict[str, Callable[[NameFields], str]] = {
    "Artist Name": _albumartist,
    "Artist CleanName": lambda fields: _clean(_albumartist(fields)),
    "Artist NameThe": lambda fields: _the_last(_albumartist(fields)),
    "Artist CleanNameThe": lambda fields: _clean_the_last(_albumartist(fields)),
    "Artist NameFirstCharacter": lambda fields: _initial(_the_last(_albumartist(fields))),
    "Album Title": lambda fields: fields.album,
    "Album CleanTitle": lambda fields: _clean(fields.album),
    "Album TitleThe": lambda fields: _the_last(fields.album),
    "Album CleanTitleThe": lambda fields: _clean_the_last(fields.album),
    "Release Year": lambda fields: str(fields.year or "Unknown"),
    "Track Title": _lidarr_title,
    "Track CleanTitle": lambda fields: _clean(_lidarr_title(fields)),
    "Track ArtistName": _artist,
    "Track ArtistCleanName": lambda fields: _clean(_artist(fields)),
    "Track ArtistNameThe": lambda fields: _the_last(_artist(fields)),
    "Track ArtistCleanNameThe": lambda fields: _clean_the_last(_artist(fields)),
}
_SPELLED = {name.lower(): name for name in _LIDARR}
_LIDARR_TITLES = frozenset({"track title", "track cleantitle"})

# Lidarr's that have no counterpart: what they would say is known only of a file that has been fetched, or not at all.
_LIDARR_ONLY = ("quality ", "mediainfo ", "original ", "custom ", "release group", "medium ")
_LIDARR_FACTS = (" genre", " mbid", " disambiguation", " type", "artistmbid")

_OURS = (*_TEXTS, " (year)", "track:02", "track", "disc", "disc-")
_SHOWN = ("Artist Name", "Album Title", "Release Year", "track:00", "Track Title")

_THE = re.compile(r"(the|an|a) (.*?)((?: *\([^)]+\))*)", re.IGNORECASE)
_LONE_SIGN = re.compile(r"(?<=\s)[,<>/\\;:'\"|`~!?@$%^*\-_=](?=\s)")
_SIGN_AT_END = re.compile(r"[':?,](?=[sm]\s|\s|$)", re.IGNORECASE)
_BRACKET = re.compile(r"[()\[\]{}]")


def is_token(word: str) -> bool:
    """Whether `{word}` stands for something."""
    return _NUMBER.fullmatch(word) is not None or word == "disc-" or _found(word) is not None


def tells_tracks_apart(word: str) -> bool:
    """Whether what the token stands for differs from track to track."""
    if (number := _NUMBER.fullmatch(word) or _LIDARR_NUMBER.fullmatch(word)) is not None:
        return number[1].lower() == "track"
    _, inner, _ = _apart(word)
    return inner == "title" or _plain(inner) in _LIDARR_TITLES


def value_of(word: str, fields: NameFields) -> str:
    """What `{word}` stands for; it must be a token."""
    if (number := _NUMBER.fullmatch(word)) is not None:
        return str(fields.track if number[1] == "track" else fields.disc).zfill(int(number[2] or 0))
    if word == "disc-":
        return f"{fields.disc}-" if fields.discs > 1 else ""
    found = _found(word)
    assert found is not None, word
    before, inner, after = _apart(word)
    value = found(fields).strip()
    if (words := _LIDARR_WORDS.fullmatch(inner)) is not None:
        value = _in_the_case_of(inner, value)
        value = value.replace(" ", words[2]) if words[2].strip() else value
    return f"{before}{value}{after}" if value else ""


def suggestion(word: str) -> str:
    """What to write instead of `{word}`, which is none."""
    if word == "ext":
        return "leave it out: the extension follows from the file itself"
    _, inner, _ = _apart(word)
    bare, colon, _ = inner.partition(":")
    plain = _plain(bare)
    if colon and plain in _SPELLED:
        return f"write {{{bare}}}: a name that is too long is cut in any case"
    if plain.startswith(_LIDARR_ONLY) or plain.endswith(_LIDARR_FACTS):
        return "leave it out: Lidarr knows it, and here it is not known when the file gets its name"
    known = ", ".join(f"{{{name}}}" for name in _OURS)
    if (close := difflib.get_close_matches(word, _OURS, n=1, cutoff=0.5)) and " " not in inner:
        return f"did you mean {{{close[0]}}}?"
    if close := difflib.get_close_matches(plain, _SPELLED, n=1, cutoff=0.5):
        return f"did you mean {{{_SPELLED[close[0]]}}}?"
    return f"the tokens are {known}, and Lidarr's, such as " + ", ".join(f"{{{name}}}" for name in _SHOWN)


def _found(word: str) -> Callable[[NameFields], str] | None:
    _, inner, _ = _apart(word)
    if (number := _LIDARR_NUMBER.fullmatch(inner)) is not None and inner == word:
        digits = len(number[2])
        is_track = number[1].lower() == "track"
        return lambda fields: str(fields.track if is_track else fields.disc).zfill(digits)
    return _TEXTS.get(inner) or _LIDARR.get(_SPELLED.get(_plain(inner), ""))


def _apart(word: str) -> tuple[str, str, str]:
    around = _AROUND.fullmatch(word)
    return (around[1], around[2], around[3]) if around is not None else ("", word, "")


def _plain(inner: str) -> str:
    """A token of Lidarr's without its case and separator."""
    words = _LIDARR_WORDS.fullmatch(inner)
    return f"{words[1]} {words[3]}".lower() if words is not None else inner.lower()


def _in_the_case_of(inner: str, value: str) -> str:
    return value.lower() if inner.islower() else value.upper() if inner.isupper() else value


def _the_last(title: str) -> str:
    """`The Fall (live)` as `Fall, The (live)`."""
    found = _THE.fullmatch(title)
    return f"{found[2]}, {found[1]}{found[3]}" if found is not None else title


def _clean_the_last(title: str) -> str:
    found = _THE.fullmatch(title)
    return f"{_clean(found[2]).strip()}, {found[1]}{_clean(found[3])}" if found is not None else _clean(title)


def _clean(title: str) -> str:
    """Without brackets, signs that stand alone, and those at the end of a word; `and` for an ampersand."""
    spaced = title.replace("&", "and").replace("/", " ")
    return _BRACKET.sub("", _SIGN_AT_END.sub("", _LONE_SIGN.sub("", spaced)))


def _initial(title: str) -> str:
    """The first letter or digit, where one of the first two characters is one; else `_`."""
    for character in title[:2]:
        if character.isalnum():
            return unicodedata.normalize("NFD", character.upper())[0]
    return "_"
