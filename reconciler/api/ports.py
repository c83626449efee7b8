"""Who listens at a port of this machine.

Owns: asking the kernel. Never: fails: what cannot be seen is not said.
"""

import os
from pathlib import Path

_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_LISTENING = "0A"


def holder_of(port: int) -> str:
    """The id and name of the process that listens at `port`, such as `4711, nginx`; empty where it cannot be seen."""
    sockets = {f"socket:[{inode}]" for table in _TABLES for inode in _listening(table, port)}
    for descriptors in Path("/proc").glob("[0-9]*/fd") if sockets else ():
        try:
            with os.scandir(descriptors) as entries:
                found = any(str(Path(each).readlink()) in sockets for each in entries)
            if found:
                process = descriptors.parent
                return f"{process.name}, {(process / 'comm').read_text(encoding='utf-8', errors='replace').strip()}"
        except OSError:
            continue  # another user's process, or one that ended meanwhile
    return ""


def _listening(table: Path, port: int) -> list[str]:
    """The inodes of the sockets that listen at a port; the columns are those of proc_pid_net(5)."""
    try:
        lines = [line.split() for line in table.read_text(encoding="ascii").splitlines()[1:]]
    except OSError:
        return []
    return [words[9] for words in lines if words[3] == _LISTENING and int(words[1].rpartition(":")[2], 16) == port]
