"""The command line as a person or a script meets it: what is printed where, and the exit code."""

import json

import pytest
from click.testing import CliRunner
from e2e.rig import run

from reconciler.cli.context import settings_in
from reconciler.cli.main import cli
from reconciler.errors import BadConfigurationError
from reconciler.state.location import InstanceLock

BROKEN = """\
manifest_version: "1.0"
job_type: mb_release
spec:
  mb_release_id: not-an-mbid
  target_dir: library
  alow_lossy: true
  tracks:
    - {position: 1, title: A, mb_recording_id: e2f5e9b4-5852-4cd3-b1f9-29a7a4a234bc}
    - {position: 1, title: B, mb_recording_id: e2f5e9b4-5852-4cd3-b1f9-29a7a4a234bc}
"""
GOOD = """\
manifest_version: "1.0"
job_type: mb_release
spec:
  mb_release_id: c0d0c0a4-4a26-4d74-9c02-67c9321b3b22
  target_dir: {target}
  tracks:
    - {{position: 1, title: A, mb_recording_id: e2f5e9b4-5852-4cd3-b1f9-29a7a4a234bc}}
"""


@pytest.fixture
def root(tmp_path):
    run("init", "--root", tmp_path / "root", check=0)
    return tmp_path / "root"


@pytest.fixture
def manifest(root):
    def write(text, name="wish.yml"):
        path = root / "jobs" / "active" / name
        path.write_text(text)
        return path

    return write


def test_init_makes_a_root_and_never_writes_over_it(root):
    """Folders, configuration, example and schema; a second time nothing changes."""
    (root / "reconciler.yml").write_text("# mine\n")
    done = run("init", "--root", root, "--json", check=0)
    assert json.loads(done.stdout)["made"] == []
    assert (root / "reconciler.yml").read_text() == "# mine\n"
    assert (root / "jobs" / "active").is_dir()
    assert json.loads((root / "schemas" / "job-manifest.schema.json").read_text())["title"]


def test_the_example_and_the_configuration_that_init_writes_are_valid(root):
    """What a newcomer copies must work."""
    run("validate", root / "jobs" / "example.yml", check=0)
    run("run", "--once", "--root", root, "--state", root.parent / "state", check=0)


def test_validate_prints_every_problem_with_its_place(manifest):
    """`file:line:col: pointer: message` with a suggestion; exit 2."""
    path = manifest(BROKEN)
    done = run("validate", path, check=2)
    lines = done.stdout.splitlines()
    assert f"{path}:6:3: spec.alow_lossy: " in done.stdout
    assert "did you mean" in next(line for line in lines if "alow_lossy" in line) or "constraints" in done.stdout
    assert any(line.startswith(f"{path}:4:18: spec.mb_release_id: ") for line in lines)
    assert any(line.startswith(f"{path}:9:") and "position" in line for line in lines)
    assert done.stderr.endswith("1 manifest: 3 problems\n")


def test_validate_suggests_the_field_that_was_meant(manifest):
    """A typing error is answered with the nearest field."""
    text = GOOD.format(target="library") + "  constraints: {alow_lossy: false}\n"
    done = run("validate", manifest(text), check=2)
    assert "spec.constraints.alow_lossy" in done.stdout
    assert "did you mean allow_lossy?" in done.stdout


def test_validate_as_json(manifest):
    """The same problems as data."""
    found = json.loads(run("validate", "--json", manifest(BROKEN), check=2).stdout)
    assert {problem["line"] for problem in found} == {4, 6, 9}
    assert {problem["severity"] for problem in found} == {"error"}


def test_validate_knows_where_files_may_go(manifest, root):
    """A target below no allowed folder is a problem with line and column, where a configuration is found."""
    done = run("validate", "--root", root, manifest(GOOD.format(target="/elsewhere")), check=2)
    assert ":5:15: spec.target_dir: /elsewhere lies below no allowed folder" in done.stdout


