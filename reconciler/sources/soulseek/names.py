"""What a stranger's file name may mean: number, title, and what stands beside the title.

Owns: the ways in which people number and part file names. Never: knows what is wanted; a name that can be read in two
ways is given in both.
"""

import re
from dataclasses import dataclass

from reconciler.sources.soulseek.kinds import kinds_of
from reconciler.sources.soulseek.wording import TEXT_CHARACTERS_MAX, fold, without_edition, without_guests

# `artist - album - number - title - remark` has five parts; with more, the last ones are read as one.
_PARTS_MAX = 5

# A dash with a space on one side at least, or a long one.
_DASH = re.compile(r"\s+-+\s*|\s*-+\s+|\s*[\u2013\u2014\u2015]\s*")
# `1-01 `, `2.03 `, `1x02`, `CD1-03`, `d1t05`; the second number has two digits.
_DISC_AND_NUMBER = re.compile(
    r"[\[(]?(?:cd|disc|disk|d)?\s?0?(\d)\s?(?:[-.x_]|t|tr|track)\s?(\d\d)[\])]?(?=[\s._\-)\]]|\Z)", re.IGNORECASE
)
# `A1 `, `[B2]`, `c03.`
_SIDE = re.compile(r"[\[(]?([A-Ha-h])[-. ]?0?(\d{1,2})[\])]?(?=[\s._\-)\]]|\Z)")
# `01 - `, `[03]`, `7.`, `Track 05`, `#3`, `101 `
_NUMBER = re.compile(
    r"[\[(#]{0,2}(?:track|tr|titel|piste|no)?[\s.#_]{0,2}(\d{1,4})[\])]?(?=[\s._\-)\]\u2013\u3000\u30fb\u3001]|\Z|[^\W\d_])",
    re.IGNORECASE,
)
_GLUED_NUMBER = re.compile(r"\d+[^\W\d_]")
_AFTER_NUMBER = " \t._-)]\u2013\u2014:\u3000\u30fb\u3001"
_ONLY_NUMBER = re.compile(r"[\[(#]?0*(\d{1,3})[\])]?")
_NUMBER_WITHIN = re.compile(r"[\[(#]?(\d\d)[\])]?[\s.]+(?=\S)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One way to read a file name."""

    number: int | None
    """As written, whatever it counts."""
    disc: int | None
    side: str
    """Of a record: `a`; empty = none."""
    titles: tuple[tuple[str, tuple[str, ...]], ...]
    """Each a folded title, and the other parts of the name that it leaves over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileName:
    """Everything that a file's name may mean."""

    readings: tuple[Reading, ...]
    """Most literal first; one at least."""
    kinds: frozenset[str]
    words: str
    """The whole name, folded."""


def read_name(stem: str) -> FileName:
    """Read a file's name, given without its extension."""
    stem, scene = _spaced(stem[:TEXT_CHARACTERS_MAX].strip())
    readings = [*_numbered(stem), *_numbered_within(stem)]
    before, dash, group = stem.rpartition(" - ")
    if scene and dash and " " not in group.strip():
        readings += [*_numbered(before), *_numbered_within(before)]
    # With a number in front the whole is a title only if that number belongs to it: `99 Luftballons`, `10cc - Title`.
    literal = not readings or _GLUED_NUMBER.match(stem)
    readings.append(Reading(number=None, disc=None, side="", titles=_titles(stem)[: None if literal else 1]))
    words = fold(stem)
    return FileName(readings=tuple(readings), kinds=kinds_of(words), words=words)


def _spaced(stem: str) -> tuple[str, bool]:
    """Put the spaces back that `01_artist-title` and `01.Artist.Title` have lost; and whether it is a scene's name.

    These end in the name of a group: `01-artist-title-grp`.
    """
    if " " in stem:
        return stem, False
    scene = "-" in stem and stem == stem.lower()
    if "_" in stem:
        stem = stem.replace("_", " ")
        return (stem if " - " in stem else stem.replace("-", " - ")), scene
    if scene:
        return stem.replace("-", " - "), True
    if stem.count(".") > 1:
        return stem.replace(".", " "), False
    return stem, False


def _numbered(stem: str) -> list[Reading]:
    """Readings with a number in front."""
    readings: list[Reading] = []
    if found := _DISC_AND_NUMBER.match(stem):
        readings.append(_reading(stem[found.end() :], number=int(found[2]), disc=int(found[1])))
    if found := _SIDE.match(stem):
        readings.append(_reading(stem[found.end() :], number=int(found[2]), side=found[1].lower()))
    if found := _NUMBER.match(stem):
        rest, number = stem[found.end() :], int(found[1])
        disc, on_disc = divmod(number, 100)
        if on_disc and 0 < disc <= 99:  # noqa: PLR2004 - `101` and `0203`: two digits count on the disc
            readings.append(_reading(rest, number=on_disc, disc=disc))
        readings.append(_reading(rest, number=number))
    return readings


def _numbered_within(stem: str) -> list[Reading]:
    """Readings of `artist - 03 - title` and `artist - album - 03 title`."""
    parts = _parts(stem)
    for place, part in enumerate(parts[1:], start=1):
        before = " - ".join(parts[:place])
        if found := _ONLY_NUMBER.fullmatch(part):
            after = parts[place + 1 :]
        elif found := _NUMBER_WITHIN.match(part):
            after = [part[found.end() :], *parts[place + 1 :]]
        else:
            continue
        if not after:
            return []
        title = _titles(" - ".join(after))
        beside = tuple(filter(None, map(fold, _parts(before))))
        titles = tuple((text, (*beside, *others)) for text, others in title)
        return [Reading(number=int(found[1]), disc=None, side="", titles=titles)]
    return []


def _reading(rest: str, *, number: int, disc: int | None = None, side: str = "") -> Reading:
    return Reading(number=number, disc=disc, side=side, titles=_titles(rest.lstrip(_AFTER_NUMBER)))


def _titles(text: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Each run of the dashed parts of `text` as a title, with the parts left over; the longest runs first."""
    cleaned = without_edition(without_guests(text))
    parts = [folded for folded in map(fold, _parts(cleaned)) if folded]
    count = len(parts)
    return tuple(
        (" ".join(parts[begin:end]), (*parts[:begin], *parts[end:]))
        for length in range(count, 0, -1)
        for begin in range(count - length, -1, -1)
        for end in (begin + length,)
    )


def _parts(text: str) -> list[str]:
    parts = [part.strip() for part in _DASH.split(text)]
    parts = [part for part in parts if part]
    if len(parts) > _PARTS_MAX:
        parts = [*parts[: _PARTS_MAX - 1], " - ".join(parts[_PARTS_MAX - 1 :])]
    return parts
