"""The cover of one job's album: found once, for all of its files.

Owns: asking once, and where the picture goes. Never: fetches (musicbrainz.cover_art), touches a disk (engine.disk), or
lets a missing cover stand in the way of an album.
"""

from collections.abc import Callable

from reconciler.engine.order import CoverWish
from reconciler.ids import Mbid
from reconciler.musicbrainz.cover import Cover

FindCover = Callable[[Mbid, Mbid | None], tuple[Cover | None, str]]
"""Gives the cover of a release or of its group, or none and why; blocks for less than a minute."""


class JobCover:
    """The cover that a job's files are to have."""

    def __init__(self, wish: CoverWish | None, find: FindCover | None) -> None:
        self._wish = wish if find is not None else None
        self._find = find
        self._found: tuple[Cover | None, str] | None = None

    def embedded(self) -> Cover | None:
        """What is put into each file; None = nothing."""
        return self._cover() if self._wish is not None and self._wish.where == "embed" else None

    def beside(self) -> tuple[Cover, str] | None:
        """The picture that goes into the album's folder, and under which name below the target; None = none does."""
        if self._wish is None or self._wish.where != "file" or (cover := self._cover()) is None:
            return None
        name = f"cover.{cover.extension}"
        return cover, f"{self._wish.folder}/{name}" if self._wish.folder else name

    @property
    def note(self) -> str:
        """For the trace: what came of it; empty = none was asked for."""
        return "" if self._found is None else self._found[1] or "found"

    def _cover(self) -> Cover | None:
        assert self._wish is not None
        assert self._find is not None
        if self._found is None:
            self._found = self._find(self._wish.release, self._wish.group)
        return self._found[0]
