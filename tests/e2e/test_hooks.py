"""A program is told of a tagged album, by a real daemon."""

import json
import sys

from e2e.rig import peer, run, stock
from mutagen.flac import FLAC

from reconciler.library.synthesis import make_album

MANIFEST = """\
manifest_version: "1.0"
job_id: 01HRQ4GSX9K47J7M5FK7VW8B12
job_type: mb_release
spec:
  mb_release_id: 5b11f4ce-a62d-471e-81fc-a69a8278c7da
  artist: Somebody
  title: "--help"
  target_dir: library
  tracks:
  - {{position: 1, title: One, mb_recording_id: {recording}}}
"""

# What the program is told, and what it finds there.
PROGRAM = "import json, os, sys; print(json.dumps([sys.argv[1:], sorted(os.listdir(sys.argv[1]))]))"


def test_a_program_finds_the_whole_album(tmp_path):
    """When it runs, the files are there with their tags; its words are kept."""
    (track,) = make_album(tmp_path / "album", tracks=1, seconds=3.0, seed=5)
    stock(tmp_path / "peer", track.path, recording=track.recording)
    root, state = tmp_path / "root", tmp_path / "state"
    run("init", "--root", root, check=0)
    (root / "jobs" / "active" / "mine.yml").write_text(MANIFEST.format(recording=track.recording))
    line = [sys.executable, "-I", "-c", PROGRAM, "{path}", "--album={album}"]
    with peer(tmp_path / "peer") as address:
        settings = {
            "mesh": {"overlay": {"peers": [address]}},
            "hooks": {"on_completed": line},
            "library": {"write_tags": True},
        }
        (root / "reconciler.yml").write_text(json.dumps(settings))
        run("run", "--once", "--root", root, "--state", state, check=0)
    (told,) = json.loads(run("hooks", "--json", "--root", root, "--state", state, check=0).stdout)
    assert (told["state"], told["tries"], told["event"]) == ("delivered", 1, "job.completed")
    arguments, files = json.loads(told["result"].removeprefix("exit status 0: "))
    assert arguments == [str(root / "library" / "Somebody" / "_-help"), "--album=--help"]
    assert files == ["01 One.flac"]
    tags = FLAC(root / "library" / "Somebody" / "_-help" / "01 One.flac")
    assert (tags["title"], tags["album"]) == (["One"], ["--help"])
    assert tags["musicbrainz_albumid"] == ["5b11f4ce-a62d-471e-81fc-a69a8278c7da"]
    assert tags["musicbrainz_trackid"] == [track.recording]
