"""Telling hooks until they have been told, in virtual time and with a real database."""

import asyncio
import itertools
import sqlite3

import pytest
from hook_builders import JOB, NOW, delivery, ending

from reconciler.errors import DiskFullError
from reconciler.hooks.courier import Courier
from reconciler.hooks.model import Answer
from reconciler.hooks.schedule import TRIES_MAX
from reconciler.manifests.model import JobState, JobType
from reconciler.state.database import Database
from reconciler.state.deliveries import DeliveryStore, add_deliveries
from reconciler.state.jobs import JobRecord, JobStore
from reconciler.traces.model import EventType, SwarmEvent
from reconciler.traces.rows import row_of

GOOD = Answer(delivered=True, result="exit status 0")
BAD = Answer(delivered=False, result="exit status 1: no\nroom")


class LoopClock:
    def wall(self):
        return NOW + self.monotonic()

    def monotonic(self):
        return asyncio.get_running_loop().time()


class Listener:
    """A hook that answers as it is told to, the last answer for ever."""

    def __init__(self, *answers, name="command"):
        self.name = name
        self.answers = list(answers)
        self.told = []

    def wants(self, ending):
        return ending.event == "job.completed"

    async def tell(self, delivery):
        self.told.append((asyncio.get_running_loop().time(), delivery.delivery_id))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class Said:
    """Keeps the events."""

    def __init__(self):
        self.events = []

    def report(self, event):
        self.events.append(event)


@pytest.fixture
def database(tmp_path):
    opened = Database.open(tmp_path / "reconciler.db")
    yield opened
    opened.close()


@pytest.fixture
def store(database):
    return DeliveryStore(database)


def courier(store, *hooks, said=None):
    counted = itertools.count(1)
    return Courier(
        hooks,
        store=store,
        reporter=said or Said(),
        clock=LoopClock(),
        chance=lambda: 0.0,
        entropy=lambda count: next(counted).to_bytes(count, "big"),
    )


def add(database, *deliveries):
    database.write(lambda connection: add_deliveries(connection, deliveries)).result()


def serve_for(virtual_loop, carrier, seconds):
    """Serve for so long, as a daemon that is then stopped."""

    async def main():
        task = asyncio.create_task(carrier.serve())
        await asyncio.sleep(seconds)
        task.cancel()
        await asyncio.wait([task])

    virtual_loop.run(main())


def finish(database, carrier_deliveries, state=JobState.COMPLETED):
    """Record the end of the job with what hooks are told of it."""
    record = JobRecord(job_id=JOB, path="a.yml", job_type=JobType.MB_RELEASE, spec_digest="sha256:1", state=state)
    event = SwarmEvent(
        event_id="01HRQ4GSX9K47J7M5FK7VW8E01",
        timestamp_ms=1,
        type=EventType.JOB_COMPLETE,
        job_id=JOB,
        action=state.value,
    )
    return JobStore(database).record_finished(record, row_of(event), carrier_deliveries)


def test_a_hook_is_told_of_an_end_once(virtual_loop, database, store):
    """However long the daemon runs, and however often the end is recorded."""
    hook, other = Listener(GOOD), Listener(GOOD, name="webhook:example.org:1")

    async def main():
        carrier = courier(store, hook, other)
        task = asyncio.create_task(carrier.serve())
        await asyncio.sleep(3600)
        for _ in range(2):
            finish(database, carrier.deliveries(ending(ended_at=LoopClock().wall())))
            carrier.wake()
            await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait([task])

    virtual_loop.run(main())
    assert [at for at, _ in hook.told] == [3600.0]
    assert len(other.told) == 1
    assert {each.state for each in store.all()} == {"delivered"}


def test_an_end_that_is_not_stored_is_not_told(database, store):
    """Both are one transaction: where the end is rolled back, so is the telling."""
    carrier = courier(store, Listener(GOOD))

    async def made():
        return carrier.deliveries(ending())

    twice = asyncio.run(made()) * 2
    with pytest.raises(sqlite3.IntegrityError):
        finish(database, twice)
    assert store.all() == []
    assert JobStore(database).get(JOB) is None


def test_who_wants_nothing_is_not_written_down(store):
    """No row, and no document made."""
    assert courier(store, Listener(GOOD)).deliveries(ending(event="job.failed")) == ()


