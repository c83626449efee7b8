"""What Syncthing must not carry from one machine to the next.

Owns: the ignore files of a root folder. Never: speaks to Syncthing or changes its configuration.

A `.stignore` is a machine's own and is not synced. So it only includes a list that is: the rules are then the same
everywhere. There are two of each kind, because a person may share the root folder or only its `jobs`.
"""

from reconciler.cli.new_files import NewFiles

# Patterns without a leading slash match at any depth, so the list holds for both folders that may be shared.
SHARED = """\
// What no other machine should get. Made by `reconciler init --syncthing`; this list is synced, .stignore is not.
// Git's own folder is damaged by syncing it; share it by pushing.
.git
// Editors at work. (?d): may be removed where they keep Syncthing from removing a folder.
(?d)*~
(?d)*.sw?
(?d).#*
(?d)4913
(?d)sed??????
(?d)*.tmp
"""

ROOT = """\
// Made by `reconciler init --syncthing`, for sharing this whole folder; the rules that all machines share are in
#include jobs/.stignore-shared
// Each machine has its own story and its own music; take a line out to share it.
/logs
/library
"""

JOBS = """\
// Made by `reconciler init --syncthing`, for sharing only this folder; the rules that all machines share are in
#include .stignore-shared
"""


def add_syncthing(new: NewFiles) -> None:
    """Make the ignore files that are missing."""
    jobs = new.below / "jobs"
    new.lines(jobs / ".stignore-shared", SHARED)
    new.lines(new.below / ".stignore", ROOT)
    new.lines(jobs / ".stignore", JOBS)
