"""Which job waits for which.

Owns: the graph of `depends_on` between the manifests that stand in `jobs/active`. Never: knows how far a job is.
"""

from reconciler.ids import JobId


class Dependencies:
    """Jobs, the jobs that each needs, and the other way round."""

    def __init__(self) -> None:
        self._needs: dict[JobId, tuple[JobId, ...]] = {}
        # Sets as dicts: what is woken keeps its order.
        self._needed_by: dict[JobId, dict[JobId, None]] = {}

    def place(self, job_id: JobId, needs: tuple[JobId, ...]) -> bool:
        """The job needs these and no others; tell whether that is news."""
        if self._needs.get(job_id, ()) == needs:
            return False
        self.drop(job_id)
        if needs:
            self._needs[job_id] = needs
            for other in needs:
                self._needed_by.setdefault(other, {})[job_id] = None
        return True

    def drop(self, job_id: JobId) -> None:
        """The job needs nothing any more."""
        for other in self._needs.pop(job_id, ()):
            waiting = self._needed_by.get(other)
            if waiting is not None:
                waiting.pop(job_id, None)
                if not waiting:
                    del self._needed_by[other]

    def dependants_of(self, job_id: JobId) -> tuple[JobId, ...]:
        """The jobs that name this one."""
        return tuple(self._needed_by.get(job_id, ()))

    def cycle_through(self, job_id: JobId) -> tuple[JobId, ...]:
        """A way from the job back to itself, the job at both ends; empty = there is none."""
        came_from: dict[JobId, JobId] = {}
        waiting = [job_id]
        while waiting:
            here = waiting.pop()
            for other in self._needs.get(here, ()):
                if other == job_id:
                    return _way(came_from, here, job_id)
                if other not in came_from:
                    came_from[other] = here
                    waiting.append(other)
        return ()

    def check_invariants(self) -> None:
        """Raise AssertionError where the two directions contradict each other."""
        forward = {(job_id, other) for job_id, needs in self._needs.items() for other in needs}
        backward = {(job_id, other) for other, waiting in self._needed_by.items() for job_id in waiting}
        assert forward == backward, "who needs and who is needed do not agree"
        assert all(self._needs.values()), "an empty entry is kept"
        assert all(self._needed_by.values()), "an empty entry is kept"


def _way(came_from: dict[JobId, JobId], last: JobId, start: JobId) -> tuple[JobId, ...]:
    way = [start, last]
    while way[-1] != start:
        way.append(came_from[way[-1]])
    return tuple(reversed(way))
