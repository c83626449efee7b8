"""Where events are handed to.

Owns: the port, and its silent and forking forms. Never: stores (traces.store).
"""

from collections.abc import Sequence
from typing import Protocol

from reconciler.traces.model import SwarmEvent


class Reporter(Protocol):
    """Takes events; never blocks the caller and never raises for a slow disk."""

    def report(self, event: SwarmEvent) -> None:
        """Take one event, in the order in which things happened."""
        ...


class Silent:
    """Takes events and forgets them: for tests and simulations that look elsewhere."""

    def report(self, event: SwarmEvent) -> None:
        """Do nothing with `event`."""


class Fanout:
    """Hands each event to several reporters, in order."""

    def __init__(self, reporters: Sequence[Reporter]) -> None:
        self._reporters = tuple(reporters)

    def report(self, event: SwarmEvent) -> None:
        """Hand `event` to every reporter."""
        for reporter in self._reporters:
            reporter.report(event)
