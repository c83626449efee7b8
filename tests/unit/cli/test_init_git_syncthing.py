"""A root folder made ready for git and Syncthing: what is written, what is left alone, and that it does its work."""

import json
import os
import subprocess

import pytest
from e2e.rig import environment, run

GOOD = """\
manifest_version: "1.0"
job_type: mb_release
spec:
  mb_release_id: c0d0c0a4-4a26-4d74-9c02-67c9321b3b22
  target_dir: library
  tracks:
    - {position: 1, title: A, mb_recording_id: e2f5e9b4-5852-4cd3-b1f9-29a7a4a234bc}
"""


class Clone:
    """A repository, and a root folder in it."""

    def __init__(self, top, root):
        self.top = top
        self.root = root
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("config", "user.name", "A Person")
        self.git("config", "user.email", "person@example.org")

    def git(self, *words, check=True):
        done = subprocess.run(["git", "-C", self.top, *words], capture_output=True, text=True, timeout=240, check=False)
        assert done.returncode == 0 or not check, done.stderr
        return done

    def init(self, *options):
        return json.loads(run("init", "--root", self.root, "--json", *options, check=0).stdout)

    def write(self, name, text):
        path = self.root / "jobs" / "active" / name
        path.write_text(text)
        return path


@pytest.fixture(params=["", "music/it's mine"], ids=["top", "below"])
def clone(tmp_path, request):
    (tmp_path / "top").mkdir()
    return Clone(tmp_path / "top", tmp_path / "top" / request.param)


def test_git_init_makes_what_is_missing_and_says_nothing_twice(clone):
    """The files, the folders that git would drop, the hook; a second time nothing."""
    first = clone.init("--git")
    hook = clone.top / ".git" / "hooks" / "pre-commit"
    assert {".gitignore", ".gitattributes", "jobs/active/.gitkeep", "jobs/completed/.gitkeep"} < set(first["made"])
    assert os.access(hook, os.X_OK)
    assert first["notes"] == []
    assert clone.init("--git") == {"root": str(clone.root), "made": [], "notes": []}
    assert clone.git("config", "--get-regexp", "^filter", check=False).stdout == ""


def test_the_filter_is_set_up_for_the_clone_only_when_asked_for(clone):
    """`--git-filter` sets it, works at once, and leaves another setting alone."""
    assert "filter.reconciler-status.process in .git/config" in clone.init("--git-filter")["made"]
    clone.write("a.yml", GOOD + "status:\n  state: running\n")
    clone.git("add", ".")
    prefix = clone.root.relative_to(clone.top).as_posix().removeprefix(".")
    assert "status" not in clone.git("show", f":{prefix}{'/' if prefix else ''}jobs/active/a.yml").stdout
    clone.git("config", "filter.reconciler-status.process", "mine")
    (note,) = clone.init("--git-filter")["notes"]
    assert "is `mine` and stays so" in note
    assert clone.git("config", "filter.reconciler-status.process").stdout == "mine\n"


def test_the_hook_checks_what_would_be_committed(clone):
    """A mistake in the index stops the commit and is shown with its place; one in the folder alone does not."""
    clone.init("--git")
    path = clone.write("wish.yml", GOOD.replace("title: A", "titel: A"))
    clone.git("add", ".")
    refused = clone.git("commit", "--message=wish", check=False)
    assert refused.returncode != 0
    assert "jobs/active/wish.yml:7:21: spec.tracks[0].titel: unknown field, did you mean title?" in (
        refused.stdout + refused.stderr
    )
    path.write_text(GOOD)
    assert clone.git("commit", "--message=wish", check=False).returncode != 0, "the index has the mistake still"
    clone.git("add", ".")
    path.write_text("broken: [")
    clone.git("commit", "--message=wish")
    (clone.top / "other.txt").write_text("not a manifest")
    clone.git("add", "other.txt")
    clone.git("commit", "--message=other")


