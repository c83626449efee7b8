"""An album from several Nicotine+ users: one leaves in the middle; all let us wait, and the overlay helps."""

import contextlib
import json
import re
import sqlite3
import subprocess

import pytest
from e2e.rig import command, events_of, eventually, peer, stock
from overlay_world import content
from soulseek_rig import Nicotine, SoulseekRig, free_port, nicotine_folder
from soulseek_server import SoulseekServer

from reconciler.engine.events import ChunkArrived
from reconciler.errors import NotFoundError, StateDamagedError
from reconciler.library.synthesis import ALBUM, ARTIST, make_album

MANIFEST = """\
manifest_version: "1.0"
job_type: mb_release
spec:
  mb_release_id: 1a2b3c4d-0000-4000-8000-000000000001
  artist: {artist}
  title: {album}
  target_dir: library
  tracks:
{tracks}
"""

CONFIGURATION = """\
soulseek:
  enabled: true
  server: 127.0.0.1:{port}
  username: us
  password_file: {password}
transfers:
  rescue_mode: {{max_queue_time_seconds: 3}}
mesh:
  overlay:
    peers: [{peers}]
"""


# What somebody else fetches meanwhile: more than a minute's worth of the highest limit of an only slot.
LONG_BYTES = 30_000_000


class Scene:
    """A root folder with an album that is wanted, users who share it, and the daemon as a process."""

    def __init__(self, folder, server, installed):
        self.folder, self.server, self.installed = folder, server, installed
        self.root, self.state = folder / "root", folder / "state"
        self.shared = folder / "shared"
        self.album = make_album(self.shared / ARTIST / f"{ARTIST} - {ALBUM} (2001)", tracks=3, seconds=8.0, seed=5)
        long = self.shared / "Somebody" / "A long set" / "01 long.mp3"
        long.parent.mkdir(parents=True)
        long.write_bytes(content(LONG_BYTES))
        (self.root / "jobs" / "active").mkdir(parents=True)
        (self.root / "library").mkdir()
        lines = [
            f"    - {{position: {track.position}, title: {track.title}, mb_recording_id: {track.recording},"
            f" duration_ms: {track.duration_ms}}}"
            for track in self.album
        ]
        manifest = MANIFEST.format(artist=ARTIST, album=ALBUM, tracks="\n".join(lines))
        (self.root / "jobs" / "active" / "loud.yml").write_text(manifest)
        self.password = folder / "password"
        self.password.write_text("secret\n")
        self.password.chmod(0o600)
        self.users = {}

    def start_users(self, count, **options):
        """So many users who share the album, started at once."""
        for number in range(count):
            name = f"user{number}"
            where = {"port": free_port(), "shared": self.shared}
            self.users[name] = Nicotine(self.installed, self.folder / name, self.server, name=name, **where, **options)
        for user in self.users.values():
            user.online()

    @contextlib.contextmanager
    def daemon(self, *peers):
        """`run --once`, until it ends by itself."""
        listed = ", ".join(f'"{each}"' for each in peers)
        configuration = CONFIGURATION.format(port=self.server.port, password=self.password, peers=listed)
        (self.root / "reconciler.yml").write_text(configuration)
        words = command("run", "--once", "--root", self.root, "--state", self.state)
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            try:
                yield process
            finally:
                process.kill()

    def events(self, *kinds):
        """The job's events so far, of these types."""
        try:
            found = events_of(self.root, self.state)
        except (NotFoundError, StateDamagedError, ValueError):
            return []  # the daemon has just begun
        return [each for each in found if not kinds or each.type in kinds]

    def published(self):
        """What stands in the library, by name order."""
        return [each.read_bytes() for each in sorted((self.root / "library").rglob("*.flac"))]

    def cancels(self):
        """Uploads of users that we ended early."""
        with contextlib.closing(sqlite3.connect(self.state / "reconciler.db")) as database:
            return database.execute("SELECT coalesce(sum(cancels), 0) FROM soulseek_users").fetchone()[0]

    def close(self):
        for user in self.users.values():
            user.close()


