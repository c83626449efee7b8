"""The HTTP API over real sockets: served from a thread of its own, above a real database and real folders.

Owns: serving it, and asking it. Never: the daemon around it; tests/e2e starts that.
"""

import asyncio
import contextlib
import http.client
import json
import os
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from reconciler.addresses import HostPort
from reconciler.api.allowance import Rate
from reconciler.api.app import behind_the_door, make_app
from reconciler.api.figures import Figures, Watched
from reconciler.api.guard import DoorRules
from reconciler.api.means import ApiMeans
from reconciler.api.server import bound, serving, threads
from reconciler.api.stream import StreamBounds
from reconciler.clock import SystemClock
from reconciler.config import Settings, SwarmEventSettings
from reconciler.engine.order import JobProgress
from reconciler.ids import JobId
from reconciler.manifests.model import JobState, JobType
from reconciler.reconcile.observe import Folders
from reconciler.reconcile.policy import policy_of
from reconciler.reconcile.queue import WorkQueue
from reconciler.reconcile.tally import LoopTally
from reconciler.state.database import Database
from reconciler.state.jobs import JobStore
from reconciler.traces.store import TraceStore
from reconciler.traces.tally import EventTally

TOKEN = "t" * 43
RULES = DoorRules(
    token=TOKEN,
    loopback=True,
    reads=Rate(burst=1_000_000, per_s=1e6),
    writes=Rate(burst=1_000_000, per_s=1e6),
    wrong_tokens=Rate(burst=1_000_000, per_s=1e6),
)
START_S_MAX = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(slots=True, kw_only=True)
class ApiWorld:
    """An API that is served, and what stands behind it."""

    root: Path
    database: Database
    traces: TraceStore
    app: Any
    port: int = 0
    looked_at: list[str] = field(default_factory=list)
    progress: dict[str, JobProgress] = field(default_factory=dict)
    waits_for: list[str] = field(default_factory=list)

    def reset(self) -> None:
        """Make it as it was when it was made: no file, no job, no event, nothing heard."""
        for file in (*self.root.glob("jobs/*/*"),):
            file.unlink()

        def empty(connection) -> None:
            for table in ("artifacts", "acted_on", "jobs", "peers", "SwarmEvents"):
                connection.execute(f"DELETE FROM {table}")

        self.database.write(empty).result()
        self.looked_at.clear()
        self.progress.clear()
        self.waits_for.clear()

    def put(self, job_id: str, *, path: str, state: JobState = JobState.PENDING, **more: Any) -> None:
        """Record a job, as a daemon does that has seen its manifest."""
        store = JobStore(self.database)
        known = JobId(job_id)
        store.observe_spec(known, path=path, job_type=JobType.MB_RELEASE, spec_digest="sha256:x", now=1.0)
        seen = store.get(known)
        assert seen is not None
        store.put(replace(seen, state=state, **more))

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=START_S_MAX)

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
        """Ask with these headers and no others but Host; `content_type` becomes Content-Type."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection = self.connection()
        try:
            connection.request(method, path, body or None, named)
            answer = connection.getresponse()
            return Answer(
                status=answer.status,
                headers={name.lower(): value for name, value in answer.getheaders()},
                body=answer.read(),
            )
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, **headers)

    def post(self, path: str, body: bytes = b"", *, kind: str = "application/yaml", **headers: str) -> Answer:
        """Ask with the token."""
        return self.ask("POST", path, body, Authorization=f"Bearer {TOKEN}", Content_Type=kind, **headers)


@contextlib.contextmanager
def served(folder: Path, *, rules: DoorRules = RULES, streams: StreamBounds | None = None):
    """Serve the API of an empty root folder below `folder`."""
    root, state = folder / "root", folder / "state"
    for name in ("active", "completed"):
        (root / "jobs" / name).mkdir(parents=True)
    (root / "library").mkdir()
    database = Database.open(state / "reconciler.db")
    traces = TraceStore(database, root / "logs" / "sessions", SwarmEventSettings())
    ready, ended = threading.Event(), threading.Event()
    world: list[ApiWorld] = []
    loops: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def serve() -> None:
        stop, closing = asyncio.Event(), asyncio.Event()
        tally = EventTally(traces)
        with contextlib.closing(bound(HostPort(host="127.0.0.1", port=0))) as listener, threads() as pool:
            served_world = ApiWorld(root=root, database=database, traces=traces, app=None)
            means = ApiMeans(
                folders=Folders(root=root),
                places=policy_of(Settings(), root=PurePosixPath(root), hostname="here").places,
                database=database,
                progress=served_world.progress.get,
                look_at=served_world.looked_at.append,
                waits_for=lambda: tuple(served_world.waits_for),
                figures=Figures(Watched(queue=WorkQueue(), loop=LoopTally(), events=tally, running=lambda: ())),
                clock=SystemClock(),
                entropy=os.urandom,
                threads=pool,
            )
            served_world.app = make_app(means, closing=closing, streams=streams)
            served_world.port = listener.getsockname()[1]
            async with serving(behind_the_door(served_world.app, means, rules), listener, closing=closing, state=state):
                world.append(served_world)
                loops.append((asyncio.get_running_loop(), stop))
                ready.set()
                await stop.wait()

    def run() -> None:
        try:
            asyncio.run(serve())
        finally:
            ended.set()
            ready.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        assert ready.wait(START_S_MAX)
        assert world, "the API did not start"
        yield world[0]
    finally:
        for loop, stop in loops:
            if not ended.is_set():
                loop.call_soon_threadsafe(stop.set)
        thread.join(START_S_MAX)
        database.close()


def strict(**rates: Rate) -> DoorRules:
    """The rules with some rates of their own."""
    return replace(RULES, **rates)
