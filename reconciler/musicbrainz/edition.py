"""Which of an artist's or label's releases are wanted, and which edition of each.

Owns: the profiles, the filters, and the choice of one release of each release group, with a reason for the winner and
for every loser. Never: asks MusicBrainz, or knows what a manifest looks like on disk.

The criteria, in this order: a wanted status, the first in the list of countries, digital media before CD before vinyl
before the rest, as many tracks as most editions have, the earliest full date, a barcode, the smallest id. The last
makes every choice repeatable. https://musicbrainz.org/doc/Release_Group/Type
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from reconciler.ids import Mbid
from reconciler.manifests.model import DiscographySpec, LabelCrateSpec
from reconciler.musicbrainz.model import ChosenRelease, Release, ReleaseGroup, year_of

PRIMARY_TYPES = frozenset({"Album", "Single", "EP", "Broadcast", "Other"})
SECONDARY_TYPES = frozenset({
    "Audio drama", "Audiobook", "Compilation", "DJ-mix", "Demo", "Field recording", "Interview", "Live",
    "Mixtape/Street", "Remix", "Soundtrack", "Spokenword",
})  # fmt: skip

_DIGITAL = ("Digital Media", "Download Card")
_DISCS = ("CD", "SACD", "HDCD", "HQCD", "SHM", "Blu-spec", "XRCD", "Copy Control", "Enhanced", "DualDisc", "Minimax")
# A date as long as this has a day.
_FULL_DATE = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Loser:
    """An edition that was not chosen."""

    release: Mbid
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What became of one release group."""

    title: str
    group: Mbid
    chosen: ChosenRelease | None
    """None where none of it is wanted."""
    reason: str
    losers: tuple[Loser, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    """An edition with what speaks for it: the smaller, the better."""

    release: Release
    marks: tuple[tuple[object, str], ...]
    """For each criterion a rank, and how it is said."""

    @property
    def rank(self) -> tuple[object, ...]:
        return tuple(mark for mark, _ in self.marks)


def of_artist(releases: Iterable[Release], spec: DiscographySpec, artist: Mbid) -> tuple[Choice, ...]:
    """Choose for a discography; `artist` is the id by which the artist is known now."""
    statuses = _statuses(spec)
    choices = []
    for group, editions in _grouped(releases):
        if why := _why_not(group, spec, artist):
            choices.append(Choice(title=group.title, group=group.mbid, chosen=None, reason=why))
        else:
            choices.append(_choose(group, editions, statuses=statuses, countries=spec.countries))
    return _told_apart(sorted(choices, key=_by_year))


def of_label(releases: Iterable[Release], spec: LabelCrateSpec, holders: Mapping[Mbid, int]) -> tuple[Choice, ...]:
    """Choose for a label crate, in its order and within its limit; `holders` counts who is known to have a release.

    By popularity: the most holders first, then the most editions on the label, then the oldest.
    """
    choices = []
    counts: dict[Mbid, tuple[int, int]] = {}
    for group, editions in _grouped(releases):
        counts[group.mbid] = max(holders.get(each.mbid, 0) for each in editions), len(editions)
        choices.append(_choose(group, editions, statuses=frozenset({"Official"}), countries=()))

    def place(choice: Choice) -> tuple[object, ...]:
        year = choice.chosen.year if choice.chosen is not None else None
        match spec.order:
            case "newest":
                return year is None, -(year or 0), choice.group
            case "oldest":
                return year is None, year or 0, choice.group
            case "popularity":
                known, editions = counts[choice.group]
                return -known, -editions, year is None, year or 0, choice.group

    ordered = sorted((each for each in choices if each.chosen is not None), key=place)
    beyond = [_left_out(each, f"it comes after the first {spec.limit}") for each in ordered[spec.limit :]]
    within = [_ordered(each, spec, counts[each.group]) for each in ordered[: spec.limit]]
    return _told_apart([*within, *beyond, *(each for each in choices if each.chosen is None)])


def is_official_enough(spec: DiscographySpec) -> bool:
    """Whether only official releases can be wanted: then nothing else need be listed."""
    return spec.profile != "all" and _statuses(spec) == {"Official"}


def _statuses(spec: DiscographySpec) -> frozenset[str]:
    """Which statuses are wanted: official, and what the manifest adds; in `all` also what nobody has stated."""
    added = set(spec.include_types) - PRIMARY_TYPES - SECONDARY_TYPES
    return frozenset({"Official", *added, *([""] if spec.profile == "all" else [])})


def _why_not(group: ReleaseGroup, spec: DiscographySpec, artist: Mbid) -> str:
    """Why a whole release group is not wanted; empty = it is."""
    if group.mbid in spec.exclude_release_groups:
        return "exclude_release_groups names it"
    if group.artists and artist not in group.artists:
        return "the artist is a guest on it"
    added = set(spec.include_types)
    match spec.profile:
        case "core":
            primary, secondary = {"Album"}, set[str]()
        case "extended":
            primary, secondary = {"Album", "EP", "Single"}, {"Live", "Compilation"}
        case "all":
            primary, secondary = {*PRIMARY_TYPES, ""}, set(SECONDARY_TYPES)
    if group.primary_type not in primary | (added & PRIMARY_TYPES):
        return f"its type is {group.primary_type or 'not known'}"
    if others := [each for each in group.secondary_types if each not in secondary | added and spec.profile != "all"]:
        return f"its type is {group.primary_type} + {' + '.join(others)}"
    return _why_not_then(group, spec)


def _why_not_then(group: ReleaseGroup, spec: DiscographySpec) -> str:
    year = year_of(group.first_release_date)
    if spec.min_year is None and spec.max_year is None:
        return ""
    if year is None:
        return "the year in which it came out is not known"
    if spec.min_year is not None and year < spec.min_year:
        return f"it came out in {year}, before min_year"
    if spec.max_year is not None and year > spec.max_year:
        return f"it came out in {year}, after max_year"
    return ""


def _grouped(releases: Iterable[Release]) -> list[tuple[ReleaseGroup, list[Release]]]:
    groups: dict[Mbid, tuple[ReleaseGroup, list[Release]]] = {}
    for release in releases:
        if release.group is not None:
            groups.setdefault(release.group.mbid, (release.group, []))[1].append(release)
    return list(groups.values())


# ---- one edition of a group ------------------------------------------------------------------------------------------


def _choose(
    group: ReleaseGroup, editions: list[Release], *, statuses: frozenset[str], countries: tuple[str, ...]
) -> Choice:
    losers, fit = [], []
    for edition in editions:
        if why := _why_not_edition(edition, statuses, countries):
            losers.append(Loser(release=edition.mbid, reason=why))
        else:
            fit.append(edition)
    if not fit:
        reasons = ", ".join(sorted({loser.reason for loser in losers}))
        return Choice(
            title=group.title, group=group.mbid, chosen=None, reason=f"of its editions {reasons}", losers=tuple(losers)
        )
    usual = _usual_count(fit)
    best, *others = sorted((_candidate(each, countries, usual) for each in fit), key=lambda each: each.rank)
    reason = _better(best, others[0])[0] if others else "it is the only edition that is wanted"
    losers = [*(Loser(release=each.release.mbid, reason=_better(best, each)[1]) for each in others), *losers]
    chosen = ChosenRelease(
        group=group.mbid,
        release=best.release.mbid,
        title=best.release.title,
        artist=best.release.artist,
        year=year_of(group.first_release_date) or year_of(best.release.date),
    )
    return Choice(title=group.title, group=group.mbid, chosen=chosen, reason=reason, losers=tuple(losers))


def _why_not_edition(edition: Release, statuses: frozenset[str], countries: tuple[str, ...]) -> str:
    if edition.status not in statuses:
        return f"its status is {edition.status or 'not known'}"
    if countries and edition.country not in countries:
        return f"it came out in {edition.country or 'an unknown country'}"
    if not edition.track_count:
        return "it lists no tracks"
    return ""


def _usual_count(editions: list[Release]) -> int:
    """The number of tracks that most editions have; of several the smallest, which has no bonus."""
    counts = Counter(edition.track_count for edition in editions)
    return min(counts, key=lambda count: (-counts[count], count))


def _candidate(edition: Release, countries: tuple[str, ...], usual: int) -> _Candidate:
    format_rank, format_name = max((_format_rank(each.format), each.format) for each in edition.media)
    full = len(edition.date) >= _FULL_DATE
    official = edition.status == "Official"
    return _Candidate(
        release=edition,
        marks=(
            (not official, f"its status is {edition.status or 'not known'}"),
            (countries.index(edition.country) if countries else 0, f"it came out in {edition.country}"),
            (format_rank, f"it is on {format_name or 'an unknown medium'}"),
            (edition.track_count != usual, f"it has {edition.track_count} tracks, where most have {usual}"),
            (
                (not full, edition.date or "9999"),
                f"it came out on {edition.date}" if full else f"its date is {edition.date or 'not known'}",
            ),
            (not edition.barcode, "it has a barcode" if edition.barcode else "it has no barcode"),
            (edition.mbid, f"its id is {edition.mbid}"),
        ),
    )


def _better(winner: _Candidate, loser: _Candidate) -> tuple[str, str]:
    """What decided between two, said of each."""
    for (mark, said), (other, other_said) in zip(winner.marks, loser.marks, strict=True):
        if mark != other:
            return said, f"{other_said}; of the chosen one {said}"
    raise AssertionError("two releases have one id")


def _format_rank(name: str) -> int:
    if name in _DIGITAL:
        return 0
    if any(word in name for word in _DISCS):
        return 1
    return 2 if "Vinyl" in name else 3


# ---- the order, and names --------------------------------------------------------------------------------------------


def _by_year(choice: Choice) -> tuple[object, ...]:
    year = choice.chosen.year if choice.chosen is not None else None
    return choice.chosen is None, year is None, year or 0, choice.group


def _ordered(choice: Choice, spec: LabelCrateSpec, count: tuple[int, int]) -> Choice:
    if spec.order != "popularity":
        return choice
    known, editions = count
    why = f"{known} known here to have it, {editions} editions on the label; {choice.reason}"
    return Choice(title=choice.title, group=choice.group, chosen=choice.chosen, reason=why, losers=choice.losers)


def _left_out(choice: Choice, reason: str) -> Choice:
    return Choice(title=choice.title, group=choice.group, chosen=None, reason=reason)


def _told_apart(choices: list[Choice]) -> tuple[Choice, ...]:
    """Give releases of one name names of their own: their folders would be one."""
    names = Counter(_name(each.chosen) for each in choices if each.chosen is not None)
    dated = Counter((*_name(c.chosen), c.chosen.year) for c in choices if c.chosen is not None)
    return tuple(_with_own_name(each, names, dated) for each in choices)


def _with_own_name(
    choice: Choice, names: Mapping[tuple[str, str], int], dated: Mapping[tuple[str, str, int | None], int]
) -> Choice:
    chosen = choice.chosen
    if chosen is None or names[_name(chosen)] == 1:
        return choice
    alone = chosen.year is not None and dated[(*_name(chosen), chosen.year)] == 1
    title = f"{chosen.title} ({chosen.year})" if alone else f"{chosen.title} [{chosen.release[:8]}]"
    named = ChosenRelease(
        group=chosen.group, release=chosen.release, title=title, artist=chosen.artist, year=chosen.year
    )
    return Choice(title=choice.title, group=choice.group, chosen=named, reason=choice.reason, losers=choice.losers)


def _name(chosen: ChosenRelease) -> tuple[str, str]:
    return chosen.artist.casefold(), chosen.title.casefold()
