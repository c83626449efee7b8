"""Sidecars: one file for each job, written by one node."""

import os

import pytest
from reconcile_builders import JOB, PATH, progress
from reconcile_world import VirtualTime

from reconciler.errors import DiskError
from reconciler.manifests.model import JobState, Status
from reconciler.reconcile.report import PROGRESS_S, Report
from reconciler.reconcile.sidecar import Sidecars

RUNNING = Status(state=JobState.RUNNING)
DONE = Status(state=JobState.COMPLETED)
NAME = f"{JOB}.nas.yml"


@pytest.fixture
def time():
    """A clock that a test moves."""
    return VirtualTime()


@pytest.fixture
def folder(tmp_path):
    """Where the sidecars lie; made when the first is written."""
    return tmp_path / "status"


@pytest.fixture
def sidecars(folder, time):
    """Those of the node `nas`."""
    return Sidecars(folder, node="nas", clock=time)


def report(status=RUNNING, *, job_id=JOB, manifest=PATH, bytes_done=0):
    """What is known of a job."""
    made = progress(None, *["fetching"] * (bytes_done // 10)) if status is RUNNING else None
    return Report(job_id=job_id, manifest=manifest, status=status, progress=made)


def names(folder):
    """What lies in the folder."""
    return sorted(path.name for path in folder.iterdir())


def test_progress_is_written_every_ten_seconds_and_the_end_at_once(sidecars, folder, time):
    """A running job is looked at again, since nothing tells that it has more bytes."""
    assert sidecars.settle(report()) == PROGRESS_S
    first = (folder / NAME).read_bytes()
    time.now = 4.0
    assert sidecars.settle(report(bytes_done=10)) == 6.0
    assert (folder / NAME).read_bytes() == first
    time.now = 10.0
    assert sidecars.settle(report(bytes_done=10)) == PROGRESS_S
    assert b"Song 1" in (folder / NAME).read_bytes()
    time.now = 11.0
    assert sidecars.settle(report(DONE)) is None
    assert b"state: completed" in (folder / NAME).read_bytes()
    assert names(folder) == [NAME]


def test_what_waits_is_written_at_the_end(sidecars, folder, time):
    """A daemon that stops leaves the last word."""
    sidecars.settle(report())
    time.now = 1.0
    sidecars.settle(report(bytes_done=10))
    sidecars.flush()
    assert b"Song 1" in (folder / NAME).read_bytes()


def test_a_file_is_replaced_whole(sidecars, folder, time):
    """Whoever reads it meanwhile has the old one or the new one; a link at its name is not written through."""
    folder.mkdir()
    victim = folder.parent / "victim"
    victim.write_text("mine")
    (folder / NAME).symlink_to(victim)
    sidecars.settle(report())
    inode = (folder / NAME).lstat().st_ino
    time.now = PROGRESS_S
    sidecars.settle(report(bytes_done=10))
    assert (folder / NAME).lstat().st_ino != inode
    assert not (folder / NAME).is_symlink()
    assert victim.read_text() == "mine"


def test_a_leftover_of_a_crash_is_in_nobodys_way(sidecars, folder):
    """Not even where it is a pipe."""
    folder.mkdir()
    os.mkfifo(folder / f".syncthing.reconciler.status.{os.getpid()}.tmp")
    sidecars.settle(report())
    assert names(folder) == [NAME]


def test_a_link_in_place_of_the_folder_is_not_followed(sidecars, folder, tmp_path):
    """A synced link must not have the daemon write elsewhere."""
    (tmp_path / "elsewhere").mkdir()
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DiskError) as refusal:
        sidecars.settle(report())
    assert refusal.value.hint
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_manifest_without_an_id_lends_its_name_until_it_has_one(sidecars, folder, time):
    """The file of the name is gone when the one of the id is there."""
    sidecars.settle(report(Status(state=JobState.FAILED), job_id=""))
    assert names(folder) == ["loveless.yml.nas.yml"]
    time.now = PROGRESS_S
    sidecars.settle(report())
    assert names(folder) == [NAME]


def test_what_a_removed_manifest_had_is_removed_and_what_ended_stays(sidecars, folder):
    """A finished job is read about; one that nobody wants any more is not."""
    sidecars.settle(report(DONE))
    sidecars.leave(PATH, keep=True)
    assert names(folder) == [NAME]
    sidecars.settle(report(DONE))
    sidecars.leave(PATH, keep=False)
    assert names(folder) == []


def test_a_renamed_manifest_keeps_its_file(sidecars, folder):
    """In whichever order the two names are looked at."""
    sidecars.settle(report())
    sidecars.settle(report(manifest="jobs/active/other.yml"))
    sidecars.leave(PATH, keep=False)
    assert names(folder) == [NAME]


def test_a_status_that_stands_in_the_manifest_again_has_no_file(folder, time):
    """Also where an earlier daemon wrote it, in another mode; those of other nodes are theirs."""
    Sidecars(folder, node="nas", clock=time).settle(report())
    Sidecars(folder, node="desk", clock=time).settle(report())
    Sidecars(folder, node="nas", clock=time).drop(PATH, JOB)
    assert names(folder) == [f"{JOB}.desk.yml"]


@pytest.mark.parametrize(
    ("node", "name"),
    [("nas.lan", "nas.lan"), ("../../etc", "..-..-etc"), ("a b\n", "a-b-"), ("", "node"), ("x" * 300, "x" * 63)],
)
def test_a_node_of_any_name_has_a_file_of_a_safe_one(folder, time, node, name):
    """It stays in its folder and within the length of a name."""
    sidecars = Sidecars(folder, node=node, clock=time)
    sidecars.settle(report(manifest=f"jobs/active/{'m' * 176}.yml", job_id=""))
    assert names(folder) == [f"{'m' * 176}.yml.{name}.yml"]


def test_a_disk_that_refuses_is_named(sidecars, folder):
    """The folder's place is taken by a file."""
    folder.write_text("")
    with pytest.raises(DiskError, match="cannot be written"):
        sidecars.settle(report())
