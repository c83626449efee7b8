"""Whole programs for end-to-end tests: the daemon and its peers as processes, and what they leave behind.

Owns: starting them and reading their traces. Never: looks inside a running one.
"""

import json
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

from e2e.forked import run_forked
from overlay_world import holding_of

from reconciler.cli.demo_peer import __name__ as peer_module
from reconciler.ids import JobId
from reconciler.library.index import LibraryIndex
from reconciler.state.database import Database
from reconciler.traces.reading import TraceReader

# For what hangs; a machine with other work takes ten times as long as a quiet one for what does not.
TIMEOUT_S = 240
STEP_S = 0.05


def command(*words):
    """The command line of this checkout's interpreter."""
    return [sys.executable, "-m", "reconciler", *map(str, words)]


def run(*words, check=None):
    """Run a command to its end, in a process of its own; with `check`, its exit code must be that."""
    done = run_forked([*map(str, words)], timeout_s=TIMEOUT_S)
    if check is not None:
        assert done.returncode == check, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def events_of(root, state):
    """Every stored event of the only job, in order."""
    database = Database.open_read_only(state / "reconciler.db")
    try:
        (job_id,) = database.read(lambda c: [row[0] for row in c.execute("SELECT job_id FROM jobs")])
        return TraceReader(database).events(JobId(job_id))
    finally:
        database.close()


def stock(folder, path, *, recording=None, duration_ms=10_000):
    """Make a peer's state folder whose index offers the file at `path` as so long a FLAC; gives what it says of it."""
    holding = holding_of(path, recording=recording, duration_ms=duration_ms, added_at=path.stat().st_mtime)
    database = Database.open(folder / "reconciler.db")
    try:
        LibraryIndex(database).add(holding)
    finally:
        database.close()
    return holding


@contextmanager
def peer(folder, *, upload_kbps=0):
    """Run one overlay peer over the index in `folder`; gives `<id>@host:port`."""
    words = [sys.executable, "-m", peer_module, str(folder), str(upload_kbps)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        told = json.loads(process.stdout.readline())
        try:
            yield f"{told['peer']}@127.0.0.1:{told['port']}"
        finally:
            process.stdin.close()
            process.terminate()


def journaled(state, *, folder="parts"):
    """Chunks that the journals of a state folder (or of another one that has parts) name, by track position."""
    found = {}
    for journal in Path(state, folder).glob("*.journal"):
        position = int(journal.name.split(".")[1])
        lines = journal.read_bytes().split(b"\n")[1:-1]
        found[position] = {int(line.split()[0]) for line in lines}
    return found


def lane_processes(daemon):
    """The ids of the lane processes of the daemon with the process id `daemon`."""
    lists = Path(f"/proc/{daemon}/task").glob("*/children")  # one for each thread: any of them may have started it
    children = [int(child) for each in lists for child in each.read_text().split()]
    return [child for child in children if b"lane_process" in command_line(child)]


def command_line(process):
    """The words that a process was started with; nothing for one that is gone."""
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""


def is_running(process):
    """Whether a process has not ended; one that nobody has waited for has ended."""
    return bool(command_line(process))


def environment(**extra):
    """This process's environment with more in it."""
    return {**os.environ, **extra}


def eventually(found, what, *, patience_s=TIMEOUT_S):
    """Wait until `found()` gives something true, and give that."""
    pause = threading.Event()
    for _ in range(int(patience_s / STEP_S)):
        if result := found():
            return result
        pause.wait(STEP_S)
    raise AssertionError(f"not within {patience_s:g} s: {what}")
