"""`job export`, `job import` and `job resume --from`: what a person sees of them, and their exit codes."""

import json

import pytest
from click.exceptions import Exit
from click.testing import CliRunner
from odd_manifests import ALBUM, JOB

from reconciler.cli.main import cli
from reconciler.errors import BadConfigurationError, ExitCode, InvalidInputError, NotFoundError

NAMED = ALBUM.replace(b"job_type", f"job_id: {JOB}\njob_type".encode(), 1)
STATUS = b"status: {state: failed, node: nas}\n"


@pytest.fixture
def root(tmp_path):
    for name in ("active", "completed"):
        (tmp_path / "root" / "jobs" / name).mkdir(parents=True)
    return tmp_path / "root"


def job(root, *words, given=None, code=0):
    """Run a command in this process; gives what it printed, on both ways out."""
    where = ["--root", str(root), "--state", str(root.parent / "state")]
    result = CliRunner().invoke(cli, ["job", *map(str, words), *where], input=given, standalone_mode=False)
    if result.exception is not None and not isinstance(result.exception, Exit):
        raise result.exception
    ended = result.exception.exit_code if result.exception is not None else result.return_value or 0
    assert ended == code, result.output
    return result


def test_a_manifest_goes_out_and_comes_in_through_a_pipe(root):
    """Bytes alone on standard output, and nothing of them changed."""
    (root / "jobs" / "active" / "x.yml").write_bytes(NAMED + STATUS)
    out = job(root, "export", "01hrq4", "--output", "-")
    assert out.stdout_bytes == NAMED + STATUS
    (root / "jobs" / "active" / "x.yml").unlink()
    told = job(root, "import", "--manifest", "-", given=out.stdout_bytes)
    assert told.stdout == f"imported jobs/active/{JOB}.yml: job {JOB}; where it came from it was failed on nas\n"
    assert (root / "jobs" / "active" / f"{JOB}.yml").read_bytes() == NAMED
    again = job(root, "import", "--manifest", "-", given=out.stdout_bytes)
    assert again.stdout == f"here already: jobs/active/{JOB}.yml: job {JOB}\n"


def test_an_export_goes_where_it_is_told_or_into_its_folder(root, tmp_path):
    """The second time nothing is written, and that is said."""
    (root / "jobs" / "active" / "x.yml").write_bytes(NAMED)
    assert job(root, "export", JOB).stdout == f"wrote jobs/exported/x.yml: job {JOB}\n"
    assert job(root, "export", JOB).stdout == f"as it was already: jobs/exported/x.yml: job {JOB}\n"
    told = json.loads(job(root, "export", JOB, "--json", "--output", tmp_path / "y.yml").stdout)
    assert told == {"job_id": JOB, "path": str(tmp_path / "y.yml"), "changed": True, "notes": []}
    assert (tmp_path / "y.yml").read_bytes() == NAMED
    with pytest.raises(NotFoundError):
        job(root, "export", "01X")


def test_a_folder_ends_with_a_table_and_its_own_exit_code(root, tmp_path):
    """Each problem with file, line and column; the others are taken in; the same again takes in none."""
    folder = tmp_path / "from"
    folder.mkdir()
    (folder / "bad.yml").write_bytes(NAMED.replace(b"title", b"titel"))
    (folder / "good.yml").write_bytes(NAMED)
    told = job(root, "import", "--directory", folder, code=ExitCode.NOT_ALL_COMPLETED)
    assert f"{folder}/bad.yml:7:3: spec.titel: unknown field, did you mean title?" in told.stderr
    assert told.stderr.endswith("1 imported, 0 here already, 1 refused\n")
    rows = [line.split() for line in told.stdout.splitlines()]
    assert rows[0] == ["RESULT", "JOB", "FILE", "FROM", "WAS", "NOTE"]
    assert [row[0] for row in rows[1:]] == ["refused", "imported"]
    assert "jobs/active/good.yml" in rows[2]
    outcomes = json.loads(job(root, "resume", "--from", folder, "--json", code=ExitCode.NOT_ALL_COMPLETED).stdout)
    assert [outcome["result"] for outcome in outcomes] == ["refused", "unchanged"]
    assert outcomes[0]["problems"][0]["pointer"] == "spec.titel"
    job(root, "import", "--manifest", folder / "bad.yml", code=ExitCode.INVALID_INPUT)


def test_resume_takes_a_whole_root_folder(root, tmp_path):
    """Another machine's, or a back-up: its jobs/active is meant."""
    (tmp_path / "old" / "jobs" / "active").mkdir(parents=True)
    (tmp_path / "old" / "jobs" / "active" / "x.yml").write_bytes(NAMED + STATUS)
    told = job(root, "resume", "--from", tmp_path / "old")
    assert told.stderr.endswith("1 imported, 0 here already, 0 refused\n")
    assert (root / "jobs" / "active" / "x.yml").read_bytes() == NAMED


@pytest.mark.parametrize(
    "words",
    [("import",), ("import", "--manifest", "a", "--directory", "b"), ("resume",), ("resume", JOB, "--from", "a")],
)
def test_what_is_meant_is_said_by_exactly_one_of_two(root, words):
    """Neither, or both, is a question and not a guess."""
    with pytest.raises(InvalidInputError, match=r"nothing says|both given"):
        job(root, *words)


def test_a_configuration_with_mistakes_stops_an_import(root):
    """It says where files may go; without it none can be judged."""
    (root / "reconciler.yml").write_text("libary: {}\n")
    with pytest.raises(BadConfigurationError):
        job(root, "import", "--manifest", "-", given=NAMED)
