"""The examples do what their README says, step by step."""

import shutil
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from e2e.rig import peer, run

from reconciler.cli.demo_scene import make_scene
from reconciler.overlay.filehash import hash_file

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SERVED = EXAMPLES / "files" / "harbour-lights.flac"


@pytest.fixture
def root(tmp_path):
    """A copy of the example root, as the README tells one to make."""
    copy = Path(shutil.copytree(EXAMPLES / "root", tmp_path / "root"))
    run("init", "--root", copy, check=0)
    return copy


@contextmanager
def web_server():
    """Run serve.py on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = [sys.executable, str(EXAMPLES / "serve.py"), str(port)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert "Running on" in process.stdout.readline()
            yield port
        finally:
            process.send_signal(signal.SIGINT)


def test_the_examples_are_valid_and_name_the_served_bytes(root):
    """Nobody is taught a manifest with a mistake in it; size, hashes and chunk list are those of the file."""
    run("validate", "--root", root, check=0)
    manifest = (root / "jobs/active/harbour-lights.yml").read_text()
    with SERVED.open("rb") as file:
        hashes = hash_file(file.fileno(), SERVED.stat().st_size)
    assert f"size: {SERVED.stat().st_size}\n" in manifest
    assert f"root: {hashes.root}\n" in manifest
    assert f"sha256: {hashes.sha256}\n" in manifest
    assert SERVED.with_name(SERVED.name + ".chunks").read_bytes() == b"".join(hashes.chunk_hashes)


def test_the_web_server_gives_the_file_and_the_album_waits(root, tmp_path):
    """The first step: one manifest completes, the other has no peer, and the exit code says so."""
    manifest = root / "jobs/active/harbour-lights.yml"
    with web_server() as port:
        manifest.write_text(manifest.read_text().replace("127.0.0.1:8808", f"127.0.0.1:{port}"))
        run("run", "--once", "--root", root, "--state", tmp_path / "state", check=3)
    published = root / "library/The Loopbacks/Harbour Lights (single).flac"
    assert published.read_bytes() == SERVED.read_bytes()
    assert (root / "jobs/completed/harbour-lights.yml").is_file()
    assert (root / "jobs/active/nine-kinds-of-quiet.yml").is_file()


def test_a_demo_peer_has_what_the_album_asks_for(root, tmp_path):
    """The second step: the recordings of the manifest are those of the demo's album, and a peer's address is enough."""
    scene = make_scene(tmp_path / "demo")
    (root / "jobs/active/harbour-lights.yml").unlink()
    configuration = root / "reconciler.yml"
    with peer(tmp_path / "demo" / "fast" / "state") as address:
        configuration.write_text(configuration.read_text().replace("peers: []", f'peers: ["{address}"]'))
        run("run", "--once", "--root", root, "--state", tmp_path / "state", check=0)
    published = root / "library/The Loopbacks/Nine Kinds of Quiet"
    originals = {track.path.name: track.path.read_bytes() for track in scene.album}
    assert {path.name: path.read_bytes() for path in published.iterdir()} == originals
