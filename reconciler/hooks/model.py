"""The end of a job as hooks are told of it, and how telling one went.

Owns: these values, and the document that is posted. Never: tells anybody (hooks.command, hooks.webhook).
"""

import json
from dataclasses import dataclass, field
from typing import Any, Protocol

from reconciler.clock import rfc3339
from reconciler.config import HookEvent
from reconciler.ids import JobId
from reconciler.manifests.model import JobType
from reconciler.state.records import Artifact, Delivery

# An album of more is a box; its folder is told in any case. A file is some 400 bytes of the document.
FILES_MAX = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a job has ended."""

    event: HookEvent
    job_id: JobId
    job_type: JobType
    generation: int
    node: str
    """The daemon's name, as manifests may name it."""
    manifest: str
    """Where the manifest was, relative to the root folder."""
    artist: str
    """Empty where there is none, or it is not known."""
    album: str
    release_mbid: str
    """Of an mb_release; else empty."""
    path: str
    """Absolute: the folder that holds all of its files; where it has none, its target_dir."""
    files: tuple[Artifact, ...]
    error_message: str
    labels: dict[str, str] = field(default_factory=dict)
    ended_at: float
    """Unix seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of telling a hook once."""

    delivered: bool
    result: str
    """For a person: exit status, output, or what a server said. Escape it: others wrote parts of it."""
    retry_after_s: float = 0.0
    """How long the other side asked to be left alone."""
    is_final: bool = False
    """Whether trying again is of no use."""


class Hook(Protocol):
    """Somebody who wants to be told."""

    @property
    def name(self) -> str:
        """Stays the same across restarts, and tells no secret."""
        ...

    def wants(self, ending: Ending) -> bool:
        """Whether it is to be told of this end."""
        ...

    async def tell(self, delivery: Delivery) -> Answer:
        """Tell it once. Cancelled, it is as if it had not been told; it may have been."""
        ...


def body_of(ending: Ending, *, event: str = "") -> str:
    """The document of docs/reference/webhooks.md (schemas/webhook.schema.json), as JSON; `event` instead of its own."""
    document: dict[str, Any] = {
        "type": event or ending.event,
        "timestamp": rfc3339(ending.ended_at),
        "data": {
            "job_id": ending.job_id,
            "job_type": ending.job_type.value,
            "generation": ending.generation,
            "node": ending.node,
            "manifest": ending.manifest,
            "artist": ending.artist,
            "album": ending.album,
            "release_mbid": ending.release_mbid or None,
            "path": ending.path,
            "files_total": len(ending.files),
            "files": [_file(artifact) for artifact in ending.files[:FILES_MAX]],
            "error_message": ending.error_message,
            "labels": ending.labels,
        },
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def _file(artifact: Artifact) -> dict[str, Any]:
    return {
        "position": artifact.position,
        "path": artifact.path,
        "size_bytes": artifact.size,
        "recording_mbid": artifact.recording,
        "root": artifact.root,
        "sha256": artifact.sha256 or None,
    }
