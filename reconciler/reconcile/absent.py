"""Look after a job whose manifest is not where it was.

Owns: the steps from missing it to letting it go. Never: decides that it is gone (reconcile.decide), or that too many
are (reconcile.missing).
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from loguru import logger

from reconciler.ids import JobId
from reconciler.reconcile.actions import Again
from reconciler.reconcile.decide import GONE_GRACE_S, decide_gone
from reconciler.reconcile.means import Means
from reconciler.reconcile.observed import GoneJob
from reconciler.reconcile.queue import Priority

# A second look at the whole folder takes some moments; then the missing job is looked at once more.
_SECOND_LOOK_S = 1.0


class Absent:
    """Looks after missing jobs, one at a time."""

    def __init__(self, means: Means, *, listed_at: Callable[[], float]) -> None:
        """`listed_at`: when the folder was last listed, monotonic."""
        self._means = means
        self._listed_at = listed_at
        self.wants_listing = False
        """Whether a job is missed for long enough, and only a second look at the folder is wanting."""

    async def look_after(self, path: str, job_id: JobId) -> str:
        """Look after a job that was in this file and is not any more; gives what git is in the middle of."""
        means = self._means
        now = means.clock.monotonic()
        if not means.ledger.missing.knows(job_id):
            # Another file with the same id may be the one that is left.
            means.ledger.wake_refused(job_id)
        since = means.ledger.missing.lost(job_id, now)
        gone = await asyncio.to_thread(
            means.observer.observe_gone, job_id, gone_for_s=now - since, now_unix_s=means.clock.wall()
        )
        if gone is None or gone.record.path != path:
            means.ledger.drop(job_id)
            return ""
        if gone.git_work:
            return gone.git_work
        gone = replace(gone, progress=means.engine.progress(job_id))
        decision = decide_gone(gone, self._means.moment())
        if isinstance(decision.outcome, Again) and not decision.actions and decision.record is None:
            means.ledger.add(path, Priority.TIMER, after_s=decision.outcome.after_s)
            return ""
        if self._is_spared(gone, since):
            return ""
        await self._means.do(decision, path)
        if isinstance(decision.outcome, Again):
            means.ledger.add(path, Priority.TIMER, after_s=decision.outcome.after_s)
            return ""
        logger.bind(job=job_id, path=path).info("manifest is gone from jobs/active")
        if (owner := await asyncio.to_thread(means.store.owner_of, job_id)) is not None:
            means.ledger.wake(owner, Priority.ENGINE)
        means.ledger.drop(job_id)
        return ""

    def _is_spared(self, gone: GoneJob, since: float) -> bool:
        """Tell whether a job that is missed for long enough is kept all the same: too many are, or one look is owed."""
        missing, path = self._means.ledger.missing, gone.record.path
        if gone.completed_copy or missing.is_confirmed(gone.record.job_id):
            return False
        if missing.many():
            # Nothing wakes it but what ends the hold; the loop says that there is one.
            return True
        if self._listed_at() < since + GONE_GRACE_S:
            self.wants_listing = True
            self._means.ledger.add(path, Priority.TIMER, after_s=_SECOND_LOOK_S)
            return True
        return False
