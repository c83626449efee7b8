"""`reconciler status` says what holds everything back, and what one job."""

import json

import pytest
from click.testing import CliRunner

from reconciler.cli.main import cli
from reconciler.ids import JobId
from reconciler.manifests.model import Condition, JobType
from reconciler.state.database import Database
from reconciler.state.jobs import JobRecord, JobStore
from reconciler.state.sightings import Hold, SightingStore


@pytest.fixture
def held(tmp_path):
    """The arguments for a root folder in which many manifests are gone."""
    database = Database.open(tmp_path / "state" / "reconciler.db")
    SightingStore(database).hold(Hold(reason="MassRemoval", since=0.0, message="most are gone\x1b[2J"))
    database.close()
    return ["status", "--root", str(tmp_path), "--state", str(tmp_path / "state")]


def test_a_hold_is_said_beside_the_table(held):
    """With its reason and time, and nothing in it disturbs a terminal."""
    done = CliRunner().invoke(cli, held)
    assert done.exit_code == 0
    assert "on hold since 1970-01-01T00:00:00Z: MassRemoval: most are gone" in done.stderr
    assert "\x1b" not in done.stderr
    assert "MassRemoval" not in done.stdout


def test_a_script_gets_rows_alone(held):
    """Its document stays what it was."""
    done = CliRunner().invoke(cli, [*held, "--json"])
    assert json.loads(done.stdout) == []


@pytest.mark.parametrize(
    ("status", "reason", "message", "told"),
    [
        ("False", "Suspended", "later on", "Suspended: later on"),
        ("False", "WaitingForSlot", "", "WaitingForSlot"),
        ("False", "Fetching", "", None),
        ("True", "Completed", "", None),
    ],
)
def test_a_job_that_rests_says_why(tmp_path, status, reason, message, told):
    """Nothing went wrong with it, so there is no error to show: the table and `job show` tell what it waits for."""
    job_id = JobId("01HRQ4GSX9K47J7M5FK7VW8B12")
    ready = Condition(type="Ready", status=status, reason=reason, message=message, last_transition_time="")
    database = Database.open(tmp_path / "state" / "reconciler.db")
    JobStore(database).put(
        JobRecord(job_id=job_id, path="a.yml", job_type=JobType.MB_RELEASE, spec_digest="d", conditions=(ready,))
    )
    database.close()
    where = ["--root", str(tmp_path), "--state", str(tmp_path / "state")]
    table = CliRunner().invoke(cli, ["status", *where]).stdout.splitlines()
    assert table[1].rstrip().endswith(told or "a.yml")
    shown = CliRunner().invoke(cli, ["job", "show", job_id, *where]).stdout
    assert (f"Waiting:    {told}\n" in shown) if told else ("Waiting" not in shown)
