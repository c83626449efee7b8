"""The summary of a session as text for a terminal.

Owns: the form that `job trace` prints. Never: adds up (traces.summary) or prints. Sizes are in MB of 10^6 bytes; names
and reasons, which peers may have chosen, are escaped (traces.session_log).
"""

from datetime import UTC, datetime, timedelta

from reconciler.cli.render import rate
from reconciler.traces.session_log import escape
from reconciler.traces.summary import PeerContribution, SourceShare, SwarmSessionSummary

# As many as fit on a screen with the rest; the summary has them all.
PEERS_SHOWN_MAX = 20

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_MEGA = 1_000_000
_WHOLE_MEGA_MIN = 9.95
"""From here a size is written without decimals: two digits say enough."""
_LABELS = {"http": "HTTP", "overlay": "Overlay", "soulseek": "Soulseek"}


def format_summary(summary: SwarmSessionSummary) -> str:
    """The whole text, without a line end behind it."""
    sections = (
        _head(summary),
        _section("Peer Contributions", _peers(summary.peers)),
        _section("Source Split", _sources(summary.sources)),
        _section("Key Events", _key_events(summary)),
        _section("Performance", _performance(summary)),
    )
    return "\n\n".join("\n".join(lines) for lines in sections)


def _head(summary: SwarmSessionSummary) -> list[str]:
    return [
        f"Job: {escape(summary.job_id)}",
        f"Duration: {format_duration(summary.duration_ms)}",
        f"Status: {summary.status.capitalize()}",
    ]


def _section(title: str, lines: list[str]) -> list[str]:
    return [f"{title}:", *(f"  {line}" for line in lines or ["none"])]


def _peers(peers: tuple[PeerContribution, ...]) -> list[str]:
    lines = [f"{place}. {_peer(peer)}" for place, peer in enumerate(peers[:PEERS_SHOWN_MAX], start=1)]
    if len(peers) > PEERS_SHOWN_MAX:
        lines.append(f"and {len(peers) - PEERS_SHOWN_MAX} more")
    return lines


def _peer(peer: PeerContribution) -> str:
    parts = [
        f"{escape(peer.name)} ({format_source(peer.source)}): {format_bytes(peer.bytes_contributed)}",
        f"{peer.chunks} chunks" if peer.chunks != 1 else "1 chunk",
        format_rate(peer.mean_throughput_bytes_per_s),
    ]
    if peer.chunks_failed:
        parts.append(f"{peer.chunks_failed} failed")
    if peer.banned:
        parts.append("banned")
    return ", ".join(parts)


def _sources(sources: tuple[SourceShare, ...]) -> list[str]:
    percents = whole_percents([source.share for source in sources])
    return [
        f"{format_source(source.source)}: {format_bytes(source.bytes_contributed)} ({percent}%)"
        for source, percent in zip(sources, percents, strict=True)
    ]


def _key_events(summary: SwarmSessionSummary) -> list[str]:
    lines = [f"{format_offset(event.offset_ms)} - {escape(event.text)}" for event in summary.key_events]
    if summary.key_events_omitted:
        lines.append(f"and {summary.key_events_omitted} more")
    return lines


def _performance(summary: SwarmSessionSummary) -> list[str]:
    share = summary.chunks_failed / summary.chunks_total if summary.chunks_total else 0.0
    return [
        f"Avg throughput: {format_rate(summary.average_throughput_bytes_per_s)}",
        f"Total chunks: {summary.chunks_total}",
        f"Failed chunks: {summary.chunks_failed} ({share:.1%})",
        *([f"Fetched twice: {format_bytes(summary.bytes_duplicate)}"] if summary.bytes_duplicate else []),
    ]


def format_bytes(count: int) -> str:
    """`180 MB`, `3.4 MB`, `0 MB`; less than 50 kB is `<0.1 MB`."""
    mega = count / _MEGA
    if count and mega < 0.05:  # noqa: PLR2004 - what one decimal rounds to nothing
        return "<0.1 MB"
    return f"{mega:.0f} MB" if mega >= _WHOLE_MEGA_MIN or not count else f"{mega:.1f} MB"


def format_rate(bytes_per_s: float) -> str:
    """`3.8 MB/s`, `40 kB/s`; `-` where nothing is known."""
    return rate(bytes_per_s) or "-"


def format_duration(duration_ms: int) -> str:
    """`8m 24s`, `1h 0m 5s`, `3s`: rounded to seconds."""
    minutes, seconds = divmod(round(duration_ms / 1000), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h {minutes}m {seconds}s"
    return f"{minutes}m {seconds}s" if minutes else f"{seconds}s"


def format_offset(offset_ms: int) -> str:
    """`00:00:45`: whole seconds that have passed."""
    minutes, seconds = divmod(offset_ms // 1000, 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}"


def format_moment(unix_ms: int) -> str:
    """`2025-12-10 12:00:00 UTC`; a moment that no calendar has is a number."""
    try:
        return f"{_EPOCH + timedelta(milliseconds=unix_ms):%Y-%m-%d %H:%M:%S} UTC"
    except OverflowError:
        return str(unix_ms)


def format_source(source: str) -> str:
    """`Overlay`, `HTTP`, `Soulseek`."""
    return _LABELS.get(source) or escape(source).capitalize() or "Unknown"


def whole_percents(shares: list[float]) -> list[int]:
    """Round so that they add up to 100 where the shares add up to 1: the largest remainders are rounded up."""
    percents = [int(share * 100) for share in shares]
    missing = round(sum(shares) * 100) - sum(percents)
    by_remainder = sorted(range(len(shares)), key=lambda place: percents[place] - shares[place] * 100)
    for place in by_remainder[:missing]:
        percents[place] += 1
    return percents
