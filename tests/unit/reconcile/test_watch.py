"""The watch of a folder, with the kernel's own events."""

import queue

import pytest

from reconciler.reconcile.watch import FolderWatch, scan


class Heard:
    """Collects the names that a watch calls with."""

    def __init__(self):
        self._names = queue.Queue()

    def __call__(self, name):
        """Called by the watch."""
        self._names.put(name)

    def until(self, wanted):
        """Wait for a name; others before it are dropped."""
        while self._names.get(timeout=5) != wanted:
            pass

    def rest(self):
        """Every name that has come so far."""
        names = []
        while not self._names.empty():
            names.append(self._names.get())
        return names


@pytest.fixture
def folder(tmp_path):
    """The folder that is watched."""
    made = tmp_path / "active"
    made.mkdir()
    return made


@pytest.fixture
def heard():
    """What the watch has said."""
    return Heard()


@pytest.fixture
def watch(folder, heard):
    """A running watch."""
    made = FolderWatch(folder, heard)
    made.start()
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


def test_reading_says_nothing(watch, folder, heard):
    """The daemon's own look at a file does not wake it again."""
    (folder / "a.yml").write_text("a")
    (folder / "end.yml").write_text("b")
    heard.until("end.yml")
    (folder / "last.yml").write_text("c")
    heard.until("last.yml")
    heard.rest()
    (folder / "a.yml").read_text()
    (folder / "after.yml").write_text("d")
    heard.until("after.yml")
    assert "a.yml" not in heard.rest()


def test_what_is_no_manifest_says_nothing(watch, folder, heard):
    """Locks, backups and drafts of editors pass unheard."""
    for name in (".a.yml.swp", "4913", "a.yml~", "notes.txt", ".#a.yml"):
        (folder / name).write_text("x")
    (folder / "a.yml").write_text("x")
    assert heard._names.get(timeout=5) == "a.yml"


def test_a_folder_that_was_removed_and_made_anew_is_watched_again(watch, folder, heard):
    """Git removes a folder that becomes empty; the rescan arms the watch on the new one."""
    (folder / "a.yml").write_text("a")
    heard.until("a.yml")
    (folder / "a.yml").unlink()
    heard.until("a.yml")
    folder.rmdir()
    watch.rearm()
    folder.mkdir()
    [emitter] = watch._observer.emitters
    emitter.join(timeout=5)
    watch.rearm()
    (folder / "b.yml").write_text("b")
    heard.until("b.yml")


def test_a_folder_that_was_replaced_is_watched_again(watch, folder, heard):
    """The old folder still exists under another name; the one that has the name counts."""
    folder.rename(folder.with_name("old"))
    folder.mkdir()
    watch.rearm()
    (folder / "b.yml").write_text("b")
    heard.until("b.yml")


def test_a_watch_may_start_before_its_folder(tmp_path, heard):
    """The folder is made later; nothing fails meanwhile."""
    watch = FolderWatch(tmp_path / "later", heard)
    watch.start()
    try:
        (tmp_path / "later").mkdir()
        watch.rearm()
        (tmp_path / "later" / "a.yml").write_text("a")
        heard.until("a.yml")
    finally:
        watch.stop()


def test_rearming_an_armed_watch_changes_nothing(watch, folder):
    """The rescan calls it every time."""
    before = set(watch._observer.emitters)
    watch.rearm()
    assert set(watch._observer.emitters) == before


def test_a_scan_lists_manifests_and_conflict_copies_apart(folder):
    """Everything else, and what lies deeper, is not there."""
    names = ["b.yml", "a.yaml", ".c.yml", "d.txt", "e.sync-conflict-20261122-061241-S5C2BGY.yml"]
    for name in names:
        (folder / name).write_text(name)
    (folder / "sub").mkdir()
    (folder / "sub" / "f.yml").write_text("f")
    listing = scan(folder)
    assert sorted(listing.manifests) == ["a.yaml", "b.yml"]
    assert listing.conflict_copies == (names[4],)


def test_a_mark_changes_with_the_file(folder):
    """A rewrite in place with the same size is another mark; a look is not."""
    path = folder / "a.yml"
    path.write_text("one")
    before = scan(folder).manifests["a.yml"]
    path.read_text()
    assert scan(folder).manifests["a.yml"] == before
    path.unlink()
    path.write_text("two")
    assert scan(folder).manifests["a.yml"] != before


def test_a_folder_that_cannot_be_listed_is_an_error(tmp_path):
    """It must never look like a folder without files."""
    with pytest.raises(FileNotFoundError):
        scan(tmp_path / "missing")
