"""A person saves manifests in every way while the real daemon writes its status into them all the time.

More rounds by RECONCILER_TEST_ROUNDS=100.
"""

import os
import random
import re
import subprocess
from contextlib import contextmanager
from time import monotonic

from e2e.rig import command, run
from ways_of_saving import WAYS

from reconciler.manifests.splice import SpliceRefusedError, without_status

ROUNDS = int(os.environ.get("RECONCILER_TEST_ROUNDS", "12"))

# Status at every change of a job, and a job that fails and is tried again several times a second.
CONFIGURATION = """\
status: {interval_seconds: 0}
retry: {interval_seconds: 0.1, max_interval_seconds: 0.2, limit: 1000}
mesh: {overlay: {enabled: false}}
"""

# Nobody listens on port 1.
MANIFEST = """\
# A person's words: save -1
manifest_version: "1.0"
job_id: 01HRQ4GSX9K47J7M5FK7VW8B{number:02}
job_type: multi_source
labels: {{save: "-1"}}
spec:
  target_dir: library
  files:
    - {{path: a.bin, size: 10, sha256: {sha256}, sources: [{{url: "http://127.0.0.1:1/a.bin"}}]}}
"""

# From the kernel's word of a save to the pass over it the daemon waits 0.3 s; a pass that was put off comes later.
PICKED_UP_S_MAX = 60.0


def test_no_edit_is_lost_while_the_daemon_writes_its_status(tmp_path):
    """Each save, of whatever kind and at whatever moment, stands in the file until the next one, byte for byte."""
    root, state = tmp_path / "root", tmp_path / "state"
    run("init", "--root", root, check=0)
    (root / "reconciler.yml").write_text(CONFIGURATION)
    desks = [Desk(root, way, number) for number, way in enumerate(WAYS)]
    dice = random.Random(7)
    with daemon(root, state) as process:
        for desk in desks:
            desk.until_status(process)
        for number in range(ROUNDS):
            for desk in dice.sample(desks, k=len(desks)):
                desk.check()
                desk.save(number)
                # Come at any moment of a pass: between none and some thousand looks at the files.
                for _ in range(dice.randrange(2000)):
                    for other in desks:
                        other.watch()
        for desk in desks:
            desk.check()
            desk.until_status(process, saved=ROUNDS - 1)
        before = [desk.way for desk in desks if not desk.writes]
    for desk in desks:
        print(f"{desk.way}: {ROUNDS} saves, {desk.lost} lost, {len(desk.writes)} writes of the daemon seen")
    assert [desk.lost for desk in desks] == [0] * len(desks)
    assert before == [], "the daemon wrote nothing here"
    left = sorted(path.name for path in (root / "jobs" / "active").iterdir())
    assert left == sorted(desk.path.name for desk in desks)


@contextmanager
def daemon(root, state):
    """The daemon over a root folder, as a process that is stopped in order."""
    words = command("run", "--root", root, "--state", state)
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.terminate()
    assert process.returncode == 0


class Desk:
    """One manifest, and a person who saves it in one way."""

    def __init__(self, root, way, number):
        self.way = way
        self.path = root / "jobs" / "active" / f"{way.replace(' ', '-')}.yml"
        self.text = MANIFEST.format(number=number, sha256=f"{number:064x}").encode()
        self.path.write_bytes(self.text)
        self.lost = 0
        self.writes = set()

    def save(self, number):
        """Change a comment and a label of what stands there, its status included, and save the whole."""
        # The editor reads the file first, as a person does who was asked; by now its status may be an older one.
        if self._theirs() == without_status(self.text):
            self.text = self._read() or self.text
        self.text = re.sub(rb"save -?\d+", b"save %d" % number, self.text)
        self.text = re.sub(rb'save: "-?\d+"', b'save: "%d"' % number, self.text)
        WAYS[self.way](self.path, self.text)

    def check(self):
        """See the last save in the file; it may be displaced this moment, and then comes back."""
        until = monotonic() + PICKED_UP_S_MAX
        while monotonic() < until:
            if self._theirs() == without_status(self.text):
                return
        self.lost += 1

    def watch(self):
        """Note which writes of the daemon can be seen: a status that no save brought."""
        block = self._read().partition(b"\nstatus:")[2]
        if block and block not in self.text:
            self.writes.add(block)

    def until_status(self, process, saved=-1):
        """Wait until the daemon has written a status behind this save."""
        until = monotonic() + PICKED_UP_S_MAX
        while monotonic() < until and process.poll() is None:
            data = self._read()
            if b"\nstatus:" in data and b"observed_generation" in data and b"save %d\n" % saved in data:
                return
        raise AssertionError(f"{self.path.name} has no status: {self._read().decode()}")

    def _theirs(self):
        try:
            return without_status(self._read())
        except SpliceRefusedError:
            return b""

    def _read(self):
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return b""
