"""`job suspend|resume|retry|cancel` under a running daemon, and the status that is kept in git meanwhile."""

import contextlib
import json
import subprocess

from e2e.rig import command, eventually, run

JOB = "01HRQ4GSX9K47J7M5FK7VW8B12"
MANIFEST = f"""\
# mine, to the last   space
manifest_version: "1.0"
job_id: {JOB}
created_at: 2025-12-10T15:30:00Z
job_type: mb_release
spec:
    mb_release_id: c0d0c0a4-4a26-4d74-9c02-67c9321b3b22
    target_dir: library
    tracks:
    - {{position: 1, title: A, mb_recording_id: e2f5e9b4-5852-4cd3-b1f9-29a7a4a234bc}}
"""


def test_a_running_daemon_does_what_the_commands_write(tmp_path):
    """Rest, go on, try again, end: each is one line in the file, and what the daemon does follows within a moment."""
    root, where = tmp_path / "root", ("--root", tmp_path / "root", "--state", tmp_path / "state")
    run("init", "--root", root, check=0)
    for words in (("init", "--quiet"), ("config", "user.name", "A"), ("config", "user.email", "a@example.org")):
        subprocess.run(["git", "-C", root, *words], check=True)
    (root / "reconciler.yml").write_text(
        "git: {status_ref: true}\nnode: {name: my nas}\nstatus: {interval_seconds: 0}\n"
    )
    manifest = root / "jobs" / "active" / "wish.yml"
    manifest.write_text(MANIFEST)

    def explained():
        done = run("job", "explain", JOB, "--json", *where)
        return json.loads(done.stdout) if done.returncode == 0 else {"reason": "", "attempts": 0}

    with running(*where):
        eventually(lambda: explained()["reason"] == "Retrying", "nobody offers the track")
        run("job", "suspend", JOB, "--reason", "later", *where, check=0)
        eventually(lambda: "reason: Suspended" in manifest.read_text(), "the job rests")
        assert explained()["holds"] == [{"what": "suspended", "why": "later; until spec.suspend is taken out"}]
        run("job", "resume", JOB, *where, check=0)
        eventually(lambda: explained()["reason"] == "Retrying", "it goes on")
        attempts = explained()["attempts"]
        run("job", "retry", JOB, *where, check=0)
        eventually(lambda: "last_handled_reconcile_at" in manifest.read_text(), "the request is answered")
        eventually(lambda: explained()["attempts"] == 1, f"attempts are counted anew, after {attempts}")
        run("job", "cancel", JOB, *where, check=0)
        ended = root / "jobs" / "completed" / "wish.yml"
        eventually(ended.exists, "the manifest moves")
    assert "state: cancelled" in ended.read_text()
    assert ended.read_text().startswith(MANIFEST[: MANIFEST.index("job_type")])
    kept = subprocess.run(["git", "-C", root, "show", f"refs/reconciler/status/my-nas:{JOB}.yml"],
                          check=True, capture_output=True, text=True).stdout  # fmt: skip
    assert kept.startswith(f"job_id: {JOB}\npath: jobs/completed/wish.yml\nstatus:\n  state: cancelled\n")


@contextlib.contextmanager
def running(*where):
    """Run a daemon for the time of the block."""
    with subprocess.Popen(command("run", *where), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()
