"""An open file is closed once, by whoever is last."""

import os
import threading

import pytest
from overlay_world import content, hold

from reconciler.errors import FileBusyError, NotFoundError
from reconciler.ids import Root
from reconciler.library.index import LibraryIndex
from reconciler.overlay.blob import Blob
from reconciler.state.database import Database


@pytest.fixture
def index(tmp_path):
    """An empty library."""
    database = Database.open(tmp_path / "state.db")
    yield LibraryIndex(database)
    database.close()


def is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def test_any_part_is_read(index, tmp_path):
    """Exactly the bytes asked for."""
    data = content(1000)
    blob = Blob.open(index, hold(index, tmp_path / "a.flac", data).root)
    assert blob.read(10, 100) == data[10:110]
    blob.close()


def test_what_is_not_held_is_not_opened(index):
    """The index decides."""
    with pytest.raises(NotFoundError):
        Blob.open(index, Root("0" * 64))


def test_a_file_that_shrinks_while_it_is_sent_is_not_padded(index, tmp_path):
    """The reader is told, the connection is for the sender to end."""
    path = tmp_path / "a.flac"
    blob = Blob.open(index, hold(index, path, content(1000)).root)
    os.truncate(path, 500)
    with pytest.raises(FileBusyError, match="byte 500"):
        blob.read(400, 200)
    blob.close()


def test_a_closed_file_is_not_read(index, tmp_path):
    """And closing twice is as once."""
    blob = Blob.open(index, hold(index, tmp_path / "a.flac", content(10)).root)
    blob.close()
    blob.close()
    assert not is_open(blob._descriptor)
    with pytest.raises(FileBusyError):
        blob.read(0, 1)


def test_closing_waits_for_the_read_in_progress(index, tmp_path):
    """The descriptor of a read under way stays, or the read could meet another file; afterwards it is closed."""
    holding = hold(index, tmp_path / "a.flac", content(10))
    reading, go_on = threading.Event(), threading.Event()

    class Slow(Blob):
        def _read(self, offset, count):
            reading.set()
            go_on.wait(60)
            assert is_open(self._descriptor)
            return super()._read(offset, count)

    blob = Slow.open(index, holding.root)
    found = []
    reader = threading.Thread(target=lambda: found.append(blob.read(0, 10)))
    reader.start()
    reading.wait(60)
    blob.close()
    assert is_open(blob._descriptor)
    go_on.set()
    reader.join()
    assert found == [content(10)]
    assert not is_open(blob._descriptor)
