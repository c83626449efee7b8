"""Where a status goes at the end of a pass, and what is said of it."""

import asyncio
import os
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reconcile_builders import JOB, PATH, manifest, observed, record
from reconcile_world import VirtualTime, release

from reconciler.manifests import renaming
from reconciler.manifests.model import Condition, JobState, Status
from reconciler.reconcile.actions import Decision, Done
from reconciler.reconcile.echoes import Echoes
from reconciler.reconcile.finalise import Finaliser
from reconciler.reconcile.observe import Folders
from reconciler.reconcile.observed import Invalid, Valid
from reconciler.reconcile.status import ENDED, Written, is_turn, write_delay_s

SIDECAR = f"{JOB}.nas.yml"


def status(state=JobState.RUNNING, *completed, reason="Fetching"):
    """A status with one condition."""
    said = Condition(type="Ready", status="False", reason=reason)
    return Status(state=state, completed_tracks=completed, conditions=(said,))


class Desk:
    """One manifest, and a finaliser over it whose time a test moves."""

    def __init__(self, root, mode="in_file"):
        self.folders = Folders(root=root)
        self.folders.active.mkdir(parents=True, exist_ok=True)
        self.manifest = self.folders.at(PATH)
        if not os.path.lexists(self.manifest):
            self.manifest.write_text(release(JOB))
        self.time = VirtualTime()
        self.echoes = Echoes()
        self.finaliser = Finaliser(
            folders=self.folders, clock=self.time, interval_s=15.0, mode=mode, node="nas", echoes=self.echoes
        )

    def finish(self, wanted, *, writable=True, archive=False, file=None):
        """Close a pass that wants this status."""
        seen = observed(file=file or Valid(manifest=manifest(), writable=writable), record=record())
        decision = Decision(status=wanted, outcome=Done(), archive=archive)
        return asyncio.run(self.finaliser.finish(seen, decision))

    @property
    def block(self):
        """What stands in the manifest, from the status on."""
        return self.manifest.read_text().partition("\nstatus:")[2]

    @property
    def sidecars(self):
        """The names in jobs/status."""
        folder = self.folders.status
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


@pytest.fixture
def desk(tmp_path):
    """A desk in the default mode."""
    return Desk(tmp_path)


@pytest.mark.parametrize(
    ("mode", "in_file", "beside"),
    [("in_file", True, []), ("sidecar", False, [SIDECAR]), ("both", True, [SIDECAR]), ("none", False, [])],
)
def test_each_mode_writes_where_it_says(tmp_path, mode, in_file, beside):
    """And nowhere else, not even at the end of the daemon."""
    desk = Desk(tmp_path, mode)
    desk.finish(status())
    desk.finish(status(JobState.RUNNING, 1))
    asyncio.run(desk.finaliser.flush())
    assert ("state: running" in desk.block) is in_file
    assert desk.sidecars == beside
    assert desk.finaliser.last_conditions(PATH) == status().conditions


def test_a_running_job_is_looked_at_again_for_its_progress(tmp_path):
    """Every ten seconds with a sidecar; without one nothing changes by itself."""
    assert Desk(tmp_path / "a", "both").finish(status()) == 10.0
    assert Desk(tmp_path / "b", "in_file").finish(status()) is None


def test_another_mode_takes_the_old_sidecar_away(tmp_path):
    """What an earlier daemon wrote beside must not contradict the manifest."""
    Desk(tmp_path, "sidecar").finish(status())
    desk = Desk(tmp_path, "in_file")
    desk.finish(status(JobState.FAILED))
    assert desk.sidecars == []


