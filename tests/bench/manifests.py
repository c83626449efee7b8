"""Very many manifests under a real daemon: how long a start takes, what it holds, how soon an edit is acted on.

Owns: making the folder, starting and stopping the daemon as a process, and the measures. Never: looks into the daemon;
everything is seen from outside, in its files, in its database and in /proc.

    python tests/bench/manifests.py                                 # 100,000 manifests, ten minutes
    python tests/bench/manifests.py --cold 100000                   # each of them read by the daemon itself: an hour
    python tests/bench/manifests.py --count 2000 --edits 20 --idle 10

The daemon reads the first `--cold` manifests itself. The others are copies of one of these, in the folder and in the
database, under other ids: what the daemon would have come to with them as well.

The manifests rest (`suspend`), so that what is measured is the loop and not a swarm. A start counts as done when an
edit that was made while the daemon was stopped has been acted on: the file has its status again.
"""

import argparse
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from reconciler.reconcile.listing import mark_at

CLOCK_TICKS_PER_S = os.sysconf("SC_CLK_TCK")

# 21 tracks make a file of 2 KB.
TRACKS = 21

HEAD = """\
manifest_version: "1.0"
job_id: {job_id}
job_type: mb_release
created_at: 2026-11-22T08:00:00Z
spec:
  suspend: true
  mb_release_id: c0d0c0a4-4a26-4d74-9c02-67c9321b3b22
  title: {title}
  target_dir: library
  tracks:
"""
TRACK = "    - {{position: {n}, title: Song {n}, mb_recording_id: 00000000-0000-0000-0000-{n:012}}}\n"
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def job_id_of(number: int) -> str:
    """A ULID that is no other's."""
    digits = ""
    while number:
        number, digit = divmod(number, 32)
        digits = CROCKFORD[digit] + digits
    return "01HRQ4GSX9" + digits.rjust(16, "0")


def text_of(number: int, title: str) -> str:
    """A manifest of about 2 KB."""
    tracks = "".join(TRACK.format(n=n) for n in range(1, TRACKS + 1))
    return HEAD.format(job_id=job_id_of(number), title=title) + tracks


