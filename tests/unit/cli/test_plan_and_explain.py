"""`plan` and `job explain`: what would be done, and why, read from files and database."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
from click.testing import CliRunner

from reconciler.cli.explanation import waiting
from reconciler.cli.main import cli
from reconciler.clock import SystemClock
from reconciler.ids import JobId, Mbid, Sha256, TrackPosition
from reconciler.manifests.model import Condition, JobState, JobType, Track
from reconciler.manifests.read import read_manifest
from reconciler.musicbrainz.model import ResolvedRelease
from reconciler.musicbrainz.resolutions import ResolutionStore
from reconciler.state.database import Database
from reconciler.state.event_tables import INSERT_EVENT
from reconciler.state.jobs import JobStore
from reconciler.state.records import Artifact
from reconciler.state.sightings import Hold, Sighting, SightingStore
from reconciler.traces.model import EventType, SwarmEvent
from reconciler.traces.rows import row_of

JOB, OTHER = JobId("01HRQ4GSX9K47J7M5FK7VW8B12"), JobId("01HRQ4GSX9K47J7M5FK7VW8B13")
RELEASE = Mbid("c0d0c0a4-4a26-4d74-9c02-67c9321b3b22")
MBID = "e2f5e9b4-5852-4cd3-b1f9-29a7a4a234bc"
MANIFEST = f"""\
manifest_version: "1.0"
job_id: {JOB}
job_type: mb_release
spec:
  mb_release_id: c0d0c0a4-4a26-4d74-9c02-67c9321b3b22
  title: Loveless
  artist: My Bloody Valentine
  target_dir: library
  tracks:
    - {{position: 1, title: Only Shallow, mb_recording_id: {MBID}}}
    - {{position: 2, title: Loomer, mb_recording_id: {MBID.replace("e2", "e3", 1)}}}
