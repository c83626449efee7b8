"""What was foreseen of a manifest, as text for a person and as plain values.

Owns: these forms. Never: foresees (reconcile.foresee) or prints.
"""

from dataclasses import dataclass
from typing import Literal

from reconciler.cli.render import counted, shown
from reconciler.engine.order import TrackOrder
from reconciler.manifests.model import Condition
from reconciler.reconcile.actions import (
    Action,
    AddIdentity,
    Again,
    AwaitJobs,
    AwaitSlot,
    CancelChild,
    CarryArtifacts,
    LookUp,
    RecordSpec,
    StartEngine,
    Stop,
    StopEngine,
    WriteChild,
)
from reconciler.reconcile.conditions import Reason
from reconciler.reconcile.foresee import NEW_JOB_ID, Foreseen
from reconciler.reconcile.observed import Invalid, Unreadable, Valid

# As many as are read; the JSON form has them all.
TRACKS_SHOWN_MAX = 20

Verb = Literal["fetch", "look up", "expand", "finish", "go on", "wait", "rest", "stall", "leave alone", "hold"]
"""What would be done about a manifest, in one word or two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What would be done about a manifest, and why."""

    verb: Verb
    reason: str
    """CamelCase, as in conditions; empty where nothing more is to be said."""
    message: str

    @property
    def text(self) -> str:
        """`wait: LibraryMissing: /music does not exist; ...`; a reason that only says the verb again is left out."""
        reason = "" if self.reason == Reason.FETCHING else self.reason
        return ": ".join(part for part in (self.verb, reason, shown(self.message, 400)) if part)


def verdict_of(foreseen: Foreseen) -> Verdict:
    """Put a decision into words."""
    decision = foreseen.decision
    if foreseen.observed.git_work:
        return Verdict(verb="hold", reason=Reason.MERGE_IN_PROGRESS, message=foreseen.observed.git_work)
    if isinstance(decision.outcome, Stop):
        return Verdict(verb="stall", reason=decision.outcome.reason, message=decision.outcome.message)
    ready = next((each for each in foreseen.conditions if each.type == "Ready"), None)
    return Verdict(
        verb=_verb_of(foreseen, ready),
        reason=ready.reason if ready is not None else "",
        message=ready.message if ready is not None else "",
    )


def _verb_of(foreseen: Foreseen, ready: Condition | None) -> Verb:  # noqa: PLR0911 - one for each verb
    decision = foreseen.decision
    if any(isinstance(action, StartEngine) for action in decision.actions):
        return "fetch"
    if any(isinstance(action, LookUp) for action in decision.actions):
        return "look up"
    if any(isinstance(action, WriteChild | CancelChild) for action in decision.actions):
        return "expand"
    if decision.archive:
        return "finish"
    if ready is None or ready.reason == Reason.OTHER_NODE:
        return "leave alone"
    if ready.reason == Reason.FETCHING:
        return "go on"
    if ready.reason in (Reason.DISK_FULL, Reason.DISK_FAILING):
        return "wait"
    waiting = isinstance(decision.outcome, Again | AwaitJobs | AwaitSlot) and ready.reason != Reason.SUSPENDED
    return "wait" if waiting else "rest"


def steps_of(foreseen: Foreseen) -> list[str]:
    """What is done on the way, in order."""
    return [text for action in (*foreseen.steps, *foreseen.decision.actions) if (text := _step(action, foreseen))]


def _step(action: Action, foreseen: Foreseen) -> str:  # noqa: PLR0911 - one for each action
    match action:
        case AddIdentity():
            return "write a job_id into the manifest"
        case RecordSpec():
            generation = foreseen.observed.record.generation if foreseen.observed.record is not None else 1
            return f"take the spec as generation {generation}"
        case CarryArtifacts(positions=positions):
            return f"keep {counted(len(positions), 'published track')} of the generation before"
        case StartEngine(order=order):
            return f"fetch {counted(len(order.tracks), 'track')}"
        case StopEngine():
            return "stop what is being fetched"
        case WriteChild(child=child, path=path):
            return f"write {path} for release {child.release}"
        case CancelChild(path=path):
            return f"cancel {path}"
        case LookUp(subject=subject):
            return f"look up {subject} at MusicBrainz, or in what it said before"
        case _:
            return ""


def track_lines(foreseen: Foreseen) -> list[str]:
    """The tracks that would be fetched, and where each goes."""
    wanted = foreseen.to_fetch
    lines = [f"{track.want.position:>4}  {shown(track.title, 40)} -> {shown(place_of(track, foreseen), 400)}"
             for track in wanted[:TRACKS_SHOWN_MAX]]  # fmt: skip
    if len(wanted) > TRACKS_SHOWN_MAX:
        lines.append(f"      and {len(wanted) - TRACKS_SHOWN_MAX} more")
    return lines


def place_of(track: TrackOrder, foreseen: Foreseen) -> str:
    """Where a track goes; `.*` where its extension follows from what is found."""
    folder = foreseen.plan.target_dir if foreseen.plan is not None else ""
    return f"{folder}/{track.stem}{'.*' if track.extension is None else track.extension}"


def outlook_as_json(foreseen: Foreseen) -> dict[str, object]:
    """Everything that was foreseen, as plain values."""
    verdict = verdict_of(foreseen)
    record = foreseen.observed.record
    file = foreseen.observed.file
    named = file.manifest.job_id if isinstance(file, Valid) else record.job_id if record is not None else None
    return {
        "path": foreseen.observed.path,
        "job_id": None if named == NEW_JOB_ID else named,
        "spec": foreseen.news if isinstance(file, Valid) else None,
        "spec_digest": file.manifest.spec_digest if isinstance(file, Valid) else None,
        "generation": record.generation if record is not None else None,
        "does": verdict.verb,
        "reason": verdict.reason,
        "message": verdict.message,
        "steps": steps_of(foreseen),
        "published": list(foreseen.published),
        "fetch": [
            {"position": track.want.position, "title": track.title, "path": place_of(track, foreseen)}
            for track in foreseen.to_fetch
        ],
        "problems": [str(problem) for problem in problems_of(foreseen)],
    }


def problems_of(foreseen: Foreseen) -> list[str]:
    """What somebody has to mend in the manifest before it can be acted on."""
    match foreseen.observed.file:
        case Invalid(problems=problems):
            return [str(problem) for problem in problems if problem.severity == "error"]
        case Unreadable(message=message):
            return [message]
        case _:
            return [str(foreseen.problem)] if foreseen.problem is not None else []
