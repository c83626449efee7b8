"""A simulated run as one page that needs nothing else: who sent when, how fast it went, what happened.

Owns: the page and its two pictures (cli.page has the frame). Never: adds anything up (simulation.measures) or writes a
file.

All text is escaped; the page has no script and loads nothing.
"""

from collections.abc import Iterable, Sequence
from html import escape
from itertools import groupby

from reconciler.cli.page import (
    AXIS,
    CURVE,
    LEFT,
    MOMENTS,
    ROW,
    WIDTH,
    axis,
    document,
    legend,
    levels,
    round_levels,
    svg,
    table,
)
from reconciler.cli.render import megabytes
from reconciler.cli.render_simulation import event_line, nature, run_lines, speed
from reconciler.simulation.behaviour import SimPeer
from reconciler.simulation.measures import OF_USE, Measures
from reconciler.simulation.runs import Run
from reconciler.simulation.scene import Arrival
from reconciler.traces.model import EventType

# A column is what one pixel or two can show, so that a long run draws no more than a short one.
COLUMNS = 405
BINS = 135

# Events that are told below the pictures: chunks and requests are in them already. Two screens of the others.
UNTOLD = frozenset({EventType.CHUNK_RECEIVED, EventType.CHUNK_REQUESTED})
EVENTS_MAX = 300

# From what must be seen to what is usual, where one column has both.
_USES = ("bad hash", "duplicate", "late", "received", "verified")
_CLASSES = {"bad hash": "bad", "duplicate": "twice", "late": "late", "received": "taken", "verified": "good"}
_LEGEND = (
    ("good", "verified"),
    ("taken", "received, not verified"),
    ("twice", "came from another before"),
    ("bad", "wrong"),
    ("late", "no longer wanted"),
)


def page_of(seed: int, run: Run) -> str:
    """Draw the page, as a whole HTML document."""
    head, *lines = run_lines(seed, run)
    title = f"Simulated swarm, {head.partition(':')[0]}"
    body = (
        *(f"<p>{escape(line)}</p>" for line in (head.partition(": ")[2], *lines)),
        "<h2>Speed</h2>",
        _curve(run),
        "<h2>Who sent when</h2>",
        legend(_LEGEND),
        _lanes(run),
        "<h2>Peers</h2>",
        _table(run.measures),
        "<h2>What happened</h2>",
        _events(run),
    )
    return document(title, "\n".join(body))


# ---- the curve -------------------------------------------------------------------------------------------------------


def _curve(run: Run) -> str:
    """Useful bytes per second as an area, and as a line what all peers together could have sent."""
    seconds = max(run.measures.seconds, 1e-9)
    bin_s = seconds / BINS
    came = _spread(run.result.arrivals, bin_s)
    possible = [sum(peer.sends_bytes_per_s((n + 0.5) * bin_s) for peer in run.scene.peers) for n in range(BINS)]
    ticks = round_levels(max(*came, *possible))
    top = ticks[-1] if ticks else 1.0
    width = (WIDTH - LEFT) / BINS

    def height(bytes_per_s: float) -> str:
        return f"{CURVE * (1 - bytes_per_s / top):.1f}"

    area = " ".join(
        f"{LEFT + n * width:.1f},{height(rate)} {LEFT + (n + 1) * width:.1f},{height(rate)}"
        for n, rate in enumerate(came)
    )
    line = " ".join(
        f"{LEFT + n * width:.1f},{height(rate)} {LEFT + (n + 1) * width:.1f},{height(rate)}"
        for n, rate in enumerate(possible)
    )
    body = (
        f'{levels(ticks, speed)}<polygon class="area" points="{LEFT},{CURVE} {area} {WIDTH},{CURVE}"/>'
        f'<polyline class="sum" points="{line}"/>'
    )
    told = "Useful bytes per second (area), and what all peers together could send (dashed line)"
    return svg(told, body + _axis(run, CURVE), CURVE + AXIS) + f"<p>{told}.</p>"


def _spread(arrivals: Sequence[Arrival], bin_s: float) -> list[float]:
    """Useful bytes per second in each bin: those of a chunk came evenly over its time."""
    rates = [0.0] * BINS
    for each in arrivals:
        if each.use not in OF_USE:
            continue
        began, ended = (each.at_s - each.duration_s) / bin_s, each.at_s / bin_s
        first, last = max(int(began), 0), min(int(ended), BINS - 1)
        for n in range(first, last + 1):
            part = (min(ended, n + 1) - max(began, n)) / max(ended - began, 1e-9) if last > first else 1.0
            rates[n] += max(part, 0.0) * each.size_bytes / bin_s
    return rates


