"""The API of a whole daemon, and the commands that speak to it."""

import contextlib
import http.client
import json
import re
import socket
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from e2e.rig import command, environment, eventually

from reconciler.cli.main import cli
from reconciler.errors import InvalidInputError, OtherInstanceError

JOB = "01HRQ4GSX9K47J7M5FK7VW8B12"
HOWTO = Path(__file__).parents[2] / "docs" / "howto" / "api.md"
MANIFEST = f"""\
manifest_version: "1.0"
job_id: {JOB}
job_type: mb_release
spec:
  mb_release_id: c0d0c0a4-4a26-4d74-9c02-67c9321b3b22
  target_dir: library
  tracks:
  - {{position: 1, title: A, mb_recording_id: e2f5e9b4-5852-4cd3-b1f9-29a7a4a234bc}}
"""


@contextlib.contextmanager
def running(folder, **settings):
    """Run a daemon with its API for the time of the block; gives its process."""
    extra = {"RECONCILER__API__ENABLED": "true", "RECONCILER__API__LISTEN": "127.0.0.1:0", **settings}
    words = command("run", "--root", folder / "root", "--state", folder / "state")
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(words, stdout=log, stderr=log, env=environment(**extra)) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()
            assert process.wait(60) == 0


def ask(folder, method, path, body=None):
    """Ask the daemon, with its token."""
    host, port = (folder / "state" / "api").read_text().split()
    token = (folder / "state" / "token").read_text().strip()
    connection = http.client.HTTPConnection(host, int(port), timeout=60)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/yaml"}
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    found = answer.status, json.loads(answer.read())
    connection.close()
    return found


def test_a_job_is_made_steered_and_ended_over_http_and_by_commands_that_speak_it(tmp_path):
    """From a body to the moved manifest, with the daemon's word at each step; and a second daemon says where to ask."""
    where = ("--root", tmp_path / "root", "--state", tmp_path / "state")
    assert say("init", "--root", tmp_path / "root").exit_code == 0
    with running(tmp_path):
        eventually(lambda: listens(tmp_path) and ask(tmp_path, "GET", "/readyz")[0] == 200, "it is ready")
        assert ask(tmp_path, "POST", "/api/jobs", MANIFEST.encode())[0] == 201

        def reason():
            job = ask(tmp_path, "GET", f"/api/jobs/{JOB}")[1]
            return {each["type"]: each["reason"] for each in job.get("conditions", ())}.get("Ready", "")

        eventually(lambda: reason() == "Retrying", "nobody offers the track")
        eventually(lambda: ask(tmp_path, "GET", f"/api/jobs/{JOB}/trace")[0] == 200, "its story is told")
        said = json.loads(say("job", "suspend", JOB, "--reason", "later", "--json", *where).stdout)
        assert (said["changed"], said["says"]) == (True, "spec.suspend: later")
        eventually(lambda: reason() == "Suspended", "the job rests")
        listed = json.loads(say("status", "--json", *where).stdout)
        assert [(job["job_id"], job["progress"]) for job in listed] == [(JOB, None)]
        second = say("run", *where).exception
        assert isinstance(second, OtherInstanceError)
        assert "/api/jobs; or stop it first" in second.hint
        say("job", "cancel", JOB, *where)
        moved = "/api/jobs?state=cancelled&text=jobs/completed/"
        eventually(lambda: ask(tmp_path, "GET", moved)[1]["jobs"], "the job ends, and its manifest moves")
        refused = say("job", "retry", JOB, *where).exception
        assert isinstance(refused, InvalidInputError)
        assert "has ended" in refused.message
    assert not (tmp_path / "state" / "api").exists()
    token = (tmp_path / "state" / "token").read_text().strip()
    assert token not in (tmp_path / "log").read_text()
    assert [job["state"] for job in json.loads(say("status", "--json", *where).stdout)] == ["cancelled"]


def say(*words):
    """Run a command in this process, which is quick; gives what it printed, or raised."""
    return CliRunner().invoke(cli, [str(word) for word in words])


def test_a_port_that_is_taken_is_said_before_anything_starts(tmp_path):
    """With exit code 78, who has it and what to do; and `run --once` needs no port."""
    where = ("--root", tmp_path / "root", "--state", tmp_path / "state")
    assert say("init", "--root", tmp_path / "root").exit_code == 0
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        extra = environment(RECONCILER__API__ENABLED="true", RECONCILER__API__LISTEN=listen)
        done, once = (
            subprocess.run(command("run", *words, *where), env=extra, capture_output=True, text=True, check=False)
            for words in ((), ("--once",))
        )
        assert done.returncode == 78, done.stderr
        assert f"the API cannot listen at {listen}" in done.stderr
        assert "api.listen" in done.stderr
        assert "Traceback" not in done.stderr
        assert once.returncode == 0, once.stderr


@pytest.mark.package("curl")
def test_each_command_of_the_how_to_does_what_it_says(tmp_path):
    """All of them one after the other, in a shell, against a daemon; the stream is heard for as long as it takes."""
    text = HOWTO.read_text("utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    (manifest,) = [each for each in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if "manifest_version" in each]
    assert say("init", "--root", tmp_path / "root").exit_code == 0
    (tmp_path / "loveless.yml").write_text(manifest)
    with running(tmp_path, RECONCILER__MUSICBRAINZ__OFFLINE="true"):
        eventually(lambda: listens(tmp_path) and ask(tmp_path, "GET", "/readyz")[0] == 200, "it is ready")
        address = ":".join((tmp_path / "state" / "api").read_text().split())
        token, *others = [block.replace("127.0.0.1:5031", address) for block in blocks]
        for block in others:
            if "/api/events" in block:
                assert "retry: " in shell(tmp_path, f"{token}\ntimeout 2 {block.strip()} || [ $? = 124 ]")
                continue
            shell(tmp_path, f"{token}\n{block}")
            eventually(lambda: ask(tmp_path, "GET", f"/api/jobs/{JOB}")[0] == 200, "the daemon has found the file")
        ended = "/api/jobs?state=cancelled"
        eventually(lambda: ask(tmp_path, "GET", ended)[1]["jobs"], "the job ends")
    assert (tmp_path / "root" / "jobs" / "exported" / f"{JOB}.yml").exists()


def listens(folder):
    """Whether the daemon has said where its API is."""
    return (folder / "state" / "api").exists()


def shell(folder, script):
    """Run a script of the page; gives what it printed."""
    extra = environment(STATE=str(folder / "state"))
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=folder, env=extra, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, script + done.stdout + done.stderr
    return done.stdout
