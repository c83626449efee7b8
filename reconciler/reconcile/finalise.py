"""The end of every pass: the status in the file, the line in the log, the result of the run.

Owns: all writing of status, what was last written where, and saying a thing once. Never: decides what the status is
(reconcile.status) or when a job has ended.
"""

import asyncio
from dataclasses import dataclass

from loguru import logger

from reconciler.clock import Clock
from reconciler.errors import ExitCode, InvalidInputError, ReconcilerError, UnsafePathError
from reconciler.manifests.document import printable
from reconciler.manifests.files import rewrite
from reconciler.manifests.model import Condition, JobState, Status
from reconciler.manifests.splice import splice_status
from reconciler.reconcile.actions import Decision, Stop
from reconciler.reconcile.observe import Folders
from reconciler.reconcile.observed import Observed, Valid
from reconciler.reconcile.status import Written, write_delay_s


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResult:
    """How one manifest stands at the end of a run."""

    path: str
    """Where the manifest was seen, relative to the root folder."""
    job_id: str
    """Empty where the file has none."""
    state: JobState
    message: str
    """Why it is not completed, and what to do; empty where there is nothing to say."""
    stalled: bool
    """Whether a person has to act."""

    @property
    def is_good(self) -> bool:
        """Whether everything that it asks for is there."""
        return self.state is JobState.COMPLETED and not self.stalled


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """How a run ended."""

    jobs: tuple[JobResult, ...]
    """By path."""
    listed: bool
    """Whether `jobs/active` could be listed at all."""

    @property
    def exit_code(self) -> ExitCode:
        """What the process tells its caller."""
        good = self.listed and all(job.is_good for job in self.jobs)
        return ExitCode.OK if good else ExitCode.NOT_ALL_COMPLETED


class Finaliser:
    """Writes the status of manifests, and says what became of them."""

    def __init__(self, *, folders: Folders, clock: Clock, interval_s: float) -> None:
        self._folders = folders
        self._clock = clock
        self._interval_s = interval_s
        self._written: dict[str, Written] = {}
        self._deferred: dict[str, Status] = {}
        self._said: dict[str, tuple[str, ...]] = {}
        self._refusals: dict[str, str] = {}
        self._results: dict[str, JobResult] = {}
        self._ended: list[JobResult] = []

    def last_conditions(self, path: str) -> tuple[Condition, ...]:
        """The conditions that the file's status has had since this process began."""
        written = self._written.get(path)
        return written.status.conditions if written is not None else ()

    async def finish(self, observed: Observed, decision: Decision) -> float | None:
        """Close a pass: write its status if that is due, say what changed. Seconds until a status that is not due yet.

        Raises FileBusyError or FileNotFoundError where somebody is changing the file this moment, DiskError.
        """
        due_s = await self._settle(observed, decision.status) if decision.status is not None else None
        self._say(observed, decision)
        return due_s

    async def flush(self) -> None:
        """Write what waits for its interval: nothing will be written after this."""
        for path, status in list(self._deferred.items()):
            try:
                await self._write(path, status)
            except (ReconcilerError, OSError) as error:
                logger.bind(path=path, why=printable(str(error))).warning("status not written before the end")
        self._deferred.clear()

    def leave(self, path: str, *, keep_result: bool) -> None:
        """Forget a file that is not in `jobs/active` any more; with `keep_result`, not how it ended."""
        result = self._results.pop(path, None)
        if result is not None and keep_result:
            self._ended.append(result)
        for known in (self._written, self._deferred, self._said, self._refusals):
            known.pop(path, None)

    def result(self, *, listed: bool) -> RunResult:
        """How every manifest stands that was seen, but for those that were taken away."""
        jobs = sorted((*self._results.values(), *self._ended), key=lambda job: job.path)
        return RunResult(jobs=tuple(jobs), listed=listed)

    async def _settle(self, observed: Observed, status: Status) -> float | None:
        path = observed.path
        if isinstance(observed.file, Valid) and not observed.file.writable:
            self._refuse(path, "a link is not written through")
            self._written[path] = Written(status=status, at_s=self._clock.monotonic())
            return None
        delay_s = write_delay_s(
            status, self._written.get(path), now_s=self._clock.monotonic(), interval_s=self._interval_s
        )
        if delay_s is None:
            self._deferred.pop(path, None)
            return None
        if delay_s > 0.0:
            self._deferred[path] = status
            return delay_s
        await self._write(path, status)
        return None

    async def _write(self, path: str, status: Status) -> None:
        file = self._folders.at(path)
        try:
            await asyncio.to_thread(rewrite, file, lambda data: splice_status(data, status))
        except (InvalidInputError, UnsafePathError) as error:
            # Most often SpliceRefusedError: a way of writing YAML that leaves the block no exact place.
            self._refuse(path, error.message)
        self._written[path] = Written(status=status, at_s=self._clock.monotonic())
        self._deferred.pop(path, None)

    def _refuse(self, path: str, why: str) -> None:
        """Say once for each reason that a file goes without status; the job goes on."""
        if self._refusals.get(path) != why:
            self._refusals[path] = why
            logger.bind(path=path, why=printable(why)).warning("status not written into the manifest")

    def _say(self, observed: Observed, decision: Decision) -> None:
        """The one line of a pass that changed something a person would notice."""
        if decision.status is None and not isinstance(decision.outcome, Stop):
            return  # a step on the way
        result = _result_of(observed, decision)
        self._results[observed.path] = result
        reasons = tuple(condition.reason for condition in decision.status.conditions) if decision.status else ()
        said = (result.job_id, result.state.value, result.message, *reasons)
        if self._said.get(observed.path) == said:
            return
        self._said[observed.path] = said
        line = logger.bind(
            job=result.job_id,
            path=result.path,
            state=result.state.value,
            reason=reasons[0] if reasons else "",
            message=printable(result.message),
        )
        line.log("WARNING" if result.stalled else "INFO", "job reconciled")


def _result_of(observed: Observed, decision: Decision) -> JobResult:
    record = decision.record or observed.record
    named = observed.file.manifest.job_id if isinstance(observed.file, Valid) else None
    state, message = JobState.FAILED, ""
    if decision.status is not None:
        state, message = decision.status.state, decision.status.error_message
    elif record is not None:
        state, message = record.state, record.error_message
    stalled = isinstance(decision.outcome, Stop)
    if isinstance(decision.outcome, Stop):
        message = decision.outcome.message
    return JobResult(
        path=observed.path,
        job_id=named or (record.job_id if record is not None else ""),
        state=state,
        message=message,
        stalled=stalled,
    )
