"""Passes over what is no manifest to run, but speaks of one: conflict copies, and manifests that are done.

Owns: the order of the steps. Never: settles a copy (reconcile.conflict_copies), or decides about a job.
"""

import asyncio

from loguru import logger

from reconciler.reconcile.conflict_copies import settle
from reconciler.reconcile.means import Means
from reconciler.reconcile.observe import look_at
from reconciler.reconcile.observed import Valid
from reconciler.reconcile.queue import Priority
from reconciler.state.sightings import CompletedManifest


class Beside:
    """Makes these passes, one at a time."""

    def __init__(self, means: Means) -> None:
        self._means = means

    async def copy(self, path: str, original: str) -> str:
        """Settle a conflict copy with the manifest that it is another version of."""
        means = self._means
        work = await asyncio.to_thread(means.folders.git_work, means.clock.wall())
        if work:
            return work
        settled = await asyncio.to_thread(
            settle,
            means.folders.at(path),
            means.folders.at(original),
            store=means.store,
            node=means.policy.node,
        )
        if settled.mark is None:
            means.sights.forget(path)
        else:
            means.sights.saw_copy(path, settled.mark)
        if settled.merged:
            # The status went with the old version.
            means.finaliser.leave(original, keep_result=False)
            means.ledger.add(original, Priority.EDIT)
            logger.bind(path=original, copy=path).info("edit of another machine merged into the manifest")
        if settled.message and settled.message not in means.ledger.conflicts_of(original):
            logger.bind(path=original, why=settled.message).warning(
                "Syncthing kept two versions of a manifest; take what is right into the one, remove the other"
            )
        means.ledger.conflict(original, path, settled.message)
        return ""

    async def completed(self, path: str) -> str:
        """Take note of a manifest in `jobs/completed`, whoever put it there."""
        means = self._means
        look = await asyncio.to_thread(look_at, means.folders.at(path))
        if look.mark is None:
            means.sights.forget(path)
            means.ledger.wake_all_refused()
            return ""
        manifest = look.file.manifest if isinstance(look.file, Valid) else None
        job_id = manifest.job_id if manifest is not None else None
        digest = manifest.spec_digest if manifest is not None else ""
        means.sights.saw_completed(CompletedManifest(path=path, mark=look.mark, job_id=job_id, spec_digest=digest))
        ledger = means.ledger
        if job_id is not None and (ledger.registry.path_of(job_id) or ledger.dependencies.dependants_of(job_id)):
            # Judged by what stands in the database, so it must stand there first.
            await asyncio.to_thread(means.sights.save)
            ledger.wake(job_id, Priority.ENGINE)
            ledger.wake_dependants(job_id)
        return ""
