"""One run of the real engine over plain servers, timed from its start to the published name.

Owns: building an engine as the daemon does, without manifests. Never: compares (tests/bench/swarm.py).

    engine_run.py '{"out": FOLDER, "root": ROOT, "size": BYTES, "urls": [...], "list_url": URL, "stall_timeout_s": 15,
    "busy": false, "events_per_s": 0}'
"""

import asyncio
import json
import os
import re
import sys
import threading
import time
from pathlib import Path

from event_load import events

from reconciler.clock import Clock, SystemClock
from reconciler.engine.disk import Shelves
from reconciler.engine.engine import Engine
from reconciler.engine.lane_link import LaneLink
from reconciler.engine.lane_orders import Post
from reconciler.engine.lane_pool import LanePool
from reconciler.engine.lane_process import SWITCH_INTERVAL_S
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
from reconciler.traces.upkeep import keep_writing

JOB = JobId("01HRQ4GSX9K47J7M5FK7VW8B12")

# As in reconciler.daemon.
LANE_PROCESSES = 2

BATCH_S = 0.01
LOAD_S_MAX = 30
"""Events are made for so long a download."""


class Lanes:
    """The byte path as the daemon makes it, and what its processes need of memory."""

    def __init__(self, stall_timeout_s: float) -> None:
        self._stall_timeout_s = stall_timeout_s
        self.links: tuple[LaneLink, ...] = ()

    def make(self, post: Post, clock: Clock) -> LanePool:
        self.links = tuple(
            LaneLink(post=post, clock=clock, stall_timeout_s=self._stall_timeout_s) for _ in range(LANE_PROCESSES)
        )
        for link in self.links:
            link.await_ready()
        return LanePool(self.links)

    def peak_mib(self) -> float:
        return sum(peak_mib(link.process_id) for link in self.links)

    def cpu_s(self) -> float:
        return sum(cpu_s(link.process_id) for link in self.links)


def peak_mib(process: int | str) -> float:
    """The most memory that a process had, as the kernel counts it."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024


def cpu_s(process: int | str) -> float:
    """Processor time of a process so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def order_of(asked: dict) -> JobOrder:
    """One file from every URL."""
    out = Path(asked["out"])
    want = Want(
        position=TrackPosition(1),
        root=Root(asked["root"]),
        size=asked["size"],
        chunk_hashes_url=asked["list_url"],
        sources=tuple(UrlSource(url=url) for url in asked["urls"]),
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


def engine_on(
    asked: dict, database: Database, *, lanes: Lanes, source: HttpSource, traces: TraceStore, changed: asyncio.Event
) -> Engine:
    """Build an engine as the daemon does."""
    out, clock = Path(asked["out"]), SystemClock()
    return Engine(
        sources=(source,),
        shelves=Shelves(
            parts=PartStore(parts=out / "parts", quarantine=out / "quarantine"),
            index=LibraryIndex(database),
            jobs=JobStore(database),
            peers=PeerStore(database),
            flush_traces=traces.flush_job,
            clock=clock,
        ),
        reporter=traces,
        entropy=os.urandom,
        patience=Patience(stall_timeout_s=asked["stall_timeout_s"], rescue=RescuePolicy()),
        bandwidth_bytes_per_s=0.0,
        make_byte_path=lambda post: lanes.make(post, clock),
        on_change=lambda _: changed.set(),
    )


async def fetch(asked: dict, database: Database, lanes: Lanes) -> dict[str, float]:
    """What it costs from the engine's start to its end: seconds, processor seconds, memory."""
    changed = asyncio.Event()
    source = HttpSource(timeout_s=10.0)
    traces = TraceStore(database, Path(asked["out"]) / "logs")
    engine = engine_on(asked, database, lanes=lanes, source=source, traces=traces, changed=changed)
    JobStore(database).put(JobRecord(job_id=JOB, path="bench", job_type=JobType.MULTI_SOURCE, spec_digest=""))
    order = order_of(asked)
    loop = asyncio.get_running_loop()
    tasks = {loop.create_task(engine.serve()), loop.create_task(keep_writing(traces))}
    await engine.ready()
    if asked["busy"]:
        threading.Thread(target=_compute, daemon=True).start()
    load = Load(traces, events_per_s=asked["events_per_s"])
    began, used = time.perf_counter(), cpu_s("self") + lanes.cpu_s()
    load.start()
    await engine.start(order)
    arrived_s = 0.0
    while (progress := engine.progress(JOB)) is None or progress.outcome is None:
        if not arrived_s and progress is not None and progress.tracks[0].phase == "verifying":
            arrived_s = time.perf_counter() - began
        changed.clear()
        await changed.wait()
    seconds = time.perf_counter() - began
    assert progress.outcome == "completed", progress
    used = cpu_s("self") + lanes.cpu_s() - used
    reported = load.stop()
    memory = peak_mib("self") + lanes.peak_mib()
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    await source.close()
    traces.flush()
    stored, dropped = database.read(lambda c: c.execute(BESIDE, (JOB,)).fetchone())
    assert stored + dropped == reported
    return {
        "seconds": round(seconds, 3),
        "arrived_s": round(arrived_s, 3),
        "cpu_s": round(used, 2),
        "peak_mib": round(memory, 1),
        "events_per_s": round(stored / seconds),
        "events_dropped": dropped,
    }


BESIDE = """
SELECT coalesce(sum(action <> 'events dropped'), 0), coalesce(sum(json_extract(metadata_json, '$.count')), 0)
FROM SwarmEvents WHERE job_id <> ?
"""


class Load:
    """Events of other jobs, reported from a thread of this process in a batch every few milliseconds."""

    def __init__(self, traces: TraceStore, *, events_per_s: int) -> None:
        self._traces = traces
        self._batch = int(events_per_s * BATCH_S)
        # Made before the clock starts: it is the storing that is measured.
        self._events = events(events_per_s * LOAD_S_MAX) if events_per_s else []
        self._reported = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin to report."""
        self._thread.start()

    def stop(self) -> int:
        """End; gives how many were reported."""
        self._ended.set()
        self._thread.join()
        return self._reported

    def _run(self) -> None:
        due = time.perf_counter()
        while self._reported < len(self._events) and not self._ended.is_set():
            for event in self._events[self._reported : self._reported + self._batch]:
                self._traces.report(event)
            self._reported += self._batch
            due += BATCH_S
            time.sleep(max(0.0, due - time.perf_counter()))


def _compute() -> None:
    """Keep the interpreter busy, as a daemon with very many manifests would."""
    while True:
        sum(range(1000))


def main() -> None:
    """Print one line of JSON: seconds, processor seconds, peak memory, all of every process."""
    asked = json.loads(sys.argv[1])
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    database = Database.open(Path(asked["out"]) / "state" / "reconciler.db")
    told = asyncio.run(fetch(asked, database, Lanes(asked["stall_timeout_s"])))
    database.close()
    print(json.dumps(told))


if __name__ == "__main__":
    main()
