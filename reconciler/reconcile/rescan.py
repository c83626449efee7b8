"""Compare the folders with what was last seen in them, and begin with what an earlier process saw.

Owns: what a difference sets going, when the folder is looked through next, and the confirmation of a removal.
Never: opens a manifest; everything found is a path in the queue.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

from loguru import logger

from reconciler.clock import Clock
from reconciler.ids import JobId
from reconciler.manifests.document import one_line
from reconciler.manifests.files import recover_displaced
from reconciler.reconcile.conditions import Reason
from reconciler.reconcile.decide import GONE_GRACE_S
from reconciler.reconcile.holds import Holds
from reconciler.reconcile.ledger import Ledger
from reconciler.reconcile.listing import Differences, differences
from reconciler.reconcile.names import REMOVAL_CONFIRMED
from reconciler.reconcile.observe import Folders
from reconciler.reconcile.observed import Policy
from reconciler.reconcile.queue import Priority
from reconciler.reconcile.sights import Sights
from reconciler.reconcile.verdict import TIMER_S_MAX
from reconciler.reconcile.watch import Watch
from reconciler.state.jobs import JobStore
from reconciler.state.sightings import Sighting

# Looking through 100,000 files takes about half a second of one core. Waiting 200 times as long keeps that at half a
# percent.
_REST_PER_COST = 200.0

# While events are lost all the time, the folder is not looked through all the time: a fifth of a core is enough.
_PAUSE_PER_COST = 4.0


class Rescan:
    """Finds what no event told of."""

    def __init__(
        self, *, folders: Folders, ledger: Ledger, sights: Sights, holds: Holds, clock: Clock, policy: Policy
    ) -> None:
        self._folders = folders
        self._ledger = ledger
        self._sights = sights
        self._holds = holds
        self._clock = clock
        self._policy = policy
        self._at = float("-inf")
        self._not_before = float("-inf")
        self.listed_at = float("-inf")
        """When `jobs/active` was last listed, on the monotonic clock; minus infinity = it could not be yet."""
        self._away_since: float | None = None
        """When it first could not be listed; None = it could be when it was last tried."""

    @property
    def at(self) -> float:
        """When the folders are looked through next, on the monotonic clock."""
        return self._at

    def is_away(self, now: float) -> bool:
        """Tell whether `jobs/active` cannot be listed, and that for longer than a missing manifest is waited for."""
        return self._away_since is not None and now >= self._away_since + GONE_GRACE_S

    def soon(self) -> None:
        """Look through the folders as soon as may be: something happened that has no name."""
        self._at = min(self._at, self._not_before)

    # ---- the beginning -----------------------------------------------------------------------------------------------

    async def recall(self, store: JobStore, *, rules: str, once: bool) -> None:
        """Put right what a crash left, and take back what an earlier process knew.

        Who runs it once, by hand or from a timer of their own, wants every job looked at, and a failed one tried now.
        """
        await self._holds.begin()
        await asyncio.to_thread(_recover, self._folders)
        if once:
            await asyncio.to_thread(store.hasten, self._clock.wall())
            await asyncio.to_thread(self._sights.load_completed)
        else:
            await asyncio.to_thread(self._sights.load, rules, self._take_back)
        for job_id, path in await asyncio.to_thread(store.places):
            if self._folders.is_active(path):
                self._ledger.registry.place(job_id, path)

    def _take_back(self, seen: Sighting) -> None:
        """Let a file that is as it was wait for what it waited for. In a thread, while nobody else uses the ledger."""
        ledger, path = self._ledger, seen.path
        ledger.weigh(path, seen.priority)
        if seen.job_id is not None and seen.depends_on:
            ledger.dependencies.place(seen.job_id, seen.depends_on)
        match seen.waits_for:
            case "nothing":
                return
            case "slot":
                ledger.stand_in_line(path, (-seen.priority, seen.created_at, seen.job_id or JobId("")))
            case "time":
                after_s = (seen.at or 0.0) - self._clock.wall()
                self._plan(seen, Priority.TIMER, min(max(0.0, after_s), TIMER_S_MAX))
            case "look":
                # Mostly what ran: it has its place in the engine before those that waited for one.
                self._plan(seen, Priority.ENGINE, 0.0)
            case "file" | "jobs":
                # What it waited for may have come meanwhile.
                self._plan(seen, Priority.SCAN, 0.0)

    def _plan(self, seen: Sighting, priority: Priority, after_s: float) -> None:
        """Have it looked at; the loop does not sleep yet, so nobody has to be woken."""
        at = self._clock.monotonic() + after_s
        self._ledger.queue.add(seen.path, priority=priority, not_before=at, weight=seen.priority)

    # ---- every time --------------------------------------------------------------------------------------------------

    async def look(self, watch: Watch, *, is_own: Callable[[str], bool], unsettled: Callable[[str], None]) -> bool:
        """Look through both folders; False where that of the manifests cannot be listed.

        A changed file that may be our own writing (`is_own`) is given to `unsettled`; all others go into the queue.
        """
        began = self._clock.monotonic()
        self._at = float("inf")
        try:
            return await self._looked(watch, began, is_own=is_own, unsettled=unsettled)
        finally:
            self._rest(began, watch)

    async def _looked(
        self, watch: Watch, began: float, *, is_own: Callable[[str], bool], unsettled: Callable[[str], None]
    ) -> bool:
        await asyncio.to_thread(watch.rearm)
        found = await self._list(self._folders.active, self._sights.active, known=self._ledger.registry.paths)
        if found is None:
            self._away_since = began if self._away_since is None else self._away_since
            return False
        self._away_since = None
        for path in (*found.changed, *found.copies):
            if is_own(path):
                unsettled(path)
            else:
                # What a full queue refuses has no mark yet, so that the next time offers it again.
                self._ledger.add(path, Priority.SCAN)
        self._miss(found.vanished, began)
        self.listed_at = began
        if found.removal_confirmed:
            await self._confirm()
        await self.review()
        await self._look_at_completed()
        await asyncio.to_thread(self._sights.save)
        return True

    async def review(self) -> None:
        """Hold everything back, or end that, as many manifests are missing or not."""
        missing = self._ledger.missing
        if missing.many() and missing.is_overdue(self._clock.monotonic()):
            path = self._folders.relative(self._folders.removal_confirmed)
            message = (
                "most manifests are gone from jobs/active at once, so no job is stopped; "
                f"put them back, or make the empty file {path} if they are meant to be gone"
            )
            await self._holds.say(Reason.MASS_REMOVAL, message)
        elif self._holds.lasts(Reason.MASS_REMOVAL) and not missing.many():
            await self._holds.over(Reason.MASS_REMOVAL)
            self._look_after_missing()

    def _miss(self, vanished: tuple[str, ...], now: float) -> None:
        """Look after what is not there any more; what is known to be missing has its own timer, or is held."""
        for path in vanished:
            jobs = self._ledger.registry.jobs_at(path)
            if not jobs or any(not self._ledger.missing.knows(job_id) for job_id in jobs):
                self._ledger.add(path, Priority.SCAN)
            for job_id in jobs:
                self._ledger.missing.lost(job_id, now)

    async def _confirm(self) -> None:
        """A person says that what is missing is meant to be gone."""
        logger.bind(jobs=len(self._ledger.missing)).warning("removal of manifests confirmed; their jobs are stopped")
        self._ledger.missing.confirm()
        await asyncio.to_thread(self._folders.removal_confirmed.unlink, missing_ok=True)
        self._look_after_missing()

    def _look_after_missing(self) -> None:
        for job_id in self._ledger.missing.jobs():
            self._ledger.wake(job_id, Priority.SCAN)

    async def _look_at_completed(self) -> None:
        found = await self._list(self._folders.completed, self._sights.completed, known=tuple)
        if found is not None:
            for path in (*found.changed, *found.vanished):
                self._ledger.add(path, Priority.SCAN)

    async def _list(
        self, folder: Path, marks: dict[str, int], *, known: Callable[[], tuple[str, ...]]
    ) -> Differences | None:
        prefix = self._folders.relative(folder) + "/"
        try:
            return await asyncio.to_thread(differences, folder, prefix, marks, known())
        except OSError as error:
            # jobs/completed comes with the first job that is done.
            if folder == self._folders.active:
                logger.bind(folder=str(folder), why=str(error.strerror)).error(
                    "folder of manifests cannot be listed; nothing is stopped, make it with `reconciler init`"
                )
            return None

    def _rest(self, began: float, watch: Watch) -> None:
        now = self._clock.monotonic()
        usual_s = self._policy.rescan_s if watch.hears else self._policy.poll_s
        cost_s = now - began
        # What was lost while the folder was looked through may lie where the look had been already.
        lost = self._at < float("inf")
        self._not_before = now + cost_s * _PAUSE_PER_COST
        self._at = self._not_before if lost else now + max(usual_s, cost_s * _REST_PER_COST)


def _recover(folders: Folders) -> None:
    # In the other two lie copies that were not finished.
    for folder in (folders.active, folders.completed, folders.status):
        for found in recover_displaced(folder) if folder.is_dir() else ():
            logger.bind(path=one_line(found.name)).warning("an edit that a crash had displaced was recovered")


def is_confirmation(path: str) -> bool:
    """Tell whether a path is the word of a person that what is missing is meant to be gone."""
    return path.endswith(f"/{REMOVAL_CONFIRMED}")
