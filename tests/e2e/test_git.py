"""A real repository under a running daemon: checkout, stash, pull --rebase with a conflict."""

import contextlib
import subprocess
import threading

import pytest
from e2e.rig import command, environment, eventually, run

from reconciler.errors import NotFoundError, StateDamagedError
from reconciler.ids import JobId
from reconciler.manifests.read import read_manifest
from reconciler.state.database import Database
from reconciler.state.jobs import JobStore
from reconciler.state.sightings import SightingStore

JOBS = {name: JobId(f"01HRQ4GSX9K47J7M5FK7VW8B1{number}") for number, name in enumerate("abc")}
MANIFEST = """\
manifest_version: "1.0"
job_id: {job}
created_at: 2025-12-10T15:30:00Z
job_type: mb_release
labels: {{first: base}}
spec:
  mb_release_id: c0d0c0a4-4a26-4d74-9c02-67c9321b3b22
  title: base
  artist: Nobody
  target_dir: library
  tracks:
    - {{position: 1, title: A, mb_recording_id: e2f5e9b4-5852-4cd3-b1f9-29a7a4a234bc}}
  constraints:
    allow_lossy: false
"""


class Repository:
    """A root folder in a clone, its upstream, and the daemon that works in it."""

    def __init__(self, folder):
        self.root, self.state = folder / "root", folder / "state"
        self.upstream, self.elsewhere = folder / "upstream.git", folder / "elsewhere"
        self._log = folder / "daemon.txt"

    def git(self, *words, where=None, check=True):
        words = ["git", "-C", str(where or self.root), *words]
        person = environment(
            GIT_EDITOR="true",
            GIT_CONFIG_GLOBAL="/dev/null",
            GIT_AUTHOR_NAME="A Person",
            GIT_AUTHOR_EMAIL="person@example.org",
            GIT_COMMITTER_NAME="A Person",
            GIT_COMMITTER_EMAIL="person@example.org",
        )
        done = subprocess.run(words, capture_output=True, text=True, timeout=240, check=False, env=person)
        assert done.returncode == 0 or not check, done.stderr
        return done

    def path(self, name, where=None):
        return (where or self.root) / "jobs" / "active" / f"{name}.yml"

    def edit(self, name, old, new, where=None):
        """Replace a text of a manifest, which must be there."""
        path = self.path(name, where)
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def commit(self, message, where=None):
        self.git("commit", "--quiet", "--all", f"--message={message}", where=where)

    def digest(self, name):
        """Of the spec as it stands in the folder."""
        return read_manifest(self.path(name).read_bytes()).manifest.spec_digest

    @contextlib.contextmanager
    def daemon(self):
        words = command("run", "--root", self.root, "--state", self.state)
        with self._log.open("ab") as log, subprocess.Popen(words, stdout=log, stderr=log) as process:
            try:
                yield
            finally:
                process.terminate()
        assert "program error" not in self._log.read_text()

    @contextlib.contextmanager
    def database(self):
        database = Database.open_read_only(self.state / "reconciler.db")
        try:
            yield database
        finally:
            database.close()

    def acted_on(self):
        """The digests of the specs that were acted on, the first one first, for each manifest."""
        try:
            with self.database() as database:
                store = JobStore(database)
                return {name: [digest for digest, _ in reversed(store.acted_on(job))] for name, job in JOBS.items()}
        except (NotFoundError, StateDamagedError):
            return None  # the daemon has not made its database yet

    def await_acted(self, expected):
        """Wait until exactly these specs were acted on."""
        eventually(lambda: self.acted_on() == expected, f"acted on {expected}, not {self.acted_on()}")

    def hold(self):
        """Why everything is held; empty where it is not."""
        with self.database() as database:
            return " ".join(hold.reason for hold in SightingStore(database).holds())


@pytest.fixture
def repository(tmp_path):
    """Three manifests, committed and pushed; the status is kept beside them, so that git sees no change."""
    made = Repository(tmp_path)
    run("init", "--root", made.root, check=0)
    made.git("init", "--quiet", "--initial-branch=main")
    run("init", "--root", made.root, "--git", check=0)
    (made.root / "reconciler.yml").write_text("status: {mode: sidecar}\n")
    for name, job in JOBS.items():
        made.path(name).write_text(MANIFEST.format(job=job))
    made.git("add", ".")
    made.commit("wishes")
    made.git("clone", "--quiet", "--bare", str(made.root), str(made.upstream), where=tmp_path)
    made.git("clone", "--quiet", str(made.upstream), str(made.elsewhere), where=tmp_path)
    made.git("remote", "add", "origin", str(made.upstream))
    made.git("fetch", "--quiet", "origin")
    made.git("branch", "--quiet", "--set-upstream-to=origin/main")
    return made


