"""What a root folder needs to be kept in git.

Owns: its ignore and attributes files, the folders that git would remove, the pre-commit hook and the filter's setting.
Never: makes a repository, commits, or changes a file or a setting that is there.
"""

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from reconciler.cli.new_files import NewFiles
from reconciler.reconcile.git_program import GitProgram

FILTER = "reconciler-status"

IGNORED = """\
# What a commit should not hold. Made by `reconciler init --git`.
# What the daemon makes: logs, music, the status of each machine (status.mode: sidecar), files it is writing.
/logs/
/library/
/jobs/status/
.syncthing.*
# Syncthing's own.
.stfolder
.stversions
.stignore
*.sync-conflict-*
~syncthing~*
# Editors at work.
*~
*.sw?
.#*
4913
"""

ATTRIBUTES = f"""\
# Made by `reconciler init --git`. -text: the line ends of a manifest are yours; git does not change them.
# The filter keeps status blocks out of commits where `reconciler init --git-filter` has set it up for a clone;
# elsewhere it does nothing.
/jobs/active/*.yml -text filter={FILTER}
/jobs/active/*.yaml -text filter={FILTER}
/jobs/completed/*.yml -text filter={FILTER}
/jobs/completed/*.yaml -text filter={FILTER}
"""

HOOK = """\
#!/bin/sh
# Made by `reconciler init --git`: a manifest with a mistake in it is not committed.
# What is checked is what would be committed, not what lies in the folder. `git commit --no-verify` goes past it.
jobs={jobs}
git diff --cached --quiet --diff-filter=ACMR -- ":(top,literal)$jobs" && exit 0
if [ -x {python} ]; then
    check() {{ {python} -m reconciler validate "$1"; }}
elif command -v reconciler > /dev/null; then
    check() {{ reconciler validate "$1"; }}
else
    echo "manifests are not checked: there is no reconciler; the hook pre-commit says where it was" >&2
    exit 0
fi
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
git diff --cached --name-only -z --diff-filter=ACMR -- ":(top,literal)$jobs" > "$scratch/names" || exit 1
git checkout-index -z --stdin --prefix="$scratch/staged/" < "$scratch/names" || exit 1
cd "$scratch/staged" && check "$jobs"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clone:
    """The working tree of git that a folder is in."""

    top: Path
    hooks: Path
    own_hooks_path: bool
    """Whether `core.hooksPath` says where hooks are: then they are somebody else's, and perhaps committed."""


def add_git(new: NewFiles, *, with_filter: bool) -> None:
    """Make what is missing of it, and note what is left to do."""
    new.lines(new.below / ".gitignore", IGNORED)
    new.lines(new.below / ".gitattributes", ATTRIBUTES)
    for folder in ("jobs/active", "jobs/completed"):
        new.file(new.below / folder / ".gitkeep", "")
    clone = _clone_of(new.below)
    if clone is None:
        new.notes.append(f"{new.below} is in no git repository; `git init` there, then run this again for the hook")
        return
    _add_hook(new, clone)
    if with_filter:
        _set_filter(new)


def _add_hook(new: NewFiles, clone: Clone) -> None:
    by_hand = f"    {_program()} validate jobs/active || exit 1"
    if clone.own_hooks_path:
        new.notes.append(f"core.hooksPath is set, so no hook was made; add to your pre-commit hook:\n{by_hand}")
        return
    jobs = f"{new.below.resolve().relative_to(clone.top.resolve()).as_posix()}/jobs/active".removeprefix("./")
    path = clone.hooks / "pre-commit"
    text = HOOK.format(jobs=shlex.quote(jobs), python=shlex.quote(sys.executable))
    if not new.file(path, text, executable=True) and new.text_of(path) != text:
        new.notes.append(f"{path} is yours and stays as it is; add to it:\n{by_hand}")


def _set_filter(new: NewFiles) -> None:
    setting, wanted = f"filter.{FILTER}.process", f"{_program()} git-filter"
    git = GitProgram(folder=new.below)
    known = git.ask("config", "--get", setting)
    if known is None:
        git.run("config", "--local", setting, wanted)
        new.made.append(f"{setting} in .git/config")
    elif known != wanted:
        new.notes.append(f"{setting} is `{known}` and stays so; what this program would set:\n    {wanted}")


def _program() -> str:
    """How this very program is started again: a hook is run without the virtual environment that we are in."""
    return shlex.join([sys.executable, "-m", "reconciler"])


def _clone_of(folder: Path) -> Clone | None:
    git = GitProgram(folder=folder)
    top = git.ask("rev-parse", "--show-toplevel")
    hooks = git.ask("rev-parse", "--path-format=absolute", "--git-path", "hooks")
    if not top or not hooks:
        return None
    own = git.ask("config", "--get", "core.hooksPath") is not None
    return Clone(top=Path(top), hooks=Path(hooks), own_hooks_path=own)
