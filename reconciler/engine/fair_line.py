"""Who goes next at something that several jobs share.

Owns: the order, by weights. Never: knows what is shared, or when it is free.

Start-time fair queueing: each job has a tag, the virtual time at which its next request may begin; it moves on by the
request's bytes over the job's weight, and the smallest tag goes first. While two jobs wait, what they get is in the
proportion of their weights to within one request of each. Who was away begins at the present virtual time: nobody saves
up. Source: Goyal, Vin and Cheng, Start-time Fair Queueing, SIGCOMM 1996.
"""

from reconciler.ids import JobId


class FairLine:
    """The line at one shared thing; a job stands in it once."""

    def __init__(self) -> None:
        self._virtual = 0.0
        self._tags: dict[JobId, float] = {}
        self._waiting: dict[JobId, float] = {}

    @property
    def first(self) -> JobId | None:
        """Whose turn is the next, of those that wait."""
        return min(self._waiting, key=lambda job: (self._waiting[job], job), default=None)

    @property
    def waiting(self) -> frozenset[JobId]:
        """Everybody that waits."""
        return frozenset(self._waiting)

    def is_next(self, job: JobId) -> bool:
        """Whether nobody that waits goes before `job`."""
        mine = self._tag(job), job
        return all(mine <= (tag, other) for other, tag in self._waiting.items() if other != job)

    def wait(self, job: JobId) -> None:
        """Stand in line."""
        self._waiting[job] = self._tag(job)

    def step_out(self, job: JobId) -> None:
        """Wait no longer; what was had still counts."""
        self._waiting.pop(job, None)

    def leave(self, job: JobId) -> None:
        """Be forgotten."""
        self._waiting.pop(job, None)
        self._tags.pop(job, None)

    def served(self, job: JobId, cost: float) -> None:
        """Count what a job was given: bytes over its weight."""
        begun = self._tag(job)
        # Never past those that wait: a stream is counted as its bytes come, whoever's turn it is.
        self._virtual = max(self._virtual, min([begun, *self._waiting.values()]))
        self._tags[job] = begun + cost

    def give_back(self, job: JobId, cost: float) -> None:
        """Count less: some of it was not had after all."""
        if job in self._tags:
            self._tags[job] -= cost

    def _tag(self, job: JobId) -> float:
        return max(self._virtual, self._tags.get(job, 0.0))