@pytest.fixture
def scene(tmp_path, tmp_path_factory):
    """A server, an album, and nobody yet."""
    server = SoulseekServer(passwords={"us": "secret"})
    made = Scene(tmp_path, server, nicotine_folder(tmp_path_factory))
    yield made
    made.close()
    server.close()


def test_a_user_who_leaves_in_the_middle_costs_nothing_that_was_there(scene):
    """Three users have it, one is killed at half a track: another goes on from there, with one cancel at most.

    Searched for once, taken from strangers, decoded and published; each file is what they have.
    """
    scene.start_users(3, limit_kib=250)
    with scene.daemon() as process:
        received = eventually(lambda: len(found := scene.events("ChunkReceived")) >= 3 and found, "some chunks came")
        scene.users[received[-1].peer_id].close()
        output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    assert scene.published() == [track.path.read_bytes() for track in scene.album]
    assert scene.cancels() <= 1
    chunks = [(each.track_id, each.metadata["chunk"]) for each in scene.events("ChunkReceived")]
    assert len(chunks) == len(set(chunks)), "no chunk came twice"
    assert {each.source for each in scene.events("ChunkReceived")} == {"soulseek"}
    assert (scene.root / "jobs" / "completed" / "loud.yml").exists()
    started = scene.events("TrackStart")
    assert all(re.match(r"score (0\.9\d|1\.00): .*artist: named", each.metadata["match"]) for each in started)
    assert len(scene.server.searches) == 1
    assert "secret" not in json.dumps([each.metadata for each in scene.events()]) + output


@contextlib.contextmanager
def taken_slot(scene):
    """Somebody else has the only slot of every user, and gives it back at the end."""
    others = []
    for name in scene.users:
        other = SoulseekRig(scene.folder / f"other of {name}", scene.server, username=f"other{name}").online()
        part, _ = other.attach(LONG_BYTES)
        other.read(name, "Music\\Somebody\\A long set\\01 long.mp3", LONG_BYTES, part=part)
        other.until_event(ChunkArrived)
        others.append(other)
    try:
        yield
    finally:
        for other in others:
            other.close()


def overlay_peer(scene, **options):
    """An overlay peer that holds the whole album."""
    for track in scene.album:
        stock(scene.folder / "peer", track.path, recording=track.recording)
    return peer(scene.folder / "peer", **options)


def test_users_who_all_let_us_wait_are_helped_by_the_overlay(scene):
    """The place in their line is told; after the longest wait the overlay brings the album."""
    scene.start_users(1, slots=1, limit_kib=150)
    with taken_slot(scene), overlay_peer(scene) as address, scene.daemon(address) as process:
        output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    assert scene.published() == [track.path.read_bytes() for track in scene.album]
    queued = [each for each in scene.events("PeerConnected") if each.action == "queued"]
    assert any(each.metadata.get("place") for each in queued)
    activated = [each for each in scene.events("RescueModeActivated") if each.action == "activated"]
    assert {each.metadata["reason"] for each in activated} == {"queued"}
    assert {each.source for each in scene.events("ChunkReceived")} == {"overlay"}


def test_a_user_whose_line_moves_ends_the_rescue(scene):
    """The overlay is slow, the slot becomes free meanwhile: the user's bytes end the rescue of that track."""
    scene.start_users(1, slots=1, limit_kib=400)
    with contextlib.ExitStack() as taken:
        taken.enter_context(taken_slot(scene))
        with overlay_peer(scene, upload_kbps=160) as address, scene.daemon(address) as process:
            eventually(lambda: scene.events("RescueModeActivated"), "the user lets us wait too long")
            taken.close()
            output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    assert scene.published() == [track.path.read_bytes() for track in scene.album]
    assert "recovered" in {each.action for each in scene.events("RescueModeDeactivated")}
