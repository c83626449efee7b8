"""What is said of a job, and since when.

Owns: the reasons, the sets of conditions that go together, and the rule that a time changes only when a fact does.
Never: judges a job (reconcile.decide).

The vocabulary is that of Kubernetes as kstatus reads it: `Ready` and `Valid` are always there; `Reconciling` and
`Stalled` only while they are true. Stalled means that waiting does not help: somebody has to change something.
https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/README.md
"""

from enum import StrEnum
from typing import Literal

from reconciler.clock import rfc3339
from reconciler.manifests.model import Condition, ConditionType

# A message ends up in somebody's file; a long one is cut there, the log has it whole.
MESSAGE_CHARACTERS_MAX = 500


class Reason(StrEnum):
    """Why a condition is as it is: a closed set that scripts may match on."""

    ACCEPTED = "Accepted"
    FETCHING = "Fetching"
    WAITING_FOR_SLOT = "WaitingForSlot"
    RETRYING = "Retrying"
    COMPLETED = "Completed"
    LIBRARY_MISSING = "LibraryMissing"
    DISK_FULL = "DiskFull"
    DISK_FAILING = "DiskFailing"
    MANIFEST_GONE = "ManifestGone"
    INVALID_SPEC = "InvalidSpec"
    UNREADABLE = "Unreadable"
    NO_JOB_ID = "NoJobID"
    DUPLICATE_JOB_ID = "DuplicateJobID"
    ALREADY_COMPLETED = "AlreadyCompleted"
    RETRIES_EXHAUSTED = "RetriesExhausted"
    NOT_RETRIABLE = "NotRetriable"
    SUSPENDED = "Suspended"
    CANCELLED = "Cancelled"
    TIMEOUT = "Timeout"
    WAITING_FOR_DEPENDENCY = "WaitingForDependency"
    DEPENDENCY_CYCLE = "DependencyCycle"
    OTHER_NODE = "OtherNode"
    CONFLICT_COPY = "ConflictCopy"
    MERGE_IN_PROGRESS = "MergeInProgress"
    MASS_REMOVAL = "MassRemoval"
    RESOLVING_RELEASE = "ResolvingRelease"
    RESOLVING_RELEASES = "ResolvingReleases"
    WAITING_FOR_CHILDREN = "WaitingForChildren"
    CHILDREN_FAILED = "ChildrenFailed"
    MUSICBRAINZ_UNREACHABLE = "MusicBrainzUnreachable"
    MUSICBRAINZ_OFFLINE = "MusicBrainzOffline"
    MUSICBRAINZ_REFUSED = "MusicBrainzRefused"
    NOT_IN_MUSICBRAINZ = "NotInMusicBrainz"
    NOTHING_TO_FETCH = "NothingToFetch"
    MERGED_ID = "MergedID"
    NEEDS_SOULSEEK = "NeedsSoulseek"


def reconciling(reason: Reason, message: str = "") -> tuple[Condition, ...]:
    """The job is valid and on its way, or waits for something that comes by itself."""
    return (
        _condition("Ready", "False", reason, message),
        _condition("Reconciling", "True", reason, message),
        _condition("Valid", "True", Reason.ACCEPTED),
    )


def resting(reason: Reason, message: str) -> tuple[Condition, ...]:
    """The job is valid and is not run, because somebody wants it so."""
    return (_condition("Ready", "False", reason, message), _condition("Valid", "True", Reason.ACCEPTED))


def cancelled() -> tuple[Condition, ...]:
    """The job has ended because its manifest says so."""
    message = "desired_state is cancelled; what was published stays"
    return (_condition("Ready", "False", Reason.CANCELLED, message), _condition("Valid", "True", Reason.ACCEPTED))


def conflicted(messages: tuple[str, ...]) -> tuple[Condition, ...]:
    """Syncthing keeps other versions of the manifest, which nobody has looked at; nothing where there are none."""
    if not messages:
        return ()
    return (_condition("Conflicted", "True", Reason.CONFLICT_COPY, "; ".join(messages)),)


def merged(said: tuple[Condition, ...], message: str) -> tuple[Condition, ...]:
    """The same, of a manifest that is valid and names something by an id that MusicBrainz has given up."""
    valid = _condition("Valid", "True", Reason.MERGED_ID, message)
    return tuple(valid if each.type == "Valid" and each.status == "True" else each for each in said)


def completed() -> tuple[Condition, ...]:
    """Everything that the manifest asks for is there."""
    return (_condition("Ready", "True", Reason.COMPLETED), _condition("Valid", "True", Reason.ACCEPTED))


def stalled(reason: Reason, message: str) -> tuple[Condition, ...]:
    """The manifest can be read, and somebody has to act before the job goes on."""
    return (
        _condition("Ready", "False", reason, message),
        _condition("Stalled", "True", reason, message),
        _condition("Valid", "True", Reason.ACCEPTED),
    )


def invalid(reason: Reason, message: str, *, running: bool) -> tuple[Condition, ...]:
    """The manifest itself has to be changed; with `running`, the job goes on by what the file last said."""
    ready = _condition("Ready", "False", reason, message)
    valid = _condition("Valid", "False", reason, message)
    stuck = _condition("Stalled", "True", reason, message)
    if running:
        return (ready, _condition("Reconciling", "True", Reason.FETCHING), stuck, valid)
    return (ready, stuck, valid)


def gone() -> tuple[Condition, ...]:
    """The manifest is no longer in its folder; what was fetched is kept."""
    message = "the manifest is not in jobs/active any more; put it back to go on"
    return (_condition("Ready", "Unknown", Reason.MANIFEST_GONE, message),)


def since(
    conditions: tuple[Condition, ...], *, previous: tuple[Condition, ...], now_unix_s: float
) -> tuple[Condition, ...]:
    """Give each condition its time: that of `previous` while all else of it is what it was there, else now."""
    before = {condition.type: condition for condition in previous}
    return tuple(_timed(condition, before.get(condition.type), now_unix_s) for condition in conditions)


def _timed(condition: Condition, before: Condition | None, now_unix_s: float) -> Condition:
    same = before is not None and (before.status, before.reason, before.message) == (
        condition.status,
        condition.reason,
        condition.message,
    )
    if before is not None and same and before.last_transition_time:
        return before
    return Condition(
        type=condition.type,
        status=condition.status,
        reason=condition.reason,
        message=condition.message,
        last_transition_time=rfc3339(now_unix_s),
    )


def _condition(
    kind: ConditionType, status: Literal["True", "False", "Unknown"], reason: Reason, message: str = ""
) -> Condition:
    if len(message) > MESSAGE_CHARACTERS_MAX:
        message = message[: MESSAGE_CHARACTERS_MAX - 1] + "…"
    return Condition(type=kind, status=status, reason=reason.value, message=message)
