"""What a shell finishes: commands, options and job ids, asked as the shells ask."""

import shlex
import shutil
import subprocess
import sys

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from reconciler.cli.main import cli
from reconciler.ids import JobId
from reconciler.manifests.model import JobType
from reconciler.state.database import Database
from reconciler.state.jobs import JobStore

JOB = JobId("01HRQ4GSX9K47J7M5FK7VW8B12")


def finished(*words):
    """What the last of the words may become."""
    proposals = ShellComplete(cli, {}, "reconciler", "_RECONCILER_COMPLETE")
    return {item.value: item.help for item in proposals.get_completions(list(map(str, words[:-1])), words[-1])}


@pytest.fixture
def where(tmp_path):
    """The options that name a root folder whose daemon knows one job."""
    database = Database.open(tmp_path / "state" / "reconciler.db")
    JobStore(database).observe_spec(
        JOB, path="jobs/active/wish.yml", job_type=JobType.MB_RELEASE, spec_digest="sha256:x", now=0.0
    )
    database.close()
    return ("--root", tmp_path, "--state", tmp_path / "state")


def test_commands_options_and_words_are_finished():
    """Those that begin so, on every level."""
    assert "validate" in finished("val")
    assert {"import", "export"} <= finished("job", "").keys()
    assert "--directory" in finished("job", "import", "--d")
    assert finished("completion", "f").keys() == {"fish"}


@pytest.mark.parametrize("command", ["show", "trace", "explain", "export", "suspend", "resume", "cancel", "retry"])
def test_job_ids_are_finished_with_their_files(where, command):
    """Wherever a job is named; in a folder without a database there is nothing to propose."""
    assert finished("job", command, *where, "01H") == {JOB: "jobs/active/wish.yml"}
    assert finished("job", command, *where, "01J") == {}
    assert finished("job", command, *where[:2], "--state", "/nowhere", "01H") == {}


def test_a_damaged_database_costs_no_message(where):
    """Who presses Tab wants no traceback in the middle of a line."""
    (where[3] / "reconciler.db").write_bytes(b"no database " * 400)
    assert finished("job", "show", *where, "01H") == {}


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_each_shell_gets_its_own_script(shell):
    """It calls the program back under the name that the shell knows."""
    told = CliRunner().invoke(cli, ["completion", shell])
    assert told.exit_code == 0
    assert f"_RECONCILER_COMPLETE={shell}_complete" in told.stdout


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_itself_finishes_a_job_id(tmp_path, where):
    """The script is loaded by a real bash, and its function asked as the Tab key does."""
    program = tmp_path / "reconciler"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m reconciler "$@"\n')
    program.chmod(0o755)
    words = ["reconciler", "job", "show", *map(str, where), "01H"]
    asked = " ".join(map(shlex.quote, words))
    script = (
        f'source <("{program}" completion bash)\nCOMP_WORDS=({asked}); COMP_CWORD={len(words) - 1}\n'
        f'_reconciler_completion "{program}"\necho "${{COMPREPLY[@]}}"\n'
    )
    # `complete` is there for interactive shells alone in some builds of bash; the function is what is tested.
    done = subprocess.run(["bash", "--norc", "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip() == JOB, done.stderr
