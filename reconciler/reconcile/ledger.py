"""What the loop knows of files and jobs between two passes.

Owns: the queue, who waits for what, and who is woken by whom. Never: looks at a disk, or decides anything.

Everything here is on the loop's thread. None of it has to survive: it is made anew at every start from the database and
the folder.
"""

from reconciler.clock import Clock
from reconciler.ids import JobId
from reconciler.reconcile.decide import GONE_GRACE_S
from reconciler.reconcile.dependencies import Dependencies
from reconciler.reconcile.missing import Missing
from reconciler.reconcile.queue import Priority, WorkQueue
from reconciler.reconcile.registry import Registry
from reconciler.reconcile.slots import Rank, SlotLine
from reconciler.reconcile.wakeup import Wakeup


class Ledger:
    """Which paths are to be looked at, and why."""

    def __init__(self, *, clock: Clock, wakeup: Wakeup) -> None:
        self._clock = clock
        self._wakeup = wakeup
        self.queue = WorkQueue()
        self.line = SlotLine()
        self.registry = Registry()
        self.dependencies = Dependencies()
        self.missing = Missing(known=lambda: len(self.registry), grace_s=GONE_GRACE_S)
        # The job that a file was refused for: another file speaks for it.
        self._refused: dict[str, JobId] = {}
        self._refused_for: dict[JobId, dict[str, None]] = {}
        # What is to be said of the copies of a file, by their paths.
        self._conflicts: dict[str, dict[str, str]] = {}
        # The priorities of jobs that are not usual.
        self._weights: dict[str, int] = {}

    def add(self, path: str, priority: Priority, *, after_s: float = 0.0) -> bool:
        """Have a path looked at after so many seconds; False where the queue is full."""
        added = self.queue.add(
            path,
            priority=priority,
            not_before=self._clock.monotonic() + after_s,
            weight=self._weights.get(path, 0),
        )
        self._wakeup.set()
        return added

    def wake(self, job_id: JobId, priority: Priority) -> None:
        """Have the file looked at in which a job was last seen."""
        path = self.registry.path_of(job_id)
        if path is not None:
            self.add(path, priority)

    def wake_dependants(self, job_id: JobId) -> None:
        """Have the jobs looked at that wait for this one."""
        for other in self.dependencies.dependants_of(job_id):
            self.wake(other, Priority.ENGINE)

    def needs(self, job_id: JobId, others: tuple[JobId, ...]) -> None:
        """A job waits for these and no others. Who waits for it may now be in a cycle, or out of one."""
        if self.dependencies.place(job_id, others):
            self.wake_dependants(job_id)

    def weigh(self, path: str, weight: int) -> None:
        """The job in this file goes before others of its class, or after them."""
        if weight:
            self._weights[path] = weight
        else:
            self._weights.pop(path, None)

    def stand_in_line(self, path: str, rank: Rank) -> None:
        """The job in this file wants the engine."""
        self.line.wait(path, rank)

    # ---- files that another one stands in the way of -----------------------------------------------------------------

    def refuse(self, path: str, job_id: JobId) -> None:
        """Another file speaks for the job in this one; when that changes, look again."""
        self.accept(path)
        self._refused[path] = job_id
        self._refused_for.setdefault(job_id, {})[path] = None

    def accept(self, path: str) -> None:
        """Nothing stands in the way of this file."""
        job_id = self._refused.pop(path, None)
        if job_id is not None:
            waiting = self._refused_for[job_id]
            waiting.pop(path, None)
            if not waiting:
                del self._refused_for[job_id]

    def wake_refused(self, job_id: JobId) -> None:
        """Have the files looked at that were refused for this job."""
        for path in tuple(self._refused_for.get(job_id, ())):
            self.add(path, Priority.SCAN)

    def wake_all_refused(self) -> None:
        """Have every refused file looked at: what stands in their way may have gone unheard."""
        for path in tuple(self._refused):
            self.add(path, Priority.SCAN)

    # ---- conflict copies ---------------------------------------------------------------------------------------------

    def conflict(self, path: str, copy: str, message: str) -> None:
        """There is something, or with an empty `message` nothing more, to say of a copy of this file."""
        told = self._conflicts.setdefault(path, {})
        before = told.get(copy, "")
        if message:
            told[copy] = message
        else:
            told.pop(copy, None)
            if not told:
                del self._conflicts[path]
        if message != before:
            self.add(path, Priority.ENGINE)

    def conflicts_of(self, path: str) -> tuple[str, ...]:
        """What is to be said of the copies of this file, by their names."""
        return tuple(message for _, message in sorted(self._conflicts.get(path, {}).items()))

    def copies_of(self, path: str) -> tuple[str, ...]:
        """The copies of this file of which something is to be said."""
        return tuple(self._conflicts.get(path, ()))

    # ---- going -------------------------------------------------------------------------------------------------------

    def leave(self, path: str) -> None:
        """There is no such file any more."""
        self.line.leave(path)
        self.accept(path)
        self._weights.pop(path, None)

    def drop(self, job_id: JobId) -> None:
        """The job is in no file of `jobs/active` any more; what was refused for it may run."""
        self.registry.drop(job_id)
        self.missing.found(job_id)
        self.dependencies.drop(job_id)
        self.wake_dependants(job_id)
        self.wake_refused(job_id)
