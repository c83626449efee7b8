"""The status of every job as commits on a ref of this machine's own; against git itself."""

import asyncio
import subprocess
from dataclasses import replace

import pytest
from loguru import logger

from reconciler.ids import JobId
from reconciler.manifests.model import Condition, JobState, JobType
from reconciler.reconcile.status_ref import StatusRef, ref_of
from reconciler.state.database import Database
from reconciler.state.jobs import JobStore
from reconciler.state.records import JobRecord

FIRST, SECOND = JobId("01HRQ4GSX9K47J7M5FK7VW8B12"), JobId("01HRQ4GSX9K47J7M5FK7VW8B13")


class Repository:
    """A person's repository, with a daemon's database beside it."""

    def __init__(self, folder, store):
        self.folder = folder
        self.store = store
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("config", "user.name", "A Person")
        self.git("config", "user.email", "person@example.org")
        (folder / "mine.txt").write_text("mine")
        self.git("add", ".")
        self.git("commit", "--quiet", "--message=mine")

    def git(self, *words):
        words = ["git", "-C", self.folder, *words]
        return subprocess.run(words, capture_output=True, text=True, timeout=240, check=True).stdout

    def ref(self, node="nas"):
        return StatusRef(root=self.folder, node=node, store=self.store, interval_s=60.0)

    def put(self, job_id, state, **fields):
        said = (Condition(type="Ready", status="False", reason="Fetching"),)
        record = JobRecord(job_id=job_id, path=f"jobs/active/{job_id[-2:]}.yml", job_type=JobType.MB_RELEASE,
                           spec_digest="sha256:" + "0" * 64, state=state, conditions=said, **fields)  # fmt: skip
        self.store.put(record)
        return record

    def commits(self, ref="refs/reconciler/status/nas"):
        listed = self.git("for-each-ref", "--format=%(refname)", ref)
        return int(self.git("rev-list", "--count", ref)) if listed else 0


@pytest.fixture
def repository(tmp_path):
    (tmp_path / "root").mkdir()
    database = Database.open(tmp_path / "state" / "reconciler.db")
    yield Repository(tmp_path / "root", JobStore(database))
    database.close()


@pytest.fixture
def warnings():
    lines = []
    sink = logger.add(lambda message: lines.append(message.record["message"]), level="WARNING")
    yield lines
    logger.remove(sink)


def test_a_status_is_committed_and_nothing_of_the_person_is_touched(repository):
    """The commit is on the ref, with the block as the manifest has it; branch, index and folder are as they were."""
    repository.put(FIRST, JobState.RUNNING)
    (repository.folder / "mine.txt").write_text("half done")
    before = repository.git("status", "--short", "--branch"), repository.git("rev-parse", "HEAD")
    commit = repository.ref().commit()
    assert repository.git("rev-parse", "refs/reconciler/status/nas").strip() == commit
    assert (repository.git("status", "--short", "--branch"), repository.git("rev-parse", "HEAD")) == before
    text = repository.git("show", f"{commit}:{FIRST}.yml")
    assert text.startswith(f"job_id: {FIRST}\npath: jobs/active/12.yml\nstatus:\n  state: running\n")
    assert repository.git("log", "-1", "--format=%an|%s|%(trailers:only,unfold)", commit) == (
        f"reconciler|job {FIRST}: running (Fetching)|Node: nas\nJob-Id: {FIRST}\nSpec-Digest: sha256:{'0' * 64}\n\n"
    )


def test_only_what_changed_makes_a_commit(repository):
    """Nothing new is no commit; a change is one, on top of the last, and says from what to what."""
    ref = repository.ref()
    record = repository.put(FIRST, JobState.RUNNING)
    repository.put(SECOND, JobState.PENDING)
    first = ref.commit()
    assert ref.commit() is None
    repository.store.put(replace(record, state=JobState.COMPLETED, completed_at=2.0))
    second = ref.commit()
    assert repository.git("rev-parse", f"{second}~1").strip() == first
    assert repository.git("log", "-1", "--format=%s", second) == f"job {FIRST}: running -> completed (Fetching)\n"
    assert repository.git("diff", "--name-only", first, second) == f"{FIRST}.yml\n"
    assert repository.git("log", "-1", "--format=%s", first) == "2 jobs: 1 pending, 1 running\n"


def test_a_restart_makes_no_empty_commit(repository):
    """A new daemon knows nothing of what was committed; the tree says that it is the same."""
    repository.put(FIRST, JobState.RUNNING)
    assert repository.ref().commit() is not None
    assert repository.ref().commit() is None
    assert repository.commits() == 1


def test_it_works_while_a_person_holds_the_lock_of_their_index(repository):
    """Git of a person in the middle of something is no reason to wait: the index is our own."""
    (repository.folder / ".git" / "index.lock").write_text("")
    repository.put(FIRST, JobState.RUNNING)
    assert repository.ref().commit() is not None
    assert (repository.folder / ".git" / "index.lock").exists()


def test_another_repository_in_the_environment_is_not_used(repository, tmp_path, monkeypatch):
    """A daemon that was started from a hook or an alias works where its root folder is."""
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    repository.put(FIRST, JobState.RUNNING)
    commit = repository.ref().commit()
    monkeypatch.undo()
    assert repository.git("rev-parse", "refs/reconciler/status/nas").strip() == commit


def test_a_ref_that_somebody_else_moved_is_built_upon(repository):
    """What stands there is kept: the next commit is on top of it, with files that are not ours still in it."""
    ref = repository.ref()
    record = repository.put(FIRST, JobState.RUNNING)
    ref.commit()
    repository.git("update-ref", ref.ref, "main")
    repository.store.put(replace(record, state=JobState.FAILED))
    commit = ref.commit()
    assert repository.git("rev-parse", f"{commit}~1") == repository.git("rev-parse", "main")
    assert repository.git("ls-tree", "--name-only", commit) == f"{FIRST}.yml\nmine.txt\n"


def test_no_repository_is_said_once_and_made_good_later(repository, warnings):
    """A reason is said when it is new; once the repository is there the status is committed."""
    (repository.folder / ".git").rename(repository.folder / "away")
    repository.put(FIRST, JobState.RUNNING)
    ref = repository.ref()
    assert (ref.commit(), ref.commit()) == (None, None)
    assert warnings == ["status not committed"]
    (repository.folder / "away").rename(repository.folder / ".git")
    assert ref.commit() is not None


def test_nothing_is_committed_before_the_interval_is_over(repository, virtual_loop):
    """One batch in 60 seconds, however often the status changes."""
    ref = repository.ref()
    counts = []

    async def watch():
        task = asyncio.ensure_future(ref.keep_committing())
        record = repository.put(FIRST, JobState.RUNNING)
        for number in range(13):
            await asyncio.sleep(10)
            await asyncio.to_thread(repository.store.put, replace(record, attempts=number))
            counts.append((asyncio.get_running_loop().time(), repository.commits()))
        task.cancel()

    virtual_loop.run(watch())
    assert all(commits <= time // 60 for time, commits in counts)
    assert counts[-1][1] >= 1


@pytest.mark.parametrize(
    ("node", "name"),
    [("nas", "nas"), ("my nas.local", "my-nas-local"), ("../../heads/main", "heads-main"), ("é🎵", "node"),
     ("a.lock", "a-lock")],
)  # fmt: skip
def test_a_node_s_name_becomes_a_ref_that_git_takes(node, name):
    """Whatever a machine is called, the ref lies below ours and git accepts it."""
    assert ref_of(node) == f"refs/reconciler/status/{name}"
    subprocess.run(["git", "check-ref-format", ref_of(node)], check=True)
