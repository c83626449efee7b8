"""The session of a job as one page that needs nothing else: who sent when, how fast it went, what was decided.

Owns: the page and its two pictures (cli.page has the frame). Never: adds anything up (traces.summary, traces.timeline)
or writes a file.

Names and reasons come from peers: every one is escaped twice, as in a log (traces.session_log) and as HTML.
"""

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
from reconciler.cli.render import counted, shown
from reconciler.cli.render_trace import (
    format_bytes,
    format_duration,
    format_moment,
    format_offset,
    format_rate,
    format_source,
    whole_percents,
)
from reconciler.traces.summary import SwarmSessionSummary
from reconciler.traces.timeline import Lane, Mark, Timeline

# A column is what two pixels can show; peers beyond a hundred gave next to nothing, and are in the table's last line.
COLUMNS = 405
LANES_MAX = 100

_NAME_CHARS = 17
_MARK_ROW = 18
_USES = {
    "good": "came, and counted",
    "twice": "had come from another peer",
    "late": "not in time",
    "bad": "wrong, or broken off",
}
_LEGEND = (*_USES.items(), ("help", "the overlay helps (rescue)"))
_GLYPHS = {"start": "S", "rescue": "R", "rescue over": "E", "rebalanced": "B", "trouble": "!"}
_WORDS = {
    "start": "start",
    "rescue": "rescue begins",
    "rescue over": "rescue ends",
    "rebalanced": "rebalanced",
    "trouble": "trouble",
}

_STYLE = """
.mark line { stroke: var(--faint); stroke-dasharray: 2 3; } .mark text { font-weight: 600; text-anchor: middle; }
.mark.rescue line, .mark.over line { stroke: var(--twice); } .mark.trouble line { stroke: var(--bad); }
.mark:focus line, .mark:hover line { stroke: var(--ink); stroke-width: 2; stroke-dasharray: none; }
.lane .more { visibility: hidden; paint-order: stroke; stroke: var(--page); stroke-width: 4px; }
.lane:focus .more, .lane:hover .more { visibility: visible; } .lane:focus { outline: none; }
.lane:focus .label, .lane:hover .label { font-weight: 700; }
ol.marks { padding-left: 0; list-style: none; } ol.marks li { padding: .1rem 0; overflow-wrap: anywhere; }
ol.marks li:target { background: var(--help); } ol.marks time, ol.marks b { margin-right: .6rem; }
time { font-variant-numeric: tabular-nums; } b.glyph { display: inline-block; width: 1em; text-align: center; }
"""


def page_of(summary: SwarmSessionSummary, timeline: Timeline) -> str:
    """Draw the page, as a whole HTML document."""
    title = f"Session of job {shown(summary.job_id, 40)}"
    body = (
        _head(summary),
        "<h2>Throughput</h2>",
        _curve(timeline),
        "<h2>Who sent when</h2>",
        legend(_LEGEND),
        _lanes(timeline),
        "<h2>What happened</h2>",
        _marks(timeline),
        "<h2>Peers</h2>",
        _peers(summary),
        "<h2>Sources</h2>",
        _sources(summary),
    )
    return document(title, "\n".join(body), style=_STYLE)


def _head(summary: SwarmSessionSummary) -> str:
    failed = summary.chunks_failed / summary.chunks_total if summary.chunks_total else 0.0
    gave = sum(1 for peer in summary.peers if peer.bytes_contributed)
    again = f" in {summary.resumes + summary.retries + 1} runs" if summary.resumes + summary.retries else ""
    return (
        f"<p>{escape(summary.status.capitalize())}; ran for {format_duration(summary.duration_ms)}{again}; "
        f"begun {format_moment(summary.started_ms)}.</p>"
        f"<p>{format_bytes(summary.bytes_contributed)} from {counted(gave, 'peer')}, "
        f"{format_rate(summary.average_throughput_bytes_per_s)} on average; "
        f"{summary.chunks_total} chunks, {summary.chunks_failed} failed ({failed:.1%}).</p>"
    )


# ---- the curve -------------------------------------------------------------------------------------------------------


def _curve(timeline: Timeline) -> str:
    peak = max(timeline.bytes_per_s)
    ticks = round_levels(peak)
    top = ticks[-1] if ticks else 1.0
    width = (WIDTH - LEFT) / len(timeline.bytes_per_s)
    points = [f"{LEFT},{CURVE}"]
    at = 0
    for rate, same in groupby(timeline.bytes_per_s):
        count = len(list(same))
        y = f"{CURVE * (1 - rate / top):.1f}"
        points += [f"{LEFT + at * width:.1f},{y}", f"{LEFT + (at + count) * width:.1f},{y}"]
        at += count
    points.append(f"{WIDTH},{CURVE}")
    body = f'{levels(ticks, format_rate)}<polygon class="area" points="{" ".join(points)}"/>'
    told = f"Bytes per second that counted, over the time in which the job ran; at most {format_rate(peak)}"
    return svg(told, body + _axis(timeline, CURVE), CURVE + AXIS) + f"<p>{told}.</p>"


# ---- the lanes -------------------------------------------------------------------------------------------------------


