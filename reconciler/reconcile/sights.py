"""What was seen of each file, in memory and, later, on the disk.

Owns: the marks by which an unchanged file is known, and when they are made durable. Never: looks at a file, or decides
what an unchanged one needs.

The disk's copy may lag behind or be lost: then a file is looked at once more. Only `load` and `save` wait for the disk,
in a thread, while the loop waits for them; everything else is for the loop's thread.
"""

from collections.abc import Callable
from dataclasses import replace

from reconciler.state.sightings import CompletedManifest, Sighting, SightingStore

# Rows that wait in memory: some 400 kB. A crash makes that many files be looked at again, some seconds of work.
UNSAVED_MAX = 1000


class Sights:
    """The marks of manifests, conflict copies and finished manifests, by path."""

    def __init__(self, store: SightingStore) -> None:
        self._store = store
        self.active: dict[str, int] = {}
        """Marks of what was seen in `jobs/active`."""
        self.completed: dict[str, int] = {}
        """Marks of what was seen in `jobs/completed`."""
        self._unsaved: dict[str, Sighting] = {}
        self._unsaved_marks: dict[str, int] = {}
        self._unsaved_completed: dict[str, CompletedManifest] = {}
        self._unsaved_gone: set[str] = set()

    def load(self, rules: str, take: Callable[[Sighting], None]) -> None:
        """Take back what an earlier process saw under the same `rules`; `take` is given each sighting."""
        self._store.begin(rules)

        def remember(sighting: Sighting) -> None:
            self.active[sighting.path] = sighting.mark
            take(sighting)

        self._store.each(remember)
        self.load_completed()

    def load_completed(self) -> None:
        """Take back what is known of `jobs/completed`, which holds under any rules."""
        self._store.each_completed(lambda each: self.completed.__setitem__(each.path, each.mark))

    def saw(self, sighting: Sighting) -> None:
        """A pass ended with this."""
        self.active[sighting.path] = sighting.mark
        self._unsaved[sighting.path] = sighting
        self._unsaved_marks.pop(sighting.path, None)
        self._unsaved_gone.discard(sighting.path)

    def remark(self, path: str, mark: int) -> None:
        """The file was changed by ourselves, and what was seen of it still holds; nothing where nothing was seen."""
        if path not in self.active:
            return
        self.active[path] = mark
        unsaved = self._unsaved.get(path)
        if unsaved is not None:
            self._unsaved[path] = replace(unsaved, mark=mark)
        else:
            self._unsaved_marks[path] = mark

    def mark_of(self, path: str) -> int | None:
        """The mark under which a file was last seen, in whichever folder; None = it was not."""
        known = self.active.get(path)
        return self.completed.get(path) if known is None else known

    def saw_copy(self, path: str, mark: int) -> None:
        """A conflict copy was looked at. It is not made durable: there are few, and a start may look again."""
        self.active[path] = mark

    def saw_completed(self, manifest: CompletedManifest) -> None:
        """A finished manifest was looked at."""
        self.completed[manifest.path] = manifest.mark
        self._unsaved_completed[manifest.path] = manifest
        self._unsaved_gone.discard(manifest.path)

    def forget(self, path: str) -> None:
        """The file is to be looked at again whatever its mark is, or is not there any more."""
        known = self.active.pop(path, None) is not None
        known = self.completed.pop(path, None) is not None or known
        self._unsaved.pop(path, None)
        self._unsaved_marks.pop(path, None)
        self._unsaved_completed.pop(path, None)
        if known:
            self._unsaved_gone.add(path)

    @property
    def unsaved(self) -> int:
        """How much waits to be made durable."""
        return len(self._unsaved) + len(self._unsaved_marks) + len(self._unsaved_completed) + len(self._unsaved_gone)

    def save(self) -> None:
        """Make durable what waits; what the disk refuses goes on waiting. Raises DiskError, FileBusyError."""
        self._store.put(
            tuple(self._unsaved.values()),
            marks=self._unsaved_marks,
            completed=tuple(self._unsaved_completed.values()),
            gone=self._unsaved_gone,
        )
        self._unsaved, self._unsaved_marks, self._unsaved_completed, self._unsaved_gone = {}, {}, {}, set()
