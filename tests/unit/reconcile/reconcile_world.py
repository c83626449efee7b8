"""A root folder on a real disk with a real database, an engine that follows a script, and time that is only told.

The engine does what it is told at the seconds that it is told; time passes only while the loop waits.
"""

import asyncio
import heapq
import textwrap
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from reconcile_builders import artifact

from reconciler.config import MusicBrainzSettings
from reconciler.engine.order import HeldUp, JobProgress, TrackProgress
from reconciler.hooks.courier import Courier
from reconciler.library.naming import DEFAULT_TEMPLATE
from reconciler.manifests.read import read_manifest
from reconciler.musicbrainz.resolutions import ResolutionStore
from reconciler.reconcile.loop import Reconciler, Surroundings
from reconciler.reconcile.observe import Folders
from reconciler.reconcile.observed import Failure, LookUpState, Policy
from reconciler.reconcile.orders import Places
from reconciler.reconcile.ownership import Node
from reconciler.state.database import Database
from reconciler.state.deliveries import DeliveryStore
from reconciler.state.jobs import JobStore
from reconciler.state.sightings import SightingStore
from reconciler.traces.model import EventType, SwarmEvent
from reconciler.traces.reading import TraceReader
from reconciler.traces.rows import row_of
from reconciler.traces.store import TraceStore

START = 1_800_000_000.0


class VirtualTime:
    """A clock and a wake-up in one: waiting moves the clock, through everything that is planned in between."""

    def __init__(self):
        self.now = 0.0
        self.ahead_s = 0.0
        """By how much the wall clock is wrong."""
        self._plans = []
        self._count = 0
        self._awake = False

    def wall(self):
        """The wall clock of the daemon."""
        return START + self.now + self.ahead_s

    def monotonic(self):
        """Its other clock."""
        return self.now

    def plan(self, at_s, deed):
        """Have `deed()` done at that second."""
        self._count += 1
        heapq.heappush(self._plans, (max(at_s, self.now), self._count, deed))

    def set(self):
        """Wake the loop."""
        self._awake = True

    async def wait(self, timeout_s):
        """Let time pass until somebody wakes the loop, or the timeout."""
        until = self.now + timeout_s
        while not self._awake and self._plans and self._plans[0][0] <= until:
            self.now, _, deed = heapq.heappop(self._plans)
            deed()
        if not self._awake:
            self.now = until
        self._awake = False
        await asyncio.sleep(0)


class NoWatch:
    """A watch that hears nothing: what changes is seen by the rescan, which comes as if it did."""

    hears = True

    def __init__(self, root, folders, heard):
        pass

    def rearm(self):
        """Nothing to see to."""

    def stop(self):
        """Nothing to stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What the engine does with one order: a second for each track, then the end."""

    fails: bool = False
    retriable: bool = True
    hangs: bool = False
    """Starts, and never comes to anything."""
    held: HeldUp | None = None
    """Stands in its way from the first second on, for ever."""


