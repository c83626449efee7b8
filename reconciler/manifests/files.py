"""Manifests on a disk that editors, git and Syncthing write, too: the door to all that is done there.

Owns: which of it the rest of the program may use. Never: does any: reading is manifests.snapshot, writing
manifests.exchange, moving manifests.moving, mending what a crash left manifests.recovery.
"""

from reconciler.manifests.exchange import FallBack, Rewritten, rewrite
from reconciler.manifests.filesystem import file_system_of
from reconciler.manifests.making import make_new
from reconciler.manifests.moving import move_into, moved_earlier
from reconciler.manifests.recovery import recover_displaced
from reconciler.manifests.renaming import NotSupportedHereError
from reconciler.manifests.snapshot import FileSnapshot, Fingerprint, is_open_in_editor, read_file, read_input

__all__ = [
    "FallBack",
    "FileSnapshot",
    "Fingerprint",
    "NotSupportedHereError",
    "Rewritten",
    "file_system_of",
    "is_open_in_editor",
    "make_new",
    "move_into",
    "moved_earlier",
    "read_file",
    "read_input",
    "recover_displaced",
    "rewrite",
]
