"""Commands beside a daemon: they ask it where it answers, and do without it where it does not."""

import json

import pytest
from api_world import TOKEN, served
from click.testing import CliRunner

from reconciler.api.address import keep_address
from reconciler.cli.daemon_link import daemon_of
from reconciler.cli.main import cli
from reconciler.engine.order import JobProgress, PeerProgress, TrackProgress
from reconciler.errors import NotFoundError
from reconciler.ids import JobId
from reconciler.manifests.model import JobState
from reconciler.state.location import InstanceLock

JOB = JobId("01HRQ4GSX9K47J7M5FK7VW8B12")
MANIFEST = f"""\
manifest_version: "1.0"
job_id: {JOB}
job_type: mb_release
spec:
  mb_release_id: c0d0c0a4-4a26-4d74-9c02-67c9321b3b22
  target_dir: library
"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory):
    """An API as a daemon has it that holds its state folder, with one job that is being fetched; and that folder."""
    folder = tmp_path_factory.mktemp("daemon")
    state = folder / "state"
    with served(folder) as world, InstanceLock(state):
        (state / "token").touch(mode=0o600)
        (state / "token").write_text(TOKEN)
        (world.root / "jobs" / "active" / "wish.yml").write_text(MANIFEST)
        world.put(JOB, path="jobs/active/wish.yml", state=JobState.RUNNING)
        track = TrackProgress(position=1, title="A", phase="fetching", bytes_done=5_000_000, bytes_total=10_000_000)
        peer = PeerProgress(name="a", source="http", bytes_received=5_000_000, throughput_bytes_per_s=2.5e6,
                            chunks_refused=0, banned=False)  # fmt: skip
        world.progress[JOB] = JobProgress(job_id=JOB, generation=1, outcome=None, retriable=False, error="",
                                          tracks=(track,), peers=(peer,))  # fmt: skip
        yield world, state


def say(daemon, *words):
    """Run a command for that root and state folder; gives what it printed."""
    world, state = daemon
    done = CliRunner().invoke(cli, [*words, "--root", str(world.root), "--state", str(state)])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_status_shows_how_far_a_running_job_is(daemon):
    """Bytes and speed as the daemon knows them, in the table and as JSON."""
    assert "5.0 MB of 10.0 MB, 2.5 MB/s" in say(daemon, "status")
    (job,) = json.loads(say(daemon, "status", "--json"))
    assert job["progress"]["bytes_done"] == 5_000_000


def test_what_the_daemon_refuses_is_the_error_of_the_command(daemon):
    """With its words and its kind."""
    link = daemon_of(daemon[1])
    assert link.url.startswith("http://127.0.0.1:")
    assert TOKEN not in repr(link)
    with pytest.raises(NotFoundError, match="no such job"):
        link.ask("GET", "/api/jobs/01HRQ4GSX9K47J7M5FK7VW8B99")


def test_a_daemon_that_does_not_answer_is_done_without(daemon):
    """The manifest is written here, and status says what files and database know."""
    world, state = daemon
    before = (state / "api").read_text()
    keep_address(state, ("127.0.0.1", 1))
    try:
        assert json.loads(say(daemon, "status", "--json"))[0]["progress"] is None
        say(daemon, "job", "suspend", JOB)
    finally:
        (state / "api").write_text(before)
    assert "  suspend: true\n" in (world.root / "jobs" / "active" / "wish.yml").read_text()
    assert not world.looked_at
    assert "no spec.suspend" in say(daemon, "job", "resume", JOB)
    assert world.looked_at == ["jobs/active/wish.yml"]


def test_a_daemon_that_refuses_for_reasons_of_its_own_is_done_without(daemon):
    """It has another token: what is wanted is written here."""
    world, state = daemon
    world.looked_at.clear()
    (state / "token").write_text("w" * 43)
    try:
        say(daemon, "job", "suspend", JOB)
    finally:
        (state / "token").write_text(TOKEN)
    assert not world.looked_at
    assert "  suspend: true\n" in (world.root / "jobs" / "active" / "wish.yml").read_text()
    say(daemon, "job", "resume", JOB)
