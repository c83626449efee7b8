"""A job's status in a file of its own, beside the manifests: `jobs/status/<job_id>.<node>.yml`.

Owns: the files of this node in that folder. Never: touches a manifest, or a file that another node writes: each file
has one writer, so a folder that is synced has no conflicts here.

Nothing is lost with one of these files: they are output, and may be deleted at any time.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from reconciler.clock import Clock
from reconciler.errors import DiskError
from reconciler.manifests.model import JobState
from reconciler.manifests.snapshot import TEMPORARY_PREFIX
from reconciler.reconcile.report import PROGRESS_S, Report, Reported, report_delay_s, reported, text_of

# With a manifest's name (180 bytes at most) and `.yml` it fits into the 255 bytes of a name.
_NODE_CHARS_MAX = 63
_UNFIT_IN_NODE = re.compile(r"[^A-Za-z0-9._-]+")

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Sidecars:
    """What one node says of its jobs in `jobs/status`. Blocking; one call at a time."""

    def __init__(self, folder: Path, *, node: str, clock: Clock) -> None:
        self._folder = folder
        self._node = node
        self._suffix = f".{_UNFIT_IN_NODE.sub('-', node)[:_NODE_CHARS_MAX] or 'node'}.yml"
        self._clock = clock
        self._written: dict[str, Reported] = {}
        self._waiting: dict[str, Report] = {}
        self._listed: set[str] | None = None

    def settle(self, report: Report) -> float | None:
        """Write a report if it is due; seconds until the next one may be, None = until something changes.

        Raises DiskError.
        """
        path = report.manifest
        now_s = self._clock.monotonic()
        delay_s = report_delay_s(report, self._written.get(path), now_s=now_s)
        if delay_s is not None and delay_s > 0.0:
            self._waiting[path] = report
            return delay_s
        if delay_s is not None:
            self._write(report, now_s)
        # The engine says when a track begins or ends; that it has more bytes must be asked.
        return PROGRESS_S if report.status.state is JobState.RUNNING else None

    def flush(self) -> None:
        """Write what waits for its time; raises DiskError."""
        for report in list(self._waiting.values()):
            self._write(report, self._clock.monotonic())

    def leave(self, path: str, *, keep: bool) -> None:
        """Forget a manifest that is not there any more; with `keep`, what is said of it stays."""
        self._waiting.pop(path, None)
        before = self._written.pop(path, None)
        if before is not None and not keep:
            self._remove(before.report.job_id, path)

    def drop(self, path: str, job_id: str) -> None:
        """Remove what is said of a manifest that says it itself."""
        self._waiting.pop(path, None)
        self._written.pop(path, None)
        self._remove(job_id, path)

    def _write(self, report: Report, now_s: float) -> None:
        before = self._written.get(report.manifest)
        name = self._name_of(report.job_id, report.manifest)
        text = text_of(report, before, node=self._node, now_s=now_s, now_unix_s=self._clock.wall())
        if report.job_id and (before is None or not before.report.job_id):
            # What was said of it before it had an id.
            self._remove("", report.manifest)
        try:
            self._replace(name, text)
        except OSError as error:
            message = f"{self._folder / name} cannot be written: {error.strerror}"
            raise DiskError(message, hint="jobs/status must be a folder that the daemon may write") from error
        self._present().add(name)
        self._written[report.manifest] = reported(report, now_s=now_s)
        self._waiting.pop(report.manifest, None)

    def _replace(self, name: str, text: str) -> None:
        """Put a whole file at its name.

        It is not made durable: after a power cut it is written again, and an empty one until then misleads nobody.
        """
        temporary = f"{TEMPORARY_PREFIX}status.{os.getpid()}.tmp"
        self._folder.mkdir(exist_ok=True)
        with self._opened() as folder:
            with suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=folder)
            fd = os.open(temporary, _NEW_FILE, 0o644, dir_fd=folder)
            with os.fdopen(fd, "w", encoding="utf-8") as file:
                file.write(text)
            os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)

    def _remove(self, job_id: str, path: str) -> None:
        names = {self._name_of("", path)}
        # A manifest that was renamed is the same job's under another name.
        if job_id and all(other.report.job_id != job_id for other in self._written.values()):
            names.add(self._name_of(job_id, path))
        for name in names & self._present():
            self._present().discard(name)
            with suppress(OSError), self._opened() as folder:
                os.unlink(name, dir_fd=folder)

    def _name_of(self, job_id: str, path: str) -> str:
        """What the file of a job is called; a manifest without one lends it its own name."""
        return (job_id or Path(path).name) + self._suffix

    def _present(self) -> set[str]:
        """The files of this node; listed once, since nobody else makes any."""
        if self._listed is None:
            self._listed = set()
            with suppress(OSError):
                self._listed = {path.name for path in self._folder.iterdir() if path.name.endswith(self._suffix)}
        return self._listed

    @contextmanager
    def _opened(self) -> Iterator[int]:
        """The folder itself: a link in its place could have us write anywhere."""
        fd = os.open(self._folder, _FOLDER)
        try:
            yield fd
        finally:
            os.close(fd)
