"""How much of the machine other programs took meanwhile.

Owns: that figure. Never: stops them, or decides what follows (tests/bench/swarm.py).
"""

import os
import time
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


class Watch:
    """From now on: everything that this session's processes did not do."""

    def __init__(self) -> None:
        self._began_s = time.perf_counter()
        self._busy_s = busy_s()
        self._ours_s = session_s()

    def share(self) -> float:
        """Of all cores, 0.0 to 1.0."""
        elapsed_s = time.perf_counter() - self._began_s
        others_s = busy_s() - self._busy_s - (session_s() - self._ours_s)
        return max(others_s, 0.0) / elapsed_s / (os.cpu_count() or 1)


def busy_s() -> float:
    """Processor time of every process, interrupts and other guests included."""
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(
        int, Path("/proc/stat").read_text().split("\n")[0].split()[1:9]
    )
    return (user + nice + system + irq + softirq + steal) / TICKS


def session_s() -> float:
    """Processor time of this session's processes, those that have ended included."""
    session, spent = os.getsid(0), 0
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended: whoever waits for it counts it
        if int(fields[3]) == session:
            spent += sum(map(int, fields[11:15]))
    return spent / TICKS
