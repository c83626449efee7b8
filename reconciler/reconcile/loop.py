"""The loop that makes it so: take a key, make a pass, take the next.

Owns: the order of passes, what is heard from outside, the holds, beginning and end. Never: looks at a file, decides
(reconcile.decide), and never waits for the engine: a pass (reconcile.passes) takes milliseconds, and whatever the
engine does later comes back as the same key.

The key is the file's path relative to the root folder. It could have been the job's id, which does not change when a
file is renamed; but a file that cannot be read has no id, and it is files that change. So events of the engine and
timers are turned into the path where the job was last seen (`Registry`, from the path in each job's record), and a
pass over a path looks after the job that the file names now and after every job that was last seen in it. One pass
runs at a time. So nothing here is locked, and a job that is renamed, copied or swapped with another is never decided
on twice at once.
"""

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from loguru import logger

from reconciler import __version__
from reconciler.clock import Clock
from reconciler.errors import DiskError, FileBusyError, ReconcilerError
from reconciler.ids import JobId
from reconciler.manifests.document import one_line
from reconciler.musicbrainz.resolutions import ResolutionStore
from reconciler.reconcile.absent import Absent
from reconciler.reconcile.conditions import Reason
from reconciler.reconcile.echoes import Echoes
from reconciler.reconcile.finalise import Finaliser, RunResult
from reconciler.reconcile.holds import Holds
from reconciler.reconcile.ledger import Ledger
from reconciler.reconcile.means import Means
from reconciler.reconcile.observe import Folders, Observer
from reconciler.reconcile.observed import Policy
from reconciler.reconcile.passes import ENGINE_JOBS_MAX, Passes
from reconciler.reconcile.perform import EnginePort, HookPort, LookUpPort, Performer, TracePort
from reconciler.reconcile.put_off import PutOff
from reconciler.reconcile.queue import Priority, WorkQueue
from reconciler.reconcile.rescan import Rescan, is_confirmation
from reconciler.reconcile.settling import Settling
from reconciler.reconcile.sights import UNSAVED_MAX, Sights
from reconciler.reconcile.tally import LoopTally, PassResult
from reconciler.reconcile.wakeup import Wakeup
from reconciler.reconcile.watch import Heard, Watch
from reconciler.state.jobs import JobStore
from reconciler.state.sightings import SightingStore

__all__ = ["ENGINE_JOBS_MAX", "Reconciler", "Surroundings"]

# `run --once` waits for what comes by itself within this time (a save that settles, a file that is busy), and for
# nothing later.
ONCE_WAIT_S = 2.0

# How often git is asked whether it is done; it costs some file names.
_GIT_LOOK_S = 0.25

# `git status` takes the index for a moment, too. What is over sooner than this is not worth a word.
_GIT_PATIENCE_S = 2.0

# How long the loop rests when its own disk refuses what it must note between two passes.
_DISK_REST_S = 1.0

