"""The API put together from the parts of a daemon, and opened.

Owns: what stands behind each of its means, and who is let in. Never: answers a request. It is imported when it is
opened: its libraries take a second to load.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from loguru import logger

from reconciler.api.app import behind_the_door, make_app
from reconciler.api.figures import Figures, Watched
from reconciler.api.guard import DoorRules
from reconciler.api.hosts import is_loopback
from reconciler.api.means import ApiMeans
from reconciler.api.server import bound, serving, threads
from reconciler.api.token import load_or_make_token
from reconciler.clock import Clock
from reconciler.config import ApiSettings
from reconciler.engine.order import JobProgress
from reconciler.ids import JobId
from reconciler.reconcile.loop import Reconciler
from reconciler.reconcile.observe import Folders
from reconciler.reconcile.orders import Places
from reconciler.state.database import Database
from reconciler.traces.tally import EventTally


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonParts:
    """The parts of a daemon that the API speaks of."""

    state: Path
    folders: Folders
    places: Places
    database: Database
    clock: Clock
    events: EventTally
    reconciler: Reconciler
    progress: Callable[[JobId], JobProgress | None]
    running: Callable[[], tuple[JobProgress, ...]]
    is_fetching_possible: Callable[[], bool]


@contextlib.asynccontextmanager
async def answering(settings: ApiSettings, daemon: DaemonParts) -> AsyncIterator[None]:
    """Answer requests while the block runs.

    Raises BadConfigurationError where the port is taken or the token can be read by others, DiskError.
    """
    token = await asyncio.to_thread(load_or_make_token, daemon.state)
    loopback = is_loopback(settings.listen.host)
    rules = DoorRules(token=token, loopback=loopback, allowed_hosts=frozenset(settings.allowed_hosts))
    closing = asyncio.Event()
    with contextlib.closing(bound(settings.listen)) as listener, threads() as pool:
        means = ApiMeans(
            folders=daemon.folders,
            places=daemon.places,
            database=daemon.database,
            progress=daemon.progress,
            look_at=daemon.reconciler.on_path,
            waits_for=lambda: _waits_for(daemon),
            figures=Figures(
                Watched(
                    queue=daemon.reconciler.queue,
                    loop=daemon.reconciler.tally,
                    events=daemon.events,
                    running=daemon.running,
                )
            ),
            clock=daemon.clock,
            entropy=os.urandom,
            threads=pool,
        )
        app = behind_the_door(make_app(means, closing=closing), means, rules)
        async with serving(app, listener, closing=closing, state=daemon.state):
            host, port = listener.getsockname()[:2]
            logger.bind(host=host, port=port, token_file=str(daemon.state / "token")).info("the API listens")
            yield


def _waits_for(daemon: DaemonParts) -> tuple[str, ...]:
    waits = []
    if not daemon.reconciler.is_listed:
        waits.append("the folders have not been looked through yet")
    if not daemon.is_fetching_possible():
        waits.append("the byte path has not started, or has ended")
    return tuple(waits)
