"""What a pass works with.

Owns: that one value. Never: does anything with it (reconcile.passes, reconcile.absent, reconcile.beside).
"""

from collections.abc import Callable
from dataclasses import dataclass

from reconciler.clock import Clock
from reconciler.reconcile.actions import Decision
from reconciler.reconcile.echoes import Echoes
from reconciler.reconcile.finalise import Finaliser
from reconciler.reconcile.ledger import Ledger
from reconciler.reconcile.observe import Folders, Observer
from reconciler.reconcile.observed import Moment, Policy
from reconciler.reconcile.perform import EnginePort, LookUpPort, Performer
from reconciler.reconcile.queue import Priority
from reconciler.reconcile.sights import Sights
from reconciler.state.jobs import JobStore


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
    ledger: Ledger
    sights: Sights
    echoes: Echoes
    clock: Clock
    chance: Callable[[], float]
    policy: Policy

    def moment(self) -> Moment:
        """Now, with fresh dice."""
        return Moment(now_unix_s=self.clock.wall(), chance=self.chance(), policy=self.policy)

    async def do(self, decision: Decision, path: str) -> None:
        """Store what a decision changes of the record, then perform its actions."""
        if decision.record is not None:
            await self.performer.store(decision.record, finished=decision.finished)
        for action in decision.actions:
            if other := await self.performer.perform(action, path):
                self.ledger.add(other, Priority.EDIT)
