"""A secret in a file of its own: what such a file must be."""

import os

import pytest

from reconciler.errors import BadConfigurationError
from reconciler.state.secrets import SECRET_BYTES_MAX, read_secret


@pytest.fixture
def path(tmp_path):
    """A file that only we can read."""
    made = tmp_path / "secret"
    made.touch(0o600)
    return made


def read(path):
    """The password that it holds."""
    return read_secret(path, private=True, what="password")


def test_the_end_of_its_line_is_no_part_of_it(path):
    """An editor puts one there; spaces are kept."""
    path.write_bytes(b" hunter2 \r\n")
    assert read(path) == " hunter2 "


@pytest.mark.parametrize("content", [b"", b"\n", b"x" * (SECRET_BYTES_MAX + 1), b"\xff\xfe"])
def test_what_is_no_secret_is_refused_and_not_shown(path, content):
    """Nothing, too much, or no text."""
    path.write_bytes(content)
    with pytest.raises(BadConfigurationError) as refused:
        read(path)
    assert str(path) in refused.value.message
    assert "xx" not in refused.value.message + refused.value.hint


def test_what_is_no_file_holds_nobody_up(path):
    """A pipe that nobody writes, a folder, nothing at all."""
    path.unlink()
    with pytest.raises(BadConfigurationError, match="could not read"):
        read(path)
    os.mkfifo(path, 0o600)
    with pytest.raises(BadConfigurationError, match="no regular file"):
        read(path)
    with pytest.raises(BadConfigurationError, match="no regular file"):
        read(path.parent)
