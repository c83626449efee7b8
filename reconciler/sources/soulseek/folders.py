"""Other people's folders, as albums.

Owns: which files of a user belong together: one folder with its discs, one encoding. Never: opens a path; a peer's path
is text to compare, with backslashes for folders.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from reconciler.sources.soulseek.encodings import Encoding, encoding_of
from reconciler.sources.soulseek.kinds import kinds_of
from reconciler.sources.soulseek.names import FileName, read_name
from reconciler.sources.soulseek.shared_file import SharedFile
from reconciler.sources.soulseek.wording import TEXT_CHARACTERS_MAX, fold

# Album, artist, and a shelf above it say what a folder is; what lies higher is somebody's disk.
_FOLDERS_READ_MAX = 4
# A peer answers a search with 300 files or fewer (Nicotine+ `maxresults`), official clients with some thousands.
_PATH_CHARACTERS_MAX = 4096

_FOLDER_MARK = re.compile(r"[\\/]+")
_COUNT = r"0?(\d{1,2}|one|two|three|four|five|six)"
# Folded: `cd1`, `disc 2`, `disc 2 of 3`, `disc 1 the early years`; and at the end of an album's own name.
_DISC_FOLDER = re.compile(rf"(?:cd|disc|disk|disque|digital media|vinyl|lp|medium) ?{_COUNT}(?: of \d{{1,2}})?(?= |\Z)")
# As written: `(CD2)`, `[Disc 1 of 2]`, ` - CD 1`.
_DISC_ENDING = re.compile(rf"(?<![^\W_])(?:cd|disc|disk)[\s_]?{_COUNT}(?: of \d{{1,2}})?[)\]]?\s*\Z", re.IGNORECASE)
_BEFORE_DISC = " -_,.(["
_SAID = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One audio file of an album."""

    file: SharedFile
    name: FileName
    disc: int | None
    """By its folder; None = the folder does not say."""
    kinds: frozenset[str]
    """What its name and its disc's folder say that it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Album:
    """What a user keeps in one folder in one encoding, as one thing to match."""

    username: str
    folder: str
    """Its path, backslashes between folders, cut to a bound; without the folder of a disc."""
    encoding: Encoding
    name: str
    """Of the folder alone, without what says its disc, as it is written."""
    above: tuple[str, ...]
    """The folders that it lies in, the nearest first, as they are written."""
    entries: tuple[Entry, ...]
    """In order of their paths."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where a path puts a file."""

    folder: str
    """Whole, without what says its disc."""
    album: str
    disc: int | None
    disc_words: str
    above: tuple[str, ...]


def albums_of(files: Iterable[SharedFile]) -> list[Album]:
    """Group audio files by user, folder and encoding; everything else is left aside.

    The result does not depend on the order of `files`; a path that a user names twice counts once.
    """
    single: dict[tuple[str, str], SharedFile] = {}
    for file in files:
        key = file.username, file.path[:_PATH_CHARACTERS_MAX]
        if key not in single or _order(file) < _order(single[key]):
            single[key] = file
    grouped: dict[tuple[str, str, str], list[tuple[_Place, str, SharedFile, Encoding]]] = {}
    for (username, path), file in sorted(single.items(), key=lambda item: item[0]):
        encoding = encoding_of(file)
        if encoding is None:
            continue
        place, stem = _place_of(path)
        grouped.setdefault((username, place.folder, encoding.name), []).append((place, stem, file, encoding))
    return [_album(username, members) for (username, _, _), members in grouped.items()]


def _album(username: str, members: list[tuple[_Place, str, SharedFile, Encoding]]) -> Album:
    first, _, _, encoding = members[0]
    entries: list[Entry] = []
    for place, stem, file, _ in members:
        name = read_name(stem)
        kinds = name.kinds | kinds_of(place.disc_words) if place.disc_words else name.kinds
        entries.append(Entry(file=file, name=name, disc=place.disc, kinds=kinds))
    return Album(
        username=username,
        folder=first.folder[:TEXT_CHARACTERS_MAX],
        encoding=encoding,
        name=first.album,
        above=first.above,
        entries=tuple(entries),
    )


def _place_of(path: str) -> tuple[_Place, str]:
    """Part a path into where it is and the file's name without its extension."""
    parts = [part[:TEXT_CHARACTERS_MAX] for part in _FOLDER_MARK.split(path)]
    # The first may be a share's token, as `@@abcde` is.
    *folders, last = [part for part in parts if part.strip(" .") and not part.startswith("@@")] or [""]
    stem, dot, extension = last.rpartition(".")
    if not dot or " " in extension or not stem:
        stem = last
    disc, disc_words = None, ""
    if len(folders) > 1 and (found := _DISC_FOLDER.match(words := fold(folders[-1]))):
        disc, disc_words = _number(found[1]), words[found.end() :].strip()
        folders.pop()
    elif folders and (found := _DISC_ENDING.search(folders[-1])):
        disc = _number(found[1].lower())
        folders[-1] = folders[-1][: found.start()].rstrip(_BEFORE_DISC)
    place = _Place(
        folder="\\".join(folders),
        album=folders[-1] if folders else "",
        disc=disc,
        disc_words=disc_words,
        above=tuple(reversed(folders[-_FOLDERS_READ_MAX:-1])),
    )
    return place, stem


def _number(said: str) -> int:
    return _SAID.get(said) or int(said)


def _order(file: SharedFile) -> tuple[object, ...]:
    """A total order of what a user says of one path; larger sizes last."""
    return (
        file.size,
        file.extension,
        file.duration_s or 0,
        file.bitrate_kbps or 0,
        file.sample_rate_hz or 0,
        file.bit_depth or 0,
        file.free_slot,
        file.queue_length,
        file.speed_bytes_per_s,
    )
