"""What `job new` writes: whole manifests, with a word about what may be changed.

Owns: what every new manifest has, the texts for things at MusicBrainz, and finding the id in what a person has copied.
Never: asks MusicBrainz or writes a file, or words files with sources (cli.new_multi_source).
"""

import os
import re
from dataclasses import dataclass
from typing import Literal

from reconciler.clock import SystemClock, rfc3339
from reconciler.errors import InvalidInputError
from reconciler.ids import ULID_ENTROPY_BYTES, Mbid, is_mbid, make_ulid
from reconciler.library.naming import safe_component
from reconciler.manifests.block import Field
from reconciler.manifests.compose import manifest_text
from reconciler.manifests.model import JobType, Track
from reconciler.manifests.read import read_manifest
from reconciler.musicbrainz.model import ResolvedRelease, SubjectKind

_MBID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_KIND_IN_ADDRESS = re.compile(r"/(release-group|release|artist|label|recording|work)/")

_CONSTRAINTS = (
    "# constraints:                 # what is commented out shows the default",
    "#   preferred_codecs: [FLAC]   # in order of preference",
    "#   allow_lossy: true          # false: nothing but lossless",
)
_CONSTRAINTS_OF_FILES = (
    "# constraints:                 # what is commented out shows the default",
    "#   use_overlay: true          # false: only the servers above are asked",
    "#   overlay_bandwidth_kbps: 0  # a cap for this job; 0 = none",
)
_RUN = (
    "# priority: 0                  # from -100 to 100; the higher goes first",
    "# suspend: true                # rest until the line is taken out",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewManifest:
    """A manifest that is to be written, and what is said of it."""

    file_name: str
    text: str
    job_id: str
    job_type: str
    mbid: Mbid | None
    """None for files that are known by their bytes."""
    name: str
    """Of the release, artist, label or files; empty where it is not known."""
    tracks: int | None
    """That are listed in it, or files; None = none are."""
    skipped: tuple[str, ...]
    chosen: tuple[str, ...]
    """What was chosen for the person, a line each."""


def mbid_in(given: str, kind: SubjectKind | Literal["recording"]) -> Mbid:
    """The id in an id or address of a page at MusicBrainz; raises InvalidInputError where it is of another kind."""
    address = _KIND_IN_ADDRESS.search(given)
    if address is not None and address[1] != kind:
        hint = f"open the page of the {kind} and copy its address"
        if (address[1], kind) == ("release-group", "release"):
            hint = "open one of its editions and copy that address"
        raise InvalidInputError(f"{given[:200]!r} is the address of {_a(address[1])}", hint=hint)
    found = _MBID.findall(given)
    if len(found) != 1 or not is_mbid(found[0].lower()):
        hint = f"copy the address of the {kind}'s page: https://musicbrainz.org/{kind}/..."
        raise InvalidInputError(f"{given[:200]!r} holds no MusicBrainz id", hint=hint)
    return Mbid(found[0].lower())


def _a(kind: str) -> str:
    """`a release group`, `an artist`."""
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind.replace('-', ' ')}"


def release_manifest(mbid: Mbid, resolved: ResolvedRelease | None, *, target_dir: str) -> NewManifest:
    """One release with its tracks, or without them where it could not be looked up."""
    tracks = resolved.tracks if resolved is not None else ()
    spec: dict[str, Field] = {"mb_release_id": resolved.mbid if resolved is not None else mbid}
    above = ["One release. The daemon fetches what is listed under tracks; take lines out to want less."]
    if resolved is None:
        above = ["One release. Without tracks, the daemon looks up at MusicBrainz what it has, and fetches all of it."]
    elif resolved.mbid != mbid:
        above.append(f"MusicBrainz has merged {mbid} into the id below.")
    name = f"{resolved.artist} - {resolved.title}" if resolved is not None else ""
    if resolved is not None:
        spec |= {"title": resolved.title, "artist": resolved.artist}
    spec["target_dir"] = target_dir
    spec["tracks"] = [_track(track) for track in tracks]
    skipped = resolved.skipped if resolved is not None else ()
    return made_manifest(
        JobType.MB_RELEASE,
        spec,
        above=above,
        name=name,
        tracks=len(tracks) if tracks else None,
        skipped=tuple(f"{each.medium}-{each.position} {each.title}: {each.reason}" for each in skipped),
        chosen=(f"{len(tracks)} tracks, into {target_dir}" if tracks else f"every track, into {target_dir}",),
    )


