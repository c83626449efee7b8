"""Where the state is, and that one daemon has it."""

import os
from pathlib import Path

import pytest
from small_disk import fill

from reconciler.errors import BadConfigurationError, DiskFullError, OtherInstanceError
from reconciler.state.location import InstanceLock, holder_of, state_folder


def test_two_roots_never_share_a_state_folder(tmp_path):
    """Each has its own below the home of all state, which no root is synced with; systemd's word goes before."""
    environ = {"XDG_STATE_HOME": str(tmp_path / "state")}
    one, two = (state_folder(tmp_path / name, environ) for name in ("one", "two"))
    assert one != two
    assert {one.parent, two.parent} == {tmp_path / "state" / "reconciler"}
    assert state_folder(tmp_path / "one", {"STATE_DIRECTORY": "/var/lib/a:/var/lib/b"}) == Path("/var/lib/a")
    with pytest.raises(BadConfigurationError, match="HOME"):
        state_folder(tmp_path, {})


def test_the_second_is_told_who_has_it(tmp_path):
    """And when the first is gone, nobody has."""
    with InstanceLock(tmp_path):
        assert holder_of(tmp_path) == os.getpid()
        with pytest.raises(OtherInstanceError, match=f"process {os.getpid()} "), InstanceLock(tmp_path):
            pytest.fail("two at a time")
    assert holder_of(tmp_path) is None


def test_a_full_disk_is_said_and_the_lock_is_let_go(small_disk):
    """There is no room for the number of the process; where one was written before, it finds its place."""
    with InstanceLock(small_disk / "used"):
        pass
    (small_disk / "new").mkdir()
    (small_disk / "new" / "lock").touch()
    filler = fill(small_disk, leaving=0)
    with pytest.raises(DiskFullError, match="could not write") as refused, InstanceLock(small_disk / "new"):
        pytest.fail("nobody could be told who has it")
    assert "free some space" in refused.value.hint
    with InstanceLock(small_disk / "used"):
        assert holder_of(small_disk / "used") == os.getpid()
    filler.unlink()
    with InstanceLock(small_disk / "new"):
        assert holder_of(small_disk / "new") == os.getpid()