# A job lets go of its files within a chunk's time; a disk that hangs must not hold up the end for ever.
PART_S_MAX = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the loop is given to work with."""

    folders: Folders
    store: JobStore
    sightings: SightingStore
    engine: EnginePort
    lookups: LookUpPort
    hooks: HookPort
    resolutions: ResolutionStore
    traces: TracePort
    clock: Clock
    wakeup: Wakeup
    chance: Callable[[], float]
    """A random number in [0, 1)."""
    entropy: Callable[[int], bytes]
    """So many random bytes."""
    make_watch: Callable[[Path, tuple[Path, ...], Heard], Watch]
    """A watch of some folders below a root: `FolderWatch`."""


class Reconciler:
    """Reconciles the manifests of one root folder until asked to stop."""

    def __init__(self, surroundings: Surroundings, *, policy: Policy) -> None:
        self._surroundings = surroundings
        self._folders = surroundings.folders
        self._clock = surroundings.clock
        self._wakeup = surroundings.wakeup
        self._policy = policy
        self._ledger = Ledger(clock=surroundings.clock, wakeup=surroundings.wakeup)
        self._sights = Sights(surroundings.sightings)
        self._echoes = Echoes()
        self._holds = Holds(surroundings.sightings, clock=surroundings.clock)
        self._performer = Performer(
            folders=surroundings.folders,
            store=surroundings.store,
            engine=surroundings.engine,
            lookups=surroundings.lookups,
            traces=surroundings.traces,
            registry=self._ledger.registry,
            clock=surroundings.clock,
            entropy=surroundings.entropy,
        )
        self._finaliser = Finaliser(
            folders=surroundings.folders,
            clock=surroundings.clock,
            interval_s=policy.status_interval_s,
            mode=policy.status_mode,
            node=policy.node.name,
            echoes=self._echoes,
        )
        self._rescan = Rescan(
            folders=surroundings.folders,
            ledger=self._ledger,
            sights=self._sights,
            holds=self._holds,
            clock=surroundings.clock,
            policy=policy,
        )
        self._passes: Passes | None = None
        self._settling = Settling(
            folders=surroundings.folders,
            ledger=self._ledger,
            sights=self._sights,
            echoes=self._echoes,
            clock=surroundings.clock,
        )
        self._git_since: float | None = None
        self._listed = False
        self._stopping = False
        self._once = False
        self._put_off = PutOff()
        self.tally = LoopTally()

    @property
    def queue(self) -> WorkQueue:
        """What waits for a pass; to look at."""
        return self._ledger.queue

    @property
    def is_listed(self) -> bool:
        """Whether the folders were looked through since the start."""
        return self._listed

    # ---- from outside ------------------------------------------------------------------------------------------------

    def on_change(self, job_id: JobId) -> None:
        """The engine has news of a job, or a look-up for it has ended; on the loop's thread."""
        self._ledger.wake(job_id, Priority.ENGINE)

    def request_stop(self) -> None:
        """End `run` after the pass that is under way; on the loop's thread."""
        self._stopping = True
        self._wakeup.set()

    def on_path(self, path: str) -> None:
        """Something may have happened to a file; on the loop's thread."""
        if is_confirmation(path):
            self._rescan.soon()
        else:
            self._settling.add(path)
        self._wakeup.set()

    def on_loss(self) -> None:
        """Something happened that nobody can name; on the loop's thread."""
        self._rescan.soon()
        self._wakeup.set()

    # ---- the loop ----------------------------------------------------------------------------------------------------

    async def run(self, *, once: bool) -> RunResult:
        """Reconcile until `request_stop`; with `once`, until nothing more can be done now."""
        self._once = once
        means = self._means()
        absent = Absent(means, listed_at=lambda: self._rescan.listed_at)
        self._passes = passes = Passes(means, absent, keep_results=once)
        watched = (self._folders.active, self._folders.completed)
        watch = self._surroundings.make_watch(self._folders.root, watched, _Ears(self, self._folders))
        await self._rescan.recall(self._surroundings.store, rules=_rules_of(self._policy), once=once)
        try:
            while not self._stopping:
                try:
                    if not await self._turn(passes, absent, watch):
                        break
                except (DiskError, FileBusyError, OSError) as error:
                    if once:
                        raise
                    self._put_off.say("", error, again_s=_DISK_REST_S)
                    await self._wakeup.wait(_DISK_REST_S)
                else:
                    self._put_off.over("")
        finally:
            await asyncio.to_thread(watch.stop)
            await self._save_sights()
        await self._flush()
        return self._finaliser.result(listed=self._listed and self._git_since is None)

    async def _turn(self, passes: Passes, absent: Absent, watch: Watch) -> bool:
        """Do what is due, or sleep until something is; False where a run `once` is over.

        Raises DiskError, FileBusyError or OSError where what lies between two passes cannot be noted.
        """
        now = self._clock.monotonic()
        if self._git_since is None and (now >= self._rescan.at or absent.wants_listing):
            absent.wants_listing = False
            await self._look(watch)
        await self._settling.settle(now)
        key = self._ledger.queue.take(now) if await self._may_act(now) else None
        if key is not None:
            await self._work(passes, key)
        elif self._once and self._is_settled(now):
            return False
        else:
            await self._wakeup.wait(max(0.0, self._next_time() - now))
        return True

    async def part(self) -> None:
        """Have the engine let go of every job, and say in each file how far it came; after `run`."""
        assert self._passes is not None
        registry = self._ledger.registry
        paths = [path for job_id in self._performer.started if (path := registry.path_of(job_id)) is not None]
        try:
            async with asyncio.timeout(PART_S_MAX):
                await asyncio.gather(*(self._surroundings.engine.stop(job_id) for job_id in self._performer.started))
        except TimeoutError:
            logger.warning("jobs do not let go of their files; the end does not wait for them")
        for path in paths:
            try:
                await self._passes.part(path)
            except (ReconcilerError, OSError) as error:
                logger.bind(path=path, why=one_line(str(error))).warning("status not written before the end")
        await self._flush()

    async def _flush(self) -> None:
        """Write what waits for its time, unless git is at work: then the next start writes it."""
        if not await asyncio.to_thread(self._folders.git_work, self._clock.wall()):
            await self._finaliser.flush()

    def _means(self) -> Means:
        surroundings = self._surroundings
        return Means(
            folders=self._folders,
            store=surroundings.store,
            observer=Observer(
                folders=self._folders,
                store=surroundings.store,
                resolutions=surroundings.resolutions,
                library_roots=[Path(root) for root in self._policy.places.library_roots],
            ),
            performer=self._performer,
            finaliser=self._finaliser,
            engine=surroundings.engine,
            lookups=surroundings.lookups,
            hooks=surroundings.hooks,
            ledger=self._ledger,
            sights=self._sights,
            echoes=self._echoes,
            clock=self._clock,
            chance=surroundings.chance,
            policy=self._policy,
        )

    async def _work(self, passes: Passes, path: str) -> None:
        queue = self._ledger.queue
        began = self._clock.monotonic()
        result: PassResult = "success"
        try:
            git_work = await passes.work(path)
        except (ReconcilerError, OSError) as error:
            result = "error"
            again_s = queue.retry(path, now=self._clock.monotonic(), chance=self._surroundings.chance())
            self._put_off.say(path, error, again_s=again_s)
        except Exception as mistake:  # noqa: BLE001 - one of the outermost loops: a mistake in one job must not stop the others
            result = "mistake"
            queue.retry(path, now=self._clock.monotonic(), chance=self._surroundings.chance())
            logger.bind(path=path).opt(exception=mistake).error("pass ended by a program error")
        else:
            queue.forget(path)
            self._put_off.over(path)
            if git_work:
                result = "git"
                self._git_since = self._clock.monotonic()
                self._ledger.add(path, Priority.EDIT)
        finally:
            queue.done(path)
            self.tally.ended(result, self._clock.monotonic() - began)
        self._let_next_start()
        await self._rescan.review()
        if self._sights.unsaved >= UNSAVED_MAX:
            await asyncio.to_thread(self._sights.save)

    async def _save_sights(self) -> None:
        """Before the end: what cannot be saved is looked at once more by the next process."""
        try:
            await asyncio.to_thread(self._sights.save)
        except (DiskError, FileBusyError) as error:
            logger.bind(why=one_line(error.message)).warning("what was seen of manifests is not saved")

    async def _look(self, watch: Watch) -> None:
        """Look through the folders; and at every job of the engine, whose news may have been lost."""
        listed = await self._rescan.look(watch, is_own=self._echoes.is_awaited, unsettled=self.on_path)
        self._listed = self._listed or listed
        if listed:
            for job_id in self._performer.started:
                self.on_change(job_id)

    async def _may_act(self, now: float) -> bool:
        """Tell whether git leaves the folder to us. While it does not, it is asked again and again."""
        if self._git_since is None:
            return True
        git_work = await asyncio.to_thread(self._folders.git_work, self._clock.wall())
        if not git_work:
            await self._holds.over(Reason.MERGE_IN_PROGRESS)
            self._git_since = None
            # What was missed while git had it away was not missing.
            self._ledger.missing.restart(now)
            self._rescan.soon()
            return False
        if now >= self._git_since + _GIT_PATIENCE_S:
            await self._holds.say(Reason.MERGE_IN_PROGRESS, f"{git_work}; nothing in this folder is acted on")
        return False

    def _next_time(self) -> float:
        if self._git_since is not None:
            return self._clock.monotonic() + _GIT_LOOK_S
        times = [self._rescan.at]
        if (settled := self._settling.next_time()) is not None:
            times.append(settled)
        if (queued := self._ledger.queue.next_time()) is not None:
            times.append(queued)
        return min(times)

    def _is_settled(self, now: float) -> bool:
        """Whether nothing comes by itself soon: no job is fetched or all are held up, none waits for room, no look is
        planned.
        """
        if len(self._settling):
            return False
        if self._git_since is not None:
            return now >= self._git_since + ONCE_WAIT_S
        if self._rescan.is_away(now) and not self._performer.running():
            return True  # what waits for a file would wait for ever
        queued = self._ledger.queue.next_time()
        soon = queued is not None and queued <= now + ONCE_WAIT_S
        if soon or self._surroundings.lookups.busy:
            return False
        idle = (not self._performer.started or self._are_spared(now)) and not len(self._ledger.line)
        return idle or self._performer.is_stuck()

    def _are_spared(self, now: float) -> bool:
        """Whether all jobs that were begun have ended, and nothing is made of it: too many manifests are missing."""
        missing, performer = self._ledger.missing, self._performer
        if performer.running() or not (missing.many() and missing.is_overdue(now)):
            return False
        return all(missing.knows(job_id) for job_id in performer.started)

    def _let_next_start(self) -> None:
        """Wake the jobs that are first in line for the engine, as many as it has room for."""
        line = self._ledger.line
        free = ENGINE_JOBS_MAX - self._performer.running()
        for path in line.first(free) if free > 0 and len(line) else ():
            self._ledger.add(path, Priority.ENGINE)


class _Ears:
    """Carries what the watch hears to the loop's thread."""

    def __init__(self, reconciler: Reconciler, folders: Folders) -> None:
        self._reconciler = reconciler
        self._folders = folders
        self._loop = asyncio.get_running_loop()

    def changed(self, file: Path) -> None:
        self._loop.call_soon_threadsafe(self._reconciler.on_path, self._folders.relative(file))

    def lost(self) -> None:
        self._loop.call_soon_threadsafe(self._reconciler.on_loss)


def _rules_of(policy: Policy) -> str:
    """Names everything besides a file that a judgement rests on: what was seen under other rules is looked at again."""
    return hashlib.sha256(f"{__version__} {policy!r}".encode()).hexdigest()
