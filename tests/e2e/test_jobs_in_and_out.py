"""Jobs that move to another root folder, with real daemons on both sides."""

import json
import shutil
import subprocess

from e2e.rig import command, events_of, eventually, peer, run, stock

from reconciler.ids import JobId
from reconciler.library.synthesis import make_album
from reconciler.manifests.splice import without_status
from reconciler.traces.model import EventType

JOB = JobId("01HRQ4GSX9K47J7M5FK7VW8B12")
OTHER = JobId("01HRQ4GSX9K47J7M5FK7VW8B13")
HEAD = f"""\
# mine,  with care
manifest_version: "1.0"
job_id: {JOB}
created_at: 2025-12-10T15:30:00Z
job_type: mb_release
spec:
  mb_release_id: 5b11f4ce-a62d-471e-81fc-a69a8278c7da
  artist: Yes
  title: 4:02
  target_dir: library
  constraints: {{allow_lossy: false}}
  tracks:
"""


def test_a_job_that_moved_fetches_only_what_is_missing(tmp_path):
    """The status that came along counts for nothing: what is in the library is verified, the rest is fetched."""
    tracks = make_album(tmp_path / "album", tracks=2, seconds=3.0, seed=5)
    text = HEAD
    for track in tracks:
        stock(tmp_path / "peer", track.path, recording=track.recording)
        text += f"  - {{position: {track.position}, title: T{track.position}, mb_recording_id: {track.recording}}}\n"
    old, new = tmp_path / "old", tmp_path / "new"
    with peer(tmp_path / "peer") as address:
        for root in (old, new):
            run("init", "--root", root, check=0)
            (root / "reconciler.yml").write_text(f'mesh: {{overlay: {{peers: ["{address}"]}}}}\n')
        (old / "jobs" / "active" / "wish.yml").write_text(text)
        run("run", "--once", "--root", old, "--state", tmp_path / "old-state", check=0)
        run("job", "export", JOB, "--root", old, "--state", tmp_path / "old-state", check=0)
        exported = old / "jobs" / "exported" / "wish.yml"
        assert "state: completed" in exported.read_text()
        shutil.copytree(old / "library", new / "library", dirs_exist_ok=True)
        (missing,) = (new / "library").rglob("02*.flac")
        content = missing.read_bytes()
        missing.unlink()
        where = ("--root", new, "--state", tmp_path / "new-state")
        run("job", "import", "--manifest", exported, *where, check=0)
        run("run", "--once", *where, check=0)
    events = events_of(new, tmp_path / "new-state")
    complete = {event.track_id: event.action for event in events if event.type is EventType.TRACK_COMPLETE}
    assert complete == {"1": "adopted", "2": "published"}
    assert {event.track_id for event in events if event.type is EventType.CHUNK_RECEIVED} == {"2"}
    assert missing.read_bytes() == content
    again = run("job", "export", JOB, "--output", "-", *where, check=0).stdout.encode()
    assert without_status(again) == text.encode() == without_status(exported.read_bytes())


def test_a_running_daemon_takes_up_what_is_imported(tmp_path):
    """A folder with a bad file and an id that is taken: the others are jobs within a moment, and once."""
    root, folder = tmp_path / "root", tmp_path / "from"
    where = ("--root", root, "--state", tmp_path / "state")
    folder.mkdir()
    run("init", "--root", root, check=0)
    track = "  - {{position: 1, title: {}, mb_recording_id: e2f5e9b4-5852-4cd3-b1f9-29a7a4a234bc}}\n"
    (root / "jobs" / "active" / "mine.yml").write_text(HEAD + track.format("A"))
    (folder / "a.yml").write_text(HEAD + track.format("B"))
    (folder / "b.yml").write_text((HEAD + track.format("A")).replace("artist", "artits"))
    (folder / "c.yml").write_text((HEAD + track.format("A")).replace(JOB, OTHER))

    def jobs():
        done = run("status", "--json", *where)
        return {each["job_id"]: each for each in json.loads(done.stdout)} if done.returncode == 0 else {}

    with subprocess.Popen(command("run", *where), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as daemon:
        try:
            eventually(lambda: JOB in jobs(), "the daemon has the first job")
            told = run("job", "import", "--directory", folder, "--json", *where, check=3)
            taken, refused, free = json.loads(told.stdout)
            assert (taken["result"], refused["result"], free["result"]) == ("imported", "refused", "imported")
            assert taken["offered_id"] == JOB
            assert refused["problems"][0]["pointer"] == "spec.artits"
            wanted = {JOB, OTHER, taken["job_id"]}
            found = eventually(lambda: (there := jobs()).keys() == wanted and there, "all three are jobs")
            assert found[taken["job_id"]]["path"] == taken["path"]
            again = json.loads(run("job", "resume", "--from", folder, "--json", *where, check=3).stdout)
            assert [each["result"] for each in again] == ["unchanged", "refused", "unchanged"]
        finally:
            daemon.terminate()
