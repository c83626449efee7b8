"""Where events are handed to.

Owns: the port. Never: stores (traces.store).
"""

from typing import Protocol

from reconciler.traces.model import SwarmEvent


class Reporter(Protocol):
    """Takes events; never blocks the caller and never raises for a slow disk."""

    def report(self, event: SwarmEvent) -> None:
        """Take one event, in the order in which things happened."""
        ...
