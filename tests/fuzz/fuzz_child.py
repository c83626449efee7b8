"""Reads mutants one after the other in a process of its own, and says at the end what became of them.

Owns: what must hold of each. Never: survives a breach of it: an exception ends the process, and the number in the
progress file says which mutant it was.

    fuzz_child.py TARGET SEED FIRST COUNT PROGRESS_FILE
"""

import io
import json
import mmap
import os
import signal
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path

from loguru import logger
from mutants import mutant

from reconciler.ids import JobId
from reconciler.manifests.model import JobState, Manifest, Parsed, Status
from reconciler.manifests.read import read_manifest
from reconciler.manifests.splice import SpliceRefusedError, insert_identity, splice_status

PROGRESS = struct.Struct("<q")
STATUS = Status(state=JobState.RUNNING, started_at="2025-12-10T15:30:15Z", bytes_total=512_000_000)
JOB = JobId("01HRQ4GSX9K47J7M5FK7VW8B12")


class Reading:
    """Reads each mutant and holds what comes out to the promises of the reader."""

    def __init__(self) -> None:
        self.counts = {"accepted": 0, "refused": 0, "spliced": 0, "not spliced": 0}
        self.worst_s = 0.0
        self.worst_index = 0
        self._log = io.StringIO()
        logger.remove()
        logger.add(self._log, format="{message}")

    def take(self, index: int, data: bytes) -> None:
        """Read one; AssertionError where a promise is broken."""
        # The processor's time of this thread: what others do on this machine is not the reader's.
        before_s = time.thread_time()
        parsed = read_manifest(data)
        spent_s = time.thread_time() - before_s
        if spent_s > self.worst_s:
            self.worst_s, self.worst_index = spent_s, index
        self._check(parsed, data, identity=index % 4 == 0)

    def _check(self, parsed: Parsed, data: bytes, *, identity: bool) -> None:
        assert isinstance(parsed, Parsed)
        errors = [problem for problem in parsed.problems if problem.severity == "error"]
        assert (parsed.manifest is None) == bool(errors), "neither a manifest nor a reason, or both"
        for problem in parsed.problems:
            assert str(problem).isprintable(), "a problem that cannot be shown"
            assert problem.message, "a problem without words"
            assert problem.hint, "a problem without a remedy"
        if parsed.manifest is None:
            self.counts["refused"] += 1
            return
        self.counts["accepted"] += 1
        self._show(parsed.manifest)
        self._write_into(parsed.manifest, data, identity=identity)

    def _show(self, manifest: Manifest) -> None:
        """Print it, log it, store it: no text in it may be one that some of them cannot take."""
        self._log.seek(0)
        self._log.truncate()
        logger.info("{}", manifest)
        line = self._log.getvalue()
        assert line.count("\n") == 1, "one line of log"
        line.encode()

    def _write_into(self, manifest: Manifest, data: bytes, *, identity: bool) -> None:
        """The status, and in some the identity, go in exactly, or not at all with a reason."""
        new = _spliced(data, identity=identity)
        if isinstance(new, SpliceRefusedError):
            assert new.reason, "a refusal without a reason"
            assert new.hint, "a refusal without a remedy"
            self.counts["not spliced"] += 1
            return
        self.counts["spliced"] += 1
        again = read_manifest(new).manifest
        assert again is not None, "the daemon's own fields broke the file"
        assert again.spec_digest == manifest.spec_digest, "the daemon's own fields changed the wish"


def _spliced(data: bytes, *, identity: bool) -> bytes | SpliceRefusedError:
    try:
        new = splice_status(data, STATUS)
        return insert_identity(new, job_id=JOB, created_at=None) if identity else new
    except SpliceRefusedError as refusal:
        return refusal


class Dying:
    """Dies of a signal at the third mutant: what the parent must notice."""

    counts: dict[str, int] = {}  # noqa: RUF012 - as Reading has
    worst_s = 0.0
    worst_index = 0

    def take(self, index: int, data: bytes) -> None:
        """Die, in time."""
        if index == 2:
            os.kill(os.getpid(), signal.SIGSEGV)


class Failing(Dying):
    """Lets an exception out at the third mutant: what the parent must notice."""

    def take(self, index: int, data: bytes) -> None:
        """Fail, in time."""
        assert index != 2, "as if the reader had raised"


TARGETS: dict[str, Callable[[], Reading | Dying]] = {"read": Reading, "die": Dying, "fail": Failing}


def main(target: str, seed: int, first: int, count: int, progress_file: Path) -> None:
    """Take `count` mutants of `seed` from `first` on, and print the sums."""
    taking = TARGETS[target]()
    with progress_file.open("r+b") as file, mmap.mmap(file.fileno(), PROGRESS.size) as progress:
        for index in range(first, first + count):
            PROGRESS.pack_into(progress, 0, index)
            taking.take(index, mutant(seed, index))
    print(json.dumps({**taking.counts, "worst_s": taking.worst_s, "worst_index": taking.worst_index}))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:5]), Path(sys.argv[5]))
