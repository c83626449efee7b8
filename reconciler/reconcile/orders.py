"""From what a manifest says to what the engine is asked to fetch.

Owns: where each file of a job goes and what is looked for. Never: touches a disk; whether a library root exists is
told to it.

What cannot be ordered is a `Problem`, like any other problem of the manifest: somebody has to edit it. What is right
and may not be fetched by this daemon is `Held`. What only MusicBrainz knows is a `Subject` until it has been looked up.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from itertools import takewhile
from pathlib import PurePosixPath
from typing import Literal, assert_never

from reconciler.config import CoverArt, Publishing
from reconciler.engine.order import CoverWish, JobOrder, TrackOrder
from reconciler.ids import JobId, TrackPosition
from reconciler.library.naming import NameFields, is_numbered, render, safe_component
from reconciler.manifests.model import (
    DiscographySpec,
    LabelCrateSpec,
    Manifest,
    MbReleaseSpec,
    MultiSourceSpec,
    Problem,
    Renamed,
    SoulseekSource,
    Spec,
    Track,
    WantedFile,
)
from reconciler.musicbrainz.model import ChosenRelease, Resolved, ResolvedRelease, ResolvedReleases, Subject
from reconciler.reconcile.tagging import tags_of
from reconciler.sources.base import Want, Words
from reconciler.state.records import Artifact

# What a release without an artist is filed under; the words are those of most libraries.
_UNKNOWN_ARTIST = "Unknown Artist"


@dataclass(frozen=True, slots=True, kw_only=True)
class RootRules:
    """How the files of releases are named below one library root, and when they become visible."""

    naming: str
    publish: Publishing


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where this daemon may put files, and whom it may ask for them."""

    root: PurePosixPath
    """Absolute: what a relative `target_dir` counts from."""
    library_roots: tuple[PurePosixPath, ...]
    """Absolute; every published file lies below one of them."""
    naming: str
    """Template of `library.naming` for the tracks of a release."""
    publish: Publishing
    """When the files of a release become visible."""
    root_rules: Mapping[PurePosixPath, RootRules] = field(default_factory=dict)
    """In place of `naming` and `publish`, below those library roots that have rules of their own."""
    soulseek: bool
    """Whether it takes part in Soulseek."""
    write_tags: bool = False
    """Whether the files of a release are tagged."""
    cover_art: CoverArt = "none"
    """Where its front cover goes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that one manifest asks for, wherever it stands now."""

    target_dir: PurePosixPath
    allowed_root: PurePosixPath
    tracks: tuple[TrackOrder, ...]
    album: str | None = None
    """As in JobOrder."""
    cover: CoverWish | None = None

    @property
    def positions(self) -> tuple[TrackPosition, ...]:
        """Every position, in the order of the manifest."""
        return tuple(track.want.position for track in self.tracks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A manifest that is right and asks for something that this daemon is not allowed to do."""

    reason: Literal["NeedsSoulseek"]
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A manifest whose work is done by others that it owns: one for each release."""

    releases: tuple[ChosenRelease, ...]


def plan_of(spec: Spec, places: Places, resolved: Resolved | None = None) -> Plan | Family | Subject | Held | Problem:
    """Work out what `spec` asks for and where it goes, what it has to wait for, or what to change in it.

    `resolved` is what MusicBrainz said of it; a Subject is what has to be looked up there first.
    """
    target_dir = PurePosixPath(places.root, spec.target_dir)
    if ".." in target_dir.parts:
        return _problem("spec.target_dir", "leads out of its own folder", "write it without `..`")
    # The deepest root wins: with /music and /music/new allowed, a target in /music/new must not be held up by /music.
    above = [root for root in places.library_roots if target_dir.is_relative_to(root)]
    if not above:
        allowed = ", ".join(str(root) for root in places.library_roots)
        return _problem(
            "spec.target_dir",
            f"{target_dir} lies below no allowed folder",
            f"use a folder below {allowed}, or add it to library.roots in reconciler.yml",
        )
    if isinstance(spec, DiscographySpec | LabelCrateSpec):
        subject = _subject_of(spec)
        if not isinstance(resolved, ResolvedReleases) or resolved.asked != subject.mbid:
            return subject
        return Family(releases=resolved.releases)
    allowed_root = max(above, key=lambda root: len(root.parts))
    if (rules := places.root_rules.get(allowed_root)) is not None:
        places = replace(places, naming=rules.naming, publish=rules.publish)
    tracks = _tracks_of(spec, places, resolved)
    if isinstance(tracks, Problem | Held | Subject):
        return tracks
    together = isinstance(spec, MbReleaseSpec) and places.publish == "album"
    return Plan(
        target_dir=target_dir,
        allowed_root=allowed_root,
        tracks=tracks,
        album=_common_folder(tracks) if together else None,
        cover=_cover_of(spec, places, resolved, tracks),
    )


def is_looked_up(spec: Spec) -> bool:
    """Whether only MusicBrainz knows what `spec` asks for."""
    of_many = isinstance(spec, DiscographySpec | LabelCrateSpec)
    return of_many or (isinstance(spec, MbReleaseSpec) and spec.tracks is None)


def order_of(
    plan: Plan, manifest: Manifest, *, job_id: JobId, generation: int, held: Collection[TrackPosition]
) -> JobOrder:
    """Ask the engine for every track of `plan` but those already `held`."""
    return JobOrder(
        job_id=job_id,
        generation=generation,
        target_dir=str(plan.target_dir),
        allowed_root=str(plan.allowed_root),
        constraints=manifest.spec.constraints,
        tracks=tuple(track for track in plan.tracks if track.want.position not in held),
        priority=manifest.directives.priority,
        album=plan.album,
        cover=plan.cover,
    )


def still_wanted(plan: Plan, artifacts: Collection[Artifact]) -> frozenset[TrackPosition]:
    """Which of the `artifacts` of an earlier generation are what `plan` asks for, in the place it asks for."""
    by_position = {track.want.position: track for track in plan.tracks}
    return frozenset(
        artifact.position
        for artifact in artifacts
        if (track := by_position.get(artifact.position)) is not None and _fulfils(artifact, track, plan)
    )


def renamed_of(plan: Plan, artifacts: Collection[Artifact]) -> tuple[Renamed, ...]:
    """Which of the published files got a number, because another file has the name that they were to have."""
    by_position = {track.want.position: track for track in plan.tracks}
    return tuple(
        Renamed(position=artifact.position, path=artifact.path)
        for artifact in artifacts
        if (track := by_position.get(artifact.position)) is not None and _is_numbered(artifact, track, plan)
    )


def _is_numbered(artifact: Artifact, track: TrackOrder, plan: Plan) -> bool:
    found, wanted = PurePosixPath(artifact.path), plan.target_dir / track.stem
    return found.parent == wanted.parent and is_numbered(found.name, wanted.name, whole=track.extension is not None)


def _fulfils(artifact: Artifact, track: TrackOrder, plan: Plan) -> bool:
    path = PurePosixPath(artifact.path)
    if not path.is_relative_to(plan.target_dir):
        return False
    want = track.want
    if want.root is None and want.sha256 is None:
        return want.recording is not None and artifact.recording == want.recording
    # A file named by its bytes is asked for under one exact path; the same bytes elsewhere are not it.
    at_its_place = path == plan.target_dir / track.stem
    same_root = want.root is None or artifact.root == want.root
    same_sha256 = want.sha256 is None or artifact.sha256 == want.sha256
    return at_its_place and same_root and same_sha256


def _tracks_of(
    spec: MbReleaseSpec | MultiSourceSpec, places: Places, resolved: Resolved | None
) -> tuple[TrackOrder, ...] | Subject | Held | Problem:
    match spec:
        case MbReleaseSpec(tracks=None):
            if not isinstance(resolved, ResolvedRelease) or resolved.asked != spec.mb_release_id:
                return Subject(kind="release", mbid=spec.mb_release_id)
            return _release_orders(as_listed(spec, resolved), places, resolved)
        case MbReleaseSpec():
            return _release_orders(spec, places, None)
        case MultiSourceSpec():
            return _without_soulseek(spec, places) or _file_orders(spec)
        case _:
            assert_never(spec)


def _file_orders(spec: MultiSourceSpec) -> tuple[TrackOrder, ...] | Problem:
    orders: list[TrackOrder] = []
    for index, file in enumerate(spec.files):
        order = _file_order(file, index)
        if isinstance(order, Problem):
            return order
        orders.append(order)
    return tuple(orders)


def as_listed(spec: MbReleaseSpec, resolved: ResolvedRelease) -> MbReleaseSpec:
    """The spec as if somebody had written down what MusicBrainz says; what is written already goes before that."""
    title, artist = spec.title or resolved.title, spec.artist or resolved.artist
    return replace(spec, title=title, artist=artist, tracks=resolved.tracks)


def _release_orders(spec: MbReleaseSpec, places: Places, resolved: ResolvedRelease | None) -> tuple[TrackOrder, ...]:
    tracks = spec.tracks or ()
    discs = max((track.medium or 1 for track in tracks), default=1)
    year = None if resolved is None else resolved.year
    orders = tuple(_track_order(track, spec, naming=places.naming, discs=discs, year=year) for track in tracks)
    if not places.write_tags:
        return orders
    return tuple(
        replace(order, tags=tags_of(track, spec, resolved, discs=discs))
        for order, track in zip(orders, tracks, strict=True)
    )


def _subject_of(spec: DiscographySpec | LabelCrateSpec) -> Subject:
    if isinstance(spec, DiscographySpec):
        return Subject(kind="artist", mbid=spec.artist_id)
    return Subject(kind="label", mbid=spec.label_id)


def _cover_of(
    spec: Spec, places: Places, resolved: Resolved | None, tracks: Collection[TrackOrder]
) -> CoverWish | None:
    """The cover of a release; a file needs a folder that is the album's own, or it would be everybody's cover."""
    if places.cover_art == "none" or not isinstance(spec, MbReleaseSpec):
        return None
    folder = _common_folder(tracks)
    if places.cover_art == "file" and not folder:
        return None
    known = resolved if isinstance(resolved, ResolvedRelease) else None
    return CoverWish(
        where=places.cover_art,
        folder=folder,
        release=spec.mb_release_id if known is None else known.mbid,
        group=None if known is None else known.facts.group,
    )


def _common_folder(tracks: Collection[TrackOrder]) -> str:
    """The deepest folder that all files lie in; empty where they have none in common."""
    folders = [track.stem.split("/")[:-1] for track in tracks]
    common = takewhile(lambda parts: len(set(parts)) == 1, zip(*folders, strict=False))
    return "/".join(parts[0] for parts in common)


def _without_soulseek(spec: MultiSourceSpec, places: Places) -> Held | None:
    """The hold of a job with a file that only Soulseek users are named for, where none may be asked."""
    if places.soulseek and spec.constraints.use_soulseek:
        return None
    setting = "constraints.use_soulseek is false" if places.soulseek else "soulseek.enabled is false in reconciler.yml"
    for file in spec.files:
        if file.sources and all(isinstance(source, SoulseekSource) for source in file.sources):
            message = f"{file.path} names Soulseek users only, and {setting}; change that, or name another source"
            return Held(reason="NeedsSoulseek", message=message)
    return None


def _track_order(track: Track, spec: MbReleaseSpec, *, naming: str, discs: int, year: int | None) -> TrackOrder:
    albumartist = spec.artist or _UNKNOWN_ARTIST
    fields = NameFields(
        albumartist=albumartist,
        album=spec.title or spec.mb_release_id,
        artist=track.artist or albumartist,
        title=track.title,
        track=track.medium_position or track.position,
        disc=track.medium or 1,
        discs=discs,
        year=year,
    )
    words = Words(
        title=track.title,
        artist=track.artist or spec.artist,
        album=spec.title,
        albumartist=spec.artist,
        track_number=fields.track,
        medium=fields.disc,
        media=discs,
        duration_ms=track.duration_ms,
    )
    return TrackOrder(
        want=Want(position=track.position, recording=track.mb_recording_id, words=words),
        title=track.title,
        stem=render(naming, fields),
        duration_ms=track.duration_ms,
    )


def _file_order(file: WantedFile, index: int) -> TrackOrder | Problem:
    for part in file.path.split("/"):
        if safe_component(part) != part:
            safe = "/".join(safe_component(each) for each in file.path.split("/") if each)
            pointer = f"spec.files[{index}].path"
            return _problem(pointer, f"{part!r} is not a safe file name on every system", f"write it as {safe}")
    want = Want(
        position=TrackPosition(index + 1),
        recording=file.mb_recording_id,
        root=file.root,
        sha256=file.sha256,
        size=file.size,
        chunk_hashes_url=file.chunk_hashes,
        pieces=file.pieces,
        sources=file.sources,
    )
    return TrackOrder(want=want, title=file.path, stem=file.path, extension="")


def _problem(pointer: str, message: str, hint: str) -> Problem:
    return Problem(line=0, column=0, pointer=pointer, message=message, hint=hint)
