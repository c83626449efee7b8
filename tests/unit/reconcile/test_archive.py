"""The move of a finished manifest, and what may come in between."""

import pytest
from reconcile_builders import JOB, OTHER_JOB
from reconcile_world import release

from reconciler.manifests.read import read_manifest
from reconciler.reconcile import archive as module
from reconciler.reconcile.archive import archive


def digest_of(text):
    """The digest of the spec in a manifest."""
    return read_manifest(text.encode()).manifest.spec_digest


@pytest.fixture
def folders(tmp_path):
    """jobs/active and jobs/completed, empty."""
    active, completed = tmp_path / "active", tmp_path / "completed"
    active.mkdir()
    completed.mkdir()
    return active, completed


def test_a_finished_manifest_moves(folders):
    """Same bytes, other folder."""
    active, completed = folders
    (active / "a.yml").write_text(release(JOB))
    moved = archive(active / "a.yml", completed, job_id=JOB, spec_digest=digest_of(release(JOB)))
    assert moved == completed / "a.yml"
    assert moved.read_text() == release(JOB)
    assert list(active.iterdir()) == []


def test_moving_again_after_a_crash_gives_the_same_place(folders):
    """Moved and not recorded: the second call finds it there."""
    active, completed = folders
    (active / "a.yml").write_text(release(JOB))
    wanted = {"job_id": JOB, "spec_digest": digest_of(release(JOB))}
    first = archive(active / "a.yml", completed, **wanted)
    assert archive(active / "a.yml", completed, **wanted) == first


def test_a_manifest_that_asks_for_more_stays(folders):
    """An edit that was saved before the move keeps the file where it is acted on."""
    active, completed = folders
    (active / "a.yml").write_text(release(JOB, tracks=5))
    assert archive(active / "a.yml", completed, job_id=JOB, spec_digest=digest_of(release(JOB))) is None
    assert (active / "a.yml").exists()


def test_an_edit_saved_between_look_and_move_is_brought_back(folders, monkeypatch):
    """The editor's save goes through in the last moment: the file is in active again, as it was saved."""
    active, completed = folders
    (active / "a.yml").write_text(release(JOB))
    move = module.move_into
    saves = [release(JOB, tracks=5)]

    def save_and_move(path, folder, **named):
        path.write_text(saves.pop())
        return move(path, folder, **named)

    monkeypatch.setattr(module, "move_into", save_and_move)
    assert archive(active / "a.yml", completed, job_id=JOB, spec_digest=digest_of(release(JOB))) is None
    assert (active / "a.yml").read_text() == release(JOB, tracks=5)
    assert list(completed.iterdir()) == []


def test_a_manifest_in_both_folders_ends_in_one(folders):
    """As a crash leaves it that came between a copy and the removal, or Syncthing: the finished one wins."""
    active, completed = folders
    (completed / "a.yml").write_text(release(JOB) + "status:\n  state: completed\n")
    (active / "a.yml").write_text(release(JOB) + "status:\n  state: running\n")
    wanted = {"job_id": JOB, "spec_digest": digest_of(release(JOB))}
    assert archive(active / "a.yml", completed, **wanted) == completed / "a.yml"
    assert list(active.iterdir()) == []
    assert "state: completed" in (completed / "a.yml").read_text()
    assert [path.name for path in completed.iterdir()] == ["a.yml"]


def test_a_link_is_archived_as_a_link(folders, tmp_path):
    """What it leads to stays where it is."""
    active, completed = folders
    (tmp_path / "store.yml").write_text(release(JOB))
    (active / "a.yml").symlink_to("../store.yml")
    wanted = {"job_id": JOB, "spec_digest": digest_of(release(JOB))}
    moved = archive(active / "a.yml", completed, **wanted)
    assert moved == completed / "a.yml"
    assert (moved.is_symlink(), moved.resolve()) == (True, tmp_path / "store.yml")
    assert archive(active / "a.yml", completed, **wanted) == moved


def test_the_file_of_another_job_is_not_taken_for_this_one(folders):
    """The manifest is gone and another of its name is in completed: that one stays."""
    active, completed = folders
    (completed / "a.yml").write_text(release(OTHER_JOB))
    with pytest.raises(FileNotFoundError):
        archive(active / "a.yml", completed, job_id=JOB, spec_digest=digest_of(release(JOB)))
    assert (completed / "a.yml").exists()
    assert list(active.iterdir()) == []


def test_a_manifest_that_is_nowhere_is_an_error(folders):
    """Nothing to move, nothing moved."""
    active, completed = folders
    with pytest.raises(FileNotFoundError):
        archive(active / "a.yml", completed, job_id=JOB, spec_digest="sha256:x")


def test_another_manifest_of_the_same_name_is_not_overwritten(folders):
    """Two jobs may have used one name, one after the other."""
    active, completed = folders
    (completed / "a.yml").write_text(release(OTHER_JOB))
    (active / "a.yml").write_text(release(JOB))
    moved = archive(active / "a.yml", completed, job_id=JOB, spec_digest=digest_of(release(JOB)))
    assert moved.name == "a (2).yml"
    assert (completed / "a.yml").read_text() == release(OTHER_JOB)
