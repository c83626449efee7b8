"""`reconciler status` says what holds everything back."""

import json

import pytest
from click.testing import CliRunner

from reconciler.cli.main import cli
from reconciler.state.database import Database
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
