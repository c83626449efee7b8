"""What the protocol library offers of ours.

Owns: which files it knows of. Never: opens one (sources.soulseek.transfers does), or decides which may be offered
(sources.soulseek.sharing).
"""

import asyncio
import os
from pathlib import Path
from typing import Any

from aioslsk.shares.manager import SharesManager
from aioslsk.shares.model import SharedItem

from reconciler.sources.soulseek.sharing import offered_files


class Shares(SharesManager):
    """What is offered: found by our own walk, which follows no link."""

    never: tuple[Path, ...] = ()

    async def scan_directory_files(self, shared_directory: Any) -> None:
        """Find the files of one shared folder; what is known of those that have not changed is kept."""
        root = Path(shared_directory.absolute_path)
        found = await asyncio.to_thread(lambda: list(offered_files(root, never=self.never)))
        before = {(item.subdir, item.filename, item.modified): item for item in shared_directory.items}
        items = set()
        for below, modified in found:
            subdir, name = os.path.split(below)
            known = before.get((subdir, name, modified))
            items.add(known or SharedItem(shared_directory, subdir, name, modified))
        shared_directory.items.clear()
        shared_directory.items |= items
        self.rebuild_term_map()
