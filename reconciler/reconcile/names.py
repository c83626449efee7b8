"""Which names in a jobs folder are manifests.

Owns: the rule, from the name alone. Never: looks at a file.

Editors, git and Syncthing put their own files beside the manifests while they work, some for milliseconds. Acting on
one would run a job from a backup, a lock or half a transfer.
"""

_SUFFIXES = (".yml", ".yaml")

# Syncthing's transfers on Windows, and the versions that it keeps. A leading dot covers most others: .git, .stfolder,
# .stversions, .syncthing.*, emacs's locks, vim's swap files, our own temporaries. Backups (`~`, `.tmp`), vim's probe
# `4913` and sed's temporaries do not end like a manifest.
_IGNORED = (".", "~syncthing~")

# Behind it stand the time of the conflict as the device has it and, but for old versions, the begin of a device's id.
_CONFLICT = ".sync-conflict-"

REMOVAL_CONFIRMED = ".confirm-removal"
"""An empty file of this name in `jobs/active`: a person means it when many manifests are gone at once."""

# NAME_MAX of Linux; a longer name cannot exist there and is not worth a row in the database.
_NAME_BYTES_MAX = 255


def is_manifest_name(name: str) -> bool:
    """Tell whether a file of this name, directly in `jobs/active`, is read as a manifest."""
    return _is_visible(name) and _CONFLICT not in name


def is_conflict_copy(name: str) -> bool:
    """Tell whether Syncthing kept a losing version under this name, directly in `jobs/active`."""
    return original_name(name) is not None


def original_name(copy: str) -> str | None:
    """The name of the manifest that a conflict copy is another version of; None for a name of another kind."""
    if not _is_visible(copy) or _CONFLICT not in copy:
        return None
    return copy.partition(_CONFLICT)[0] + next(suffix for suffix in _SUFFIXES if copy.endswith(suffix))


def _is_visible(name: str) -> bool:
    return name.endswith(_SUFFIXES) and not name.startswith(_IGNORED) and _is_plain(name)


def _is_plain(name: str) -> bool:
    """Tell whether the name is UTF-8 without control characters: it goes into logs, conditions and the database."""
    try:
        encoded = name.encode()
    except UnicodeEncodeError:
        return False
    return len(encoded) <= _NAME_BYTES_MAX and name.isprintable() and "/" not in name
