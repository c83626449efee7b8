"""`reconciler peers`: what is shown, and what a name means."""

import json

import pytest
from click.testing import CliRunner

from reconciler.cli.main import cli
from reconciler.clock import SystemClock
from reconciler.engine.reputation import Sight, banned, merged
from reconciler.errors import InvalidInputError, NotFoundError
from reconciler.state.database import Database
from reconciler.state.peers import PeerStore

GOOD = Sight(bytes_timed=8_000_000, seconds=4.0, chunks_good=30, errors=1, timeouts=1)
ALICE, BOB, EVE = "overlay:alice", "http:bob.example.org:80", "soulseek:e\x1b[31mve"


@pytest.fixture
def where(tmp_path):
    """A state folder that knows three peers, seen one after the other."""
    database = Database.open(tmp_path / "reconciler.db")
    now = 1_700_000_000.0
    eve = banned(merged(None, EVE, GOOD, now + 2), EVE, "chunk 3 \n is wrong", now + 2)
    PeerStore(database).exchange([merged(None, ALICE, GOOD, now), merged(None, BOB, Sight(errors=1), now + 1), eve])
    database.close()
    return ("--root", str(tmp_path), "--state", str(tmp_path))


def ran(*words):
    """What a command prints."""
    done = CliRunner().invoke(cli, words, standalone_mode=False, catch_exceptions=False)
    return done.stdout


def known(tmp_path):
    """The peers that are left."""
    database = Database.open_read_only(tmp_path / "reconciler.db")
    try:
        return [each.peer for each in PeerStore(database).all()]
    finally:
        database.close()


def test_the_table_has_a_row_for_each_peer(where):
    """Seen last first; foreign names are escaped."""
    heading, eve, bob, alice = ran("peers", *where).splitlines()
    assert " ".join(heading.split()) == "SOURCE PEER SPEED ERRORS TIMEOUTS GOOD REFUSED LAST SEEN BANNED"
    assert "e\\x1b[31mve" in eve
    assert "\x1b" not in eve
    assert bob.split()[:4] == ["http", "bob.example.org:80", "100%", "0%"]
    assert alice.split()[:8] == ["overlay", "alice", "2.0", "MB/s", "3%", "3%", "30", "0"]


def test_a_ban_that_lasts_is_shown_with_its_reason(where, tmp_path):
    """One that is over is not."""
    assert "until" not in ran("peers", *where)
    database = Database.open(tmp_path / "reconciler.db")
    later = SystemClock().wall() + 1000
    database.write(lambda c: c.execute("UPDATE peers SET banned_until = ?", (later,))).result()
    database.close()
    eve = ran("peers", *where).splitlines()[1]
    assert "until 20" in eve
    assert eve.endswith("chunk 3 \\x0a is wrong")


def test_as_json(where):
    """Every figure by its name; a name as it is."""
    eve, _, alice = json.loads(ran("peers", "--json", *where))
    assert (alice["throughput_bytes_per_s"], alice["error_rate"], alice["banned_until"]) == (2_000_000, 0.0312, None)
    assert (eve["name"], eve["strikes"], eve["banned"], eve["ban_reason"]) == (
        "e\x1b[31mve",
        1,
        False,
        "chunk 3 \n is wrong",
    )


@pytest.mark.parametrize("name", ["overlay:alice", "alice", "al", "overlay:a"])
def test_forget_takes_a_name_with_or_without_its_source_or_its_beginning(where, tmp_path, name):
    """And says what it did."""
    assert ran("peers", "forget", name, *where).startswith("overlay:alice is forgotten\n")
    assert known(tmp_path) == [BOB, EVE]


def test_forget_takes_a_name_that_looks_like_an_option_with_its_source(where, tmp_path):
    """Every 64th overlay id begins with a hyphen."""
    database = Database.open(tmp_path / "reconciler.db")
    PeerStore(database).exchange([merged(None, "overlay:-h", GOOD, 1.0)])
    database.close()
    assert ran("peers", "forget", "overlay:-", *where).startswith("overlay:-h is forgotten\n")


def test_forget_takes_a_name_as_it_is_shown(where, tmp_path):
    """An escape sequence cannot be typed."""
    told = ran("peers", "forget", "e\\x1b[31mve", "--json", *where)
    assert json.loads(told) == [{"source": "soulseek", "name": "e\x1b[31mve"}]
    assert known(tmp_path) == [ALICE, BOB]


def test_forget_refuses_what_could_be_several_or_is_nobody(where, tmp_path):
    """Nothing is dropped then."""
    database = Database.open(tmp_path / "reconciler.db")
    PeerStore(database).exchange([merged(None, "overlay:alia", GOOD, 1.0)])
    database.close()
    with pytest.raises(InvalidInputError, match="2 peers begin with 'ali': overlay:alia, overlay:alice"):
        ran("peers", "forget", "ali", *where)
    with pytest.raises(NotFoundError):
        ran("peers", "forget", "mallory", *where)
    assert len(known(tmp_path)) == 4


def test_options_stand_after_forget(where):
    """Before it they would be those of the table, and be lost."""
    done = CliRunner().invoke(cli, ["peers", *where, "forget", "alice"])
    assert done.exit_code == 2
    assert "write --root after `forget`" in done.stderr


def test_before_any_peer(tmp_path):
    """A database without a row says so; none at all is not found."""
    Database.open(tmp_path / "reconciler.db").close()
    assert ran("peers", "--state", str(tmp_path)) == "no peer is known yet\n"
    with pytest.raises(NotFoundError, match="no daemon has worked on"):
        ran("peers", "--state", str(tmp_path / "no"))
