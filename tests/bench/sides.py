"""One run of each side: how long it took, what processor time and what memory.

Owns: the command lines of aria2c and of our engine. Never: repeats or compares (tests/bench/swarm.py).

Ours is timed from the engine's start to the published name, aria2c by its whole run (it starts in 0.03 s); on a disk
both with the file synced.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from mirrors import HERE, PIECE, Job


@dataclass(frozen=True, kw_only=True)
class Run:
    """What one run cost."""

    seconds: float
    cpu_s: float
    """Of all its processes together, in the time that is counted."""
    peak_mib: float
    """Of all its processes together."""
    arrived_s: float = 0.0
    """Until every byte was there; what follows is looking at the whole, its name, and the facts of it. Ours only."""
    sent_mib: float = 0.0
    again_mib: float = 0.0
    """What paced mirrors sent in all, and of chunks that had been sent before; 0 from nginx, which does not count."""
    events_per_s: float = 0.0
    events_dropped: int = 0
    """Of the events beside the download: how many were stored a second meanwhile, and how many were not."""


def run_aria2(job: Job, out: Path, *, checksum: str, sync: bool) -> Run:
    """One whole run of aria2c; `checksum` is `pieces` or `whole`."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    words = ["aria2c", "-q", "--no-conf", "-d", str(out), "-s4", "-x4", "-k1M", "--file-allocation=falloc", "-j1"]
    words += [f"--timeout={job.stall_timeout_s:.0f}", f"--connect-timeout={job.stall_timeout_s:.0f}", "--retry-wait=1"]
    if job.tls:
        words.append("--check-certificate=false")
    if checksum == "whole":
        words += [f"--checksum=sha-256={job.facts()['sha256']}", "-o", "file.bin", *job.urls]
    else:
        words += ["-M", str(_metalink(job, out))]
    began = time.perf_counter()
    process = subprocess.Popen(words)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, f"aria2c ended with {process.returncode}"
    if sync:
        subprocess.run(["sync", str(out / "file.bin"), str(out)], check=True)
    seconds = time.perf_counter() - began
    assert (out / "file.bin").stat().st_size == job.size
    return Run(
        seconds=round(seconds, 3),
        cpu_s=round(used.ru_utime + used.ru_stime, 2),
        peak_mib=round(used.ru_maxrss / 1024, 1),
    )


def run_ours(job: Job, out: Path, *, busy: bool = False, events_per_s: int = 0) -> Run:
    """One run of the engine in a process of its own; it says its own time. Events beside it are those of other jobs."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    order = {
        "out": str(out),
        "root": job.facts()["root"],
        "size": job.size,
        "urls": job.urls,
        "list_url": job.list_url,
        "stall_timeout_s": job.stall_timeout_s,
        "busy": busy,
        "events_per_s": events_per_s,
    }
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1])}
    # An installed program has its modules compiled; some developers' shells forbid Python to keep them.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    if job.tls:
        environment["SSL_CERT_FILE"] = str(job.folder / "cert.pem")
    words = [sys.executable, str(HERE / "engine_run.py"), json.dumps(order)]
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return Run(**json.loads(done.stdout.splitlines()[-1]))


def _metalink(job: Job, folder: Path) -> Path:
    """The same job for aria2c, with SHA-256 of each piece."""
    hashes = "".join(f"<hash>{piece}</hash>" for piece in job.facts()["pieces"])
    urls = "".join(f'<url priority="1">{url}</url>' for url in job.urls)
    path = folder / "job.meta4"
    path.write_text(
        '<?xml version="1.0"?><metalink xmlns="urn:ietf:params:xml:ns:metalink"><file name="file.bin">'
        f'<size>{job.size}</size><pieces length="{PIECE}" type="sha-256">{hashes}</pieces>{urls}</file></metalink>'
    )
    return path
