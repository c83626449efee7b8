"""From the limit on chunk events are summed up, and nothing of the sums is lost."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from trace_builders import JOB, NOON_MS, START_OF_JOB, at, event, received, refused, summarise

from reconciler.traces import limit as limit_module
from reconciler.traces.limit import LIMIT_REACHED, OPEN_SUMS_MAX, SUMS_PER_WINDOW, WINDOW_MS, JobLimit
from reconciler.traces.model import CHUNK_TYPES, SUMMED_UP, EventType


def kept(events, *, events_max=0, **known):
    """What is stored of a job with these events, with every sum closed at the end."""
    limit = JobLimit(events_max=events_max, **known)
    return [made for each in events for made in limit.take(each)] + list(limit.close())


def test_below_the_limit_everything_is_stored_as_it_is():
    """In the order in which it came."""
    events = [START_OF_JOB, received(1), refused(2), received(3)]
    assert kept(events, events_max=4) == events


def test_at_the_limit_a_marker_says_so_once():
    """Just before the first that is summed up; a job that has one already gets no second."""
    events = [START_OF_JOB, *(received(second) for second in range(1, 9))]
    found = kept(events, events_max=3)
    assert found[:3] == events[:3]
    assert (found[3].type, found[3].action, found[3].is_error) == (EventType.ERROR, LIMIT_REACHED, True)
    assert found[3].timestamp_ms == events[3].timestamp_ms
    assert [made.action for made in found[4:]] == [SUMMED_UP]
    assert len({made.event_id for made in found}) == len(found)
    assert [made.action for made in kept(events, events_max=3, stored=3, marked=True)] == ["started", SUMMED_UP]


def test_key_events_are_stored_behind_the_limit_too():
    """All eleven types that are not of chunks."""
    events = [event(number, kind) for number, kind in enumerate(EventType) if kind not in CHUNK_TYPES]
    assert kept(events) == events
    assert len(events) == 11


def test_a_sum_says_what_it_stands_for():
    """How many, of which action, since when; the bytes and the time under way of all, the moment of the last."""
    marker, found = kept([received(2, seconds=2), received(3, seconds=2), replace(received(9), track_id="4")])
    assert marker.action == LIMIT_REACHED
    assert (found.type, found.action, found.peer_id) == (EventType.CHUNK_RECEIVED, SUMMED_UP, "ann")
    assert (found.bytes_transferred, found.duration_ms) == (3_000_000, 4000.0)
    assert found.metadata == {"count": 3, "of": "verified", "since_ms": NOON_MS + 2000}
    assert (found.timestamp_ms, found.event_id, found.track_id) == (NOON_MS + 9000, received(9).event_id, "")


def test_a_single_event_stays_what_it_is():
    """There is nothing to add to it."""
    assert kept([received(1)])[1:] == [received(1)]


def test_what_differs_in_more_than_numbers_is_summed_up_apart():
    """By type, peer, source and kind of failure."""
    twice = replace(received(3), action="duplicate", is_error=True, error_code="duplicate")
    kinds = [received(1), received(1, "bob"), received(1, source="http"), refused(1, "ann"), twice]
    again = [replace(each, event_id=f"again {each.event_id}") for each in kinds]
    found = kept([*kinds, *again], marked=True)
    assert [made.metadata["count"] for made in found] == [2] * 5


def test_a_sum_is_stored_when_it_is_as_old_as_the_window():
    """So that a crash loses little of it."""
    events = [received(second) for second in range(30)]
    found = kept(events, marked=True)
    assert [made.metadata["count"] for made in found] == [WINDOW_MS // 1000] * 3


def test_the_window_doubles_with_the_number_of_sums():
    """A job that never ends has few more of them."""
    events = [received(second) for second in range(80)]
    found = kept(events, marked=True, sums=2 * SUMS_PER_WINDOW)
    assert [made.metadata["count"] for made in found] == [40, 40]


def test_only_so_many_sums_are_open():
    """Names cost nothing; the oldest is stored early."""
    limit = JobLimit(events_max=0, marked=True)
    stored = [made for n in range(3 * OPEN_SUMS_MAX) for made in limit.take(received(1, f"peer {n}"))]
    assert len(stored) == 2 * OPEN_SUMS_MAX
    assert len(limit.close()) == OPEN_SUMS_MAX


CHUNKS = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(["good", "bad", "twice", "slow"]), st.integers(0, 4000)),
    max_size=40,
)


@given(chunks=CHUNKS, events_max=st.integers(0, 30))
def test_the_summary_is_the_same_as_without_a_limit(chunks, events_max):
    """Bytes, chunks, failures, duplicates and time, of each peer and of all."""
    events = [at(0, EventType.JOB_START, "started"), *map(_chunk, range(1, len(chunks) + 1), chunks)]
    limited = [made for made in kept(events, events_max=events_max) if made.action != LIMIT_REACHED]
    whole, summed = summarise(events), summarise(limited)
    assert replace(summed, average_throughput_bytes_per_s=0, peers=()) == replace(
        whole, average_throughput_bytes_per_s=0, peers=()
    )
    assert [(p.name, p.chunks, p.bytes_contributed, p.chunks_failed, p.bytes_refused) for p in summed.peers] == [
        (p.name, p.chunks, p.bytes_contributed, p.chunks_failed, p.bytes_refused) for p in whole.peers
    ]


def _chunk(number, chunk):
    peer, what, took_ms = chunk
    kind = EventType.CHUNK_TIMED_OUT if what == "slow" else EventType.CHUNK_RECEIVED
    plain = event(number, kind, what, peer_id=peer, source="overlay", bytes_transferred=number, job_id=JOB)
    code = {"good": "", "bad": "bad hash", "twice": "duplicate", "slow": "silent"}[what]
    return replace(plain, duration_ms=float(took_ms), is_error=bool(code), error_code=code)


def test_a_job_that_never_ends_has_few_sums(monkeypatch):
    """A month, with a chunk every ten minutes: 4,320 of them, and the windows grow."""
    monkeypatch.setattr(limit_module, "SUMS_PER_WINDOW", 10)
    limit = JobLimit(events_max=0, marked=True)
    assert sum(len(limit.take(received(second))) for second in range(0, 30 * 86_400, 600)) < 200
