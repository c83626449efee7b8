"""`reconciler status` says how the Soulseek session stands."""

import json
import re
import time

import pytest
from click.testing import CliRunner

from reconciler.cli.main import cli
from reconciler.state.database import Database
from reconciler.state.location import InstanceLock, holder_of
from reconciler.state.soulseek import SoulseekStore, StoredReport

BANNED = {"state": "banned", "reason": "for 30 minutes\x1b[2J", "listen_port": 2234, "searches_max": 30}


@pytest.fixture
def tell(tmp_path):
    """Makes a daemon's report; gives what the command prints beside it."""

    def tell(*words, told=BANNED, retry_in_s=1700, searches=4):
        now = time.time()
        database = Database.open(tmp_path / "state" / "reconciler.db")
        store = SoulseekStore(database)
        for nth in range(searches):
            store.add_search(now - 60 * nth, forget_before=0)
        if told:
            retry_at = None if retry_in_s is None else now + retry_in_s
            store.put_report(StoredReport(**told, retry_at=retry_at, told_at=now))
        database.close()
        words = ["status", "--root", str(tmp_path), "--state", str(tmp_path / "state"), *words]
        return CliRunner().invoke(cli, words)

    return tell


def test_a_ban_is_shown_beside_the_table(tell, tmp_path):
    """With the time of the next login, and nothing in the server's words disturbs a terminal."""
    with InstanceLock(tmp_path / "state"):
        done = tell()
    assert re.search(r"soulseek is banned, next login in 1[67]\d\d s: for 30 minutes", done.stderr)
    assert "\x1b" not in done.stderr
    assert "banned" not in done.stdout


def test_a_script_gets_the_session_whole(tell, tmp_path):
    """The searches of the last 220 seconds count against the budget."""
    with InstanceLock(tmp_path / "state"):
        done = tell("--soulseek", "--json", told={**BANNED, "state": "online", "reason": ""}, retry_in_s=None)
    found = json.loads(done.stdout)
    assert (found["state"], found["retry_in_s"], found["listen_port"]) == ("online", None, 2234)
    assert (found["searches_left"], found["searches_max"]) == (26, 30)


def test_an_online_session_in_words(tell, tmp_path):
    """What is left of the budget, and where others can reach us."""
    with InstanceLock(tmp_path / "state"):
        done = tell("--soulseek", told={**BANNED, "state": "online", "reason": ""}, retry_in_s=None)
    assert done.stdout == "soulseek is online, 26 of 30 searches left, listening on port 2234\n"


def test_what_a_daemon_said_before_it_died_is_not_believed(tell, tmp_path):
    """Its lock went with it, whatever the file says."""
    with InstanceLock(tmp_path / "state"):
        assert holder_of(tmp_path / "state") is not None
    assert holder_of(tmp_path / "state") is None
    done = tell("--soulseek")
    assert done.stdout == "soulseek is offline: no daemon is running\n"


def test_without_soulseek_nothing_is_said(tell):
    """Nobody asked for it."""
    assert "soulseek" not in tell(told=None).stderr
    assert json.loads(tell("--soulseek", "--json", told=None).stdout) is None
    assert "soulseek.enabled" in tell("--soulseek", told=None).stdout
