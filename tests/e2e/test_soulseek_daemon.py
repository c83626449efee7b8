"""The whole walk over Soulseek: a manifest with titles, a stranger's folder, verified files under their names."""

import json
import os

import pytest
from rig import events_of, run
from soulseek_rig import Nicotine, nicotine_folder
from soulseek_server import SoulseekServer

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
"""


@pytest.fixture
def server():
    server = SoulseekServer(passwords={"us": "secret"})
    yield server
    server.close()


def test_an_album_comes_from_a_stranger(tmp_path, tmp_path_factory, server):
    """Searched for once, taken from one folder, decoded and published; each file is what the stranger has."""
    shared = tmp_path / "shared" / ARTIST / f"{ARTIST} - {ALBUM} (2001)"
    made = make_album(shared, tracks=2, seconds=12.0, seed=5)
    lines = [
        f"    - {{position: {track.position}, title: {track.title}, mb_recording_id: {track.recording},"
        f" duration_ms: {track.duration_ms}}}"
        for track in made
    ]
    password = tmp_path / "password"
    password.write_text("secret\n")
    password.chmod(0o600)
    root, state = tmp_path / "root", tmp_path / "state"
    (root / "jobs" / "active").mkdir(parents=True)
    (root / "library").mkdir()
    (root / "jobs" / "active" / "loud.yml").write_text(
        MANIFEST.format(artist=ARTIST, album=ALBUM, tracks="\n".join(lines))
    )
    (root / "reconciler.yml").write_text(CONFIGURATION.format(port=server.port, password=password))
    installed = nicotine_folder(tmp_path_factory)
    nicotine = Nicotine(
        installed,
        tmp_path / "nicotine",
        server,
        name="stranger",
        port=25_000 + os.getpid() % 5000,
        shared=tmp_path / "shared",
    )
    try:
        done = run("run", "--once", "--root", root, "--state", state)
    finally:
        nicotine.close()
    assert done.returncode == 0, done.stdout + done.stderr
    published = sorted((root / "library").rglob("*.flac"))
    assert [each.read_bytes() for each in published] == [track.path.read_bytes() for track in made]
    assert (root / "jobs" / "completed" / "loud.yml").exists()
    events = events_of(root, state)
    assert {each.source for each in events if each.bytes_transferred} == {"soulseek"}
    assert len(server.searches) == 1
    assert "secret" not in json.dumps([each.metadata for each in events]) + done.stderr