def test_a_rebase_that_stops_is_waited_for(repository):
    """Nothing is acted on while it is unfinished: neither upstream's half nor the markers nor what the stash left."""
    first = {name: repository.digest(name) for name in JOBS}
    for name in JOBS:  # somebody else changes every title
        repository.edit(name, "title: base", "title: theirs", where=repository.elsewhere)
    repository.commit("theirs", where=repository.elsewhere)
    repository.git("push", "--quiet", where=repository.elsewhere)
    with repository.daemon():
        repository.await_acted({name: [digest] for name, digest in first.items()})
        repository.edit("a", "title: base", "title: ours")
        repository.commit("a title")
        repository.edit("b", "allow_lossy: false", "allow_lossy: true")
        repository.commit("b constraint")
        repository.edit("c", "{first: base}", "{first: ours}")  # not committed: the stash takes it
        ours = {name: repository.digest(name) for name in JOBS}
        acted = {name: [first[name], ours[name]] for name in JOBS}
        repository.await_acted(acted)

        stopped = repository.git("pull", "--rebase", "--autostash", check=False)
        assert stopped.returncode != 0, "the titles of a are in conflict"
        assert "<<<<<<<" in repository.path("a").read_text()
        assert "allow_lossy: false" in repository.path("b").read_text(), "our commit is not replayed yet"
        assert "{first: base}" in repository.path("c").read_text(), "our edit is in the stash"
        eventually(lambda: repository.hold() == "MergeInProgress", "the hold is said")
        explained = run("job", "explain", JOBS["b"], "--root", repository.root, "--state", repository.state, check=0)
        assert "Now:        hold: MergeInProgress: a rebase is not finished" in explained.stdout
        assert repository.acted_on() == acted

        repository.path("a").write_text(MANIFEST.format(job=JOBS["a"]).replace("title: base", "title: both"))
        repository.git("add", "jobs/active/a.yml")
        repository.git("rebase", "--continue")
        last = {name: repository.digest(name) for name in JOBS}
        assert all(last[name] not in acted[name] for name in JOBS)
        repository.await_acted({name: [*acted[name], last[name]] for name in JOBS})
        eventually(lambda: repository.hold() == "", "the hold is over")


def test_a_slow_checkout_is_waited_for_and_what_it_takes_away_is_not_given_up(repository):
    """While git writes file after file nothing is acted on; a manifest that a branch does not have may come back."""
    first = {name: repository.digest(name) for name in JOBS}
    repository.git("checkout", "--quiet", "-b", "side")
    repository.edit("a", "title: base", "title: side")
    repository.edit("b", "title: base", "title: side")
    repository.git("rm", "--quiet", "jobs/active/c.yml")
    repository.commit("side")
    side = {name: repository.digest(name) for name in ("a", "b")}
    repository.git("checkout", "--quiet", "main")
    # A filter makes git as slow as a large folder does; the lock of its index is there all the while.
    repository.git("config", "filter.slow.smudge", "sleep 1; cat")
    (repository.root / ".git" / "info" / "attributes").write_text("/jobs/active/*.yml filter=slow\n")
    with repository.daemon():
        before = {name: [digest] for name, digest in first.items()}
        repository.await_acted(before)
        seen = during(lambda: repository.git("checkout", "--quiet", "side"), lambda: moment(repository))
        assert any("title: side" in a and "title: side" not in b for a, b, _ in seen), "no look between two files"
        assert all(acted == before for _, _, acted in seen)
        repository.await_acted({"a": [first["a"], side["a"]], "b": [first["b"], side["b"]], "c": [first["c"]]})
        repository.git("checkout", "--quiet", "main")
        after = {name: [first[name], side[name], first[name]] for name in ("a", "b")}
        repository.await_acted({**after, "c": [first["c"]]})
        with repository.database() as database:
            record = JobStore(database).get(JOBS["c"])
        assert (record.generation, record.gone_at, record.state) == (1, None, "failed")


def during(work, look):
    """Every look that was had while `work` was done."""
    looks, done = [], threading.Event()

    def keep_looking():
        while not done.wait(0.02):
            looks.append(look())

    looking = threading.Thread(target=keep_looking)
    looking.start()
    try:
        work()
    finally:
        done.set()
        looking.join()
    return looks


def moment(repository):
    """Manifests a and b as they are, then what was acted on before that could be known."""
    acted = repository.acted_on()
    return _text(repository.path("a")), _text(repository.path("b")), acted


def _text(path):
    """What a manifest says; nothing while git has taken it away."""
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""
