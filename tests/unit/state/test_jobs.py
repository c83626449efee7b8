"""What is known of each job: generations, artifacts exactly once, outcomes exactly once."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.errors import StateDamagedError
from reconciler.ids import JobId, Mbid, Root, Sha256, TrackPosition
from reconciler.manifests.model import Condition, JobState, JobType
from reconciler.state.database import Database
from reconciler.state.jobs import FOUND_MAX, Artifact, JobRecord, JobStore

JOB = JobId("01HRQ4GSX9K47J7M5FK7VW8B12")
UUID_JOB = JobId("6fb7b5cc-1b2e-4c3a-9a52-0b1f6a0c8a11")
READY = Condition(
    type="Ready", status="False", reason="Fetching", message="1 of 3", last_transition_time="2025-12-10T15:30:00Z"
)


@pytest.fixture
def database(tmp_path):
    """An open, empty database."""
    opened = Database.open(tmp_path / "reconciler.db")
    yield opened
    opened.close()


@pytest.fixture
def store(database):
    """The jobs in it: none."""
    return JobStore(database)


def record(**changes):
    """A job as it is when first seen, but for `changes`."""
    return replace(
        JobRecord(job_id=JOB, path="jobs/active/a.yml", job_type=JobType.MB_RELEASE, spec_digest="sha256:1"), **changes
    )


def artifact(position=1, **changes):
    """A published track, but for `changes`."""
    made = Artifact(
        job_id=JOB,
        generation=1,
        position=TrackPosition(position),
        path=f"/music/{position}.flac",
        size=1000,
        root=Root("a" * 64),
        sha256=Sha256("b" * 64),
        recording=Mbid("6fb7b5cc-1b2e-4c3a-9a52-0b1f6a0c8a11"),
        variant_id="a" * 64,
        completed_at=1_000_000.5,
    )
    return replace(made, **changes)


def event_row(event_id, kind="TrackComplete"):
    """A row of SwarmEvents."""
    return (event_id, 1, kind, JOB, *(None,) * 12)


def events(database):
    """The ids of the events that are stored."""
    return [row[0] for row in database.read(lambda c: c.execute("SELECT event_id FROM SwarmEvents").fetchall())]


def observe(store, digest, **changes):
    """See the job's manifest with a spec of this digest."""
    seen = {"path": "jobs/active/a.yml", "job_type": JobType.MB_RELEASE, "now": 100.0} | changes
    return store.observe_spec(JOB, spec_digest=digest, **seen)


class TestRecords:
    """A record comes back as it was put."""

    def test_a_record_with_everything_comes_back(self, store):
        """Every field, two conditions, names with anything in them."""
        full = record(
            path="jobs/active/Ænima | \u202e\n.yml",
            generation=3,
            generation_since=5.5,
            state=JobState.FAILED,
            attempts=2,
            retry_at=1.5,
            started_at=2.5,
            completed_at=3.5,
            error_message="no peer \N{SNOWMAN}",
            conditions=(READY, replace(READY, type="Stalled", status="Unknown")),
        )
        store.put(full)
        assert store.get(JOB) == full

    def test_an_unknown_job_is_none(self, store):
        """Nothing was ever seen under this id."""
        assert store.get(JOB) is None
        assert store.all() == []

    def test_putting_keeps_the_artifacts(self, store):
        """A record is updated in place: its files belong to it."""
        store.put(record())
        store.record_artifact(artifact(), event_row("e1"))
        store.put(record(state=JobState.RUNNING))
        assert store.artifacts(JOB, 1) == (artifact(),)

    @pytest.mark.parametrize(
        ("prefix", "found"),
        [
            ("01HRQ", [JOB]),
            ("01hrq", [JOB]),
            ("6FB7", [UUID_JOB]),
            ("", [JOB, UUID_JOB]),
            ("%", []),
            ("_1HRQ", []),
            (JOB, [JOB]),
        ],
    )
    def test_finds_by_the_beginning_of_the_id(self, store, prefix, found):
        """In either case of letters; no character is a wildcard."""
        store.put(record())
        store.put(record(job_id=UUID_JOB))
        assert [job.job_id for job in store.find(prefix)] == found

    def test_finds_a_screenful_at_most(self, store):
        """A prefix that fits many jobs does not read them all."""
        for number in range(FOUND_MAX + 1):
            store.put(record(job_id=JobId(f"{number:08x}-0000-0000-0000-000000000000")))
        assert len(store.find("0")) == FOUND_MAX
        assert len(store.all()) == FOUND_MAX + 1

    @pytest.mark.parametrize(
        "change",
        [
            "state = 'dancing'",
            "job_type = 'mb_releasf'",
            "conditions = '[{]'",
            'conditions = \'[{"type": "Ready"}]\'',
            "conditions = '{\"type\": 1}'",
            "conditions = 7",
            "path = x'00ff'",
            "job_id = '../../etc/passwd'",
            "started_at = 'soon'",
        ],
    )
    def test_an_impossible_row_is_damage(self, store, database, change):
        """A changed byte does not steer the daemon: it says which file and which job."""
        store.put(record(conditions=(READY,)))
        database.write(lambda c: c.execute(f"UPDATE jobs SET {change}")).result()
        with pytest.raises(StateDamagedError, match="impossible record of job"):
            store.all()

    def test_an_impossible_state_of_another_job_is_damage(self, store, database):
        """Whoever only asks how those stand that a job waits for finds it, too."""
        store.put(record())
        database.write(lambda c: c.execute("UPDATE jobs SET state = 'dancing'")).result()
        with pytest.raises(StateDamagedError, match="impossible state"):
            store.states([JOB])

    def test_a_condition_of_no_known_kind_is_damage(self, store, database):
        """Its words are a small set."""
        made = {"type": "Ready", "status": "Maybe", "reason": "", "message": "", "last_transition_time": ""}
        store.put(record())
        database.write(lambda c: c.execute("UPDATE jobs SET conditions = ?", (json.dumps([made]),))).result()
        with pytest.raises(StateDamagedError, match="Maybe"):
            store.get(JOB)