def test_a_failure_is_told_again_later_and_each_time(virtual_loop, database, store):
    """After ten seconds, then forty; the log, the trace and the table say why."""
    hook, said = Listener(BAD, BAD, GOOD), Said()
    add(database, delivery())
    serve_for(virtual_loop, courier(store, hook, said=said), 1000)
    assert hook.told == [(0.0, delivery().delivery_id), (10.0, delivery().delivery_id), (50.0, delivery().delivery_id)]
    assert [each.action for each in said.events] == ["hook failed", "hook failed"]
    assert said.events[0].error_message == "command: exit status 1: no\nroom"
    assert said.events[0].job_id == JOB
    (row,) = store.all()
    assert (row.state, row.tries, row.result) == ("delivered", 3, "exit status 0")


def test_it_ends_some_time(virtual_loop, database, store):
    """After eight tries it is given up, and said."""
    hook, said = Listener(BAD), Said()
    add(database, delivery())
    serve_for(virtual_loop, courier(store, hook, said=said), 7 * 86_400)
    assert len(hook.told) == TRIES_MAX
    assert [each.action for each in said.events][-2:] == ["hook failed", "hook given up"]
    assert store.all()[0].state == "given up"


def test_what_is_final_is_not_tried_again(virtual_loop, database, store):
    """Once is enough for who is gone."""
    hook = Listener(Answer(delivered=False, result="answered 410", is_final=True))
    add(database, delivery())
    serve_for(virtual_loop, courier(store, hook), 86_400)
    assert len(hook.told) == 1


def test_a_failure_holds_up_nothing_behind_it(virtual_loop, database, store):
    """The next is told at once, the first when its time comes."""
    hook = Listener(BAD, GOOD)
    first, second = delivery("01HRQ4GSX9K47J7M5FK7VW8D01"), delivery("01HRQ4GSX9K47J7M5FK7VW8D02")
    add(database, first, second)
    serve_for(virtual_loop, courier(store, hook), 100)
    assert hook.told == [(0.0, first.delivery_id), (0.0, second.delivery_id), (10.0, first.delivery_id)]


def test_a_restart_goes_on(virtual_loop, database, store):
    """The tries count on, and a telling that was cut off is told again under the same id."""
    add(database, delivery())
    serve_for(virtual_loop, courier(store, Listener(BAD)), 15)
    assert store.all()[0].tries == 2

    class Slow(Listener):
        async def tell(self, delivery):
            await super().tell(delivery)
            await asyncio.sleep(3600)

    slow, hook = Slow(GOOD), Listener(GOOD)
    serve_for(virtual_loop, courier(store, slow), 100)
    assert store.all()[0].tries == 2
    serve_for(virtual_loop, courier(store, hook), 10)
    assert [told for _, told in slow.told + hook.told] == [delivery().delivery_id] * 2
    assert store.all()[0].state == "delivered"


def test_what_waits_for_a_hook_that_is_no_more_is_given_up(virtual_loop, database, store):
    """When the configuration names it no longer."""
    add(database, delivery(hook="webhook:gone:1"))
    serve_for(virtual_loop, courier(store), 1)
    (row,) = store.all()
    assert (row.state, row.result) == ("given up", "it is not configured any more")


def test_a_run_that_ends_tells_everybody_once(virtual_loop, database, store):
    """What fails then is for the next run."""
    hook = Listener(BAD, GOOD)
    add(database, delivery("01HRQ4GSX9K47J7M5FK7VW8D01"), delivery("01HRQ4GSX9K47J7M5FK7VW8D02"))
    add(database, delivery("01HRQ4GSX9K47J7M5FK7VW8D03", next_at=NOW + 1e6))
    virtual_loop.run(courier(store, hook).drain())
    assert len(hook.told) == 2
    assert sorted(each.state for each in store.all()) == ["delivered", "waiting", "waiting"]


def test_a_full_disk_does_not_tell_twice(virtual_loop, database):
    """The telling is not done again, its note is."""

    class FullForAWhile(DeliveryStore):
        refusals = 3

        def put(self, delivery):
            if self.refusals:
                self.refusals -= 1
                raise DiskFullError("no room")
            super().put(delivery)

    store, hook = FullForAWhile(database), Listener(GOOD)
    add(database, delivery())
    serve_for(virtual_loop, courier(store, hook), 100)
    assert len(hook.told) == 1
    assert store.all()[0].state == "delivered"
