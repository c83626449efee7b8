"""What one job learns of a peer, the next one knows: over real overlay peers, through real daemons."""

import json
import random
import signal
import subprocess
from contextlib import contextmanager

import pytest
from e2e.rig import command, eventually, peer, run, stock

from reconciler.overlay.merkle import chunk_size
from reconciler.state.database import Database

SIZE = 3_000_000
MANIFEST = """\
manifest_version: "1.0"
job_id: {job}
created_at: 2025-12-10T15:30:00Z
job_type: multi_source
spec:
  target_dir: library
  files:
    - path: {name}
      size: {size}
      root: {root}
      sources: [{sources}]
"""


def job_id(number):
    """The id of a job."""
    return f"01HRQ4GSX9K47J7M5FK7VW8B{number:02}"


class Folder:
    """A root folder, three files that can be wanted, and the stocks of an honest peer and a liar."""

    def __init__(self, folder, *, size=SIZE):
        self.root, self.state, self.size = folder / "root", folder / "state", size
        self.where = ("--root", self.root, "--state", self.state)
        self.honest, self.liar = folder / "honest", folder / "liar"
        self.roots = [self._file(folder / f"{number}.bin", number) for number in range(3)]
        run("init", "--root", self.root, check=0)

    def _file(self, path, seed):
        path.write_bytes(random.Random(seed).randbytes(self.size))
        held = stock(self.honest, path)
        stock(self.liar, path)
        wrong = path.with_suffix(".wrong")
        wrong.write_bytes(bytes(self.size))
        found = wrong.stat()
        database = Database.open(self.liar / "reconciler.db")
        row = (str(wrong), found.st_dev, found.st_ino, found.st_mtime_ns, held.root)
        change = "UPDATE holdings SET path = ?, device = ?, inode = ?, mtime_ns = ? WHERE root = ?"
        database.write(lambda connection: connection.execute(change, row)).result()
        database.close()
        return held.root

    def want(self, number, *addresses):
        """Write a manifest that names these peers as sources."""
        sources = ", ".join(f'{{overlay: "{address}"}}' for address in addresses)
        values = {"job": job_id(number), "name": f"{number}.bin", "size": self.size, "sources": sources}
        text = MANIFEST.format(root=self.roots[number], **values)
        (self.root / "jobs" / "active" / f"{number}.yml").write_text(text)

    def events(self, number):
        """The trace of a job."""
        told = run("job", "trace", job_id(number), "--events", "--json", *self.where, check=0).stdout
        return json.loads(told)

    def peers(self):
        """What `reconciler peers` knows, by name."""
        return {each["name"]: each for each in json.loads(run("peers", "--json", *self.where, check=0).stdout)}


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


@contextmanager
def daemon(*where):
    """Run a daemon beside the block; it is killed, not asked, at its end."""
    with subprocess.Popen(command("run", *where), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.send_signal(signal.SIGKILL)


def asked(events):
    """Who was asked for how many bytes."""
    found = {}
    for event in events:
        if event["type"] == "ChunkRequested":
            found[event["peer_id"]] = found.get(event["peer_id"], 0) + event["metadata"]["bytes"]
    return found


def test_a_liar_costs_one_chunk_once_and_a_person_may_forgive_it(folder):
    """The first job bans it, the second does not ask it; after `peers forget` it is asked for one more, and banned."""
    with peer(folder.honest) as honest, peer(folder.liar) as liar:
        good, bad = honest.partition("@")[0], liar.partition("@")[0]
        folder.want(0, liar)
        run("run", "--once", *folder.where, check=3)
        assert asked(folder.events(0)) == {bad: chunk_size(SIZE)}
        assert folder.peers()[bad]["banned"]
        assert folder.peers()[bad]["chunks_refused"] == 1
        folder.want(1, liar, honest)
        run("run", "--once", *folder.where)
        assert set(asked(folder.events(1))) == {good}
        assert (folder.root / "library" / "1.bin").stat().st_size == SIZE
        assert folder.peers()[good]["chunks_good"] > 10
        run("peers", "forget", f"overlay:{bad[:12]}", *folder.where, check=0)
        assert bad not in folder.peers()
        folder.want(2, liar)
        run("run", "--once", *folder.where, check=3)
        # The first job is tried again beside the third: one of them asks, the other hears of it.
        assert asked([*folder.events(0), *folder.events(2)]) == {bad: 2 * chunk_size(SIZE)}
        assert folder.peers()[bad]["strikes"] == 1


def test_kill_9_keeps_what_was_written_and_a_pardon_beside_the_daemon_holds(tmp_path):
    """The end of a job writes a batch; what a person forgets beside a running daemon is not written back."""
    folder = Folder(tmp_path)
    # A megabyte a second: three seconds in which the liar is surely asked.
    with peer(folder.honest, upload_kbps=8000) as honest, peer(folder.liar) as liar:
        good, bad = honest.partition("@")[0], liar.partition("@")[0]
        with daemon(*folder.where):
            folder.want(0, liar, honest)
            published = folder.root / "library" / "0.bin"
            eventually(published.exists, "the honest peer brings it")
            eventually(lambda: good in folder.peers(), "the batch at the job's end")
        before = folder.peers()
        assert before[bad]["banned"]
        assert before[good]["throughput_bytes_per_s"] > 0
        with daemon(*folder.where):
            run("peers", "forget", f"overlay:{bad}", *folder.where, check=0)
            folder.want(1, honest)
            eventually((folder.root / "library" / "1.bin").exists, "the next job")
            eventually(lambda: folder.peers()[good]["chunks_good"] > before[good]["chunks_good"], "its batch")
        assert bad not in folder.peers()