def test_a_clone_without_this_program_can_commit(clone):
    """The hook outlives a virtual environment: it says that nothing was checked."""
    clone.init("--git")
    hook = clone.top / ".git" / "hooks" / "pre-commit"
    hook.write_text(hook.read_text().replace("/python", "/nothing-here"))
    clone.write("wish.yml", "broken: [")
    clone.git("add", ".")
    words = ["git", "-C", clone.top, "commit", "--message=wish"]
    bare = environment(PATH="/usr/bin:/bin")
    done = subprocess.run(words, capture_output=True, text=True, timeout=240, check=True, env=bare)
    assert "manifests are not checked" in done.stderr


def test_a_hook_and_rules_of_a_person_stay(clone):
    """What is there is not written over; what to add to it is said."""
    clone.root.mkdir(parents=True, exist_ok=True)
    hook = clone.top / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 0\n")
    (clone.root / ".gitignore").write_text("# mine\n/logs/\n")
    notes = clone.init("--git")["notes"]
    assert hook.read_text() == "#!/bin/sh\nexit 0\n"
    assert (clone.root / ".gitignore").read_text() == "# mine\n/logs/\n"
    ignored, hooked = notes
    assert "    /library/\n" in ignored
    assert "/logs/" not in ignored
    assert hooked.endswith("-m reconciler validate jobs/active || exit 1")


def test_hooks_that_stand_elsewhere_are_left_to_the_person(clone):
    """Where `core.hooksPath` is set the hooks belong to another tool."""
    clone.git("config", "core.hooksPath", "hooks")
    (note,) = clone.init("--git")["notes"]
    assert "core.hooksPath is set" in note
    assert not (clone.top / "hooks").exists()


def test_without_a_repository_the_files_are_made_and_the_rest_is_said(tmp_path):
    """No repository is made behind a person's back."""
    done = run("init", "--root", tmp_path / "root", "--git", check=0)
    assert "is in no git repository" in done.stdout
    assert (tmp_path / "root" / ".gitignore").exists()
    assert not (tmp_path / "root" / ".git").exists()


def test_what_the_daemon_makes_is_ignored_and_what_a_person_writes_is_not(clone):
    """`git status` after a while of work shows manifests and configuration, nothing else."""
    clone.init("--git")
    for name in ("jobs/status/01.nas.yml", "logs/sessions/a.log", "library/x.flac", "jobs/active/.syncthing.a.tmp",
                 "jobs/active/a.sync-conflict-20260101-000000-ABCDEFG.yml", "jobs/active/a.yml~"):  # fmt: skip
        (clone.root / name).parent.mkdir(parents=True, exist_ok=True)
        (clone.root / name).write_text("x")
    clone.write("a.yml", GOOD)
    clone.git("add", ".")
    staged = clone.git("diff", "--cached", "--name-only", "-z").stdout.split("\0")
    prefix = clone.root.relative_to(clone.top).as_posix().removeprefix(".")
    names = {name.removeprefix(prefix).removeprefix("/") for name in staged if name}
    assert names == {
        ".gitattributes", ".gitignore", "jobs/active/.gitkeep", "jobs/active/a.yml", "jobs/completed/.gitkeep",
        "jobs/example.yml", "reconciler.yml", "schemas/job-manifest.schema.json",
    }  # fmt: skip


def test_syncthing_init_makes_one_shared_list_and_includes_it(tmp_path):
    """Whichever folder is shared, its own file leads to the list; a person's own stays."""
    root = tmp_path / "root"
    root.mkdir()
    (root / ".stignore").write_text("/logs\n")
    made = json.loads(run("init", "--root", root, "--syncthing", "--json", check=0).stdout)
    assert {"jobs/.stignore", "jobs/.stignore-shared"} < set(made["made"])
    assert "#include .stignore-shared\n" in (root / "jobs" / ".stignore").read_text()
    assert (root / ".stignore").read_text() == "/logs\n"
    (note,) = made["notes"]
    assert note.splitlines()[1:] == ["    #include jobs/.stignore-shared", "    /library"]
