"""Simulated runs as text and as JSON.

Owns: these forms. Never: prints, or adds anything up (simulation.measures).
"""

import statistics
from collections import Counter
from collections.abc import Sequence

from rich.table import Table

from reconciler.cli.render import counted, megabytes
from reconciler.engine.events import Note
from reconciler.simulation.behaviour import SimPeer
from reconciler.simulation.measures import Measures, PeerMeasure
from reconciler.simulation.runs import Run

# Broken promises that are told one by one: whoever mends begins with the first.
BROKEN_SHOWN_MAX = 10

_KILO = 1e3
_MEGA = 1e6


def run_lines(seed: int, run: Run) -> list[str]:
    """What one run came to."""
    scene, measures = run.scene, run.measures
    restarts = f", {counted(len(scene.restarts_s), 'restart')}" if scene.restarts_s else ""
    refusals = f", {counted(scene.disk_refusals, 'refusal')} by the disk" if scene.disk_refusals else ""
    lines = [
        (
            f"seed {seed}: {counted(len(scene.sizes), 'file')}, {megabytes(measures.bytes_wanted)}, "
            f"{counted(len(scene.peers), 'peer')}, {scene.in_flight_max} requests each, "
            f"{'chunk lists' if scene.rooted else 'no chunk lists'}{restarts}{refusals}"
        ),
        (
            f"{measures.outcome or 'unfinished'} after {measures.seconds:.2f} s; "
            f"a perfect downloader {measures.bound_s:.2f} s: efficiency {measures.efficiency:.3f}"
        ),
        (
            f"{counted(measures.requests, 'request')}, {measures.handed_over} handed over; "
            f"wasted {megabytes(measures.bytes_wasted)} ({measures.bytes_wasted / measures.bytes_wanted:.1%})"
        ),
    ]
    if run.broken:
        lines.append(f"BROKEN PROMISE: {run.broken}")
    return lines


def runs_lines(done: Sequence[tuple[int, Run]]) -> list[str]:
    """What many runs came to, and the seeds worth a look."""
    outcomes = Counter(run.measures.outcome or "unfinished" for _, run in done)
    wanted = sum(run.measures.bytes_wanted for _, run in done)
    wasted = sum(run.measures.bytes_wasted for _, run in done)
    worst_seed, worst = min(done, key=lambda each: each[1].measures.efficiency)
    broken = [(seed, run.broken) for seed, run in done if run.broken]
    lines = [
        f"{counted(len(done), 'run')}: " + ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common()),
        (
            f"efficiency: median {statistics.median(run.measures.efficiency for _, run in done):.3f}, "
            f"worst {worst.measures.efficiency:.3f} (seed {worst_seed})"
        ),
        f"wasted {wasted / wanted:.2%} of {megabytes(wanted)}",
        f"broken promises: {len(broken)}",
    ]
    lines += [f"  seed {seed}: {why}" for seed, why in broken[:BROKEN_SHOWN_MAX]]
    return lines


def peer_table(measures: Measures) -> Table:
    """Who gave what."""
    table = Table(box=None, pad_edge=False)
    for heading in ("PEER", "SPEED", "RTT", "GAVE", "CHUNKS", "WASTED", "REFUSED", "FAILED", "STATE", "NATURE"):
        table.add_column(heading, justify="left" if heading in ("PEER", "STATE", "NATURE") else "right")
    for each in sorted(measures.peers, key=lambda each: -each.bytes_useful):
        table.add_row(
            each.peer.name,
            speed(each.peer.rate_bytes_per_s),
            f"{each.peer.rtt_s * _KILO:.0f} ms",
            megabytes(each.bytes_useful),
            str(each.chunks),
            megabytes(each.bytes_wasted) if each.bytes_wasted else "",
            str(each.chunks_refused or ""),
            str(each.failures or ""),
            each.state,
            nature(each.peer),
        )
    return table