def _lanes(timeline: Timeline) -> str:
    """A row for each peer, the times of rescue behind them, and the marks above."""
    if not timeline.lanes:
        return "<p>No chunk has come yet.</p>"
    height = _MARK_ROW + len(timeline.lanes) * ROW
    helped = "".join(_help(timeline, began, ended, height) for began, ended in timeline.rescues)
    lanes = "".join(_lane(lane, _MARK_ROW + nth * ROW) for nth, lane in enumerate(timeline.lanes))
    marks = "".join(_mark(timeline, nth, mark, height) for nth, mark in enumerate(timeline.marks))
    told = "For each peer, when its chunks were coming, and the moments in which something was decided"
    omitted = f"<p>And {counted(timeline.lanes_omitted, 'more peer')}.</p>" if timeline.lanes_omitted else ""
    return svg(told, helped + lanes + marks + _axis(timeline, height), height + AXIS, role="group") + omitted


def _lane(lane: Lane, top: int) -> str:
    name = shown(lane.name, _NAME_CHARS) or "unnamed"
    more = f"{shown(lane.name, 60)} ({format_source(lane.source)}): {_gave(lane)}"
    parts = [
        (
            f'<g class="lane" tabindex="0" role="img" aria-label="{escape(more)}"><title>{escape(more)}</title>'
            f'<text class="label" x="{LEFT - 8}" y="{top + 14}" text-anchor="end">{escape(name)}</text>'
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH}" y1="{top + ROW - 1}" y2="{top + ROW - 1}"/>'
        )
    ]
    width = (WIDTH - LEFT) / len(lane.columns)
    at = 0
    for use, same in groupby(lane.columns):
        count = len(list(same))
        if use:
            # What went wrong is also lower than what went well: colours are not all there is.
            y, high = (top + 3, ROW - 6) if use == "good" else (top + 8, ROW - 11)
            x, wide = LEFT + at * width, count * width
            parts.append(f'<rect class="{use}" x="{x:.1f}" y="{y}" width="{wide:.1f}" height="{high}"/>')
        at += count
    parts.append(f'<text class="more" x="{LEFT + 6}" y="{top + 14}">{escape(more)}</text></g>')
    return "".join(parts)


def _gave(lane: Lane) -> str:
    failed = f", {lane.chunks_failed} failed" if lane.chunks_failed else ""
    return f"{format_bytes(lane.bytes_contributed)}, {lane.chunks} chunks{failed}"


def _help(timeline: Timeline, began_ms: int, ended_ms: int, height: int) -> str:
    x = _x(timeline, began_ms)
    wide = max(_x(timeline, ended_ms) - x, 1.5)
    return f'<rect class="help" x="{x:.1f}" y="{_MARK_ROW}" width="{wide:.1f}" height="{height - _MARK_ROW}"/>'


def _mark(timeline: Timeline, nth: int, mark: Mark, height: int) -> str:
    """A line through all lanes that leads to its words below."""
    x = _x(timeline, mark.offset_ms)
    told = f"{format_offset(mark.offset_ms)} {shown(mark.text, 200)}"
    kind = mark.kind.rpartition(" ")[2]
    return (
        f'<a class="mark {kind}" href="#mark-{nth}" aria-label="{escape(told)}"><title>{escape(told)}</title>'
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_MARK_ROW - 4}" y2="{height}"/>'
        f'<text x="{x:.1f}" y="{_MARK_ROW - 6}">{_GLYPHS[mark.kind]}</text></a>'
    )


def _marks(timeline: Timeline) -> str:
    if not timeline.marks:
        return "<p>Nothing out of the ordinary.</p>"
    lines = [
        (
            f'<li id="mark-{nth}"><time>{format_offset(mark.offset_ms)}</time>'
            f'<b class="glyph" title="{_WORDS[mark.kind]}">{_GLYPHS[mark.kind]}</b>{escape(shown(mark.text, 400))}</li>'
        )
        for nth, mark in enumerate(timeline.marks)
    ]
    if timeline.marks_omitted:
        lines.append(f"<li>and {timeline.marks_omitted} more</li>")
    words = ", ".join(f"{glyph} = {_WORDS[kind]}" for kind, glyph in _GLYPHS.items())
    return f'<ol class="marks">{"".join(lines)}</ol><p>{words}.</p>'


# ---- the tables ------------------------------------------------------------------------------------------------------


def _peers(summary: SwarmSessionSummary) -> str:
    headings = ("Peer", "Gave", "Chunks", "Failed", "Refused", "Speed", "Source", "State")
    rows: list[tuple[object, ...]] = [
        (
            shown(peer.name, 60),
            format_bytes(peer.bytes_contributed),
            peer.chunks,
            peer.chunks_failed,
            format_bytes(peer.bytes_refused),
            format_rate(peer.mean_throughput_bytes_per_s),
            format_source(peer.source),
            "banned" if peer.banned else "",
        )
        for peer in summary.peers[:LANES_MAX]
    ]
    if len(summary.peers) > LANES_MAX:
        rows.append((f"and {len(summary.peers) - LANES_MAX} more", *[""] * (len(headings) - 1)))
    return table("What each peer gave", headings, rows)


def _sources(summary: SwarmSessionSummary) -> str:
    percents = whole_percents([source.share for source in summary.sources])
    rows: list[tuple[object, ...]] = [
        (format_source(source.source), format_bytes(source.bytes_contributed), f"{percent}%")
        for source, percent in zip(summary.sources, percents, strict=True)
    ]
    return table("What came from which kind of source", ("Source", "Gave", "Share"), rows)


# ---- what both pictures have -----------------------------------------------------------------------------------------


def _x(timeline: Timeline, offset_ms: int) -> float:
    return LEFT + (WIDTH - LEFT) * min(offset_ms / max(timeline.total_ms, 1), 1.0)


def _axis(timeline: Timeline, height: int) -> str:
    labels = tuple(format_offset(timeline.total_ms * n // (MOMENTS - 1)) for n in range(MOMENTS))
    return axis(labels, height)
