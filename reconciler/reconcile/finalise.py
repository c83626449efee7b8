"""The end of every pass: the status in the file or beside it, the line in the log, the result of the run.

Owns: where a status is written, what was last written into manifests, and saying a thing once. Never: decides what the
status is (reconcile.status), or when a job has ended.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from loguru import logger

from reconciler.clock import Clock
from reconciler.config import StatusMode
from reconciler.errors import DiskError, ExitCode, InvalidInputError, ReconcilerError, UnsafePathError
from reconciler.manifests.document import one_line
from reconciler.manifests.files import (
    FallBack,
    NotSupportedHereError,
    file_system_of,
    is_open_in_editor,
    rewrite,
)
from reconciler.manifests.model import Condition, JobState, Status
from reconciler.manifests.splice import splice_status
from reconciler.reconcile.actions import Decision, Stop
from reconciler.reconcile.echoes import Echoes
from reconciler.reconcile.observe import Folders
from reconciler.reconcile.observed import Observed, Valid
from reconciler.reconcile.report import PROGRESS_S, report_of
from reconciler.reconcile.sidecar import Sidecars
from reconciler.reconcile.status import Written, is_turn, write_delay_s

# An editor closes its file some time, and nothing tells when.
_EDITOR_LOOK_S = 15.0

# Things that are said once in the life of a daemon. There are some ten; this keeps hostile file names from making more.
_SAID_MAX = 100


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

    def __init__(
        self, *, folders: Folders, clock: Clock, interval_s: float, mode: StatusMode, node: str, echoes: Echoes
    ) -> None:
        self._folders = folders
        self._clock = clock
        self._interval_s = interval_s
        self._mode = mode
        self._echoes = echoes
        self._sidecars = Sidecars(folders.status, node=node, clock=clock)
        self._written: dict[str, Written] = {}
        self._deferred: dict[str, Status] = {}
        self._moved: set[str] = set()
        self._said: dict[str, tuple[str, ...]] = {}
        self._refusals: dict[str, str] = {}
        self._said_once: set[tuple[str, ...]] = set()
        self._results: dict[str, JobResult] = {}
        self._ended: list[JobResult] = []

    def last_conditions(self, path: str) -> tuple[Condition, ...]:
        """The conditions that the file's status has had since this process began."""
        written = self._written.get(path)
        return written.status.conditions if written is not None else ()

    async def finish(self, observed: Observed, decision: Decision) -> float | None:
        """Close a pass: write its status where that is due, say what changed. Seconds until one that is not due yet.

        Raises FileBusyError or FileNotFoundError where somebody is changing the file this moment, DiskError.
        """
        due_s: list[float | None] = []
        if decision.status is not None and self._mode == "none":
            self._note(observed.path, decision.status)
        elif decision.status is not None:
            if self._mode == "sidecar":
                self._note(observed.path, decision.status)
            else:
                due_s.append(await self._settle(observed, decision.status))
            due_s.append(await self._settle_beside(observed, decision.status))
        if decision.archive:
            self._moved.add(observed.path)
        else:
            self._moved.discard(observed.path)
        self._say(observed, decision)
        return min((due for due in due_s if due is not None), default=None)

    async def flush(self) -> None:
        """Write what waits for its time: nothing will be written after this."""
        for path, status in list(self._deferred.items()):
            try:
                # What is no turn of the job is not worth a question of the editor that has the file open.
                if not await self._waits_for_editor(path, status):
                    await self._write(path, status)
            except (ReconcilerError, OSError) as error:
                logger.bind(path=path, why=one_line(str(error))).warning("status not written before the end")
        self._deferred.clear()
        try:
            await asyncio.to_thread(self._sidecars.flush)
        except DiskError as error:
            self._say_once("status not written beside the manifests", why=one_line(error.message))

    def leave(self, path: str, *, keep_result: bool) -> None:
        """Forget a file that is not in `jobs/active` any more; with `keep_result`, not how it ended."""
        result = self._results.pop(path, None)
        if result is not None and keep_result:
            self._ended.append(result)
        for known in (self._written, self._deferred, self._said, self._refusals):
            known.pop(path, None)
        self._sidecars.leave(path, keep=path in self._moved)
        self._moved.discard(path)

    def result(self, *, listed: bool) -> RunResult:
        """How every manifest stands that was seen, but for those that were taken away."""
        jobs = sorted((*self._results.values(), *self._ended), key=lambda job: job.path)
        return RunResult(jobs=tuple(jobs), listed=listed)

    def _note(self, path: str, status: Status) -> None:
        self._written[path] = Written(status=status, at_s=self._clock.monotonic())

    async def _settle(self, observed: Observed, status: Status) -> float | None:
        """Write into the manifest if that is due; seconds until it is, None = what stands there holds."""
        path = observed.path
        if isinstance(observed.file, Valid) and not observed.file.writable:
            self._refuse(path, "a link is not written through")
            self._note(path, status)
            return None
        delay_s = write_delay_s(
            status, self._written.get(path), now_s=self._clock.monotonic(), interval_s=self._interval_s
        )
        if delay_s is None:
            self._deferred.pop(path, None)
            return None
        if delay_s == 0.0 and await self._waits_for_editor(path, status):
            delay_s = max(_EDITOR_LOOK_S, self._interval_s)
        if delay_s > 0.0:
            self._deferred[path] = status
            return delay_s
        await self._write(path, status)
        if path not in self._refusals and self._mode == "in_file" and observed.record is not None:
            await asyncio.to_thread(self._sidecars.drop, path, observed.record.job_id)
        return None

    async def _waits_for_editor(self, path: str, status: Status) -> bool:
        """Whether an editor has the file open and would ask whether to read it again, for news of tracks alone."""
        written = self._written.get(path)
        if is_turn(status, written.status if written is not None else None):
            return False
        return await asyncio.to_thread(is_open_in_editor, self._folders.at(path))

    async def _write(self, path: str, status: Status) -> None:
        file = self._folders.at(path)
        try:
            done = await asyncio.to_thread(rewrite, file, lambda data: splice_status(data, status))
        except (InvalidInputError, UnsafePathError, NotSupportedHereError) as error:
            # Most often SpliceRefusedError: a way of writing YAML that leaves the block no exact place.
            self._refuse(path, error.message)
        else:
            self._refusals.pop(path, None)
            self._echoes.wrote(path, over=done.over, now=done.data)
            for fall_back in done.fall_backs:
                self._say_fall_back(file, fall_back)
        self._note(path, status)
        self._deferred.pop(path, None)

    async def _settle_beside(self, observed: Observed, status: Status) -> float | None:
        """Write the sidecar if there is to be one and it is due; seconds until the next, None = none."""
        if self._mode == "in_file" and observed.path not in self._refusals:
            return None
        try:
            return await asyncio.to_thread(self._sidecars.settle, report_of(observed, status))
        except DiskError as error:
            # The job goes on without; a manifest that can be written has its status there.
            self._say_once("status not written beside the manifests", why=one_line(error.message))
            return PROGRESS_S

    def _refuse(self, path: str, why: str) -> None:
        """Say once for each reason that a file goes without status; the job goes on."""
        if self._refusals.get(path) != why:
            self._refusals[path] = why
            logger.bind(path=path, why=one_line(why)).warning(
                "status not written into the manifest; it is in jobs/status"
            )

    def _say_fall_back(self, file: Path, fall_back: FallBack) -> None:
        self._say_once("manifests are written by a fall-back", file_system=file_system_of(file.parent), why=fall_back)

    def _say_once(self, message: str, **pairs: str) -> None:
        said = (message, *pairs.values())
        if said not in self._said_once and len(self._said_once) < _SAID_MAX:
            self._said_once.add(said)
            logger.bind(**pairs).warning(message)

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
            message=one_line(result.message),
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
