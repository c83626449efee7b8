"""An album appears as a whole, whatever is in its way."""

import os
from pathlib import Path

import pytest
from library_races import swapping

from reconciler.errors import DiskError, UnsafePathError
from reconciler.ids import JobId
from reconciler.library import album as module
from reconciler.library.album import Album, AlbumFile
from reconciler.library.publish import Placed
from reconciler.manifests import renaming

JOB = JobId("01HRQ4GSX9K47J7M5FK7VW8B12")
OTHER_JOB = JobId("01HRQ4GSX9K47J7M5FK7VW8B13")
HIDDEN = f".B.reconciler-{JOB}"


@pytest.fixture
def root(tmp_path):
    """An allowed root with nothing in it."""
    folder = tmp_path / "library"
    folder.mkdir()
    return folder


def album_of(root, folder="A/B", **changes):
    """The album `A/B` of one job, straight below the root."""
    return Album(**{"allowed_root": root, "target_dir": root, "folder": folder, "job_id": JOB, **changes})


def parts_of(root, *names):
    """A finished part for each name; its bytes are the name."""
    folder = root.parent / "parts"
    folder.mkdir(exist_ok=True)
    files = []
    for number, name in enumerate(names):
        part = folder / f"{number}.part"
        part.write_text(name)
        files.append(
            AlbumFile(part=part, name=name, same_content=lambda fd, name=name: os.read(fd, 99) == name.encode())
        )
    return files


def tree(root):
    """Every file below `root`, hidden ones too."""
    return {str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()}


def named(*names):
    """What the tree is when each file holds its own name."""
    return {name: name for name in names}


@pytest.fixture
def seen(root, monkeypatch):
    """What could be seen of the library right after each rename of a file or folder."""
    looks = []
    rename = renaming._renameat2

    def looking(*args):
        rename(*args)
        looks.append({name for name in tree(root) if not any(part[0] == "." for part in name.split("/"))})

    monkeypatch.setattr(renaming, "_renameat2", looking)
    return looks


def test_all_files_of_a_new_folder_appear_in_one_step(root, seen):
    """Until the last rename there is nothing to be seen, after it everything; nothing hidden is left."""
    names = ("A/B/1.flac", "A/B/disc 2/2.flac", "A/B/3.flac")
    placed = list(album_of(root).place_all(parts_of(root, *names)))
    assert placed == [Placed(path=str(root / name), how="placed") for name in names]
    assert seen == [set(), set(), set(), set(names)]
    assert tree(root) == named(*names)
    assert list(root.rglob(".*")) == []
    assert list((root.parent / "parts").iterdir()) == []


def test_a_target_that_is_the_album_itself(root, seen):
    """Without folders in the template, the target folder is what appears."""
    placed = list(album_of(root, "", target_dir=root / "new").place_all(parts_of(root, "1.flac", "2.flac")))
    assert [Path(each.path).name for each in placed] == ["1.flac", "2.flac"]
    assert seen == [set(), set(), {"new/1.flac", "new/2.flac"}]


def test_files_that_lie_straight_in_the_root_are_placed_one_by_one(root, seen):
    """The root itself is there, and stays."""
    list(album_of(root, "").place_all(parts_of(root, "1.flac", "2.flac")))
    assert seen == [{"1.flac"}, {"1.flac", "2.flac"}]


def test_in_a_folder_that_is_there_each_file_finds_its_own_place(root):
    """Nothing of what is there is touched: the same is adopted, what is taken gets a number."""
    (root / "A/B").mkdir(parents=True)
    (root / "A/B/1.flac").write_text("A/B/1.flac")
    (root / "A/B/2.flac").write_text("other")
    files = parts_of(root, "A/B/1.flac", "A/B/2.flac", "A/B/3.flac")
    assert [each.how for each in album_of(root).place_all(files)] == ["adopted", "renamed", "placed"]
    assert tree(root) == {
        "A/B/1.flac": "A/B/1.flac",
        "A/B/2.flac": "other",
        "A/B/2 (2).flac": "A/B/2.flac",
        "A/B/3.flac": "A/B/3.flac",
    }


@pytest.mark.parametrize("has_flag", [True, False])
def test_a_folder_that_appears_at_the_last_moment_is_not_replaced(root, monkeypatch, has_flag):
    """What was put aside goes into it one by one, also where the disk knows no rename without replacing."""
    looked = module._is_there

    def somebody_makes_it(name, folder_fd):
        found = looked(name, folder_fd)
        if not (root / "A/B").exists():
            (root / "A/B").mkdir()
            (root / "A/B/theirs.flac").write_text("theirs")
        return found

    monkeypatch.setattr(module, "_is_there", somebody_makes_it)
    if not has_flag:
        monkeypatch.setattr(renaming, "_libc", object())
    placed = list(album_of(root).place_all(parts_of(root, "A/B/1.flac", "A/B/2.flac")))
    assert [each.how for each in placed] == ["placed", "placed"]
    assert tree(root) == {**named("A/B/1.flac", "A/B/2.flac"), "A/B/theirs.flac": "theirs"}
    assert list(root.rglob(".*")) == []


