"""Two machines share a root's jobs through real Syncthing while the daemon of one of them works."""

import contextlib
import random
import re
import subprocess

import pytest
from e2e.rig import command, eventually, peer, run, stock
from e2e.syncthing_pair import make_pair

from reconciler.errors import NotFoundError, StateDamagedError
from reconciler.ids import JobId
from reconciler.manifests.files import read_file
from reconciler.manifests.read import read_manifest
from reconciler.state.database import Database
from reconciler.state.jobs import JobStore
from reconciler.traces.reading import TraceReader

pytestmark = pytest.mark.package("syncthing")

JOB, SECOND = "01HRQ4GSX9K47J7M5FK7VW8B12", "01HRQ4GSX9K47J7M5FK7VW8B13"
EDITS = 12
FILE_BYTES = 120_000
# 0.8 s a file at the peer's pace: two minutes of work, longer than all edits take; the last edit cuts it short.
PEER_KBPS = 1_200
NAMES = [f"{number:03}.bin" for number in range(150)]
KEPT = NAMES[:5]

MANIFEST = """\
manifest_version: "1.0"
job_id: {job}
created_at: 2025-12-10T15:30:00Z
job_type: multi_source
labels: {{edit: "0"}}
spec:
  target_dir: library
  files:
{files}
"""
FILE = "    - {{path: {name}, size: {size}, root: {root}, sources: [{{overlay: {address}}}]}}"


class World:
    """A daemon over a root folder whose jobs another machine has, too."""

    def __init__(self, folder, address, held):
        self.root, self.state = folder / "root", folder / "state"
        self.there = folder / "other"
        self._address, self._held = address, held

    def manifest(self, job, names):
        files = [FILE.format(name=n, size=FILE_BYTES, root=self._held[n].root, address=self._address) for n in names]
        return MANIFEST.format(job=job, files="\n".join(files))

    @contextlib.contextmanager
    def daemon(self):
        log = (self.root.parent / "daemon.txt").open("ab")
        words = command("run", "--root", self.root, "--state", self.state)
        with log, subprocess.Popen(words, stdout=log, stderr=log) as process:
            try:
                eventually(self.has_started, "the daemon has started")
                yield
            finally:
                process.terminate()

    def has_started(self):
        """Whether the daemon has made its database whole."""
        with contextlib.suppress(NotFoundError, StateDamagedError), self.database():
            return True
        return False

    def database(self):
        return contextlib.closing(Database.open_read_only(self.state / "reconciler.db"))

    def record(self, job):
        with self.database() as database:
            return JobStore(database).get(JobId(job))

    def events(self, job):
        with self.database() as database:
            return [event.type for event in TraceReader(database).events(JobId(job))]

    def is_completed(self, job):
        record = self.record(job)
        return record is not None and record.completed_at

    def tracks_published(self, job):
        """Those that got their names; what is found under its name after an edit is adopted, and told as that."""
        with self.database() as database:
            events = TraceReader(database).events(JobId(job))
        told = [event for event in events if event.type == "TrackComplete" and event.action != "adopted"]
        return sorted(int(event.track_id) for event in told)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A root, and a peer that is slow enough to be edited under: one file after the other, at 150 kB/s."""
    folder = tmp_path_factory.mktemp("syncthing")
    run("init", "--root", folder / "root", "--syncthing", check=0)
    # More often than the default of 15 s: the more writes, the more chances to lose an edit.
    (folder / "root" / "reconciler.yml").write_text("status: {interval_seconds: 2}\n")
    dice = random.Random(3)
    held = {}
    (folder / "originals").mkdir()
    for name in NAMES:
        path = folder / "originals" / name
        path.write_bytes(dice.randbytes(FILE_BYTES))
        held[name] = stock(folder / "peer", path)
    with peer(folder / "peer", upload_kbps=PEER_KBPS) as address:
        yield World(folder, address, held)


@pytest.fixture(scope="module")
def pair(world):
    """Two Syncthing instances: one on the daemon's root, one on another machine."""
    return make_pair(world.root.parent, world.root / "jobs", world.there)


def labels_in(path):
    """The edits that a copy of the manifest has; None while it cannot be read."""
    try:
        manifest = read_manifest(read_file(path).data).manifest
    except Exception:  # noqa: BLE001 - half of a transfer, or between two names
        return None
    return None if manifest is None else manifest.labels


def save(path, text):
    """Save as most editors do: beside, then over it."""
    draft = path.with_name(f".{path.name}.swp")
    draft.write_text(text)
    draft.replace(path)