# ---- the lanes -------------------------------------------------------------------------------------------------------


def _lanes(run: Run) -> str:
    """A row for each peer: when chunks of it were coming, and what they were good for."""
    peers = [each.peer for each in sorted(run.measures.peers, key=lambda each: -each.bytes_useful)]
    by_peer: dict[str, list[Arrival]] = {peer.name: [] for peer in peers}
    for arrival in run.result.arrivals:
        by_peer[arrival.peer].append(arrival)
    column_s = max(run.measures.seconds, 1e-9) / COLUMNS
    rows = [_lane(peer, _columns(by_peer[peer.name], column_s), nth * ROW) for nth, peer in enumerate(peers)]
    height = len(peers) * ROW
    return svg("For each peer, when chunks of it were coming", "".join(rows) + _axis(run, height), height + AXIS)


def _columns(arrivals: Iterable[Arrival], column_s: float) -> list[str]:
    """What each column shows; empty = nothing came then."""
    shown = [""] * COLUMNS
    for each in arrivals:
        first = max(int((each.at_s - each.duration_s) / column_s), 0)
        last = min(int(each.at_s / column_s), COLUMNS - 1)
        for n in range(first, last + 1):
            if not shown[n] or _USES.index(each.use) < _USES.index(shown[n]):
                shown[n] = each.use
    return shown


def _lane(peer: SimPeer, columns: list[str], top: int) -> str:
    width = (WIDTH - LEFT) / COLUMNS
    label = f"{peer.name}, {speed(peer.rate_bytes_per_s)}"
    parts = [
        (
            f"<g><title>{escape(f'{label}: {nature(peer)}')}</title>"
            f'<text x="{LEFT - 8}" y="{top + 14}" text-anchor="end">{escape(label)}</text>'
            f'<rect class="rest" x="{LEFT}" y="{top + 3}" width="{WIDTH - LEFT}" height="{ROW - 6}"/>'
        )
    ]
    at = 0
    for use, run in groupby(columns):
        count = len(list(run))
        if use:
            x, wide = LEFT + at * width, count * width
            parts.append(
                f'<rect class="{_CLASSES[use]}" x="{x:.1f}" y="{top + 3}" width="{wide:.1f}" height="{ROW - 6}"/>'
            )
        at += count
    return "".join(parts) + "</g>"


# ---- what both have --------------------------------------------------------------------------------------------------


def _axis(run: Run, height: int) -> str:
    """Five moments below, and a line wherever the daemon was started again."""
    seconds = run.measures.seconds
    parts = [axis(tuple(f"{seconds * n / (MOMENTS - 1):.1f} s" for n in range(MOMENTS)), height)]
    for at in run.scene.restarts_s:
        if at < seconds:
            x = LEFT + (WIDTH - LEFT) * at / seconds
            parts.append(
                f'<line class="restart" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{height}"><title>restart</title></line>'
            )
    return "".join(parts)


def _table(measures: Measures) -> str:
    headings = ("Peer", "Speed", "Round trip", "Gave", "Chunks", "Wasted", "Refused", "Failed", "State", "Nature")
    rows: list[tuple[object, ...]] = [
        (
            each.peer.name,
            speed(each.peer.rate_bytes_per_s),
            f"{each.peer.rtt_s * 1000:.0f} ms",
            megabytes(each.bytes_useful),
            each.chunks,
            megabytes(each.bytes_wasted),
            each.chunks_refused,
            each.failures,
            each.state,
            nature(each.peer),
        )
        for each in sorted(measures.peers, key=lambda each: -each.bytes_useful)
    ]
    return table("Peers", headings, rows)


def _events(run: Run) -> str:
    lines = [event_line(at_s, note) for at_s, note in run.result.notes if note.type not in UNTOLD]
    if len(lines) > EVENTS_MAX:
        lines = [*lines[:EVENTS_MAX], f"and {len(lines) - EVENTS_MAX} more"]
    return f"<pre>{escape(chr(10).join(lines))}</pre>"
