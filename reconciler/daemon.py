"""The composition root: every part is built here, once, and handed what it needs.

Owns: which concrete part stands behind each port, the task group, signals, the order of starting and stopping.
Never: decides anything about a job.
"""

import asyncio
import contextlib
import os
import random
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from loguru import logger

from reconciler.clock import Clock, SystemClock
from reconciler.config import OverlaySettings, Settings, TransferSettings
from reconciler.engine.covers import FindCover
from reconciler.engine.disk import Shelves
from reconciler.engine.engine import Engine
from reconciler.engine.lane_choice import LaneChoice
from reconciler.engine.lane_link import LaneLink
from reconciler.engine.lane_orders import BytePath, Post
from reconciler.engine.lane_pool import LanePool
from reconciler.engine.lane_process import SWITCH_INTERVAL_S
from reconciler.engine.pace import Patience, RescuePolicy
from reconciler.engine.partfile import PartStore
from reconciler.engine.soulseek_path import SoulseekPath
from reconciler.errors import BadConfigurationError
from reconciler.hooks.configured import hooks_of
from reconciler.hooks.courier import Courier
from reconciler.ids import JobId, Mbid
from reconciler.library.index import LibraryIndex, shared_folders
from reconciler.manifests.model import OverlayPeerSource
from reconciler.musicbrainz.answers import Answers
from reconciler.musicbrainz.client import MusicBrainz, user_agent
from reconciler.musicbrainz.cover import Cover
from reconciler.musicbrainz.cover_art import CoverArt, NoCoverError
from reconciler.musicbrainz.resolutions import ResolutionStore
from reconciler.overlay.keyfile import load_or_make
from reconciler.overlay.serving import serving
from reconciler.reconcile.finalise import RunResult
from reconciler.reconcile.lookups import LookUps
from reconciler.reconcile.loop import Reconciler, Surroundings
from reconciler.reconcile.observe import Folders
from reconciler.reconcile.policy import policy_of
from reconciler.reconcile.status_ref import StatusRef
from reconciler.reconcile.wakeup import EventWakeup
from reconciler.reconcile.watch import FolderWatch
from reconciler.sources.base import Source
from reconciler.sources.http import HttpSource
from reconciler.sources.overlay import OverlaySource
from reconciler.sources.soulseek.account import Account
from reconciler.sources.soulseek.ledger import Ledger
from reconciler.sources.soulseek.matching import match
from reconciler.sources.soulseek.offering import SOULSEEK
from reconciler.sources.soulseek.password import read_password
from reconciler.sources.soulseek.queries import queries_of
from reconciler.sources.soulseek.source import Judgement, SoulseekSource
from reconciler.state.database import Database
from reconciler.state.deliveries import DeliveryStore
from reconciler.state.jobs import JobStore
from reconciler.state.location import InstanceLock
from reconciler.state.peers import PeerStore
from reconciler.state.sightings import SightingStore
from reconciler.state.soulseek import SoulseekStore
from reconciler.traces.store import TraceStore
from reconciler.traces.tally import EventTally
from reconciler.traces.upkeep import keep_purging, keep_writing

