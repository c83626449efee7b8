"""Typed fields to a Manifest, and what is wrong between fields that are each right.

Owns: the digest of a spec, and every rule that needs two fields. Never: looks at the form of a single value
(manifests.formats), at another manifest (reconcile), or at a disk.
"""

import hashlib
import json
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from typing import Any

from reconciler.addresses import parse_peer_address
from reconciler.ids import JobId, Mbid, Root, Sha256, TrackPosition
from reconciler.manifests.directives import directives_of, duration_s
from reconciler.manifests.document import Document, Path, in_order, pointer_of, problem_at
from reconciler.manifests.model import (
    Constraints,
    DiscographySpec,
    ExplicitSource,
    JobType,
    LabelCrateSpec,
    Manifest,
    MbReleaseSpec,
    MultiSourceSpec,
    OverlayPeerSource,
    Pieces,
    Problem,
    SoulseekSource,
    Spec,
    Track,
    UrlSource,
    WantedFile,
)

Fields = Mapping[str, Any]

# A change of these is not a change of what is wanted: the daemon writes the first three, the last asks for another try
# at the same.
_NOT_WANTED = frozenset({"status", "job_id", "created_at", "reconcile_requested_at"})


def manifest_of(value: object, document: Document, *, sound: bool) -> tuple[Manifest | None, tuple[Problem, ...]]:
    """Make the manifest of coerced fields, with what is wrong between them; None where that is so, or not `sound`.

    `sound` says that the schema found no error; without it the fields are only compared.
    """
    problems = in_order(list(_between_fields(value, document)))
    if problems or not sound or not isinstance(value, dict):
        return None, problems
    job_type, spec = JobType(value["job_type"]), value["spec"]
    job_id, owner = value.get("job_id"), value.get("owner")
    manifest = Manifest(
        version=value["manifest_version"],
        job_id=None if job_id is None else JobId(job_id),
        job_type=job_type,
        created_at=value.get("created_at"),
        labels=value.get("labels", {}),
        owner=None if owner is None else JobId(owner),
        reconcile_requested_at=value.get("reconcile_requested_at", ""),
        spec=_SPEC_OF[job_type](spec),
        directives=directives_of(spec),
        spec_digest=digest_of(value),
    )
    return manifest, ()


