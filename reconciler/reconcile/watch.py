"""Notice that something changed in the folders of manifests.

Owns: the inotify watch of some folders and of what they stand in. Never: says what changed; an event is no more than a
name to look at, and what cannot be named is said to be lost.

Events are a courtesy that makes the daemon quick: the kernel drops them when its queue is full, and sends none for
network mounts or for a folder mounted over this one. The list (reconcile.listing) is the truth.

The layer of watchdog that is used is the one nearest to the kernel. Its observers hold every event back for half a
second after a file was moved out of the folder, which the daemon itself does with each job that is done; and they keep
to themselves that the queue has overflowed.
"""

import os
from collections.abc import Collection
from pathlib import Path
from typing import Protocol

from loguru import logger
from watchdog.observers.inotify_c import CallbackId, InotifyConstants, InotifyEvent, InotifyFD, Mask, WatchDescriptor

from reconciler.manifests.filesystem import file_system_of
from reconciler.reconcile.names import REMOVAL_CONFIRMED, is_conflict_copy, is_manifest_name

# File systems on which others change files without this kernel knowing. FUSE may be local; nobody can tell.
_NETWORK = frozenset(
    {
        "9p",
        "afs",
        "ceph",
        "cifs",
        "coda",
        "fuse",
        "gfs2",
        "gpfs",
        "lustre",
        "nfs",
        "ocfs2",
        "smb",
        "smb2",
        "vboxsf",
        "vmhgfs",
    }
)

# Not the events of opening and reading: the daemon's own reading would wake it for ever. Not each write either: a file
# that is open for writing is not read, and closing it is told.
_EVENTS = Mask(
    InotifyConstants.IN_CREATE
    | InotifyConstants.IN_DELETE
    | InotifyConstants.IN_MOVED_FROM
    | InotifyConstants.IN_MOVED_TO
    | InotifyConstants.IN_CLOSE_WRITE
    | InotifyConstants.IN_ATTRIB
    | InotifyConstants.IN_DELETE_SELF
    | InotifyConstants.IN_MOVE_SELF
    | InotifyConstants.IN_ONLYDIR
)

# Of a folder that one of ours stands in, only what happens to a name counts.
_NAMES_ONLY = Mask(
    InotifyConstants.IN_CREATE
    | InotifyConstants.IN_DELETE
    | InotifyConstants.IN_MOVED_FROM
    | InotifyConstants.IN_MOVED_TO
    | InotifyConstants.IN_DELETE_SELF
    | InotifyConstants.IN_MOVE_SELF
    | InotifyConstants.IN_ONLYDIR
)

_FOLDER_ITSELF = InotifyConstants.IN_DELETE_SELF | InotifyConstants.IN_MOVE_SELF | InotifyConstants.IN_UNMOUNT


class Heard(Protocol):
    """Who is told; in a thread of the watch."""

    def changed(self, file: Path) -> None:
        """Something may have happened to this file."""
        ...

    def lost(self) -> None:
        """Something happened that has no name: look at everything, and see to the watch."""
        ...


class Watch(Protocol):
    """Something that tells of changes early; nothing depends on it."""

    @property
    def hears(self) -> bool:
        """Whether changes are told at all just now."""
        ...

    def rearm(self) -> None:
        """See to it that the folders which have the names now are those that are watched; the first time, begin."""
        ...

    def stop(self) -> None:
        """End the watch and its threads."""
        ...


class FolderWatch:
    """Tells of each file of some folders that may have changed, and of the folders' own coming and going."""

    def __init__(self, root: Path, folders: Collection[Path], heard: Heard) -> None:
        """The `folders` lie below `root`; that one and those in between are watched for their names."""
        self._heard = heard
        between = {above for folder in folders for above in folder.parents if above.is_relative_to(root)}
        self._ears = [_Ear(folder, heard, lambda name, here=folder: self._file(here / name)) for folder in folders]
        self._ears += [
            _Ear(folder, heard, _leads_to(folder, {*folders, *between}, heard), mask=_NAMES_ONLY)
            for folder in sorted(between)
        ]
        self._folders = tuple(folders)
        self._inotify: InotifyFD | None = None
        self._armed_on: tuple[tuple[int, int] | None, ...] = ()
        self._refused = ""

    @property
    def hears(self) -> bool:
        """Whether the kernel tells of changes: not on a network, not without a folder, not beyond a user's limits."""
        return self._inotify is not None

    def rearm(self) -> None:
        """Watch anew where a folder was removed, made again or mounted over; cheap where none was."""
        here = tuple(_identity_of(ear.folder) for ear in self._ears)
        if here == self._armed_on and (self._inotify is None or self._inotify.is_alive()):
            return
        self.stop()
        self._armed_on = here
        deaf = next((name for folder in self._folders if (name := _network_of(folder))), "")
        if deaf:
            self._say_refused(f"{deaf} does not tell of changes")
            return
        try:
            self._listen()
        except OSError as error:
            # inotify(7): EMFILE and ENOSPC are limits of the user, shared with editors and browsers.
            self.stop()
            self._say_refused(f"{error.strerror}; raise fs.inotify.max_user_instances and max_user_watches")
            return
        self._refused = ""

    def stop(self) -> None:
        """End the watch and its thread."""
        inotify, self._inotify = self._inotify, None
        self._armed_on = ()
        if inotify is not None:
            inotify.stop()
            inotify.join()

    def _listen(self) -> None:
        inotify = InotifyFD()
        inotify.start()
        self._inotify = inotify
        for ear in self._ears:
            try:
                inotify.add_callback(os.fsencode(ear.folder), ear.mask, ear, CallbackId(id(ear)))
            except (FileNotFoundError, NotADirectoryError):
                continue  # the folder that it would stand in tells when it is there

    def _file(self, file: Path) -> None:
        if is_manifest_name(file.name) or is_conflict_copy(file.name) or file.name == REMOVAL_CONFIRMED:
            self._heard.changed(file)

    def _say_refused(self, why: str) -> None:
        if why != self._refused:
            self._refused = why
            logger.bind(why=why).warning("folder cannot be watched; it is looked through every few seconds instead")


class _Ear:
    """The watch of one folder, as watchdog calls it."""

    def __init__(self, folder: Path, heard: Heard, on_name: "_OnName", *, mask: Mask = _EVENTS) -> None:
        self.folder = folder
        self.mask = mask
        self._heard = heard
        self._on_name = on_name

    def on_event(self, event: InotifyEvent) -> None:
        """Something happened in the folder, or to it."""
        if event.mask & _FOLDER_ITSELF:
            self._heard.lost()
        elif event.name:
            self._on_name(os.fsdecode(event.name))

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:
        """The kernel has dropped the watch, with the folder or at our own end."""

    def on_queue_overflow(self) -> None:
        """The kernel has dropped events."""
        self._heard.lost()


class _OnName(Protocol):
    def __call__(self, name: str, /) -> None: ...


def _leads_to(folder: Path, watched: Collection[Path], heard: Heard) -> _OnName:
    """Say that something is lost when a name of `folder` comes or goes that is, or leads to, a watched folder."""

    def on_name(name: str) -> None:
        if folder / name in watched:
            heard.lost()

    return on_name


def _network_of(folder: Path) -> str:
    """The name of the network file system that a folder is on; empty where it is on none, or not there."""
    try:
        name = file_system_of(folder)
    except OSError:
        return ""
    return name if name in _NETWORK else ""


def _identity_of(folder: Path) -> tuple[int, int] | None:
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