class TestGenerations:
    """A generation is a spec; a new one begins anew."""

    def test_a_new_job_is_pending_in_generation_1(self, store):
        """With the time at which it was first seen."""
        assert observe(store, "sha256:1") == record(generation_since=100.0)
        assert store.get(JOB) == record(generation_since=100.0)

    def test_the_same_spec_again_changes_nothing(self, store):
        """State, attempts and the time of the generation stay."""
        observe(store, "sha256:1")
        running = record(generation_since=100.0, state=JobState.RUNNING, attempts=3)
        store.put(running)
        assert observe(store, "sha256:1", now=200.0) == running

    def test_a_moved_manifest_is_the_same_generation(self, store):
        """Only the path follows."""
        observe(store, "sha256:1")
        moved = observe(store, "sha256:1", path="jobs/active/b.yml", now=200.0)
        assert (moved.path, moved.generation, moved.generation_since) == ("jobs/active/b.yml", 1, 100.0)
        assert store.get(JOB) == moved

    def test_a_new_spec_is_the_next_generation(self, store):
        """Pending, no attempts, no error; the conditions keep their transition times."""
        observe(store, "sha256:1")
        failed = record(state=JobState.FAILED, attempts=5, retry_at=9.0, error_message="no", conditions=(READY,))
        store.put(replace(failed, started_at=1.0, completed_at=2.0))
        changed = observe(store, "sha256:2", now=200.0)
        assert changed == record(spec_digest="sha256:2", generation=2, generation_since=200.0, conditions=(READY,))
        assert store.get(JOB) == changed

    def test_an_edit_that_is_undone_is_a_third_generation(self, store):
        """Generations only count up."""
        assert [observe(store, digest).generation for digest in ("1", "2", "1")] == [1, 2, 3]


