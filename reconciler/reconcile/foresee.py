"""What the passes over a manifest would come to, without making one.

Owns: following the decisions to where they rest, on values alone. Never: decides by itself (reconcile.decide), or does
anything.

The loop writes down each step before it considers the next; here the step is taken as done. So what is foreseen is what
the loop would do if nothing changed meanwhile.
"""

from dataclasses import dataclass, replace
from typing import Literal, assert_never

from reconciler.engine.order import TrackOrder
from reconciler.ids import JobId, TrackPosition
from reconciler.manifests.model import Condition, Problem
from reconciler.reconcile.actions import (
    Action,
    AddIdentity,
    Again,
    CancelChild,
    CarryArtifacts,
    Decision,
    ForgetEngine,
    LookUp,
    RecordSpec,
    StartEngine,
    StopEngine,
    WriteChild,
)
from reconciler.reconcile.decide import decide
from reconciler.reconcile.observed import Moment, Observed, Valid
from reconciler.reconcile.orders import Plan, plan_of
from reconciler.state.records import JobRecord

SpecNews = Literal["new", "unchanged", "changed"]
"""What a spec is to the job: never seen, the one that was acted on, or another one."""

NEW_JOB_ID = JobId("0" * 26)
"""Stands for the id that the daemon would make: a ULID of the year 1970, which nobody has."""

# An id, the spec, a request, what is carried over: five passes; the loop itself gives up at ten.
_STEPS_MAX = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreseen:
    """Where the passes over one manifest come to rest."""

    observed: Observed
    """As it would be then."""
    decision: Decision
    """The last one, which waits for something or does it."""
    steps: tuple[Action, ...]
    """What leads there."""
    news: SpecNews
    plan: Plan | None
    """What the manifest asks for; None where it cannot be planned."""
    problem: Problem | None
    """Why a valid manifest cannot be planned: what its configuration does not allow."""

    @property
    def published(self) -> tuple[TrackPosition, ...]:
        """The tracks that are there already."""
        return tuple(sorted(artifact.position for artifact in self.observed.artifacts))

    @property
    def to_fetch(self) -> tuple[TrackOrder, ...]:
        """The tracks that are wanted and not there."""
        held = set(self.published)
        wanted = self.plan.tracks if self.plan is not None else ()
        return tuple(track for track in wanted if track.want.position not in held)

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """What would be said of the job."""
        if self.decision.record is not None:
            return self.decision.record.conditions
        if self.decision.status is not None:
            return self.decision.status.conditions
        return self.observed.record.conditions if self.observed.record is not None else ()


def foresee(observed: Observed, moment: Moment) -> Foreseen:
    """Follow the decisions from what is seen now to where they rest."""
    news = _news_of(observed)
    steps: list[Action] = []
    decision = decide(observed, moment)
    for _ in range(_STEPS_MAX):
        if not _is_a_step(decision):
            break
        steps += decision.actions
        observed = _after(observed, decision, moment)
        decision = decide(observed, moment)
    manifest = observed.file.manifest if isinstance(observed.file, Valid) else None
    planned = plan_of(manifest.spec, moment.policy.places, observed.resolved) if manifest is not None else None
    return Foreseen(
        observed=observed,
        decision=decision,
        steps=tuple(steps),
        news=news,
        plan=planned if isinstance(planned, Plan) else None,
        problem=planned if isinstance(planned, Problem) else None,
    )


def _is_a_step(decision: Decision) -> bool:
    """Whether the next pass follows by itself: at once, or as soon as the engine has let go of the job."""
    if any(isinstance(action, StopEngine) for action in decision.actions):
        return True
    return isinstance(decision.outcome, Again) and decision.outcome.after_s <= 0.0


def _news_of(observed: Observed) -> SpecNews:
    if not isinstance(observed.file, Valid) or observed.record is None:
        return "new"
    return "unchanged" if observed.record.spec_digest == observed.file.manifest.spec_digest else "changed"


def _after(observed: Observed, decision: Decision, moment: Moment) -> Observed:
    """What would be seen once a step is done."""
    if decision.record is not None:
        observed = replace(observed, record=decision.record)
    for action in decision.actions:
        match action:
            case AddIdentity(job_id=job_id):
                observed = _identified(observed, job_id or NEW_JOB_ID)
            case RecordSpec():
                observed = _recorded(observed, action, moment)
            case CarryArtifacts(to_generation=generation, positions=positions):
                observed = _carried(observed, generation, positions)
            case StopEngine() | ForgetEngine():
                observed = replace(observed, progress=None)
            case StartEngine() | LookUp() | WriteChild() | CancelChild():
                # From here on it is up to the engine, to MusicBrainz, or to other manifests.
                pass
            case _:
                assert_never(action)
    return observed


def _identified(observed: Observed, job_id: JobId) -> Observed:
    assert isinstance(observed.file, Valid), "only a manifest is given an id"
    manifest = replace(observed.file.manifest, job_id=job_id)
    return replace(observed, file=replace(observed.file, manifest=manifest))


def _recorded(observed: Observed, seen: RecordSpec, moment: Moment) -> Observed:
    """As JobStore.observe_spec notes it: another spec is another generation, with nothing published of it yet."""
    known = observed.record
    if known is not None and known.spec_digest == seen.spec_digest:
        record = replace(known, path=observed.path, job_type=seen.job_type, gone_at=None)
        return replace(observed, record=record)
    record = JobRecord(
        job_id=seen.job_id,
        path=observed.path,
        job_type=seen.job_type,
        spec_digest=seen.spec_digest,
        generation=1 if known is None else known.generation + 1,
        generation_since=moment.now_unix_s,
        conditions=() if known is None else known.conditions,
        last_handled_reconcile_at="" if known is None else known.last_handled_reconcile_at,
    )
    return replace(observed, record=record, artifacts=(), earlier_artifacts=observed.artifacts, resolved=None)


def _carried(observed: Observed, generation: int, positions: frozenset[TrackPosition]) -> Observed:
    carried = (
        replace(each, generation=generation) for each in observed.earlier_artifacts if each.position in positions
    )
    return replace(observed, artifacts=(*observed.artifacts, *carried))
