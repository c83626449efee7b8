"""Typed fields to a Manifest, and what is wrong between fields that are each right.

Owns: the digest of a spec, uniqueness. Never: looks at the form of a single value (manifests.formats), or at a disk.
"""

import hashlib
import json
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

from reconciler.config import parse_peer_address
from reconciler.ids import JobId, Mbid, Root, Sha256, TrackPosition
from reconciler.manifests.document import Document, Path, in_order, pointer_of, problem_at
from reconciler.manifests.model import (
    Constraints,
    ExplicitSource,
    JobType,
    Manifest,
    MbReleaseSpec,
    MultiSourceSpec,
    OverlayPeerSource,
    Problem,
    Spec,
    Track,
    UrlSource,
    WantedFile,
)

Fields = Mapping[str, Any]

# A change of these is not a change of what is wanted: the daemon itself writes them.
_NOT_WANTED = frozenset({"status", "job_id", "created_at"})


def manifest_of(value: object, document: Document, *, sound: bool) -> tuple[Manifest | None, tuple[Problem, ...]]:
    """Make the manifest of coerced fields, with what is wrong between them; None where that is so, or not `sound`.

    `sound` says that the schema found no error; without it the fields are only compared.
    """
    problems = in_order(
        [*_repeated(value, document, "tracks", "position"), *_repeated(value, document, "files", "path")]
    )
    if problems or not sound or not isinstance(value, dict):
        return None, problems
    job_id = value.get("job_id")
    job_type = JobType(value["job_type"])
    manifest = Manifest(
        version=value["manifest_version"],
        job_id=None if job_id is None else JobId(job_id),
        job_type=job_type,
        created_at=value.get("created_at"),
        labels=value.get("labels", {}),
        spec=_mb_release(value["spec"]) if job_type is JobType.MB_RELEASE else _multi_source(value["spec"]),
        spec_digest=digest_of(value),
    )
    return manifest, ()


def digest_of(value: Fields) -> str:
    """Name what is wanted: SHA-256 of canonical JSON (keys sorted, no spaces, UTF-8), the daemon's own fields aside."""
    wanted = {key: field for key, field in value.items() if key not in _NOT_WANTED}
    text = json.dumps(wanted, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _repeated(value: object, document: Document, plural: str, name: str) -> Iterator[Problem]:
    """Entries of `spec.<plural>` whose `name` another one has already; names as a case-blind disk would see them."""
    entries = _below(_below(value, "spec"), plural)
    first: dict[object, int] = {}
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        field = _below(entry, name)
        if not isinstance(field, str | int):
            continue
        key = unicodedata.normalize("NFC", field).casefold() if isinstance(field, str) else field
        before = first.setdefault(key, index)
        if before != index:
            path: Path = ("spec", plural, index, name)
            message = f"the same {name} as {plural}[{before}]"
            yield problem_at(document.value_place(path), message, f"give each its own {name}", pointer_of(path))


def _below(value: object, key: str) -> object:
    return value.get(key) if isinstance(value, dict) else None


def _mb_release(spec: Fields) -> Spec:
    return MbReleaseSpec(
        mb_release_id=Mbid(spec["mb_release_id"]),
        target_dir=spec["target_dir"],
        title=spec.get("title", ""),
        artist=spec.get("artist", ""),
        tracks=tuple(_track(track) for track in spec["tracks"]),
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
        mb_recording_id=None if recording is None else Mbid(recording),
        sources=tuple(_source(source) for source in file.get("sources", ())),
    )


def _source(source: Fields) -> ExplicitSource:
    if "url" in source:
        return UrlSource(url=source["url"])
    address = parse_peer_address(source["overlay"])
    return OverlayPeerSource(peer=address.peer, host=address.host, port=address.port)


def _constraints(spec: Fields) -> Constraints:
    fields = dict(spec.get("constraints", {}))
    if "preferred_codecs" in fields:
        fields["preferred_codecs"] = tuple(dict.fromkeys(codec.upper() for codec in fields["preferred_codecs"]))
    return Constraints(**fields)
