"""What a pass of the loop sees of one manifest and its job.

Owns: the values between observe (which gathers them) and decide (which judges them). Never: either.
"""

from dataclasses import dataclass

from reconciler.config import MusicBrainzSettings, StatusMode
from reconciler.engine.order import JobProgress
from reconciler.ids import JobId
from reconciler.manifests.model import Condition, JobState, Manifest, Problem
from reconciler.musicbrainz.model import FailureCode, Resolved
from reconciler.reconcile.orders import Places
from reconciler.reconcile.ownership import Node
from reconciler.state.records import Artifact, JobRecord, KnownChild


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """There is no such file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """There is a file that cannot be taken as text at all: empty, too large, not regular, not ours to read."""

    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Invalid:
    """The file says something that is not a manifest."""

    problems: tuple[Problem, ...]
    half_merged: bool = False
    """Whether it holds the marks of a merge that nobody has finished."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Valid:
    """The file is a manifest."""

    manifest: Manifest
    writable: bool
    """False for a symbolic or hard link: it is read, and never written."""


FileState = Gone | Unreadable | Invalid | Valid


@dataclass(frozen=True, slots=True, kw_only=True)
class Needed:
    """A job that another one waits for."""

    job_id: JobId
    state: JobState | None
    """None = there is no such job here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a look-up at MusicBrainz came to nothing."""

    code: FailureCode
    message: str
    """For a person: what happened and what to do next."""
    retry_at: float | None
    """When it is tried again, in seconds since 1970; None = waiting does not help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LookUpState:
    """How far a look-up for a job is; one that has succeeded is not known any more."""

    generation: int
    failure: Failure | None = None
    """None = it is under way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """One manifest file and what is known of its job."""

    path: str
    """Relative to the root folder: `jobs/active/loveless.yml`."""
    file: FileState
    changed_at_unix_s: float
    """The file's modification time."""
    document: bytes = b""
    """Its bytes as they were read; empty where they could not be."""
    mark: int | None = None
    """By which the file is known to be unchanged since (`watch.FileMark`); None where there is none."""
    git_work: str = ""
    """What git is in the middle of in this folder, for a person: nothing is judged meanwhile; empty = of nothing."""
    record: JobRecord | None
    """Of the job that the file names; where it names none, of the job that was last seen in it."""
    artifacts: tuple[Artifact, ...] = ()
    """What the job has published in its current generation."""
    earlier_artifacts: tuple[Artifact, ...] = ()
    """What it had published in the generation before."""
    progress: JobProgress | None = None
    """What the engine says; None = the engine does not know the job."""
    resolved: Resolved | None = None
    """What MusicBrainz said of the job's current generation; None = it was not asked, or not needed."""
    looking_up: LookUpState | None = None
    """How far the look-up is; None = there is none."""
    children: tuple[KnownChild, ...] = ()
    """The manifests that the job has written, by id."""
    slot_free: bool = True
    """Whether the engine may be given this job now."""
    library_roots_present: frozenset[str] = frozenset()
    """Those of the library roots that exist."""
    duplicate_of: str = ""
    """Path of the manifest that the same `job_id` was seen in first and still is; empty = none."""
    completed_copy: str = ""
    """Path of a manifest with this `job_id` in `jobs/completed`; empty = none."""
    needs: tuple[Needed, ...] = ()
    """The jobs that the manifest names in `depends_on`."""
    cycle: tuple[JobId, ...] = ()
    """A way along `depends_on` from the job back to itself; empty = there is none."""
    conflicts: tuple[str, ...] = ()
    """What is to be said of other versions of this file that Syncthing keeps beside it."""
    last_conditions: tuple[Condition, ...] = ()
    """What this file's status last said, for files that belong to no job of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GoneJob:
    """A job whose manifest no longer stands where it was last seen."""

    record: JobRecord
    progress: JobProgress | None
    gone_for_s: float
    """Since the loop first missed it."""
    completed_copy: str = ""
    """Where it stands in `jobs/completed`; empty = not there."""
    git_work: str = ""
    """As in Observed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the configuration says about judging jobs."""

    places: Places
    node: Node
    """This daemon, as manifests may name it."""
    retry_interval_s: float
    """Before the first retry of a failed job; each further one waits twice as long."""
    retry_interval_s_max: float
    retry_limit: int
    """Failures after which a job is stalled."""
    status_mode: StatusMode
    status_interval_s: float
    """Least time between two writes of one file's status, but for the end of a job."""
    rescan_s: float
    """Between two looks at the whole folder where the kernel tells of changes."""
    poll_s: float
    """The same where it does not: on network file systems."""
    musicbrainz: MusicBrainzSettings
    """Where look-ups go. A judgement may rest on what was or was not found there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """When a pass judges, by which dice and which rules."""

    now_unix_s: float
    chance: float
    """In [0, 1): spreads retries."""
    policy: Policy
