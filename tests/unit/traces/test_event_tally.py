"""Figures of what happens in jobs: counted on the way to the store, and passed on as it came."""

from reconciler.ids import JobId
from reconciler.traces.model import EventType, SwarmEvent
from reconciler.traces.tally import SOURCES_MAX, EventTally

JOB = JobId("01HRQ4GSX9K47J7M5FK7VW8B12")


class Kept(list):
    """A Reporter that keeps what it gets."""

    report = list.append


def event(kind, size=0, *, source="http", is_error=False):
    """An event that brought so many bytes."""
    return SwarmEvent(event_id="e", timestamp_ms=1, type=kind, job_id=JOB, action="a", source=source,
                      bytes_transferred=size, is_error=is_error)  # fmt: skip


def test_bytes_are_counted_by_what_became_of_them():
    """Accepted ones and those in vain apart, by source, and every event goes on."""
    kept = Kept()
    tally = EventTally(kept)
    told = [
        event(EventType.CHUNK_RECEIVED, 100),
        event(EventType.CHUNK_RECEIVED, 10, source="overlay"),
        event(EventType.CHUNK_RECEIVED, 7, is_error=True),
        event(EventType.CHUNK_FAILED, 3),
        event(EventType.CHUNK_REQUESTED),
    ]
    for each in told:
        tally.report(each)
    assert kept == told
    assert dict(tally.received_bytes) == {"http": 100, "overlay": 10}
    assert dict(tally.refused_bytes) == {"http": 10}
    assert tally.events[EventType.CHUNK_RECEIVED] == 3


def test_sources_cannot_fill_the_figures():
    """Should a name ever come from elsewhere, all further ones are one."""
    tally = EventTally(Kept())
    for number in range(SOURCES_MAX * 2):
        tally.report(event(EventType.CHUNK_RECEIVED, 1, source=f"s{number}"))
    assert len(tally.received_bytes) == SOURCES_MAX + 1
    assert tally.received_bytes["other"] == SOURCES_MAX
