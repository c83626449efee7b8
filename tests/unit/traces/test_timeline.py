"""A job over time."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trace_builders import NOON_MS, START_OF_JOB, at, event, received, refused, story, summarise

from reconciler.traces.model import EventType
from reconciler.traces.timeline import MARKS_MAX, timeline_of

COMPLETED = at(10, EventType.JOB_COMPLETE, "completed")
LETTERS = {"": ".", "good": "g", "twice": "t", "late": "l", "bad": "b"}


def drawn(events, *, columns=10, lanes_max=9):
    """The timeline of these events."""
    return timeline_of(story(events), columns=columns, lanes_max=lanes_max)


def lanes(timeline):
    """Each peer's columns as letters."""
    return {lane.name: "".join(LETTERS[use] for use in lane.columns) for lane in timeline.lanes}


def test_a_chunk_is_drawn_where_it_was_coming():
    """From when it was begun to when it came; who gave most comes first."""
    timeline = drawn([START_OF_JOB, received(2.9, seconds=1.8), received(9.5, "bob", megabytes=5), COMPLETED])
    assert lanes(timeline) == {"bob": "........gg", "ann": ".gg......."}
    assert list(lanes(timeline)) == ["bob", "ann"]
    assert timeline.total_ms == 10_000


def test_what_must_be_seen_hides_what_is_usual():
    """A wrong chunk hides one that was late, that a good one, and that a double."""
    twice = replace(received(1.5, seconds=0.2), action="duplicate", is_error=True, error_code="duplicate")
    late = at(4.5, EventType.CHUNK_TIMED_OUT, "silent", peer_id="ann", source="overlay", is_error=True)
    events = [
        START_OF_JOB, twice, replace(twice, event_id="x", timestamp_ms=NOON_MS + 2500), received(2.6, seconds=0.1),
        received(4.6, seconds=0.1), late, refused(6.5, "ann"), replace(late, event_id="y", timestamp_ms=NOON_MS + 6500),
        COMPLETED,
    ]  # fmt: skip
    timeline = drawn(events)
    assert lanes(timeline) == {"ann": ".tg.l.b..."}
    assert [(lane.chunks, lane.chunks_failed, lane.bytes_contributed) for lane in timeline.lanes] == [(2, 3, 2_000_000)]


def test_the_throughput_is_spread_over_the_time_of_a_chunk():
    """Two megabytes over four seconds; refused bytes have no part in it."""
    timeline = drawn([START_OF_JOB, received(6, megabytes=2, seconds=4), refused(8), COMPLETED])
    assert timeline.bytes_per_s == pytest.approx([0, 0, 5e5, 5e5, 5e5, 5e5, 0, 0, 0, 0])


def test_time_in_which_it_did_not_run_is_not_drawn():
    """A crash, a week, and on it goes; what was coming over the gap is cut off at the start."""
    week = 7 * 86_400
    resumed = at(week, EventType.JOB_START, "resumed")
    timeline = drawn([START_OF_JOB, received(5), resumed, received(week + 1, seconds=9), received(week + 5)])
    assert timeline.total_ms == 10_000
    assert lanes(timeline) == {"ann": "....ggg..g"}
    assert [(mark.offset_ms, mark.kind, mark.text) for mark in timeline.marks] == [(5000, "start", "Resumed")]


def test_rescues_are_drawn_from_their_beginning_to_their_end():
    """One for each track; a restart or the end of the job ends them too."""
    on, off = EventType.RESCUE_MODE_ACTIVATED, EventType.RESCUE_MODE_DEACTIVATED
    events = [
        START_OF_JOB,
        at(1, on, "activated", track_id="1"),
        at(2, on, "activated", track_id="2"),
        at(3, off, "recovered", track_id="1"),
        at(4, off, "recovered", track_id="7"),
        at(5, EventType.JOB_START, "resumed"),
        at(6, on, "activated", track_id="1"),
        COMPLETED,
    ]
    timeline = drawn(events)
    assert timeline.rescues == ((1000, 3000), (2000, 4000), (5000, 9000))
    kinds = ["rescue", "rescue", "rescue over", "rescue over", "start", "rescue"]
    assert [mark.kind for mark in timeline.marks] == kinds


def test_what_was_decided_and_what_went_wrong_is_marked():
    """With the words of the summary; the first hundred."""
    moved = at(2, EventType.SWARM_REBALANCED, "handed over", metadata={"reason": "ann would need 9.0 s more"})
    lied = at(3, EventType.ERROR, "lied", peer_id="eve", is_error=True, error_message="a wrong signature")
    timeline = drawn([START_OF_JOB, moved, lied, COMPLETED])
    assert [(mark.offset_ms, mark.kind, mark.text) for mark in timeline.marks] == [
        (2000, "rebalanced", "Swarm rebalanced (ann would need 9.0 s more)"),
        (3000, "trouble", "Error: lied, peer eve (a wrong signature)"),
    ]
    many = drawn([START_OF_JOB, *(at(n / 100, EventType.ERROR, "lied") for n in range(MARKS_MAX + 3))])
    assert (len(many.marks), many.marks_omitted) == (MARKS_MAX, 3)


def test_a_picture_has_a_bound():
    """Peers that gave least are counted; no column is too few."""
    timeline = drawn([START_OF_JOB, *(received(n, f"peer {n}") for n in range(1, 8))], columns=0, lanes_max=3)
    assert (len(timeline.lanes), timeline.lanes_omitted, len(timeline.bytes_per_s)) == (3, 4, 1)


def test_a_job_of_a_moment_is_a_picture_too():
    """Nothing is divided by nothing."""
    timeline = drawn([START_OF_JOB, replace(COMPLETED, timestamp_ms=NOON_MS)])
    assert (timeline.total_ms, timeline.lanes, timeline.bytes_per_s) == (0, (), (0.0,) * 10)


def test_it_is_told_as_plain_values():
    """JSON gives back what went in."""
    plain = drawn([START_OF_JOB, received(1), at(2, EventType.ERROR, "lied"), COMPLETED]).to_json()
    assert json.loads(json.dumps(plain))["lanes"][0]["name"] == "ann"
    assert json.loads(json.dumps(plain))["marks"][0]["kind"] == "trouble"


MOMENTS = st.lists(
    st.tuples(
        st.sampled_from(
            [EventType.CHUNK_RECEIVED, EventType.CHUNK_FAILED, EventType.JOB_START, EventType.JOB_COMPLETE]
        ),
        st.integers(0, 50_000),
        st.integers(0, 60_000),
    ),
    min_size=1,
    max_size=25,
)


@given(moments=MOMENTS, columns=st.integers(1, 40))
def test_every_counted_byte_is_drawn_once(moments, columns):
    """Whatever order, gaps and lengths; the time is that of the summary."""
    events = [
        event(
            number, kind, "completed", timestamp_ms=NOON_MS + at_ms, duration_ms=float(length), bytes_transferred=1000
        )
        for number, (kind, at_ms, length) in enumerate(moments)
    ]
    timeline, summary = drawn(events, columns=columns), summarise(events)
    assert timeline.total_ms == summary.duration_ms
    column_s = max(timeline.total_ms, 1) / columns / 1000
    assert sum(timeline.bytes_per_s) * column_s == pytest.approx(summary.bytes_contributed)
    assert sum(lane.bytes_contributed for lane in timeline.lanes) == summary.bytes_contributed
    assert all(0 <= mark.offset_ms <= timeline.total_ms for mark in timeline.marks)
