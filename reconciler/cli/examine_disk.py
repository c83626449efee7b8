"""Whether folders and the machine are as a daemon needs them.

Owns: these examinations. Never: leaves anything behind: each trial file is removed again, under a name that daemon,
Syncthing and editors ignore.
"""

import ctypes
import os
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from reconciler.cli.finding import Finding, fine, problem, warning
from reconciler.clock import Clock
from reconciler.errors import ReconcilerError
from reconciler.library.room import told_bytes
from reconciler.manifests.filesystem import file_system_of
from reconciler.manifests.renaming import NotSupportedHereError, exchange, rename_new
from reconciler.manifests.snapshot import TEMPORARY_PREFIX
from reconciler.reconcile.observe import Folders
from reconciler.reconcile.watch import FolderWatch
from reconciler.state.database import Database
from reconciler.state.location import holder_of

# Less than an album of FLAC, with its parts.
FREE_BYTES_LOW = 1_000_000_000

# A file server whose clock is this far away gives manifests times that Syncthing and people wonder about.
SKEW_S_MAX = 60.0

# adjtimex(2): what it returns where nobody keeps the clock right, and more room than its structure has anywhere.
_TIME_ERROR = 5
_TIMEX_BYTES_MAX = 512


def examine_root(folders: Folders, clock: Clock) -> Iterator[Finding]:
    """The folders of manifests, and the file system that they are on."""
    for folder in (folders.active, folders.completed):
        name = folders.relative(folder)
        if not folder.is_dir():
            yield problem(name, f"{folder} is not there", to_do=f"reconciler init --root {folders.root}")
            continue
        try:
            yield from _examine_manifests(folder, name, clock)
        except (OSError, ReconcilerError) as error:
            yield _unwritable(name, folder, error)


def examine_library(roots: tuple[Path, ...]) -> Iterator[Finding]:
    """The folders that finished files go to."""
    for root in roots:
        if not root.is_dir():
            yield problem("library", f"{root} is not there", to_do="mount its disk, make it, or mend library.roots")
            continue
        try:
            with _trials(root) as (one, other):
                other.unlink()
                rename_new(one, other)
        except NotSupportedHereError as error:
            yield problem("library", f"{root}: {error.message}", to_do=error.hint)
            continue
        except OSError as error:
            yield _unwritable("library", root, error)
            continue
        disk = os.statvfs(root)
        free_bytes = disk.f_bavail * disk.f_frsize
        said = f"{root} on {file_system_of(root)}, {told_bytes(free_bytes)} free"
        if free_bytes < FREE_BYTES_LOW:
            yield warning("library", said, to_do="free some room: jobs are held when the disk is full")
        else:
            yield fine("library", said)


def examine_state(state: Path, root: Path) -> Iterator[Finding]:
    """The daemon's own folder: whose it is, whether its database can be read, whether a daemon is at work."""
    if not state.is_dir():
        above = next(folder for folder in state.parents if folder.is_dir())
        if os.access(above, os.W_OK | os.X_OK):
            yield fine("state", f"{state} is not there yet; the first daemon makes it")
        else:
            to_do = "name another --state, or set STATE_DIRECTORY"
            yield problem("state", f"{state} cannot be made: {above} is not writable", to_do=to_do)
        return
    mode = stat.S_IMODE(state.stat().st_mode)
    if mode & 0o077:
        yield warning("state", f"{state} is open to others (mode {mode:o}); keys are in it", to_do=f"chmod 700 {state}")
    synced = [name for name in (".stfolder", ".git") if state.is_relative_to(root) and (root / name).exists()]
    if synced:
        to_do = "name another --state: a database that is copied while it is written is lost"
        yield warning("state", f"{state} lies in a folder that is synced ({synced[0]})", to_do=to_do)
    try:
        with _trials(state):
            pass
        if (state / "reconciler.db").exists():
            with closing(Database.open_read_only(state / "reconciler.db")) as database:
                database.check()
        yield fine("state", f"{state} can be written, and its database is whole")
    except OSError as error:
        yield _unwritable("state", state, error)
    except ReconcilerError as error:
        yield problem("state", error.message, to_do=error.hint)


def running_daemon(state: Path) -> str:
    """Which daemon works on a state folder, in words; empty = none."""
    process = holder_of(state)
    return "" if process is None else f"process {process} works on {state}"


def examine_watching(folders: Folders) -> Finding:
    """Whether the kernel tells of edits, tried as the daemon does it."""
    watch = FolderWatch(folders.root, (folders.active, folders.completed), _Deaf())
    try:
        watch.rearm()
        hears = watch.hears
    finally:
        watch.stop()
    limits = ", ".join(f"{name} {_limit(name)}" for name in ("max_user_instances", "max_user_watches"))
    if hears:
        return fine("inotify", f"the kernel tells of edits ({limits})")
    to_do = "raise the limits with sysctl fs.inotify.*, or keep jobs/ on a local disk; until then it looks every 5 s"
    return warning("inotify", f"the kernel does not tell of edits here ({limits})", to_do=to_do)


def examine_clock() -> Finding:
    """Whether somebody keeps the system's clock right."""
    state = ctypes.create_string_buffer(_TIMEX_BYTES_MAX)
    if ctypes.CDLL(None, use_errno=True).adjtimex(state) != _TIME_ERROR:
        return fine("clock", "it is kept right")
    to_do = "switch on time synchronisation (timedatectl set-ntp true), unless the host of this container does it"
    return warning("clock", "the kernel says that nobody keeps it right", to_do=to_do)


class _Deaf:
    """Who listens to a watch that is only tried."""

    def changed(self, file: Path) -> None:
        pass

    def lost(self) -> None:
        pass


def _examine_manifests(folder: Path, name: str, clock: Clock) -> Iterator[Finding]:
    with _trials(folder) as (one, other):
        behind_s = clock.wall() - one.stat().st_mtime
        try:
            exchange(one, other)
            yield fine(name, f"{folder} on {file_system_of(folder)}")
        except NotSupportedHereError:
            said = f"{folder} on {file_system_of(folder)}, which cannot exchange names"
            yield fine(name, f"{said}: a manifest is written with its name free for a moment")
    if abs(behind_s) > SKEW_S_MAX:
        to_do = "set the clocks of this machine and of the file server"
        yield warning(name, f"new files there are dated {abs(behind_s):.0f} s off", to_do=to_do)


@contextmanager
def _trials(folder: Path) -> Iterator[tuple[Path, Path]]:
    """Two files in a folder, for as long as they are tried."""
    both = [folder / f"{TEMPORARY_PREFIX}doctor-{number}.{os.getpid()}.tmp" for number in (1, 2)]
    try:
        for path in both:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        yield both[0], both[1]
    finally:
        for path in both:
            path.unlink(missing_ok=True)


def _unwritable(subject: str, folder: Path, error: OSError | ReconcilerError) -> Finding:
    why = error.message if isinstance(error, ReconcilerError) else error.strerror
    to_do = f"make it writable for this user (chown, chmod), or look at the disk: ls -ld {folder}"
    return problem(subject, f"{folder} cannot be written: {why}", to_do=to_do)


def _limit(name: str) -> str:
    try:
        return Path("/proc/sys/fs/inotify", name).read_text(encoding="ascii").strip()
    except OSError:
        return "unknown"
