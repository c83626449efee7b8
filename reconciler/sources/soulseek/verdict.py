"""Whether a folder as a whole is the release that is wanted.

Owns: the rules that see the whole folder: what it calls itself, how many titles and durations agree, what that proves.
Never: compares one file with one track (sources.soulseek.scoring).

The rules and their reasons are in docs/explanation/matching.md.
"""

from dataclasses import dataclass

from reconciler.sources.soulseek.folders import Album
from reconciler.sources.soulseek.kinds import NOT_BY_LENGTH, kinds_of
from reconciler.sources.soulseek.likeness import SAME
from reconciler.sources.soulseek.pairing import Chosen, Pairs
from reconciler.sources.soulseek.scoring import Evidence
from reconciler.sources.soulseek.wanted import Release
from reconciler.sources.soulseek.wording import fold, shortened, telling_words

# A folder that names the album and has fewer than this share of the tracks it could have is another edition or album.
_SHARE_MIN = 0.5
# Durations of another mastering agree track by track; where more than a third is off, another edition is meant.
_OFF_SHARE_MAX = 1 / 3
# Three durations that agree within 3 s by chance, in lengths that spread over two minutes: (6 / 120)^3, one in 8,000.
_PROOFS_MIN = 3
_PROOF_SHARE_MIN = 0.8
# One recording on two releases differs by its fades: not by more than this. A live or new recording of the same length
# to the second is one in some fifty; so on another album of the artist's two tracks must agree.
EXACT_MS = 1000
_WITH_MORE = frozenset({"deluxe", "expanded", "bonus", "anniversary", "edition"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """What a folder calls itself."""

    album: float
    """How well it names the album, from 0 to 1."""
    artist: bool | None
    """None = a part of the name, or no artist is known."""
    kinds: frozenset[str]
    """What it says of all its files that is true of no track that is wanted."""
    stranger: str
    """Whoever it puts before the album and is not of this release; empty = nobody."""


def naming_of(release: Release, album: Album) -> Naming:
    """Read the names of a folder and of those that it lies in."""
    above = album.above[0] if album.above else ""
    words = frozenset(word for name in (album.name, *album.above) for word in fold(name).split())
    artist = release.names_artist(words)
    return Naming(
        # A folder above counts a little less: `Loveless` with `FLAC` in it, but also `Loveless` the label.
        album=max(release.album_likeness(album.name), 0.9 * release.album_likeness(above)),
        artist=artist,
        kinds=_unlike(release, album),
        stranger=release.stranger_in(album.name) if artist is False else "",
    )


def refused_by_name(naming: Naming) -> str:
    """Why what a folder calls itself rules it out; empty = it does not.

    `live` alone may be said of an album that is live and does not say so: durations have to prove it, see `refused`.
    """
    if naming.kinds - {"live"}:
        return f"another kind of recording: the folder says {', '.join(sorted(naming.kinds))}"
    return f"wrong artist: the folder is by {shortened(naming.stranger)!r}" if naming.stranger else ""


def compared_blindly(release: Release, chosen: Chosen) -> Chosen:
    """Leave out the files whose titles cannot be compared, unless durations prove that the folder is the release."""
    if _proofs(chosen) >= max(_PROOFS_MIN, _PROOF_SHARE_MIN * len(release.tracks)):
        return chosen
    return {track: found for track, found in chosen.items() if found[1].title is not None}


def refused(release: Release, album: Album, naming: Naming, pairs: Pairs, chosen: Chosen) -> str:
    """Why the chosen files cannot be this release together; empty = they can."""
    proofs = _proofs(chosen)
    off = pairs.missed_by("duration") - chosen.keys()
    titled = len(chosen.keys() | pairs.missed_by("duration", "size"))
    if len(off) > 1 and len(off) > _OFF_SHARE_MAX * titled:
        return f"another edition: {len(off)} of {titled} durations disagree, as {pairs.example('duration')}"
    sure = {track for track, (_, evidence) in chosen.items() if evidence.sure or evidence.title is None}
    alike = sure | pairs.missed_by("duration", "size", "kind")
    possible = min(len(release.tracks), _plain_files(release, album))
    if naming.album and len(alike) < _SHARE_MIN * possible:
        return f"another edition or album: it has {len(alike)} of {possible} titles"
    named_in_files = any(evidence.names_artist for _, evidence in chosen.values())
    if release.artists and naming.artist is not True and not named_in_files:
        # A part of a long credit is enough where album and titles agree: `Bach` for Bach and Gould.
        same = sum(_same_title(evidence) for _, evidence in chosen.values())
        partly = naming.artist is None and naming.album > 0 and same >= _PROOFS_MIN
        if not partly and not (proofs >= _PROOFS_MIN and proofs >= _SHARE_MIN * len(chosen)):
            return "the artist is not named, and durations do not prove it"
    if naming.kinds and not (naming.album and proofs >= max(_PROOFS_MIN, len(chosen))):
        return "another kind of recording: the folder says live, and durations do not prove that the release is"
    return ""


def believed_alone(release: Release, naming: Naming, chosen: Chosen) -> Chosen:
    """What is left of `chosen` where the folder is not the album: a compilation, a heap of loose files."""
    if naming.album or not release.album_forms:
        return chosen
    exact = sum(_exact(evidence) for _, evidence in chosen.values())
    kept: Chosen = {}
    for track, (file, evidence) in chosen.items():
        by_name = evidence.names_artist and _same_title(evidence)
        if (
            evidence.title is None  # the whole has proven it
            or (evidence.names_album and evidence.names_artist)
            or (_exact(evidence) and (by_name or release.by_many or exact > 1))
            or (by_name and evidence.off_ms is None)
        ):
            kept[track] = file, evidence
    return kept


def _unlike(release: Release, album: Album) -> frozenset[str]:
    wanted_kinds = _wanted_kinds(release)
    name = fold(album.name)
    unlike = kinds_of(name) - wanted_kinds
    # A bonus disc of live takes or demos does not make the album one; karaoke in its name does.
    if set(name.split()) & _WITH_MORE:
        return unlike & NOT_BY_LENGTH
    # Of the folders above, one that is called `Live` or `Karaoke` says it of all in it; one with more words is a title.
    shelf = fold(album.above[0]) if album.above else ""
    return unlike | (kinds_of(shelf) - wanted_kinds if len(telling_words(shelf)) == 1 else frozenset())


def _plain_files(release: Release, album: Album) -> int:
    """How many files say of themselves nothing that no wanted track is."""
    wanted_kinds = _wanted_kinds(release)
    return sum(not entry.kinds - wanted_kinds for entry in album.entries)


def _wanted_kinds(release: Release) -> frozenset[str]:
    return release.kinds.union(*(track.kinds for track in release.tracks))


def _proofs(chosen: Chosen) -> int:
    """How many durations are as good as equal."""
    return sum(evidence.tight for _, evidence in chosen.values())


def _same_title(evidence: Evidence) -> bool:
    return evidence.title is not None and evidence.title >= SAME


def _exact(evidence: Evidence) -> bool:
    return _same_title(evidence) and evidence.off_ms is not None and evidence.off_ms <= EXACT_MS
