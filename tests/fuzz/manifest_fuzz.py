"""Hundreds of thousands of damaged manifests against the reader, in processes that may die of it.

Owns: the split over processes, and the verdict on each. Never: reads a manifest itself (fuzz_child).

    .venv/bin/python tests/fuzz/manifest_fuzz.py --mutants 1000000 --worst-ms 50
    .venv/bin/python tests/fuzz/manifest_fuzz.py --seed 20251210 --show 4711
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from fuzz_child import PROGRESS
from mutants import mutant

SEED = 20251210
# Seconds that a thousand mutants may take before a child counts as hung; they take about 0.5.
PATIENCE_S_PER_1000 = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of a run."""

    mutants: int
    counts: dict[str, int]
    worst_s: float
    """Processor time of the slowest read."""
    worst_index: int
    breaches: tuple[str, ...]
    """One sentence for each process that ended before its time; empty = none did."""


def fuzz(mutants: int, *, seed: int = SEED, processes: int, target: str = "read") -> Verdict:
    """Have `mutants` damaged manifests read by `processes` children."""
    firsts = [mutants * share // processes for share in range(processes + 1)]
    with tempfile.TemporaryDirectory() as folder:
        children = [
            _Child(target, seed, first, after - first, Path(folder) / f"progress-{first}")
            for first, after in pairwise(firsts)
            if after > first
        ]
        reports = [child.report() for child in children]
    sums = [report for report in reports if isinstance(report, dict)]
    worst = max(sums, key=lambda report: report["worst_s"], default={"worst_s": 0.0, "worst_index": 0})
    names = [name for name in (sums[0] if sums else {}) if not name.startswith("worst")]
    return Verdict(
        mutants=mutants,
        counts={name: sum(report[name] for report in sums) for name in names},
        worst_s=worst["worst_s"],
        worst_index=worst["worst_index"],
        breaches=tuple(report for report in reports if isinstance(report, str)),
    )


class _Child:
    """One process and its share of the mutants."""

    def __init__(self, target: str, seed: int, first: int, count: int, progress: Path) -> None:
        self._seed, self._count, self._progress = seed, count, progress
        progress.write_bytes(PROGRESS.pack(first))
        program = Path(__file__).with_name("fuzz_child.py")
        words = [sys.executable, str(program), target, str(seed), str(first), str(count), str(progress)]
        self._process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def report(self) -> dict | str:
        """Wait for the end: the sums, or how and at which mutant the process ended before."""
        try:
            out, err = self._process.communicate(timeout=240 + PATIENCE_S_PER_1000 * self._count / 1000)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            return f"hung at {self._where()}"
        if self._process.returncode == 0:
            return json.loads(out)
        if self._process.returncode < 0:
            return f"{signal.Signals(-self._process.returncode).name} at {self._where()}"
        return f"exit status {self._process.returncode} at {self._where()}\n{err}"

    def _where(self) -> str:
        (index,) = PROGRESS.unpack(self._progress.read_bytes())
        return f"mutant {index}: {mutant(self._seed, index)!r}"


def main() -> int:
    """Run by hand; exit status 1 where anything broke, or a read took longer than was asked for."""
    parser = argparse.ArgumentParser(description="Damaged manifests against the reader.")
    parser.add_argument("--mutants", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--worst-ms", type=float, default=0.0, help="fail where a read takes longer; 0 = only report")
    parser.add_argument("--show", type=int, metavar="INDEX", help="print one mutant of the seed instead")
    given = parser.parse_args()
    if given.show is not None:
        sys.stdout.buffer.write(mutant(given.seed, given.show))
        return 0
    started_s = time.monotonic()
    verdict = fuzz(given.mutants, seed=given.seed, processes=given.processes)
    for breach in verdict.breaches:
        print(breach)
    sums = ", ".join(f"{count:,} {name}" for name, count in verdict.counts.items())
    print(f"{verdict.mutants:,} mutants of seed {given.seed} in {time.monotonic() - started_s:.1f} s: {sums}")
    print(f"slowest read: {verdict.worst_s * 1000:.1f} ms of processor time, mutant {verdict.worst_index}")
    slow = given.worst_ms and verdict.worst_s * 1000 > given.worst_ms
    return 1 if verdict.breaches or slow else 0


if __name__ == "__main__":
    sys.exit(main())