class ScriptedEngine:
    """An engine that completes a track a second, records it as the real one does, and can be told to fail."""

    def __init__(self, time, store):
        self.time = time
        self.store = store
        self.orders = []
        self.scripts = []
        self.on_change = lambda job_id: None
        self.on_start = lambda order: None
        self.on_stop = lambda job_id: None
        self.running_most = 0
        self.dead = False
        self._jobs = {}

    async def start(self, order):
        """Begin a job by the next script, or go on under another order; by default all goes well."""
        known = self._jobs.get(order.job_id)
        running = known is not None and known.outcome is None
        assert not running or known.generation != order.generation, "a job is started that runs"
        self.orders.append(order)
        self.on_start(order)
        script = self.scripts.pop(0) if self.scripts else Script()
        tracks = tuple(
            TrackProgress(position=track.want.position, title=track.title, phase="searching", bytes_total=1000)
            for track in order.tracks
        )
        begun = JobProgress(
            job_id=order.job_id,
            generation=order.generation,
            outcome=None,
            retriable=False,
            error="",
            tracks=tracks,
            peers=(),
        )
        self._jobs[order.job_id] = begun
        self.running_most = max(self.running_most, sum(job.outcome is None for job in self._jobs.values()))
        if script.held is not None:
            self.time.plan(self.time.now + 1, self._if_current(begun, order, self._hold_up, script.held))
        if script.hangs or script.held is not None:
            return
        for step, track in enumerate(order.tracks, start=1):
            if not script.fails:
                self.time.plan(self.time.now + step, self._if_current(begun, order, self._publish, track))
        end_s = self.time.now + len(order.tracks) + 0.5
        self.time.plan(end_s, self._if_current(begun, order, self._end, script))

    async def stop(self, job_id):
        """End a job that runs."""
        self.on_stop(job_id)
        job = self._jobs.get(job_id)
        if job is not None and job.outcome is None:
            self._jobs[job_id] = replace(job, outcome="stopped")
            self.on_change(job_id)

    def progress(self, job_id):
        """What is known of a job."""
        return self._jobs.get(job_id)

    def forget(self, job_id):
        """Drop a job that has ended."""
        job = self._jobs.pop(job_id, None)
        assert job is None or job.outcome is not None, "a job is forgotten that runs"

    def let_go(self, job_id):
        """Have nothing of a job go on any more."""
        job = self._jobs[job_id]
        self._jobs[job_id] = replace(job, held=replace(job.held, entirely=True))
        self.on_change(job_id)

    def advance(self, job_id, *, bytes_done):
        """Have the first track of a job so far; nobody is told."""
        job = self._jobs[job_id]
        self._jobs[job_id] = replace(job, tracks=(replace(job.tracks[0], bytes_done=bytes_done), *job.tracks[1:]))

    @property
    def fetched(self):
        """Every position that was ordered, order by order."""
        return [[track.want.position for track in order.tracks] for order in self.orders]

    def _if_current(self, begun, order, deed, argument):
        def do():
            job = self._jobs.get(order.job_id)
            if not self.dead and job is not None and job.outcome is None and job.generation == begun.generation:
                deed(order, argument)
                self.on_change(order.job_id)

        return do

    def _hold_up(self, order, held):
        self._jobs[order.job_id] = replace(self._jobs[order.job_id], held=held)

    def _publish(self, order, track):
        position = track.want.position
        made = artifact(
            position,
            job_id=order.job_id,
            generation=order.generation,
            path=f"{order.target_dir}/{track.stem}.flac",
            recording=track.want.recording,
        )
        event = SwarmEvent(
            event_id=f"{order.job_id}-{order.generation}-{position}",
            timestamp_ms=int(self.time.wall() * 1000),
            type=EventType.TRACK_COMPLETE,
            job_id=order.job_id,
            action="published",
            track_id=str(position),
        )
        self.store.record_artifact(made, row_of(event))
        self._change(order, position, phase="completed", bytes_done=1000)

    def _end(self, order, script):
        job = self._jobs[order.job_id]
        ended = replace(job, outcome="completed")
        if script.fails:
            ended = replace(job, outcome="failed", retriable=script.retriable, error="no peer has it")
        self._jobs[order.job_id] = ended

    def _change(self, order, position, **changes):
        job = self._jobs[order.job_id]
        tracks = tuple(replace(each, **changes) if each.position == position else each for each in job.tracks)
        self._jobs[order.job_id] = replace(job, tracks=tracks)


class ScriptedLookUps:
    """Look-ups that take a second each and end as they are told."""

    def __init__(self, time, resolutions):
        self.time = time
        self.resolutions = resolutions
        self.looks = []
        self.answers = []
        """What each finds, or a Failure without its time; the last one stays."""
        self.on_change = lambda job_id: None
        self.busy = False
        self._states = {}

    def begin(self, look):
        """Find the next answer a second from now."""
        self.looks.append(look)
        self.busy = True
        self._states[look.job_id] = LookUpState(generation=look.generation)
        self.time.plan(self.time.now + 1, lambda: self._end(look))

    def state(self, job_id):
        """What is known of a look-up."""
        return self._states.get(job_id)

    def _end(self, look):
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        self.busy = False
        del self._states[look.job_id]
        if isinstance(answer, Failure):
            self._states[look.job_id] = LookUpState(generation=look.generation, failure=answer)
        else:
            self.resolutions.put(look.job_id, look.generation, answer)
        self.on_change(look.job_id)