class TestReadOnlyInput:
    """What cannot be written has its status beside it, in every mode but none."""

    @pytest.mark.parametrize("mode", ["in_file", "both", "sidecar"])
    @pytest.mark.parametrize("kind", ["symbolic", "hard"])
    def test_a_link_is_not_written_through(self, tmp_path, log_lines, kind, mode):
        """Neither the file that it leads to nor the link changes; it is said once."""
        (tmp_path / "jobs" / "active").mkdir(parents=True)
        store = tmp_path / "store.yml"
        store.write_text(release(JOB))
        link = tmp_path / PATH
        link.symlink_to(store) if kind == "symbolic" else os.link(store, link)
        before = store.stat()
        desk = Desk(tmp_path, mode)
        desk.finish(status(), writable=False)
        desk.finish(status(JobState.FAILED), writable=False)
        assert desk.sidecars == [SIDECAR]
        assert "state: failed" in (desk.folders.status / SIDECAR).read_text()
        assert (store.stat().st_ino, store.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
        said = [line for line in log_lines if "not written into the manifest" in line[0]]
        assert len(said) == (0 if mode == "sidecar" else 1)

    def test_mode_none_writes_nothing_for_a_link_either(self, tmp_path, log_lines):
        """Nor does it say that it does not."""
        desk = Desk(tmp_path, "none")
        desk.finish(status(), writable=False)
        assert (desk.sidecars, [line for line in log_lines if "written" in line[0]]) == ([], [])

    def test_a_refused_splice_goes_beside_and_comes_back(self, desk, log_lines):
        """Said once; once the layout allows it, the status stands in the file and only there."""
        desk.manifest.write_text('{manifest_version: "1.0"}\n')
        desk.finish(status(), file=Invalid(problems=()))
        desk.time.now = 60.0
        desk.finish(status(JobState.RUNNING, 1), file=Invalid(problems=()))
        assert desk.sidecars == [SIDECAR]
        said = [pairs for message, pairs in log_lines if "not written into the manifest" in message]
        assert len(said) == 1
        assert "braces" in said[0]["why"]
        assert not said[0]["why"].endswith("...")
        desk.manifest.write_text(release(JOB))
        desk.time.now = 120.0
        desk.finish(status(JobState.FAILED))
        assert desk.sidecars == []
        assert "state: failed" in desk.block

    def test_a_disk_without_a_safe_way_goes_beside(self, desk, monkeypatch):
        """Neither exchange, nor rename without replacing, nor hard links."""

        def unsupported(*_arguments, **_named):
            raise renaming.NotSupportedHereError("no such flag")

        monkeypatch.setattr(renaming, "_renameat2", unsupported)
        monkeypatch.setattr(renaming, "_link_and_unlink", unsupported)
        text = desk.manifest.read_text()
        desk.finish(status())
        assert desk.sidecars == [SIDECAR]
        assert desk.manifest.read_text() == text

    def test_a_fall_back_is_said_once_with_the_file_system(self, desk, monkeypatch, log_lines):
        """Where names cannot be exchanged, the log says on what."""

        def unsupported(*_arguments):
            raise renaming.NotSupportedHereError("no such flag")

        monkeypatch.setattr(renaming, "_renameat2", unsupported)
        for number in range(3):
            desk.time.now += 60.0
            desk.finish(status(JobState.RUNNING, number + 1))
        said = [pairs for message, pairs in log_lines if message == "manifests are written by a fall-back"]
        assert len(said) == 1
        assert said[0]["file_system"]
        assert "moved aside" in said[0]["why"]


class TestEditors:
    """An editor that has the file open asks whether to read it again: only the job's own turns are worth that."""

    @pytest.fixture
    def opened(self, desk):
        """The manifest, written once, and then open in vim."""
        desk.finish(status())
        desk.manifest.with_name(f".{desk.manifest.name}.swp").touch()
        desk.time.now = 60.0
        return desk

    def test_tracks_wait_for_an_open_editor(self, opened):
        """They are looked at again later, and written when it is closed."""
        before = opened.block
        assert opened.finish(status(JobState.RUNNING, 1)) == 15.0
        asyncio.run(opened.finaliser.flush())
        assert opened.block == before
        opened.manifest.with_name(f".{opened.manifest.name}.swp").unlink()
        assert opened.finish(status(JobState.RUNNING, 1)) is None
        assert "completed_tracks: [1]" in opened.block

    @pytest.mark.parametrize("turn", [status(JobState.FAILED), status(reason="Suspended")])
    def test_a_turn_of_the_job_does_not_wait(self, opened, turn):
        """Another state, or another reason for it."""
        assert opened.finish(turn) is None
        assert turn.conditions[0].reason in opened.block


def test_a_removed_manifest_takes_its_sidecar_along_and_a_finished_one_leaves_it(tmp_path):
    """The last word on what was done stays readable."""
    desk = Desk(tmp_path, "sidecar")
    desk.finish(status(JobState.COMPLETED), archive=True)
    desk.finaliser.leave(PATH, keep_result=False)
    assert desk.sidecars == [SIDECAR]
    desk.finish(status())
    desk.finaliser.leave(PATH, keep_result=False)
    assert desk.sidecars == []


def test_a_sidecar_that_cannot_be_written_is_said_once_and_stops_nothing(tmp_path, log_lines):
    """The job goes on; it is tried again."""
    desk = Desk(tmp_path, "both")
    desk.folders.status.write_text("in the way")
    assert desk.finish(status()) == 10.0
    desk.time.now = 60.0
    assert desk.finish(status(JobState.FAILED)) == 10.0
    assert "state: failed" in desk.block
    assert len([line for line in log_lines if "beside" in line[0]]) == 1


STATES = st.sampled_from([*JobState])
STEPS = st.lists(st.tuples(st.integers(0, 20), STATES, st.integers(0, 3), st.booleans()), max_size=60)


@settings(max_examples=300)
@given(steps=STEPS)
def test_between_two_writes_lies_the_interval_unless_a_job_ends(steps):
    """Whatever a job does, in whatever order and however often it is looked at."""
    now_s, written = 0, None
    for past_s, state, tracks, fails in steps:
        now_s += past_s
        wanted = replace(status(state, *range(1, tracks + 1)), error_message="no peer" if fails else "")
        delay_s = write_delay_s(wanted, written, now_s=now_s, interval_s=15.0)
        assert delay_s is None or 0.0 <= delay_s <= 15.0
        if delay_s != 0.0:
            continue
        if written is not None and now_s < written.at_s + 15.0:
            assert wanted.state in ENDED
            assert wanted.state is not written.status.state
        written = Written(status=wanted, at_s=now_s)


@pytest.mark.parametrize(
    ("wanted", "written", "turn"),
    [
        (status(), None, True),
        (status(JobState.RUNNING, 1), status(), False),
        (replace(status(), bytes_done=5, error_message="x"), status(), False),
        (status(JobState.FAILED), status(), True),
        (status(reason="Retrying"), status(), True),
    ],
)
def test_what_is_a_turn_of_the_job(wanted, written, turn):
    """Its state and the reasons of its conditions; not tracks, bytes or messages."""
    assert is_turn(wanted, written) is turn
