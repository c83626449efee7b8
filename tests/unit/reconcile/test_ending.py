"""What is written down for hooks when a job ends, by a whole loop over real files."""

import json

import pytest
from reconcile_builders import JOB, OTHER_JOB
from reconcile_world import Script, release

from reconciler.config import HookSettings, WebhookSettings
from reconciler.hooks.command import CommandHook
from reconciler.hooks.webhook import WebhookHook
from reconciler.state.deliveries import DeliveryStore


@pytest.fixture
def told(world):
    """A world with a program and a webhook; gives what they are to be told, by hook and job."""
    command = CommandHook(HookSettings(on_completed=("true",)), folder=world.folders.root, environ={})
    webhook = WebhookHook(WebhookSettings(url="https://example.org/"), clock=world.time)
    world.hooks = (command, webhook)
    world.restart()

    def of(hook="command"):
        rows = [each for each in DeliveryStore(world.database).all() if each.hook.startswith(hook)]
        return {each.job_id: json.loads(each.body) for each in rows}

    return of


def test_a_completed_album_is_told_with_its_folder_and_files(world, told):
    """Once, however often the daemon starts."""
    world.write("loveless.yml", release(JOB, extra="labels: {shelf: shoegaze}\n"))
    world.once()
    world.restart().once()
    assert set(told()) == set(told("webhook")) == {JOB}
    data = told()[JOB]["data"]
    folder = world.folders.root / "library" / "My Bloody Valentine" / "Loveless"
    assert data["path"] == str(folder)
    assert [file["path"] for file in data["files"]] == [artifact.path for artifact in world.store.artifacts(JOB, 1)]
    assert (data["artist"], data["album"]) == ("My Bloody Valentine", "Loveless")
    assert data["release_mbid"] == "c0d0c0a4-4a26-4d74-9c02-67c9321b3b22"
    assert (data["job_type"], data["manifest"], data["node"]) == ("mb_release", "jobs/active/loveless.yml", "attic")
    assert data["labels"] == {"shelf": "shoegaze"}
    assert told("webhook")[JOB] == told()[JOB]
    assert len(DeliveryStore(world.database).all()) == 2


def test_a_cancelled_job_is_told_to_webhooks_alone(world, told):
    """It has no files for a program."""
    world.write("a.yml", release(OTHER_JOB, extra="  desired_state: cancelled\n"))
    world.once()
    assert told() == {}
    assert told("webhook")[OTHER_JOB]["type"] == "job.cancelled"


def test_an_edit_of_a_completed_job_is_told_as_another_generation(world, told):
    """It was completed again."""
    world.write("loveless.yml", release(JOB, tracks=1))
    world.once()
    (world.folders.completed / "loveless.yml").unlink()
    world.write("loveless.yml", release(JOB, tracks=2))
    world.restart().once()
    generations = [json.loads(each.body)["data"]["generation"] for each in DeliveryStore(world.database).all()]
    assert sorted(generations) == [1, 1, 2, 2]


@pytest.mark.parametrize(("retriable", "types"), [(True, ["job.completed"]), (False, ["job.failed"])])
def test_a_failure_is_told_when_it_is_the_last(world, told, retriable, types):
    """Not where the job is tried again by itself."""
    world.write("a.yml", release(JOB))
    world.engine.scripts = [Script(fails=True, retriable=retriable)]
    world.run_for(3600)
    rows = [json.loads(each.body) for each in DeliveryStore(world.database).all() if each.hook != "command"]
    assert [row["type"] for row in rows] == types
    assert [row["data"]["error_message"] for row in rows] == ["" if retriable else "no peer has it"]
