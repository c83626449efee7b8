"""Editors that save while a daemon writes the same file as fast as it can: no save is lost.

Each of four ways of saving meets each daemon so many times; RECONCILER_TEST_SAVES=500, as CI has it, makes it 2,000
saves against each of the first three.
"""

import os
import random
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from ways_of_saving import WAYS

SOURCE = Path(__file__).parents[3]

SAVES_A_WAY = int(os.environ.get("RECONCILER_TEST_SAVES", "50"))

# A daemon that rewrites a file without a pause until its input closes, with its count of writes behind what it finds.
DAEMON = r"""
import errno, os, re, select, sys
from pathlib import Path
from reconciler.errors import FileBusyError
from reconciler.manifests import exchange, kernel, renaming
from reconciler.manifests.files import rewrite

def no_flag(*_arguments):
    raise renaming.NotSupportedHereError("no such flag")

def only_without_replacing(source, at, target, to, flags, real=renaming._renameat2):
    if flags == renaming._RENAME_EXCHANGE:
        no_flag()
    real(source, at, target, to, flags)

path, kind, writes, changes, fall_backs = Path(sys.argv[1]), sys.argv[2], 0, 0, set()
if kind != "durable":
    os.fsync = lambda _fd: None
if kind == "fast":
    exchange.step_mtime = lambda *_arguments, **_named: 0
if kind == "aside":
    renaming._renameat2 = only_without_replacing
if kind == "links":
    renaming._renameat2 = no_flag
if kind == "leaseless":
    kernel._lease = lambda _fd: False

def change(data):
    global changes
    changes += 1
    return re.sub(rb"writes: .*\n", b"", data) + b"writes: %d\n" % (writes + 1)

while not select.select([sys.stdin], [], [], 0)[0]:
    try:
        fall_backs |= rewrite(path, change).fall_backs
    except FileBusyError:
        continue
    writes += 1
print(writes, changes, *sorted(fall_back.name for fall_back in fall_backs))
"""

# A way of writing, how many saves it meets, and the fall-backs that it must have taken.
DAEMONS = {
    # Neither fsync nor a step of the mtime: the most writes, and so the most that can come in between.
    "fast": (SAVES_A_WAY, []),
    "durable": (SAVES_A_WAY, []),
    "aside": (SAVES_A_WAY, ["MOVED_ASIDE"]),
    "links": (SAVES_A_WAY // 4, ["MOVED_ASIDE"]),
    # Each write watches for 0.1 s.
    "leaseless": (max(SAVES_A_WAY // 40, 3), ["SETTLED"]),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", DAEMONS)
def test_no_save_is_lost_while_the_daemon_writes_as_fast_as_it_can(tmp_path: Path, kind: str, way: str):
    """Each save of an editor is found below a later write, however the editor saves and the daemon must write."""
    path = tmp_path / "loveless.yml"
    path.write_bytes(b"save: -1\n")
    saves, fall_backs = DAEMONS[kind]
    command = [sys.executable, "-c", DAEMON, str(path), kind]
    with subprocess.Popen(command, cwd=SOURCE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as daemon:
        lost, dice = [], random.Random(7)
        for number in range(saves):
            # Come at any moment of the daemon's write, which takes as long as some hundred looks.
            for _ in range(dice.randrange(1000)):
                os.access(path, os.R_OK)
            WAYS[way](path, b"save: %d\n" % number + b"# text\n" * 40)
            kept = _kept(path, number, daemon)
            if kept != number:
                lost.append((number, kept))
        said, _ = daemon.communicate()
    assert daemon.returncode == 0
    written, changed, *taken = said.split()
    again = int(changed) - int(written)
    print(f"{kind}, {way}: {written} writes, {again} begun again, {len(lost)} of {saves} saves lost")
    assert lost == []
    assert taken == fall_backs
    assert [left.name for left in tmp_path.iterdir()] == ["loveless.yml"]


# For a moment the file shows an older save, while the newer one is displaced; one that is lost does not come back.
WRITES_UNTIL_LOST = 20


def _kept(path: Path, number: int, daemon: subprocess.Popen[str]) -> int:
    """The save that the daemon writes behind: this one, or another one still after so many writes more."""
    last = -1
    while daemon.poll() is None:
        with suppress(FileNotFoundError):
            found = re.search(rb"\Asave: (-?\d+)\n[^w]*writes: (\d+)\n\Z", path.read_bytes())
            if found:
                last = int(found[2]) + WRITES_UNTIL_LOST if last < 0 else last
                if int(found[1]) == number or int(found[2]) >= last:
                    return int(found[1])
    pytest.fail("the daemon has ended")
