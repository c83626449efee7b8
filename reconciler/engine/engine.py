"""The engine as the reconcile loop sees it: start, stop, how far.

Owns: which jobs run, and the way of a lane's event to its job. Never: decides how a job is fetched (engine.job).
"""

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Mapping
from dataclasses import replace

from loguru import logger

from reconciler.engine.disk import JobDisk, Shelves
from reconciler.engine.job import JobMachine
from reconciler.engine.lane_orders import BytePath, LaneEvent, PartId, Post
from reconciler.engine.neighbours import Neighbours
from reconciler.engine.order import JobOrder, JobProgress
from reconciler.engine.pace import Patience
from reconciler.engine.peer_memory import KEEP_S, PeerMemory
from reconciler.engine.runner import EventStamp, JobRunner, Surroundings
from reconciler.ids import JobId
from reconciler.manifests.model import Constraints
from reconciler.sources.base import Etiquette, Source
from reconciler.traces.reporter import Reporter

# Jobs running at once. The reconcile loop starts fewer; this is the bound that holds whoever asks.
JOBS_MAX = 64


class Engine:
    """Fetches jobs. `serve` must run for as long as it is used."""

    def __init__(
        self,
        *,
        sources: tuple[Source, ...],
        shelves: Shelves,
        reporter: Reporter,
        entropy: Callable[[int], bytes],
        patience: Patience,
        bandwidth_bytes_per_s: float,
        make_byte_path: Callable[[Post], BytePath],
        on_change: Callable[[JobId], None],
    ) -> None:
        self._sources: Mapping[str, Source] = {source.name: source for source in sources}
        self._shelves = shelves
        self._reporter = reporter
        self._clock = shelves.clock
        self._entropy = entropy
        self._patience = patience
        self._make_byte_path = make_byte_path
        self._on_change = on_change
        self._running: dict[JobId, tuple[JobRunner, asyncio.Task[None]]] = {}
        self._orders: dict[JobId, JobOrder] = {}
        """What each running job was last asked for."""
        self._ended: dict[JobId, JobProgress] = {}
        self._lanes: BytePath | None = None
        self._neighbours = Neighbours(bandwidth_bytes_per_s=bandwidth_bytes_per_s)
        self._memory = PeerMemory(shelves.peers, self._neighbours, shelves.clock)
        self._part_numbers = itertools.count(1)
        self._tasks: asyncio.TaskGroup | None = None
        self._open = asyncio.Event()

    async def serve(self) -> None:
        """Run until cancelled; jobs are then stopped and what is on disk is kept."""
        loop = asyncio.get_running_loop()

        def post(events: tuple[LaneEvent, ...]) -> None:
            with contextlib.suppress(RuntimeError):  # a lane that ends after the loop has nobody left to tell
                loop.call_soon_threadsafe(self._route, events)

        await self._memory.open()
        self._lanes = await asyncio.to_thread(self._make_byte_path, post)
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                self._open.set()
                try:
                    await self._keep_books()
                finally:
                    self._open.clear()
                    for job_id in list(self._running):
                        await self.stop(job_id)
        finally:
            self._tasks = None
            await asyncio.to_thread(self._lanes.close)

    async def ready(self) -> None:
        """Wait until jobs can be started."""
        await self._open.wait()

    @property
    def is_ready(self) -> bool:
        """Whether jobs can be started now."""
        return self._open.is_set()

    async def start(self, order: JobOrder) -> None:
        """Begin to fetch `order`.

        The same generation running already is left alone; a job that runs under another goes on under this one, and
        keeps what both ask for with all that is under way.
        """
        await self.ready()
        running = self._running.get(order.job_id)
        if running is not None:
            before = self._orders[order.job_id]
            if before.generation == order.generation:
                return
            # One that has its outcome already only lets go of its files: what it is told now, it does not hear.
            if running[0].progress().outcome is None and _may_change(before, order):
                self._orders[order.job_id] = order
                running[0].change(order)
                return
            await self.stop(order.job_id)
        if len(self._running) >= JOBS_MAX:
            raise RuntimeError(f"{JOBS_MAX} jobs are running; the caller starts fewer")
        assert self._tasks is not None
        assert self._lanes is not None
        self._ended.pop(order.job_id, None)
        runner = self._make_runner(order, self._lanes)
        task = self._tasks.create_task(self._run(order, runner), name=f"job {order.job_id}")
        self._running[order.job_id] = runner, task
        self._orders[order.job_id] = order

    async def stop(self, job_id: JobId) -> None:
        """Stop a job and wait until it has let go of its files; nothing happens where it does not run."""
        running = self._running.get(job_id)
        if running is not None:
            running[0].stop()
            await asyncio.wait({running[1]})

    def progress(self, job_id: JobId) -> JobProgress | None:
        """How far a job is, or how it ended; None where the engine knows nothing of it."""
        running = self._running.get(job_id)
        return running[0].progress() if running is not None else self._ended.get(job_id)

    def forget(self, job_id: JobId) -> None:
        """Drop the memory of a job that has ended."""
        self._ended.pop(job_id, None)

    def running(self) -> tuple[JobProgress, ...]:
        """How far every job is that runs now."""
        return tuple(runner.progress() for runner, _ in self._running.values())

    def _make_runner(self, order: JobOrder, lanes: BytePath) -> JobRunner:
        stamp = EventStamp(order.job_id, clock=self._clock, entropy=self._entropy)
        machine = JobMachine(
            order,
            etiquettes=self._etiquettes(order.constraints),
            patience=self._patience,
            commons=self._neighbours.seat(order),
        )
        return JobRunner(
            machine,
            disk=JobDisk(order, self._shelves, stamp=stamp),
            surroundings=Surroundings(
                sources=self._sources,
                lanes=lanes,
                new_part=lambda: PartId(next(self._part_numbers)),
                reporter=self._reporter,
                clock=self._clock,
                entropy=self._entropy,
                stepped=self._pass_on,
            ),
            stamp=stamp,
            changed=lambda: self._on_change(order.job_id),
        )

    def _etiquettes(self, constraints: Constraints) -> dict[str, Etiquette]:
        """The sources that a job may use, and what their peers bear."""
        barred = {
            name
            for name, used in (("overlay", constraints.use_overlay), ("soulseek", constraints.use_soulseek))
            if not used
        }
        return {name: source.etiquette for name, source in self._sources.items() if name not in barred}

    async def _run(self, order: JobOrder, runner: JobRunner) -> None:
        """One job to its end; a mistake of ours in one job must not end the others."""
        error = ""
        try:
            await runner.run()
        except Exception as mistake:  # noqa: BLE001 - one of the outermost loops
            logger.opt(exception=mistake).error("job ended by a program error", job=order.job_id)
            error = f"program error: {mistake}"
        finally:
            ended = runner.progress()
            if error:
                ended = replace(ended, outcome="failed", retriable=True, error=error)
            self._ended[order.job_id] = ended
            self._running.pop(order.job_id, None)
            self._orders.pop(order.job_id, None)
            self._neighbours.leave(order.job_id, self._clock.monotonic())
        self._on_change(order.job_id)
        self._pass_on()
        await self._memory.write()
        self._pass_on()

    async def _keep_books(self) -> None:
        while True:
            await asyncio.sleep(KEEP_S)
            await self._memory.keep()
            self._pass_on()

    def _pass_on(self, stepped: JobId | None = None) -> None:
        """Tell jobs what they have to know because of others; `stepped` has just looked for itself.

        Nothing once the engine closes: no job takes over what another one will go on with at the next start.
        """
        if not self._open.is_set():
            return
        for job_id, word in self._neighbours.take_words():
            if job_id in self._running:
                self._running[job_id][0].deliver(word)
        for job_id in self._neighbours.shares.take_wakes(stepped=stepped):
            if job_id in self._running:
                self._running[job_id][0].wake()

    def _route(self, events: tuple[LaneEvent, ...]) -> None:
        for told in events:
            running = self._running.get(told.tag.job_id)
            if running is not None:
                running[0].deliver(told.event)


def _may_change(before: JobOrder, order: JobOrder) -> bool:
    """Whether a running job can go on under `order`: its disk and its sources are the same."""
    sources_before = before.constraints.use_overlay, before.constraints.use_soulseek
    return before.allowed_root == order.allowed_root and sources_before == (
        order.constraints.use_overlay,
        order.constraints.use_soulseek,
    )
