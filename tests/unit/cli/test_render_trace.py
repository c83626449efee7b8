"""The form that `job trace` prints."""

from dataclasses import replace

import pytest

from reconciler.cli.render_trace import (
    PEERS_SHOWN_MAX,
    format_bytes,
    format_duration,
    format_offset,
    format_rate,
    format_summary,
)
from reconciler.ids import JobId
from reconciler.traces.summary import KeyEvent, PeerContribution, SourceShare, SwarmSessionSummary

MEGA = 1_000_000

ANN = PeerContribution(
    name="user123",
    source="soulseek",
    bytes_contributed=180 * MEGA,
    chunks=45,
    mean_throughput_bytes_per_s=3.8 * MEGA,
    chunks_failed=0,
    bytes_refused=0,
    banned=False,
)
ABC = replace(
    ANN,
    name="peer-abc",
    source="overlay",
    bytes_contributed=120 * MEGA,
    chunks=30,
    mean_throughput_bytes_per_s=5.2 * MEGA,
)

SUMMARY = SwarmSessionSummary(
    job_id=JobId("01HRQ4GSX9K47J7M5FK7VW8B12"),
    status="completed",
    started_ms=0,
    ended_ms=504_000,
    duration_ms=504_000,
    peers=(ANN, ABC),
    sources=(
        SourceShare(source="soulseek", bytes_contributed=180 * MEGA, share=180 / 380),
        SourceShare(source="overlay", bytes_contributed=200 * MEGA, share=200 / 380),
    ),
    key_events=(KeyEvent(offset_ms=45_000, text="Rescue mode activated (Soulseek transfer stalled)"),),
    key_events_omitted=0,
    average_throughput_bytes_per_s=4.5 * MEGA,
    bytes_contributed=380 * MEGA,
    bytes_refused=0,
    bytes_duplicate=0,
    chunks_total=95,
    chunks_failed=2,
    resumes=0,
    retries=0,
)

PROMISED = """\
Job: 01HRQ4GSX9K47J7M5FK7VW8B12
Duration: 8m 24s
Status: Completed

Peer Contributions:
  1. user123 (Soulseek): 180 MB, 45 chunks, 3.8 MB/s
  2. peer-abc (Overlay): 120 MB, 30 chunks, 5.2 MB/s

Source Split:
  Soulseek: 180 MB (47%)
  Overlay: 200 MB (53%)

Key Events:
  00:00:45 - Rescue mode activated (Soulseek transfer stalled)

Performance:
  Avg throughput: 4.5 MB/s
  Total chunks: 95
  Failed chunks: 2 (2.1%)"""


def test_it_has_the_form_that_was_promised():
    """To the letter."""
    assert format_summary(SUMMARY) == PROMISED


def test_a_liar_is_named_with_what_it_did():
    """It gave nothing, and says so."""
    liar = replace(
        ANN, name="eve", bytes_contributed=0, chunks=0, mean_throughput_bytes_per_s=0.0, chunks_failed=3, banned=True
    )
    assert "  2. eve (Soulseek): 0 MB, 0 chunks, -, 3 failed, banned\n" in format_summary(
        replace(SUMMARY, peers=(ABC, liar))
    )


def test_a_session_in_which_nothing_happened_yet():
    """Every section is there; nothing is divided by zero."""
    empty = replace(
        SUMMARY,
        status="unfinished",
        duration_ms=0,
        peers=(),
        sources=(),
        key_events=(),
        average_throughput_bytes_per_s=0.0,
        chunks_total=0,
        chunks_failed=0,
    )
    text = format_summary(empty)
    assert text.count("\n  none") == 3
    assert "Duration: 0s\nStatus: Unfinished\n" in text
    assert text.endswith("Avg throughput: -\n  Total chunks: 0\n  Failed chunks: 0 (0.0%)")


def test_long_lists_are_cut():
    """With a word on how much is missing."""
    many = replace(SUMMARY, peers=(ANN,) * (PEERS_SHOWN_MAX + 3), key_events_omitted=9)
    lines = format_summary(many).splitlines()
    assert sum("user123" in line for line in lines) == PEERS_SHOWN_MAX
    assert [line for line in lines if "more" in line] == ["  and 3 more", "  and 9 more"]


def test_what_peers_wrote_cannot_move_the_terminal():
    """Names, sources and reasons are escaped."""
    hostile = "\x1b[2J\n\u202eevil\x9b"
    text = format_summary(
        replace(
            SUMMARY,
            peers=(replace(ANN, name=hostile, source=hostile),),
            sources=(SourceShare(source=hostile, bytes_contributed=1, share=1.0),),
            key_events=(KeyEvent(offset_ms=0, text=hostile),),
        )
    )
    assert len(text.splitlines()) == len(PROMISED.splitlines()) - 2
    assert not set(text) & set("\x1b\x9b\u202e\r")


@pytest.mark.parametrize(
    ("shares", "shown"),
    [
        ([1 / 3] * 3, [34, 33, 33]),
        ([0.995, 0.005], [100, 0]),
        ([0.29, 0.71], [29, 71]),
        ([1.0], [100]),
        ([1 / 7] * 7, [15, 15, 14, 14, 14, 14, 14]),
    ],
)
def test_percents_add_up_to_a_hundred(shares, shown):
    """The largest remainders are rounded up."""
    sources = tuple(
        SourceShare(source=f"s{place}", bytes_contributed=1, share=share) for place, share in enumerate(shares)
    )
    lines = format_summary(replace(SUMMARY, sources=sources)).splitlines()
    assert [int(line.rpartition("(")[2][:-2]) for line in lines if line.endswith("%)") and " MB (" in line] == shown


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 MB"),
        (1, "<0.1 MB"),
        (49_999, "<0.1 MB"),
        (50_000, "0.1 MB"),
        (1_048_576, "1.0 MB"),
        (9_949_999, "9.9 MB"),
        (9_960_000, "10 MB"),
        (180_400_000, "180 MB"),
        (12_345_678_901, "12346 MB"),
    ],
)
def test_sizes_are_in_megabytes(count, shown):
    """Of a million bytes."""
    assert format_bytes(count) == shown


@pytest.mark.parametrize(
    ("rate", "shown"),
    [
        (0.0, "-"),
        (3_840_000.0, "3.8 MB/s"),
        (95e3, "0.1 MB/s"),
        (94e3, "94 kB/s"),
        (40.0, "<1 kB/s"),
        (2e9, "2000.0 MB/s"),
    ],
)
def test_rates_have_one_decimal_and_slow_ones_a_smaller_unit(rate, shown):
    """Nothing known is a dash, and little is not nothing."""
    assert format_rate(rate) == shown


@pytest.mark.parametrize(
    ("duration_ms", "shown"),
    [
        (0, "0s"),
        (499, "0s"),
        (3_000, "3s"),
        (59_999, "1m 0s"),
        (504_000, "8m 24s"),
        (3_605_000, "1h 0m 5s"),
        (360_000_000, "100h 0m 0s"),
    ],
)
def test_durations_are_short(duration_ms, shown):
    """The largest unit that is not zero comes first."""
    assert format_duration(duration_ms) == shown


@pytest.mark.parametrize(
    ("offset_ms", "shown"), [(0, "00:00:00"), (45_999, "00:00:45"), (3_725_000, "01:02:05"), (360_000_000, "100:00:00")]
)
def test_offsets_are_hours_minutes_seconds(offset_ms, shown):
    """Whole seconds that have passed."""
    assert format_offset(offset_ms) == shown