def discography_manifest(mbid: Mbid, name: str, *, profile: str, target_dir: str) -> NewManifest:
    """What an artist has released, by a profile."""
    spec: dict[str, Field] = {
        "artist_id": mbid,
        "artist_name": name,
        "profile": profile,
        "target_dir": target_dir,
    }
    above = [
        "What an artist has released: of each album one edition. The daemon writes one manifest for each beside it.",
        "profile: core = official albums; extended = also EPs, singles, live albums, compilations; all = every type.",
    ]
    below = (
        "# min_year: 1988               # by the year in which an album first came out",
        "# max_year: 1995",
        "# countries: [GB, XE, XW]      # where an edition came out, the preferred first",
        "# include_types: [Soundtrack]  # wanted beyond the profile",
        "# exclude_release_groups: []   # ids of albums that are never wanted",
    )
    chosen = (f"profile {profile}, into {target_dir}",)
    return made_manifest(JobType.DISCOGRAPHY, spec, above=above, below=below, name=name, chosen=chosen)


def crate_manifest(mbid: Mbid, name: str, *, limit: int, order: str, target_dir: str) -> NewManifest:
    """A number of releases of a label."""
    spec: dict[str, Field] = {
        "label_id": mbid,
        "label_name": name,
        "limit": limit,
        "order": order,
        "target_dir": target_dir,
    }
    above = [
        "Releases of a label: for each album one edition. The daemon writes a manifest for each beside this one.",
        "order: popularity (by who is known here to have them), newest or oldest; limit: so many of them.",
    ]
    chosen = (f"the first {limit} by {order}, into {target_dir}",)
    return made_manifest(JobType.LABEL_CRATE, spec, above=above, name=name, chosen=chosen)


def made_manifest(
    job_type: JobType,
    spec: dict[str, Field],
    *,
    above: list[str],
    name: str,
    chosen: tuple[str, ...],
    below: tuple[str, ...] = (),
    tracks: int | None = None,
    skipped: tuple[str, ...] = (),
) -> NewManifest:
    """Write these fields down; raises InvalidInputError where they make no valid manifest."""
    now = SystemClock().wall()
    job_id = make_ulid(unix_ms=int(now * 1000), entropy=os.urandom(ULID_ENTROPY_BYTES))
    head: dict[str, Field] = {"job_id": job_id, "job_type": job_type.value, "created_at": rfc3339(now)}
    constraints = _CONSTRAINTS_OF_FILES if job_type is JobType.MULTI_SOURCE else _CONSTRAINTS
    text = manifest_text(head, spec, above=above, below=(*below, *constraints, *_RUN))
    for problem in read_manifest(text.encode()).problems:
        what = f"{problem.pointer}: {problem.message}" if problem.pointer else problem.message
        raise InvalidInputError(what, hint=problem.hint or "correct what was given")
    first = str(next(iter(spec.values())))
    return NewManifest(
        file_name=f"{safe_component(name)[:80].strip() or job_id}.yml" if name else f"{job_id}.yml",
        text=text,
        job_id=job_id,
        job_type=job_type.value,
        mbid=Mbid(first) if is_mbid(first) else None,
        name=name,
        tracks=tracks,
        skipped=skipped,
        chosen=chosen,
    )


def _track(track: Track) -> dict[str, Field]:
    said: dict[str, Field] = {"position": int(track.position), "title": track.title}
    if track.artist:
        said["artist"] = track.artist
    said["mb_recording_id"] = track.mb_recording_id
    if track.duration_ms is not None:
        said["duration_ms"] = track.duration_ms
    if track.medium is not None and track.medium_position is not None:
        said |= {"medium": track.medium, "medium_position": track.medium_position}
    return said
