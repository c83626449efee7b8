"""What the protocol library offers of ours.

Owns: which files it knows of. Never: opens one (sources.soulseek.transfers does), or decides which may be offered
(sources.soulseek.sharing).
"""

import asyncio
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from aioslsk.shares.manager import SharesManager
from aioslsk.shares.model import SharedItem

from reconciler.sources.soulseek.sharing import FILES_MAX, Mark, mark_of, offered_files, published_files


class Shares(SharesManager):
    """What is offered: found by our own walk, which follows no link, or told by the daemon."""

    never: tuple[Path, ...] = ()
    published: Mapping[Path, Mapping[str, Mark]] = {}
    """Folders of which only these files are offered, by their path below it."""

    async def scan_directory_files(self, shared_directory: Any) -> None:
        """Find the files of one shared folder; what is known of those that have not changed is kept."""
        root = Path(shared_directory.absolute_path)
        found = await asyncio.to_thread(lambda: list(self._offered(root)))
        before = {(item.subdir, item.filename, item.modified): item for item in shared_directory.items}
        items = set()
        # Of all folders together: the process that holds them has a bound of its own.
        others = sum(len(each.items) for each in self.shared_directories if each is not shared_directory)
        for below, modified in found[: max(0, FILES_MAX - others)]:
            subdir, name = os.path.split(below)
            known = before.get((subdir, name, modified))
            items.add(known or SharedItem(shared_directory, subdir, name, modified))
        shared_directory.items.clear()
        shared_directory.items |= items
        self.rebuild_term_map()

    def is_offered(self, root: Path, below: str, found: os.stat_result) -> bool:
        """Whether a file that was opened may be sent: it lies in a shared folder, or is still what was published."""
        marks = self.published.get(root)
        return marks is None or marks.get(below) == mark_of(found)

    def _offered(self, root: Path) -> Iterator[tuple[str, float]]:
        marks = self.published.get(root)
        if marks is None:
            return offered_files(root, never=self.never)
        return published_files(root, marks, never=self.never)
