"""Which file goes to which track, when several could: one each, the best sum.

Owns: the choice. Never: judges a pair (sources.soulseek.scoring).

Tracks and files are few together (an album), and most have one partner only. They are parted into groups that compete
for each other, and each group is solved exactly by the Hungarian method (Kuhn 1955, in the form with potentials). To
take the best pair first would leave a track without its file where two could share the files the other way round.
"""

from collections.abc import Mapping

# Tracks that are solved at once: 24 x 24 x (24 x 24 + 24) steps are some 0.1 s. More are solved in turn, in their
# order; only a release with more tracks of one title than that meets the bound.
AT_ONCE_MAX = 24


def assign(scores: Mapping[tuple[int, int], int]) -> dict[int, int]:
    """Give each track at most one file and each file at most one track, so that the sum of the scores is greatest.

    `scores` holds the possible pairs (track, file) with their scores, above 0. Where two ways have the same sum, tracks
    and files go together in their order.
    """
    by_track: dict[int, dict[int, int]] = {}
    for (track, file), score in sorted(scores.items()):
        by_track.setdefault(track, {})[file] = score
    chosen: dict[int, int] = {}
    for group in _groups(by_track):
        taken: set[int] = set()
        for begin in range(0, len(group), AT_ONCE_MAX):
            rows = group[begin : begin + AT_ONCE_MAX]
            found = _solve({row: _best(by_track[row], taken, len(rows)) for row in rows})
            taken.update(found.values())
            chosen |= found
    return chosen


def _best(candidates: Mapping[int, int], taken: set[int], count: int) -> dict[int, int]:
    """As many candidates as there are tracks that compete: the others can take all but one of them."""
    free = [(-score, file) for file, score in candidates.items() if file not in taken]
    return {file: -negative for negative, file in sorted(free)[:count]}


def _groups(by_track: Mapping[int, Mapping[int, int]]) -> list[list[int]]:
    """Tracks that compete, directly or through others; each group in order."""
    leader: dict[int, int] = {track: track for track in by_track}

    def find(track: int) -> int:
        while leader[track] != track:
            leader[track] = leader[leader[track]]
            track = leader[track]
        return track

    claimed: dict[int, int] = {}
    for track, files in by_track.items():
        for file in files:
            other = claimed.setdefault(file, track)
            low, high = sorted((find(other), find(track)))
            leader[high] = low
    groups: dict[int, list[int]] = {}
    for track in sorted(by_track):
        groups.setdefault(find(track), []).append(track)
    return list(groups.values())


def _solve(by_track: Mapping[int, Mapping[int, int]]) -> dict[int, int]:
    """Solve one group exactly."""
    tracks = sorted(by_track)
    files = sorted({file for candidates in by_track.values() for file in candidates})
    # A column for each file, and one for each track to stay without.
    rows, columns = len(tracks), len(files) + len(tracks)
    place_of = {file: place for place, file in enumerate(files, start=1)}
    # The product of the places is greatest in sum where both go in the same order; it counts only between equal sums.
    unit = rows * rows * columns + 1
    cost = [[1] * (columns + 1) for _ in range(rows + 1)]
    for row, track in enumerate(tracks, start=1):
        for place in range(1, len(files) + 1):
            cost[row][place] = 2 * unit  # not a pair: worse than staying without
        for file, score in by_track[track].items():
            cost[row][place_of[file]] = -score * unit - row * place_of[file]
    holder = _hungarian(cost, rows, columns)
    return {
        tracks[row - 1]: files[place - 1]
        for place, row in enumerate(holder)
        if row and 0 < place <= len(files) and files[place - 1] in by_track[tracks[row - 1]]
    }


def _hungarian(cost: list[list[int]], rows: int, columns: int) -> list[int]:
    """Which row each column goes to, counted from 1, so that the sum of the costs is least; 0 = none."""
    of_row, of_column = [0] * (rows + 1), [0] * (columns + 1)
    holder = [0] * (columns + 1)
    for row in range(1, rows + 1):
        holder[0] = row
        came_from = [0] * (columns + 1)
        least: list[float] = [float("inf")] * (columns + 1)
        reached = [False] * (columns + 1)
        column = 0
        while holder[column]:
            reached[column] = True
            at, step, following = holder[column], float("inf"), 0
            for each in range(1, columns + 1):
                if reached[each]:
                    continue
                reduced = cost[at][each] - of_row[at] - of_column[each]
                if reduced < least[each]:
                    least[each], came_from[each] = reduced, column
                if least[each] < step:
                    step, following = least[each], each
            for each in range(columns + 1):
                if reached[each]:
                    of_row[holder[each]] += int(step)
                    of_column[each] -= int(step)
                else:
                    least[each] -= step
            column = following
        while column:
            holder[column] = holder[came_from[column]]
            column = came_from[column]
    return holder
