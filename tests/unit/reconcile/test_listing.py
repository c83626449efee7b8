"""Listing a folder, and what differs from before."""

import os

import pytest

from reconciler.manifests.files import read_file
from reconciler.reconcile.listing import differences, mark_at, mark_of_fingerprint

COPY = "e.sync-conflict-20261122-061241-S5C2BGY.yml"


def marks_in(folder):
    """What is known after everything in the folder was looked at."""
    return {f"x/{path.name}": mark_at(path) for path in folder.iterdir()}


def found(folder, marks=(), known=()):
    """The differences, with paths below x/."""
    return differences(folder, "x/", dict(marks), known)


def test_manifests_and_copies_are_found_apart(tmp_path):
    """Everything else, and what lies deeper, is not there."""
    for name in ["b.yml", "a.yaml", ".c.yml", "d.txt", COPY]:
        (tmp_path / name).write_text(name)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "f.yml").write_text("f")
    differing = found(tmp_path)
    assert differing.changed == ("x/a.yaml", "x/b.yml")
    assert differing.copies == (f"x/{COPY}",)
    assert not differing.removal_confirmed


def test_what_is_known_is_no_difference(tmp_path):
    """A look that changes nothing finds nothing."""
    (tmp_path / "a.yml").write_text("a")
    (tmp_path / COPY).write_text("a")
    marks = marks_in(tmp_path)
    (tmp_path / "a.yml").read_text()
    differing = found(tmp_path, marks)
    assert (differing.changed, differing.copies, differing.vanished) == ((), (), ())


def test_what_was_known_and_is_not_there_has_vanished(tmp_path):
    """Of marks, and of other paths that are asked for."""
    assert found(tmp_path, {"x/a.yml": 1}, ["x/b.yml"]).vanished == ("x/a.yml", "x/b.yml")


def test_the_word_of_a_person_is_found(tmp_path):
    """An empty file with one special name."""
    (tmp_path / ".confirm-removal").touch()
    assert found(tmp_path).removal_confirmed


def rewritten_in_place(path):
    path.write_text("two")


def replaced(path):
    path.with_name("draft").write_text("one")
    path.with_name("draft").replace(path)


def with_its_old_time(path):
    before = path.stat()
    path.write_text("two")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("change", [rewritten_in_place, replaced, with_its_old_time])
def test_each_way_of_saving_makes_another_mark(tmp_path, change):
    """The size is the same, and once also the time: the ctime cannot be set back."""
    path = tmp_path / "a.yml"
    path.write_text("one")
    marks = marks_in(tmp_path)
    change(path)
    assert found(tmp_path, marks).changed == ("x/a.yml",)


def test_a_read_and_a_listing_give_one_mark(tmp_path):
    """What a pass has read is what the next listing knows."""
    path = tmp_path / "a.yml"
    path.write_text("one")
    assert mark_of_fingerprint(read_file(path).fingerprint) == mark_at(path)


def test_a_link_has_the_mark_of_what_it_leads_to(tmp_path):
    """An edit behind a link is seen; a link to nothing has its own."""
    (tmp_path / "outside").write_text("one")
    (tmp_path / "a.yml").symlink_to("outside")
    (tmp_path / "b.yml").symlink_to("nowhere")
    marks = marks_in(tmp_path)
    assert None not in marks.values()
    assert found(tmp_path, marks).changed == ()
    (tmp_path / "outside").write_text("another")
    assert found(tmp_path, marks).changed == ("x/a.yml",)


def test_a_folder_that_cannot_be_listed_is_an_error(tmp_path):
    """It must never look like a folder without files."""
    with pytest.raises(FileNotFoundError):
        found(tmp_path / "missing")


def test_thirty_thousand_files_are_found_in_one_look(tmp_path):
    """However many were made while nobody watched."""
    for number in range(30_000):
        os.close(os.open(tmp_path / f"{number}.yml", os.O_CREAT | os.O_WRONLY))
    assert len(found(tmp_path).changed) == 30_000