# Lane processes: two fill a line of a gigabit with TLS on a small machine; more would only share its cores (and cost 35
# MB each).
LANE_PROCESSES_MAX = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where a daemon works."""

    root: Path
    """Absolute: manifests, logs, the default library."""
    state: Path
    """Absolute: database, parts, identity, lock."""


class Daemon:
    """All parts of one daemon. Made by `opened`, used once."""

    def __init__(self, places: Places, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._clock: Clock = SystemClock()
        self._index = LibraryIndex(database, shared=shared_folders(settings.library, root=places.root))
        self._identity = load_or_make(places.state / "identity")
        self._folders = Folders(root=places.root)
        self._state, self._database = places.state, database
        store = JobStore(database, keep_events=settings.diagnostics.swarm_events.enabled)
        self.traces = TraceStore(database, places.root / "logs" / "sessions", settings.diagnostics.swarm_events)
        self._tally = EventTally(self.traces)
        self._overlay = self._overlay_source(settings.mesh.overlay)
        self._http = HttpSource(timeout_s=settings.transfers.searches_timeout_s)
        self._soulseek = _soulseek(places, settings, database, self._clock, published=self._index)
        self.engine = Engine(
            sources=self._sources(),
            shelves=Shelves(
                parts=PartStore(parts=places.state / "parts", quarantine=places.state / "quarantine"),
                index=self._index,
                jobs=store,
                peers=PeerStore(database),
                flush_traces=self.traces.flush_job,
                clock=self._clock,
                condemn=None if self._soulseek is None else self._soulseek.source.condemn,
                find_cover=_find_cover(settings, self._clock),
            ),
            reporter=self._tally,
            entropy=os.urandom,
            patience=_patience(settings.transfers),
            bandwidth_bytes_per_s=settings.transfers.bandwidth_kbps * 1000 / 8,
            make_byte_path=self._byte_path,
            on_change=self._on_change,
        )
        self._musicbrainz = MusicBrainz(settings.musicbrainz, memory=Answers(database), clock=self._clock)
        policy = policy_of(settings, root=PurePosixPath(places.root), hostname=socket.gethostname())
        self._places = policy.places
        self._status_ref = (
            StatusRef(root=places.root, node=policy.node.name, store=store, interval_s=settings.git.interval_s)
            if settings.git.status_ref
            else None
        )
        self._courier = self._make_courier(places, database)
        resolutions = ResolutionStore(database)
        self._lookups = LookUps(
            catalogue=self._musicbrainz,
            resolutions=resolutions,
            reporter=self._tally,
            clock=self._clock,
            chance=random.random,
            entropy=os.urandom,
            policy=policy,
            on_end=self._on_change,
        )
        self._reconciler = Reconciler(
            Surroundings(
                folders=self._folders,
                store=store,
                sightings=SightingStore(database),
                engine=self.engine,
                lookups=self._lookups,
                hooks=self._courier,
                resolutions=resolutions,
                traces=self.traces,
                clock=self._clock,
                wakeup=EventWakeup(),
                chance=random.random,
                entropy=os.urandom,
                make_watch=FolderWatch,
            ),
            policy=policy,
        )

    async def run(self, *, once: bool) -> RunResult:
        """Reconcile until a signal; with `once`, until nothing more can be done now."""
        sys.setswitchinterval(SWITCH_INTERVAL_S)  # a part is read again in this process, whatever else it computes
        with self._signals():
            async with self._answering(once=once), asyncio.TaskGroup() as tasks, self._serving():
                background = [tasks.create_task(self.engine.serve()), tasks.create_task(keep_writing(self.traces))]
                background.append(tasks.create_task(keep_purging(self.traces, self._clock)))
                background.append(tasks.create_task(self._lookups.serve()))
                telling = tasks.create_task(self._courier.serve())
                background.append(telling)
                if self._status_ref is not None:
                    background.append(tasks.create_task(self._status_ref.keep_committing()))
                try:
                    result = await self._reconciler.run(once=once)
                    await self._reconciler.part()
                    if once:
                        await _ended(telling)
                        await self._courier.drain()
                    return result
                finally:
                    for task in background:
                        task.cancel()
                    await asyncio.wait(background)
                    await self._close()

    def _make_courier(self, places: Places, database: Database) -> Courier:
        """Raises BadConfigurationError where the secret of a webhook cannot be read."""
        return Courier(
            hooks_of(self._settings.hooks, folder=places.root, environ=os.environ, clock=self._clock),
            store=DeliveryStore(database),
            reporter=self._tally,
            clock=self._clock,
            chance=random.random,
            entropy=os.urandom,
        )

    def _on_change(self, job_id: JobId) -> None:
        self._reconciler.on_change(job_id)

    def _sources(self) -> tuple[Source, ...]:
        overlay = () if self._overlay is None else (self._overlay,)
        soulseek = () if self._soulseek is None else (self._soulseek.source,)
        return (*overlay, self._http, *soulseek)

    def _byte_path(self, post: Post) -> BytePath:
        stall_timeout_s = self._settings.transfers.stall_timeout_s
        processes = min(LANE_PROCESSES_MAX, os.cpu_count() or 1)
        links = tuple(LaneLink(post=post, clock=self._clock, stall_timeout_s=stall_timeout_s) for _ in range(processes))
        for link in links:
            link.await_ready()
        if self._soulseek is None:
            return LanePool(links)
        self._soulseek.path.start(post)
        return LaneChoice(LanePool(links), {SOULSEEK: self._soulseek.path})

    def _overlay_source(self, overlay: OverlaySettings) -> OverlaySource | None:
        if not overlay.enabled:
            return None
        peers = tuple(OverlayPeerSource(peer=each.peer, host=each.host, port=each.port) for each in overlay.peers)
        if not peers:
            logger.info("no overlay peer is listed in mesh.overlay.peers: only sources that a manifest names are asked")
        return OverlaySource(
            identity=self._identity,
            peers=peers,
            clock=self._clock,
            entropy=os.urandom,
            timeout_s=self._settings.transfers.searches_timeout_s,
        )

    @contextlib.asynccontextmanager
    async def _serving(self) -> AsyncIterator[None]:
        """Serve other peers meanwhile, where the configuration asks for it."""
        overlay = self._settings.mesh.overlay
        if not overlay.enabled or overlay.listen is None:
            yield
            return
        async with serving(self._identity, self._index, overlay, clock=self._clock):
            yield

    @contextlib.asynccontextmanager
    async def _answering(self, *, once: bool) -> AsyncIterator[None]:
        """Answer over HTTP meanwhile; a run that ends by itself has nobody to ask it, and needs no port."""
        if once or not self._settings.api.enabled:
            yield
            return
        # Its libraries take as long to load as all others together.
        from reconciler.api.opening import DaemonParts, answering  # noqa: PLC0415

        parts = DaemonParts(
            state=self._state,
            folders=self._folders,
            places=self._places,
            database=self._database,
            clock=self._clock,
            events=self._tally,
            reconciler=self._reconciler,
            progress=self.engine.progress,
            running=self.engine.running,
            is_fetching_possible=lambda: self.engine.is_ready,
        )
        async with answering(self._settings.api, parts):
            yield

    async def _close(self) -> None:
        if self._overlay is not None:
            await self._overlay.close()
        await self._http.close()
        await self._musicbrainz.close()
        await asyncio.to_thread(self.traces.flush)
        if self._status_ref is not None:
            await asyncio.to_thread(self._status_ref.commit)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT end the run in order; a second one ends the process at once."""
        loop = asyncio.get_running_loop()
        kinds = (signal.SIGTERM, signal.SIGINT)

        def first() -> None:
            logger.info("stopping; what is on disk is kept, a second signal ends at once")
            for kind in kinds:
                loop.remove_signal_handler(kind)
            self._reconciler.request_stop()

        for kind in kinds:
            loop.add_signal_handler(kind, first)
        try:
            yield
        finally:
            for kind in kinds:
                loop.remove_signal_handler(kind)


