"""What each generation of a job was found to ask for, remembered for as long as the job is.

Owns: the table resolutions, and a resolution as JSON and back. Never: finds out what a job asks for
(reconcile.lookups).

Every method waits for the disk; call from a thread that may wait.
"""

import json
import sqlite3
import zlib
from collections.abc import Iterable
from dataclasses import asdict
from functools import partial
from typing import Any

from reconciler.ids import JobId, Mbid, TrackPosition, is_mbid
from reconciler.manifests.model import Track
from reconciler.musicbrainz.model import (
    ChosenRelease,
    ReleaseFacts,
    Resolved,
    ResolvedRelease,
    ResolvedReleases,
    SkippedTrack,
    TrackFacts,
)
from reconciler.state.database import Database, damaged

# 5,000 tracks with the longest titles are 6 MB.
_DOCUMENT_BYTES_MAX = 16 * 1024 * 1024

# The generation before is still fetched while the new one is looked up.
_GENERATIONS_KEPT = 2

_PUT = """
INSERT INTO resolutions VALUES (?, ?, ?, ?, ?) ON CONFLICT (job_id, generation) DO UPDATE SET
    kind = excluded.kind, mbid = excluded.mbid, document = excluded.document
"""

# Who is known to have a release: whoever offered any of it to a job of ours, and we where the job is completed.
_HOLDERS = """
SELECT r.mbid,
    (SELECT count(DISTINCT e.peer_id) FROM SwarmEvents e INDEXED BY SwarmEvents_by_job
        WHERE e.job_id = r.job_id AND e.type = 'PeerDiscovered')
    + (SELECT count(*) FROM jobs j WHERE j.job_id = r.job_id AND j.state = 'completed')
FROM resolutions r WHERE r.kind = 'release' AND r.mbid IN ({places})
"""

# Names bound in one statement; SQLite allows 32,766 (https://sqlite.org/limits.html).
_IDS_PER_QUERY = 1000