def test_edits_on_another_machine_are_seen_and_none_is_lost(world, pair):
    """Twelve edits there while the daemon here writes status: each is acted on, all are in both copies at the end."""
    here, there = pair
    away = there.shared / "active" / "wish.yml"
    with here.running(), there.running(), world.daemon():
        eventually(here.is_connected, "the two are connected")
        (here.shared / "active" / "wish.yml").write_text(world.manifest(JOB, NAMES))
        eventually(lambda: world.record(JOB), "the daemon has the job")
        eventually(away.exists, "the manifest is on the other machine")
        for number in range(1, EDITS + 1):
            edit_there(world, away, number)
        assert world.record(JOB).generation == EDITS + 1
        assert world.record(JOB).completed_at is None, "the edits came while the daemon worked"
        save(away, eventually(lambda: shortened(away), "a readable copy to shorten"))
        eventually(lambda: world.is_completed(JOB), "the job completes")
        for copies in (here.shared, there.shared):
            assert set(labels_in(moved(copies, "wish.yml"))) == {"edit", *(f"e{n}" for n in range(1, EDITS + 1))}
    assert "program error" not in (world.root.parent / "daemon.txt").read_text()
    # Those that were done before the last edit are not wanted by it, and none was fetched twice.
    assert world.tracks_published(JOB) == sorted(set(world.tracks_published(JOB)))
    assert world.events(JOB).count("JobComplete") == 1


def test_a_move_to_completed_never_runs_a_job_twice(world, pair):
    """The manifest comes back from a machine that edited it while the job was completed here: nothing is fetched."""
    here, there = pair
    away = there.shared / "active" / "second.yml"
    with here.running(), world.daemon():
        with there.running():
            (here.shared / "active" / "second.yml").write_text(world.manifest(SECOND, NAMES[-10:]))
            eventually(away.exists, "the manifest is on the other machine")
        save(away, away.read_text() + "# from afar\n")
        eventually(lambda: world.is_completed(SECOND), "the job completes")
        eventually(lambda: not (here.shared / "active" / "second.yml").exists(), "the manifest is moved")
        done = world.events(SECOND)
        with there.running():
            eventually(lambda: any("# from afar" in text for text in texts_below(here.shared)), "the edit arrives")
            eventually(lambda: is_settled(here.shared / "active" / "second.yml"), "the daemon has looked at it")
    run("run", "--once", "--root", world.root, "--state", world.state)
    assert world.events(SECOND) == done
    assert done.count("JobComplete") == 1
    assert done.count("TrackComplete") == 10


def texts_below(folder):
    """The manifests of a copy, and Syncthing's conflict copies."""
    for path in folder.glob("*/second*.yml"):
        with contextlib.suppress(FileNotFoundError):
            yield path.read_text()


def is_settled(path):
    """Whether a manifest of a completed job has been moved again, or refused."""
    with contextlib.suppress(FileNotFoundError):
        return "AlreadyCompleted" in path.read_text()
    return True


def shortened(path):
    """The text with fewer files; None while the copy is not whole."""
    if labels_in(path) is None:
        return None
    lines = path.read_text().splitlines(keepends=True)
    return "".join(line for line in lines if "{path: " not in line or any(f"path: {name}," in line for name in KEPT))


def edit_there(world, path, number):
    """One edit on the other machine, as an editor saves it; returns when the daemon has acted on it."""
    before = world.record(JOB).generation
    text = eventually(lambda: edited(path, number), f"a readable copy for edit {number}")
    save(path, text)
    eventually(lambda: world.record(JOB).generation > before, f"edit {number} is seen")


def edited(path, number):
    """The text with one more edit in it; None while the copy is not whole. Every earlier edit must still be there."""
    labels = labels_in(path)
    if labels is None:
        return None
    missing = [f"e{each}" for each in range(1, number) if f"e{each}" not in labels]
    assert not missing, f"lost before edit {number}: {missing}"
    text = path.read_text()
    return re.sub(r"^labels: \{(.*)\}$", rf'labels: {{\1, e{number}: "x"}}', text, flags=re.MULTILINE)


def moved(copies, name):
    """Wait until a copy of the folder has the manifest in `completed` alone; gives its path there."""
    done = copies / "completed" / name
    eventually(done.exists, f"{done} is there")
    eventually(lambda: not (copies / "active" / name).exists(), f"{copies} has {name} in one place")
    return done
