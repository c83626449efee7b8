"""The token on the disk, and how a command finds the daemon."""

import os
import socket
import stat
import subprocess
import sys

import pytest

from reconciler.addresses import HostPort
from reconciler.api.address import address_of_running, forget_address, keep_address
from reconciler.api.ports import holder_of
from reconciler.api.server import bound
from reconciler.api.token import is_token, load_or_make_token, load_token
from reconciler.errors import BadConfigurationError, DiskError, StateDamagedError
from reconciler.state.location import InstanceLock


def test_a_token_is_made_once_and_only_its_owner_reads_it(tmp_path):
    """Long, random, the same at every start, mode 0600 whatever the umask."""
    before = os.umask(0)
    try:
        token = load_or_make_token(tmp_path / "state")
    finally:
        os.umask(before)
    file = tmp_path / "state" / "token"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(token) == 43
    assert load_or_make_token(tmp_path / "state") == token == load_token(tmp_path / "state")
    assert load_or_make_token(tmp_path / "other") != token
    assert [each.name for each in file.parent.iterdir()] == ["token"]


def test_a_token_that_others_can_read_or_that_is_none_is_refused(tmp_path):
    """With what to do; a link is not followed."""
    load_or_make_token(tmp_path)
    (tmp_path / "token").chmod(0o640)
    with pytest.raises(BadConfigurationError, match="can be read by others"):
        load_or_make_token(tmp_path)
    (tmp_path / "token").chmod(0o600)
    (tmp_path / "token").write_text("short\n")
    with pytest.raises(StateDamagedError):
        load_or_make_token(tmp_path)
    (tmp_path / "token").unlink()
    (tmp_path / "token").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").write_text("x" * 43)
    with pytest.raises(DiskError):
        load_or_make_token(tmp_path)


def test_only_the_token_is_the_token():
    """Not a part of it, not more, nothing that cannot be written."""
    assert is_token("abc", "abc")
    assert not any(is_token("abc", said) for said in ("", "ab", "abcd", "ABC", "\ud800", "é"))


def test_a_daemon_is_found_only_while_it_lives(tmp_path):
    """What a daemon that was killed has left is nobody's address: the token must not go to who has the port now."""
    keep_address(tmp_path, ("0.0.0.0", 5031))
    assert address_of_running(tmp_path) is None
    with InstanceLock(tmp_path):
        assert address_of_running(tmp_path) == ("127.0.0.1", 5031)
        (tmp_path / "api").write_bytes(b"\xff nonsense")
        assert address_of_running(tmp_path) is None
        keep_address(tmp_path, ("::", 5031, 0, 0))
        assert address_of_running(tmp_path) == ("::1", 5031)
        forget_address(tmp_path)
        assert address_of_running(tmp_path) is None
    keep_address(tmp_path, ("127.0.0.1", 1))
    assert address_of_running(tmp_path) is None


def test_a_port_that_is_taken_is_refused_with_who_has_it():
    """And what to do; a name that is nobody's is refused alike."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BadConfigurationError, match=rf"127\.0\.0\.1:{port}: .*process {os.getpid()}, ") as refused:
            bound(HostPort(host="127.0.0.1", port=port))
        assert "api.listen" in refused.value.hint
    assert holder_of(port) == ""
    with pytest.raises(BadConfigurationError):
        bound(HostPort(host="no-such-host.invalid", port=1))


def test_commands_do_not_load_the_libraries_of_the_server():
    """A git hook or a prompt must not wait a second for what only the daemon needs."""
    script = "import reconciler.cli.cmd_status, reconciler.cli.cmd_job, sys; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not {"fastapi", "starlette", "uvicorn", "prometheus_client", "pydantic"} & loaded
