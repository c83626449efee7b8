"""Files that a manifest names by Soulseek user and path: fetched from these users, one after the other, unsearched."""

import hashlib
import subprocess

import pytest
from e2e.rig import command, events_of, eventually, run
from overlay_world import content
from soulseek_rig import SoulseekRig, free_port, until
from soulseek_server import SoulseekServer

from reconciler.errors import NotFoundError, StateDamagedError
from reconciler.overlay.merkle import chunk_count

SIZE = 6_000_001
NAMES = ("one", "two")

MANIFEST = """\
manifest_version: "1.0"
job_type: multi_source
spec:
  target_dir: library
  files:
    - path: harbour.flac.bin
      size: {size}
      sha256: {sha256}
      sources:
        - soulseek: {{username: one, filename: '{path}'}}
        - soulseek: {{username: two, filename: '{path}'}}
"""

CONFIGURATION = """\
soulseek:
  enabled: {enabled}
  server: 127.0.0.1:{port}
  username: us
  password_file: {password}
"""


class Scene:
    """Two users who share a file, and a root folder whose manifest names them."""

    def __init__(self, folder, server):
        self.root, self.state, self.server = folder / "root", folder / "state", server
        self.where = ("--root", self.root, "--state", self.state)
        self.data = content(SIZE)
        music = folder / "music"
        music.mkdir()
        (music / "harbour song.bin").write_bytes(self.data)
        self.users = {name: self._user(folder / name, name, music) for name in NAMES}
        until(lambda: all(server.shared_files.get(name) for name in NAMES))
        (found,) = self.users["one"].search("harbour song")
        self.searches = len(server.searches)
        self.password = folder / "password"
        self.password.write_text("secret\n")
        self.password.chmod(0o600)
        (self.root / "jobs" / "active").mkdir(parents=True)
        (self.root / "library").mkdir()
        digest = hashlib.sha256(self.data).hexdigest()
        manifest = MANIFEST.format(size=SIZE, sha256=digest, path=found.path)
        (self.root / "jobs" / "active" / "harbour.yml").write_text(manifest)

    def _user(self, folder, name, music):
        listening = {"listen_host": "127.0.0.1", "listen_port": free_port()}
        # The first would take fifteen seconds: time enough to leave in the middle, however busy the machine is.
        shared = {"shared": (str(music),), "upload_bytes_per_s": 400_000 if name == NAMES[0] else 0}
        return SoulseekRig(folder, self.server, username=name, **listening, **shared).online()

    def configure(self, *, enabled):
        """The configuration; Soulseek is in it or not."""
        text = CONFIGURATION.format(enabled=str(enabled).lower(), port=self.server.port, password=self.password)
        (self.root / "reconciler.yml").write_text(text)

    def chunks(self):
        """The chunks that came so far."""
        try:
            return [each for each in events_of(self.root, self.state) if each.type == "ChunkReceived"]
        except (NotFoundError, StateDamagedError, ValueError):
            return []  # the daemon has just begun

    def close(self):
        for user in self.users.values():
            user.close()


@pytest.fixture
def scene(tmp_path):
    """Two users, a manifest, no daemon yet."""
    server = SoulseekServer(passwords={"us": "secret"})
    made = Scene(tmp_path, server)
    yield made
    made.close()
    server.close()


def test_named_users_bring_the_file_one_after_the_other(scene):
    """Held while Soulseek is off. Then from one user; when that one leaves, from the other, where the first ended."""
    scene.configure(enabled=False)
    held = run("run", "--once", *scene.where)
    assert held.returncode == 3, held.stdout + held.stderr
    said = (scene.root / "jobs" / "active" / "harbour.yml").read_text()
    assert "NeedsSoulseek" in said
    assert "soulseek.enabled is false" in said
    scene.configure(enabled=True)
    words = command("run", "--once", *scene.where)
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        eventually(scene.chunks, "some chunks came")
        scene.users["one"].close()
        output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    assert (scene.root / "library" / "harbour.flac.bin").read_bytes() == scene.data
    chunks = scene.chunks()
    givers = [each.peer_id for each in chunks]
    assert givers == sorted(givers)
    assert set(givers) == set(NAMES)
    assert [each.metadata["chunk"] for each in chunks] == list(range(chunk_count(SIZE))), "no chunk came twice"
    assert len(scene.server.searches) == scene.searches, "nobody was asked who has it"
