"""The files of one folder against the tracks of a release.

Owns: which pairs are worth comparing, and the best way to give each track one file. Never: judges the folder as a whole
(sources.soulseek.verdict).
"""

from collections import Counter
from dataclasses import dataclass

from reconciler.sources.soulseek.assignment import assign
from reconciler.sources.soulseek.folders import Album, Entry
from reconciler.sources.soulseek.scoring import Evidence, Miss, Obstacle, weigh
from reconciler.sources.soulseek.wanted import Release
from reconciler.sources.soulseek.wording import telling_words

# Tracks that one file is compared with: those that share most words with its name. A name that holds many titles is a
# list, not a track.
_CANDIDATES_MAX = 16
# Clients answer a search with some hundreds of files; what a folder has beyond this is left aside.
_FILES_MAX = 2000

Chosen = dict[int, tuple[int, Evidence]]
"""By the place of a track in the release: the place of its file in the album, and what speaks for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """What comparing gave."""

    chosen: Chosen
    """One file for a track, one track for a file."""
    misses: tuple[tuple[int, Miss], ...]
    """By the place of the track: files with its title that are something else."""

    def missed_by(self, *obstacles: Obstacle) -> set[int]:
        """The tracks that some file has the title of and fails by one of these."""
        return {track for track, miss in self.misses if miss.obstacle in obstacles}

    def example(self, obstacle: Obstacle) -> str:
        """The first that failed by it, in words."""
        return next((miss.reason for _, miss in self.misses if miss.obstacle == obstacle), "")


def pair(release: Release, album: Album, tolerance_ms: int) -> Pairs:
    """Compare what shares a word or a number, then choose."""
    evidence: dict[tuple[int, int], Evidence] = {}
    misses: list[tuple[int, Miss]] = []
    index = _Index(release)
    sides = _tracks_before_each_side(album)
    for file, entry in enumerate(album.entries[:_FILES_MAX]):
        for track in index.candidates(entry):
            verdict = weigh(
                release.tracks[track],
                entry,
                release,
                encoding=album.encoding,
                sides=sides,
                tolerance_ms=tolerance_ms,
            )
            if isinstance(verdict, Evidence):
                evidence[track, file] = verdict
            elif verdict is not None:
                misses.append((track, verdict))
    points = {each: round(known.points(tolerance_ms) * 100) for each, known in evidence.items()}
    chosen = {track: (file, evidence[track, file]) for track, file in assign(points).items()}
    return Pairs(chosen=chosen, misses=tuple(misses))


class _Index:
    """Tracks by the words of their titles and by their numbers."""

    def __init__(self, release: Release) -> None:
        self._by_word: dict[str, list[int]] = {}
        self._by_number: dict[int, list[int]] = {}
        self._by_side: list[int] = list(range(len(release.tracks)))[:_CANDIDATES_MAX]
        for place, track in enumerate(release.tracks):
            for word in {word for form, _ in track.forms for word in telling_words(form)}:
                self._by_word.setdefault(word, []).append(place)
            for number in {int(track.position), track.words.track_number}:
                self._by_number.setdefault(number, []).append(place)

    def candidates(self, entry: Entry) -> list[int]:
        """The tracks that `entry` may be, in their order."""
        shared = Counter(track for word in set(entry.name.words.split()) for track in self._by_word.get(word, ()))
        best = sorted(shared, key=lambda track: (-shared[track], track))[:_CANDIDATES_MAX]
        numbered: set[int] = set()
        for reading in entry.name.readings:
            if reading.side:
                numbered.update(self._by_side)  # what number it is depends on the sides before it
            elif reading.number is not None:
                numbered.update(self._by_number.get(reading.number, ()))
        return sorted(numbered.union(best))


def _tracks_before_each_side(album: Album) -> dict[str, int]:
    """How many tracks of a record come before side `b`, `c` and so on, by the highest number of each side."""
    highest: Counter[str] = Counter()
    for entry in album.entries:
        for reading in entry.name.readings:
            if reading.side and reading.number:
                highest[reading.side] = max(highest[reading.side], reading.number)
    before, count = {}, 0
    for side in "abcdefgh":
        before[side] = count
        count += highest[side]
    return before
