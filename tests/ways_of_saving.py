"""How programs save a text file: the four ways that were seen.

Owns: what each does to the folder, step by step. Never: waits, or looks at what it wrote.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


def by_rename(path: Path, data: bytes) -> None:
    """As sed -i, most programs and Syncthing: a new file is renamed over the old one."""
    draft = path.with_name("sedAbC123")
    draft.write_bytes(data)
    draft.replace(path)


def like_git(path: Path, data: bytes) -> None:
    """As git checkout: the old file is removed, a new one made."""
    path.unlink(missing_ok=True)
    path.write_bytes(data)


def like_vim(path: Path, data: bytes) -> None:
    """As vim, outside /tmp: the old file becomes a backup, a new one is made and made durable."""
    backup = path.with_name(path.name + "~")
    with suppress(FileNotFoundError):
        path.rename(backup)
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    backup.unlink(missing_ok=True)


def in_place(path: Path, data: bytes) -> None:
    """As nano and VS Code: the file is cut to nothing and written in pieces."""
    with path.open("wb", buffering=0) as file:
        file.write(data[: len(data) // 2])
        file.write(data[len(data) // 2 :])


WAYS: dict[str, Callable[[Path, bytes], None]] = {
    "rename": by_rename,
    "git": like_git,
    "vim": like_vim,
    "in place": in_place,
}
