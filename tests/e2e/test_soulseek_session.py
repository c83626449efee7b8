"""The session with the Soulseek server: lost, banned, kicked, refused; and what must never be seen of it."""

import asyncio
import time
from pathlib import Path

import pytest
from soulseek_rig import SoulseekRig, free_port, sockets_of, until
from soulseek_server import SoulseekServer

from reconciler.clock import SystemClock
from reconciler.sources.soulseek.source import Judgement, SoulseekSource
from reconciler.state.soulseek import SoulseekStore

PASSWORD = "correct horse battery"


@pytest.fixture
def server():
    server = SoulseekServer(passwords={"us": PASSWORD})
    yield server
    server.close()


@pytest.fixture
def make_rig(tmp_path, server):
    """Makes our account, again and again in one folder."""
    made = []

    def make(**account):
        made.append(SoulseekRig(tmp_path / "us", server, **{"password": PASSWORD, **account}))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_a_lost_session_comes_back_after_growing_pauses(make_rig, server):
    """After a clean close in five seconds, after the reset that follows in ten: a quarter more at most, by chance."""
    rig = make_rig().online()
    lost = time.monotonic()
    server.disconnect_all()
    until(lambda: rig.path.status.state != "online")
    rig.online()
    assert server.logins[-1][0] - lost > 4.5
    server.disconnect_all(reset=True)
    until(lambda: rig.path.status.retry_in_s)
    assert 6.5 < rig.path.status.retry_in_s < 12.6  # some seconds may have passed until it is read
    assert len(server.logins) == 2


@pytest.mark.parametrize("notice", ["You have been banned for 30 minutes", ""])
def test_a_ban_is_respected_over_a_restart(make_rig, server, notice):
    """Half an hour without a connection, whether the server says so or kicks; the next start knows it."""
    rig = make_rig().online()
    if notice:
        server.disconnect_all(notice=notice)
    else:
        server.kick("us")
    until(lambda: rig.path.status.retry_in_s)
    assert rig.path.status.state == ("banned" if notice else "kicked")
    assert rig.path.status.retry_in_s >= 1800
    assert notice in rig.path.status.reason
    told = until(lambda: (found := SoulseekStore(rig.database).report()).retry_at and found)
    assert (told.state, told.reason) == (rig.path.status.state, rig.path.status.reason)
    assert told.retry_at - told.told_at >= 1800
    rig.close()
    connections = len(server.connections)
    again = make_rig()
    until(lambda: again.path.status.retry_in_s)
    assert again.path.status.retry_in_s > 1790
    assert len(server.connections) == connections


def test_hanging_up_twice_before_the_login_is_taken_for_a_ban(make_rig, server):
    """Once may be a restart of the server: that is tried again after five seconds. Then half an hour."""
    server.hang_up_at_once = True
    rig = make_rig()
    until(lambda: (rig.path.status.retry_in_s or 0) > 1000)
    assert len(server.connections) == 2
    assert server.connections[1] - server.connections[0] > 4.5


def test_a_wrong_password_is_not_tried_again(make_rig, server):
    """Until somebody changes it: the status says what is wrong."""
    rig = make_rig(password="wrong")
    until(lambda: rig.path.status.state == "refused")
    assert "INVALIDPASS" in rig.path.status.reason
    assert rig.path.status.retry_in_s is None
    assert len(server.logins) == 1


def test_the_environment_does_not_reach_the_library_nor_the_password_anybody(make_rig, server, monkeypatch, capfd):
    """Variables that the library would read change nothing; the password is in no argument, variable or log."""
    for name in ("DEBUG", "NETWORK", "CREDENTIALS", "SHARES", "USERS"):
        monkeypatch.setenv(name, "1")
    rig = make_rig().online()
    process = Path(f"/proc/{rig.path.process_id}")
    assert PASSWORD.encode() not in (process / "environ").read_bytes() + (process / "cmdline").read_bytes()
    server.disconnect_all()
    until(lambda: rig.path.status.state != "online")
    assert PASSWORD not in "".join(capfd.readouterr())
    assert PASSWORD not in repr(rig.account)


def test_nothing_is_listened_on_without_a_port(make_rig):
    """Port 0 opens none; a port is opened at the address that was given, and its number told."""
    rig = make_rig().online()
    assert sockets_of(rig.path.process_id, "0A") == []
    assert rig.path.status.listen_port == 0
    rig.close()
    port = free_port()
    rig = make_rig(listen_host="127.0.0.1", listen_port=port).online()
    assert sockets_of(rig.path.process_id, "0A") == [f"0100007F:{port:04X}"]
    assert rig.path.status.listen_port == port


def test_the_server_sees_no_more_searches_than_the_budget(make_rig, server, monkeypatch):
    """Forty asked at once: thirty reach it, and the rest wait until the window has moved."""
    # Nobody is there to answer; how long answers are waited for does not change how many searches may be sent.
    monkeypatch.setattr("reconciler.sources.soulseek.source.FIRST_ANSWER_WITHIN_S", 0.2)
    rig = make_rig().online()
    judgement = Judgement(queries_of=lambda wants, excluded_phrases: (), match=lambda wants, files: None)
    source = SoulseekSource(rig.path, rig.ledger, judgement, clock=SystemClock())

    async def ask():
        asking = [asyncio.create_task(source._answers(f"query {n}", {})) for n in range(40)]
        await asyncio.to_thread(until, lambda: sum(each.done() for each in asking) == 30, 120)
        for each in asking:
            each.cancel()
        await asyncio.wait(asking)

    asyncio.run(ask())
    assert server.most_searches_in(220) == len(server.searches) == 30
    assert 0 < rig.ledger.search_wait_s() < 225
