"""`reconciler hooks`: what was told, and trying it."""

import json
import os

import pytest
from click.testing import CliRunner

from reconciler.cli.main import cli
from reconciler.errors import BadConfigurationError
from reconciler.ids import JobId
from reconciler.state.database import Database
from reconciler.state.deliveries import DeliveryStore, add_deliveries
from reconciler.state.records import Delivery

JOB = JobId("01HRQ4GSX9K47J7M5FK7VW8B12")


def ran(*words, code=0):
    """What a command prints."""
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == code, done.output
    return done.stdout


@pytest.fixture
def where(tmp_path):
    """A state folder that knows one hook that failed."""
    database = Database.open(tmp_path / "reconciler.db")
    made = Delivery(
        delivery_id="01HRQ4GSX9K47J7M5FK7VW8D01",
        hook="webhook:example.org:12345678",
        event="job.completed",
        job_id=JOB,
        body="{}",
        next_at=1_700_000_000.0,
    )
    database.write(lambda connection: add_deliveries(connection, [made])).result()
    told = Delivery(
        **{name: getattr(made, name) for name in ("delivery_id", "hook", "event", "job_id", "body")},
        next_at=1_700_000_000.0,
        tries=2,
        result="answered 500: \x1b[31mred",
    )
    DeliveryStore(database).put(told)
    database.close()
    return ("--root", str(tmp_path), "--state", str(tmp_path))


def test_the_table_says_what_waits_and_why(where):
    """What a server wrote is escaped."""
    heading, row = ran("hooks", *where).splitlines()
    assert " ".join(heading.split()) == "STATE TRIES NEXT TRY OR END EVENT JOB HOOK LAST RESULT"
    words = row.split()
    assert words[:5] == ["waiting", "2", "2023-11-14T22:13:20Z", "job.completed", JOB]
    assert "answered 500: \\x1b[31mred" in row
    (told,) = json.loads(ran("hooks", "--json", *where))
    assert (told["next_at"], told["result"]) == ("2023-11-14T22:13:20Z", "answered 500: \x1b[31mred")


def test_nothing_yet(tmp_path):
    """And what to do."""
    Database.open(tmp_path / "reconciler.db").close()
    assert "hooks test" in ran("hooks", "--root", str(tmp_path), "--state", str(tmp_path))


def test_a_sample_is_told_and_shown(tmp_path):
    """The program finds a folder, which is gone afterwards; each answer is shown, and one failure counts."""
    (tmp_path / "reconciler.yml").write_text(
        "hooks:\n"
        '  on_completed: [sh, -c, \'ls -d "$1"; echo "$RECONCILER_EVENT $RECONCILER_ALBUM"\', sh, "{path}"]\n'
        "  webhooks: [{url: http://127.0.0.1:1/secret}]\n"
    )
    first, event, webhook = ran("hooks", "test", "--root", str(tmp_path), code=1).splitlines()
    status, _, folder = first.partition("exit status 0: ")
    assert status == "ok      command: "
    assert not os.path.lexists(folder)
    assert event == "        test Test Album"
    assert webhook.startswith("failed  webhook:127.0.0.1:1:")
    assert "secret" not in webhook
    told = json.loads(ran("hooks", "test", "--json", "--root", str(tmp_path), code=1))
    assert [(each["hook"].partition(":")[0], each["delivered"]) for each in told] == [
        ("command", True),
        ("webhook", False),
    ]


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ("{}", "no hook is configured"),
        ("hooks: {on_completed: [x, '{album}']}", "may begin with a hyphen"),
        ("hooks: {on_complete: [x]}", "did you mean on_completed?"),
        ("hooks: {webhooks: [{url: 'https://example.org/', secret_file: /nowhere}]}", "could not read the secret"),
        ("hooks: {webhooks: [{url: 'https://example.org/', events: [album]}]}", "hooks.webhooks[0].events[0]"),
        ("library: {cover_art: embed}", "library.write_tags is off"),
        ("hooks: {pass_environment: [A=b]}", "is not the name of an environment variable"),
    ],
)
def test_what_is_wrong_in_the_configuration_is_said(tmp_path, settings, problem):
    """Before anybody is told anything."""
    (tmp_path / "reconciler.yml").write_text(settings)
    done = CliRunner().invoke(cli, ["hooks", "test", "--root", str(tmp_path)])
    assert isinstance(done.exception, BadConfigurationError)
    assert problem in done.exception.message
