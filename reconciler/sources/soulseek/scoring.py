"""Whether one file can be one track, and how well what is known of both agrees.

Owns: the evidence for a pair, what it takes to believe it, and its score. Never: sees the rest of the folder
(sources.soulseek.matching).

The weights and their reasons are in docs/explanation/matching.md.
"""

from dataclasses import dataclass
from typing import Literal

from reconciler.sources.soulseek.encodings import Encoding, implausible_size
from reconciler.sources.soulseek.folders import Entry
from reconciler.sources.soulseek.likeness import ALIKE, SAME, VAGUE, likeness
from reconciler.sources.soulseek.names import Reading
from reconciler.sources.soulseek.wanted import Release, Wanted
from reconciler.sources.soulseek.wording import is_latin, shortened, telling_words

# Hundredths of a score; together 100 with those of the folder in sources.soulseek.matching.
TITLE_WEIGHT = 35
DURATION_WEIGHT = 20
NUMBER_WEIGHT = 10
# What is not stated speaks neither for nor against.
_UNSTATED = 0.5

# Two masterings of one recording seldom differ by more; what proves something without a title must agree so well.
TIGHT_MS = 3000

Obstacle = Literal["duration", "kind", "artist", "size", "title"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What speaks for one file being one track."""

    title: float | None
    """From 0 to 1; None = it cannot be compared: there is none, or it is in another script."""
    shown_title: str
    """The part of the file's name that was compared."""
    begins: bool
    """Whether one of the titles is the beginning of the other: `Untitled 1` and `Untitled 1 (Vaka)`."""
    number: bool | None
    """Whether the numbers agree; None = the name has none."""
    off_ms: int | None
    """How far the durations are apart; None = one of them is not known."""
    names_album: bool
    """Whether the name itself holds the album's."""
    names_artist: bool
    """Whether the name itself holds an artist's."""

    @property
    def sure(self) -> bool:
        """Whether the titles are the same but for spelling, or for a remark."""
        return self.title is not None and (self.title >= ALIKE or self.begins)

    @property
    def tight(self) -> bool:
        """Whether the durations are known and as good as equal."""
        return self.off_ms is not None and self.off_ms <= TIGHT_MS

    def points(self, tolerance_ms: int) -> float:
        """The pair's part of the score, of `TITLE_WEIGHT + DURATION_WEIGHT + NUMBER_WEIGHT` hundredths."""
        number = _UNSTATED if self.number is None else float(self.number)
        duration = _UNSTATED if self.off_ms is None else 1 - self.off_ms / (2 * tolerance_ms + 1)
        title = _UNSTATED if self.title is None else self.title
        return TITLE_WEIGHT * title + DURATION_WEIGHT * duration + NUMBER_WEIGHT * number

    def reasons(self) -> tuple[str, ...]:
        """Title, number and duration in words."""
        if self.title is None:
            title = "title: cannot be compared"
        elif self.title >= SAME:
            title = "title: the same"
        else:
            title = f"title: {self.title:.2f} alike, {shortened(self.shown_title)!r}"
        number = {None: "not stated", True: "agrees", False: "differs"}[self.number]
        duration = "not stated" if self.off_ms is None else f"{self.off_ms / 1000:.1f} s apart"
        return title, f"number: {number}", f"duration: {duration}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Miss:
    """A pair that looked right at first, and what it fails by."""

    obstacle: Obstacle
    reason: str


def weigh(
    wanted: Wanted, entry: Entry, release: Release, *, encoding: Encoding, sides: dict[str, int], tolerance_ms: int
) -> Evidence | Miss | None:
    """Compare one track with one file; None = not even alike.

    `sides` says how many tracks come before each side of a record.
    """
    title, shown, beside = _best_title(wanted, entry, release)
    number = _numbers_agree(wanted, entry, sides)
    if (title is None and number is not True) or (title is not None and title < VAGUE):
        return None
    evidence = Evidence(
        title=title,
        shown_title=shown,
        begins=any(_begins(form, shown) for form, _ in wanted.forms),
        number=number,
        off_ms=_apart_ms(entry.file.duration_s, wanted.words.duration_ms),
        names_album=any(likeness(form, part) >= ALIKE for part in beside for form in release.album_forms),
        names_artist=bool(release.names_artist(frozenset(entry.name.words.split()))),
    )
    said = f"track {wanted.position} {shortened(wanted.words.title)!r}"
    unlike = entry.kinds - wanted.kinds - release.kinds
    stranger = next((part for part in beside if not _stands_beside(part, wanted, release)), "")
    miss: Miss | None = None
    if unlike:
        miss = Miss(obstacle="kind", reason=f"{said}: the name says {', '.join(sorted(unlike))}")
    elif evidence.off_ms is not None and evidence.off_ms > tolerance_ms:
        stated = f"{entry.file.duration_s} s instead of {(wanted.words.duration_ms or 0) / 1000:.0f} s"
        miss = Miss(obstacle="duration", reason=f"{said}: {stated}")
    elif stranger:
        miss = Miss(obstacle="artist", reason=f"{said}: by {shortened(stranger)!r}")
    elif fault := implausible_size(entry.file, encoding, wanted.words.duration_ms):
        miss = Miss(obstacle="size", reason=f"{said}: {fault}")
    if miss is None:
        return _believed(evidence, said, missing=wanted.kinds - entry.kinds - release.kinds)
    # What was only vaguely like the title is no failed match: it is some other track. `Title (Live)` is one.
    meant = evidence.sure if unlike else title is not None and title >= ALIKE
    return miss if meant else None


def _believed(evidence: Evidence, said: str, *, missing: frozenset[str]) -> Evidence | Miss | None:
    """What a title is worth must be made up for where it falls short."""
    title, number, tight = evidence.title, evidence.number, evidence.tight
    if title is None:
        # The number alone picks a pair out; the whole folder has to prove it.
        return evidence if evidence.off_ms is not None else None
    if missing and not tight:
        return Miss(obstacle="kind", reason=f"{said}: the name does not say {', '.join(sorted(missing))}")
    supported = number is True or evidence.off_ms is not None
    proven = number is True and tight
    if title >= SAME or (title >= ALIKE and supported) or proven:
        return evidence
    return Miss(obstacle="title", reason=f"{said}: {shortened(evidence.shown_title)!r} is not surely it")


def _best_title(wanted: Wanted, entry: Entry, release: Release) -> tuple[float | None, str, tuple[str, ...]]:
    """The reading of a name that is most like the title: how much, which, and what it leaves beside it."""
    best: tuple[float, bool, int] = (-1.0, False, 0)
    shown = ""
    beside_best: tuple[str, ...] = ()
    comparable = False
    for reading in entry.name.readings:
        for text, beside in reading.titles:
            script = is_latin(text)
            if wanted.latin is not None and script is not None and script != wanted.latin:
                continue
            alike = max((min(likeness(form, text), most) for form, most in wanted.forms), default=0.0)
            # One word in simplified and in traditional characters may share none of them.
            comparable = comparable or alike > 0 or not _has_han(text)
            clean = all(_stands_beside(part, wanted, release) for part in beside)
            if alike and (alike, clean, -len(beside)) > best:
                best, shown, beside_best = (alike, clean, -len(beside)), text, beside
    untitled = all(not reading.titles for reading in entry.name.readings if reading.number is not None)
    numbered = any(reading.number is not None for reading in entry.name.readings)
    if best[0] < VAGUE and ((numbered and untitled) or not comparable):
        return None, "", ()
    return max(best[0], 0.0), shown, beside_best


def _stands_beside(part: str, wanted: Wanted, release: Release) -> bool:
    """Tell whether a part of a name is explained by the release, or by the title itself: the name of a work."""
    if release.explains(part):
        return True
    title = {word for form, _ in wanted.forms for word in telling_words(form)}
    return set(telling_words(part)) <= title


def _begins(one: str, other: str) -> bool:
    return f"{one} ".startswith(f"{other} ") or f"{other} ".startswith(f"{one} ")


def _has_han(text: str) -> bool:
    return any("\u4e00" <= character <= "\u9fff" for character in text)


def _numbers_agree(wanted: Wanted, entry: Entry, sides: dict[str, int]) -> bool | None:
    """Whether the number in a name is the track's, by one of its readings; None = there is none, or it may be."""
    said = [_is_number_of(wanted, each, entry.disc, sides) for each in entry.name.readings if each.number is not None]
    if not said or (True not in said and None in said):
        return None
    return True in said


def _is_number_of(wanted: Wanted, reading: Reading, disc: int | None, sides: dict[str, int]) -> bool | None:
    words, number = wanted.words, reading.number or 0
    if reading.side:
        before = sides.get(reading.side, 0)
        # Two sides make a medium, on which numbers go on from the first to the second.
        medium, second_side = divmod(ord(reading.side) - ord("a"), 2)
        on_medium = number + (before - sides.get(chr(ord(reading.side) - 1), 0) if second_side else 0)
        return before + number == wanted.position or (medium + 1, on_medium) == (words.medium, words.track_number)
    disc = reading.disc if reading.disc is not None else disc
    if number == wanted.position and disc in (None, words.medium):
        return True
    if number != words.track_number or disc not in (None, words.medium):
        return False
    # Without a disc it may be that of another one.
    return True if disc is not None or words.media == 1 else None


def _apart_ms(stated_s: int | None, wanted_ms: int | None) -> int | None:
    """How far a length in whole seconds, cut or rounded, is from one in milliseconds at least."""
    if not stated_s or not wanted_ms or stated_s < 0:
        return None
    low, high = stated_s * 1000 - 500, stated_s * 1000 + 999
    return max(low - wanted_ms, wanted_ms - high, 0)
