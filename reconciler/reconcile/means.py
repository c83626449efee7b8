"""What a pass works with.

Owns: that one value. Never: does anything with it (reconcile.passes, reconcile.absent, reconcile.beside).
"""

from collections.abc import Callable
from dataclasses import dataclass

from reconciler.clock import Clock
from reconciler.errors import InvalidInputError
from reconciler.reconcile.actions import CancelChild, Decision, WriteChild
from reconciler.reconcile.echoes import Echoes
from reconciler.reconcile.ending import ending_of
from reconciler.reconcile.finalise import Finaliser
from reconciler.reconcile.ledger import Ledger
from reconciler.reconcile.observe import Folders, Observer
from reconciler.reconcile.observed import Moment, Observed, Policy
from reconciler.reconcile.perform import EnginePort, HookPort, LookUpPort, Performer
from reconciler.reconcile.queue import Priority
from reconciler.reconcile.sights import Sights
from reconciler.state.jobs import JobStore
from reconciler.state.records import Delivery, JobRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What a pass works with."""

    folders: Folders
    store: JobStore
    observer: Observer
    performer: Performer
    finaliser: Finaliser
    engine: EnginePort
    lookups: LookUpPort
    hooks: HookPort
    ledger: Ledger
    sights: Sights
    echoes: Echoes
    clock: Clock
    chance: Callable[[], float]
    policy: Policy

    def moment(self) -> Moment:
        """Now, with fresh dice."""
        return Moment(now_unix_s=self.clock.wall(), chance=self.chance(), policy=self.policy)

    async def do(self, decision: Decision, path: str, *, of: Observed | None = None) -> None:
        """Store what a decision changes of the record, then perform its actions.

        `of` is what it was decided on: hooks are told of an end. None = a manifest that is gone, whose end is nobody's.
        Raises what an action raises.
        """
        if decision.record is not None:
            told = self._told(of, decision.record) if decision.finished and of is not None else ()
            await self.performer.store(decision.record, finished=decision.finished, told=told)
            if told:
                self.hooks.wake()
        refused: InvalidInputError | None = None
        for action in decision.actions:
            try:
                if other := await self.performer.perform(action, path):
                    self.ledger.add(other, Priority.EDIT)
            except InvalidInputError as error:
                if not isinstance(action, WriteChild | CancelChild):
                    raise
                # One manifest that cannot be changed holds up no other.
                refused = refused or error
        if refused is not None:
            raise refused

    def _told(self, observed: Observed, record: JobRecord) -> tuple[Delivery, ...]:
        ending = ending_of(observed, record, self.policy, now=self.clock.wall())
        return () if ending is None else self.hooks.deliveries(ending)
