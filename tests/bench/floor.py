"""What a download costs in Python with nothing decided: the floor under tests/bench/swarm.py.

Owns: loops that only receive, hash, write and read back, and their comparison with aria2c. Never: runs the engine.

    python tests/bench/floor.py                # 7 rounds: each way of hashing, and aria2c with SHA-256 pieces
    python tests/bench/floor.py --rounds 3 --disk /var/tmp

Two processes of two threads read a quarter each from four nginx mirrors on loopback. `leaves` hashes as the engine must
(BEP 52, 16 KiB), `pieces` each MiB at once, as aria2c does; both write each chunk, read it back and compare, as the
engine does. There is no schedule, journal, trace, index or database.
"""

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mirrors import ADDRESSES, PIECE, Job, make_file
from scenarios import Scenario
from sides import run_aria2
from swarm import MEMORY, serving

from reconciler.engine.http_head import request_head
from reconciler.engine.lane_process import SWITCH_INTERVAL_S
from reconciler.engine.reread import gives_back
from reconciler.engine.wire import Wire
from reconciler.overlay.merkle import chunk_hash
from reconciler.sources.base import Endpoint

Hash = Callable[[memoryview, int], bytes]

HASHES: dict[str, Hash] = {
    "leaves": lambda view, size: chunk_hash(view, file_size=size),
    "pieces": lambda view, _: sha256(view).digest(),
}
RUN_CHUNKS = 16


def read_quarter(job: Job, out: Path, number: int, digest: Hash) -> None:
    """One thread: its quarter of the file over one connection, sixteen chunks a request."""
    host, port = job.urls[number].split("/")[2].split(":")
    wire = Wire.dial(Endpoint(host=host, port=int(port), tls=False), stall_timeout_s=job.stall_timeout_s)
    buffer = memoryview(bytearray(PIECE))
    quarter = job.size // len(ADDRESSES)
    with out.open("r+b") as file:
        for begin in range(number * quarter, (number + 1) * quarter, RUN_CHUNKS * PIECE):
            last = begin + RUN_CHUNKS * PIECE - 1
            wire.send(request_head("/file.bin", host=host, headers=(), first=begin, last=last))
            wire.read_head()
            for offset in range(begin, begin + RUN_CHUNKS * PIECE, PIECE):
                wire.read_exactly(buffer)
                digest(buffer, job.size)
                os.pwrite(file.fileno(), buffer, offset)
                assert gives_back(file.fileno(), offset, buffer)


def run_floor(job: Job, out: Path, digest: Hash) -> float:
    """Two processes of two threads each; seconds from the first connection to the last byte, synced."""
    with out.open("wb") as file:
        file.truncate(job.size)
    began = time.perf_counter()
    children = []
    for half in (0, 2):
        child = os.fork()
        if child == 0:
            sys.setswitchinterval(SWITCH_INTERVAL_S)
            threads = [threading.Thread(target=read_quarter, args=(job, out, half + n, digest)) for n in (0, 1)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            os._exit(0)
        children.append(child)
    for child in children:
        assert os.waitpid(child, 0)[1] == 0
    descriptor = os.open(out, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
    seconds = time.perf_counter() - began
    assert out.read_bytes() == (job.folder / "www" / "file.bin").read_bytes()
    return seconds


def main() -> None:
    """Measure in turn, and print medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--disk", type=Path, default=MEMORY, help="where the file is written; memory unless said")
    asked = parser.parse_args()
    scenario = Scenario(name="floor", disk=asked.disk != MEMORY)
    folder = Path(tempfile.mkdtemp(prefix="floor-bench-", dir=MEMORY))
    where = Path(tempfile.mkdtemp(prefix="floor-bench-", dir=asked.disk))
    found: dict[str, list[float]] = {"aria2c": [], **{name: [] for name in HASHES}}
    try:
        make_file(folder, scenario.size_mib << 20)
        with serving(scenario, folder) as job:
            for _ in range(asked.rounds):
                for name, digest in HASHES.items():
                    found[name].append(run_floor(job, where / "file.bin", digest))
                    (where / "file.bin").unlink()
                aria2 = run_aria2(job, where / "out", checksum="pieces", sync=scenario.disk)
                found["aria2c"].append(aria2.seconds)
                shutil.rmtree(where / "out")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(where, ignore_errors=True)
    aria2_s = statistics.median(found["aria2c"])
    for name, seconds in found.items():
        middle = statistics.median(seconds)
        print(f"{name:8} {middle:6.2f} s  [{min(seconds):.2f}..{max(seconds):.2f}]  {middle / aria2_s:.2f} of aria2c")


if __name__ == "__main__":
    main()
