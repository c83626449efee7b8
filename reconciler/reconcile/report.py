"""What a job's status says in a file of its own: the status block, and progress besides.

Owns: the contents, and the rule of when they are written. Never: writes (reconcile.sidecar).

Progress is tracks with their bytes and rates, and peers with what they gave: what changes all the time, and so has no
place in a file that a person edits.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.clock import rfc3339
from reconciler.engine.order import JobProgress, PeerProgress, TrackProgress
from reconciler.ids import TrackPosition
from reconciler.manifests.block import Field, lines_of, shown, status_fields
from reconciler.manifests.model import Status
from reconciler.reconcile.observed import Observed
from reconciler.reconcile.status import ENDED

# Written more often, files that Syncthing keeps delay all others (measured: every second, by half a minute).
PROGRESS_S = 10.0

# Those that gave the most; more would be a page that nobody reads.
PEERS_MAX = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a sidecar is to say of one job."""

    job_id: str
    """Empty for a manifest that belongs to no job of its own: one without an id, or with another one's."""
    manifest: str
    """Its path, relative to the root folder."""
    status: Status
    progress: JobProgress | None
    """Of the engine, while it knows the job."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """A report that was written."""

    report: Report
    at_s: float
    """On the monotonic clock."""
    bytes_done: Mapping[TrackPosition, int] = field(default_factory=dict)
    """Of each track that was on its way then."""


def report_of(observed: Observed, status: Status) -> Report:
    """What is known of the job in one file."""
    record = observed.record
    ours = record is not None and record.path == observed.path
    return Report(
        job_id=record.job_id if record is not None and ours else "",
        manifest=observed.path,
        status=status,
        progress=observed.progress if ours else None,
    )


def report_delay_s(report: Report, written: Reported | None, *, now_s: float) -> float | None:
    """Seconds until a report is due: 0.0 = now, None = what is written holds."""
    if written is None:
        return 0.0
    if report == written.report:
        return None
    if report.status.state in ENDED and report.status.state is not written.report.status.state:
        return 0.0
    return max(0.0, written.at_s + PROGRESS_S - now_s)


def reported(report: Report, *, now_s: float) -> Reported:
    """Remember that `report` is written."""
    tracks = report.progress.tracks if report.progress is not None else ()
    done = {track.position: track.bytes_done for track in tracks if track.phase == "fetching"}
    return Reported(report=report, at_s=now_s, bytes_done=done)


def text_of(report: Report, before: Reported | None, *, node: str, now_s: float, now_unix_s: float) -> str:
    """The file as text; rates of tracks are those since `before`."""
    fields: dict[str, Field] = {
        "job_id": report.job_id,
        "manifest": report.manifest,
        "node": node,
        "updated_at": rfc3339(now_unix_s),
        "status": status_fields(report.status),
    }
    progress = report.progress
    if progress is not None:
        past_s = now_s - before.at_s if before is not None else 0.0
        done = before.bytes_done if before is not None else {}
        if progress.outcome is None:
            fields["bytes_per_second"] = sum(int(peer.throughput_bytes_per_s) for peer in progress.peers)
        fields["tracks"] = [_track_fields(track, done.get(track.position), past_s) for track in progress.tracks]
        peers = sorted(progress.peers, key=lambda peer: (-peer.bytes_received, peer.name))
        fields["peers"] = [_peer_fields(peer, live=progress.outcome is None) for peer in peers[:PEERS_MAX]]
    kept = {name: value for name, value in fields.items() if value not in ("", [])}
    return "\n".join(["# Written by the reconciler; an edit here changes nothing.", *lines_of(kept), ""])


def _track_fields(track: TrackProgress, before: int | None, past_s: float) -> dict[str, Field]:
    fields: dict[str, Field] = {"position": int(track.position), "title": shown(track.title), "phase": track.phase}
    fields |= {"bytes_done": track.bytes_done, "bytes_total": track.bytes_total}
    if track.rescued:
        fields["rescued"] = True
    if track.shares:
        fields["shares"] = track.shares
    if before is not None and past_s > 0.0:
        fields["bytes_per_second"] = max(0, int((track.bytes_done - before) / past_s))
    return fields | ({"error": shown(track.error)} if track.error else {})


def _peer_fields(peer: PeerProgress, *, live: bool) -> dict[str, Field]:
    fields: dict[str, Field] = {"name": shown(peer.name), "source": shown(peer.source)}
    fields["bytes_received"] = peer.bytes_received
    if live:
        fields["bytes_per_second"] = int(peer.throughput_bytes_per_s)
    if peer.in_line:
        fields["in_line"] = True
    if peer.place is not None:
        fields["place"] = peer.place
    return fields | {"chunks_refused": peer.chunks_refused, "banned": peer.banned}