def speed(bytes_per_s: float) -> str:
    """Give a speed with the unit that leaves it readable."""
    return f"{bytes_per_s / _MEGA:.1f} MB/s" if bytes_per_s >= _MEGA else f"{bytes_per_s / _KILO:.0f} kB/s"


def nature(peer: SimPeer) -> str:
    """What is wrong with a peer, in a few words."""
    told = (
        (peer.source == "soulseek", f"one stream, {peer.line_s:.0f} s in line"),
        (peer.slow_from_s is not None, f"{speed(peer.slow_bytes_per_s)} from {peer.slow_from_s or 0:.1f} s"),
        (peer.silent_from_s is not None, f"silent from {peer.silent_from_s or 0:.1f} s"),
        (peer.gone_from_s is not None, f"gone from {peer.gone_from_s or 0:.1f} s"),
        (peer.back_at_s is not None, f"back at {peer.back_at_s or 0:.1f} s"),
        (peer.loses > 0, f"loses {peer.loses:.0%} of requests"),
        (peer.resets > 0, f"breaks off {peer.resets:.0%} of chunks"),
        (peer.corrupts > 0, f"damages {peer.corrupts:.0%} of chunks"),
        (bool(peer.lies), f"lies in {len(peer.lies)} chunks of a file"),
        (peer.lying_list, "lies in its chunk list"),
        (peer.no_list and peer.source != "soulseek", "has no chunk list"),
        (peer.holds is not None, f"has {len(peer.holds or ())} chunks of a file"),
    )
    return ", ".join(text for holds, text in told if holds) or "honest"


def event_line(at_s: float, note: Note) -> str:
    """One event: when, what, whose, and its facts."""
    facts = " ".join(f"{name}={value}" for name, value in note.facts.items())
    track = "" if note.position is None else f"track {note.position}"
    words = (note.type.value, note.action, track, note.peer, note.error_message, facts)
    return f"{at_s:10.3f}  " + "  ".join(word for word in words if word)


def run_as_json(seed: int, run: Run, *, events: bool) -> dict[str, object]:
    """One run; speeds are bytes per second, times seconds of virtual time."""
    measures = run.measures
    found: dict[str, object] = {
        "seed": seed,
        "outcome": measures.outcome,
        "broken_promise": run.broken,
        "seconds": measures.seconds,
        "bound_seconds": measures.bound_s,
        "efficiency": measures.efficiency,
        "bytes": measures.bytes_wanted,
        "bytes_wasted": measures.bytes_wasted,
        "requests": measures.requests,
        "handed_over": measures.handed_over,
        "files": list(run.scene.sizes),
        "requests_in_flight_max": run.scene.in_flight_max,
        "chunk_lists": run.scene.rooted,
        "restarts": sorted(run.scene.restarts_s),
        "disk_refusals": run.scene.disk_refusals,
        "album": run.scene.album,
        "peers": [_peer_as_json(each) for each in measures.peers],
    }
    if events:
        found["events"] = [_note_as_json(at_s, note) for at_s, note in run.result.notes]
    return found


def _peer_as_json(each: PeerMeasure) -> dict[str, object]:
    return {
        "name": each.peer.name,
        "source": each.peer.source,
        "bytes_per_s": each.peer.rate_bytes_per_s,
        "rtt": each.peer.rtt_s,
        "nature": nature(each.peer),
        "bytes": each.bytes_useful,
        "bytes_wasted": each.bytes_wasted,
        "chunks": each.chunks,
        "chunks_refused": each.chunks_refused,
        "failures": each.failures,
        "state": each.state,
    }


def _note_as_json(at_s: float, note: Note) -> dict[str, object]:
    return {
        "at": at_s,
        "type": note.type.value,
        "action": note.action,
        "track": note.position,
        "peer": note.peer,
        "bytes": note.bytes_transferred,
        "error": note.error_message,
        "facts": note.facts,
    }
