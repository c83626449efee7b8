"""Which names in a jobs folder are manifests.

Owns: the rule, from the name alone. Never: looks at a file.

Editors, git and Syncthing put their own files beside the manifests while they work, some for milliseconds. Acting on
one would run a job from a backup, a lock or half a transfer.
"""

import fnmatch

_SUFFIXES = (".yml", ".yaml")

# What each is: vim's probe and swap files, sed's temporary, everybody's backups and temporaries, Syncthing's transfers
# on Windows. A leading dot covers the rest: .git, .stfolder, .stversions, .syncthing.*, emacs's locks, vim's swap
# files and our own temporaries.
_IGNORED = ("*~", "~syncthing~*", "*.tmp", "*.sw?", "4913", "sed??????")

_CONFLICT = "*.sync-conflict-*"

# NAME_MAX of Linux; a longer name cannot exist there and is not worth a row in the database.
_NAME_BYTES_MAX = 255


def is_manifest_name(name: str) -> bool:
    """Tell whether a file of this name, directly in `jobs/active`, is read as a manifest."""
    if not name.endswith(_SUFFIXES) or name.startswith(".") or not _is_plain(name):
        return False
    return not any(fnmatch.fnmatchcase(name, pattern) for pattern in (*_IGNORED, _CONFLICT))


def is_conflict_copy(name: str) -> bool:
    """Tell whether Syncthing kept a losing version under this name: a person has to look, nobody acts on it."""
    return name.endswith(_SUFFIXES) and not name.startswith(".") and fnmatch.fnmatchcase(name, _CONFLICT)


def _is_plain(name: str) -> bool:
    """Tell whether the name is UTF-8 without control characters: it goes into logs, conditions and the database."""
    try:
        encoded = name.encode()
    except UnicodeEncodeError:
        return False
    return len(encoded) <= _NAME_BYTES_MAX and name.isprintable() and "/" not in name