"""


class World:
    """A root folder, and a state database as a daemon leaves it."""

    def __init__(self, folder):
        self.root, self.state = folder / "root", folder / "state"
        self.path = self.root / "jobs" / "active" / "wish.yml"
        self.path.parent.mkdir(parents=True)
        (self.root / "library").mkdir()
        self.path.write_text(MANIFEST)

    def run(self, *words, code=0):
        """Run a command in this process; gives what it printed."""
        where = ["--root", str(self.root), "--state", str(self.state)]
        result = CliRunner().invoke(cli, [*words, *where])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return result.stdout

    def data(self, *words, code=0):
        return json.loads(self.run(*words, "--json", code=code))

    def write(self, work):
        """Do something with the database, as a daemon would have."""
        database = Database.open(self.state / "reconciler.db")
        try:
            return work(database)
        finally:
            database.close()

    def record(self, text=MANIFEST, *, path="jobs/active/wish.yml", job_id=JOB, **changes):
        """Have the database know the job as it is in `text`."""
        digest = read_manifest(text.encode()).manifest.spec_digest

        def work(database):
            store = JobStore(database)
            seen = store.observe_spec(job_id, path=path, job_type=JobType.MB_RELEASE, spec_digest=digest, now=1.0)
            store.put(replace(seen, **changes))

        self.write(work)


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def published(position):
    return Artifact(job_id=JOB, generation=1, position=TrackPosition(position), path="/x.flac", size=1,
                    sha256=Sha256("0" * 64), recording=MBID, variant_id="v", completed_at=1.0)  # fmt: skip


def event(position, **changes):
    base = SwarmEvent(event_id=f"{position:026}", timestamp_ms=1_000_000, type=EventType.CHUNK_FAILED, job_id=JOB,
                      action="", track_id=str(position), is_error=True, error_code="bad hash",
                      peer_id="nas")  # fmt: skip
    return row_of(replace(base, **changes))


def test_plan_before_any_daemon_shows_the_whole_way(world):
    """Every step, each track with its place, and the digest that it is for; nothing is written."""
    before = sorted(world.root.rglob("*"))
    (plan,) = world.data("plan")
    manifest = read_manifest(MANIFEST.encode()).manifest
    assert (plan["path"], plan["job_id"], plan["spec"], plan["does"]) == ("jobs/active/wish.yml", JOB, "new", "fetch")
    assert plan["spec_digest"] == manifest.spec_digest
    assert plan["fetch"][0] == {
        "position": 1,
        "title": "Only Shallow",
        "path": f"{world.root}/library/My Bloody Valentine/Loveless/01 Only Shallow.*",
    }
    text = world.run("plan", str(world.path))
    assert f"job {JOB}, new spec {manifest.spec_digest}\n  fetch\n  - take the spec as generation 1\n" in text
    assert sorted(world.root.rglob("*")) == before
    assert not world.state.exists()


def test_plan_of_a_change_counts_what_is_there(world):
    """The changed spec, the track that is kept, the one to fetch."""
    world.record(MANIFEST.replace("title: Loveless", "title: Loveles"), started_at=1.0)
    world.write(lambda database: JobStore(database).record_artifact(published(1), event(9)))
    (plan,) = world.data("plan")
    assert (plan["spec"], plan["generation"], plan["published"]) == ("changed", 2, [])
    moved = replace(
        published(1),
        path=f"{world.root}/library/a.flac",
        position=TrackPosition(2),
        recording=MBID.replace("e2", "e3", 1),
    )
    world.write(lambda database: JobStore(database).record_artifact(moved, event(8)))
    (plan,) = world.data("plan")
    assert (plan["published"], [each["position"] for each in plan["fetch"]]) == ([2], [1])
    assert "keep 1 published track of the generation before" in plan["steps"]


def test_plan_says_what_is_wrong_and_exits_2(world):
    """A mistake, a target that is not allowed, and a folder of others that go on being shown."""
    (world.root / "jobs" / "active" / "bad.yml").write_text(MANIFEST.replace("title: Only", "titel: Only"))
    (world.root / "jobs" / "active" / "far.yml").write_text(
        MANIFEST.replace("target_dir: library", "target_dir: /far").replace(JOB, OTHER)
    )
    bad, far, wish = world.data("plan", code=2)
    assert "10:21: spec.tracks[0].titel: unknown field" in " ".join(bad["problems"])
    assert "/far lies below no allowed folder" in far["problems"][0]
    assert wish["problems"] == []
    assert "bad.yml  cannot be acted on" in world.run("plan", code=2)


@pytest.mark.parametrize(
    ("line", "does", "reason"),
    [
        ("suspend: {reason: later}", "rest", "Suspended"),
        ("node: attic", "leave alone", ""),
        (f"depends_on: [{OTHER}]", "wait", "WaitingForDependency"),
        ("desired_state: cancelled", "finish", "Cancelled"),
    ],
)
def test_plan_shows_what_holds_a_job(world, line, does, reason):
    """A directive is obeyed in the plan as the daemon would; that is no mistake."""
    world.path.write_text(MANIFEST.replace("spec:\n", f"spec:\n  {line}\n"))
    (plan,) = world.data("plan")
    assert (plan["does"], plan["reason"], plan["problems"]) == (does, reason, [])


def test_plan_shows_what_holds_everything(world):
    """What a daemon has written down for the whole folder stands above all."""
    world.record()
    hold = Hold(reason="MassRemoval", since=1.0, message="40 of 50 manifests are gone")
    world.write(lambda database: SightingStore(database).hold(hold))
    assert world.run("plan").startswith("everything is held: MassRemoval: 40 of 50 manifests are gone\n")


def test_plan_of_nothing(world):
    """An empty folder has no plan; a path that is not there is said."""
    world.path.unlink()
    assert world.run("plan") == "no manifest\n"
    assert world.data("plan") == []


def test_explain_tells_it_on_one_screen(world):
    """State, the decision with its reason, tries, conditions with their times, the last error of each track."""
    failed = Condition(type="Ready", status="False", reason="Retrying", message="no peer offers it",
                       last_transition_time="2026-01-02T03:04:05Z")  # fmt: skip
    world.record(state=JobState.FAILED, attempts=3, retry_at=SystemClock().wall() + 723.5, conditions=(failed,),
                 error_message="no peer offers it")  # fmt: skip
    rows = [
        event(1),
        event(2, timestamp_ms=2_000_000),
        event(3, timestamp_ms=3_000_000, track_id="2", error_message="\x1b[2J"),
    ]
    world.write(lambda database: database.write(lambda c: c.executemany(INSERT_EVENT, rows)).result())
    text = world.run("job", "explain", "01hrq4")
    assert len(text.splitlines()) < 24
    assert f"Job:        {JOB} (mb_release), generation 1, failed\n" in text
    assert ", acted on\nNow:        wait: Retrying: no peer offers it\n" in text
    assert "Tries:      3 of 10 attempts failed; next at 20" in text
    assert ", in 12m " in text
    assert "  Ready=False Retrying since 2026-01-02T03:04:05Z: no peer offers it\n" in text
    assert "  track 1, 1970-01-01T00:16:40Z: bad hash (peer nas)\n  track 2, 1970-01-01T00:50:00Z: bad hash: " in text
    assert "\x1b" not in text
    assert "Holds:" not in text


def test_explain_says_which_tracks_wait_for_a_twin(world):
    """Those whose last step was to share, since the job began last; nothing of a job that does not run."""

    def step(number, kind, action, track=""):
        return event(number, type=kind, action=action, track_id=track, is_error=False, error_code="", metadata=twin)

    twin = {"job": OTHER, "track": 7}
    rows = [
        step(1, EventType.TRACK_START, "shares", "3"),
        step(2, EventType.JOB_START, "started"),
        step(3, EventType.TRACK_START, "shares", "1"),
        step(4, EventType.TRACK_START, "shares", "2"),
        step(5, EventType.JOB_START, "changed"),
        step(6, EventType.TRACK_START, "resumed", "1"),
    ]
    world.record(state=JobState.RUNNING)
    world.write(lambda database: database.write(lambda c: c.executemany(INSERT_EVENT, rows)).result())
    shared = f"shares the transfer of job {OTHER}, track 7"
    assert world.data("job", "explain", JOB)["holds"] == [{"what": "track 2", "why": shared}]
    assert f"Holds:\n  track 2: {shared}\n" in world.run("job", "explain", JOB)
    world.record(state=JobState.PENDING)
    assert world.data("job", "explain", JOB)["holds"] == []


def test_explain_lists_every_hold(world):
    """Rest, another node, jobs that it waits for in a circle, and what holds everything."""
    text = MANIFEST.replace("spec:\n", f"spec:\n  suspend: {{reason: later}}\n  node: attic\n  depends_on: [{OTHER}]\n")
    world.path.write_text(text)
    world.record(text)
    there = text.replace(JOB, "~").replace(OTHER, JOB).replace("~", OTHER)
    (world.path.parent / "other.yml").write_text(there)
    world.record(there, path="jobs/active/other.yml", job_id=OTHER)
    hold = Hold(reason="MassRemoval", since=1.0, message="many are gone")
    sighting = Sighting(path="jobs/active/other.yml", mark=1, job_id=OTHER, waits_for="jobs", depends_on=(JOB,))
    world.write(lambda database: SightingStore(database).hold(hold))
    world.write(lambda database: SightingStore(database).put([sighting]))
    found = {each["what"]: each["why"] for each in world.data("job", "explain", JOB)["holds"]}
    assert found["suspended"] == "later; until spec.suspend is taken out"
    assert found["node"].startswith("the job is for node attic; this one is ")
    assert found["depends on itself"] == f"{JOB} -> {OTHER} -> {JOB}"
    assert found[f"depends on {OTHER}"] == "pending"
    assert found["everything, since 1970-01-01T00:00:01Z"] == "MassRemoval: many are gone"


def test_explain_of_a_changed_spec_names_both_digests(world):
    """What was acted on is not what stands there now."""
    world.record(MANIFEST.replace("Loveless", "Lovless"), state=JobState.RUNNING)
    now = read_manifest(MANIFEST.encode()).manifest.spec_digest
    told = world.data("job", "explain", JOB)
    assert (told["spec_digest"], told["does"]) == (now, "fetch")
    assert told["steps"] == ["take the spec as generation 2", "fetch 2 tracks"]
    assert told["spec_digest_acted_on"] != now
    assert f"Spec:       {now}, not acted on yet; before: sha256:" in world.run("job", "explain", JOB)


def test_explain_of_a_job_that_is_fetched(world):
    """Recorded as running: the engine has it."""
    world.record(state=JobState.RUNNING)
    told = world.data("job", "explain", JOB)
    assert (told["does"], told["reason"], told["steps"]) == ("go on", "Fetching", [])


def test_explain_of_a_job_that_our_own_disk_holds_up(world):
    """As the daemon last saw it: what to do is said, and that it goes on by itself."""
    message = "/music: 2 GB are needed and 1 GB free; free 1 GB on that disk"
    held = tuple(Condition(type=kind, status="False", reason="DiskFull", message=message) for kind in ("Ready",))
    world.record(state=JobState.RUNNING, conditions=held, error_message=message)
    told = world.data("job", "explain", JOB)
    assert (told["does"], told["reason"], told["message"]) == ("wait", "DiskFull", message)
    assert told["holds"] == [{"what": "DiskFull", "why": f"{message}; it is looked at again by itself"}]
    [plan] = world.data("plan")
    assert (plan["does"], plan["reason"]) == ("wait", "DiskFull")
    assert message[:40] in world.run("status")


def test_explain_says_which_files_got_a_number(world):
    """Also of a job that is done: somebody else's file has the name."""
    path = f"{world.root}/library/My Bloody Valentine/Loveless/02 Loomer (2).flac"
    world.record(state=JobState.COMPLETED)
    made = replace(published(2), path=path)
    world.write(lambda database: JobStore(database).record_artifact(made, event(2, is_error=False)))
    assert world.data("job", "explain", JOB)["renamed"] == [{"position": 2, "path": path}]
    assert f"Renamed:\n  track 2 is {path}: another file has its name" in world.run("job", "explain", JOB)


