"""Which names in a jobs folder are manifests.

Owns: the rule, from the name alone. Never: looks at a file.

Editors, git and Syncthing put their own files beside the manifests while they work, some for milliseconds. Acting on
one would run a job from a backup, a lock or half a transfer.
"""

import re

_SUFFIXES = (".yml", ".yaml")

# Syncthing's transfers on Windows, and the versions that it keeps. A leading dot covers most others: .git, .stfolder,
# .stversions, .syncthing.*, emacs's locks, vim's swap files, our own temporaries. Backups (`~`, `.tmp`), vim's probe
# `4913` and sed's temporaries do not end like a manifest.
_IGNORED = re.compile(r"~syncthing~|.*\.sync-conflict-", re.DOTALL)

_CONFLICT = re.compile(r".+\.sync-conflict-", re.DOTALL)

REMOVAL_CONFIRMED = ".confirm-removal"
"""An empty file of this name in `jobs/active`: a person means it when many manifests are gone at once."""

# NAME_MAX of Linux; a longer name cannot exist there and is not worth a row in the database.
_NAME_BYTES_MAX = 255


def is_manifest_name(name: str) -> bool:
    """Tell whether a file of this name, directly in `jobs/active`, is read as a manifest."""
    if not name.endswith(_SUFFIXES) or name.startswith(".") or not _is_plain(name):
        return False
    return _IGNORED.match(name) is None


def is_conflict_copy(name: str) -> bool:
    """Tell whether Syncthing kept a losing version under this name, directly in `jobs/active`."""
    return (
        name.endswith(_SUFFIXES) and not name.startswith(".") and _is_plain(name) and _CONFLICT.match(name) is not None
    )


def _is_plain(name: str) -> bool:
    """Tell whether the name is UTF-8 without control characters: it goes into logs, conditions and the database."""
    try:
        encoded = name.encode()
    except UnicodeEncodeError:
        return False
    return len(encoded) <= _NAME_BYTES_MAX and name.isprintable() and "/" not in name