def test_validate_of_nothing_is_not_found(tmp_path):
    """A path that is not there is exit 4 and says what to do."""
    done = run("validate", tmp_path / "no.yml", check=4)
    assert "what to do" in done.stderr


def test_status_before_any_daemon(root):
    """Nothing has run: that is said, with what to do."""
    done = run("status", "--root", root, "--state", root.parent / "state", check=4)
    assert "no daemon has worked on" in done.stderr


def test_a_job_that_cannot_complete_is_told_and_shown(root, manifest):
    """`run --once` exits 3; `status` and `job show` say why."""
    manifest(GOOD.format(target="library"))
    where = ("--root", root, "--state", root.parent / "state")
    done = run("run", "--once", *where, check=3)
    assert "no peer offers it" in done.stdout
    (job,) = json.loads(run("status", "--json", *where, check=0).stdout)
    assert (job["state"], job["attempts"], job["tracks_total"]) == ("failed", 1, 1)
    assert job["retry_at"] is not None
    run("run", "--once", *where, check=3)  # asked for by hand: tried again at once, whatever the backoff says
    (again,) = json.loads(run("status", "--json", *where, check=0).stdout)
    assert again["attempts"] == 2
    shown = run("job", "show", job["job_id"][:10].lower(), *where, check=0).stdout
    assert "no peer offers it" in shown
    assert "Status: " in run("job", "trace", job["job_id"], *where, check=0).stdout
    assert run("job", "show", "01ZZZZ", *where).returncode == 4


def test_a_bad_configuration_starts_nothing(root):
    """Every problem of the configuration, exit 78."""
    (root / "reconciler.yml").write_text("mesh: {overlay: {lisen: x}}\nlibary: {}\n")
    done = run("run", "--once", "--root", root, "--state", root.parent / "state", check=78)
    assert "did you mean listen?" in done.stderr
    assert "did you mean library?" in done.stderr
    assert not (root.parent / "state").exists()


def test_a_bad_variable_is_named_and_no_file_blamed(root, monkeypatch):
    """The configuration is good; the environment is not."""
    monkeypatch.setenv("RECONCILER__API__LISTEN", "a..b:5031")
    with pytest.raises(BadConfigurationError) as caught:
        settings_in(root)
    assert caught.value.message.startswith("api.listen: RECONCILER__API__LISTEN: `a..b:5031` does not begin with ")


def test_a_naming_template_with_an_unknown_word_is_bad_configuration(root):
    """Found before anything starts, with a suggestion."""
    (root / "reconciler.yml").write_text('library: {naming: "{albun}/{title}"}\n')
    done = run("run", "--once", "--root", root, "--state", root.parent / "state", check=78)
    assert "library.naming" in done.stderr
    assert "album" in done.stderr


def test_a_second_daemon_is_refused(root):
    """One state folder, one daemon; the second exits 75 and says who holds it."""
    state = root.parent / "state"
    with InstanceLock(state):
        done = run("run", "--once", "--root", root, "--state", state, check=75)
    assert "works on" in done.stderr
    run("run", "--once", "--root", root, "--state", state, check=0)


def test_run_without_a_root_says_how_to_make_one(tmp_path):
    """A newcomer's first mistake."""
    done = run("run", "--root", tmp_path, check=4)
    assert "reconciler init" in done.stderr


def test_usage_errors_are_exit_2():
    """An unknown option or command."""
    assert run("run", "--bogus").returncode == 2
    assert run("dance").returncode == 2


@pytest.mark.parametrize(
    "words",
    [[name] for name in cli.list_commands(None) if name != "job"]
    + [["job", name] for name in cli.get_command(None, "job").commands],
    ids=" ".join,
)
def test_every_command_explains_itself_with_examples(words):
    """`--help` of each command."""
    result = CliRunner().invoke(cli, [*words, "--help"])
    assert result.exit_code == 0
    assert "Example" in result.output