def test_explain_says_so_of_a_release_that_was_looked_up(world):
    """Its tracks stand in no manifest, but in the database."""
    text = MANIFEST[: MANIFEST.index("  tracks:")]
    world.path.write_text(text)
    path = f"{world.root}/library/My Bloody Valentine/Loveless/02 Loomer (2).flac"
    world.record(text, state=JobState.COMPLETED)
    resolved = ResolvedRelease(
        asked=RELEASE,
        mbid=RELEASE,
        title="Loveless",
        artist="My Bloody Valentine",
        year=1991,
        tracks=(Track(position=TrackPosition(2), title="Loomer", mb_recording_id=MBID),),
        skipped=(),
    )
    world.write(lambda database: ResolutionStore(database).put(JOB, 1, resolved))
    made = replace(published(2), path=path)
    world.write(lambda database: JobStore(database).record_artifact(made, event(2, is_error=False)))
    assert world.data("job", "explain", JOB)["renamed"] == [{"position": 2, "path": path}]


def test_explain_of_a_file_with_a_mistake(world):
    """What to mend stands there, and that the job goes on by the last good spec."""
    world.record()
    world.path.write_text(MANIFEST.replace("title: Only", "titel: Only"))
    told = world.data("job", "explain", JOB)
    assert (told["does"], told["reason"]) in (("stall", "InvalidSpec"), ("wait", "InvalidSpec"))
    assert "did you mean title?" in " ".join(told["problems"])


