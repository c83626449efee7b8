"""What is known of peers, from memory to a real database and back."""

import asyncio
import sqlite3
from dataclasses import replace

import pytest

from reconciler.engine.neighbours import Neighbours
from reconciler.engine.peer_memory import PeerMemory
from reconciler.ids import JobId
from reconciler.simulation.content import JOB, order_of
from reconciler.sources.base import PeerKey
from reconciler.state import database as database_module
from reconciler.state.database import Database
from reconciler.state.peers import PeerStore

OTHER = JobId("01HRQ4GSX9K47J7M5FK7VW8B13")
PEER = PeerKey("overlay:a")


class Time:
    """Both clocks, standing still."""

    def wall(self):
        return 1_790_000_000.0

    def monotonic(self):
        return 50.0


class Rig:
    """A memory over the database in a folder."""

    def __init__(self, folder):
        self.database = Database.open(folder / "reconciler.db")
        self.store = PeerStore(self.database)
        self.neighbours = Neighbours(bandwidth_bytes_per_s=0.0)
        self.memory = PeerMemory(self.store, self.neighbours, Time())


@pytest.fixture
def rig(tmp_path):
    made = Rig(tmp_path)
    yield made
    made.database.close()


def test_what_running_jobs_saw_is_kept_and_read_again(tmp_path, rig):
    """Speed and ban are there for the next start."""
    seat = rig.neighbours.seat(order_of((1,)))

    async def first():
        await rig.memory.open()
        seat.delivered(PEER, bytes_received=1 << 20, duration_s=0.5)
        seat.lied(PEER, "chunk 3 does not match its hash", now=50.0)
        await rig.memory.keep()

    asyncio.run(first())
    again = Rig(tmp_path)
    asyncio.run(again.memory.open())
    again.database.close()
    found = again.neighbours.book.get(PEER)
    assert (found.chunks_good, found.recent_bytes, found.last_seen) == (1, 1 << 20, 1_790_000_000.0)
    assert again.neighbours.book.prior(PEER, 1_790_000_001.0).banned


def test_nothing_new_is_no_write(rig):
    """An idle daemon lets the disk sleep."""

    async def main():
        await rig.memory.open()
        before = rig.database.read(lambda c: c.execute("PRAGMA data_version").fetchone())
        for _ in range(3):
            await rig.memory.keep()
        assert rig.database.read(lambda c: c.execute("PRAGMA data_version").fetchone()) == before

    asyncio.run(main())


def test_a_pardon_reaches_running_jobs(tmp_path, rig):
    """The command has left word in the file; every job that runs is told."""

    async def main():
        await rig.memory.open()
        rig.neighbours.seat(order_of((1,))).lied(PEER, "lied", now=50.0)
        rig.neighbours.seat(replace(order_of((1,)), job_id=OTHER))
        await rig.memory.keep()
        rig.neighbours.take_words()
        beside = Database.open_beside(tmp_path / "reconciler.db")
        PeerStore(beside).forget([PEER])
        beside.close()
        await rig.memory.keep()

    asyncio.run(main())
    assert [(job, word.banned) for job, word in rig.neighbours.take_words()] == [(JOB, ""), (OTHER, "")]
    assert rig.neighbours.book.get(PEER) is None
    assert rig.store.all() == []


def test_what_the_disk_refuses_is_written_the_next_time(tmp_path, rig, monkeypatch):
    """Another process holds the lock for longer than anybody waits."""
    monkeypatch.setattr(database_module, "BUSY_TIMEOUT_S", 0.05)
    patient = Rig(tmp_path)

    async def main():
        await patient.memory.open()
        patient.neighbours.seat(order_of((1,))).delivered(PEER, bytes_received=1, duration_s=1.0)
        held = sqlite3.connect(tmp_path / "reconciler.db", isolation_level=None)
        held.execute("BEGIN IMMEDIATE")
        await patient.memory.keep()
        held.execute("ROLLBACK")
        held.close()
        assert patient.store.all() == []
        await patient.memory.keep()

    asyncio.run(main())
    assert [each.peer for each in patient.store.all()] == [PEER]
    patient.database.close()