class ResolutionStore:
    """The resolutions in the state database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, job_id: JobId, generation: int) -> Resolved | None:
        """What this generation asks for; None = it was not looked up yet."""
        query = "SELECT kind, document FROM resolutions WHERE job_id = ? AND generation = ?"
        row = self._database.read(lambda connection: connection.execute(query, (job_id, generation)).fetchone())
        if row is None:
            return None
        try:
            return resolution_of(str(row[0]), _unpacked(row[1]))
        except (zlib.error, ValueError, TypeError, KeyError) as error:
            raise damaged(self._database.path, f"holds an impossible resolution of job {job_id!r}: {error}") from error

    def put(self, job_id: JobId, generation: int, resolved: Resolved) -> None:
        """Remember what this generation asks for; those before the last are dropped."""
        document = json.dumps(asdict(resolved), separators=(",", ":"), ensure_ascii=False).encode()
        kind = "release" if isinstance(resolved, ResolvedRelease) else "releases"
        row = (job_id, generation, kind, resolved.mbid, zlib.compress(document))

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(_PUT, row)
            oldest = (job_id, generation - _GENERATIONS_KEPT)
            connection.execute("DELETE FROM resolutions WHERE job_id = ? AND generation <= ?", oldest)

        self._database.write(work).result()

    def holders(self, releases: Iterable[Mbid]) -> dict[Mbid, int]:
        """How many are known here to have each release: peers that offered it to a job of ours, and ourselves.

        Only of releases that a job without a track list of its own asked for; of others nothing is known.
        """
        wanted, found = sorted(set(releases)), dict[Mbid, int]()
        for start in range(0, len(wanted), _IDS_PER_QUERY):
            some = wanted[start : start + _IDS_PER_QUERY]
            # The only text put into the statement is question marks.
            query = _HOLDERS.format(places=", ".join("?" * len(some)))
            for mbid, count in self._database.read(partial(_rows, query=query, values=some)):
                found[mbid] = max(found.get(mbid, 0), int(count))
        return found


def resolution_of(kind: str, document: bytes) -> Resolved:
    """The value in a document; raises ValueError, TypeError or KeyError where none such was ever written."""
    said = json.loads(document)
    if kind == "releases":
        return ResolvedReleases(
            asked=_mbid(said["asked"]),
            mbid=_mbid(said["mbid"]),
            name=_text(said["name"]),
            listed=_number(said["listed"]) or 0,
            groups=_number(said["groups"]) or 0,
            releases=tuple(_chosen(each) for each in said["releases"]),
        )
    if kind != "release":
        raise ValueError(f"{kind!r} is no kind")
    return ResolvedRelease(
        asked=_mbid(said["asked"]),
        mbid=_mbid(said["mbid"]),
        title=_text(said["title"]),
        artist=_text(said["artist"]),
        year=_number(said["year"]),
        tracks=tuple(_track(each) for each in said["tracks"]),
        skipped=tuple(_skipped(each) for each in said["skipped"]),
        facts=_facts(said["facts"]) if "facts" in said else ReleaseFacts(),
    )


def _rows(connection: sqlite3.Connection, *, query: str, values: list[Mbid]) -> list[tuple[Mbid, int]]:
    return connection.execute(query, values).fetchall()


def _track(said: dict[str, Any]) -> Track:
    position = _number(said["position"])
    if position is None or position < 1:
        raise ValueError(f"track {position!r} has no place")
    return Track(
        position=TrackPosition(position),
        title=_text(said["title"]),
        mb_recording_id=_mbid(said["mb_recording_id"]),
        duration_ms=_number(said["duration_ms"]),
        artist=_text(said["artist"]),
        medium=_number(said["medium"]),
        medium_position=_number(said["medium_position"]),
    )


def _facts(said: dict[str, Any]) -> ReleaseFacts:
    texts = {name: _text(said[name]) for name in ("date", "original_date", "status", "country", "barcode")}
    return ReleaseFacts(
        group=_mbid_if_any(said["group"]),
        artists=tuple(_mbid(each) for each in said["artists"]),
        types=_texts(said["types"]),
        # A version that did not ask for them wrote none.
        labels=_texts(said.get("labels", ())),
        catalog_numbers=_texts(said.get("catalog_numbers", ())),
        tracks={TrackPosition(int(position)): _track_facts(each) for position, each in said["tracks"].items()},
        **texts,
    )


def _track_facts(said: dict[str, Any]) -> TrackFacts:
    return TrackFacts(
        mbid=_mbid_if_any(said["mbid"]),
        artists=tuple(_mbid(each) for each in said["artists"]),
        media=_text(said["media"]),
        tracks=_number(said["tracks"]) or 0,
        isrcs=_texts(said.get("isrcs", ())),
    )


def _chosen(said: dict[str, Any]) -> ChosenRelease:
    return ChosenRelease(
        group=_mbid(said["group"]),
        release=_mbid(said["release"]),
        title=_text(said["title"]),
        artist=_text(said["artist"]),
        year=_number(said["year"]),
    )


def _skipped(said: dict[str, Any]) -> SkippedTrack:
    return SkippedTrack(
        medium=_number(said["medium"]) or 0,
        position=_number(said["position"]) or 0,
        title=_text(said["title"]),
        reason=_text(said["reason"]),
    )


def _mbid(value: object) -> Mbid:
    if not isinstance(value, str) or not is_mbid(value):
        raise ValueError(f"{value!r} is no MusicBrainz id")
    return Mbid(value)


def _mbid_if_any(value: object) -> Mbid | None:
    return None if value is None else _mbid(value)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _texts(values: Iterable[object]) -> tuple[str, ...]:
    return tuple(_text(each) for each in values)


def _number(value: object) -> int | None:
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
        raise ValueError(f"{value!r} is no count")
    return value


def _unpacked(packed: bytes) -> bytes:
    unpacking = zlib.decompressobj()
    document = unpacking.decompress(packed, _DOCUMENT_BYTES_MAX)
    if not unpacking.eof:
        raise ValueError("it does not end")
    return document
