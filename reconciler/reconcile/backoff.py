"""How long to wait after the n-th failure.

Owns: the one formula, for passes of the loop and for retries of a job. Never: counts, waits or rolls the dice.
"""

# 2 ** 62 seconds is beyond any cap; a greater exponent would only make the float overflow.
_DOUBLINGS_MAX = 62


def backoff_s(failures: int, *, base_s: float, max_s: float, chance: float) -> float:
    """Seconds to wait after so many `failures` in a row: doubling from `base_s`, at most `max_s`, then spread.

    `failures` counts from 1; `chance` in [0, 1) takes up to a quarter off, so that keys which failed together do not
    come back together.
    """
    if failures < 1:
        raise ValueError(f"the first failure is number 1, not {failures}")
    if not 0.0 <= chance < 1.0:
        raise ValueError(f"a chance lies in [0, 1), not at {chance}")
    whole_s = min(max_s, base_s * 2.0 ** min(failures - 1, _DOUBLINGS_MAX))
    return float(whole_s * (1.0 - chance / 4.0))
