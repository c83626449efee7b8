"""Other people's folders, as albums."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shared_folders import shared

from reconciler.sources.soulseek.folders import albums_of


def albums(*paths):
    """Albums in these files of one user."""
    return albums_of([shared(path, 200) for path in paths])


@pytest.mark.parametrize(
    ("path", "folder", "name", "disc"),
    [
        ("Music\\A\\1991 - B\\01 x.flac", "Music\\A\\1991 - B", "1991 - B", None),
        ("@@abcde\\A\\B\\01 x.flac", "A\\B", "B", None),
        ("A\\B\\CD1\\x.flac", "A\\B", "B", 1),
        ("A\\B\\CD 02\\x.flac", "A\\B", "B", 2),
        ("A\\B\\Disc 2 - The Live One\\x.flac", "A\\B", "B", 2),
        ("A\\B\\disc one\\x.flac", "A\\B", "B", 1),
        ("A\\B\\[Disk 3 of 4]\\x.flac", "A\\B", "B", 3),
        ("A\\B\\Digital Media 01\\x.flac", "A\\B", "B", 1),
        ("A\\B (CD2)\\x.flac", "A\\B", "B", 2),
        ("A\\B - Disc 1\\x.flac", "A\\B", "B", 1),
        ("A\\B [Disc 1 of 2]\\x.flac", "A\\B", "B", 1),
        ("A\\Discovery\\x.flac", "A\\Discovery", "Discovery", None),
        ("A\\CDs\\x.flac", "A\\CDs", "CDs", None),
        ("A/B/x.flac", "A\\B", "B", None),
        ("x.flac", "", "", None),
    ],
)
def test_a_disc_belongs_to_its_album(path, folder, name, disc):
    """Whether it has a folder of its own or stands in the album's name."""
    [album] = albums(path)
    assert (album.folder, album.name, album.entries[0].disc) == (folder, name, disc)


def test_discs_are_one_album():
    """Folders below the album's and folders beside each other alike."""
    [below] = albums("A\\B\\CD1\\01 x.flac", "A\\B\\CD2\\01 y.flac")
    [beside] = albums("A\\B (CD1)\\01 x.flac", "A\\B (CD2)\\01 y.flac")
    assert [entry.disc for entry in below.entries] == [entry.disc for entry in beside.entries] == [1, 2]


def test_folders_of_one_name_in_two_places_are_two_albums():
    """Somebody keeps the album twice; nothing is mixed."""
    assert [album.folder for album in albums("D\\A\\B\\x.flac", "E\\A\\B\\x.flac")] == ["D\\A\\B", "E\\A\\B"]


def test_what_a_discs_folder_says_holds_for_its_files():
    """A bonus disc of live takes has plain titles."""
    [album] = albums("A\\B\\CD1\\01 x.flac", "A\\B\\CD2 Live in Rome\\01 x.flac")
    assert [set(entry.kinds) for entry in album.entries] == [set(), {"live"}]


def test_only_audio_counts():
    """By the stated extension, or by the name where the client states none; each encoding is an album."""
    files = [
        shared("A\\x.flac", 200, extension=""),
        shared("A\\cover.jpg"),
        shared("A\\x.mp3", 200),
        shared("A\\x.FLAC"),
    ]
    assert [(album.encoding.name, len(album.entries)) for album in albums_of(files)] == [("FLAC", 2), ("MP3", 1)]


@given(paths=st.lists(st.text(alphabet="ab\\/. \x00\u202eC1D@", max_size=60), max_size=6))
def test_any_path_is_only_parted(paths):
    """No part of a path leads anywhere: `..` and empty names are dropped."""
    for album in albums_of([shared(path, 10, extension="mp3") for path in paths]):
        assert len(album.folder) <= 300
        assert ".." not in album.folder.split("\\")
