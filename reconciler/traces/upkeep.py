"""What the trace needs while a daemon runs.

Owns: how often events are brought to the disk, and old ones deleted. Never: how (traces.store).
"""

import asyncio

from loguru import logger

from reconciler.clock import Clock
from reconciler.errors import DiskError, FileBusyError
from reconciler.traces.store import TraceStore

# How long an event may wait in memory. Long enough that a fast download is written in large batches, short enough that
# `job trace` beside a running daemon is current for a person, and that a crash loses little of the story (never a
# fact).
WRITE_EVERY_S = 0.25

PURGE_EVERY_S = 86_400.0


async def keep_writing(traces: TraceStore) -> None:
    """Bring events to the disk until cancelled."""
    failing = False
    while True:
        await asyncio.sleep(WRITE_EVERY_S)
        try:
            await asyncio.to_thread(traces.write_waiting)
        except (DiskError, FileBusyError) as error:
            if not failing:  # said once, not four times a second; the events wait in their bounded buffer
                logger.bind(why=error.message).error("the trace cannot be written for now")
            failing = True
        else:
            failing = False


async def keep_purging(traces: TraceStore, clock: Clock) -> None:
    """Delete what is too old, now and once a day, until cancelled; between two jobs it can be."""
    while True:
        try:
            await purge_old(traces, now_ms=int(clock.wall() * 1000))
        except (DiskError, FileBusyError) as error:
            logger.bind(why=error.message).error("old events cannot be deleted; it is tried again in a day")
        await asyncio.sleep(PURGE_EVERY_S)


async def purge_old(traces: TraceStore, *, now_ms: int) -> None:
    """Delete what is too old, job by job; one whose log cannot be removed holds up no other. Raises DiskError then."""
    deleted = 0
    refused: list[DiskError] = []
    stale = await asyncio.to_thread(traces.stale_jobs, now_ms=now_ms)
    for job_id in stale:
        try:
            deleted += await asyncio.to_thread(traces.purge, job_id, now_ms=now_ms)
        except DiskError as error:
            refused.append(error)
    if deleted:
        logger.bind(events=deleted, jobs=len(stale) - len(refused)).info("old events were deleted")
    if refused:
        raise refused[0]
