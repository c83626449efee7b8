"""A page that needs nothing else: one file, no script, nothing loaded from anywhere.

Owns: the frame, the colours by day and by night, and what pictures on such pages have in common. Never: what is on a
page (cli.simulation_page, cli.trace_page), or writes a file. Whatever is handed in as `body` has been escaped.

It is read with eyes, with a keyboard and by voice: each picture says in words what it shows, what can be pointed at can
be reached with the tab key, and colours are never the only difference.
"""

import math
from collections.abc import Callable
from html import escape

# A picture's grid, in units of its own: the width of the whole, and where the labels end.
WIDTH = 960
LEFT = 150
ROW = 20
CURVE = 150
AXIS = 20
MOMENTS = 5
LEVELS_MAX = 4

_STYLE = """
:root { color-scheme: light dark; --page: #fff; --ink: #1b1f24; --faint: #59636e; --line: #d5dae0; --rest: #eef1f4;
  --good: #2f74c0; --taken: #2a9d8f; --twice: #d98e04; --bad: #c62f2f; --late: #8d63c9; --area: #a9c8ea;
  --help: #f6e3b4; }
@media (prefers-color-scheme: dark) {
  :root { --page: #14171b; --ink: #e4e8ed; --faint: #98a2ad; --line: #343b43; --rest: #20252b;
    --good: #62a3ea; --taken: #4cc2b3; --twice: #f0b445; --bad: #f26d6d; --late: #b493ea; --area: #2d4f76;
    --help: #4a3f1f; } }
body { margin: 2rem auto; max-width: 62rem; padding: 0 1rem; background: var(--page); color: var(--ink);
  font: 15px/1.45 system-ui, sans-serif; }
h1 { font-size: 1.4rem; overflow-wrap: anywhere; } h2 { font-size: 1.1rem; margin-top: 2rem; }
a { color: var(--good); } :focus-visible { outline: 2px solid var(--good); outline-offset: 2px; }
svg { display: block; width: 100%; min-width: 40rem; height: auto; }
svg text { fill: var(--ink); font: 12px system-ui, sans-serif; }
svg .faint { fill: var(--faint); } .rest { fill: var(--rest); } .grid { stroke: var(--line); }
.area { fill: var(--area); }
.sum { fill: none; stroke: var(--ink); stroke-width: 1.5; stroke-dasharray: 5 3; }
.restart { stroke: var(--bad); stroke-dasharray: 2 3; }
.good { fill: var(--good); background: var(--good); } .taken { fill: var(--taken); background: var(--taken); }
.twice { fill: var(--twice); background: var(--twice); } .bad { fill: var(--bad); background: var(--bad); }
.late { fill: var(--late); background: var(--late); } .help { fill: var(--help); background: var(--help); }
.legend span { margin-right: 1.2rem; white-space: nowrap; }
.legend i { display: inline-block; width: .8em; height: .8em; margin-right: .35em; border-radius: 2px; }
.wide { overflow-x: auto; } table { border-collapse: collapse; white-space: nowrap; }
th, td { padding: .25rem .7rem .25rem 0; text-align: right; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child, th:nth-last-child(-n+2), td:nth-last-child(-n+2) { text-align: left; }
td { font-variant-numeric: tabular-nums; } pre { overflow-x: auto; font-size: 12.5px; }
"""


def document(title: str, body: str, *, style: str = "") -> str:
    """Frame a whole HTML document; `title` is plain text, `body` and `style` are of our own making."""
    return "\n".join(
        (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title><style>{_STYLE}{style}</style></head><body>",
            f"<h1>{escape(title)}</h1>",
            body,
            "</body></html>",
            "",
        )
    )


def svg(told: str, body: str, height: float, *, role: str = "img") -> str:
    """Frame a picture; `told` says what it shows. With something in it to point at, its role is `group`.

    Where the window is narrow it keeps a size that can be read, and scrolls.
    """
    drawn = f'<svg viewBox="0 0 {WIDTH} {height:g}" role="{role}" aria-label="{escape(told)}">{body}</svg>'
    return f'<div class="wide" tabindex="0" role="region" aria-label="{escape(told)}">{drawn}</div>'


def legend(entries: tuple[tuple[str, str], ...]) -> str:
    """What the colours mean: classes and words."""
    shown = "".join(f'<span><i class="{name}"></i>{escape(text)}</span>' for name, text in entries)
    return f'<p class="legend">{shown}</p>'


def axis(labels: tuple[str, ...], height: float) -> str:
    """Draw the moments below a picture of that height, evenly from its left to its right end."""
    parts = [f'<line class="grid" x1="{LEFT}" x2="{WIDTH}" y1="{height:g}" y2="{height:g}"/>']
    for n, label in enumerate(labels):
        anchor = {0: "start", len(labels) - 1: "end"}.get(n, "middle")
        x = LEFT + (WIDTH - LEFT) * n / (len(labels) - 1)
        parts.append(
            f'<text class="faint" x="{x:.0f}" y="{height + 15:g}" text-anchor="{anchor}">{escape(label)}</text>'
        )
    return "".join(parts)


def round_levels(highest: float) -> tuple[float, ...]:
    """Round numbers above 0, evenly apart, of which the last is the first that `highest` does not exceed.

    Their distance is 1, 2 or 5 times a power of ten, so that a person reads what lies between two; at most LEVELS_MAX.
    """
    if highest <= 0:
        return ()
    power = 10.0 ** math.floor(math.log10(highest / LEVELS_MAX))
    step = next(each * power for each in (1, 2, 5, 10) if each * power * LEVELS_MAX >= highest)
    return tuple(step * n for n in range(1, math.ceil(highest / step) + 1))


def levels(values: tuple[float, ...], told: Callable[[float], str]) -> str:
    """Draw a line across a curve for each value, and for nothing, with its words at the left."""
    parts = []
    for value in (0.0, *values):
        y = CURVE * (1 - value / values[-1]) if values else CURVE
        label = told(value) if value else "0"
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text class="faint" x="{LEFT - 8}" y="{max(y + 4, 10):.1f}" text-anchor="end">{escape(label)}</text>'
        )
    return "".join(parts)


def table(told: str, headings: tuple[str, ...], rows: list[tuple[object, ...]]) -> str:
    """Draw a table that scrolls sideways where it is too wide, with the keyboard too."""
    head = "".join(f'<th scope="col">{escape(heading)}</th>' for heading in headings)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{escape(told)}">'
        f"<table><tr>{head}</tr>{body}</table></div>"
    )
