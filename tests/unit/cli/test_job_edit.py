"""`job suspend|resume|cancel|retry`: one line in the person's file, and what is refused."""

import json
import re

import pytest
from click.testing import CliRunner

from reconciler.cli.main import cli
from reconciler.errors import InvalidInputError, NotFoundError, ReconcilerError
from reconciler.ids import JobId
from reconciler.manifests.edit import EditRefusedError
from reconciler.manifests.model import JobType, Suspend
from reconciler.manifests.read import read_manifest
from reconciler.state.database import Database
from reconciler.state.jobs import JobStore

JOB = JobId("01HRQ4GSX9K47J7M5FK7VW8B12")
MANIFEST = f"""\
# mine
manifest_version:   "1.0"
job_id: {JOB}   # kept
job_type: mb_release
spec:
    # a comment
    mb_release_id: c0d0c0a4-4a26-4d74-9c02-67c9321b3b22
    target_dir: library
    tracks:
    - {{position: 1, title: A, mb_recording_id: e2f5e9b4-5852-4cd3-b1f9-29a7a4a234bc}}
# the end
"""
IN_BRACES = "spec: {mb_release_id: c0d0c0a4-4a26-4d74-9c02-67c9321b3b22, target_dir: library}\n"


@pytest.fixture
def root(tmp_path):
    """A root folder whose daemon has seen one job."""
    root = tmp_path / "root"
    (root / "jobs" / "active").mkdir(parents=True)
    (root / "jobs" / "active" / "wish.yml").write_text(MANIFEST)
    database = Database.open(tmp_path / "state" / "reconciler.db")
    JobStore(database).observe_spec(
        JOB, path="jobs/active/wish.yml", job_type=JobType.MB_RELEASE, spec_digest="sha256:x", now=0.0
    )
    database.close()
    return root


def job(root, *words):
    """Run a command in this process; gives its output as data, or raises what it ended with."""
    where = ["--root", str(root), "--state", str(root.parent / "state"), "--json"]
    result = CliRunner().invoke(cli, ["job", *words, *where])
    if result.exception is not None:
        raise result.exception
    return json.loads(result.stdout)


def text_of(root):
    return (root / "jobs" / "active" / "wish.yml").read_text()


def manifest_of(root):
    return read_manifest(text_of(root).encode()).manifest


def test_suspend_and_resume_are_one_line_there_and_back(root):
    """The line stands below `spec:`; taken out, the file is byte for byte as it was."""
    told = job(root, "suspend", "01hrq4", "--reason", "disk: full", "--until", "2099-01-01T00:00:00Z")
    assert told == {
        "job_id": JOB, "path": "jobs/active/wish.yml", "changed": True,
        "says": "spec.suspend: disk: full, 2099-01-01T00:00:00Z",
    }  # fmt: skip
    line = '    suspend: {reason: "disk: full", until: "2099-01-01T00:00:00Z"}\n'
    assert text_of(root) == MANIFEST.replace("spec:\n", f"spec:\n{line}")
    assert manifest_of(root).directives.suspend == Suspend(reason="disk: full", until="2099-01-01T00:00:00Z")
    assert job(root, "resume", JOB)["changed"]
    assert text_of(root) == MANIFEST
    assert not job(root, "resume", JOB)["changed"]


def test_suspend_replaces_what_was_said_before(root):
    """Without a reason it is `true`; the same again changes nothing."""
    job(root, "suspend", JOB, "--reason", "later")
    assert job(root, "suspend", JOB)["changed"]
    assert not job(root, "suspend", JOB)["changed"]
    assert text_of(root) == MANIFEST.replace("spec:\n", "spec:\n    suspend: true\n")


def test_until_may_be_a_time_from_now(root):
    """A duration is turned into the moment that it means."""
    job(root, "suspend", JOB, "--until", "3d")
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", manifest_of(root).directives.suspend.until)


def test_cancel_and_retry_write_their_fields(root):
    """`desired_state` below `spec:`, `reconcile_requested_at` below the identity."""
    job(root, "cancel", JOB)
    assert manifest_of(root).directives.desired_state == "cancelled"
    told = job(root, "retry", JOB)
    requested = manifest_of(root).reconcile_requested_at
    assert told["says"] == f"reconcile_requested_at: {requested}"
    expected = MANIFEST.replace("spec:\n", "spec:\n    desired_state: cancelled\n")
    assert text_of(root) == expected.replace("# kept\n", f"# kept\nreconcile_requested_at: {requested}\n")


@pytest.mark.parametrize(
    ("until", "why"),
    [("soon", "'soon' is not an RFC 3339 time"), ("2001-01-01T00:00:00Z", "is over"), ("3 days", "RFC 3339")],
)
def test_a_time_that_is_none_is_refused(root, until, why):
    """Nothing is written, and the two forms are named."""
    with pytest.raises(InvalidInputError, match=why) as refused:
        job(root, "suspend", JOB, "--until", until)
    assert "3d" in refused.value.hint
    assert text_of(root) == MANIFEST


@pytest.mark.parametrize(
    ("text", "error", "hint"),
    [
        (MANIFEST.replace("title: A", "titel: A"), InvalidInputError, "reconciler validate jobs/active/wish.yml"),
        (MANIFEST.replace(JOB, "01HRQ4GSX9K47J7M5FK7VW8B13"), NotFoundError, "`reconciler status` lists them"),
        ("broken: [", InvalidInputError, "reconciler validate jobs/active/wish.yml"),
        (re.sub(r"spec:.*\n# the", IN_BRACES + "# the", MANIFEST, flags=re.DOTALL), EditRefusedError,
         "write `suspend: true` below `spec:` by hand"),
    ],
    ids=["invalid", "another job", "not YAML", "in braces"],
)  # fmt: skip
def test_a_file_that_cannot_be_edited_is_left_alone(root, text, error, hint):
    """What it is, and what to do; not a byte is written."""
    path = root / "jobs" / "active" / "wish.yml"
    path.write_text(text)
    with pytest.raises(ReconcilerError) as refused:
        job(root, "suspend", JOB)
    assert (type(refused.value), refused.value.hint) == (error, hint)
    assert path.read_text() == text


def test_a_reason_that_no_manifest_may_hold_is_refused(root):
    """The edit is read again before it is published."""
    with pytest.raises(InvalidInputError):
        job(root, "suspend", JOB, "--reason", "bell \x07")
    assert text_of(root) == MANIFEST


def test_a_manifest_that_is_gone_or_done_is_said(root):
    """No file, or one in `jobs/completed`: there is nothing to edit."""
    (root / "jobs" / "active" / "wish.yml").unlink()
    with pytest.raises(NotFoundError, match="is not there"):
        job(root, "retry", JOB)
    database = Database.open(root.parent / "state" / "reconciler.db")
    JobStore(database).observe_spec(
        JOB, path="jobs/completed/wish.yml", job_type=JobType.MB_RELEASE, spec_digest="sha256:x", now=0.0
    )
    database.close()
    with pytest.raises(InvalidInputError, match="has ended") as refused:
        job(root, "cancel", JOB)
    assert "jobs/active" in refused.value.hint


def test_an_edit_is_the_newest_version_for_syncthing(root):
    """The time of the file is that of the edit, so that it wins against a status that was written elsewhere."""
    path = root / "jobs" / "active" / "wish.yml"
    before = path.stat().st_mtime_ns
    job(root, "suspend", JOB)
    assert path.stat().st_mtime_ns > before + 1_000_000
