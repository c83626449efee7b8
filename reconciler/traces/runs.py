"""When a job ran, and when it did not.

Owns: the job's own time, which stands still while it is stopped, waits for a retry, or has crashed. Never: a clock.

A job runs from a JobStart to its end, or to the last event before the next JobStart; what is found out before the first
start is a run of its own. What is told after an end, as of a hook that failed, makes no run longer.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from reconciler.traces.key_events import BEFORE_THE_START
from reconciler.traces.model import EventType, SwarmEvent

# The actions of a JobComplete after which there is nothing more to do; one that was stopped goes on later.
ENDS = frozenset({"completed", "failed", "cancelled"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One uninterrupted time. Unix milliseconds."""

    start_ms: int
    end_ms: int
    earlier_ms: int
    """How long all runs before it took."""


class Runs:
    """All runs of a job, in order; at least one."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self.runs = tuple(runs)
        self._starts = [run.start_ms for run in runs]

    @property
    def total_ms(self) -> int:
        """How long the job ran."""
        return self.runs[-1].earlier_ms + self.runs[-1].end_ms - self.runs[-1].start_ms

    def offset_ms(self, unix_ms: int) -> int:
        """That moment in the job's own time; one between two runs is the end of the earlier one."""
        run = self.runs[max(0, bisect_right(self._starts, unix_ms) - 1)]
        return run.earlier_ms + max(0, min(unix_ms, run.end_ms) - run.start_ms)


def is_start(event: SwarmEvent) -> bool:
    """Whether the job began to run, or began again."""
    return event.type is EventType.JOB_START and event.action not in BEFORE_THE_START


def runs_of(told: Sequence[SwarmEvent], *, first_ms: int, last_ms: int, run_ends_ms: Sequence[int]) -> Runs:
    """Tell the runs from a job's key events in the order of their time.

    `first_ms` and `last_ms` are those of all its events, `run_ends_ms` that of the newest event before each start.
    """
    runs: list[Run] = []
    start_ms, ended_ms, earlier_ms = first_ms, None, 0
    before = iter(run_ends_ms)
    for event in told:
        if is_start(event):
            last_before_ms = next(before)
            # Not before its own start: two starts may be told in one millisecond.
            end_ms = max(start_ms, last_before_ms if ended_ms is None else ended_ms)
            runs.append(Run(start_ms=start_ms, end_ms=end_ms, earlier_ms=earlier_ms))
            earlier_ms += end_ms - start_ms
            start_ms, ended_ms = event.timestamp_ms, None
        elif event.type is EventType.JOB_COMPLETE:
            ended_ms = event.timestamp_ms if event.action in ENDS else None
    end_ms = last_ms if ended_ms is None else ended_ms
    return Runs([*runs, Run(start_ms=start_ms, end_ms=end_ms, earlier_ms=earlier_ms)])
