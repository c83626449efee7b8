"""What time it is: the only module that asks the system.

Owns: the two clocks. Never: waits, and never decides with the time it gives.
"""

import datetime as dt
import time
from typing import Protocol


class Clock(Protocol):
    """A wall clock for people and files, and a monotonic one for every interval."""

    def wall(self) -> float:
        """Seconds since 1970-01-01 UTC; may jump when the system clock is set."""
        ...

    def monotonic(self) -> float:
        """Seconds since some fixed moment; never goes back."""
        ...


class SystemClock:
    """The clocks of this machine."""

    def wall(self) -> float:
        """Seconds since 1970-01-01 UTC, from the system."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds from the system's monotonic clock."""
        return time.monotonic()


def rfc3339(unix_s: float) -> str:
    """Write a moment as `2025-12-10T15:30:00Z` (RFC 3339, UTC, whole seconds)."""
    moment = dt.datetime.fromtimestamp(int(unix_s), tz=dt.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