class TestArtifacts:
    """A track is completed once per generation, together with its event."""

    def test_an_artifact_and_its_event_are_recorded_once(self, store, database):
        """The second time says False and stores nothing, whatever the second event is."""
        store.put(record())
        assert store.record_artifact(artifact(), event_row("e1"))
        assert not store.record_artifact(artifact(path="/music/other.flac"), event_row("e2"))
        assert store.artifacts(JOB, 1) == (artifact(),)
        assert events(database) == ["e1"]

    def test_generations_and_positions_are_apart(self, store):
        """Each has its own fact; they come by position."""
        store.put(record())
        for number, made in enumerate([artifact(2), artifact(1), artifact(1, generation=2)]):
            assert store.record_artifact(made, event_row(f"e{number}"))
        assert store.artifacts(JOB, 1) == (artifact(1), artifact(2))
        assert store.artifacts(JOB, 2) == (artifact(1, generation=2),)
        assert store.artifacts(JOB, 3) == ()

    def test_a_job_that_is_not_known_has_no_artifact(self, store, database):
        """A mistake of the caller; no event stays either."""
        with pytest.raises(sqlite3.IntegrityError):
            store.record_artifact(artifact(), event_row("e1"))
        assert events(database) == []

    def test_optional_names_may_be_missing(self, store):
        """A file without root and recording comes back without."""
        store.put(record())
        plain = artifact(root=None, recording=None)
        store.record_artifact(plain, event_row("e1"))
        assert store.artifacts(JOB, 1) == (plain,)

    def test_an_edit_keeps_what_it_does_not_concern(self, store, database):
        """The positions named are carried, without an event; what is there already stays."""
        store.put(record(generation=2))
        for position in (1, 2, 3):
            store.record_artifact(artifact(position), event_row(f"e{position}"))
        own = artifact(1, generation=2, path="/music/new.flac")
        store.record_artifact(own, event_row("e4"))
        store.carry_artifacts(JOB, from_generation=1, to_generation=2, positions=[TrackPosition(1), TrackPosition(3)])
        assert store.artifacts(JOB, 2) == (own, artifact(3, generation=2))
        assert len(events(database)) == 4

    @pytest.mark.parametrize(
        "change", ["path = 'relative'", "sha256 = 'x'", "root = 'X'", "recording = 'X'", "size = 'big'"]
    )
    def test_an_impossible_artifact_is_damage(self, store, database, change):
        """It says which track of which job."""
        store.put(record())
        store.record_artifact(artifact(), event_row("e1"))
        database.write(lambda c: c.execute("PRAGMA ignore_check_constraints = ON")).result()
        database.write(lambda c: c.execute(f"UPDATE artifacts SET {change}")).result()
        with pytest.raises(StateDamagedError, match="track 1"):
            store.artifacts(JOB, 1)


class TestFinishing:
    """An outcome is told once per generation."""

    def test_the_state_and_its_event_are_recorded_once(self, store, database):
        """The second run stores its record and no second event."""
        store.put(record())
        assert store.record_finished(record(state=JobState.COMPLETED, completed_at=1.0), event_row("e1", "JobComplete"))
        again = record(state=JobState.COMPLETED, completed_at=2.0)
        assert not store.record_finished(again, event_row("e2", "JobComplete"))
        assert store.get(JOB) == again
        assert events(database) == ["e1"]

    def test_another_outcome_or_generation_is_told_again(self, store, database):
        """A failed job that is asked for again may complete; a changed one may complete again."""
        outcomes = [(JobState.FAILED, 1), (JobState.COMPLETED, 1), (JobState.COMPLETED, 2)]
        for number, (state, generation) in enumerate(outcomes):
            assert store.record_finished(record(state=state, generation=generation), event_row(f"e{number}"))
        assert events(database) == ["e0", "e1", "e2"]


def test_kill_9_between_tracks_leaves_each_fact_with_its_one_event(tmp_path):
    """A process that completes tracks is killed and run again: one event for each artifact."""
    script = (
        "import sys, pathlib\n"
        "sys.path.insert(0, sys.argv[2])\n"
        "from test_jobs import JobStore, Database, artifact, event_row, record, JOB\n"
        "store = JobStore(Database.open(pathlib.Path(sys.argv[1])))\n"
        "store.put(record())\n"
        "for position in range(1, 400):\n"
        "    store.record_artifact(artifact(position), event_row(f'{sys.argv[3]}-{position}'))\n"
        "    print(position, flush=True)\n"
    )
    here = Path(__file__).parent
    for run, lines in enumerate([30, 90, 399]):
        arguments = [sys.executable, "-c", script, tmp_path / "reconciler.db", here, str(run)]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
            for _ in range(lines):
                process.stdout.readline()
            os.kill(process.pid, signal.SIGKILL)
    database = Database.open(tmp_path / "reconciler.db")
    positions = [made.position for made in JobStore(database).artifacts(JOB, 1)]
    told = [int(event_id.partition("-")[2]) for event_id in events(database)]
    database.close()
    assert positions == list(range(1, 400))
    assert sorted(told) == positions
