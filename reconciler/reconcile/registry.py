"""Which job was last seen in which file.

Owns: the two directions of that relation, for the files of `jobs/active`. Never: stores it; the database has it in
each job's record, and this is built from there at every start.
"""

from reconciler.ids import JobId


class Registry:
    """Jobs by file and files by job; a job is in one file, a file may have been left by several jobs."""

    def __init__(self) -> None:
        self._path_of: dict[JobId, str] = {}
        # In the order of arrival: the last is the job that the file named most recently. Tuples, because most hold one
        # job and there may be 100,000 of them.
        self._jobs_at: dict[str, tuple[JobId, ...]] = {}

    def __len__(self) -> int:
        return len(self._path_of)

    def place(self, job_id: JobId, path: str) -> None:
        """The job is in this file now, and in no other."""
        if self._path_of.get(job_id) == path and self._jobs_at[path][-1] == job_id:
            return
        self.drop(job_id)
        self._path_of[job_id] = path
        self._jobs_at[path] = (*self._jobs_at.get(path, ()), job_id)

    def drop(self, job_id: JobId) -> None:
        """The job is in no file of `jobs/active`."""
        path = self._path_of.pop(job_id, None)
        if path is not None:
            jobs = tuple(other for other in self._jobs_at[path] if other != job_id)
            if jobs:
                self._jobs_at[path] = jobs
            else:
                del self._jobs_at[path]

    def path_of(self, job_id: JobId) -> str | None:
        """The file that the job was last seen in."""
        return self._path_of.get(job_id)

    def jobs_at(self, path: str) -> tuple[JobId, ...]:
        """The jobs last seen in this file, the most recent last."""
        return self._jobs_at.get(path, ())

    def paths(self) -> tuple[str, ...]:
        """Every file that a job was last seen in."""
        return tuple(self._jobs_at)

    def check_invariants(self) -> None:
        """Raise AssertionError where the two directions contradict each other."""
        both = sorted((job_id, path) for path, jobs in self._jobs_at.items() for job_id in jobs)
        assert both == sorted(self._path_of.items()), "a job and its file do not agree"
        assert all(self._jobs_at.values()), "an empty entry is kept"