def test_without_the_flag_the_folder_still_appears_at_once(root, monkeypatch):
    """rename(2) itself takes the place of nothing but an empty folder."""
    monkeypatch.setattr(renaming, "_libc", object())
    list(album_of(root).place_all(parts_of(root, "A/B/1.flac", "A/B/2.flac")))
    assert tree(root) == named("A/B/1.flac", "A/B/2.flac")


def test_what_an_interrupted_run_had_put_aside_becomes_a_part_again(root):
    """Its own hidden folder is looked into, a part that is there is never overwritten."""
    (root / "A" / HIDDEN / "disc 1").mkdir(parents=True)
    (root / "A" / HIDDEN / "disc 1/1.flac").write_text("put aside")
    (root / "A" / HIDDEN / "2.flac").write_text("put aside")
    one, two = (each.part for each in parts_of(root, "A/B/disc 1/1.flac", "A/B/2.flac"))
    one.unlink()
    album_of(root).reclaim(one, "A/B/disc 1/1.flac")
    album_of(root).reclaim(two, "A/B/2.flac")
    album_of(root).reclaim(one.with_name("3.part"), "A/B/3.flac")
    assert one.read_text() == "put aside"
    assert two.read_text() == "A/B/2.flac"
    assert not one.with_name("3.part").exists()


def test_what_is_left_of_another_variant_is_not_shown(root):
    """Our own hidden folder begins empty; another job's is nobody's business."""
    theirs = root / "A" / f".B.reconciler-{OTHER_JOB}"
    for folder in (root / "A" / HIDDEN, theirs):
        folder.mkdir(parents=True)
        (folder / "1.mp3").write_text("left")
    list(album_of(root).place_all(parts_of(root, "A/B/1.flac")))
    assert tree(root) == {**named("A/B/1.flac"), f"A/{theirs.name}/1.mp3": "left"}


@pytest.mark.parametrize("name", ["B" * 255, "\u00e9" * 120, "B"])
def test_the_hidden_name_fits_however_long_the_album_is_called(root, name):
    """It is cut between characters, and still names the job."""
    hidden = album_of(root, name)._hidden
    assert len(hidden.encode()) <= 255
    assert hidden.startswith(f".{name[:60]}")
    assert hidden.endswith(JOB)


def test_a_link_in_the_place_of_the_hidden_folder_is_neither_followed_nor_emptied(root, tmp_path):
    """Whoever may write into the library cannot have us remove or publish what lies elsewhere."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "1.flac").write_text("not ours")
    (root / "A").mkdir()
    (root / "A" / HIDDEN).symlink_to(outside)
    files = parts_of(root, "A/B/1.flac")
    files[0].part.unlink()
    with pytest.raises(UnsafePathError):
        album_of(root).reclaim(files[0].part, "A/B/1.flac")
    with pytest.raises((DiskError, UnsafePathError)):
        list(album_of(root).place_all(parts_of(root, "A/B/1.flac")))
    assert tree(outside) == {"1.flac": "not ours"}


def test_a_link_swapped_in_while_albums_appear_is_never_followed(root, tmp_path):
    """Five hundred albums against a thread that swaps their folder and a link to the outside: none escapes."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (root / "A").mkdir()
    (root / "link").symlink_to(outside)
    outcomes = {"placed": 0, "refused": 0}
    with swapping(root, "A", "link"):
        for number in range(500):
            folder = f"A/{number}"
            try:
                list(album_of(root, folder).place_all(parts_of(root, f"{folder}/1", f"{folder}/2")))
                outcomes["placed"] += 1
            except (UnsafePathError, DiskError):
                outcomes["refused"] += 1
    assert list(outside.iterdir()) == []
    assert min(outcomes.values()) > 0, f"the race was not run: {outcomes}"


def test_a_part_that_is_missing_publishes_nothing(root):
    """The whole album waits for it, as parts; nothing hidden is left in the library for as long as it takes."""
    files = parts_of(root, "A/B/1.flac", "A/B/2.flac")
    files[1].part.unlink()
    with pytest.raises(DiskError, match="is not there"):
        list(album_of(root).place_all(files))
    assert list((root / "A").iterdir()) == []
    assert files[0].part.read_text() == "A/B/1.flac"
