"""A job over time as text for a terminal.

Owns: the picture that `job trace --timeline` prints. Never: lays it out (traces.timeline) or prints it. Names and
reasons, which peers may have chosen, are escaped (traces.session_log).
"""

from rich.text import Text

from reconciler.cli.render import counted, shown
from reconciler.cli.render_trace import format_bytes, format_duration, format_offset, format_rate
from reconciler.traces.timeline import Lane, MarkKind, Timeline, Use

LANES_MAX = 20
MARKS_SHOWN_MAX = 30

_LABEL = 22
_GAVE = 10
# Narrower than this no column says anything any more; wider than the second, the eye loses the line.
COLUMNS_MIN = 20
COLUMNS_MAX = 160

# Shape and colour both: without colour everything can still be told apart.
_USES: dict[Use, tuple[str, str]] = {
    "": ("·", "dim"),
    "good": ("█", "blue"),
    "twice": ("▒", "yellow"),
    "late": ("-", "magenta"),
    "bad": ("x", "red"),
}
_MARKS: dict[MarkKind, tuple[str, str]] = {
    "start": ("S", ""),
    "rescue": ("R", "yellow"),
    "rescue over": ("E", "yellow"),
    "rebalanced": ("B", ""),
    "trouble": ("!", "red"),
}
_LEVELS = " ▁▂▃▄▅▆▇█"


def columns_in(width: int) -> int:
    """How many columns of time fit beside the names on a terminal of that width."""
    return max(COLUMNS_MIN, min(width - _LABEL - _GAVE - 3, COLUMNS_MAX))


def timeline_text(timeline: Timeline) -> Text:
    """Draw the whole picture, without a line end behind it."""
    lines = [
        Text(f"Job {shown(timeline.job_id, 40)}, {format_duration(timeline.total_ms)}"),
        Text(),
        _speed(timeline),
        _marks_row(timeline),
        *(_lane(lane) for lane in timeline.lanes),
        _axis(timeline),
    ]
    if timeline.lanes_omitted:
        lines.append(Text(f"and {counted(timeline.lanes_omitted, 'more peer')}"))
    lines += [Text(), _legend(), *_marks(timeline)]
    return Text("\n").join(lines)


def _lane(lane: Lane) -> Text:
    text = Text(f"{shown(lane.name, _LABEL) or 'unnamed':<{_LABEL}} ")
    for use in lane.columns:
        glyph, style = _USES[use]
        text.append(glyph, style)
    return text.append(f" {format_bytes(lane.bytes_contributed):>{_GAVE}}")


def _speed(timeline: Timeline) -> Text:
    top = max(timeline.bytes_per_s)
    text = Text(f"{'Throughput':<{_LABEL}} ")
    for rate in timeline.bytes_per_s:
        # Whatever is not nothing is seen.
        level = max(1, round(rate / top * (len(_LEVELS) - 1))) if rate else 0
        text.append(_LEVELS[level], "cyan")
    return text.append(f" {format_rate(top):>{_GAVE}}")


def _marks_row(timeline: Timeline) -> Text:
    columns = len(timeline.bytes_per_s)
    row: list[tuple[str, str]] = [(" ", "")] * columns
    for began_ms, ended_ms in timeline.rescues:
        for column in range(_column(timeline, began_ms), _column(timeline, ended_ms) + 1):
            row[column] = ("~", "yellow")
    for mark in timeline.marks:
        row[_column(timeline, mark.offset_ms)] = _MARKS[mark.kind]
    text = Text(f"{'':<{_LABEL}} ")
    for glyph, style in row:
        text.append(glyph, style)
    return text


def _column(timeline: Timeline, offset_ms: int) -> int:
    columns = len(timeline.bytes_per_s)
    return min(offset_ms * columns // max(timeline.total_ms, 1), columns - 1)


def _axis(timeline: Timeline) -> Text:
    columns = len(timeline.bytes_per_s)
    begun, ended = format_offset(0), format_offset(timeline.total_ms)
    return Text(f"{'':<{_LABEL}} {begun}{ended:>{columns - len(begun)}}", "dim")


def _legend() -> Text:
    words: dict[Use, str] = {
        "good": "counted",
        "twice": "had come from another peer",
        "late": "not in time",
        "bad": "wrong or broken off",
    }
    text = Text()
    for use, word in words.items():
        glyph, style = _USES[use]
        text.append(glyph, style).append(f" {word}   ")
    return text.append("~", "yellow").append(" the overlay helps")


def _marks(timeline: Timeline) -> list[Text]:
    lines = []
    for mark in timeline.marks[:MARKS_SHOWN_MAX]:
        glyph, style = _MARKS[mark.kind]
        lines.append(Text(f"{format_offset(mark.offset_ms)} ").append(glyph, style).append(f" {shown(mark.text, 400)}"))
    omitted = timeline.marks_omitted + max(0, len(timeline.marks) - MARKS_SHOWN_MAX)
    return [*lines, *([Text(f"and {omitted} more")] if omitted else [])]
