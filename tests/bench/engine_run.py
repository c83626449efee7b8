"""One run of the real engine over plain servers, timed from its start to the published name.

Owns: building an engine as the daemon does, without manifests. Never: compares (tests/bench/swarm.py).

    engine_run.py OUT FACTS.json SIZE URL...
"""

import asyncio
import json
import os
import resource
import sys
import time
from pathlib import Path

from reconciler.clock import Clock, SystemClock
from reconciler.engine.disk import Shelves
from reconciler.engine.engine import Engine
from reconciler.engine.lane_link import LaneLink
from reconciler.engine.lane_orders import Post
from reconciler.engine.lane_pool import LanePool
from reconciler.engine.order import JobOrder, TrackOrder
from reconciler.engine.pace import Patience, RescuePolicy
from reconciler.engine.partfile import PartStore
from reconciler.ids import JobId, Root, TrackPosition
from reconciler.library.index import LibraryIndex
from reconciler.manifests.model import Constraints, JobType, UrlSource
from reconciler.sources.base import Want
from reconciler.sources.http import HttpSource
from reconciler.state.database import Database
from reconciler.state.jobs import JobRecord, JobStore
from reconciler.state.peers import PeerStore
from reconciler.traces.store import TraceStore

JOB = JobId("01HRQ4GSX9K47J7M5FK7VW8B12")


def order_of(out: Path, facts: dict, size: int, urls: list[str]) -> JobOrder:
    """One file from every URL."""
    want = Want(
        position=TrackPosition(1),
        root=Root(facts["root"]),
        size=size,
        chunk_hashes_url=urls[0] + ".chunks",
        sources=tuple(UrlSource(url=url) for url in urls),
    )
    (out / "library").mkdir()
    return JobOrder(
        job_id=JOB,
        generation=1,
        target_dir=str(out / "library"),
        allowed_root=str(out / "library"),
        constraints=Constraints(),
        tracks=(TrackOrder(want=want, title="file", stem="file.bin", extension=""),),
    )


def byte_path(post: Post, clock: Clock) -> LanePool:
    """The lanes as the daemon makes them."""
    links = tuple(LaneLink(post=post, clock=clock, stall_timeout_s=15.0) for _ in range(2))
    for link in links:
        link.await_ready()
    return LanePool(links)


async def fetch(out: Path, order: JobOrder, database: Database) -> float:
    """Seconds from the engine's start to its end."""
    changed = asyncio.Event()
    clock = SystemClock()
    source = HttpSource(timeout_s=10.0)
    traces = TraceStore(database, out / "logs")
    JobStore(database).put(JobRecord(job_id=JOB, path="bench", job_type=JobType.MULTI_SOURCE, spec_digest=""))
    engine = Engine(
        sources=(source,),
        shelves=Shelves(
            parts=PartStore(parts=out / "parts", quarantine=out / "quarantine"),
            index=LibraryIndex(database),
            jobs=JobStore(database),
            peers=PeerStore(database),
            flush_traces=traces.flush,
            clock=clock,
        ),
        reporter=traces,
        clock=clock,
        entropy=os.urandom,
        patience=Patience(stall_timeout_s=15.0, rescue=RescuePolicy()),
        make_byte_path=lambda post: byte_path(post, clock),
        on_change=lambda _: changed.set(),
    )
    serving = asyncio.get_running_loop().create_task(engine.serve())
    await engine.ready()
    began = time.perf_counter()
    await engine.start(order)
    while (progress := engine.progress(JOB)) is None or progress.outcome is None:
        changed.clear()
        await changed.wait()
    seconds = time.perf_counter() - began
    assert progress.outcome == "completed", progress
    serving.cancel()
    await asyncio.wait({serving})
    await source.close()
    return seconds


def main() -> None:
    """Print one line of JSON: seconds, processor seconds, peak memory."""
    out, facts, size, urls = (
        Path(sys.argv[1]),
        json.loads(Path(sys.argv[2]).read_text()),
        int(sys.argv[3]),
        sys.argv[4:],
    )
    database = Database.open(out / "state" / "reconciler.db")
    seconds = asyncio.run(fetch(out, order_of(out, facts, size, urls), database))
    used = resource.getrusage(resource.RUSAGE_SELF)
    lanes = resource.getrusage(resource.RUSAGE_CHILDREN)
    database.close()
    print(
        json.dumps(
            {
                "seconds": round(seconds, 3),
                "cpu_s": round(used.ru_utime + used.ru_stime, 2),
                "lanes_cpu_s": round(lanes.ru_utime + lanes.ru_stime, 2),
                "peak_mib": (used.ru_maxrss + lanes.ru_maxrss) >> 10,
            }
        )
    )


if __name__ == "__main__":
    main()
