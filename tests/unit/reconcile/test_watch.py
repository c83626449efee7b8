"""The watch of folders, with the kernel's own events."""

import queue
from pathlib import Path

import pytest

from reconciler.reconcile import watch as watching
from reconciler.reconcile.watch import FolderWatch

LOST = "lost"


class Heard:
    """Collects what a watch calls with."""

    def __init__(self):
        self._names = queue.Queue()

    def changed(self, file):
        self._names.put(file.name)

    def lost(self):
        self._names.put(LOST)

    def next(self):
        return self._names.get(timeout=60)

    def until(self, wanted):
        """Wait for a name; gives those before it."""
        before = []
        while (name := self.next()) != wanted:
            before.append(name)
        return before

    def rest(self):
        """Every name that has come so far."""
        names = []
        while not self._names.empty():
            names.append(self._names.get())
        return names


@pytest.fixture
def root(tmp_path):
    """A root folder with the folders that are watched."""
    for name in ("active", "completed"):
        (tmp_path / "jobs" / name).mkdir(parents=True)
    return tmp_path


@pytest.fixture
def folder(root):
    """The folder of manifests."""
    return root / "jobs" / "active"


@pytest.fixture
def heard():
    """What the watch has said."""
    return Heard()


@pytest.fixture
def watch(root, heard):
    """A running watch."""
    made = FolderWatch(root, (root / "jobs" / "active", root / "jobs" / "completed"), heard)
    made.rearm()
    assert made.hears
    yield made
    made.stop()


def test_each_kind_of_change_is_a_name(watch, folder, heard):
    """Making, writing, moving in, renaming and deleting all say which name to look at."""
    (folder / "a.yml").write_text("a")
    heard.until("a.yml")
    (folder / ".draft").write_text("b")
    (folder / ".draft").rename(folder / "b.yml")
    heard.until("b.yml")
    (folder / "b.yml").rename(folder / "c.yml")
    heard.until("c.yml")
    (folder / "c.yml").unlink()
    heard.until("c.yml")


def test_a_finished_manifest_that_arrives_is_a_name(watch, root, heard):
    """Another machine finished it, and Syncthing brings it."""
    (root / "jobs" / "completed" / "done.yml").write_text("a")
    heard.until("done.yml")


def test_an_event_after_a_move_out_of_the_folder_is_not_held_back(watch, folder, root, heard):
    """The daemon moves every job that is done; an edit just after must be told at once, not half a second later."""
    (folder / "a.yml").write_text("a")
    heard.until("a.yml")
    (folder / "a.yml").rename(root / "elsewhere")
    (folder / "b.yml").write_text("b")
    names = heard.until("b.yml")
    assert set(names) == {"a.yml"}


def test_reading_says_nothing(watch, folder, heard):
    """The daemon's own look at a file does not wake it again."""
    (folder / "a.yml").write_text("a")
    (folder / "last.yml").write_text("c")
    heard.until("last.yml")
    (folder / "mark.yml").mkdir()
    heard.until("mark.yml")
    heard.rest()
    (folder / "a.yml").read_text()
    (folder / "after.yml").write_text("d")
    assert heard.until("after.yml") == []


def test_what_is_no_manifest_says_nothing(watch, folder, heard):
    """Locks, backups and drafts of editors pass unheard; a conflict copy and the word of a person do not."""
    for name in (".a.yml.swp", "4913", "a.yml~", "notes.txt", ".#a.yml"):
        (folder / name).write_text("x")
    (folder / "a.sync-conflict-20261122-061241-S5C2BGY.yml").write_text("x")
    assert heard.next() == "a.sync-conflict-20261122-061241-S5C2BGY.yml"
    (folder / ".confirm-removal").touch()
    heard.until(".confirm-removal")


@pytest.mark.parametrize("gone", ["jobs/active", "jobs/completed", "jobs"])
def test_a_folder_that_was_removed_and_made_anew_is_watched_again(watch, root, folder, heard, gone):
    """Git removes a folder that becomes empty; both its going and its coming are told, and then it is watched anew."""
    (root / gone).rename(root / "old")
    heard.until(LOST)
    watch.rearm()
    heard.rest()
    folder.mkdir(parents=True, exist_ok=True)
    (root / "jobs" / "completed").mkdir(exist_ok=True)
    heard.until(LOST)
    watch.rearm()
    (folder / "b.yml").write_text("b")
    heard.until("b.yml")


def test_a_watch_may_start_before_its_folder(tmp_path, heard):
    """The folder is made later, which is told."""
    watch = FolderWatch(tmp_path, (tmp_path / "jobs" / "active",), heard)
    watch.rearm()
    try:
        (tmp_path / "jobs" / "active").mkdir(parents=True)
        heard.until(LOST)
        watch.rearm()
        (tmp_path / "jobs" / "active" / "a.yml").write_text("a")
        heard.until("a.yml")
    finally:
        watch.stop()


def test_rearming_an_armed_watch_changes_nothing(watch):
    """The rescan calls it every time."""
    before = watch._inotify
    watch.rearm()
    assert watch._inotify is before


def test_events_that_the_kernel_dropped_are_a_loss(watch, folder, heard):
    """Whatever stood between is not known: more files than the queue holds are made while nobody reads it."""
    most = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    inotify = watch._inotify
    with inotify._lock:  # the reader stands still
        for number in range(made := most // 2 + 2000):
            (folder / f"{number}.yml").touch()
    assert len(heard.until(LOST)) < 2 * made


def test_a_network_file_system_is_not_watched(root, heard, monkeypatch, log_lines):
    """Others change it unheard: whoever asks is told so, and why is said once."""
    monkeypatch.setattr(watching, "file_system_of", lambda folder: "nfs")
    watch = FolderWatch(root, (root / "jobs" / "active",), heard)
    watch.rearm()
    watch.rearm()
    assert not watch.hears
    assert len([pairs for message, pairs in log_lines if "cannot be watched" in message]) == 1


def test_a_user_without_watches_left_is_told(root, heard, monkeypatch, log_lines):
    """The limit is shared with editors and browsers; the daemon then looks itself."""

    def refuse(self, *arguments):
        raise OSError(28, "inotify watch limit reached")

    monkeypatch.setattr(watching.InotifyFD, "add_callback", refuse)
    watch = FolderWatch(root, (root / "jobs" / "active",), heard)
    watch.rearm()
    assert not watch.hears
    [why] = [pairs["why"] for message, pairs in log_lines if "cannot be watched" in message]
    assert "max_user_watches" in why