class World:
    """One root folder, and daemons that come and go over it."""

    def __init__(self, root: Path):
        self.folders = Folders(root=root)
        self.folders.active.mkdir(parents=True)
        self.folders.completed.mkdir()
        (root / "library").mkdir()
        self.time = VirtualTime()
        self.hooks = ()
        """Who is told of ends, once `open` is called again."""
        self.policy = Policy(
            places=Places(
                root=PurePosixPath(root),
                library_roots=(PurePosixPath(root / "library"),),
                naming=DEFAULT_TEMPLATE,
                publish="album",
                soulseek=False,
            ),
            retry_interval_s=30.0,
            retry_interval_s_max=3600.0,
            node=Node(name="attic", labels={"disk": "large"}),
            retry_limit=3,
            status_mode="in_file",
            status_interval_s=15.0,
            rescan_s=30.0,
            poll_s=5.0,
            musicbrainz=MusicBrainzSettings(),
        )
        self.open()

    def open(self, make_watch=NoWatch, wakeup=None, clock=None):
        """Start over as a new process does: only the disk remembers."""
        self.database = Database.open(self.folders.root / "state" / "reconciler.db")
        self.store = JobStore(self.database)
        self.sightings = SightingStore(self.database)
        self.traces = TraceStore(self.database, self.folders.root / "logs")
        self.engine = ScriptedEngine(self.time, self.store)
        self.resolutions = ResolutionStore(self.database)
        self.lookups = ScriptedLookUps(self.time, self.resolutions)
        self._ids = 0
        surroundings = Surroundings(
            folders=self.folders,
            store=self.store,
            sightings=self.sightings,
            engine=self.engine,
            lookups=self.lookups,
            hooks=Courier(
                self.hooks,
                store=DeliveryStore(self.database),
                reporter=self.traces,
                clock=self.time,
                chance=lambda: 0.0,
                entropy=self._entropy,
            ),
            resolutions=self.resolutions,
            traces=self.traces,
            clock=clock or self.time,
            wakeup=wakeup or self.time,
            chance=lambda: 0.0,
            entropy=self._entropy,
            make_watch=make_watch,
        )
        self.reconciler = Reconciler(surroundings, policy=self.policy)
        self.engine.on_change = self.reconciler.on_change
        self.lookups.on_change = self.reconciler.on_change
        return self

    def close(self):
        """End the process; nothing is said to anybody."""
        self.engine.dead = True
        self.database.close()

    def restart(self):
        """What a crash leaves: files and database."""
        self.close()
        return self.open()

    def once(self):
        """Run until nothing more can be done now."""
        return asyncio.run(self.reconciler.run(once=True))

    def run_for(self, seconds):
        """Run as a daemon for so long; again, to go on where it was."""
        self.reconciler._stopping = False
        self.time.plan(self.time.now + seconds, self.reconciler.request_stop)
        return asyncio.run(self.reconciler.run(once=False))

    def at(self, seconds, deed):
        """Have a person do something, so many seconds from now."""
        self.time.plan(self.time.now + seconds, deed)

    def write(self, name, text, *, folder="active"):
        """Save a manifest, as an editor does that renames."""
        path = self.folders.root / "jobs" / folder / name
        draft = path.with_name(f".{name}.draft")
        draft.write_text(text)
        draft.replace(path)
        return path

    def active(self):
        """Names in jobs/active."""
        return sorted(path.name for path in self.folders.active.iterdir())

    def completed(self):
        """Names in jobs/completed."""
        return sorted(path.name for path in self.folders.completed.iterdir())

    def status(self, name, *, folder="active"):
        """The lines of the status block of a manifest, as text."""
        text = (self.folders.root / "jobs" / folder / name).read_text()
        return text.partition("\nstatus:")[2]

    def events(self, job_id, kind):
        """The stored events of one type."""
        self.traces.flush()
        return [event for event in TraceReader(self.database).events(job_id) if event.type is kind]

    def _entropy(self, count):
        self._ids += 1
        return self._ids.to_bytes(count, "big")


def release(job_id="", *, tracks=2, title="Loveless", target_dir="library", extra=""):
    """The text of a manifest that asks for a release."""
    identity = f"job_id: {job_id}\n" if job_id else ""
    listed = "\n".join(
        f"    - {{position: {n}, title: Song {n}, mb_recording_id: 00000000-0000-0000-0000-{n:012}}}"
        for n in range(1, tracks + 1)
    )
    text = textwrap.dedent("""\
        # my favourite
        manifest_version: "1.0"
        {identity}job_type: mb_release
        spec:
          mb_release_id: c0d0c0a4-4a26-4d74-9c02-67c9321b3b22
          title: {title}
          artist: My Bloody Valentine
          target_dir: {target_dir}
          tracks:
        {listed}
        {extra}""")
    return text.format(identity=identity, title=title, target_dir=target_dir, listed=listed, extra=extra)


def job_id_of(path):
    """The id that a manifest has."""
    return read_manifest(path.read_bytes()).manifest.job_id
