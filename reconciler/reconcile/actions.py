"""What a pass of the loop may do, and how it ends.

Owns: the values that decide returns and the loop performs. Never: performs one.
"""

import hashlib
from dataclasses import dataclass

from reconciler.engine.order import JobOrder
from reconciler.ids import JobId, Mbid, TrackPosition
from reconciler.manifests.model import DiscographySpec, JobType, LabelCrateSpec, Status
from reconciler.musicbrainz.model import Subject
from reconciler.reconcile.conditions import Reason
from reconciler.reconcile.slots import Rank
from reconciler.state.records import JobRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class AddIdentity:
    """Write a `job_id` into the file, and `created_at` where that is missing too."""

    job_id: JobId | None
    """None = make a new one; else the id that this file had before somebody took it out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordSpec:
    """Remember that the job is in this file and asks for this."""

    job_id: JobId
    job_type: JobType
    spec_digest: str
    document: bytes
    """The whole file, kept without its status as a base for merging later edits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CarryArtifacts:
    """Count what an earlier generation published, and the new one asks for as well, as published."""

    job_id: JobId
    from_generation: int
    to_generation: int
    positions: frozenset[TrackPosition]


@dataclass(frozen=True, slots=True, kw_only=True)
class StartEngine:
    """Have the engine fetch what is missing."""

    order: JobOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class StopEngine:
    """Have the engine end a job; its partial files stay."""

    job_id: JobId


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgetEngine:
    """Have the engine drop what it knows of a job that has ended: it is recorded."""

    job_id: JobId


@dataclass(frozen=True, slots=True, kw_only=True)
class LookUp:
    """Have MusicBrainz asked what this generation of a job asks for; its end wakes the job."""

    job_id: JobId
    generation: int
    subject: Subject
    wish: DiscographySpec | LabelCrateSpec | None = None
    """By which releases are chosen; None = a release itself is looked up."""
    fresh: bool = False
    """Whether an answer that there is no such thing is asked for anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """A manifest that a discography or label crate wants to be there."""

    job_id: JobId
    """Follows from the owner and the release group: the same again after any restart."""
    release: Mbid
    text: str
    """Of the whole file, without status."""

    @property
    def digest(self) -> str:
        """Names the text."""
        return hashlib.sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteChild:
    """Have a child's manifest say what it should, in `jobs/active`: made, written anew, or taken back from its end."""

    owner: JobId
    child: Child
    path: str
    """Where it was last seen, or where it is to be; relative to the root folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelChild:
    """Have a child end: its owner does not want it any more. What is published of it stays."""

    owner: JobId
    job_id: JobId
    path: str


Action = (
    AddIdentity
    | RecordSpec
    | CarryArtifacts
    | StartEngine
    | StopEngine
    | ForgetEngine
    | LookUp
    | WriteChild
    | CancelChild
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """Nothing to do until something changes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """Look again after a while, though nothing changes."""

    after_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Nothing to do until a person changes something."""

    reason: Reason
    message: str = ""
    """For a person: what happened and what to do next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AwaitSlot:
    """Look again when the engine has room for one more job."""

    rank: Rank


@dataclass(frozen=True, slots=True, kw_only=True)
class AwaitJobs:
    """Look again when one of these jobs has come further."""

    job_ids: tuple[JobId, ...]


Outcome = Done | Again | Stop | AwaitSlot | AwaitJobs


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What should change. Performed in the order of the fields: a crash between two leaves the earlier ones true."""

    record: JobRecord | None = None
    """To be stored before anything is done; None = as it is."""
    finished: bool = False
    """Whether `record` is the end of the job: the trace is told, once."""
    actions: tuple[Action, ...] = ()
    status: Status | None = None
    """What the file's status should say; None = leave it alone."""
    archive: bool = False
    """Whether the file then moves to `jobs/completed`."""
    outcome: Outcome
