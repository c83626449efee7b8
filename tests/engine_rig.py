"""A real engine with its own database, library and lane process.

Owns: building the engine as the daemon does, running orders, reading their events. Never: asserts.
"""

import asyncio
import os
from contextlib import asynccontextmanager, contextmanager, suppress

from file_server import root_of_bytes

from reconciler.clock import SystemClock
from reconciler.engine.disk import Shelves
from reconciler.engine.engine import Engine
from reconciler.engine.lane_link import LaneLink
from reconciler.engine.order import JobOrder, TrackOrder
from reconciler.engine.pace import Patience
from reconciler.engine.partfile import PartStore
from reconciler.ids import JobId, TrackPosition
from reconciler.library.index import LibraryIndex
from reconciler.manifests.model import Constraints, JobType, UrlSource
from reconciler.sources.base import ByteRequest, Endpoint, Etiquette, Offer, PeerKey, Variant, Want
from reconciler.state.database import Database
from reconciler.state.jobs import JobRecord, JobStore
from reconciler.state.peers import PeerStore
from reconciler.traces.reading import TraceReader
from reconciler.traces.store import TraceStore

JOB = JobId("01HRQ4GSX9K47J7M5FK7VW8B12")
TIMEOUT_S = 240


class StreamSource:
    """A source whose only peer sends `song` as one stream and knows no hash: Soulseek as the engine sees it, on plain
    sockets.
    """

    name = "stream"
    etiquette = Etiquette(requests_in_flight_max=1, sequential=True)

    def __init__(self, server):
        self._server = server

    async def search(self, wants):
        for want in wants:
            size = len(self._server.files["song"])
            yield Offer(
                position=want.position,
                peer=PeerKey("stream:user"),
                source="stream",
                variant=Variant(root=None, claim="user.song", size=size, codec="FLAC", lossless=True),
                endpoint=Endpoint(host="127.0.0.1", port=self._server.port, tls=False),
                target="/song",
            )

    async def chunk_hashes(self, offer):
        raise AssertionError("nobody asks for a list that was not offered")

    async def close(self):
        """Nothing is open."""

    def request(self, offer):
        return ByteRequest(endpoint=offer.endpoint, target=offer.target, headers=())


class EngineRig:
    """An engine on `folder` with these sources."""

    def __init__(self, folder, *sources, patience: Patience, bandwidth_bytes_per_s=0.0):
        self.library = folder / "library"
        self.library.mkdir()
        self.database = Database.open(folder / "state" / "reconciler.db")
        self.traces = TraceStore(self.database, folder / "logs")
        self._changed = asyncio.Event()
        clock = SystemClock()
        self.engine = Engine(
            sources=sources,
            shelves=Shelves(
                parts=PartStore(parts=folder / "parts", quarantine=folder / "quarantine"),
                index=LibraryIndex(self.database),
                jobs=JobStore(self.database),
                peers=PeerStore(self.database),
                flush_traces=self.traces.flush_job,
                clock=clock,
            ),
            reporter=self.traces,
            entropy=os.urandom,
            patience=patience,
            bandwidth_bytes_per_s=bandwidth_bytes_per_s,
            make_byte_path=lambda post: LaneLink(post=post, clock=clock, stall_timeout_s=patience.stall_timeout_s),
            on_change=lambda _: self._changed.set(),
        )

    def order_of(self, want_of, *names, job_id=JOB, priority=0, **constraints):
        """An order for files of these names; `want_of(position)` says what is looked for."""
        JobStore(self.database).put(
            JobRecord(job_id=job_id, path=f"{job_id}.yml", job_type=JobType.MULTI_SOURCE, spec_digest="")
        )
        tracks = tuple(
            TrackOrder(want=want_of(TrackPosition(number)), title=name, stem=name, extension="")
            for number, name in enumerate(names, start=1)
        )
        return JobOrder(
            job_id=job_id,
            priority=priority,
            generation=1,
            target_dir=str(self.library),
            allowed_root=str(self.library),
            constraints=Constraints(**constraints),
            tracks=tracks,
        )

    async def fetch(self, order, *, until=lambda _: False):
        """Run the order to its end, or until `until(progress)`; gives its progress."""
        await self.engine.start(order)
        while (progress := self.engine.progress(order.job_id)).outcome is None and not until(progress):
            self._changed.clear()
            await asyncio.wait_for(self._changed.wait(), TIMEOUT_S)
        return progress

    async def until(self, is_so):
        """Wait until `is_so()`; a job tells of new phases only, so it is looked at meanwhile."""
        for _ in range(TIMEOUT_S * 20):
            if is_so():
                return
            self._changed.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), 0.05)
        raise AssertionError("it never was so")

    async def ended(self, *job_ids):
        """The progress of jobs that were started, once they have ended."""
        await self.until(lambda: all(self.engine.progress(job_id).outcome is not None for job_id in job_ids))
        return [self.engine.progress(job_id) for job_id in job_ids]

    def events(self, job_id=JOB):
        """Every event of a job."""
        self.traces.flush()
        return TraceReader(self.database).events(job_id)


@contextmanager
def closing(*parts):
    """Close them at the end."""
    try:
        yield
    finally:
        for part in parts:
            part.close()


@asynccontextmanager
async def running(folder, *sources, **engine):
    """A rig whose engine runs; its database is open until it ends."""
    rig = EngineRig(folder, *sources, **engine)
    with closing(rig.database):
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(rig.engine.serve())
            await rig.engine.ready()
            yield rig
            serving.cancel()
        for source in sources:
            await source.close()


def recording_want(recording):
    """Look for a recording by its id alone."""
    return lambda position: Want(position=position, recording=recording)


def url_want(server, name):
    """Look for a file of a FileServer by its root, there."""
    data = server.files[name]
    root, sources = root_of_bytes(data), (UrlSource(url=server.url(name)),)
    return lambda position: Want(position=position, root=root, size=len(data), sources=sources)
