"""Look-ups beside the loop: over the real client and database, in virtual time."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from musicbrainz_server import LOVELESS, WITH_EXTRAS, Catalogue, medium, release, serving, track
from musicbrainz_server import mbid as number
from reconcile_builders import JOB, OTHER_JOB, POLICY

from reconciler.config import MusicBrainzSettings
from reconciler.manifests.model import JobType
from reconciler.musicbrainz.answers import Answers
from reconciler.musicbrainz.client import MusicBrainz
from reconciler.musicbrainz.model import Subject
from reconciler.musicbrainz.resolutions import ResolutionStore
from reconciler.reconcile.actions import LookUp
from reconciler.reconcile.lookups import LookUps
from reconciler.reconcile.observed import LookUpState
from reconciler.state.database import Database
from reconciler.state.jobs import JobStore
from reconciler.traces.model import EventType

WALL_S = 1_800_000_000.0


class LoopClock:
    """The clocks of the daemon, by the loop's."""

    def wall(self):
        return WALL_S + self.monotonic()

    def monotonic(self):
        return asyncio.get_running_loop().time()


class Told:
    """Takes events."""

    def __init__(self):
        self.events = []

    def report(self, event):
        self.events.append(event)


class Rig:
    """Look-ups over a catalogue, and what came of them."""

    def __init__(self, database, catalogue):
        self.database, self.catalogue = database, catalogue
        self.resolutions = ResolutionStore(database)
        self.told, self.ended = Told(), []

    @asynccontextmanager
    async def running(self):
        """Look-ups that are served while the block runs."""
        async with serving(self.catalogue) as url, asyncio.TaskGroup() as tasks:
            clock = LoopClock()
            client = MusicBrainz(MusicBrainzSettings(url=url), memory=Answers(self.database), clock=clock)
            lookups = LookUps(
                catalogue=client,
                resolutions=self.resolutions,
                reporter=self.told,
                clock=clock,
                chance=lambda: 0.0,
                entropy=bytes,
                policy=POLICY,
                on_end=self.ended.append,
            )
            serve = tasks.create_task(lookups.serve())
            try:
                yield lookups
            finally:
                serve.cancel()
                await client.close()

    async def until(self, count):
        """Wait until so many have ended."""
        while len(self.ended) < count:  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(0.5)


@pytest.fixture
def rig(tmp_path):
    database = Database.open(tmp_path / "state" / "reconciler.db")
    jobs = JobStore(database)
    for job_id in (JOB, OTHER_JOB):
        jobs.observe_spec(job_id, path=f"{job_id}.yml", job_type=JobType.MB_RELEASE, spec_digest="sha256:x", now=1.0)
    yield Rig(database, Catalogue(releases=[LOVELESS, WITH_EXTRAS]))
    database.close()


def look(mbid=0x100, job_id=JOB, generation=1, **more):
    return LookUp(job_id=job_id, generation=generation, subject=Subject(kind="release", mbid=number(mbid)), **more)


def test_what_is_found_is_kept_and_told(virtual_loop, rig):
    """In the database before the job is woken, and in its trace with what was left out and why."""

    async def main():
        async with rig.running() as lookups:
            lookups.begin(look(0x102))
            lookups.begin(look(0x102))
            assert lookups.busy
            assert lookups.state(JOB) == LookUpState(generation=1)
            await rig.until(1)
            assert (lookups.busy, lookups.state(JOB)) == (False, None)

    virtual_loop.run(main())
    assert rig.ended == [JOB]
    found = rig.resolutions.get(JOB, 1)
    assert [each.position for each in found.tracks] == [1, 4, 6]
    [event] = rig.told.events
    assert (event.type, event.action, event.source) == (EventType.JOB_START, "resolved", "musicbrainz")
    assert event.peer_id.startswith("127.0.0.1:")
    assert (event.metadata["tracks"], event.metadata["skipped"]) == (3, 5)
    assert event.metadata["skipped_2"] == "1-2 A film: it is a video"


def test_a_merged_id_is_recorded(virtual_loop, rig):
    """Both ids, in the resolution and in the trace."""
    rig.catalogue.merged = {number(9): number(0x100)}

    async def main():
        async with rig.running() as lookups:
            lookups.begin(look(9))
            await rig.until(1)

    virtual_loop.run(main())
    found = rig.resolutions.get(JOB, 1)
    assert (found.asked, found.mbid) == (number(9), number(0x100))
    assert rig.told.events[0].metadata["merged_from"] == number(9)


def test_an_unknown_release_is_a_failure_that_stays(virtual_loop, rig):
    """With what to do; nothing is planned."""

    async def main():
        async with rig.running() as lookups:
            lookups.begin(look(1))
            await rig.until(1)
            failure = lookups.state(JOB).failure
            assert (failure.code, failure.retry_at) == ("not found", None)
            assert "copy the id from its page" in failure.message
            rig.catalogue.releases.append(release(1, "New", medium(1, track(1, "A", 1))))
            lookups.begin(look(1, fresh=True))
            await rig.until(2)
            assert lookups.state(JOB) is None

    virtual_loop.run(main())
    assert [event.is_error for event in rig.told.events] == [True, False]
    assert rig.resolutions.get(JOB, 1).title == "New"


def test_a_server_that_fails_is_tried_again_later_and_later(virtual_loop, rig):
    """By the intervals of retries; one that asks for more time has it."""
    rig.catalogue.troubles = [(503, {"Retry-After": "500"}), b"<html>", b"<html>"]
    waits = []

    async def main():
        async with rig.running() as lookups:
            for count in range(1, 4):
                lookups.begin(look())
                await rig.until(count)
                failure = lookups.state(JOB).failure
                waits.append(failure.retry_at - WALL_S - asyncio.get_running_loop().time())
                await asyncio.sleep(600)
            lookups.begin(look())
            await rig.until(4)
            assert lookups.state(JOB) is None

    virtual_loop.run(main())
    assert waits[0] == pytest.approx(500, abs=2)
    assert 0 < waits[1] < waits[2] <= POLICY.retry_interval_s_max


def test_a_release_of_films_has_nothing_to_fetch(virtual_loop, rig):
    """Its trace says why each track is left out."""
    rig.catalogue.releases.append(release(2, "Films", medium(1, track(1, "A", 1, video=True))))

    async def main():
        async with rig.running() as lookups:
            lookups.begin(look(2))
            await rig.until(1)
            assert lookups.state(JOB).failure.code == "nothing to fetch"

    virtual_loop.run(main())
    assert rig.resolutions.get(JOB, 1) is None
    assert [event.action for event in rig.told.events] == ["resolved", "look-up failed"]


def test_a_later_wish_takes_the_place_of_one_that_waits(virtual_loop, rig):
    """Each generation keeps its own answer; those before the last two are dropped."""

    async def main():
        async with rig.running() as lookups:
            lookups.begin(look(0x102, generation=1))
            lookups.begin(look(0x100, generation=2))
            await rig.until(1)
            lookups.begin(look(0x100, job_id=OTHER_JOB))
            await rig.until(2)
            lookups.begin(look(0x102, generation=4))
            await rig.until(3)

    virtual_loop.run(main())
    assert rig.resolutions.get(JOB, 1) is None
    assert rig.resolutions.get(JOB, 2) is None
    assert rig.resolutions.get(JOB, 4).title == "Hidden Things"
    assert rig.resolutions.get(OTHER_JOB, 1).title == "Loveless"
    assert len(rig.catalogue.asked) == 2
