"""kill -9 at many moments of many lives: what is published is right, whole, told once, and fetched once.

CI kills 50 times, by RECONCILER_TEST_CRASHES; the moments are seeded, the machine decides what they hit.
"""

import hashlib
import os
import random
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from e2e.rig import command, events_of, eventually, is_running, journaled, lane_processes, run

from reconciler.cli.demo_scene import make_scene, running_peers

KILLS = int(os.environ.get("RECONCILER_TEST_CRASHES", "6"))

# From the first word in the session log on. The album takes some four seconds; a life that is longer than this most
# often gets further than one that was cut short before, so that every part of the way is met.
LIFE_S_MAX = 0.9
STEP_S = 0.01

EXIT_OF_THE_KILLED = -9


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """An album, its peers, and a root folder that asks for it: what every life begins with."""
    made = make_scene(tmp_path_factory.mktemp("scene"))
    with running_peers(made):
        yield made


class Lives:
    """One root folder, and daemons that live and die over it."""

    def __init__(self, scene, folder, publish):
        self.root, self.state = folder / "root", folder / "state"
        shutil.copytree(scene.root, self.root)
        with (self.root / "reconciler.yml").open("a") as settings:
            settings.write(f"library: {{publish: {publish}}}\n")
        self._originals = dict(zip(("1", "2", "3"), scene.originals.values(), strict=True))
        self._album = publish == "album"
        self._where = ("--root", self.root, "--state", self.state)
        self._kept = {}

    def cut_short(self, delay_s):
        """Live for a while after the first sign of life, then die; False where the job was done before."""
        logged, told = self._logged(), len(self._events())
        pipe = subprocess.DEVNULL
        with subprocess.Popen(command("run", "--once", *self._where), stdout=pipe, stderr=pipe) as process:
            lanes = []
            while process.poll() is None and self._logged() == logged:
                _wait(process, STEP_S)
            _wait(process, delay_s)
            if process.poll() is None:
                lanes = lane_processes(process.pid)
                process.kill()
            done = process.wait()
        assert done in (0, EXIT_OF_THE_KILLED), f"exit {done}"
        eventually(lambda: not any(map(is_running, lanes)), "the lane processes end with their daemon")
        self._look_back(told)
        return done == EXIT_OF_THE_KILLED

    def to_the_end(self):
        """Live until the job is done, and leave everything as it should be."""
        told = len(self._events())
        run("run", "--once", *self._where, check=0)
        self._look_back(told)
        assert len(self._published()) == len(self._originals)
        events = self._events()
        assert sorted(event.track_id for event in events if event.type == "TrackComplete") == list(self._originals)
        assert [event.action for event in events if event.type == "JobComplete"] == ["completed"]
        assert list((self.state / "parts").iterdir()) == []
        assert list((self.root / "library").rglob(".*")) == []
        assert [path.name for path in (self.root / "jobs" / "completed").glob("*.yml")] == ["demo.yml"]

    def _look_back(self, told):
        """What a life has done: nothing wrong is to be seen, and nothing was asked for that was there when it began."""
        published = self._published()
        assert set(published.values()) <= set(self._originals.values()), "a file under its name is not whole"
        assert not self._album or len(published) in (0, len(self._originals)), f"part of an album: {published}"
        for event in self._events()[told:]:
            if event.type == "ChunkRequested":
                asked = set(range(event.metadata["first"], event.metadata["last"] + 1))
                again = asked & self._kept.get(int(event.track_id), set())
                assert not again, f"track {event.track_id}: asked again for {again}"
        self._kept = journaled(self.state)

    def _published(self):
        """Every file that can be seen in the library, with its hash."""
        files = [path for path in (self.root / "library").rglob("*.flac") if not _is_hidden(path)]
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    def _logged(self):
        """How much the session logs hold."""
        return sum(log.stat().st_size for log in (self.root / "logs" / "sessions").glob("*.log"))

    def _events(self):
        return events_of(self.root, self.state) if self._logged() else []


def _is_hidden(path):
    return any(part.startswith(".") for part in path.parts)


def _wait(process, seconds):
    """Let a process run for so long at the most."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return


def live_and_die(scene, folder, publish, kills):
    """So many deaths, over as many jobs as they take; gives how many jobs there were."""
    chance = random.Random(f"{publish} 1991")
    jobs = 0
    while kills > 0:
        jobs += 1
        lives = Lives(scene, folder / f"job {jobs}", publish)
        while kills > 0 and lives.cut_short(chance.uniform(0.0, LIFE_S_MAX)):
            kills -= 1
        lives.to_the_end()
    return jobs


def test_kills_at_any_moment_tear_nothing_and_repeat_nothing(tmp_path: Path, scene):
    """Albums and single tracks side by side, half of the deaths each."""
    with ThreadPoolExecutor(2) as pool:
        runs = [
            pool.submit(live_and_die, scene, tmp_path / publish, publish, KILLS // 2) for publish in ("album", "track")
        ]
        assert min(each.result() for each in runs) > 0
