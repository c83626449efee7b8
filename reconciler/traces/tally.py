"""Figures of what happens in jobs, since the daemon started.

Owns: counting events on their way to the store. Never: keeps one, or changes what is stored.
"""

from collections import Counter

from reconciler.traces.model import EventType, SwarmEvent
from reconciler.traces.reporter import Reporter

# Names of sources come from our own code: overlay, http, soulseek. If ever something else does, it must not make a
# series of each.
SOURCES_MAX = 16
_OTHERS = "other"


class EventTally:
    """A Reporter that counts, and passes on."""

    def __init__(self, behind: Reporter) -> None:
        self._behind = behind
        self.events: Counter[EventType] = Counter()
        self.received_bytes: Counter[str] = Counter()
        """Accepted bytes, by source."""
        self.refused_bytes: Counter[str] = Counter()
        """Received in vain, by source: wrong, or a second time."""

    def report(self, event: SwarmEvent) -> None:
        """Count one event and pass it on."""
        self.events[event.type] += 1
        if event.bytes_transferred > 0 and event.source:
            accepted = event.type is EventType.CHUNK_RECEIVED and not event.is_error
            counted = self.received_bytes if accepted else self.refused_bytes
            known = event.source in counted or len(counted) < SOURCES_MAX
            counted[event.source if known else _OTHERS] += event.bytes_transferred
        self._behind.report(event)
