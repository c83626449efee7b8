"""The status of every job as commits on a ref of this machine's own.

Owns: `refs/reconciler/status/<node>`: what is in its tree, when a commit is made, what its message says. Never: touches
a branch, the index or the files of a person, pushes, or commits what has not changed.

Whoever wants a history of what the daemon did, or to see it from another machine, gets it without a line of it on a
branch of theirs: `git log -p refs/reconciler/status/nas`. Each machine has a ref of its own, so that no two ever push
the same one. An index of its own (GIT_INDEX_FILE) works while a person's git holds the lock of theirs.
"""

import asyncio
import re
import tempfile
import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from loguru import logger

from reconciler.errors import ReconcilerError
from reconciler.manifests.block import Field, lines_of, status_fields
from reconciler.manifests.document import one_line, printable
from reconciler.manifests.model import JobState
from reconciler.reconcile.git_program import GitProgram
from reconciler.reconcile.status import status_of
from reconciler.state.jobs import JobStore
from reconciler.state.records import JobRecord

# In one commit; the rest goes into the next. git hashes a thousand small files in a tenth of a second.
CHANGED_MAX = 5_000

# A message is read by people; the commit has the rest.
LISTED_MAX = 50

# Of git check-ref-format(1), and less: what every server and file system takes.
_UNFIT_IN_REF = re.compile(r"[^A-Za-z0-9_-]+")

_AUTHOR = {
    "GIT_AUTHOR_NAME": "reconciler",
    "GIT_AUTHOR_EMAIL": "reconciler@localhost",
    "GIT_COMMITTER_NAME": "reconciler",
    "GIT_COMMITTER_EMAIL": "reconciler@localhost",
}


def ref_of(node: str) -> str:
    """The ref of a machine: its name, with what a ref may not hold replaced."""
    return f"refs/reconciler/status/{_UNFIT_IN_REF.sub('-', node).strip('-') or 'node'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What was committed of a job."""

    mark: int
    """Of its record and its published files."""
    state: JobState


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """A job whose status is to be committed."""

    record: JobRecord
    seen: _Seen
    before: str
    """The state that was committed last; empty = none since this daemon began."""
    text: str

    @property
    def line(self) -> str:
        """For a message: `job 01HRQ4...: running -> completed (Completed)`."""
        reason = self.record.conditions[0].reason if self.record.conditions else ""
        moved = f"{self.before} -> {self.record.state}" if self.before else str(self.record.state)
        return f"job {self.record.job_id}: {moved}" + (f" ({reason})" if reason else "")


class StatusRef:
    """Commits the status of all jobs to this machine's ref, at most once in an interval."""

    def __init__(self, *, root: Path, node: str, store: JobStore, interval_s: float) -> None:
        self.ref = ref_of(node)
        self._git = GitProgram(folder=root)
        self._node = node
        self._store = store
        self._interval_s = interval_s
        self._seen: dict[str, _Seen] = {}
        self._refused = ""
        # The last commit of a daemon may come while one that was under way still runs in its thread.
        self._committing = threading.Lock()

    async def keep_committing(self) -> None:
        """Commit what has changed, every interval, until cancelled."""
        while True:
            await asyncio.sleep(self._interval_s)
            await asyncio.to_thread(self.commit)

    def commit(self) -> str | None:
        """Commit what has changed since the last time; gives the commit, None where there is none to make.

        Blocking. What git or the disk refuses is said once for each reason and tried again the next time.
        """
        with self._committing:
            return self._commit()

    def _commit(self) -> str | None:
        try:
            changes = self._changes()
            made = self._committed(changes) if changes else None
        except (ReconcilerError, OSError) as error:
            why = error.message if isinstance(error, ReconcilerError) else str(error)
            if why != self._refused:
                logger.bind(ref=self.ref, why=one_line(why)).warning("status not committed")
            self._refused = why
            return None
        self._refused = ""
        self._seen.update((change.record.job_id, change.seen) for change in changes)
        return made

    def _changes(self) -> list[_Change]:
        changes: list[_Change] = []
        for record in self._store.all():
            # A track that is published changes no record until the job ends; only running jobs publish.
            running = record.state is JobState.RUNNING
            artifacts = self._store.artifacts(record.job_id, record.generation) if running else ()
            seen = _Seen(mark=hash((record, len(artifacts))), state=record.state)
            last = self._seen.get(record.job_id)
            if last == seen:
                continue
            artifacts = artifacts or self._store.artifacts(record.job_id, record.generation)
            status = status_fields(status_of(record, plan=None, artifacts=artifacts, progress=None))
            fields: dict[str, Field] = {"job_id": str(record.job_id), "path": record.path, "status": status}
            text = "".join(f"{line}\n" for line in lines_of(fields))
            changes.append(_Change(record=record, seen=seen, before=str(last.state) if last else "", text=text))
            if len(changes) >= CHANGED_MAX:
                break
        return changes

    def _committed(self, changes: list[_Change]) -> str | None:
        """Make the commit on top of what the ref names now; None where that says the same already."""
        old = self._git.run("for-each-ref", "--format=%(objectname)", self.ref)
        with tempfile.TemporaryDirectory(prefix="reconciler-status-") as scratch:
            tree = self._tree(Path(scratch), changes, old)
        if old and tree == self._git.run("rev-parse", "--verify", f"{old}^{{tree}}"):
            return None
        parent = ("-p", old) if old else ()
        message = _message(changes, self._node).encode()
        new = self._git.run("commit-tree", *parent, "-F", "-", tree, given=message, environment=_AUTHOR)
        # With the old value: if the ref has moved meanwhile, git refuses, and the next time starts from where it is.
        self._git.run("update-ref", "-m", "reconciler", self.ref, new, old)
        logger.bind(ref=self.ref, jobs=len(changes)).debug("status committed")
        return new

    def _tree(self, scratch: Path, changes: list[_Change], old: str) -> str:
        """The tree of the ref with the changed files in it, through an index of our own."""
        own = {"GIT_INDEX_FILE": str(scratch / "index")}
        self._git.run("read-tree", old or "--empty", environment=own)
        names = [f"{change.record.job_id}.yml" for change in changes]
        for name, change in zip(names, changes, strict=True):
            (scratch / name).write_text(change.text, encoding="utf-8")
        paths = "".join(f"{scratch / name}\n" for name in names).encode()
        blobs = self._git.run("hash-object", "-w", "--no-filters", "--stdin-paths", given=paths).split("\n")
        entries = "".join(f"100644 {blob}\t{name}\n" for blob, name in zip(blobs, names, strict=True))
        self._git.run("update-index", "--index-info", given=entries.encode(), environment=own)
        return self._git.run("write-tree", environment=own)


def _message(changes: list[_Change], node: str) -> str:
    listed = changes[:LISTED_MAX]
    trailers = [f"Node: {printable(node)}", *(f"Job-Id: {change.record.job_id}" for change in listed)]
    if len(changes) == 1:
        trailers.append(f"Spec-Digest: {changes[0].record.spec_digest}")
        return "\n".join([changes[0].line, "", *trailers, ""])
    counts = Counter(str(change.record.state) for change in changes)
    subject = f"{len(changes)} jobs: {', '.join(f'{count} {state}' for state, count in sorted(counts.items()))}"
    more = [f"and {len(changes) - LISTED_MAX} more"] if len(changes) > LISTED_MAX else []
    return "\n".join([subject, "", *(change.line for change in listed), *more, "", *trailers, ""])
