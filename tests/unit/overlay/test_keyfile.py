"""The key outlives the process, and nothing but its owner replaces it."""

import stat
import threading

import pytest

from reconciler.errors import BadConfigurationError, DiskError, StateDamagedError
from reconciler.overlay.keyfile import KEY_NAME, load_or_make


def test_the_key_is_made_once(tmp_path):
    """The second start is the same peer; file and folder are the owner's alone."""
    folder = tmp_path / "state" / "identity"
    first = load_or_make(folder)
    assert load_or_make(folder).id == first.id
    assert stat.S_IMODE((folder / KEY_NAME).stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [path.name for path in folder.iterdir()] == [KEY_NAME]


def test_two_folders_are_two_peers(tmp_path):
    """Keys are random."""
    assert load_or_make(tmp_path / "a").id != load_or_make(tmp_path / "b").id


def test_processes_that_start_at_once_agree(tmp_path):
    """Whoever links first wins; the others use that key."""
    found = []
    threads = [threading.Thread(target=lambda: found.append(load_or_make(tmp_path).id)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert [path.name for path in tmp_path.iterdir()] == [KEY_NAME]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_key_that_others_may_read_is_not_used(tmp_path, mode):
    """The message says how to put it right."""
    load_or_make(tmp_path)
    (tmp_path / KEY_NAME).chmod(mode)
    with pytest.raises(BadConfigurationError) as error:
        load_or_make(tmp_path)
    assert "chmod 600" in error.value.hint


@pytest.mark.parametrize("text", [b"", b"not a key", b"x" * 5000])
def test_a_damaged_key_is_never_replaced(tmp_path, text):
    """A new key would be a new peer: the person decides."""
    load_or_make(tmp_path)
    (tmp_path / KEY_NAME).write_bytes(text)
    with pytest.raises(StateDamagedError):
        load_or_make(tmp_path)
    assert (tmp_path / KEY_NAME).read_bytes() == text


def test_a_link_in_the_keys_place_is_refused(tmp_path):
    """A key is a file of its own."""
    load_or_make(tmp_path / "real")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / KEY_NAME).symlink_to(tmp_path / "real" / KEY_NAME)
    with pytest.raises(DiskError):
        load_or_make(tmp_path / "other")


def test_a_folder_in_the_keys_place_is_refused(tmp_path):
    """What is no file is named as such."""
    (tmp_path / KEY_NAME).mkdir()
    with pytest.raises((DiskError, StateDamagedError)):
        load_or_make(tmp_path)
