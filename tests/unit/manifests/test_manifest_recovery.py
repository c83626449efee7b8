"""What a crash between two steps left is put right at the next start."""

import os
from pathlib import Path

import pytest

from reconciler.manifests.recovery import recover_displaced
from reconciler.manifests.snapshot import temporary_for


def leftovers(folder: Path) -> list[str]:
    """Names that a call should not have left behind."""
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


OLD, OURS, THEIRS, LATER = b"title: old\n", b"title: old\nstatus: 1\n", b"title: new\n", b"title: newest\n"


@pytest.mark.parametrize(
    ("standing", "left", "expected"),
    [
        pytest.param(OLD, OURS, OLD, id="before the exchange"),
        pytest.param(OURS, OLD, OURS, id="after the exchange"),
        pytest.param(OURS, THEIRS, THEIRS, id="a save was displaced"),
        pytest.param(None, THEIRS, THEIRS, id="a save was displaced and the name is gone"),
        pytest.param(None, OURS, None, id="the name is gone and nothing was displaced"),
        pytest.param(THEIRS + b"status: 2\n", THEIRS, THEIRS + b"status: 2\n", id="published again already"),
    ],
)
def test_a_temporary_file_is_put_where_it_belongs(
    file: Path, standing: bytes | None, left: bytes, expected: bytes | None
):
    """A person's bytes come back to their name; ours are removed."""
    temporary = temporary_for(file, old=OLD, new=OURS)
    temporary.write_bytes(left)
    file.unlink()
    if standing is not None:
        file.write_bytes(standing)
    assert recover_displaced(file.parent) == ([file] if expected != standing else [])
    assert (file.read_bytes() if file.exists() else None) == expected
    assert leftovers(file.parent) == []


def test_a_save_over_which_another_was_made_becomes_a_conflict_copy(file: Path):
    """Neither is thrown away."""
    temporary = temporary_for(file, old=OLD, new=OURS)
    temporary.write_bytes(THEIRS)
    os.utime(temporary, (1_763_794_961, 1_763_794_961))
    file.write_bytes(LATER)
    copy = file.with_name("loveless.sync-conflict-20251122-070241-RECONCI.yml")
    assert recover_displaced(file.parent) == [copy]
    assert (copy.read_bytes(), file.read_bytes()) == (THEIRS, LATER)


def test_a_file_moved_aside_comes_back(file: Path):
    """The comparison with its equal is begun again."""
    temporary = temporary_for(file, aside=True)
    file.rename(temporary)
    assert recover_displaced(file.parent) == [file]
    assert file.read_bytes() == OLD


def test_a_draft_is_removed_and_strange_names_are_left_alone(file: Path):
    """A draft never stood at a name; what is not ours is not touched."""
    temporary_for(file).write_bytes(b"half a fi")
    strange = [".syncthing.loveless.yml.tmp", ".syncthing.reconciler.loveless.yml.tmp", "~syncthing~x.tmp"]
    for name in strange:
        file.with_name(name).write_bytes(b"x")
    assert recover_displaced(file.parent) == []
    assert sorted(path.name for path in file.parent.iterdir()) == sorted([file.name, *strange])


@pytest.mark.parametrize(
    ("standing", "expected"),
    [
        pytest.param(None, OLD, id="the name is free"),
        pytest.param(OURS, OURS, id="ours has the name already"),
        pytest.param(LATER, LATER, id="a person saved meanwhile"),
    ],
)
def test_a_file_that_was_moved_aside_for_a_write(file: Path, standing: bytes | None, expected: bytes):
    """Where names cannot be exchanged: what was read before is put back only while nothing has its name."""
    aside = temporary_for(file, old=OLD, new=OURS, aside=True)
    file.rename(aside)
    if standing is not None:
        file.write_bytes(standing)
    recover_displaced(file.parent)
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    assert file.read_bytes() == expected


@pytest.mark.parametrize("taken", [False, True])
def test_a_link_moved_aside_comes_back_unless_its_name_is_taken(file: Path, *, taken: bool):
    """A link holds nothing that a person saved in it."""
    link = file.with_name("link.yml")
    temporary_for(link, aside=True).symlink_to(file)
    if taken:
        link.write_bytes(LATER)
    assert recover_displaced(file.parent) == ([] if taken else [link])
    assert link.read_bytes() == (LATER if taken else OLD)
    assert leftovers(file.parent) == []
