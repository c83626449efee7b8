"""Notice that something changed in `jobs/active`.

Owns: the inotify watch of one folder, and listing it. Never: says what changed; an event and a difference between two
lists are both no more than a name to look at.

Events are a courtesy that makes the daemon quick: the kernel drops them when its queue is full, and sends none for
network mounts, for a folder mounted over this one, or once the folder was removed (git removes a folder that becomes
empty). The list is the truth.
"""

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from loguru import logger
from watchdog.events import (
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer

from reconciler.reconcile.names import is_conflict_copy, is_manifest_name

# Not the events of opening and reading: the daemon's own reading would wake it for ever.
_EVENTS: list[type[FileSystemEvent]] = [
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
]

FileMark = tuple[int, int, int, int, int]
"""Device, inode, size, modification and change time of a file; with equal marks the content is equal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What a folder holds at one moment."""

    manifests: dict[str, FileMark]
    conflict_copies: tuple[str, ...]
    """Names under which Syncthing keeps versions that lost, sorted."""


class Watch(Protocol):
    """Something that tells of changes early; nothing depends on it."""

    def start(self) -> None:
        """Begin to watch."""
        ...

    def rearm(self) -> None:
        """See to it that the folder which has the name now is the one that is watched."""
        ...

    def stop(self) -> None:
        """End the watch and its threads."""
        ...


class FolderWatch:
    """Calls `on_name`, in a thread of its own, with the name of each file of `folder` that may have changed."""

    def __init__(self, folder: Path, on_name: Callable[[str], None]) -> None:
        self._folder = folder
        self._handler = _NameHandler(on_name)
        self._observer = Observer()
        self._armed_on: tuple[int, int] | None = None
        self._refused = ""

    def start(self) -> None:
        """Begin to watch; a folder that is not there yet is watched from a later `rearm` on."""
        self._observer.start()
        self.rearm()

    def rearm(self) -> None:
        """Watch again where the folder was removed, made anew or mounted over; cheap where it was not."""
        here = _identity_of(self._folder)
        alive = any(emitter.is_alive() for emitter in self._observer.emitters)
        if here is None or (here == self._armed_on and alive):
            return
        self._observer.unschedule_all()
        self._armed_on = None
        try:
            self._observer.schedule(self._handler, str(self._folder), event_filter=_EVENTS)
        except OSError as error:
            # inotify(7): EMFILE and ENOSPC are limits of the user, shared with editors and browsers.
            self._say_refused(f"{error.strerror} ({self._folder})")
            return
        self._armed_on = here
        self._refused = ""

    def stop(self) -> None:
        """End the watch and its threads."""
        if self._observer.is_alive():
            self._observer.stop()
            self._observer.join()

    def _say_refused(self, why: str) -> None:
        if why != self._refused:
            self._refused = why
            logger.bind(why=why).warning(
                "folder cannot be watched; changes are seen at the next rescan, raise fs.inotify.max_user_watches"
            )


class _NameHandler(FileSystemEventHandler):
    def __init__(self, on_name: Callable[[str], None]) -> None:
        self._on_name = on_name

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Take the names out of an event, both of a rename."""
        for path in (event.src_path, event.dest_path):
            name = Path(os.fsdecode(path)).name
            if is_manifest_name(name):
                self._on_name(name)


def scan(folder: Path) -> Listing:
    """List `folder`, not what lies below it.

    Raises OSError where the folder cannot be listed: that says nothing about its files, least of all that they are
    gone.
    """
    manifests: dict[str, FileMark] = {}
    conflict_copies: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if is_conflict_copy(entry.name):
                conflict_copies.append(entry.name)
            elif is_manifest_name(entry.name):
                # A file may go between the listing and the look at it; then it is not there.
                with contextlib.suppress(FileNotFoundError):
                    manifests[entry.name] = _mark_of(entry.stat(follow_symlinks=False))
    return Listing(manifests=manifests, conflict_copies=tuple(sorted(conflict_copies)))


def _mark_of(status: os.stat_result) -> FileMark:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _identity_of(folder: Path) -> tuple[int, int] | None:
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
