"""Our engine against aria2c on the same mirrors, with checksums on both sides, in interleaved pairs.

Owns: the order of the runs, medians and ratios. Never: judges; docs/explanation/performance.md does.

    python tests/bench/swarm.py all                          # every scenario, 7 pairs each: half an hour
    python tests/bench/swarm.py plain-tmpfs tls --pairs 3
    python tests/bench/swarm.py delay --size-mib 256 --json
    python tests/bench/swarm.py all --patience 600           # the quietest 7 pairs of ten minutes each

The folder on a disk is `--disk` (the present one unless said otherwise), the one in memory /dev/shm. Needs nginx,
aria2c, openssl for `tls` and a C compiler for `delay`.
"""

import argparse
import contextlib
import json
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path

from mirrors import ADDRESSES, PIECE, Job, far_away, free_ports, make_file, nginx, paced
from others import Watch
from scenarios import SCENARIOS, Scenario
from sides import Run, run_aria2, run_ours

MEMORY = Path("/dev/shm")

# Chunks of our own: 256 KiB up to this size, a MiB above (reconciler.overlay.merkle).
SMALL_FILE_MIB = 256


# Of the machine: a pair in which others took more is run again while there is patience.
QUIET = 0.05

RUN_FIELDS = tuple(field.name for field in fields(Run))


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A run of each side."""

    ours: Run
    theirs: Run
    others: float
    """What other programs took of the machine meanwhile, 0.0 to 1.0."""


@contextlib.contextmanager
def serving(scenario: Scenario, folder: Path) -> Iterator[Job]:
    """The mirrors of one scenario, but for those with a rate, which each run has anew."""
    near, far, files = free_ports(3)
    with contextlib.ExitStack() as stack:
        scheme = stack.enter_context(nginx(folder, port=near, tls=scenario.tls))
        if scenario.delay_ms:
            one_way_ms = scenario.delay_ms / 2
            stack.enter_context(far_away(folder, port=far, behind=near, one_way_ms=one_way_ms))
        lists = far if scenario.delay_ms else near
        yield Job(
            folder=folder,
            size=scenario.size_mib << 20,
            urls=tuple(f"{scheme}://{address}:{files if scenario.rates else lists}/file.bin" for address in ADDRESSES),
            list_url=f"{scheme}://{ADDRESSES[0]}:{lists}/file.bin.chunks",
            tls=scenario.tls,
            stall_timeout_s=scenario.stall_timeout_s,
            paced_port=files,
        )


@contextlib.contextmanager
def run_paced(scenario: Scenario, job: Job, *, ours: bool) -> Iterator[None]:
    """The mirrors of one run, where they have a rate."""
    if not scenario.rates:
        yield
        return
    mirrors = tuple(f"{a}:{rate}" for a, rate in zip(ADDRESSES, scenario.rates, strict=True))
    if scenario.fault:
        mirrors = (*mirrors[:-1], f"{mirrors[-1]}:{scenario.fault}@{scenario.fails_at_bytes()}")
    chunk_bytes = PIECE if scenario.size_mib > SMALL_FILE_MIB else PIECE // 4
    with paced(job, port=job.paced_port, mirrors=mirrors, chunk_bytes=chunk_bytes if ours else PIECE):
        yield


def run_side(scenario: Scenario, job: Job, out: Path, *, ours: bool) -> Run:
    """One run of one side, with mirrors of its own where they have a rate."""
    with run_paced(scenario, job, ours=ours):
        if ours or scenario.against == "ourselves":
            run = run_ours(job, out, busy=ours and scenario.against == "ourselves")
        else:
            run = run_aria2(job, out, checksum=scenario.against, sync=scenario.disk)
    shutil.rmtree(out)
    counts = job.counts
    return replace(run, sent_mib=counts.get("sent_bytes", 0) / 2**20, again_mib=counts.get("again_bytes", 0) / 2**20)


def compare(scenario: Scenario, *, pairs: int, disk: Path, patience_s: float, loud: bool) -> dict:
    """All pairs of one scenario: the first ones, or with patience the quietest."""
    folder = Path(tempfile.mkdtemp(prefix="swarm-bench-", dir=MEMORY))
    where = Path(tempfile.mkdtemp(prefix="swarm-bench-", dir=disk if scenario.disk else MEMORY))
    found: list[Pair] = []
    until_s = time.perf_counter() + patience_s
    try:
        make_file(folder, scenario.size_mib << 20)
        with serving(scenario, folder) as job:
            while len(found) < pairs or (
                sum(pair.others <= QUIET for pair in found) < pairs and time.perf_counter() < until_s
            ):
                found.append(run_pair(scenario, job, where, ours_first=len(found) % 2 == 0))
                if loud:
                    print(f"  {scenario.name} {len(found)}: {found[-1]}", flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(where, ignore_errors=True)
    return summed_up(scenario, sorted(found, key=lambda pair: pair.others)[:pairs] if patience_s else found)


def run_pair(scenario: Scenario, job: Job, where: Path, *, ours_first: bool) -> Pair:
    """One run of each side, one after the other."""
    watch = Watch()
    runs = {ours: run_side(scenario, job, where / "out", ours=ours) for ours in (ours_first, not ours_first)}
    return Pair(ours=runs[True], theirs=runs[False], others=watch.share())


def summed_up(scenario: Scenario, pairs: list[Pair]) -> dict:
    """Medians of each side, and their ratios."""
    ratios = [pair.ours.seconds / pair.theirs.seconds for pair in pairs]
    middle = {
        side: {name: statistics.median(getattr(getattr(pair, side), name) for pair in pairs) for name in RUN_FIELDS}
        for side in ("ours", "theirs")
    }
    ideal = scenario.ideal_s()
    return {
        "scenario": scenario.name,
        "against": scenario.against,
        "pairs": len(ratios),
        "size_mib": scenario.size_mib,
        **middle,
        "ratio_of_medians": middle["ours"]["seconds"] / middle["theirs"]["seconds"],
        "median_ratio": statistics.median(ratios),
        "ratio_range": [min(ratios), max(ratios)],
        "wanted": scenario.wanted,
        "ideal_s": ideal,
        "over_ideal": middle["ours"]["seconds"] / ideal if ideal else None,
        "ideal_within": scenario.ideal_within,
        "others": statistics.median(pair.others for pair in pairs),
    }


def row(found: dict) -> str:
    """One line of the table."""
    ours, theirs, low_high = found["ours"], found["theirs"], found["ratio_range"]
    wanted = f"{found['wanted']:.2f}" if found["wanted"] else "-"
    ideal = f"{found['over_ideal']:.3f} ({found['ideal_within']:.2f})" if found["ideal_s"] else "-"
    sent = f"{ours['sent_mib'] - found['size_mib']:+.1f} {ours['again_mib']:.1f}" if ours["sent_mib"] else "-"
    return (
        f"{found['scenario']:14} {ours['seconds']:8.3f} {theirs['seconds']:8.3f} {found['ratio_of_medians']:6.2f} "
        f"{found['median_ratio']:6.2f} [{low_high[0]:.2f}..{low_high[1]:.2f}] {wanted:>7} {ideal:>14} "
        f"{ours['cpu_s']:6.2f} {theirs['cpu_s']:6.2f} {ours['peak_mib']:6.0f} {sent:>12} {found['others']:7.0%}"
    )


HEADINGS = (
    f"{'scenario':14} {'ours s':>8} {'theirs s':>8} {'ratio':>6} {'pairs':>6} {'[range]':12} {'wanted':>7} "
    f"{'ideal (wanted)':>14} {'cpu':>6} {'theirs':>6} {'MiB':>6} {'extra again':>12} {'others':>7}"
)


def main() -> None:
    """Run what was asked for and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "scenarios", nargs="+", choices=[*SCENARIOS, "all"], metavar="SCENARIO", help=", ".join(SCENARIOS)
    )
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--size-mib", type=int, help="another size than the scenario's")
    parser.add_argument("--disk", type=Path, default=Path(), help="a folder on a disk")
    parser.add_argument(
        "--patience", type=float, default=0.0, metavar="SECONDS", help="a scenario: how long to wait for quiet pairs"
    )
    parser.add_argument("--json", action="store_true", help="one line of JSON for each scenario instead of the table")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # ended from outside, it takes its servers and files along
    names = list(SCENARIOS) if "all" in asked.scenarios else asked.scenarios
    if not asked.json:
        print(HEADINGS, flush=True)
    for name in names:
        scenario = SCENARIOS[name]
        if asked.size_mib:
            scenario = replace(scenario, size_mib=asked.size_mib)
        found = compare(
            scenario, pairs=asked.pairs, disk=asked.disk.absolute(), patience_s=asked.patience, loud=not asked.json
        )
        print(json.dumps(found) if asked.json else row(found), flush=True)


if __name__ == "__main__":
    main()
