"""Conflict copies over real files: removed, merged or kept."""

import pytest
from reconcile_builders import JOB, NODE, OTHER_JOB
from reconcile_world import release

from reconciler.manifests.model import JobType
from reconciler.manifests.splice import without_status
from reconciler.reconcile.conflict_copies import settle
from reconciler.reconcile.ownership import Node
from reconciler.state.database import Database
from reconciler.state.jobs import JobStore

STATUS = "status:\n  state: running\n"


@pytest.fixture
def store(tmp_path):
    """A database that knows of no job."""
    database = Database.open(tmp_path / "state" / "reconciler.db")
    yield JobStore(database)
    database.close()


class Pair:
    """A manifest and another version of it."""

    def __init__(self, folder, store):
        self.main = folder / "a.yml"
        self.copy = folder / "a.sync-conflict-20261122-061241-S5C2BGY.yml"
        self.store = store
        self.node = NODE

    def acted_on(self, *texts):
        """The daemon has acted on these versions, the last one last."""
        for number, text in enumerate(texts):
            self.store.observe_spec(
                JOB,
                path="jobs/active/a.yml",
                job_type=JobType.MB_RELEASE,
                spec_digest=f"sha256:{number}",
                document=without_status(text.encode()),
                now=0.0,
            )

    def settle(self, main, copy):
        """Write both, and settle them."""
        self.main.write_text(main)
        self.copy.write_text(copy)
        return settle(self.copy, self.main, store=self.store, node=self.node)


@pytest.fixture
def pair(tmp_path, store):
    """Two names, no files yet."""
    return Pair(tmp_path, store)


def test_a_copy_that_differs_in_its_status_alone_is_removed(pair):
    """Nobody wrote anything but daemons."""
    settled = pair.settle(release(JOB) + STATUS, release(JOB) + STATUS.replace("running", "failed"))
    assert (settled.message, settled.mark) == ("", None)
    assert not pair.copy.exists()
    assert pair.main.read_text() == release(JOB) + STATUS


def test_disjoint_edits_are_merged_and_the_copy_removed(pair):
    """The manifest has both."""
    pair.acted_on(release(JOB))
    settled = pair.settle(release(JOB, title="Glider") + STATUS, release(JOB, tracks=3))
    assert settled.merged
    assert not pair.copy.exists()
    assert pair.main.read_text() == release(JOB, title="Glider", tracks=3)


def test_a_merge_that_is_there_already_only_removes_the_copy(pair):
    """A crash came between the two."""
    pair.acted_on(release(JOB), release(JOB, title="Glider", tracks=3))
    settled = pair.settle(release(JOB, title="Glider", tracks=3) + STATUS, release(JOB, tracks=3))
    assert not settled.merged
    assert not pair.copy.exists()
    assert pair.main.read_text() == release(JOB, title="Glider", tracks=3) + STATUS


def kept(pair, main, copy):
    """Why a person has to look; both files are as they were."""
    settled = pair.settle(main, copy)
    assert settled.mark is not None
    assert (pair.main.read_text(), pair.copy.read_text()) == (main, copy)
    return settled.message


def test_edits_of_one_field_are_kept_and_told(pair):
    """Both values, and the name of the copy."""
    pair.acted_on(release(JOB))
    message = kept(pair, release(JOB, title="Glider"), release(JOB, title="Tremolo"))
    for text in (f"{pair.copy.name}: ", "spec.title", "'Glider'", "'Tremolo'"):
        assert text in message


@pytest.mark.parametrize("copy", [release(OTHER_JOB), "a: [", "", release(JOB).replace("target_dir", "target_dri")])
def test_what_is_no_version_of_the_manifest_is_kept(pair, copy):
    """Another job, or nothing that can be read."""
    pair.acted_on(release(JOB))
    assert kept(pair, release(JOB), copy)


def test_two_edits_that_make_no_manifest_together_are_kept(pair):
    """Each is right alone: one takes a track out, the other its only companion."""
    base, two = release(JOB, tracks=2), "    - {position: 2"
    one = base.replace("    - {position: 1", "    # - {position: 1")
    other = base.replace(two, "    # - {position: 2")
    pair.acted_on(base)
    assert kept(pair, one, other)


def test_a_manifest_that_cannot_be_read_keeps_its_copy(pair):
    """Perhaps the copy is the better one."""
    assert kept(pair, "a: [", release(JOB))


def test_a_manifest_of_another_node_is_left_alone(pair):
    """That node settles it: two that did would make the next conflict."""
    text = release(JOB, extra="  node: cellar\n")
    settled = pair.settle(text + STATUS, text)
    assert settled.message == ""
    assert pair.copy.exists()
    pair.node = Node(name="cellar")
    pair.settle(text + STATUS, text)
    assert not pair.copy.exists()


def test_a_link_is_not_merged_into(pair, tmp_path):
    """It is not written through."""
    pair.acted_on(release(JOB))
    pair.main.write_text(release(JOB, title="Glider"))
    (tmp_path / "other name").hardlink_to(pair.main)
    pair.copy.write_text(release(JOB, tracks=3))
    assert "link" in settle(pair.copy, pair.main, store=pair.store, node=NODE).message


def test_a_copy_without_its_manifest_is_kept(pair):
    """Syncthing may let a deletion win: then the copy is all that is left."""
    pair.copy.write_text(release(JOB))
    settled = settle(pair.copy, pair.main, store=pair.store, node=NODE)
    assert "is gone" in settled.message
    assert pair.copy.exists()


def test_a_copy_that_is_gone_is_settled(pair):
    """A person has removed it."""
    assert settle(pair.copy, pair.main, store=pair.store, node=NODE).mark is None
