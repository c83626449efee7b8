"""What of our own disk is offered, and where the password may lie."""

import os

import pytest

from reconciler.errors import BadConfigurationError
from reconciler.sources.soulseek.password import CREDENTIAL, read_password
from reconciler.sources.soulseek.sharing import (
    LINE_MAX,
    LINE_OF_ONE_MAX,
    by_root,
    has_room,
    mark_of,
    offered_files,
    open_offered,
    outermost,
    published_files,
)


@pytest.fixture
def root(tmp_path):
    """A shared folder with what belongs into it and what does not."""
    root = tmp_path / "music"
    (root / "Artist" / "Album").mkdir(parents=True)
    (root / "Artist" / "Album" / "song.flac").write_bytes(b"x")
    (root / ".hidden.flac").write_bytes(b"x")
    (root / ".reconciler-parts").mkdir()
    (root / ".reconciler-parts" / "a.part").write_bytes(b"x")
    (root / "half.part").write_bytes(b"x")
    (root / "back\\slash.flac").write_bytes(b"x")
    (root / "quarantine").mkdir()
    (root / "quarantine" / "wrong.flac").write_bytes(b"x")
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_bytes(b"x")
    (root / "link").symlink_to(secret)
    (root / "link.flac").symlink_to(secret / "key")
    os.mkfifo(root / "pipe.flac")
    return root


def test_only_plain_finished_files_are_offered(root):
    """Nothing hidden, unfinished, in quarantine, or behind a link; no pipe, no name that would be taken apart."""
    names = [name for name, _ in offered_files(root, never=(root / "quarantine",))]
    assert names == ["Artist/Album/song.flac"]


@pytest.mark.parametrize("name", [b"\xff", b"back\\slash"])
def test_a_folder_whose_name_cannot_be_told_is_not_entered(root, name):
    """One such path would keep the whole list from being sent."""
    folder = root / os.fsdecode(name)
    folder.mkdir()
    (root / "Artist" / "Album" / "song.flac").rename(folder / "song.flac")
    assert list(offered_files(root, never=(root / "quarantine",))) == []


def test_a_shared_folder_that_is_never_shared_offers_nothing(root):
    """Even where somebody names the parts themselves."""
    assert list(offered_files(root, never=(root,))) == []
    assert list(offered_files(root / "Artist", never=(root,))) == []


def test_of_the_library_only_what_was_published_is_offered(root):
    """By its path, size and time: another file under the same name is none of ours, nor is what lies beside it."""
    song = root / "Artist" / "Album" / "song.flac"
    other = song.with_name("other.flac")
    other.write_bytes(b"y")
    files = [(str(each), mark_of(each.stat())) for each in (song, root / ".hidden.flac", root / "half.part")]
    files += [(str(other), (2, 0)), (str(root / "gone.flac"), (1, 1)), ("/elsewhere/song.flac", (1, 1))]
    marks = by_root(files, (root,), but=())[root]
    assert [below for below, _ in published_files(root, marks, never=())] == ["Artist/Album/song.flac"]
    assert list(published_files(root, marks, never=(root / "Artist",))) == []
    song.write_bytes(b"another")
    assert list(published_files(root, marks, never=())) == []


def test_a_file_is_offered_once(tmp_path):
    """Folders in folders count as one, and what is shared anyway is not offered as published too."""
    music, new = tmp_path / "music", tmp_path / "music" / "new"
    assert outermost((new, music, tmp_path / "b", music)) == (music, tmp_path / "b")
    files = [(str(new / "a.flac"), (1, 1)), (str(music / "b.flac"), (1, 1))]
    assert by_root(files, (music,), but=(new,)) == {music: {"b.flac": (1, 1)}}


def test_a_link_is_not_opened_even_if_it_came_later(root):
    """Neither as a file nor on the way to one; a pipe does not hold us up."""
    for below in ("link.flac", "link/key", "pipe.flac", "gone.flac"):
        with pytest.raises(OSError, match=r"."):
            open_offered(root, below)
    opened = open_offered(root, "Artist/Album/song.flac")
    assert os.read(opened, 10) == b"x"
    os.close(opened)


def test_the_line_of_uploads_is_bounded():
    """For one user, and for all together."""
    assert has_room(["a"] * (LINE_OF_ONE_MAX - 1), "a")
    assert not has_room(["a"] * LINE_OF_ONE_MAX, "a")
    assert has_room(["a"] * LINE_OF_ONE_MAX, "b")
    assert not has_room([str(n) for n in range(LINE_MAX)], "b")


def test_the_password_comes_from_a_file_of_ours_alone(tmp_path):
    """Its line end is not part of it."""
    path = tmp_path / "password"
    path.write_text("hunter2\n")
    path.chmod(0o600)
    assert read_password(str(path), {}) == "hunter2"
    path.chmod(0o640)
    with pytest.raises(BadConfigurationError, match="can be read by others") as refused:
        read_password(str(path), {})
    assert "chmod 600" in refused.value.hint


def test_the_password_comes_from_a_credential(tmp_path):
    """It is guarded by systemd; a file that is named comes first."""
    (tmp_path / CREDENTIAL).write_text("from systemd")
    assert read_password("", {"CREDENTIALS_DIRECTORY": str(tmp_path)}) == "from systemd"
    with pytest.raises(BadConfigurationError, match="could not read"):
        read_password(str(tmp_path / "none"), {"CREDENTIALS_DIRECTORY": str(tmp_path)})


@pytest.mark.parametrize("content", [b"", b"\n", b"x" * 2000, b"\xff\xfe"])
def test_what_is_no_password(tmp_path, content):
    """Said with the file's name, never with what is in it."""
    path = tmp_path / "password"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(BadConfigurationError, match="password"):
        read_password(str(path), {})


def test_no_password_anywhere_says_where_it_may_lie():
    """Both ways."""
    with pytest.raises(BadConfigurationError, match="password_file is not set") as refused:
        read_password("", {"RECONCILER_PASSWORD": "x"})
    assert CREDENTIAL in refused.value.hint
