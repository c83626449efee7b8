"""What is remembered of peers, in the database."""

import pytest

from reconciler.errors import NotFoundError, StateDamagedError
from reconciler.state.database import Database
from reconciler.state.peers import PeerStore
from reconciler.state.reputations import Reputation

NOW = 1_790_000_000.0


@pytest.fixture
def database(tmp_path):
    """An empty one."""
    opened = Database.open(tmp_path / "reconciler.db")
    yield opened
    opened.close()


def peer(name, **changes):
    """A peer seen now."""
    return Reputation(**{"peer": f"overlay:{name}", "last_seen": NOW, **changes})


def test_a_peer_comes_back_as_it_was(database):
    """Each field; the one heard of longest ago first."""
    store = PeerStore(database)
    many = [
        peer("old", last_seen=NOW - 1),
        Reputation(
            peer="soulseek:a:b \u202e",
            last_seen=NOW,
            recent_bytes=1.5,
            recent_seconds=2.5,
            recent_good=3.5,
            recent_errors=4.5,
            recent_timeouts=5.5,
            chunks_good=6,
            chunks_refused=7,
            strikes=8,
            banned_until=NOW + 9.5,
            ban_reason="chunk 3 does not match its hash",
        ),
    ]
    store.exchange(reversed(many))
    assert store.all() == many


def test_a_later_batch_replaces_and_drops(database):
    """All or nothing, in one commit."""
    store = PeerStore(database)
    store.exchange([peer("a"), peer("b")])
    store.exchange([peer("a", chunks_good=1)], ["overlay:b", "overlay:never"])
    assert store.all() == [peer("a", chunks_good=1)]


def test_a_pardon_beside_the_daemon_is_taken_once(tmp_path, database):
    """The batch that takes it does not write the peer back."""
    store = PeerStore(database)
    banned = peer("a", banned_until=NOW + 1, strikes=1)
    store.exchange([banned, peer("b")])
    beside = Database.open_beside(tmp_path / "reconciler.db")
    try:
        PeerStore(beside).forget([banned.peer])
        assert PeerStore(beside).all() == [peer("b")]
    finally:
        beside.close()
    assert store.pardons_wait()
    assert store.exchange([banned]) == {banned.peer}
    assert not store.pardons_wait()
    assert store.all() == [peer("b")]
    assert store.exchange([banned]) == frozenset()
    assert store.all() == [banned, peer("b")]


def test_beside_means_beside_a_file_that_is_there(tmp_path):
    """It is neither made nor migrated."""
    with pytest.raises(NotFoundError):
        Database.open_beside(tmp_path / "reconciler.db")
    assert not (tmp_path / "reconciler.db").exists()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("peer", "nobody"),
        ("recent_bytes", -1.0),
        ("recent_good", 9e999),
        ("recent_errors", "many"),
        ("chunks_good", -1),
        ("chunks_refused", "x"),
        ("strikes", 0.5),
        ("last_seen", -1.0),
        ("banned_until", 1e300),
        ("ban_reason", b"\xff"),
    ],
)
def test_a_row_that_nobody_wrote_is_damage(database, column, value):
    """It would steer what is asked of whom."""
    store = PeerStore(database)
    store.exchange([peer("a")])
    database.write(lambda connection: connection.execute(f"UPDATE peers SET {column} = ?", (value,))).result()
    with pytest.raises(StateDamagedError, match="impossible peer"):
        store.all()