def digest_of(value: Fields) -> str:
    """Name what is wanted: SHA-256 of canonical JSON (keys sorted, no spaces, UTF-8), without what is no wish."""
    wanted = {key: field for key, field in value.items() if key not in _NOT_WANTED}
    text = json.dumps(wanted, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _between_fields(value: object, document: Document) -> Iterator[Problem]:
    """Every disagreement between fields; a field that is wrong in itself is passed over."""

    def problem(path: Path, message: str, hint: str) -> Problem:
        return problem_at(document.value_place(path), message, hint, pointer_of(path))

    spec = _below(value, "spec")
    for plural, name in (("tracks", "position"), ("files", "path")):
        for index, before in _repeated(spec, plural, name):
            path: Path = ("spec", plural, index, name)
            yield problem(path, f"the same {name} as {plural}[{before}]", f"give each its own {name}")
    yield from (problem(("spec", "files", *path), message, hint) for path, message, hint in _of_files(spec))
    own = _below(value, "job_id")
    if own is not None and own == _below(value, "owner"):
        yield problem(("owner",), "the job owns itself", "take the line out")
    for index, other in enumerate(_listed(spec, "depends_on")):
        if own is not None and other == own:
            yield problem(("spec", "depends_on", index), "the job depends on itself", "take it out")
    if _is_above(_below(spec, "min_year"), _below(spec, "max_year")):
        yield problem(("spec", "max_year"), "is earlier than min_year", "exchange the two")
    retry = _below(spec, "retry")
    if _is_above(duration_s(_below(retry, "interval")), duration_s(_below(retry, "max_interval"))):
        path = ("spec", "retry", "max_interval")
        yield problem(path, "is shorter than interval", "exchange the two, or take one out")


def _repeated(spec: object, plural: str, name: str) -> Iterator[tuple[int, int]]:
    """Entries of a list whose `name` one before them has already; names as a case-blind disk would see them."""
    first: dict[object, int] = {}
    for index, entry in enumerate(_listed(spec, plural)):
        field = _below(entry, name)
        if not isinstance(field, str | int):
            continue
        key = unicodedata.normalize("NFC", field).casefold() if isinstance(field, str) else field
        before = first.setdefault(key, index)
        if before != index:
            yield index, before


def _without_a_question(spec: object) -> Iterator[int]:
    """Files that only overlay peers could have, and that no overlay peer can be asked for: it knows roots and
    recordings.
    """
    for index, file in enumerate(_listed(spec, "files")):
        named = _below(file, "root") is not None or _below(file, "mb_recording_id") is not None
        sources = _listed(file, "sources")
        elsewhere = any(not isinstance(source, dict) or "overlay" not in source for source in sources)
        # Without any name the file has a problem of its own.
        if _below(file, "sha256") is not None and not named and not elsewhere:
            yield index


def _of_files(spec: object) -> Iterator[tuple[Path, str, str]]:
    """What is wrong between the fields of each file: where below `files`, what, and what to do."""
    for index in _without_a_question(spec):
        hint = "give `root` or `mb_recording_id`, or a source with a `url`"
        yield (index,), "no overlay peer can be asked for a file by its `sha256` alone", hint
    for index, file in enumerate(_listed(spec, "files")):
        pieces, size = _below(file, "pieces"), _below(file, "size")
        length, hashes = _below(pieces, "length"), _listed(pieces, "sha256")
        # What is missing, or no number, has a problem of its own.
        if not hashes or not isinstance(length, int) or not isinstance(size, int) or length < 1:
            continue
        count = -(-size // length)
        if count != len(hashes):
            message = f"has {len(hashes)} hashes, and {size} bytes in pieces of {length} are {count}"
            yield (index, "pieces", "sha256"), message, "copy them whole"


def _is_above(low: object, high: object) -> bool:
    return isinstance(low, int | float) and isinstance(high, int | float) and low > high


def _below(value: object, key: str) -> object:
    return value.get(key) if isinstance(value, dict) else None


def _listed(value: object, key: str) -> list[object]:
    below = _below(value, key)
    return below if isinstance(below, list) else []


def _mb_release(spec: Fields) -> Spec:
    tracks = spec.get("tracks", "all")
    return MbReleaseSpec(
        mb_release_id=Mbid(spec["mb_release_id"]),
        target_dir=spec["target_dir"],
        title=spec.get("title", ""),
        artist=spec.get("artist", ""),
        tracks=None if tracks == "all" else tuple(_track(track) for track in tracks),
        constraints=_constraints(spec),
    )


def _discography(spec: Fields) -> Spec:
    return DiscographySpec(
        artist_id=Mbid(spec["artist_id"]),
        artist_name=spec.get("artist_name", ""),
        profile=spec["profile"],
        target_dir=spec["target_dir"],
        min_year=spec.get("min_year"),
        max_year=spec.get("max_year"),
        countries=tuple(spec.get("countries", ())),
        include_types=tuple(spec.get("include_types", ())),
        exclude_release_groups=tuple(Mbid(group) for group in spec.get("exclude_release_groups", ())),
        constraints=_constraints(spec),
    )


def _label_crate(spec: Fields) -> Spec:
    return LabelCrateSpec(
        label_id=Mbid(spec["label_id"]),
        label_name=spec.get("label_name", ""),
        limit=spec["limit"],
        order=spec["order"],
        target_dir=spec["target_dir"],
        constraints=_constraints(spec),
    )


def _track(track: Fields) -> Track:
    return Track(
        position=TrackPosition(track["position"]),
        title=track["title"],
        mb_recording_id=Mbid(track["mb_recording_id"]),
        duration_ms=track.get("duration_ms"),
        artist=track.get("artist", ""),
        medium=track.get("medium"),
        medium_position=track.get("medium_position"),
    )


def _multi_source(spec: Fields) -> Spec:
    return MultiSourceSpec(
        target_dir=spec["target_dir"],
        files=tuple(_file(file) for file in spec["files"]),
        constraints=_constraints(spec),
    )


def _file(file: Fields) -> WantedFile:
    root, sha256, recording = file.get("root"), file.get("sha256"), file.get("mb_recording_id")
    return WantedFile(
        path=file["path"],
        size=file["size"],
        root=None if root is None else Root(root),
        sha256=None if sha256 is None else Sha256(sha256),
        chunk_hashes=file.get("chunk_hashes"),
        pieces=_pieces(file.get("pieces")),
        mb_recording_id=None if recording is None else Mbid(recording),
        sources=tuple(known for source in file.get("sources", ()) if (known := _source(source)) is not None),
    )


def _pieces(pieces: Fields | None) -> Pieces | None:
    if pieces is None:
        return None
    hashes = tuple(Sha256(digest) for digest in pieces["sha256"])
    return Pieces(length_bytes=pieces["length"], sha256=hashes)


def _source(source: Fields) -> ExplicitSource | None:
    """None for a kind of source that only a later version knows."""
    if "url" in source:
        return UrlSource(url=source["url"])
    if "soulseek" in source:
        return SoulseekSource(username=source["soulseek"]["username"], filename=source["soulseek"]["filename"])
    if "overlay" not in source:
        return None
    address = parse_peer_address(source["overlay"])
    return OverlayPeerSource(peer=address.peer, host=address.host, port=address.port)


def _constraints(spec: Fields) -> Constraints:
    # What a later 1.x knows and this version does not has been warned about.
    known = {name: field for name, field in spec.get("constraints", {}).items() if name in _CONSTRAINTS}
    if "preferred_codecs" in known:
        known["preferred_codecs"] = tuple(dict.fromkeys(codec.upper() for codec in known["preferred_codecs"]))
    return Constraints(**known)


_CONSTRAINTS = frozenset(field.name for field in fields(Constraints))

_SPEC_OF: Mapping[JobType, Callable[[Fields], Spec]] = {
    JobType.MB_RELEASE: _mb_release,
    JobType.DISCOGRAPHY: _discography,
    JobType.LABEL_CRATE: _label_crate,
    JobType.MULTI_SOURCE: _multi_source,
}