class Bench:
    """One root folder, and the daemon over it."""

    def __init__(self, root: Path, count: int) -> None:
        self.root = root
        self.active = root / "jobs" / "active"
        self.state = root / "state"
        self.count = count
        self.edits = 0
        self._daemon: subprocess.Popen[bytes] | None = None

    def make(self, count: int) -> None:
        """Write the first manifests."""
        self.active.mkdir(parents=True)
        (self.root / "library").mkdir()
        for number in range(count):
            self.path(number).write_text(text_of(number, "As it was"))

    def fill(self, known: int) -> None:
        """Copy the first manifest to all that are wanting, and what the database has of it; no daemon runs."""
        first = job_id_of(0)
        text = self.path(0).read_text()
        connection = sqlite3.connect(self.state / "reconciler.db")
        with connection:
            rows = {
                table: connection.execute(f"SELECT * FROM {table} WHERE job_id = ?", (first,)).fetchone()
                for table in ("jobs", "acted_on", "sightings")
            }
            marks = [row[1] for row in connection.execute("PRAGMA table_info(sightings)")].index("mark")
            for number in range(known, self.count):
                path = self.path(number)
                path.write_text(text.replace(first, job_id_of(number)))
                for table, row in rows.items():
                    copied = [each.replace(first, job_id_of(number)) if isinstance(each, str) else each for each in row]
                    if table == "sightings":
                        copied[marks] = mark_at(path)
                    connection.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(copied))})", copied)
        connection.close()

    def path(self, number: int) -> Path:
        """The manifest of that number."""
        return self.active / f"{job_id_of(number)}.yml"

    def start(self) -> None:
        """Start the daemon."""
        command = [sys.executable, "-m", "reconciler", "run", "--root", str(self.root), "--state", str(self.state)]
        log = (self.root / "daemon.log").open("ab")
        self._daemon = subprocess.Popen(command, stdout=log, stderr=log, cwd=Path(__file__).parents[2])

    def stop(self) -> float:
        """Stop it in order; seconds that it took."""
        assert self._daemon is not None
        began = time.monotonic()
        self._daemon.send_signal(signal.SIGTERM)
        self._daemon.wait(timeout=120)
        return time.monotonic() - began

    def edit(self, number: int) -> None:
        """Save another version, as most editors do: a new file in the place of the old one."""
        self.edits += 1
        path = self.path(number)
        draft = path.with_name(f".{path.name}.draft")
        draft.write_text(text_of(number, f"Edit {self.edits}"))
        draft.replace(path)

    def await_answer(self, number: int, *, timeout_s: float) -> None:
        """Wait until the manifest has a status again, which the edit took out."""
        end = time.monotonic() + timeout_s
        while b"\nstatus:" not in self.path(number).read_bytes():
            self._check(end)
            time.sleep(0.001)

    def await_seen(self, count: int, *, timeout_s: float) -> None:
        """Wait until the daemon has looked at so many manifests."""
        end = time.monotonic() + timeout_s
        while self._seen() < count:
            self._check(end)
            time.sleep(0.5)

    def _seen(self) -> int:
        database = self.state / "reconciler.db"
        if not database.exists():
            return 0
        connection = sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)
        try:
            return connection.execute("SELECT count(*) FROM sightings").fetchone()[0]
        except sqlite3.OperationalError:
            return 0  # the tables are being made
        finally:
            connection.close()

    def _check(self, end: float) -> None:
        assert self._daemon is not None
        if self._daemon.poll() is not None or time.monotonic() > end:
            tail = (self.root / "daemon.log").read_text(errors="replace")[-2000:]
            raise SystemExit(f"the daemon has ended, or takes too long:\n{tail}")

    def megabytes(self, name: str) -> float:
        """A line of /proc/PID/status that is in kB: VmRSS, VmHWM."""
        assert self._daemon is not None
        for line in Path(f"/proc/{self._daemon.pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) / 1024
        raise KeyError(name)

    def cpu_s(self) -> float:
        """Processor time of the daemon so far."""
        assert self._daemon is not None
        fields = Path(f"/proc/{self._daemon.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS_PER_S


def percentile(values: list[float], part: float) -> float:
    """The value that so many hundredths do not exceed."""
    return sorted(values)[min(len(values) - 1, int(len(values) * part / 100))]


def measure(bench: Bench, *, cold: int, edits: int, idle_s: float, seed: int) -> None:
    """Do it all, and print as it goes."""
    chance = random.Random(seed)
    bench.make(cold)
    size = bench.path(0).stat().st_size
    began = time.monotonic()
    bench.start()
    bench.await_seen(cold, timeout_s=7200)
    took = time.monotonic() - began
    print(f"cold start: {cold} manifests of {size} bytes seen after {took:.1f} s,", end=" ")
    print(f"{took / cold * 1000:.2f} ms each, {bench.megabytes('VmRSS'):.0f} MB", flush=True)
    print(f"stopped in {bench.stop():.1f} s", flush=True)
    bench.fill(cold)
    print(f"{bench.count} manifests, {bench.path(0).stat().st_size} bytes each with their status", flush=True)

    # Each once: a second edit within 15 seconds is acted on at once, and told in the file only then.
    numbers = chance.sample(range(bench.count), edits + 1)
    number = numbers.pop()
    bench.edit(number)
    began = time.monotonic()
    bench.start()
    bench.await_answer(number, timeout_s=600)
    print(f"warm start: an edit made before it acted on after {time.monotonic() - began:.2f} s,", end=" ")
    print(f"{bench.megabytes('VmRSS'):.0f} MB, at most {bench.megabytes('VmHWM'):.0f} MB", flush=True)

    time.sleep(2.0)
    before, began = bench.cpu_s(), time.monotonic()
    time.sleep(idle_s)
    used = (bench.cpu_s() - before) / (time.monotonic() - began)
    print(f"idle for {idle_s:.0f} s: {used * 100:.2f} % of one core", flush=True)

    latencies: list[float] = []
    for number in numbers:
        time.sleep(chance.uniform(0.0, 0.1))
        began = time.monotonic()
        bench.edit(number)
        bench.await_answer(number, timeout_s=60)
        latencies.append((time.monotonic() - began) * 1000)
    shown = ", ".join(f"p{part} {percentile(latencies, part):.0f} ms" for part in (50, 90, 99))
    print(f"{edits} edits while it watches: {shown}, longest {max(latencies):.0f} ms", flush=True)
    print(f"at the end {bench.megabytes('VmRSS'):.0f} MB, at most {bench.megabytes('VmHWM'):.0f} MB;", end=" ")
    print(f"stopped in {bench.stop():.1f} s", flush=True)


def main() -> None:
    """Read the arguments, and measure in a folder that goes away again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--cold", type=int, default=1000)
    parser.add_argument("--edits", type=int, default=500)
    parser.add_argument("--idle", type=float, default=300.0, metavar="SECONDS")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="manifests-") as folder:
        bench = Bench(Path(folder), arguments.count)
        measure(
            bench,
            cold=min(arguments.cold, arguments.count),
            edits=arguments.edits,
            idle_s=arguments.idle,
            seed=arguments.seed,
        )


if __name__ == "__main__":
    main()
