"""Whether git is in the middle of something in the folder of manifests.

Owns: finding the repository, and what its state files mean. Never: runs git, or writes anything.

While a merge, a rebase or a checkout is under way, files hold versions that nobody asked for: upstream's, half of a
conflict, the commit before. What the daemon did then would have to be undone.
"""

import os
from pathlib import Path

# What git leaves in its folder while a person has to finish something: gitrepository-layout(5), and git's own sources
# for the names that are not in it.
_UNFINISHED = {
    "rebase-merge": "a rebase",
    "rebase-apply": "a rebase",
    "MERGE_HEAD": "a merge",
    "CHERRY_PICK_HEAD": "a cherry-pick",
    "REVERT_HEAD": "a revert",
    "BISECT_LOG": "a bisection",
}

# A lock older than this was left by a git that died: git itself then asks to remove it. A checkout of 100,000 files
# takes some seconds.
INDEX_LOCK_S_MAX = 600.0

# `.git` of a worktree or submodule is a file with one line.
_POINTER_BYTES_MAX = 4096
_POINTER = "gitdir: "


def git_folder_of(folder: Path) -> Path | None:
    """The git folder of the work tree that `folder` lies in; None where it lies in none."""
    for above in (folder, *folder.parents):
        git = above / ".git"
        if git.is_dir():
            return git
        if git.is_file():
            return _pointed_at(git)
    return None


def unfinished(git: Path, *, now_unix_s: float) -> str:
    """What git is in the middle of, for a person; empty = of nothing."""
    for name, what in _UNFINISHED.items():
        if os.path.lexists(git / name):
            return f"{what} is not finished ({git / name})"
    lock = git / "index.lock"
    try:
        age_s = now_unix_s - lock.stat().st_mtime
    except OSError:
        return ""
    return f"git works on its index ({lock})" if age_s < INDEX_LOCK_S_MAX else ""


def _pointed_at(file: Path) -> Path | None:
    try:
        with file.open("rb") as opened:
            text = opened.read(_POINTER_BYTES_MAX).decode("utf-8", "surrogateescape").strip()
    except OSError:
        return None
    return file.parent / text.removeprefix(_POINTER) if text.startswith(_POINTER) else None