def _find_cover(settings: Settings, clock: Clock) -> FindCover | None:
    """Who is asked for covers; nobody where none are wanted, or nobody may be asked."""
    if settings.library.cover_art == "none" or settings.musicbrainz.offline:
        return None
    archive = CoverArt(
        settings.musicbrainz.cover_art_url, user_agent=user_agent(settings.musicbrainz.contact), clock=clock
    )

    def find(release: Mbid, group: Mbid | None) -> tuple[Cover | None, str]:
        try:
            return archive.front(release, group), ""
        except NoCoverError as why:
            return None, f"none: {why}"

    return find


async def _ended(task: "asyncio.Task[None]") -> None:
    """Cancel a task and wait until it has let go."""
    task.cancel()
    await asyncio.wait([task])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Soulseek:
    """The two ends of one session: who finds, and who reads."""

    source: SoulseekSource
    path: SoulseekPath


def _soulseek(
    places: Places, settings: Settings, database: Database, clock: Clock, *, published: LibraryIndex
) -> _Soulseek | None:
    """Build what takes part in Soulseek, where it is enabled; raises BadConfigurationError where the account is not
    whole.
    """
    chosen, store = settings.soulseek, SoulseekStore(database)
    if not chosen.enabled:
        store.put_report(None)
        return None
    ledger = Ledger(store, clock, searches_max=chosen.searches_per_220s)
    path = SoulseekPath(
        account=_account(settings, places),
        ledger=ledger,
        published=published,
        clock=clock,
        stall_timeout_s=settings.transfers.stall_timeout_s,
    )
    source = SoulseekSource(path, ledger, Judgement(queries_of=queries_of, match=match), clock=clock)
    return _Soulseek(source=source, path=path)


def _account(settings: Settings, places: Places) -> Account:
    chosen = settings.soulseek
    if not chosen.username:
        raise BadConfigurationError(
            "soulseek.enabled is set and soulseek.username is not",
            hint="choose a name: the first login makes the account",
        )
    return Account(
        username=chosen.username,
        password=read_password(chosen.password_file, os.environ),
        server_host=chosen.server.host,
        server_port=chosen.server.port,
        listen_host=chosen.listen_address,
        listen_port=chosen.listen_port,
        shared=chosen.share,
        published_roots=_library_roots(settings, places) if chosen.share_published else (),
        never_shared=(str(places.state),),
        upload_slots=chosen.upload_slots,
        upload_bytes_per_s=chosen.upload_kbps * 1000 // 8,
    )


def _library_roots(settings: Settings, places: Places) -> tuple[str, ...]:
    """Where published files lie, without links, as the index has them."""
    roots = policy_of(settings, root=PurePosixPath(places.root), hostname="").places.library_roots
    return tuple(str(Path(each).resolve()) for each in roots)


def _patience(transfers: TransferSettings) -> Patience:
    rescue = transfers.rescue_mode
    return Patience(
        stall_timeout_s=transfers.stall_timeout_s,
        rescue=RescuePolicy(
            enabled=rescue.enabled,
            max_queue_time_s=rescue.max_queue_time_s,
            min_throughput_bytes_per_s=rescue.min_throughput_kbps * 1000 / 8,
            min_duration_s=rescue.min_duration_s,
            stall_timeout_s=rescue.stall_timeout_s,
        ),
    )


@contextlib.contextmanager
def opened(places: Places, settings: Settings) -> Iterator[Daemon]:
    """Take the state folder for this process and build everything on it.

    Raises OtherInstanceError while another daemon holds it, StateDamagedError, BadConfigurationError, DiskError.
    """
    with InstanceLock(places.state):
        database = Database.open(places.state / "reconciler.db")
        try:
            yield Daemon(places, settings, database)
        finally:
            database.close()
