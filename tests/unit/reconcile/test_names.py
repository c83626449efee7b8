"""Which names are manifests: the rule as a table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.reconcile.names import is_conflict_copy, is_manifest_name, original_name

MANIFESTS = [
    "loveless.yml",
    "loveless.yaml",
    "01HRQ4GSX9K47J7M5FK7VW8B12.yml",
    "Sigur Rós - ( ).yml",
    "a.b.yml",
    "tmp.yml",
    "sedation.yml",
    "x" * 251 + ".yml",
]

NOT_MANIFESTS = [
    ".loveless.yml",
    ".#loveless.yml",
    ".syncthing.loveless.yml.tmp",
    ".syncthing.loveless.yml",
    "~syncthing~loveless.yml",
    "~syncthing~loveless.yml.tmp",
    "loveless.yml~",
    "loveless.yml.tmp",
    ".loveless.yml.swp",
    "loveless.yml.swx",
    "4913",
    "sedAbC123",
    ".git",
    ".stversions",
    ".stfolder",
    "README.md",
    "loveless",
    "loveless.YML",
    "loveless.sync-conflict-20261122-061241-S5C2BGY.yml",
    "two\nlines.yml",
    "bell\x07.yml",
    "not utf-8 \udcff.yml",
    "x" * 252 + ".yml",
    ".yml",
    "",
]


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_manifest_is_read(name):
    """A plain name with a YAML ending is a manifest."""
    assert is_manifest_name(name)
    assert not is_conflict_copy(name)


@pytest.mark.parametrize("name", NOT_MANIFESTS)
def test_what_programs_leave_beside_manifests_is_not_read(name):
    """Backups, locks, temporaries, transfers and names that could disturb a log are left alone."""
    assert not is_manifest_name(name)


def test_a_conflict_copy_is_told_from_other_files():
    """What Syncthing keeps of a losing version is noticed, under no other name."""
    assert is_conflict_copy("c1.sync-conflict-20261122-061241-S5C2BGY.yml")
    assert not is_conflict_copy(".c1.sync-conflict-20261122-061241-S5C2BGY.yml")
    assert not is_conflict_copy("c1.sync-conflict-20261122-061241-S5C2BGY.txt")


@pytest.mark.parametrize(
    ("copy", "original"),
    [
        ("c1.sync-conflict-20261122-061241-S5C2BGY.yml", "c1.yml"),
        ("a b.sync-conflict-20261122-061241-RECONCI.yaml", "a b.yaml"),
        ("a.sync-conflict-20261122-061241-S5C2BGY.sync-conflict-20261122-061241-S5C2BGY.yml", "a.yml"),
        ("a.sync-conflict-20150517-120000.yml", "a.yml"),
        ("a.sync-conflict-soon.yml", "a.yml"),
        ("a.yml", None),
        ("a.sync-conflict-20261122-061241-S5C2BGY.txt", None),
        (".sync-conflict-20261122-061241-S5C2BGY.yml", None),
    ],
)
def test_a_copy_has_the_name_of_its_manifest_in_it(copy, original):
    """With the time and perhaps a device in between, perhaps more than once."""
    assert original_name(copy) == original


@given(
    st.text(alphabet="a.~-", max_size=8), st.sampled_from(["", ".sync-conflict-", "~syncthing~"]), st.text(max_size=4)
)
def test_no_name_is_both(begin, middle, end):
    """What is a conflict copy is never run as a manifest."""
    for name in (f"{begin}{middle}{end}.yml", f"{middle}{begin}{end}.yaml"):
        assert not (is_manifest_name(name) and is_conflict_copy(name))
        assert is_conflict_copy(name) == (original_name(name) is not None)
