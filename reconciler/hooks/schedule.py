"""When a hook that failed is told again.

Owns: that one rule. Never: waits.
"""

# Tries of one delivery. The waits between them are 10 s, 40 s, 2.7 min, 11 min, 43 min, 2.8 h and 6 h, some ten hours
# in all: a server that is restarted and one that is mended in the morning are both told.
TRIES_MAX = 8
FIRST_WAIT_S = 10.0
FACTOR = 4.0
WAIT_S_MAX = 6 * 3600.0

# So much of each wait is left to chance, so that what failed together does not come back together.
_SPREAD = 0.2

# Who asks to be left alone for longer is tried earlier all the same.
ASKED_S_MAX = 86_400.0


def wait_s(tries: int, *, asked_s: float, chance: float) -> float | None:
    """Seconds until the next try after so many; None = there is none.

    `asked_s` is what the other side asked for, `chance` lies in [0, 1).
    """
    if tries >= TRIES_MAX:
        return None
    planned = min(WAIT_S_MAX, FIRST_WAIT_S * FACTOR ** (tries - 1)) * (1.0 + _SPREAD * chance)
    return max(planned, min(asked_s, ASKED_S_MAX))
