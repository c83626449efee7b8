"""Jobs whose manifests are not where they were, and when that looks like an accident.

Owns: since when each is missed, and the rule by which many at once hold everything. Never: looks for one, or stops it.

A folder that is emptied, a disk that is not mounted, a branch without jobs and a mistyped `rm` all look the same from
here: many files gone in little time. Who really wants to be rid of so many can say so; everybody else gets them back.
"""

from collections.abc import Callable
from itertools import islice

from reconciler.ids import JobId

# One manifest alone may go; the whole folder, or most of a larger one, hardly ever does on purpose.
ALL_OF_MIN = 2
MOST_OF_MIN = 10


def is_mass_removal(missing: int, *, of: int) -> bool:
    """Tell whether so many of so many jobs missing at once are held: all, or over half of ten or more."""
    if of >= ALL_OF_MIN and missing >= of:
        return True
    return of >= MOST_OF_MIN and 2 * missing > of


class Missing:
    """The jobs that are missed now."""

    def __init__(self, *, known: Callable[[], int], grace_s: float) -> None:
        """`known` counts the jobs that have, or had, a place in the folder, the missing ones included."""
        self._known = known
        self._grace_s = grace_s
        self._since: dict[JobId, float] = {}
        self._given_up: set[JobId] = set()

    def __len__(self) -> int:
        return len(self._since)

    def lost(self, job_id: JobId, now: float) -> float:
        """The job is not in its file; gives since when, on the monotonic clock."""
        return self._since.setdefault(job_id, now)

    def knows(self, job_id: JobId) -> bool:
        """Tell whether the job is missed already."""
        return job_id in self._since

    def found(self, job_id: JobId) -> None:
        """It is there again, or is no longer looked for."""
        self._since.pop(job_id, None)
        self._given_up.discard(job_id)

    def restart(self, now: float) -> None:
        """Count the absence of each from now on: until now nobody could have been there."""
        for job_id in self._since:
            self._since[job_id] = now

    def confirm(self) -> None:
        """A person says that those which are missing now are meant to be gone."""
        self._given_up.update(self._since)

    def is_confirmed(self, job_id: JobId) -> bool:
        """Tell whether a person said so of this one."""
        return job_id in self._given_up

    def many(self) -> bool:
        """Tell whether so many are missing that none of them may be given up unasked."""
        asked = len(self._since) - len(self._given_up)
        return asked > 0 and is_mass_removal(asked, of=self._known() - len(self._given_up))

    def is_overdue(self, now: float) -> bool:
        """Tell whether the longest missed is missed for its whole grace."""
        return any(now >= since + self._grace_s for since in islice(self._since.values(), 1))

    def jobs(self) -> tuple[JobId, ...]:
        """Those that are missed, the longest first."""
        return tuple(self._since)
