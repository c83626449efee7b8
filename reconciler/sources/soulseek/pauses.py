"""When the server is connected to again.

Owns: the pauses between logins. Never: waits, or connects.

The server bans an address for half an hour that connects too often, and every attempt meanwhile makes it longer; it
says so in a notice, or by hanging up before it answers a login.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

FIRST_PAUSE_S = 5.0
LONGEST_PAUSE_S = 1800.0
"""Also the length of a ban, as the server's own notice states it."""

# A random part is added, at most this share, so that clients that lost the same server do not come back together.
JITTER = 0.25

# A session that lasted this long was a good one: the next loss starts the pauses anew.
LASTED_S = 600.0

_BAN = re.compile(r"\bban(?:s|ned|ning)?\b", re.IGNORECASE)

Ending = Literal["lost", "unanswered", "banned", "kicked", "refused"]
"""How a session ended: the connection broke or was closed; it was closed before the login had an answer; the server
spoke of a ban; the same name logged in elsewhere; name or password are wrong.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pauses:
    """What is known of the sessions so far. Each method gives what is known afterwards."""

    failures_in_a_row: int = 0
    unanswered_in_a_row: int = 0
    not_before_s: float = 0.0
    """No login before this moment, by the clock that `now` is read from."""
    refused: bool = False
    """Name or password are wrong: no further login until somebody changes them."""

    def ended(self, how: Ending, *, now: float, lasted_s: float, chance: Callable[[], float]) -> "Pauses":
        """Count a session that ended; `chance` gives a number in [0, 1)."""
        if how == "refused":
            return Pauses(refused=True)
        failures = 0 if lasted_s >= LASTED_S else self.failures_in_a_row
        unanswered = self.unanswered_in_a_row + 1 if how == "unanswered" else 0
        pause_s = min(FIRST_PAUSE_S * 2.0 ** min(failures, 20), LONGEST_PAUSE_S)
        if how in ("banned", "kicked") or unanswered > 1:
            # Once unanswered may be a server that restarts; twice is how a banned address is met.
            pause_s = LONGEST_PAUSE_S
        pause_s *= 1.0 + JITTER * chance()
        return Pauses(failures_in_a_row=failures + 1, unanswered_in_a_row=unanswered, not_before_s=now + pause_s)

    def wait_s(self, now: float) -> float | None:
        """How long to wait before the next login; None = for ever.

        A moment further ahead than any pause is long was written by a clock that was wrong.
        """
        longest_s = LONGEST_PAUSE_S * (1.0 + JITTER)
        return None if self.refused else min(max(0.0, self.not_before_s - now), longest_s)


def speaks_of_a_ban(text: str) -> bool:
    """Whether a notice or a reason of the server's is about a ban, and not about bandwidth."""
    return _BAN.search(text) is not None


def ending_of(reason: str) -> Ending:
    """What a refused login comes to: INVALIDPASS and INVALIDUSERNAME stay so, a full server does not."""
    if speaks_of_a_ban(reason):
        return "banned"
    return "refused" if reason.lower().startswith(("invalid", "empty")) else "lost"