def test_explain_of_a_job_whose_manifest_is_not_there(world):
    """Gone alone, gone with the others, given up, or moved: each is said."""
    world.record(state=JobState.RUNNING)
    world.record(path="jobs/active/other.yml", job_id=OTHER)
    (world.path.parent / "other.yml").write_text(MANIFEST.replace(JOB, OTHER))
    world.path.unlink()
    told = world.data("job", "explain", JOB)
    assert (told["does"], told["reason"]) == ("wait", "ManifestGone")
    (world.path.parent / "other.yml").unlink()
    told = world.data("job", "explain", JOB)
    assert (told["does"], told["reason"]) == ("hold", "MassRemoval")
    world.record(gone_at=5.0)
    assert "given up 1970-01-01T00:00:05Z" in world.data("job", "explain", JOB)["message"]
    world.record(path="jobs/completed/wish.yml", state=JobState.COMPLETED)
    told = world.data("job", "explain", JOB)
    assert (told["does"], told["reason"]) == ("leave alone", "Completed")


def test_explain_sees_git_at_work(world):
    """While a merge is unfinished nothing is judged."""
    world.record()
    (world.root / ".git").mkdir()
    (world.root / ".git" / "MERGE_HEAD").write_text("")
    told = world.data("job", "explain", JOB)
    assert (told["does"], told["reason"]) == ("hold", "MergeInProgress")
    assert told["holds"][0]["what"] == "git"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1.0, "now"), (0.5, "now"), (59, "in 59s"), (61, "in 1m 1s"), (3600, "in 1h"), (90_061, "in 1d 1h")],
)
def test_a_wait_is_said_in_two_units(seconds, text):
    """As a person says it."""
    assert waiting(seconds) == text


def test_validate_in_a_hook_loads_no_daemon():
    """It is run at every commit: neither network nor watch nor cryptography is imported for it."""
    script = "import sys, reconciler.cli.main, reconciler.cli.cmd_validate; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    heavy = {
        "reconciler.daemon",
        "reconciler.engine.engine",
        "aiohttp",
        "watchdog",
        "cryptography",
        "numpy",
        "soundfile",
    }
    assert not heavy & set(loaded)
