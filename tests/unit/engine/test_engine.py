"""The engine around its jobs, in virtual time, with a real database and a source of tagged events."""

import asyncio

import pytest

from reconciler.engine.disk import Shelves
from reconciler.engine.engine import Engine
from reconciler.engine.pace import Patience, RescuePolicy
from reconciler.engine.partfile import PartStore
from reconciler.library.index import LibraryIndex
from reconciler.simulation.content import JOB, order_of
from reconciler.sources.base import Etiquette, PeerKey, PeerTrouble
from reconciler.state.database import Database
from reconciler.state.jobs import JobStore
from reconciler.state.peers import PeerStore
from reconciler.traces.store import TraceStore

LIAR = PeerKey("overlay:liar")


class Lanes:
    """A byte path that nobody reads from."""

    def close(self):
        """Nothing is open."""


class TellingSource:
    """A source whose search finds a liar, then nothing for an hour."""

    name = "overlay"
    etiquette = Etiquette(requests_in_flight_max=1)

    async def search(self, wants):
        """Give the liar away."""
        yield PeerTrouble(peer=LIAR, source="overlay", code="lied", message="its descriptor is not signed by it")
        await asyncio.sleep(3600)


class LoopClock:
    """The virtual clock; its wall stands at a fixed distance."""

    def monotonic(self):
        """The loop's time."""
        return asyncio.get_running_loop().time()

    def wall(self):
        """The loop's time, in some year."""
        return 1_790_000_000.0 + self.monotonic()


@pytest.fixture
def database(tmp_path):
    """An empty one."""
    opened = Database.open(tmp_path / "reconciler.db")
    yield opened
    opened.close()


def engine_over(database, folder):
    """An engine that can search."""
    clock = LoopClock()
    traces = TraceStore(database, folder / "logs")
    return Engine(
        sources=(TellingSource(),),
        shelves=Shelves(
            parts=PartStore(parts=folder / "parts", quarantine=folder / "quarantine"),
            index=LibraryIndex(database),
            jobs=JobStore(database),
            peers=PeerStore(database),
            flush_traces=traces.flush_job,
            clock=clock,
        ),
        reporter=traces,
        entropy=bytes,
        patience=Patience(stall_timeout_s=15.0, rescue=RescuePolicy()),
        bandwidth_bytes_per_s=0.0,
        make_byte_path=lambda _post: Lanes(),
        on_change=lambda _job: None,
    )


def test_what_a_running_job_sees_is_on_the_disk_within_ten_seconds(virtual_loop, tmp_path, database):
    """So much a crash may lose, and no more; the job runs on."""
    store = PeerStore(database)

    async def main():
        engine = engine_over(database, tmp_path)
        serving = asyncio.get_running_loop().create_task(engine.serve())
        await engine.ready()
        await engine.start(order_of((1_000_000,)))
        await asyncio.sleep(9.0)
        before = store.all()
        await asyncio.sleep(2.0)
        after = store.all()
        assert engine.progress(JOB).outcome is None
        serving.cancel()
        await asyncio.wait({serving})
        return before, after

    before, after = virtual_loop.run(main())
    assert before == []
    assert [(each.peer, each.strikes) for each in after] == [(LIAR, 1)]
