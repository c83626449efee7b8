"""From what strangers share to the tracks of a release: which file is which, and which folder is not it.

Owns: the verdict on each folder, with its reasons and scores. Never: ranks by speed or queue, asks a peer, or makes a
path of a name.

A folder is judged as a whole, because an album that somebody keeps together is one edition in one encoding: which of
its files are which tracks (sources.soulseek.pairing), then whether all of it can be true (sources.soulseek.verdict).
What is refused is refused with the reason that decided.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from reconciler.ids import TrackPosition
from reconciler.manifests.model import Constraints
from reconciler.sources.base import Want
from reconciler.sources.soulseek.folders import Album, albums_of
from reconciler.sources.soulseek.pairing import Pairs, pair
from reconciler.sources.soulseek.scoring import DURATION_WEIGHT, NUMBER_WEIGHT, TITLE_WEIGHT, Evidence, Obstacle
from reconciler.sources.soulseek.shared_file import SharedFile
from reconciler.sources.soulseek.verdict import (
    Naming,
    believed_alone,
    compared_blindly,
    naming_of,
    refused,
    refused_by_name,
)
from reconciler.sources.soulseek.wanted import Release, release_of
from reconciler.sources.soulseek.wording import shortened

# Hundredths of a score, with those of a pair: 35 + 20 + 10 + 10 + 10 + 15 = 100.
ARTIST_WEIGHT = 10
ALBUM_WEIGHT = 10
FOLDER_WEIGHT = 15
_HUNDRED = TITLE_WEIGHT + DURATION_WEIGHT + NUMBER_WEIGHT + ARTIST_WEIGHT + ALBUM_WEIGHT + FOLDER_WEIGHT

_EXAMPLES_MAX = 3
_REASON_CHARACTERS_MAX = 300
_SAID: dict[Obstacle, str] = {
    "duration": "durations disagree",
    "kind": "another kind of recording",
    "artist": "wrong artist",
    "size": "sizes are not plausible",
    "title": "titles are not alike enough",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """One file that is taken for one track."""

    position: TrackPosition
    file: SharedFile
    score: float
    """From 0 to 1; compares folders for the same track."""
    reasons: tuple[str, ...]
    """What agreed and what was not known. They quote names from strangers: escape them wherever they are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A folder, or files of one, that were not taken."""

    username: str
    folder: str
    """As the user names it, cut to a bound; escape it wherever it is shown."""
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Matches:
    """The verdict on everything that was found."""

    matched: tuple[Match, ...]
    """By position, best first. A folder gives a track at most one file, and no file goes to two tracks."""
    rejected: tuple[Rejected, ...]
    """By user and folder."""


def match(
    wants: Iterable[Want],
    files: Iterable[SharedFile],
    *,
    tolerance_ms: int = Constraints().duration_tolerance_ms,
) -> Matches:
    """Find the tracks of one release among other people's files; the order of neither matters."""
    release = release_of(wants)
    matched: list[Match] = []
    rejected: list[Rejected] = []
    for album in albums_of(files) if release.tracks else ():
        found, refusal = _judge(release, album, tolerance_ms)
        matched += found
        if refusal:
            reason = shortened(refusal, _REASON_CHARACTERS_MAX)
            rejected.append(Rejected(username=album.username, folder=album.folder, reason=reason))
    matched.sort(key=lambda each: (each.position, -each.score, each.file.username, each.file.path))
    return Matches(matched=tuple(matched), rejected=tuple(rejected))


def _judge(release: Release, album: Album, tolerance_ms: int) -> tuple[list[Match], str]:
    """The matches of one folder, and why the rest of it, or all, is refused."""
    naming = naming_of(release, album)
    if refusal := refused_by_name(naming):
        return [], refusal
    # What the folder says of all its files is judged with the folder, not with each of them.
    release = replace(release, kinds=release.kinds | naming.kinds)
    pairs = pair(release, album, tolerance_ms)
    chosen = compared_blindly(release, pairs.chosen)
    if not chosen:
        return [], _nothing_found(album, pairs)
    if refusal := refused(release, album, naming, pairs, chosen):
        return [], refusal
    kept = believed_alone(release, naming, chosen)
    if not kept:
        return [], "another album, and nothing proves that the recording is the same"
    share = len(kept) / len(release.tracks)
    said = f"folder: {len(kept)} of {len(release.tracks)} wanted tracks in {album.encoding.name}"
    found = [
        Match(
            position=release.tracks[track].position,
            file=album.entries[file].file,
            score=_score(evidence, naming, share, tolerance_ms),
            reasons=(*evidence.reasons(), *_naming_reasons(evidence, naming), said),
        )
        for track, (file, evidence) in sorted(kept.items())
    ]
    missed = [miss.reason for track, miss in pairs.misses if track not in kept and miss.obstacle != "title"]
    return found, "; ".join(missed[:_EXAMPLES_MAX])


def _nothing_found(album: Album, pairs: Pairs) -> str:
    if pairs.chosen:
        return "titles cannot be compared, and too few durations agree to prove that it is the release"
    if not pairs.misses:
        return f"none of its {len(album.entries)} audio files has a wanted title"
    obstacle, count = Counter(miss.obstacle for _, miss in pairs.misses).most_common(1)[0]
    return f"{_SAID[obstacle]}: {count} of its files, as {pairs.example(obstacle)}"


def _score(evidence: Evidence, naming: Naming, share: float, tolerance_ms: int) -> float:
    artist = 1.0 if evidence.names_artist else {True: 1.0, None: 0.5, False: 0.0}[naming.artist]
    album = 1.0 if evidence.names_album else naming.album
    points = evidence.points(tolerance_ms) + ARTIST_WEIGHT * artist + ALBUM_WEIGHT * album + FOLDER_WEIGHT * share
    return round(points / _HUNDRED, 3)


def _naming_reasons(evidence: Evidence, naming: Naming) -> tuple[str, str]:
    artist = (
        "named" if evidence.names_artist else {True: "named", None: "named in part", False: "not named"}[naming.artist]
    )
    return f"artist: {artist}", f"album: {'named' if evidence.names_album or naming.album else 'not named'}"
