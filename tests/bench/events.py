"""What the trace costs: events a second, beside a download and alone, and a summary out of a million events.

Owns: the load and the clocks around it. Never: judges; docs/explanation/performance.md does.

    python tests/bench/events.py store            # how many events a second are stored, with their lines
    python tests/bench/events.py summary          # a job with 10,000 events, with 1,000,000 in the table
    python tests/bench/events.py beside           # a download beside 20,000 events a second and alone, in pairs
    python tests/bench/events.py all --disk /var/tmp

`--disk` is the folder for database and logs (the present one unless said otherwise). `beside` needs nginx.
"""

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from event_load import DICE, EVENTS_PER_JOB, events, job_of
from mirrors import make_file
from others import Watch
from scenarios import MB, Scenario
from sides import Run, run_ours
from swarm import MEMORY, run_paced, serving

from reconciler.state.database import Database
from reconciler.traces.reading import TraceReader
from reconciler.traces.store import BUFFER_CHUNK_EVENTS_MAX, TraceStore

EVENTS_PER_S = 20_000

PACED = Scenario(name="beside events", size_mib=512, rates=(16 * MB,) * 4, disk=True)


def store(disk: Path) -> None:
    """Report in batches of 5,000, as the daemon's quarter of a second has them at 20,000 a second, and write each."""
    folder = Path(tempfile.mkdtemp(prefix="events-bench-", dir=disk))
    try:
        database = Database.open(folder / "reconciler.db")
        traces = TraceStore(database, folder / "logs")
        made = events(200_000)
        began, used = time.perf_counter(), time.process_time()
        for start in range(0, len(made), EVENTS_PER_S // 4):
            for each in made[start : start + EVENTS_PER_S // 4]:
                traces.report(each)
            traces.write_waiting()
        took, cpu = time.perf_counter() - began, time.process_time() - used
        stored = database.read(lambda c: c.execute("SELECT count(*) FROM SwarmEvents").fetchone()[0])
        assert stored == len(made)
        lines = sum(path.read_bytes().count(b"\n") for path in (folder / "logs").iterdir())
        assert lines == len(made)
        database.close()
        print(f"store: {len(made) / took:,.0f} events a second with their lines, {cpu / len(made) * 1e6:.1f} us each")
    finally:
        shutil.rmtree(folder)


def summary(disk: Path) -> None:
    """Fill the table, then ask for jobs from all over it, each for the first time."""
    folder = Path(tempfile.mkdtemp(prefix="events-bench-", dir=disk))
    try:
        database = Database.open(folder / "reconciler.db")
        traces = TraceStore(database, folder / "logs")
        for first in range(0, 1_000_000, BUFFER_CHUNK_EVENTS_MAX // 3):
            for each in events(BUFFER_CHUNK_EVENTS_MAX // 3, first=first):
                traces.report(each)
            traces.write_waiting()
        database.close()
        database = Database.open_read_only(folder / "reconciler.db")
        times, used = [], []
        for number in DICE.sample(range(99), 15):
            began, worked = time.perf_counter(), time.thread_time()
            found = TraceReader(database).summary(job_of(number))
            times.append((time.perf_counter() - began) * 1000)
            used.append((time.thread_time() - worked) * 1000)
            assert found.chunks_total == EVENTS_PER_JOB / 2
        count = database.read(lambda c: c.execute("SELECT count(*) FROM SwarmEvents").fetchone()[0])
        database.close()
        print(
            f"summary: {EVENTS_PER_JOB:,} events of {count:,}: median {statistics.median(times):.0f} ms, "
            f"{min(times):.0f} to {max(times):.0f}; {statistics.median(used):.0f} ms of processor time"
        )
    finally:
        shutil.rmtree(folder)


def beside(disk: Path, pairs: int) -> None:
    """The same download with and without the load, one after the other, the order changing from pair to pair."""
    folder = Path(tempfile.mkdtemp(prefix="events-bench-", dir=MEMORY))
    where = Path(tempfile.mkdtemp(prefix="events-bench-", dir=disk))
    found: list[dict[bool, Run]] = []
    try:
        make_file(folder, PACED.size_mib << 20)
        with serving(PACED, folder) as job:
            for number in range(pairs):
                watch, pair = Watch(), {}
                for loaded in (number % 2 == 0, number % 2 == 1):
                    load = EVENTS_PER_S if loaded else 0
                    with run_paced(PACED, job, ours=True):
                        pair[loaded] = run_ours(job, where / "out", events_per_s=load)
                    shutil.rmtree(where / "out")
                found.append(pair)
                print(f"  {number + 1}: with {pair[True]} without {pair[False]} others {watch.share():.0%}", flush=True)
    finally:
        shutil.rmtree(folder)
        shutil.rmtree(where)
    ratios = sorted(pair[True].seconds / pair[False].seconds for pair in found)
    arrivals = sorted(pair[True].arrived_s / pair[False].arrived_s for pair in found)
    alone = sorted(pair[False].arrived_s for pair in found)
    rates = [pair[True].events_per_s for pair in found]
    dropped = sum(pair[True].events_dropped for pair in found)
    print(
        f"beside: until the last byte, ratio {statistics.median(arrivals):.3f} ({arrivals[0]:.3f} to "
        f"{arrivals[-1]:.3f}), alone {alone[0]:.2f} to {alone[-1]:.2f} s, ideal {PACED.ideal_s():.2f} s\n"
        f"        until the name and its facts, ratio {statistics.median(ratios):.3f} ({ratios[0]:.3f} to "
        f"{ratios[-1]:.3f})\n"
        f"        {statistics.median(rates):,.0f} events a second stored, {dropped} dropped"
    )


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["store", "summary", "beside", "all"])
    parser.add_argument("--disk", type=Path, default=Path(), help="a folder on a disk")
    parser.add_argument("--pairs", type=int, default=5)
    asked = parser.parse_args()
    disk = asked.disk.absolute()
    if asked.what in ("store", "all"):
        store(disk)
    if asked.what in ("summary", "all"):
        summary(disk)
    if asked.what in ("beside", "all"):
        beside(disk, asked.pairs)


if __name__ == "__main__":
    main()
