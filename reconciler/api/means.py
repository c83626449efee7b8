"""What the API works with.

Owns: that one value, and how blocking work is done beside the loop. Never: answers a request.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TypeVar

from reconciler.api.figures import Figures
from reconciler.clock import Clock
from reconciler.engine.order import JobProgress
from reconciler.errors import NotFoundError
from reconciler.ids import JobId
from reconciler.reconcile.observe import Folders
from reconciler.reconcile.orders import Places
from reconciler.state.database import Database
from reconciler.state.jobs import JobStore
from reconciler.state.records import JobRecord

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiMeans:
    """What the API works with. The functions are for the loop's thread."""

    folders: Folders
    places: Places
    database: Database
    progress: Callable[[JobId], JobProgress | None]
    """How far a job is that the engine has; None = it does not have it."""
    look_at: Callable[[str], None]
    """Something may have happened to a file: its path, relative to the root folder."""
    waits_for: Callable[[], tuple[str, ...]]
    """What is not ready yet, in words; empty = all is."""
    figures: Figures
    clock: Clock
    entropy: Callable[[int], bytes]
    threads: Executor
    """Of the API's own: requests that wait for the disk must not keep the reconcile loop from its threads."""

    async def beside(self, work: Callable[[], T]) -> T:
        """Do what waits for the disk in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self.threads, work)

    def record(self, job_id: str) -> JobRecord:
        """What is known of a job; raises NotFoundError. Blocking."""
        record = JobStore(self.database).get(JobId(job_id))
        if record is None:
            raise NotFoundError("there is no such job here", hint="GET /api/jobs lists them")
        return record
