"""Whether git is in the middle of something, by what it leaves in its folder; and with git itself."""

import os
import subprocess

import pytest

from reconciler.reconcile.git_state import INDEX_LOCK_S_MAX, git_folder_of, unfinished

NOW = 1_000_000.0


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("rebase-merge", "rebase"),
        ("rebase-apply", "rebase"),
        ("MERGE_HEAD", "merge"),
        ("CHERRY_PICK_HEAD", "cherry-pick"),
        ("REVERT_HEAD", "revert"),
        ("BISECT_LOG", "bisection"),
    ],
)
def test_each_unfinished_work_has_its_file(tmp_path, name, what):
    """A person is told which, and where git keeps it."""
    (tmp_path / name).mkdir()
    told = unfinished(tmp_path, now_unix_s=NOW)
    assert what in told
    assert str(tmp_path / name) in told


def test_a_folder_at_rest_is_free(tmp_path):
    """What git always has there says nothing."""
    (tmp_path / "index").touch()
    (tmp_path / "HEAD").touch()
    assert unfinished(tmp_path, now_unix_s=NOW) == ""


@pytest.mark.parametrize(("age_s", "busy"), [(0.0, True), (INDEX_LOCK_S_MAX - 1, True), (INDEX_LOCK_S_MAX, False)])
def test_a_lock_counts_while_its_git_may_live(tmp_path, age_s, busy):
    """One that was left behind holds nothing up for ever."""
    lock = tmp_path / "index.lock"
    lock.touch()
    os.utime(lock, (NOW - age_s, NOW - age_s))
    assert bool(unfinished(tmp_path, now_unix_s=NOW)) == busy


def test_the_repository_above_is_found(tmp_path):
    """The folder of manifests is seldom its top."""
    (tmp_path / ".git").mkdir()
    folder = tmp_path / "music" / "jobs" / "active"
    folder.mkdir(parents=True)
    assert git_folder_of(folder) == tmp_path / ".git"


@pytest.mark.parametrize("text", [b"gitdir: ../elsewhere/git\n", b"not a pointer", b"\xff" * 10_000])
def test_a_file_in_the_place_of_the_folder_may_point_to_it(tmp_path, text):
    """A worktree's does; anything else is no repository."""
    (tmp_path / ".git").write_bytes(text)
    expected = tmp_path / "../elsewhere/git" if text.startswith(b"gitdir") else None
    assert git_folder_of(tmp_path) == expected


def git(folder, *arguments, fails=False):
    """Run git in a folder, apart from a person's own settings."""
    done = subprocess.run(
        ["git", "-c", "user.name=A", "-c", "user.email=a@example.org", *arguments],
        cwd=folder,
        env={**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"},
        capture_output=True,
        check=False,
    )
    assert (done.returncode != 0) == fails, done.stderr


@pytest.mark.package("git")
@pytest.mark.parametrize("worktree", [False, True], ids=["clone", "worktree"])
def test_a_real_rebase_that_meets_a_conflict_is_seen_until_it_is_ended(tmp_path, worktree):
    """In a repository, and in a worktree whose state lies elsewhere."""
    main = tmp_path / "main"
    main.mkdir()
    git(main, "init", "-b", "main")
    for text in ("one", "two"):
        (main / "a.yml").write_text(text)
        git(main, "add", ".")
        git(main, "commit", "-m", text)
    folder = main
    if worktree:
        folder = tmp_path / "other"
        git(main, "worktree", "add", "-b", "other", str(folder), "HEAD~1")
    else:
        git(main, "checkout", "-b", "other", "HEAD~1")
    (folder / "a.yml").write_text("three")
    git(folder, "commit", "-am", "three")
    now = (folder / "a.yml").stat().st_mtime + 1
    found = git_folder_of(folder)
    assert unfinished(found, now_unix_s=now) == ""
    git(folder, "rebase", "main", fails=True)
    assert "rebase" in unfinished(found, now_unix_s=now)
    git(folder, "rebase", "--abort")
    assert unfinished(found, now_unix_s=now) == ""
